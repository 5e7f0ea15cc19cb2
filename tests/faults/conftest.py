"""Stages before real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

import pytest

from .stage import SHORT, Stage

_AT_A_TIME = 14


@dataclass(frozen=True)
class Stages:
    """Stages before the same server."""

    patient: Stage
    hasty: list[Stage]
    """Where many flows wait for short timeouts at the same time."""


@pytest.fixture(scope="session")
def stages_of(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Stages]]:
    """Return the stages before a server that all tests share, by its name."""
    made: dict[str, Stages] = {}
    with ExitStack() as closes:

        def of(name: str) -> Stages:
            if name not in made:
                server = request.getfixturevalue(f"{name}_server")
                hasty = [Stage(server, SHORT) for _ in range(_AT_A_TIME)]
                made[name] = stages = Stages(Stage(server), hasty)
                for stage in (stages.patient, *hasty):
                    closes.enter_context(closing(stage))
            return made[name]

        yield of
