"""Tries all schedules of some requests in a world of their own."""

from __future__ import annotations

import os
from typing import Any

from tests.concurrency.interleave import (
    Exploration,
    Fault,
    Scenario,
    SteppedBackend,
    interleave,
)
from tests.concurrency.tally import completed
from tests.concurrency.world import Storage, World, scenario

LONG = os.environ.get("SRVSESSION_TEST_LONG") == "1"
LIMIT = 1_000_000 if LONG else 20_000


def explore(
    *requests: str,
    start: str = "signed in",
    faults: tuple[Fault, ...] = (),
    **given: Any,
) -> Exploration:
    """Try all schedules of the requests; Violation if one breaks a promise."""

    def make(backend: SteppedBackend) -> Scenario:
        return scenario(World(backend, start, **given), *requests)

    return completed(interleave(Storage, make, faults=faults, limit=LIMIT))
