"""How much the tests of this run have tried, to be printed at its end."""

from __future__ import annotations

from collections import Counter

from tests.concurrency.interleave import Exploration

TRIED: Counter[str] = Counter()
"""What was tried -> how often: schedules, cases, operations, ..."""


def completed(explored: Exploration) -> Exploration:
    """Count the schedules, which must have been all."""
    assert explored.complete, "more schedules than this test is made for"
    TRIED["schedules"] += explored.schedules
    return explored
