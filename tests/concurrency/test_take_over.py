"""Take-overs under every order of their calls, with a fault at every point.

The protocol itself is checked in ``models/take_over.pml``; this is the code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flask_srvsession.errors import BackendError
from flask_srvsession.store import SessionStore, regeneration, revocation
from flask_srvsession.store.record import Record
from flask_srvsession.store.records import Live
from flask_srvsession.store.rotation import ADMITTED
from flask_srvsession.take_over.claim import Claims
from flask_srvsession.take_over.source import Former, Presented, Source
from tests.concurrency.interleave import (
    Fault,
    Jobs,
    Scenario,
    SteppedBackend,
    interleave,
)
from tests.concurrency.tally import completed
from tests.concurrency.world import (
    CODEC,
    DEFAULTS,
    DICE,
    SECRET_KEYS,
    SERIALIZER,
    USER,
    Storage,
    assigned,
    settings,
)

pytestmark = pytest.mark.usefixtures("stepwise")

OLD, RECORD = "the old credential", "former:record"
LIMIT = 60_000


class CellSource(Source):
    """A record of another extension, as a cell of the storage; or a signed cookie,
    which nobody can delete."""

    name = "former"

    def __init__(self, backend: SteppedBackend, *, deletable: bool) -> None:
        super().__init__()
        self._backend, self._deletable = backend, deletable
        backend.backend.add(RECORD, b"", 10**6)

    def recognize(self, cookie: str, secret_keys: object) -> Presented | None:
        raise NotImplementedError

    def read(self, session_id: str) -> Former | None:
        there = self._backend.get(RECORD) if self._deletable else True
        return Former({"user_id": 1, "cart": "full"}) if there else None

    def delete(self, session_id: str) -> None:
        if self._deletable:
            self._backend.delete(RECORD)


class World:
    """One old credential, and what is done with it."""

    def __init__(self, backend: SteppedBackend, deletable: bool, chosen: Any) -> None:
        DICE.begin_anew()
        assert isinstance(backend.backend, Storage)
        self.storage = backend.backend
        self.store = SessionStore(
            backend, SECRET_KEYS, SERIALIZER, chosen, clock=self.storage.clock
        )
        self.source = CellSource(backend, deletable=deletable)
        self.claims = Claims(self.store, [*SECRET_KEYS])
        self.of_keys = {
            "next known": Claims(self.store, ["next", *SECRET_KEYS]),
            "next used": Claims(self.store, [*SECRET_KEYS, "next"]),
        }
        self.deletable = deletable
        self.last = self.claims
        self.served: set[str] = set()
        self.ended: set[str] = set()
        self.ending = self.unserved = 0
        self.fenced: list[Any] = []
        other = self.store.create(assigned(user_id=1))
        assert isinstance(self.store.renew(other._replace(new=False)), Live)
        self.other = other.id

    # -- requests ---------------------------------------------------------------------

    def next_known(self) -> Live | None:
        """A request to a process that knows the next secret key."""
        return self.take(self.of_keys["next known"])

    def next_used(self) -> Live | None:
        """One to a process that uses it, and knows the present one."""
        return self.take(self.of_keys["next used"])

    def take(self, claims: Claims | None = None) -> Live | None:
        """A request with the old cookie."""
        claims = claims or self.claims
        credential, _ = claims.take_over(self.source, OLD, 10**6)
        found = credential and self.store.load(credential, opened=self.storage.clock())
        if isinstance(found, Live) and found.verdict in ADMITTED:
            self.served.add(found.id)
            return found
        self.unserved += 1
        return None

    def change(self) -> None:
        """One that writes."""
        if live := self.take():
            self.store.save(live, assigned(key="value"))

    def logout(self) -> None:
        self.ending += 1
        if live := self.take():
            self.store.destroy(live.id, live)
            self.ended.add(live.id)

    def login(self) -> None:
        """As somebody else, with the old cookie."""
        self.ending += 1
        if live := self.take():
            changes = assigned(user_id=2)
            regeneration.regenerate(self.store, live, changes, login=True)

    def revoke_all(self) -> None:
        self.ending += 1
        served = {*self.served}
        revocation.revoke_all(self.store, USER)
        self.ended |= served

    # -- promises ---------------------------------------------------------------------

    def check(self) -> None:
        assert len(self.served) <= 1, "one credential, two sessions"
        for session_id in self.ended:
            assert self._stored(session_id) is None, "what was ended is there"
        if not self.ending:
            assert not self.unserved, "a request has lost its login"
            assert self._stored(self.other), "another session of the user was ended"
            lives = self._is_in_source() or self._claimed()
            assert lives, "neither the old record leads to a session nor the claim"
        for session_id in self.served:
            record = self._stored(session_id)
            if isinstance(record, Record):
                self._is_listed(session_id, record)

    def check_end(self) -> None:
        """Whoever comes afterwards with the old cookie."""
        before = {*self.served}
        live = self.take(self.last)
        if not self.ending:
            assert live is not None, "the user is logged out"
            assert live.record.values["cart"] == SERIALIZER.dumps("full")
            found = {each.id for each in revocation.find(self.store, USER)}
            assert found == {live.id, self.other}, "not one listed session each"
            assert not self.deletable or not self._is_in_source()
        elif before & self.ended:
            assert live is None, "an old credential works after its session's end"
        self.check()
        if live and not self.ending:
            self.store.destroy(live.id)
            assert self.take(self.last) is None

    def _stored(self, session_id: str) -> Any:
        cell = self.storage.get(f"t:{session_id}")
        return CODEC.open(f"t:{session_id}", cell.data) if cell else None

    def _is_in_source(self) -> bool:
        return not self.deletable or self.storage.get(RECORD) is not None

    def _claimed(self) -> bool:
        key = self.claims._key(self.source, OLD)
        for name in [each for each in self.storage.keys("t:") if ":claim:" in each]:
            if cell := self.storage.get(name):
                for claims in (self.claims, *self.of_keys.values()):
                    credential = claims._credential(key, cell.data, OLD)
                    if credential and self._stored(credential.id):
                        return True
        return False

    def _is_listed(self, session_id: str, record: Record) -> None:
        listed = {e.session_id for e in self.store.lists.oldest(USER, 100)[0]}
        assert record.places, "it is served, but bound to nobody"
        if not self.ending:
            assert session_id in listed, "it is served, but not listed"


def explore(
    *requests: str,
    deletable: bool = True,
    faults: tuple[Fault, ...] = (),
    chosen: Any = DEFAULTS,
) -> None:
    def make(backend: SteppedBackend) -> Scenario:
        world = World(backend, deletable, chosen)
        if "next_used" in requests:
            world.last = world.of_keys["next used"]

        def each_step(jobs: Jobs) -> None:
            world.check()

        def at_end(jobs: Jobs) -> None:
            world.check_end()

        jobs: dict[str, Callable[[], Any]] = {
            f"{name} {number}": getattr(world, name)
            for number, name in enumerate(requests)
        }
        return Scenario(jobs, each_step, at_end, expected=(BackendError,))

    completed(interleave(Storage, make, faults=faults, limit=LIMIT))


DELETABLE = pytest.mark.parametrize("deletable", [True, False])


@DELETABLE
@pytest.mark.parametrize("other", ["take", "change", "logout", "login", "revoke_all"])
def test_a_take_over_beside_another_request(other: str, deletable: bool) -> None:
    explore("take", other, deletable=deletable)


@DELETABLE
@pytest.mark.parametrize("fault", Fault)
def test_a_fault_anywhere_leaves_the_user_logged_in(
    fault: Fault, deletable: bool
) -> None:
    """Under the old cookie or the new one: a crash, a lost reply, a refusal, a call
    that takes effect later on."""
    explore("take", deletable=deletable, faults=(fault,))


@DELETABLE
def test_a_crash_beside_another_request(deletable: bool) -> None:
    explore("take", "take", deletable=deletable, faults=(Fault.CRASH,))


@DELETABLE
@pytest.mark.parametrize("one", ["take", "next_used"])
def test_processes_with_another_choice_of_keys_find_one_session(
    one: str, deletable: bool
) -> None:
    """While a secret key is exchanged: known to all, before it is used."""
    explore(one, "next_known", deletable=deletable)


def test_no_other_session_makes_room_for_a_request_that_loses() -> None:
    explore("take", "take", chosen=settings(max_per_key={"user_id": 2}))
