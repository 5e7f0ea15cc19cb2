"""The explorer itself: it tries every order once, and each fault at every point."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from flask_srvsession.backends.base import Cell
from flask_srvsession.backends.memory import MemoryBackend
from tests.concurrency.interleave import (
    Fault,
    Scenario,
    SteppedBackend,
    Violation,
    interleave,
)


def counting(backend: SteppedBackend, *names: str, atomic: bool) -> Scenario:
    """Return jobs that add one to a number, with or without a check of the version."""
    backend.add("n", b"0", 60)

    def increment() -> None:
        while True:
            cell = backend.get("n")
            assert cell is not None
            data = b"%d" % (int(cell.data) + 1)
            reply = backend.swap("n", data, cell.version, 60)
            if isinstance(reply, Cell) and not atomic:
                reply = backend.swap("n", data, reply.version, 60)
            if not isinstance(reply, Cell):
                return

    def at_end(jobs: object) -> None:
        cell = backend.get("n")
        assert cell is not None
        assert int(cell.data) == len(names)

    return Scenario(dict.fromkeys(names, increment), at_end=at_end)


def test_interleave_tries_every_order_once() -> None:
    orders = []

    def make(backend: SteppedBackend) -> Scenario:
        done: list[str] = []

        def job(name: str) -> Callable[[], None]:
            def two_writes() -> None:
                for _ in range(2):
                    backend.add("same", b"", 60)
                    done.append(name)

            return two_writes

        jobs = {name: job(name) for name in "ab"}
        return Scenario(jobs, at_end=lambda _: orders.append("".join(done)))

    explored = interleave(MemoryBackend, make)

    assert explored.complete
    assert sorted(orders) == ["aabb", "abab", "abba", "baab", "baba", "bbaa"]


def test_interleave_tries_orders_that_look_alike_once() -> None:
    def make(backend: SteppedBackend) -> Scenario:
        return Scenario(
            {
                "a": lambda: [backend.add("mine", b"", 60), backend.get("shared")],
                "b": lambda: [backend.add("yours", b"", 60), backend.get("shared")],
            }
        )

    assert interleave(MemoryBackend, make).schedules == 1


def test_interleave_finds_a_lost_update_and_runs_it_again() -> None:
    def make(backend: SteppedBackend) -> Scenario:
        return counting(backend, "a", "b", atomic=False)

    with pytest.raises(Violation) as found:
        interleave(MemoryBackend, make)
    with pytest.raises(Violation) as again:
        interleave(MemoryBackend, make, schedule=found.value.schedule)

    assert again.value.steps == found.value.steps
    assert found.value.steps[:2] == ("a: get n", "b: get n")
    assert interleave(MemoryBackend, lambda b: counting(b, "a", "b", atomic=True))


def test_interleave_stops_at_the_limit_and_says_so() -> None:
    def make(backend: SteppedBackend) -> Scenario:
        return counting(backend, "a", "b", "c", atomic=True)

    explored = interleave(MemoryBackend, make, limit=5)

    assert (explored.schedules, explored.complete) == (5, False)


@pytest.mark.parametrize(
    ("fault", "written"),
    [
        (Fault.CRASH, {(b"0", "crash"), (b"1", "done")}),
        (Fault.REPLY_LOST, {(b"1", "failed"), (b"0", "failed"), (b"1", "done")}),
        (Fault.REFUSED, {(b"0", "failed"), (b"1", "done")}),
        (Fault.DELAYED, {(b"1", "failed"), (b"1", "done")}),
    ],
)
def test_a_fault_strikes_once_at_every_point(
    fault: Fault, written: set[tuple[bytes, str]]
) -> None:
    seen = set()

    def make(backend: SteppedBackend) -> Scenario:
        version = backend.add("n", b"0", 60)

        def job() -> None:
            backend.get("n")
            backend.swap("n", b"1", version, 60)

        def at_end(jobs: Mapping[str, Any]) -> None:
            cell = backend.get("n")
            assert cell is not None
            job = jobs["job"]
            how = "crash" if job.crashed else "done" if job.returned else "failed"
            seen.add((cell.data, how))

        return Scenario({"job": job}, at_end=at_end, expected=backend.errors)

    interleave(MemoryBackend, make, faults=[fault])

    assert seen == written


def test_chance_in_a_job_is_noticed() -> None:
    names = map(str, itertools.count())

    def make(backend: SteppedBackend) -> Scenario:
        def job() -> None:
            for _ in range(1 if int(next(names)) % 3 else 2):
                backend.add("n", b"", 60)

        return Scenario({"a": job, "b": job})

    with pytest.raises(Violation, match="left to chance"):
        interleave(MemoryBackend, make)


def test_an_unexpected_error_of_a_job_is_a_violation() -> None:
    def make(backend: SteppedBackend) -> Scenario:
        return Scenario({"a": lambda: {"m": 1}[str(backend.get("n"))]})

    with pytest.raises(Violation, match="KeyError"):
        interleave(MemoryBackend, make)
