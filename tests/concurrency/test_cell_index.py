"""CellIndex under every order in which its steps on two cells can fall.

``SRVSESSION_TEST_LONG=1`` adds losses of the storage under two other jobs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import Any

import pytest

from flask_srvsession.backends.cell_index import CellIndex
from flask_srvsession.backends.memory import MemoryBackend
from tests.concurrency.interleave import (
    Fault,
    Job,
    Jobs,
    Scenario,
    SteppedBackend,
    Violation,
    interleave,
)
from tests.concurrency.tally import completed

NAME = "n"
LONG = os.environ.get("SRVSESSION_TEST_LONG") == "1"
FAULTS = tuple(Fault)


class Index:
    """An index with one member, `old`, and what is done to it side by side."""

    def __init__(self, backend: SteppedBackend) -> None:
        self.backend = backend
        self.index = backend.index
        self.epoch = self.index.epoch(NAME)
        self.index.add(NAME, "old", self.epoch, 60)

    def fence(self) -> tuple[str, list[str]]:
        epoch, _ = self.index.fence(NAME, ["old"])
        return epoch, self.members()

    def members(self) -> list[str]:
        return self.index.members(NAME, 100) or []

    def add_a(self) -> bool:
        return self.index.add(NAME, "a", self.epoch, 60)

    def add_b(self) -> bool:
        return self.index.add(NAME, "b", self.epoch, 60)

    def admits(self, member: str) -> bool:
        """Return whether a member that knows the first epoch is still admitted."""
        head = self.index.head(NAME)
        return head is not None and (head.epoch == self.epoch or member in head.kept)

    def remove(self) -> None:
        self.index.remove(NAME, ["old"])

    def read(self) -> str:
        return self.index.epoch(NAME)

    def lose_head(self) -> None:
        self.backend.delete(NAME + ":e")

    def lose_roll(self) -> None:
        self.backend.delete(NAME + ":m")


def added(jobs: Jobs) -> set[str]:
    """Return who was told that they are listed."""
    return {
        job.name.partition(" ")[0][-1]
        for job in jobs.values()
        if job.returned and job.value is True
    }


def fences(jobs: Jobs) -> list[Job]:
    return [job for job in jobs.values() if job.name.startswith("fence")]


def everybody_is_listed(index: Index, jobs: Jobs) -> None:
    expected = {"old"} | added(jobs)
    if any(job.name.startswith("remove") and job.ended for job in jobs.values()):
        expected -= {"old"}
    listed = set(index.members())
    assert expected - {"old"} <= listed, "an added member is not listed"
    if all(job.returned for job in jobs.values()):
        assert listed == expected


def a_fence_misses_nobody(index: Index, jobs: Jobs) -> None:
    returned = [job.value for job in fences(jobs) if job.returned]
    if not returned:
        return
    assert not index.admits("a"), "the old epoch is admitted"
    if len(returned) == len(fences(jobs)):
        reported = {member for _, members in returned for member in members}
        assert added(jobs) <= reported, "a fence missed a member"
        assert index.index.epoch(NAME) in [epoch for epoch, _ in returned]
        assert index.admits("old"), "it was kept"


def a_loss_ends_the_epoch(index: Index, jobs: Jobs) -> None:
    """Whoever a fence did not list after a loss is not admitted."""
    for job in fences(jobs):
        if job.returned:
            missed = added(jobs) - set(job.value[1])
            assert not any(map(index.admits, missed)), "it is neither listed nor out"


def an_epoch_stays(index: Index, jobs: Jobs) -> None:
    assert index.index.epoch(NAME) == index.index.epoch(NAME)


def a_late_fence_is_complete(index: Index, jobs: Jobs) -> None:
    """Whatever happened, another fence lists all who are admitted."""
    index.index.fence(NAME)
    assert added(jobs) <= {*index.members()}, "a repeated fence missed a member"
    assert not any(map(index.admits, ("old", "a", "b"))), "the old epoch is admitted"


Check = Callable[[Index, Jobs], None]


def explore(
    names: Collection[str],
    *checks: Check,
    faults: Collection[Fault] = (),
    index: type[CellIndex] = CellIndex,
) -> int:
    def make(backend: SteppedBackend) -> Scenario:
        world = Index(backend)
        jobs: dict[str, Callable[[], Any]] = {
            f"{name} {number}": getattr(world, name)
            for number, name in enumerate(names, 1)
        }

        def at_end(jobs: Jobs) -> None:
            for check in (an_epoch_stays, *checks):
                check(world, jobs)

        return Scenario(jobs, at_end=at_end, expected=backend.errors)

    explored = interleave(MemoryBackend, make, faults=faults, index=index)
    return completed(explored).schedules


@pytest.mark.parametrize(
    "names",
    [
        ("fence", "add_a"),
        ("fence", "fence"),
        ("fence", "remove"),
        ("fence", "read"),
        ("add_a", "add_b"),
        ("add_a", "remove"),
        ("fence", "add_a", "read"),
        ("fence", "remove", "add_a"),
    ],
    ids="-".join,
)
def test_every_order_of_steps_keeps_the_index_whole(names: tuple[str, ...]) -> None:
    checks: tuple[Check, ...] = (everybody_is_listed, a_fence_misses_nobody)
    if "remove" in names:
        checks = (everybody_is_listed,)

    assert explore(names, *checks, a_late_fence_is_complete) > 1


LOSSES = [("fence", "lose_head"), ("fence", "lose_roll")]
LOSSES += [("add_a", "lose_head"), ("add_a", "lose_roll")]
LONG_LOSSES = [("fence", "add_a", "lose_head"), ("fence", "add_a", "lose_roll")]


@pytest.mark.parametrize(
    "names", [*LOSSES, *(LONG_LOSSES if LONG else [])], ids="-".join
)
def test_what_the_storage_loses_lets_nobody_in(names: tuple[str, ...]) -> None:
    assert explore(names, a_loss_ends_the_epoch) > 1


@pytest.mark.parametrize("names", [("fence",), ("fence", "add_a")], ids="-".join)
def test_a_fence_that_fails_midway_can_be_repeated(names: tuple[str, ...]) -> None:
    assert explore(names, a_late_fence_is_complete, faults=FAULTS) > len(FAULTS)


class HeadReadFirst(CellIndex):
    """Adds to a roll that was read after the head."""

    def add(self, name: str, member: str, expect: str, ttl: int) -> bool:
        head = self._read_head(name)[1]
        cell, roll = self._read_roll(name)
        if head is None or roll is None or head.epoch != expect:
            return False
        members = {**roll.members, member: self._clock() + ttl}
        return self._write_roll(name, cell, type(roll)(expect, 9e9, members))


class Unstamped(CellIndex):
    """A fence that returns when others may still add with the old epoch."""

    def _restamp(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("mutant", [HeadReadFirst, Unstamped])
def test_a_broken_index_is_found_out(mutant: type[CellIndex]) -> None:
    with pytest.raises(Violation):
        explore(("fence", "add_a"), a_fence_misses_nobody, index=mutant)
