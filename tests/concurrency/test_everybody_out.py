"""The end of all sessions under every order of the calls of requests and processes.

The requests are those of one process; another one ends all sessions, and at some time
the first one hears of it.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from flask_srvsession.store import SessionStore
from tests.concurrency.interleave import (
    Fault,
    Jobs,
    Scenario,
    SteppedBackend,
    interleave,
)
from tests.concurrency.tally import completed
from tests.concurrency.world import (
    DEFAULTS,
    EXPECTED,
    SECRET_KEYS,
    SERIALIZER,
    Storage,
    World,
    assigned,
)

pytestmark = pytest.mark.usefixtures("stepwise")

REQUESTS = ("save", "bind", "increment", "renew", "login", "checked_login", "rotate")
LIMIT = 60_000
_NO_VERSION = -1


class Processes(World):
    """A process whose requests are tried, and one of an administrator."""

    def __init__(self, backend: SteppedBackend, start: str, **given: Any) -> None:
        super().__init__(backend, start, **given)
        self.former = set(self.notes.cookies)
        self._admin = SessionStore(
            backend, SECRET_KEYS, SERIALIZER, DEFAULTS, clock=self.clock
        )
        self._admin.marker.keep_up()

    def everybody_out(self) -> None:
        self._admin.marker.begin_era()

    def note(self) -> None:
        """Write the marker, as the first login of a day does."""
        self.store.marker.note()

    def hear(self) -> None:
        """Ask for the marker, and seem to change the session before and after it: only
        what meets in the storage is tried in every order, and this is in memory."""
        self.backend.delete(f"t:{self.first}", _NO_VERSION)
        self.store.marker.asked = -math.inf
        self.store.marker.keep_up()
        self.backend.delete(f"t:{self.first}", _NO_VERSION)

    def old_ones_are_over(self, _: Jobs) -> None:
        """Once a process has heard, it serves nothing of before, and nothing that came
        of it."""
        if not self.store.marker.era:
            return
        for session_id in [*self.notes.cookies]:
            if any(self.descends(session_id, former) for former in self.former):
                assert not self.admitted(session_id), "a session of before lives"

    def new_ones_live(self, jobs: Jobs) -> None:
        self.hear()
        assert self.store.marker.era >= self._admin.marker.era, "it was not heard"
        self.old_ones_are_over(jobs)
        fresh = self.store.create(assigned(user_id=1))
        self._hand_out(fresh)
        assert self.admitted(fresh.id), "a session of after it does not live"


def explored(
    *requests: str, start: str, faults: tuple[Fault, ...] = (), **given: Any
) -> int:
    def make(backend: SteppedBackend) -> Scenario:
        world = Processes(backend, start, **given)

        def job(name: str) -> Any:
            call = getattr(world, name)
            return (lambda: call("key")) if name in ("save", "bind") else call

        jobs = {f"{name} {n}": job(name) for n, name in enumerate(requests)}
        return Scenario(jobs, world.old_ones_are_over, world.new_ones_live, EXPECTED)

    found = completed(interleave(Storage, make, faults=faults, limit=LIMIT))
    return found.schedules


@pytest.mark.parametrize("start", ["signed in", "anonymous", "due"])
@pytest.mark.parametrize("request_name", REQUESTS)
def test_a_request_brings_nothing_back(request_name: str, start: str) -> None:
    assert explored(request_name, "everybody_out", "hear", start=start) > 2


@pytest.mark.parametrize(
    "pair", [*itertools.combinations(("save", "login", "rotate"), 2)], ids="-".join
)
def test_nor_do_two_that_have_read_the_session_before(pair: tuple[str, str]) -> None:
    schedules = explored(
        *pair, "everybody_out", "hear", start="signed in", preloaded=True
    )
    assert schedules > 6


def test_the_era_is_not_lost_by_writers_of_the_marker() -> None:
    requests = ("everybody_out", "note", "note", "hear")

    assert explored(*requests, start="signed in") > 6


@pytest.mark.parametrize("slow", [False, True], ids=["quick", "slow"])
def test_an_end_of_all_that_failed_is_done_or_not(slow: bool) -> None:
    schedules = explored(
        "everybody_out", start="signed in", faults=tuple(Fault), slow=slow
    )
    assert schedules >= len(Fault)
