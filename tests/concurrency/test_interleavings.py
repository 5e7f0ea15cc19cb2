"""The promises of the store under every order of the backend calls of its requests.

``SRVSESSION_TEST_LONG=1`` tries all pairs with faults, and more triples.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from flask_srvsession import ids
from flask_srvsession.backends.base import Cell, Token
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.cells import Found, Held, Superseded
from flask_srvsession.changes import Changes
from flask_srvsession.errors import BackendError
from flask_srvsession.listing import Bindings, Watch
from flask_srvsession.record import Binding, Record
from flask_srvsession.store import Revocation, SessionStore
from flask_srvsession.testing import (
    Exploration,
    Fault,
    Scenario,
    SteppedBackend,
    Violation,
    interleave,
)
from tests.concurrency.tally import completed
from tests.concurrency.world import (
    DICE,
    FAULTS,
    USER,
    Storage,
    World,
    scenario,
    settings,
)

LONG = os.environ.get("SRVSESSION_TEST_LONG") == "1"
LIMIT = 1_000_000 if LONG else 20_000

OF_THE_SESSION = (
    "save",
    "increment",
    "bind",
    "unbind",
    "renew",
    "login",
    "checked_login",
    "rotate",
    "destroy",
    "empty",
    "revoke_others",
)
OF_OTHERS = ("fresh_login", "revoke", "revoke_all", "revoke_team", "find")
REQUESTS = (*OF_THE_SESSION, *OF_OTHERS)
LONG_PAIRS = [("revoke_others", "revoke_others")]
PAIRS = [
    pair
    for pair in itertools.combinations_with_replacement(REQUESTS, 2)
    if LONG or pair not in LONG_PAIRS
]

TRIPLES = [
    ("save", "increment", "login"),
    ("save", "save", "rotate"),
    ("save", "rotate", "destroy"),
    ("login", "destroy", "save"),
    ("rotate", "rotate", "destroy"),
    ("renew", "renew", "renew"),
    ("bind", "unbind", "bind"),
    ("bind", "unbind", "revoke_team"),
    ("checked_login", "revoke_all", "save"),
    ("empty", "save", "renew"),
    ("rotate", "revoke_others", "save"),
]
LONG_TRIPLES = [
    ("login", "rotate", "revoke_all"),
    ("login", "login", "destroy"),
    ("rotate", "bind", "revoke_team"),
    ("rotate", "revoke_others", "destroy"),
    ("fresh_login", "revoke_all", "find"),
    ("increment", "increment", "rotate"),
]
FENCED = settings(fenced_load=True)
PAIRS_WITH_FAULTS = [
    ("save", "increment"),
    ("increment", "increment"),
    ("increment", "rotate"),
    ("save", "destroy"),
    ("increment", "renew"),
    ("renew", "renew"),
    ("bind", "revoke_team"),
    ("unbind", "bind"),
    ("rotate", "save"),
    ("empty", "save"),
]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Do without the log: most of what is tried is worth a warning. And without
    chance: the order of sets of ids is to be the same each time."""
    monkeypatch.setattr("secrets.token_bytes", DICE.token_bytes)
    monkeypatch.setattr("secrets.token_hex", DICE.token_hex)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


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


def starts_of(*requests: str) -> list[str]:
    """Return the sessions with which these requests do something of interest."""
    starts = ["signed in"]
    if {"login", "checked_login"} & set(requests):
        starts.append("anonymous")
    if {"bind", "unbind", "revoke_team"} & set(requests):
        starts.append("in team")
    if {"renew", "save", "rotate"} & set(requests):
        starts += ["due", "handed over"]
    return starts


# -- two and three requests ----------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_two_requests_keep_the_promises(pair: tuple[str, str]) -> None:
    for start in starts_of(*pair):
        assert explore(*pair, start=start).schedules >= 1


@pytest.mark.parametrize(
    "triple", TRIPLES + (LONG_TRIPLES if LONG else []), ids="-".join
)
def test_three_requests_keep_the_promises(triple: tuple[str, str, str]) -> None:
    """They have all read the session before one of them goes on."""
    start = "due" if "renew" in triple else "signed in"
    start = "in team" if "unbind" in triple else start

    explored = explore(*triple, start=start, preloaded=True)

    assert explored.schedules >= 6


FENCED_PAIRS = [
    (request_name, ender)
    for request_name in ("save", "bind", "login", "rotate", "renew", "fresh_login")
    for ender in ("revoke_all", "revoke_others", "destroy")
]


@pytest.mark.parametrize("pair", FENCED_PAIRS, ids="-".join)
def test_two_requests_keep_the_promises_where_each_load_asks_the_index(
    pair: tuple[str, str],
) -> None:
    for start in starts_of(*pair):
        assert explore(*pair, start=start, chosen=FENCED).schedules >= 1


# -- faults --------------------------------------------------------------------------


@pytest.mark.parametrize("slow", [False, True], ids=["quick", "slow"])
@pytest.mark.parametrize("request_name", [*REQUESTS, "create_and_destroy"])
def test_a_request_keeps_the_promises_with_a_fault(
    request_name: str, slow: bool
) -> None:
    """At each of its calls it crashes, or is told that the call has failed."""
    for start in starts_of(request_name):
        explored = explore(request_name, start=start, faults=FAULTS, slow=slow)
        assert explored.schedules >= 1 + len(FAULTS) - 1


@pytest.mark.parametrize("pair", PAIRS if LONG else PAIRS_WITH_FAULTS, ids="-".join)
def test_two_requests_keep_the_promises_with_a_fault(pair: tuple[str, str]) -> None:
    start = "in team" if {"bind", "unbind"} & set(pair) else "due"

    explored = explore(*pair, start=start, faults=FAULTS, preloaded=not LONG)

    assert explored.schedules >= 1 + len(FAULTS) - 1


# -- the limit per user --------------------------------------------------------------


def at_most(limit: int) -> Callable[[World], None]:
    def check(world: World) -> None:
        live = [session_id for session_id, r in world.live() if USER in r.bindings]
        assert len(live) <= limit, f"{len(live)} sessions live at a limit of {limit}"

    return check


def at_the_limit(
    *requests: str, policy: str, start: str, slow: bool = False
) -> Callable[[SteppedBackend], Scenario]:
    """Return what makes a scenario where a user has at most two sessions."""
    chosen = settings(max_per_key=2, max_per_key_policy=policy)

    def make(backend: SteppedBackend) -> Scenario:
        world = World(backend, start, chosen=chosen, slow=slow)
        world.destroyers += policy == "evict-oldest"
        return scenario(world, *requests, checks=(at_most(2),))

    return make


policies = pytest.mark.parametrize("policy", ["evict-oldest", "reject"])


@policies
@pytest.mark.parametrize(
    ("start", "requests"),
    [
        ("anonymous", ("fresh_login", "fresh_login")),
        ("anonymous", ("fresh_login", "login")),
        ("signed in", ("fresh_login", "rotate")),
        ("signed in", ("fresh_login", "sign_out")),
        ("signed in", ("fresh_login", "destroy")),
        ("signed in", ("fresh_login", "revoke_all")),
        ("signed in", ("fresh_login", "revoke_others")),
        ("signed in", ("rotate", "rotate")),
        ("signed in", ("rotate", "login")),
    ],
    ids=lambda given: given if isinstance(given, str) else "-".join(given),
)
def test_requests_side_by_side_keep_the_limit(
    start: str, requests: tuple[str, str], policy: str
) -> None:
    make = at_the_limit(*requests, policy=policy, start=start)

    assert completed(interleave(Storage, make, limit=LIMIT)).schedules > 1


@policies
@pytest.mark.parametrize("slow", [False, True], ids=["quick", "slow"])
@pytest.mark.parametrize(
    ("start", "request_name"),
    [
        ("anonymous", "login"),
        ("anonymous", "fresh_login"),
        ("signed in", "fresh_login"),
        ("signed in", "login"),
        ("signed in", "rotate"),
        ("signed in", "sign_out"),
    ],
)
def test_a_request_keeps_the_limit_with_a_fault(
    start: str, request_name: str, policy: str, slow: bool
) -> None:
    make = at_the_limit(request_name, policy=policy, start=start, slow=slow)

    explored = completed(interleave(Storage, make, faults=FAULTS, limit=LIMIT))

    assert explored.schedules > len(FAULTS)


def test_who_is_listed_but_not_yet_saved_is_not_taken_for_dead() -> None:
    chosen = settings(max_per_key=2, max_per_key_policy="reject")

    def make(backend: SteppedBackend) -> Scenario:
        world = World(backend, chosen=chosen)
        world.fresh_member()
        return scenario(world, "bind", "fresh_member")

    assert completed(interleave(Storage, make, limit=LIMIT)).schedules > 1


# -- mutants: what the explorer must see ---------------------------------------------


class SaveThatCreates(SessionStore):
    def save(
        self,
        held: Held,
        changes: Changes,
        *,
        epochs: Mapping[Binding, str] | None = None,
    ) -> Found:
        found = super().save(held, changes, epochs=epochs)
        if found is None:
            self._cells.add(held.id, held.record)
            return held
        return found


class ListedAfterwards(SessionStore):
    """A save lists what it binds only once the record says so."""

    _saving = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._take = self._places.take
        self._places.take = self._take_unless_saving  # type: ignore[method-assign]

    def save(
        self,
        held: Held,
        changes: Changes,
        *,
        epochs: Mapping[Binding, str] | None = None,
    ) -> Found:
        self._saving = True
        found = super().save(held, changes, epochs=epochs)
        self._saving = False
        if isinstance(found, Held):
            self._take(held.id, found.record.bindings)
        return found

    def _take_unless_saving(
        self, session_id: str, bindings: Bindings, replaced: Held | None = None
    ) -> None:
        if not self._saving:
            self._take(session_id, bindings, replaced)


class EpochIgnored(SessionStore):
    """A login is listed under whatever epoch there is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        take = self._places.take

        def take_now(
            session_id: str, bindings: Bindings, replaced: Held | None = None
        ) -> None:
            marks = {b: stamp.partition(".")[2] for b, stamp in bindings.items()}
            now = {b: f"{self.epoch(b)}.{mark}" for b, mark in marks.items()}
            take(session_id, now, replaced)

        self._places.take = take_now  # type: ignore[method-assign]


class DeleteIgnoringTheVersion(SessionStore):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        delete = self._cells.delete

        def delete_whatever(session_id: str, version: Token | None = None) -> bool:
            return delete(session_id)

        self._cells.delete = delete_whatever  # type: ignore[method-assign]


class TombstoneFirst(SessionStore):
    """The old session is retired before the new one is there."""

    def regenerate(
        self,
        held: Held,
        changes: Changes,
        *,
        login: bool,
        epochs: Mapping[Binding, str] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Found:
        chosen = ids.new_id(self.clock())
        found = self._regeneration._retire(held, chosen)
        if not isinstance(found, Superseded):
            return found

        def add(record: Record, born: int) -> tuple[str, Token]:
            return chosen, self._cells.add(chosen, record)

        self._creation._add = add  # type: ignore[method-assign]
        return self._creation.establish(
            changes.apply(held.record.values),
            permanent=False,
            meta=None,
            epochs=epochs or {},
            replaced=held,
        )


class SameIdAgain(SessionStore):
    """A create whose answer was lost is repeated with the same id."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

        def add_twice(record: Record, born: int) -> tuple[str, Token]:
            session_id = ids.new_id(born)
            try:
                version = self._cells.add(session_id, record)
            except BackendError:
                version = self._cells.add(session_id, record)
            return session_id, version or self._cells.read(session_id)[1]

        self._creation._add = add_twice  # type: ignore[method-assign]


class SavedAgainBlindly(SessionStore):
    """A save whose answer was lost is repeated, whether it took effect or not."""

    def save(
        self,
        held: Held,
        changes: Changes,
        *,
        epochs: Mapping[Binding, str] | None = None,
    ) -> Found:
        try:
            return super().save(held, changes, epochs=epochs)
        except BackendError:
            found = self._cells.reread(held)
            if not isinstance(found, Held):
                return found
            return super().save(found, changes, epochs=epochs)


class UnlistedFirst(SessionStore):
    def destroy(self, session_id: str, held: Held | None = None) -> Held | None:
        if held:
            self._listing.forget({session_id: held.record.bindings})
        return super().destroy(session_id, held)


class RevokedUnlistedFirst(SessionStore):
    """Who is to be revoked is taken off the list, then ended."""

    def revoke_all(
        self, binding: Binding, *, spare: Held | None = None, watch: Watch = iter
    ) -> Revocation:
        self._listing.remove(binding, self._listing.entries(binding))
        return super().revoke_all(binding, spare=spare, watch=watch)


class TombstoneNotFollowed(SessionStore):
    def destroy(
        self,
        session_id: str,
        held: Held | None = None,
        *,
        still_listed: Binding | None = None,
    ) -> Held | None:
        self._cells.delete(session_id)
        return held


class OutageIsNotFound(SessionStore):
    """What cannot be saved is said to be gone."""

    def save(
        self,
        held: Held,
        changes: Changes,
        *,
        epochs: Mapping[Binding, str] | None = None,
    ) -> Found:
        try:
            return super().save(held, changes, epochs=epochs)
        except BackendError:
            return None


class LogoutTakenForGranted(SessionStore):
    def destroy(self, session_id: str, held: Held | None = None) -> Held | None:
        try:
            return super().destroy(session_id, held)
        except BackendError:
            return None


class RotationWithoutMerge(SessionStore):
    """A regenerated session keeps what was read, not what was saved meanwhile."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        retire = self._regeneration._retire

        def retire_twice(held: Held, successor: str) -> Found:
            found = retire(held, successor)
            return retire(found, successor) if isinstance(found, Held) else found

        self._regeneration._retire = retire_twice  # type: ignore[method-assign]


MUTANTS: list[tuple[type[SessionStore], tuple[str, ...], dict[str, Any]]] = [
    (SaveThatCreates, ("save", "destroy"), {}),
    (ListedAfterwards, ("bind", "save"), {}),
    (EpochIgnored, ("checked_login", "revoke_all"), {"start": "anonymous"}),
    (DeleteIgnoringTheVersion, ("empty", "save"), {"preloaded": True}),
    (DeleteIgnoringTheVersion, ("destroy", "rotate"), {}),
    (TombstoneFirst, ("rotate",), {"faults": (Fault.CRASH,)}),
    (SameIdAgain, ("create_and_destroy",), {"faults": (Fault.DELAYED,)}),
    (SavedAgainBlindly, ("increment",), {"faults": (Fault.REPLY_LOST,), "slow": True}),
    (UnlistedFirst, ("destroy",), {}),
    (RevokedUnlistedFirst, ("revoke_all",), {"faults": (Fault.CRASH,)}),
    (TombstoneNotFollowed, ("rotate", "destroy"), {}),
    (TombstoneNotFollowed, ("rotate", "revoke"), {}),
    (OutageIsNotFound, ("save",), {"faults": (Fault.REFUSED,), "slow": True}),
    (LogoutTakenForGranted, ("destroy",), {"faults": (Fault.REFUSED,), "slow": True}),
    (RotationWithoutMerge, ("rotate", "save"), {}),
]


@pytest.mark.parametrize(
    ("mutant", "requests", "given"),
    MUTANTS,
    ids=[f"{mutant.__name__}-{'-'.join(requests)}" for mutant, requests, _ in MUTANTS],
)
def test_a_broken_store_is_found_out(
    mutant: type[SessionStore], requests: tuple[str, ...], given: dict[str, Any]
) -> None:
    with pytest.raises(Violation) as found:
        explore(*requests, store_class=mutant, **given)

    assert isinstance(found.value.__cause__, AssertionError)


# -- the explorer itself -------------------------------------------------------------


def counting(backend: SteppedBackend, *names: str, atomic: bool) -> Scenario:
    """Return jobs that add one to a number, with or without a check of the version."""
    backend.add("n", b"0", 60)

    def increment() -> None:
        while True:
            cell = backend.get("n")
            assert cell is not None
            data = b"%d" % (int(cell.data) + 1)
            reply = backend.swap("n", data, cell.token, 60)
            if isinstance(reply, Cell) and not atomic:
                reply = backend.swap("n", data, reply.token, 60)
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
        token = backend.add("n", b"0", 60)

        def job() -> None:
            backend.get("n")
            backend.swap("n", b"1", token, 60)

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
