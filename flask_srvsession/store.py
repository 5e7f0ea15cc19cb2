"""Sessions over any backend: create, load, save, destroy, regenerate. No Flask.

The backends only know conditional changes of bytes under keys; everything that a
session means is decided here and in the modules that this one puts together: how one
begins (:mod:`creation`), gets a new id (:mod:`regeneration`), finds room in a list
(:mod:`places`), and what a token means (:mod:`rotation`). Two rules carry the rest:

* A KEY is never used twice, only :mod:`creation` adds records, and every later change
  is conditional on the version that was read. So nothing that was destroyed comes back,
  and no update is lost.
* A session is listed in an index *before* its record says so, and unlisted *after* the
  record is gone. So whoever ends all sessions of an index misses none.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from . import ids, rotation
from .backends.base import Backend, Epoch
from .cells import MAX_ATTEMPTS, Found, Held, RecordCells, Superseded
from .changes import Changes
from .config import Settings
from .creation import Creation
from .errors import BackendError
from .guard import Guarded, changing
from .ids import Credential
from .info import SessionInfo, utc
from .listing import Bindings, Listing, Watch, entry, gained, new_mark
from .places import Places
from .record import (
    OPERATION_LENGTH,
    TRACE_LENGTH,
    Binding,
    Record,
    RecordCodec,
    Tombstone,
)
from .regeneration import Regeneration
from .replicas import Replicas
from .rotation import Standing
from .serializers import Serializer

log = logging.getLogger("flask_srvsession")


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
        self._places = Places(self._cells, self._listing, settings, clock, self._evict)
        self._creation = Creation(self._cells, self._listing, self._places, clock)
        self._regeneration = Regeneration(
            self._cells, self._listing, self._places, self._creation
        )
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
        return self._admitted(self._cells.live(session_id))

    def trace(self, session_id: str) -> Held | None:
        """Return the session, or what it was regenerated to a moment ago."""
        _, held = self._cells.follow(session_id)
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
        return self._creation.establish(
            changes.apply({}),
            permanent=bool(changes.permanent),
            meta=meta,
            epochs=epochs or {},
        )

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
            added = gained(held.record.bindings, record.bindings)
            listed.update(added)
            self._places.take(held.id, added)
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
                self._listing.forget({held.id: listed})
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
            self._listing.forget({held.id: held.record.bindings})
        return deleted, found

    def destroy(self, session_id: str, held: Held | None = None) -> Held | None:
        """Delete the session, and what it was regenerated to; return what lived.

        From the return on no copy of its cookie works and no request in flight can
        bring it back. `held` spares the read. Raises BackendError if that could not be
        confirmed; then it may be done again.
        """
        if ended := self._end(session_id, held):
            self._listing.forget({ended.id: ended.record.bindings})
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

        A `login` begins a new life, otherwise the absolute lifetime goes on. A crash
        anywhere leaves the old session or the new one. Where it is not a
        :class:`Held`, the session was ended meanwhile, and nothing new is left.
        Raises as :meth:`create` does; then the old session is untouched.
        """
        return self._regeneration.regenerate(
            held, changes, login=login, epochs=epochs or {}, meta=meta
        )

    # -- all sessions of an index -------------------------------------------------

    def epoch(self, binding: Binding) -> Epoch:
        """Return the present of `binding`; a login bound to it is refused once it is
        past."""
        return self._listing.epoch(binding)

    def find(self, binding: Binding) -> list[Held]:
        """Return the live sessions of `binding`, those that began first in front."""
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
            was, held = self._cells.follow(session_id)
            line = [*was, held] if held else was
            traces = {other[:TRACE_LENGTH] for other in kept}
            if any(h.id in kept or h.record.replaces in traces for h in line):
                kept.update(h.id for h in line)  # what the spared one becomes
                continue
            ending = held.id if held else session_id
            if lived := self._end(ending, held):
                ended.append(lived)
            gone |= {session_id, ending}
        self._listing.remove(binding, [e for e, i in entries.items() if i not in kept])
        self._listing.forget({h.id: h.record.bindings for h in ended}, but=binding)
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
            spare = self._cells.follow(successor)[1] if successor else None
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

    # -- pieces -----------------------------------------------------------------------

    @changing("destroy")
    def _end(self, session_id: str, held: Held | None = None) -> Held | None:
        """Do what :meth:`destroy` promises, but leave the session listed."""
        passed: list[str] = []
        ended = self._delete(session_id, held)
        while isinstance(ended, str):
            passed.append(session_id)
            session_id = ended
            ended = self._delete(session_id)
        for former in reversed(passed):
            self._cells.delete(former)
        return ended

    def _delete(self, session_id: str, held: Held | None = None) -> Held | str | None:
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

    def _evict(self, session_id: str, binding: Binding) -> None:
        """End a session to make room in the list of `binding`."""
        if evicted := self._end(session_id):
            self._listing.forget({evicted.id: evicted.record.bindings}, but=binding)
            self._on_evicted(evicted)

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

    def _unlist_former(self, found: Held, *former: Bindings) -> None:
        """Remove the entries that the session had, or was given in vain."""
        if not any(former):
            return
        kept = {(b, entry(found.id, s)) for b, s in found.record.bindings.items()}
        for bindings in former:
            gone = {
                b: s for b, s in bindings.items() if (b, entry(found.id, s)) not in kept
            }
            self._listing.forget({found.id: gone})


def _is_presented(held: Held) -> bool:
    return held.record.presented or not held.created
