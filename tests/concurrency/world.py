"""A session store whose requests leave notes, and the promises as checks of these.

A request notes what it was told only when it returns: which cookies left, which saves
were acknowledged, what was ended. The checks compare that with what is stored now.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from flask_srvsession import rotation
from flask_srvsession.backends.base import Epoch
from flask_srvsession.backends.index import CellIndex
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.cells import Found, Held
from flask_srvsession.changes import Changes
from flask_srvsession.config import Settings
from flask_srvsession.errors import BackendError, StaleLogin, TooManySessions
from flask_srvsession.ids import Credential
from flask_srvsession.listing import entry
from flask_srvsession.record import Binding, Record, RecordCodec, Tombstone
from flask_srvsession.serializers import MsgpackSerializer
from flask_srvsession.store import SessionStore
from flask_srvsession.testing import (
    FakeClock,
    Fault,
    Jobs,
    Scenario,
    SteppedBackend,
)

USER = Binding("user_id", "1")
TEAM = Binding("team", "9")
INDEXES = {"user_id": ("user_id",), "team": ("team",)}
EVERY, GRACE = 900, 120
FAULTS = tuple(Fault)

SERIALIZER = MsgpackSerializer()
CODEC = RecordCodec(["a secret key of these tests"], "t:", "msgpack")


def settings(**given: Any) -> Settings:
    """Return settings with two indexes; `team` is fed by a key that is no login key."""
    chosen = {"key_prefix": "t:", "indexes": INDEXES, "rotate_every": EVERY, **given}
    return Settings(rotate_grace=GRACE, **chosen).resolved(timedelta(days=31))


DEFAULTS = settings()


def assigned(**values: Any) -> Changes:
    """Return the changes of a request that sets these keys."""
    return Changes(assigned={k: SERIALIZER.dumps(v) for k, v in values.items()})


def _one_more(stored: bytes | None) -> bytes:
    return SERIALIZER.dumps((SERIALIZER.loads(stored) if stored else 0) + 1)


ONE_MORE = Changes(computed={"count": _one_more})


@dataclass
class Notes:
    """What clients were told."""

    cookies: dict[str, dict[int, set[str]]] = field(default_factory=dict)
    """Session id -> generation -> tokens that were handed out for it."""
    parents: dict[str, str] = field(default_factory=dict)
    """Regenerated session -> the one it came from."""
    saved: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Session, key and value of each save that was acknowledged."""
    ended: set[str] = field(default_factory=set)
    """Sessions whose destroy returned."""
    gone: set[str] = field(default_factory=set)
    """Sessions of which a request was told that they live no more."""
    closed: list[tuple[Binding, str, str | None]] = field(default_factory=list)
    """Binding, epoch and spared session of each revoke_all that returned."""
    found: list[set[str]] = field(default_factory=list)
    """What each find returned."""
    counted: int = 0
    """Increments that were acknowledged."""
    uncounted: int = 0
    """Increments that were refused as too late, and surely did not happen."""


class World:
    """A browser's session `first` of user 1, another one, `other`, and what is done.

    `start` is one of "anonymous", "signed in", "in team" (signed in, and listed there),
    "due" (the cookie is old enough to get a successor) and "handed over" (it comes
    back with that for the first time).
    """

    def __init__(
        self,
        backend: SteppedBackend,
        start: str = "signed in",
        store_class: type[SessionStore] = SessionStore,
        *,
        slow: bool = False,
        preloaded: bool = False,
        chosen: Settings = DEFAULTS,
    ) -> None:
        assert isinstance(backend.backend, Storage)
        DICE.begin_anew()
        self.backend = backend
        self.storage = backend.backend
        self.clock = self.storage.clock
        self.notes = Notes()
        self.store = store_class(
            backend, CODEC, SERIALIZER, chosen, clock=self.storage.clock
        )
        guarded: Any = self.store._cells._backend
        guarded._timer = _Timer(1.0 if slow else 0.0)
        self.destroyers = self.emptiers = self.increments = 0
        content = assigned(cart="full", count=0)
        if start != "anonymous":
            content = assigned(user_id=1, cart="full", count=0)
        if start == "in team":
            content = assigned(user_id=1, team=9, cart="full", count=0)
        created = self.store.create(content)
        self._hand_out(created)
        self.other = self.store.create(assigned(user_id=1))
        self._hand_out(self.other)
        assert created.credential is not None
        self.first, self.cookie = created.id, created.credential
        if start in ("due", "handed over"):
            self.clock.advance(EVERY)
        if start == "handed over":
            held = self._load()
            assert held is not None
            renewed = self.store.renew(held)
            assert isinstance(renewed, Held)
            self._hand_out(renewed)
            self.cookie = rotation.successor(renewed.record, self.cookie)
        self.store.epoch(USER)
        self._preloaded = self._load() if preloaded else None

    # -- requests of the browser that has `first` -----------------------------

    def save(self, key: str) -> Found:
        return self._save(assigned(**{key: key}), key)

    def bind(self, key: str = "note") -> Found:
        """Join the team: an index key appears that is no login key."""
        return self._save(assigned(team=9, **{key: key}), key)

    def unbind(self) -> Found:
        """Leave the team."""
        held = self._request()
        return self._answer(
            held and self.store.save(held, Changes(removed={"team"})), held
        )

    def increment(self) -> Found:
        self.increments += 1
        held = self._request()
        found = self._answer(held and self.store.save(held, ONE_MORE), held)
        if isinstance(found, Held):
            self.notes.counted += 1
        else:
            self.notes.uncounted += 1
        return found

    def renew(self) -> Found:
        held = self._request()
        if held is None or not self.store.needs_renewal(held):
            return held
        return self._answer(self.store.renew(held), held)

    def login(self) -> Found:
        """Sign in: a login key appears, or says the same again."""
        held = self._request()
        return self._regenerate(held, assigned(user_id=1), login=True)

    def checked_login(self) -> Found:
        """Sign in with an epoch that was read before the password was checked."""
        held = self._request()
        epochs = {USER: self.store.epoch(USER)}
        return self._regenerate(held, assigned(user_id=1), login=True, epochs=epochs)

    def rotate(self) -> Found:
        held = self._request()
        return self._regenerate(held, Changes(), login=False)

    def sign_out(self) -> Found:
        """Sign out by removing the key: what else there is goes on under a new id."""
        held = self._request()
        return self._regenerate(held, Changes(removed={"user_id"}), login=False)

    def rotate_again(self, moved: Held) -> Found:
        return self._regenerate(moved, Changes(), login=False)

    def destroy(self) -> Held | None:
        self.destroyers += 1
        held = self._request()
        lived = self.store.destroy(self.first, held)
        self.notes.ended.add(self.first)
        return lived

    def empty(self) -> Found:
        """Remove the keys that were there at first, and so all if there are no more."""
        self.emptiers += 1
        held = self._request()
        if held is None or any(key.startswith("key") for key in held.record.values):
            return held
        deleted, found = self.store.discard(held)
        if deleted:
            self.notes.ended.add(held.id)
        return found

    # -- requests of others ---------------------------------------------------

    def fresh_login(self) -> Found:
        """Sign in with another browser."""
        created = self.store.create(assigned(user_id=1))
        self._hand_out(created)
        return created

    def fresh_member(self) -> Found:
        """Join the team with another browser, whoever that is."""
        created = self.store.create(assigned(team=9))
        self._hand_out(created)
        return created

    def create_and_destroy(self) -> None:
        created = self.store.create(assigned(user_id=1))
        self._hand_out(created)
        self.store.destroy(created.id, created)
        self.notes.ended.add(created.id)

    def revoke_all(self, binding: Binding = USER) -> None:
        self.destroyers += 1
        epoch = self.store.revoke_all(binding).epoch
        self.notes.closed.append((binding, epoch, None))

    def revoke(self) -> None:
        """End the session that had this id, in a list of devices."""
        self.destroyers += 1
        held = self.store.trace(self.first)
        if held and self.store.destroy(held.id, held):
            self.notes.ended.add(held.id)

    def revoke_team(self) -> None:
        self.revoke_all(TEAM)

    def revoke_others(self) -> Found:
        """End all sessions of the user but `first`, in a request of that."""
        held = self._request()
        if held is None or USER not in held.record.bindings:
            return held
        revocation = self.store.revoke_all(USER, spare=held)
        self.notes.closed.append((USER, revocation.epoch, self.first))
        return self._answer(revocation.spared, held)

    def find(self) -> None:
        self.notes.found.append({held.id for held in self.store.find(USER)})

    # -- pieces ---------------------------------------------------------------

    def _load(self) -> Held | None:
        found = self.store.load(self.cookie, opened=self.clock())
        is_live = isinstance(found, Held) and found.standing.admitted
        return found if isinstance(found, Held) and is_live else None

    def _request(self) -> Held | None:
        return self._preloaded or self._load()

    def _save(self, changes: Changes, key: str) -> Found:
        held = self._request()
        found = self._answer(held and self.store.save(held, changes), held)
        if isinstance(found, Held):
            self.notes.saved.append((found.id, key, changes.assigned[key]))
        return found

    def _regenerate(
        self,
        held: Held | None,
        changes: Changes,
        *,
        login: bool,
        epochs: Mapping[Binding, str] | None = None,
    ) -> Found:
        if held is None or held.standing is rotation.Standing.GRACE:
            return None
        found = self.store.regenerate(held, changes, login=login, epochs=epochs)
        if isinstance(found, Held):
            self.notes.parents[found.id] = held.id
        return self._answer(found, held)

    def _answer(self, found: Found, held: Held | None) -> Found:
        """Note what the response tells the client."""
        if isinstance(found, Held):
            self._hand_out(found)
        elif held is not None:
            self.notes.gone.add(held.id)
        return found

    def _hand_out(self, held: Held) -> None:
        credential = held.credential
        if credential is None:
            return
        if not held.created:
            if not rotation.has_successor(held.record, credential):
                return
            credential = rotation.successor(held.record, credential)
        generations = self.notes.cookies.setdefault(held.id, {})
        generations.setdefault(credential.generation, set()).add(credential.token)

    # -- what is so now -------------------------------------------------------

    def stored(self, session_id: str) -> Record | Tombstone | None:
        cell = self.storage.get(f"t:{session_id}")
        return CODEC.open(f"t:{session_id}", cell.data) if cell else None

    def present(self, session_id: str) -> Record | None:
        """Return the record of a session, wherever it was regenerated to."""
        content = self.stored(session_id)
        while isinstance(content, Tombstone):
            content = self.stored(content.successor)
        return content

    def admitted(self, session_id: str) -> list[Credential]:
        """Return which cookies that were ever handed out open the session now."""
        return [
            credential
            for credential in self.credentials(session_id)
            if isinstance(
                found := self.store.load(credential, opened=self.clock()), Held
            )
            and found.standing.admitted
        ]

    def live(self) -> Iterator[tuple[str, Record]]:
        for session_id in list(self.notes.cookies):
            if self.admitted(session_id):
                record = self.stored(session_id)
                assert isinstance(record, Record)
                yield session_id, record

    def credentials(self, session_id: str) -> list[Credential]:
        return [
            Credential(session_id, generation, token)
            for generation, tokens in self.notes.cookies[session_id].items()
            for token in tokens
        ]

    def descends(self, session_id: str | None, ancestor: str) -> bool:
        while session_id is not None and session_id != ancestor:
            session_id = self.notes.parents.get(session_id)
        return session_id == ancestor


class Storage(MemoryBackend):
    """A memory backend that knows its clock, and the order of its epochs."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        super().__init__(self.clock)
        self.index: RememberingIndex = RememberingIndex(self, self.clock)


class RememberingIndex(CellIndex):
    """An index that knows which epoch came before which."""

    def __init__(self, cells: MemoryBackend, clock: FakeClock) -> None:
        super().__init__(cells, clock)
        self._epochs: dict[str, list[Epoch]] = {}

    def epoch(self, name: str) -> Epoch:
        return self._note(name, super().epoch(name))

    def fence(self, name: str, spare: Collection[str] = ()) -> tuple[Epoch, list[str]]:
        epoch, members = super().fence(name, spare)
        return self._note(name, epoch), members

    def before(self, binding: Binding, epoch: Epoch) -> list[Epoch]:
        """Return the epochs that ended before `epoch` began."""
        epochs = self._epochs[index_name(binding)]
        return epochs[: epochs.index(epoch)]

    def _note(self, name: str, epoch: Epoch) -> Epoch:
        epochs = self._epochs.setdefault(name, [])
        if epoch not in epochs:
            epochs.append(epoch)
        return epoch


def index_name(binding: Binding) -> str:
    return f"t:index:{binding.digest()}"


class Dice:
    """Stands in for `secrets`: each thread draws the same in each schedule."""

    def __init__(self) -> None:
        self._by_thread: dict[int, Random] = {}

    def begin_anew(self) -> None:
        self._by_thread.clear()

    def token_bytes(self, length: int = 32) -> bytes:
        thread = threading.get_ident()
        return self._by_thread.setdefault(thread, Random(thread)).randbytes(length)

    def token_hex(self, length: int = 32) -> str:
        return self.token_bytes(length).hex()


DICE = Dice()


class _Timer:
    """Says that every call took so long."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._now = seconds, 0.0

    def __call__(self) -> float:
        self._now += self._seconds
        return self._now


# -- the promises ---------------------------------------------------------


def nothing_lives_after_its_end(world: World) -> None:
    """I1: what was destroyed has no record, and no cookie of it or its descendants
    opens anything."""
    for ended in world.notes.ended:
        assert world.stored(ended) is None, "a destroyed session has a record"
        for session_id in world.notes.cookies:
            if world.descends(session_id, ended):
                assert not world.admitted(session_id), "a destroyed session lives"


def what_is_gone_stays_gone(world: World) -> None:
    """I2, I8: who was told "gone" was told the truth, for good."""
    for session_id in world.notes.gone:
        assert not isinstance(world.stored(session_id), Record), "it is not gone"


def what_was_saved_is_there(world: World) -> None:
    """I3: an acknowledged save is in the session, or in the one it went over to."""
    for session_id, key, value in world.notes.saved:
        record = world.present(session_id)
        if record is None:
            assert world.destroyers, "an acknowledged save is lost with its session"
        else:
            assert record.values.get(key) == value, "an acknowledged save is lost"


def the_session_survives(world: World) -> None:
    """A session that nobody ends is there at every instant, old or new."""
    if not world.destroyers and not world.emptiers:
        record = world.present(world.first)
        assert record is not None, "neither the old session nor a new one is there"
        assert record.values["cart"] == SERIALIZER.dumps("full"), "its content is lost"


def the_live_are_listed(world: World) -> None:
    """I4a: a session is bound to what its content says, and whatever it is bound to
    lists it."""
    for session_id, record in world.live():
        fed = {b for b in (USER, TEAM) if b.index in record.values}
        assert record.bindings.keys() == fed, "its content feeds an index in vain"
        for binding, stamp in record.bindings.items():
            listed = world.storage.index.members(index_name(binding))
            assert entry(session_id, stamp) in listed, "it is bound, but not listed"


def a_revocation_is_complete(world: World) -> None:
    """I4b, c: after revoke_all returned nothing lives that was bound before it."""
    for binding, epoch, spared in world.notes.closed:
        ended = world.storage.index.before(binding, epoch)
        for session_id, record in world.live():
            if not spared or not world.descends(session_id, spared):
                known = record.bindings.get(binding, "").partition(".")[0]
                assert known not in ended, "a revoked session lives"


def rotation_is_orderly(world: World) -> None:
    """I5: one successor for all, two cookies at most, no alarm for an honest client."""
    for session_id, generations in world.notes.cookies.items():
        assert all(len(tokens) == 1 for tokens in generations.values()), (
            "two successors of one token"
        )
        record = world.stored(session_id)
        if isinstance(record, Record):
            judged = [
                rotation.judge(record, each, opened=world.clock(), grace=GRACE)
                for each in world.credentials(session_id)
            ]
            assert sum(standing.admitted for standing in judged) <= 2
            assert not {standing.value for standing in judged} & {"replayed", "forged"}


EACH_STEP: tuple[Callable[[World], None], ...] = (
    nothing_lives_after_its_end,
    what_is_gone_stays_gone,
    what_was_saved_is_there,
    the_session_survives,
    the_live_are_listed,
    a_revocation_is_complete,
    rotation_is_orderly,
)


def increments_happened_once(world: World) -> None:
    """I3': each increment that was acknowledged counts once; one that failed counts
    once or not at all."""
    record = world.present(world.first)
    if record is not None:
        count = SERIALIZER.loads(record.values["count"])
        most = world.increments - world.notes.uncounted
        assert world.notes.counted <= count <= most, f"{count} increments happened"


def its_browser_stays_signed_in(world: World) -> None:
    """I4e: a session that nobody ends, or that is spared, opens with its cookie."""
    if not world.destroyers and not world.emptiers:
        session_id = world.first
        while isinstance(stone := world.stored(session_id), Tombstone):
            session_id = stone.successor
        if session_id in world.notes.cookies:
            assert world.admitted(session_id), "the client was signed out"


def an_end_finds_everybody(world: World) -> None:
    """I1, I4b: ending what is left, a session and then a user, leaves nothing."""
    world.store.destroy(world.first)
    world.notes.ended.add(world.first)
    nothing_lives_after_its_end(world)
    for binding in (TEAM, USER):
        world.store.revoke_all(binding)
        left = [session_id for session_id, r in world.live() if binding in r.bindings]
        assert not left, f"a session bound to {binding.index} survives revoke_all"


AT_END = (
    increments_happened_once,
    its_browser_stays_signed_in,
    an_end_finds_everybody,
)

EXPECTED = (BackendError, StaleLogin, TooManySessions)


def scenario(
    world: World, *names: str, checks: tuple[Callable[[World], None], ...] = ()
) -> Scenario:
    """Return the scenario of requests side by side, under all promises."""

    def request(name: str, number: int) -> Callable[[], Any]:
        if name in ("save", "bind"):
            return lambda: getattr(world, name)(f"key{number}")
        function: Callable[[], Any] = getattr(world, name)
        return function

    def each_step(jobs: Jobs) -> None:
        for check in (*EACH_STEP, *checks):
            check(world)

    def at_end(jobs: Jobs) -> None:
        for check in AT_END:
            check(world)

    jobs = {f"{name} {n}": request(name, n) for n, name in enumerate(names, 1)}
    return Scenario(jobs, each_step, at_end, EXPECTED)
