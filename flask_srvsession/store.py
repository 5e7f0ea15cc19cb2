"""Sessions over any backend: create, load, save, destroy, regenerate. No Flask.

The backends only know conditional changes of bytes under keys; everything that a
session means is decided here and in :mod:`rotation`. Two rules carry the rest:

* A KEY is never used twice, only :meth:`SessionStore.create` creates, and every later
  change is conditional on the version that was read. So nothing that was destroyed
  comes back, and no update is lost.
* A session is listed in an index *before* its record says so, and unlisted *after* the
  record is gone. So whoever ends all sessions of an index misses none.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from . import ids, rotation
from .backends.base import Added, Backend, Epoch, Token, place, shares_place
from .cells import Found, Held, RecordCells, Superseded, is_elsewhere
from .changes import Changes
from .config import Settings
from .errors import BackendError, StaleLogin, TooManySessions
from .guard import Guarded, changing
from .ids import Credential
from .info import SessionInfo, utc
from .listing import Listing, Watch, entry, new_mark
from .record import OPERATION_LENGTH, Binding, Record, RecordCodec, Tombstone
from .replicas import Replicas
from .rotation import Standing
from .serializers import Serializer

log = logging.getLogger("flask_srvsession")

DELIVERY = 60
"""Seconds after which a session that nobody has presented takes up no place."""

TRACE_LENGTH = 12
"""Digits of its predecessor's id that a regenerated session remembers."""

MAX_ATTEMPTS = 100
"""How often a change is applied anew; each time somebody else's had succeeded."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """What :meth:`SessionStore.revoke_all` did."""

    epoch: Epoch
    """The epoch that began with it."""
    ended: list[Held]
    gone: set[str]
    """The ids of all that are not there any more, whoever ended them."""
    spared: Held | None
    """The session that goes on, with that epoch."""


class _Ended(Exception):
    """The session to be regenerated is gone."""


class SessionStore:
    """All sessions of one app. Safe to use from any number of threads."""

    def __init__(
        self,
        backend: Backend,
        codec: RecordCodec,
        serializer: Serializer,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        on_evicted: Callable[[Held], None] = lambda held: None,
    ) -> None:
        self.settings = settings
        self._on_evicted = on_evicted
        self.clock = clock
        guarded = Guarded(backend)
        self._cells = RecordCells(guarded, codec, settings, clock)
        self._listing = Listing(guarded, serializer, settings)
        self.replicas = Replicas(guarded)

    # -- one session ------------------------------------------------------------

    def load(
        self, credential: Credential, *, opened: float, judged: bool = False
    ) -> Found:
        """Return the session that `credential` names, if it is admitted.

        A :class:`Held` may also be ``REPLAYED``: then nothing of it may be served.
        `opened` is when the request began. With `judged`, the same request was
        admitted before, and an outdated token is only that by now.
        """
        content, version = self._cells.read(credential.id)
        if isinstance(content, Tombstone):
            return self._superseded(content, credential, opened)
        if content is None:
            return None
        standing = rotation.judge(
            content, credential, opened=opened, grace=self.settings.rotate_grace
        )
        if judged and standing in (Standing.REPLAYED, Standing.LATE):
            standing = Standing.GRACE
        if not standing.admitted and standing is not Standing.REPLAYED:
            log.warning(
                "session %s: the credential is %s", credential.id, standing.value
            )
            late = standing is Standing.LATE  # a logout of it is a logout all the same
            return Superseded(credential.id, credential.id) if late else None
        if not self._listing.admits(credential.id, content.bindings):
            return None
        return Held(credential.id, content, version, self.clock(), credential, standing)

    def peek(self, session_id: str) -> Held | None:
        """Return the session, whoever asks: for lists and administrators."""
        return self._admitted(self._read(session_id))

    def trace(self, session_id: str) -> Held | None:
        """Return the session, or what it was regenerated to a moment ago."""
        _, held = self._follow(session_id)
        return self._admitted(held)

    def create(
        self,
        changes: Changes,
        *,
        epochs: Mapping[Binding, Epoch] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Held:
        """Return a new session of what `changes` assigns, listed in its indexes.

        Raises StaleLogin if a binding's epoch in `epochs` has moved on, and
        TooManySessions; then nothing is left of it.
        """
        values = changes.apply({})
        permanent = bool(changes.permanent)
        born = int(self.clock())
        return self._establish(values, born, permanent, meta, epochs or {})

    @changing("save")
    def save(
        self,
        held: Held,
        changes: Changes,
        *,
        epochs: Mapping[Binding, Epoch] | None = None,
    ) -> Found:
        """Return the session with `changes` made, whatever others did meanwhile.

        Takes effect exactly once, or raises: BackendError (see its `ambiguous`),
        SessionTooLarge. What is gone is not created again. The session's bindings go
        over to the epochs in `epochs`.
        """
        operation, mark = secrets.token_bytes(OPERATION_LENGTH), new_mark()
        began, doubt = held.record, None
        listed: dict[Binding, str] = {}
        for _ in range(MAX_ATTEMPTS):
            record = self._changed(held, changes, operation, mark, epochs or {})
            gained = _gained(held.record.bindings, record.bindings)
            listed.update(gained)
            self._list(held.id, gained)
            try:
                found = self._cells.swap(held, record)
            except BackendError as error:
                if doubt or not error.quick:
                    raise
                doubt = error
                found = self._cells.reread(held)
            if doubt and isinstance(found, Superseded):
                raise doubt  # it may have been done before the session moved
            if not isinstance(found, Held):
                self._listing.forget(held.id, listed)
                return found
            if operation in found.record.operations:
                self._unlist_former(found, held.record.bindings, listed)
                return found
            if doubt and not found.record.reaches_back_to(began):
                raise doubt
            held = found
        raise BackendError("save")

    def renew(self, held: Held, meta: Mapping[str, Any] | None = None) -> Found:
        """Return the session, last seen now and, if that is due, with its token moved
        on. Somebody else's change meanwhile is as good."""
        record = self._advanced(held)
        record = record._replace(
            last_seen=int(self.clock()),
            presented=_is_presented(held),
            meta=meta or record.meta,
        )
        return self._cells.swap(held, record)

    def needs_renewal(self, held: Held) -> bool:
        """Return whether a request that only read is to write all the same."""
        record, now = held.record, self.clock()
        # Bound sessions live as long unseen; but only a seen one keeps its place.
        must_be_seen = not record.bindings or self.settings.max_per_key is not None
        unseen = not (held.created or record.presented)
        return (
            (unseen and must_be_seen)
            or now - record.last_seen >= self.settings.touch_interval
            or self._advanced(held) is not record
        )

    @changing("destroy")
    def discard(self, held: Held) -> tuple[bool, Found]:
        """Delete the session unless somebody changed it meanwhile.

        Returns whether it was deleted, and what is there otherwise.
        """
        deleted = self._cells.delete(held.id, held.version)
        found = None if deleted else self._cells.reread(held)
        if found is None:
            self._listing.forget(held.id, held.record.bindings)
        return deleted, found

    @changing("destroy")
    def destroy(
        self,
        session_id: str,
        held: Held | None = None,
        *,
        still_listed: Binding | None = None,
    ) -> Held | None:
        """Delete the session, and what it was regenerated to; return what lived.

        From the return on no copy of its cookie works and no request in flight can
        bring it back. `held` spares the read; the caller unlists the session from
        `still_listed`. Raises BackendError if that could not be confirmed; then it
        may be done again.
        """
        passed: list[str] = []
        ended = self._end(session_id, held)
        while isinstance(ended, str):
            passed.append(session_id)
            session_id = ended
            ended = self._end(session_id)
        if ended:
            bindings = dict(ended.record.bindings)
            if still_listed and not passed:
                bindings.pop(still_listed, None)
            self._listing.forget(session_id, bindings)
        for former in reversed(passed):
            self._cells.delete(former)
        return ended

    @changing("regenerate")
    def regenerate(
        self,
        held: Held,
        changes: Changes,
        *,
        login: bool,
        epochs: Mapping[Binding, Epoch] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Found:
        """Return the session with `changes` made, under a new id; the old one is dead.

        A `login` begins a new life, otherwise the absolute lifetime goes on. The order
        is proven in tests/concurrency/models/regenerate.pml: the new record exists,
        bound and listed, before the old one turns into a tombstone; a crash anywhere
        leaves the old session or the new one. Where it is not a :class:`Held`, the
        session was ended meanwhile, and nothing new is left. Raises as :meth:`create`
        does; then the old session is untouched.
        """
        held = held._replace(record=self._advanced(held))  # the tombstone's token
        for _ in range(MAX_ATTEMPTS):
            try:
                fresh = self._successor(held, changes, login, epochs or {}, meta)
            except _Ended:
                return self._cells.reread(held)
            found = self._move(held, fresh, changes)
            if isinstance(found, Held) and found.id == held.id:
                held = found  # somebody ended the new one, but not this session
            else:
                return found
        raise BackendError("regenerate")

    # -- all sessions of an index -------------------------------------------------

    def epoch(self, binding: Binding) -> Epoch:
        """Return the present of `binding`; a login bound to it is refused once it is
        past."""
        return self._listing.epoch(binding)

    def find(self, binding: Binding) -> list[Held]:
        """Return the live sessions of `binding`, oldest first; those of one second in
        the order of the list."""
        entries = self._listing.entries(binding)
        found = self._cells.read_many(dict.fromkeys(entries.values()))
        absent = (None, None)  # what is there, but cannot be read, stays listed
        gone = [e for e, session_id in entries.items() if found[session_id] == absent]
        self._listing.remove(binding, gone)
        live = [
            Held(session_id, content, version, self.clock())
            for session_id, (content, version) in found.items()
            if isinstance(content, Record) and binding in content.bindings
        ]
        admitted = self._listing.admitted({h.id: h.record.bindings for h in live})
        live = [held for held in live if held.id in admitted]
        return sorted(live, key=lambda held: ids.born(held.id))

    @changing("revoke")
    def revoke_all(
        self, binding: Binding, *, spare: Held | None = None, watch: Watch = iter
    ) -> Revocation:
        """End all sessions of `binding`, but for `spare`; `watch` sees each end.

        The epoch ends first: who logs in with the old one is refused, who is listed
        is known. Nobody is unlisted before the record is gone: so this can be done
        again after a crash.
        """
        epoch, entries, spared = self._fence(binding, spare)
        kept = {held.id for held in (spare, spared) if held}
        ended, gone = list[Held](), set[str]()
        for session_id in watch(dict.fromkeys(entries.values())):
            was, held = self._follow(session_id)
            line = [*was, held] if held else was
            traces = {other[:TRACE_LENGTH] for other in kept}
            if any(h.id in kept or h.record.replaces in traces for h in line):
                kept.update(h.id for h in line)  # what the spared one becomes
                continue
            ending = held.id if held else session_id
            if lived := self.destroy(ending, held, still_listed=binding):
                ended.append(lived)
            gone |= {session_id, ending}
        self._listing.remove(binding, [e for e, i in entries.items() if i not in kept])
        return Revocation(epoch, ended, gone, spared)

    def _fence(
        self, binding: Binding, spare: Held | None
    ) -> tuple[Epoch, dict[str, str], Held | None]:
        """End the epoch; take `spare`, or what it is regenerated to meanwhile, along
        into the new one, before anybody is ended."""
        for _ in range(MAX_ATTEMPTS):
            stamp = spare.record.bindings.get(binding) if spare else None
            listed = [entry(spare.id, stamp)] if spare and stamp else []
            epoch, entries = self._listing.fence(binding, listed)
            if spare is None or stamp is None:
                return epoch, entries, None
            found = self.save(spare, Changes(), epochs={binding: epoch})
            if isinstance(found, Held):
                return epoch, entries, found
            successor = found.successor if found else None
            spare = self._follow(successor)[1] if successor else None
        raise BackendError("revoke")

    def await_replicas(
        self, count: int, session_ids: Collection[str], binding: Binding | None = None
    ) -> None:
        """Return when `count` replicas have what was done to these sessions and to
        the list of `binding`; raise NotReplicated if that takes too long."""
        names = [self._listing.name(binding)] if binding else []
        self.replicas.wait(count, [*map(self._cells.key, session_ids), *names])

    def info(self, held: Held, *, is_current: bool = False) -> SessionInfo:
        """Return what may be shown of the session."""
        record = held.record
        return SessionInfo(
            id=held.id,
            created_at=utc(ids.born(held.id)),
            last_seen_at=utc(record.last_seen),
            expires_at=utc(self._cells.expires_at(held.id, record)),
            is_current=is_current,
            meta=record.meta or {},
        )

    def ends_at(self, session_id: str) -> int:
        """Return when the session ends whoever comes, as unix time."""
        return self._cells.ends_at(session_id)

    def is_plausible(self, session_id: str) -> bool:
        """Return whether a session of this id could be alive, without asking."""
        now = self.clock()
        latest = now + ids.MAX_CLOCK_SKEW
        return ids.born(session_id) <= latest and now < self.ends_at(session_id)

    # -- writing --------------------------------------------------------------------

    def _read(self, session_id: str) -> Held | None:
        content, version = self._cells.read(session_id)
        if isinstance(content, Record):
            return Held(session_id, content, version, self.clock())
        return None

    def _end(self, session_id: str, held: Held | None = None) -> Held | str | None:
        """Delete what is there; return what lived, or, if a tombstone is there, which
        is left, the id of the successor."""
        for _ in range(MAX_ATTEMPTS):
            if held and self._cells.delete(session_id, held.version):
                return held
            content, version = self._cells.read(session_id)
            match content:
                case Record():
                    held = Held(session_id, content, version, self.clock())
                case Tombstone():
                    return content.successor
                case None if not self._cells.delete(session_id):
                    return None
        raise BackendError("destroy")

    def _follow(self, session_id: str) -> tuple[list[Held], Held | None]:
        """Return what the session was before each time that it was regenerated of
        late, and what it is now."""
        was: list[Held] = []
        content, version = self._cells.read(session_id)
        while isinstance(content, Tombstone):
            was.append(Held(session_id, content.former, version, self.clock()))
            session_id = content.successor
            content, version = self._cells.read(session_id)
        if content is None:
            return was, None
        return was, Held(session_id, content, version, self.clock())

    def _admitted(self, held: Held | None) -> Held | None:
        """Return the session if its indexes still know it."""
        if held and self._listing.admits(held.id, held.record.bindings):
            return held
        return None

    def _superseded(
        self, stone: Tombstone, credential: Credential, opened: float
    ) -> Superseded:
        standing = rotation.judge(
            stone.former, credential, opened=opened, grace=self.settings.rotate_grace
        )
        meant = standing.admitted or standing is Standing.LATE  # for a logout
        return Superseded(credential.id, stone.successor if meant else None)

    def _changed(
        self,
        held: Held,
        changes: Changes,
        operation: bytes,
        mark: str,
        epochs: Mapping[Binding, Epoch],
    ) -> Record:
        """Return the record with `changes` made and its token moved on, if due."""
        record = self._advanced(held)
        values = changes.apply(record.values)
        self._cells.check_size(values)
        bindings = self._listing.bindings(values, record.bindings, epochs, mark)
        permanent = record.permanent if changes.permanent is None else changes.permanent
        now = self.clock()
        return record._replace(
            last_seen=int(now),
            due=record.due or permanent is not record.permanent,
            permanent=permanent,
            presented=_is_presented(held),
            bindings=bindings,
            operations=record.operations_with(operation, now),
            values=values,
        )

    def _advanced(self, held: Held) -> Record:
        if held.credential is None:
            return held.record
        settings = self.settings
        return rotation.advance(
            held.record,
            held.credential,
            now=self.clock(),
            every=settings.rotate_every,
            grace=settings.rotate_grace,
        )

    def _unlist_former(self, found: Held, *former: Mapping[Binding, str]) -> None:
        """Remove the entries that the session had, or was given in vain."""
        if not any(former):
            return
        kept = {entry(found.id, stamp) for stamp in found.record.bindings.values()}
        for bindings in former:
            gone = {b: s for b, s in bindings.items() if entry(found.id, s) not in kept}
            self._listing.forget(found.id, gone)

    def _establish(
        self,
        values: Mapping[str, bytes],
        born: int,
        permanent: bool,
        meta: Mapping[str, Any] | None,
        epochs: Mapping[Binding, Epoch],
        replaced: Held | None = None,
    ) -> Held:
        """Add a new session, bound and listed, its token known to nobody yet."""
        self._cells.check_size(values)
        carried = replaced.record.bindings if replaced else {}
        token, now = ids.new_token(), int(self.clock())
        record = Record(
            generation=1,
            token_hash=ids.token_hash(token),
            chain=secrets.token_bytes(16),
            since=now,
            last_seen=now,
            permanent=permanent,
            bindings=self._listing.bindings(values, carried, epochs, new_mark()),
            operations=(secrets.token_bytes(OPERATION_LENGTH),),
            replaces=replaced.id[:TRACE_LENGTH] if replaced else None,
            meta=meta,
            values=values,
        )
        session_id, version = self._add(record, born)
        fresh = Held(
            session_id,
            record,
            version,
            self.clock(),
            Credential(session_id, 1, token),
            created=True,
        )
        try:
            self._list(session_id, record.bindings, replaced)
        except Exception as error:
            self._withdraw(fresh, error)
            raise
        return fresh

    def _successor(
        self,
        held: Held,
        changes: Changes,
        login: bool,
        epochs: Mapping[Binding, Epoch],
        meta: Mapping[str, Any] | None,
    ) -> Held:
        """Establish what `held` is to be regenerated to."""
        record, permanent = held.record, changes.permanent

        def establish(epochs: Mapping[Binding, Epoch]) -> Held:
            return self._establish(
                changes.apply(record.values),
                int(self.clock()) if login else ids.born(held.id),
                record.permanent if permanent is None else permanent,
                record.meta if meta is None else meta,
                epochs,
                replaced=held,
            )

        try:
            return establish(epochs)
        except StaleLogin:
            spared = self._listing.spared(held.id, record.bindings)
            if epochs or not spared:
                raise
            return establish(spared)

    def _move(self, held: Held, fresh: Held, changes: Changes) -> Found:
        """Turn `held` into a tombstone that leads to `fresh`; return `fresh`, with
        what others have changed meanwhile. Otherwise nothing new is left: the session
        was ended, or else it is returned as it is now, since `fresh` was ended."""
        for _ in range(MAX_ATTEMPTS):
            found = self._retire(held, fresh.id)
            if isinstance(found, Superseded) and found.successor == fresh.id:
                self._listing.forget(held.id, held.record.bindings)
                return fresh
            if not isinstance(found, Held):
                self._withdraw(fresh)
                return found
            values = changes.apply(found.record.values)
            merged = self._refilled(fresh, values, found.record.bindings)
            if merged is None:
                return found
            fresh, held = merged, found
        raise BackendError("regenerate")

    def _add(self, record: Record, born: int) -> tuple[str, Token]:
        """Store `record` under a fresh id. An id whose ``add`` may have been executed
        is never tried again: the delayed one could bring a destroyed session back."""
        for retry in (True, False):
            session_id = ids.new_id(born)
            try:
                version = self._cells.add(session_id, record)
            except BackendError as error:
                if not (retry and error.quick):
                    raise
            else:
                if version is not None:
                    return session_id, version
        raise BackendError("create")

    def _retire(self, held: Held, successor: str) -> Found:
        """Turn what is `held` into a tombstone; return what is there then."""
        try:
            return self._cells.retire(held, successor)
        except BackendError as error:
            if not error.quick:
                raise
            return self._cells.reread(held)

    def _refilled(
        self,
        fresh: Held,
        values: Mapping[str, bytes],
        carried: Mapping[Binding, str],
    ) -> Held | None:
        """Give the session that nobody knows yet other values, and list what they
        bind; None if it is gone. If they are refused, nothing of it is left."""
        before = fresh.record.bindings
        try:
            self._cells.check_size(values)
            places = {**before, **carried}
            bindings = self._listing.bindings(values, places, {}, new_mark())
            self._list(fresh.id, _gained(before, bindings))
            record = fresh.record._replace(values=values, bindings=bindings)
            found = self._cells.swap(fresh, record)
        except Exception as error:
            self._withdraw(fresh, error)
            raise
        self._listing.forget(fresh.id, _gained(bindings, before))
        return found if isinstance(found, Held) else None

    def _withdraw(self, fresh: Held, reason: Exception | None = None) -> None:
        """Delete a session that nobody knows; one that stays ends by its TTL.

        After a timeout it stays: the client has waited for one already.
        """
        if isinstance(reason, BackendError) and not reason.quick:
            return
        try:
            self._cells.delete(fresh.id)
        except BackendError as error:
            log.warning("session %s was not withdrawn: %s", fresh.id, error)
        else:
            self._listing.forget(fresh.id, fresh.record.bindings)

    def _list(
        self,
        session_id: str,
        bindings: Mapping[Binding, str],
        replaced: Held | None = None,
    ) -> None:
        """List the session everywhere; StaleLogin or TooManySessions if refused."""
        ttl = max(1, self.ends_at(session_id) - int(self.clock()))
        former = replaced.record.bindings if replaced else {}
        for binding, stamp in bindings.items():
            whose = replaced.id if replaced and binding in former else None
            self._list_in(binding, session_id, stamp, ttl, whose)

    def _list_in(
        self, binding: Binding, session_id: str, stamp: str, ttl: int, whose: str | None
    ) -> None:
        """List it in one place, which is that of the session `whose`, if given."""
        for _ in range(MAX_ATTEMPTS):
            match self._listing.add(session_id, binding, stamp, ttl):
                case Added.DONE:
                    return
                case Added.STALE:
                    raise StaleLogin
                case Added.FULL:
                    if whose and self._read(whose) is None:
                        raise _Ended  # with its place, which is not made anew
                    self._make_room(binding, entry(session_id, stamp))
        raise BackendError("bind")

    def _make_room(self, binding: Binding, incoming: str) -> None:
        """Unlist who is dead, or else end the oldest, or else TooManySessions."""
        taken: dict[str, dict[str, str]] = {}  # each place's entries and their ids
        for listed, session_id in self._listing.entries(binding).items():
            if not shares_place(listed, incoming):
                taken.setdefault(place(listed), {})[listed] = session_id
        counts = partial(self._counts, binding)
        dead = [e for e in taken.values() if not any(map(counts, e.values()))]
        if taken and not dead:
            if self.settings.max_per_key_policy == "reject":
                raise TooManySessions
            dead = [min(taken.values(), key=_oldest)]
        leaving = {listed: i for entries in dead for listed, i in entries.items()}
        for session_id in dict.fromkeys(leaving.values()):
            if is_elsewhere(binding, *self._follow(session_id)):
                continue
            if evicted := self.destroy(session_id, still_listed=binding):
                self._on_evicted(evicted)
        self._listing.remove(binding, leaving)

    def _counts(self, binding: Binding, session_id: str) -> bool:
        """Whether a listed session takes up a place: it lives, maybe under a new id,
        and its client came back, or may still be on the way. A login that failed
        halfway leaves one that nobody will ever present."""
        was, held = self._follow(session_id)
        if held is None or is_elsewhere(binding, was, held):
            return False
        return held.record.presented or self.clock() - held.record.last_seen < DELIVERY


def _oldest(entries: Mapping[str, str]) -> int:
    return min(map(ids.born, entries.values()))


def _is_presented(held: Held) -> bool:
    return held.record.presented or not held.created


def _gained(
    before: Mapping[Binding, str], after: Mapping[Binding, str]
) -> dict[Binding, str]:
    return {b: stamp for b, stamp in after.items() if b not in before}
