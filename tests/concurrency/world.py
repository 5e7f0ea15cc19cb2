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

from flask_srvsession import moves
from flask_srvsession.backends.base import Epoch, Head
from flask_srvsession.backends.cell_index import CellIndex
from flask_srvsession.backends.guarded import Guarded
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.config import Settings
from flask_srvsession.draft import Changes
from flask_srvsession.errors import BackendError, StaleLogin, TooManySessions
from flask_srvsession.ids import Credential
from flask_srvsession.serializers import MsgpackSerializer
from flask_srvsession.store import SessionStore, regeneration, revocation, rotation
from flask_srvsession.store.lists import Binding, Entry, Lists
from flask_srvsession.store.record import Record, RecordCodec, Tombstone
from flask_srvsession.store.records import Found, Live, Moved
from flask_srvsession.store.rotation import ADMITTED, Verdict
from flask_srvsession.testing import FakeClock
from tests.concurrency.interleave import Fault, Jobs, Scenario, SteppedBackend

INDEXES = {"user_id": ("user_id",), "team": ("team",)}
EVERY, GRACE = 900, 120
FAULTS = tuple(Fault)

SECRET_KEYS = ["a secret key of these tests"]
SERIALIZER = MsgpackSerializer()
CODEC = RecordCodec(SECRET_KEYS, "t:", "msgpack")


def settings(**given: Any) -> Settings:
    """Return settings with two indexes; `team` is fed by a key that is no login key."""
    chosen = {"key_prefix": "t:", "indexes": INDEXES, "rotate_every": EVERY, **given}
    return Settings(rotate_grace=GRACE, **chosen).resolved(timedelta(days=31))


DEFAULTS = settings()
LISTS = Lists(Guarded(MemoryBackend()), SERIALIZER, DEFAULTS, SECRET_KEYS)
"""Only for the names: each world has lists of its own."""
USER, TEAM = LISTS.binding("user_id", "1"), LISTS.binding("team", "9")


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
    followed: list[str] = field(default_factory=list)
    """Sessions that had moved when a save came, which followed them."""
    logins: set[str] = field(default_factory=set)
    """Sessions that began with a login in another one."""
    ended: set[str] = field(default_factory=set)
    """Sessions whose destroy returned."""
    gone: set[str] = field(default_factory=set)
    """Sessions of which a request was told that they live no more."""
    closed: list[tuple[Mapping[bytes, Epoch], str | None]] = field(default_factory=list)
    """The epochs that began with each revoke_all that returned, by the name of the
    list, and the session that it kept."""
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
            backend, SECRET_KEYS, SERIALIZER, chosen, clock=self.storage.clock
        )
        self.store.backend._timer = _Timer(1.0 if slow else 0.0)
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
            live = self._load()
            assert live is not None
            renewed = self.store.renew(live)
            assert isinstance(renewed, Live)
            self._hand_out(renewed)
            self.cookie = rotation.successor(renewed.record, self.cookie)
        self.store.lists.epoch(USER)
        self._preloaded = self._load() if preloaded else None

    # -- requests of the browser that has `first` -----------------------------

    def save(self, key: str) -> Found:
        return self._save(assigned(**{key: key}), key)

    def bind(self, key: str = "note") -> Found:
        """Join the team: an index key appears that is no login key."""
        return self._save(assigned(team=9, **{key: key}), key)

    def unbind(self) -> Found:
        """Leave the team."""
        live = self._request()
        return self._answer(
            live and self.store.save(live, Changes(removed={"team"})), live
        )

    def increment(self) -> Found:
        self.increments += 1
        live = self._request()
        found = self._answer(live and self.store.save(live, ONE_MORE), live)
        if isinstance(found, Live):
            self.notes.counted += 1
        else:
            self.notes.uncounted += 1
        return found

    def renew(self) -> Found:
        live = self._request()
        if live is None or self.clock() < self.store.renewal_at(live):
            return live
        return self._answer(self.store.renew(live), live)

    def login(self) -> Found:
        """Sign in: a login key appears, or says the same again."""
        live = self._request()
        return self._regenerate(live, assigned(user_id=1), login=True)

    def checked_login(self) -> Found:
        """Sign in with an epoch that was read before the password was checked."""
        live = self._request()
        epochs = {USER.names[0]: self.store.lists.epoch(USER)}
        return self._regenerate(live, assigned(user_id=1), login=True, epochs=epochs)

    def rotate(self) -> Found:
        live = self._request()
        return self._regenerate(live, Changes(), login=False)

    def sign_out(self) -> Found:
        """Sign out by removing the key: what else there is goes on under a new id."""
        live = self._request()
        return self._regenerate(live, Changes(removed={"user_id"}), login=False)

    def rotate_again(self, moved: Live) -> Found:
        return self._regenerate(moved, Changes(), login=False)

    def destroy(self) -> Live | None:
        self.destroyers += 1
        live = self._request()
        lived = self.store.destroy(self.first, live)
        self.notes.ended.add(self.first)
        return lived

    def empty(self) -> Found:
        """Remove the keys that were there at first, and so all if there are no more."""
        self.emptiers += 1
        live = self._request()
        if live is None or any(key.startswith("key") for key in live.record.values):
            return live
        deleted, found = self.store.discard(live)
        if deleted:
            self.notes.ended.add(live.id)
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
        epochs = revocation.revoke_all(self.store, binding).epochs
        self.notes.closed.append((epochs, None))

    def revoke(self) -> None:
        """End the session that had this id, in a list of devices."""
        self.destroyers += 1
        live = self.store.trace(self.first)
        if live and self.store.destroy(live.id, live):
            self.notes.ended.add(live.id)

    def revoke_team(self) -> None:
        self.revoke_all(TEAM)

    def revoke_others(self) -> Found:
        """End all sessions of the user but `first`, in a request of that."""
        live = self._request()
        if live is None or not USER.lists(live.record):
            return live
        done = revocation.revoke_all(self.store, USER, keep=live)
        self.notes.closed.append((done.epochs, self.first))
        return self._answer(done.kept, live)

    def find(self) -> None:
        found = revocation.find(self.store, USER)
        self.notes.found.append({live.id for live in found})

    # -- pieces ---------------------------------------------------------------

    def _load(self) -> Live | None:
        found = self.store.load(self.cookie, opened=self.clock())
        if isinstance(found, Live) and found.verdict in ADMITTED:
            return found
        return None

    def _request(self) -> Live | None:
        return self._preloaded or self._load()

    def _save(self, changes: Changes, key: str) -> Found:
        live = self._request()
        found: Found = live and self.store.save(live, changes)
        if live and isinstance(found, Moved):
            found = moves.follow(self.store, live, found, changes)
            if isinstance(found, Live):
                self.notes.followed.append(live.id)
        found = self._answer(found, live)
        if isinstance(found, Live):
            self.notes.saved.append((found.id, key, changes.assigned[key]))
        return found

    def _regenerate(
        self,
        live: Live | None,
        changes: Changes,
        *,
        login: bool,
        epochs: Mapping[bytes, Epoch] | None = None,
    ) -> Found:
        if live is None or live.verdict is Verdict.GRACE:
            return None
        found = regeneration.regenerate(
            self.store, live, changes, login=login, epochs=epochs
        )
        if isinstance(found, Live):
            self.notes.parents[found.id] = live.id
            if login:
                self.notes.logins.add(found.id)
        return self._answer(found, live)

    def _answer(self, found: Found, live: Live | None) -> Found:
        """Note what the response tells the client."""
        if isinstance(found, Live):
            self._hand_out(found)
        elif live is not None:
            self.notes.gone.add(live.id)
        return found

    def _hand_out(self, live: Live) -> None:
        credential = live.credential
        if credential is None:
            return
        if not live.new:
            if not live.record.pending:
                return
            if credential.generation != live.record.generation:
                return
            credential = rotation.successor(live.record, credential)
        generations = self.notes.cookies.setdefault(live.id, {})
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
                found := self.store.load(credential, opened=self.clock()), Live
            )
            and found.verdict in ADMITTED
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

    def fence(self, name: str, keep: Collection[str] = ()) -> tuple[Epoch, Head | None]:
        epoch, former = super().fence(name, keep)
        return self._note(name, epoch), former

    def before(self, name: str, epoch: Epoch) -> list[Epoch]:
        """Return the epochs that ended before `epoch` began."""
        epochs = self._epochs[name]
        return epochs[: epochs.index(epoch)]

    def _note(self, name: str, epoch: Epoch) -> Epoch:
        epochs = self._epochs.setdefault(name, [])
        if epoch not in epochs:
            epochs.append(epoch)
        return epoch


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
        fed = {b.names[0] for b in (USER, TEAM) if b.index in record.values}
        assert record.places.keys() == fed, "its content feeds an index in vain"
        for name in record.places:
            listed = world.storage.index.members(LISTS.name(name), 100) or ()
            own = Entry(name, session_id, *record.places[name])
            assert own.member in listed, "it is bound, but not listed"


def a_revocation_is_complete(world: World) -> None:
    """I4b, c: after revoke_all returned nothing lives that was bound before it."""
    for epochs, kept in world.notes.closed:
        for name, epoch in epochs.items():
            ended = world.storage.index.before(LISTS.name(name), epoch)
            for session_id, record in world.live():
                if not kept or not world.descends(session_id, kept):
                    known, _ = record.places.get(name, ("", ""))
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
            assert sum(verdict in ADMITTED for verdict in judged) <= 2
            assert not {*judged} & {Verdict.REPLAYED, Verdict.FORGED}


def no_change_follows_a_login(world: World) -> None:
    """What a request of before a login saves after it does not get there."""
    for session_id in world.notes.followed:
        while isinstance(stone := world.stored(session_id), Tombstone):
            session_id = stone.successor
            assert session_id not in world.notes.logins, "a change followed a login"


EACH_STEP: tuple[Callable[[World], None], ...] = (
    nothing_lives_after_its_end,
    what_is_gone_stays_gone,
    what_was_saved_is_there,
    the_session_survives,
    the_live_are_listed,
    a_revocation_is_complete,
    rotation_is_orderly,
    no_change_follows_a_login,
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
    """I4e: a session that nobody ends, or that is kept, opens with its cookie."""
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
        revocation.revoke_all(world.store, binding)
        left = [session_id for session_id, r in world.live() if binding.lists(r)]
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
