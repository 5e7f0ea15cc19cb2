"""What many processes do at once breaks no promise, and the checker would see it.

``SRVSESSION_TEST_OPERATIONS=50000`` makes the run a long one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flask_srvsession.backends.base import Epoch, Head
from flask_srvsession.backends.cell_index import CellIndex
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.config import Settings
from flask_srvsession.draft import Changes
from flask_srvsession.errors import StaleLogin
from flask_srvsession.store import SessionStore
from flask_srvsession.store.records import Live
from flask_srvsession.store.regeneration import regenerate
from flask_srvsession.store.revocation import find, revoke_all
from flask_srvsession.testing import FakeClock
from tests.concurrency.history import Operation, Span, check
from tests.concurrency.interleave import Jobs, Scenario, SteppedBackend, interleave
from tests.concurrency.storages import SEVERAL
from tests.concurrency.tally import TRIED, completed
from tests.concurrency.world import (
    SECRET_KEYS,
    SERIALIZER,
    USER,
    Storage,
    World,
    assigned,
)
from tests.concurrency.world import settings as world_settings
from tests.servers import Server

ROOT = Path(__file__).parents[2]
OPERATIONS = int(os.environ.get("SRVSESSION_TEST_OPERATIONS", "16000"))
LONG = OPERATIONS > 16_000
SECONDS = 900 if LONG else 4
STORAGES = ("redis", "memcached", "sqlite", "postgres", "mariadb")
PROMISES = {
    "I1",
    "I2",
    "I3",
    "I3'",
    "I4b",
    "I4c",
    "I4f",
    "I5a",
    "I5b",
    "I5c",
    "I5d",
    "I6",
    "I8",
}


def stress(url: str, *options: str) -> dict[str, Any]:
    """Return the figures of a run, which has a process of its own to fork from."""
    command = [sys.executable, "-m", "tests.concurrency.stress", "--json"]
    command += ["--url", url, "--operations", str(OPERATIONS)]
    command += ["--seconds", str(SECONDS), *options]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if figures["violations"] else 0)
    return figures


@pytest.mark.parametrize("name", [*STORAGES, *(SEVERAL if LONG else ())])
def test_many_processes_at_once_break_no_promise(
    name: str, url_of: Callable[[str], str]
) -> None:
    figures = stress(url_of(name))

    TRIED[f"operations on {name}"] += figures["operations"]

    assert figures["violations"] == 0, "\n".join(figures["examples"])
    assert figures["operations"] > OPERATIONS / 40
    if figures["operations"] < OPERATIONS / 8:
        return  # a busy machine: the dice may have left out a kind
    kinds = {"create", "load", "save", "compute", "destroy", "regenerate", "find"}
    assert {*kinds, "renew", "revoke_all"} <= figures["kinds"].keys()
    assert {"ok", "gone", "moved", "crash"} <= figures["outcomes"].keys()


def test_a_store_that_writes_the_whole_blob_loses_updates_and_logouts(
    redis_server: Server,
) -> None:
    figures = stress(redis_server.url, "--store", "whole-blob")

    broken = figures["promises"]
    assert broken["I3 load"] > 0, "acknowledged updates are lost"
    assert broken["I3' load"] > 0, "increments are lost"
    assert broken["I1 load"] > 0, "a destroyed session is served"
    assert broken["I1 save"] > 0, "a destroyed session is saved"


# -- the checker ----------------------------------------------------------------


def op(kind: str, start: float, end: float, **more: Any) -> Operation:
    """Return an operation on session "a", which reads nothing in particular."""
    if kind in ("load", "save", "compute", "renew", "regenerate"):
        more = {"generation": 1, "verdict": "current", **more}
        if more.get("outcome", "ok") == "ok":
            more = {"seen": {}, **more}
    session = "" if kind in ("find", "revoke_all") else "a"
    known = {"session": session, "opened": start, "used": start}
    return Operation(kind, start, end, **{**known, **more})


IDLE, LIFETIME = Span(39, 41), Span(99, 101)
CREATED = op("create", 0, 1)
CREATED_FOR_1 = op("create", 0, 1, user="1", epoch="e0")
SAVED = op("save", 1, 2, key="w1", value=3, seen={"w1": 3})
COUNTED = op("compute", 1, 2, seen={"count": 1})
MOVED = op("regenerate", 2.5, 3, successor="b")
REVOKED = op("revoke_all", 2, 3, user="1", epoch="e1")
RENEWED = op("renew", 10, 11, generation=2, reached=2, opened=11)
PRESENTED = op("load", 9, 10, generation=2, verdict="successor")

BROKEN: dict[str, list[Operation]] = {
    "I1 load": [CREATED, op("destroy", 2, 3), op("load", 4, 5)],
    "I1 save": [CREATED, op("destroy", 2, 3), op("save", 4, 5, key="w1", value=1)],
    "I1 renew": [CREATED_FOR_1, REVOKED, op("renew", 4, 5)],
    "I1 compute": [CREATED, MOVED, op("compute", 4, 5)],
    "I1 regenerate": [
        CREATED,
        MOVED,
        op("destroy", 4, 5),
        op("regenerate", 6, 7, session="b", successor="c"),
    ],
    "I2 load": [
        CREATED,
        op("destroy", 1, 5, outcome="error"),
        op("save", 2, 3, outcome="gone"),
        op("load", 4, 5),
    ],
    "I3 load": [CREATED, SAVED, op("load", 3, 4, seen={"w1": 2})],
    "I3 regenerate": [CREATED, SAVED, MOVED],
    "I3 renew": [
        CREATED,
        op("renew", 1, 2, seen={"w1": 1}),
        op("save", 3, 4, key="w1", value=1, seen={"w1": 1}),
    ],
    "I3' load": [CREATED, COUNTED, op("load", 3, 4, seen={"count": 2})],
    "I3' renew": [CREATED, COUNTED, op("renew", 3, 4)],
    "I4b load": [CREATED_FOR_1, REVOKED, op("load", 4, 5, epoch="e0")],
    "I4c create": [
        CREATED,
        REVOKED,
        op("create", 4, 5, session="b", user="1", expected=(0, 1)),
    ],
    "I4c regenerate": [
        CREATED,
        REVOKED,
        op("regenerate", 4, 5, user="1", successor="b", expected=(0, 1)),
    ],
    "I4f find": [CREATED_FOR_1, op("find", 2, 3, user="1")],
    "I5a load": [CREATED, PRESENTED, RENEWED, op("load", 12, 13)],
    "I5b load": [
        CREATED,
        op("renew", 2, 3, handed_out=(2, "one")),
        op("renew", 2, 3, handed_out=(2, "other")),
        PRESENTED,
    ],
    "I5c load": [
        CREATED,
        PRESENTED,
        RENEWED,
        op("load", 20, 21, verdict="grace"),
    ],
    "I5d load": [CREATED, op("load", 2, 3, outcome="replayed")],
    "I6 load": [CREATED, op("load", 50, 51)],
    "I8 load": [CREATED, op("load", 2, 3, outcome="gone")],
    "I8 save": [CREATED, op("save", 2, 3, outcome="moved")],
    "I8 renew": [
        CREATED,
        op("renew", 20, 21),
        op("renew", 45, 46, outcome="gone"),
    ],
}

KEPT: dict[str, list[Operation]] = {
    "read before it ended": [CREATED, op("destroy", 2, 4), op("load", 3, 5)],
    "not surely ended": [
        CREATED,
        op("destroy", 2, 3, outcome="crash"),
        op("load", 4, 5),
    ],
    "gone, perhaps by a crash": [
        CREATED,
        op("destroy", 2, 3, outcome="crash"),
        op("load", 4, 5, outcome="gone"),
    ],
    "revoked before the login": [
        op("revoke_all", 0, 1, user="1", epoch="e0"),
        op("create", 2, 3, user="1", epoch="e0"),
        op("load", 4, 5, epoch="e0"),
        op("find", 4, 5, user="1", found=frozenset("a")),
    ],
    "kept": [
        CREATED_FOR_1,
        op("revoke_all", 2, 3, user="1", epoch="e1", successor="a"),
        op("load", 4, 5, epoch="e1"),
    ],
    "carried over": [
        CREATED,
        SAVED,
        op("regenerate", 2, 3, successor="b", seen=SAVED.seen),
    ],
    "perhaps saved": [
        CREATED,
        op("save", 1, 2, key="w1", value=1, outcome="error"),
        op("load", 3, 4),
        op("load", 5, 6, seen={"w1": 1}),
    ],
    "perhaps counted": [
        CREATED,
        op("compute", 1, 2, outcome="crash"),
        op("load", 3, 4, seen={"count": 1}),
    ],
    "in its grace": [
        CREATED,
        PRESENTED,
        RENEWED,
        op("load", 11.5, 12, verdict="grace"),
    ],
    "gone after it was idle": [CREATED, op("load", 50, 51, outcome="gone")],
    "idle for one, renewed by another": [
        CREATED,
        op("renew", 38, 50),
        op("save", 41, 45, outcome="gone"),
        op("load", 51, 52),
    ],
    "perhaps used by who was not told": [
        CREATED,
        op("renew", 30, 31, outcome="error"),
        op("load", 60, 61),
    ],
    "a new lifetime": [
        CREATED,
        *(op("renew", start, start + 1) for start in range(20, 90, 20)),
        op("regenerate", 90, 91, successor="b", login=True),
        op("load", 120, 121, session="b"),
    ],
    "after its grace": [
        CREATED,
        PRESENTED,
        RENEWED,
        op("load", 20, 21, outcome="replayed"),
    ],
}


@pytest.mark.parametrize("promise", BROKEN)
def test_the_checker_sees(promise: str) -> None:
    findings = check(BROKEN[promise], grace=1, idle=IDLE, lifetime=LIFETIME)

    assert promise in {f"{f.promise} {f.operation.kind}" for f in findings}


def test_the_checker_sees_a_lifetime_that_is_over() -> None:
    renewals = [op("renew", start, start + 1) for start in range(20, 110, 20)]

    findings = check(
        [CREATED, *renewals, op("load", 110, 111)],
        grace=1,
        idle=IDLE,
        lifetime=LIFETIME,
    )

    assert [finding.promise for finding in findings] == ["I6"]


@pytest.mark.parametrize("case", KEPT)
def test_the_checker_accepts_what_is(case: str) -> None:
    assert check(KEPT[case], grace=1, idle=IDLE, lifetime=LIFETIME) == []


def test_each_promise_has_a_history_that_breaks_it() -> None:
    assert {promise.partition(" ")[0] for promise in BROKEN} == PROMISES


# -- what it has found ----------------------------------------------------------


class Watched(MemoryBackend):
    """A backend that calls `fenced` between a fence and whatever comes next."""

    def __init__(self) -> None:
        super().__init__()
        self.index: CellIndex = WatchedIndex(self)
        self.fenced: Callable[[], None] = lambda: None


class WatchedIndex(CellIndex):
    def __init__(self, backend: Watched) -> None:
        super().__init__(backend)
        self._backend = backend

    def fence(self, name: str, keep: Collection[str] = ()) -> tuple[Epoch, Head | None]:
        result = super().fence(name, keep)
        self._backend.fenced()
        return result


class Device:
    """A client of user 1 whose session has moved since one of its requests began."""

    def __init__(self, *, fenced_load: bool) -> None:
        self.backend = Watched()
        settings = Settings(key_prefix="t:", fenced_load=fenced_load)
        self.store = SessionStore(
            self.backend,
            SECRET_KEYS,
            SERIALIZER,
            settings.resolved(timedelta(days=31)),
        )
        self.before = self.store.create(assigned(user_id="1"))
        moved = regenerate(self.store, self.before, Changes(), login=False)
        assert isinstance(moved, Live)
        assert moved.credential is not None
        self.id, self.cookie = moved.id, moved.credential

    def load(self) -> Live | None:
        found = self.store.load(self.cookie, opened=self.store.clock())
        return found if isinstance(found, Live) else None


def store_with_another_clock(clock: FakeClock) -> SessionStore:
    """Return a store whose sessions end when its storage still has them."""
    settings = Settings(key_prefix="t:", idle_timeout=60).resolved(timedelta(days=31))
    return SessionStore(MemoryBackend(), SECRET_KEYS, SERIALIZER, settings, clock=clock)


def test_what_is_over_is_not_saved_even_if_the_storage_still_has_it() -> None:
    clock = FakeClock()
    store = store_with_another_clock(clock)
    live = store.create(assigned(note="early"))
    clock.advance(60)

    assert store.save(live, assigned(note="late")) is None
    assert store.peek(live.id) is None


def test_what_others_have_used_meanwhile_is_saved_by_who_did_not_know() -> None:
    clock = FakeClock()
    store = store_with_another_clock(clock)
    live = store.create(assigned(note="early"))
    clock.advance(59)
    store.save(live, assigned(other="in time"))
    clock.advance(1)

    saved = store.save(live, assigned(note="late"))

    assert isinstance(saved, Live)
    assert saved.record.values.keys() == {"note", "other"}


@pytest.mark.parametrize("fenced_load", [False, True])
@pytest.mark.parametrize("used", [False, True])
def test_a_session_that_has_just_moved_is_kept_under_its_new_id(
    used: bool, fenced_load: bool
) -> None:
    device = Device(fenced_load=fenced_load)
    if used:
        live = device.load()
        assert live is not None
        device.store.renew(live)

    revoke_all(device.store, USER, keep=device.before)

    assert device.load() is not None
    assert [live.id for live in find(device.store, USER)] == [device.id]


@pytest.mark.parametrize("fenced_load", [False])
def test_a_kept_session_that_has_just_moved_is_served_all_the_time(
    fenced_load: bool,
) -> None:
    device = Device(fenced_load=fenced_load)
    served: list[bool] = []
    device.backend.fenced = lambda: served.append(device.load() is not None)

    revoke_all(device.store, USER, keep=device.before)

    assert served
    assert all(served), "a parallel request of the same browser was logged out"


@pytest.mark.usefixtures("stepwise")
@pytest.mark.parametrize(
    ("times", "fenced_load"), [(1, False), (1, True), *([(2, True)] if LONG else [])]
)
def test_a_kept_session_is_alive_whoever_uses_it_while_it_moves(
    times: int, fenced_load: bool
) -> None:
    def make(backend: SteppedBackend) -> Scenario:
        world = World(backend, preloaded=True, chosen=chosen)

        def rotate_and_use() -> None:
            moved = world.rotate()
            if times == 2 and isinstance(moved, Live):
                moved = world.rotate_again(moved)
            if isinstance(moved, Live):
                world.store.save(moved._replace(new=False), assigned(note="used"))

        def at_end(jobs: Jobs) -> None:
            live = [i for i, _ in world.live() if world.descends(i, world.first)]
            found = {each.id for each in find(world.store, USER)}
            assert live, "the session that was to be kept is ended"
            assert found == set(live)

        jobs = {"rotate": rotate_and_use, "revoke": world.revoke_others}
        return Scenario(jobs, at_end=at_end, expected=(StaleLogin,))

    chosen = world_settings(fenced_load=fenced_load)

    assert completed(interleave(Storage, make))


@pytest.mark.parametrize("fenced_load", [False, True])
def test_a_session_that_has_moved_twice_is_kept(fenced_load: bool) -> None:
    device = Device(fenced_load=fenced_load)
    live = device.load()
    assert live is not None
    moved = regenerate(device.store, live, Changes(), login=False)
    assert isinstance(moved, Live)

    revoke_all(device.store, USER, keep=device.before)

    assert [live.id for live in find(device.store, USER)] == [moved.id]


@pytest.mark.usefixtures("stepwise")
def test_a_session_that_keeps_itself_twice_at_once_lives() -> None:
    def make(backend: SteppedBackend) -> Scenario:
        world = World(backend, preloaded=True, chosen=world_settings())

        def at_end(jobs: Jobs) -> None:
            assert [i for i, _ in world.live() if i == world.first], "it is ended"

        jobs = {"one": world.revoke_others, "other": world.revoke_others}
        return Scenario(jobs, at_end=at_end)

    assert completed(interleave(Storage, make))


def test_a_session_is_kept_though_another_end_of_all_begins_while_it_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = Device(fenced_load=True)
    live, store = device.load(), device.store
    assert live is not None
    save, fence, fences = store.save, store.lists.fence, list[object]()

    def moved_meanwhile(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(store, "save", save)
        assert isinstance(regenerate(store, live, Changes(), login=False), Live)
        return save(*args, **options)

    def another_fence_first(*args: Any) -> Any:
        fences.append(args)
        if len(fences) == 2:
            assert fence(USER, live)[1], "the other end keeps it, too"
        return fence(*args)

    monkeypatch.setattr(store, "save", moved_meanwhile)
    monkeypatch.setattr(store.lists, "fence", another_fence_first)
    revoke_all(store, USER, keep=live)

    assert len(fences) == 2
    assert len(find(store, USER)) == 1


def test_nobody_is_named_as_kept_who_was_to_end_before() -> None:
    """Not for a moment: a process may crash before it looks at the answer."""
    device = Device(fenced_load=True)
    live, lists = device.load(), device.store.lists
    assert live is not None
    [name] = live.record.places
    lists.fence(USER)

    _, belongs = lists.fence(USER, live)

    head = lists.head(name)
    assert not belongs
    assert head is not None
    assert head.kept == ()
