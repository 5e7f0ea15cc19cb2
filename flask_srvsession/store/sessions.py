"""One session: load it, begin it, save it, end it.

All of ``store`` works on a :class:`SessionStore`; a new id and the end of all
sessions of a user have modules of their own, :mod:`regeneration` and :mod:`revocation`.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from .. import ids
from ..backends.base import Backend, Epoch, Head, Version
from ..backends.guarded import Guarded, changing
from ..config import Settings
from ..draft import Changes, Draft
from ..ending import REVOKED, End
from ..errors import BackendError, StaleLogin, TooManySessions
from ..ids import CookieSigner, Credential
from ..info import SessionInfo, utc
from ..logins import was_anonymous
from ..serializers import Serializer, Undecodable
from . import rotation
from .encryption import EncryptionKeys
from .lists import Binding, Entry, Lists, gained, new_mark
from .marker import Marker
from .record import (
    DUE,
    OPERATION_LENGTH,
    PERMANENT,
    PRESENTED,
    TRACE_LENGTH,
    UNLIMITED,
    Places,
    Record,
    RecordCodec,
    Tombstone,
    begun,
    inherited,
)
from .records import (
    MAX_ATTEMPTS,
    TOMBSTONE_TTL,
    EndsToo,
    Found,
    Live,
    Moved,
    Records,
    outdated,
)
from .room import Room, SeatLost
from .rotation import ADMITTED, OWN, Verdict

log = logging.getLogger("flask_srvsession")


class SessionStore:
    """All sessions of one app. Safe to use from any number of threads.

    `secret_keys` are oldest first; `format_name` names the serializer in the seals.
    `tell_ended` is told of each session that was ended, at once, by whom and why.
    Calls of the storage are told with `sender`, if there is one.
    """

    def __init__(
        self,
        backend: Backend,
        secret_keys: Sequence[str | bytes],
        serializer: Serializer,
        settings: Settings,
        *,
        format_name: str = "msgpack",
        encryption: EncryptionKeys | None = None,
        clock: Callable[[], float] = time.time,
        tell_ended: Callable[[Live, End], None] = lambda live, end: None,
        sender: object = None,
    ) -> None:
        prefix = settings.key_prefix
        self.settings = settings
        self.serializer = serializer
        self.clock = clock
        self.tell_ended = tell_ended
        self._warn_again = -math.inf
        self.backend = Guarded(backend, sender=sender)
        self.signer = CookieSigner(secret_keys, prefix)
        codec = RecordCodec(secret_keys, prefix, format_name, encryption)
        names = encryption.for_names(secret_keys) if encryption else secret_keys
        self.marker = Marker(self.backend, secret_keys, settings, clock)
        self.records = Records(self.backend, codec, settings, clock, self.marker)
        self.lists = Lists(self.backend, serializer, settings, names)
        self.room = Room(self.records, self.lists, settings, tell_ended)

    # -- loading ----------------------------------------------------------------

    def load(
        self, credential: Credential, *, opened: float, judged: bool = False
    ) -> Found:
        """Return the session that `credential` names, if it is admitted.

        A :class:`Live` may also be ``REPLAYED``: then nothing of it may be served.
        `opened` is when the request began. `judged`: it was admitted before, with the
        same token, so it is served even if the token is outdated by now.
        """
        session_id = credential.id
        self.marker.keep_up()
        key = self.records.key(session_id)
        heads: Mapping[bytes, Head | None] = {}
        if session_id in self.lists.seen:
            cell, heads = self.lists.read(session_id, key)
        else:
            cell = self.backend.get(key)
        record, version = self.records.opened(session_id, key, cell)
        if record is None:
            return None
        grace = self.settings.rotate_grace
        if isinstance(record, Tombstone):
            former, successor = record
            verdict = rotation.judge(former, credential, opened=opened, grace=grace)
            if verdict not in ADMITTED and verdict is not Verdict.LATE:
                return Moved(session_id, None)
            readable = verdict in OWN and self.is_anonymous(former)
            return Moved(session_id, successor, former.values, readable)
        verdict = rotation.judge(record, credential, opened=opened, grace=grace)
        if judged and verdict in (Verdict.REPLAYED, Verdict.LATE):
            verdict = Verdict.GRACE
        if verdict not in ADMITTED and verdict is not Verdict.REPLAYED:
            log.warning("session %s: the credential is %s", session_id, verdict.value)
            late = verdict is Verdict.LATE  # a logout of it is a logout all the same
            return outdated(session_id, record) if late else None
        if (
            record.places
            and self.lists.is_fenced()
            and not self.lists.admits(session_id, record.places, heads)
        ):
            return None
        return Live(session_id, record, version, self.clock(), credential, verdict)

    def peek(self, session_id: str) -> Live | None:
        """Return the session without a credential: for lists and administrators."""
        return self._admitted(self.records.live(session_id))

    def trace(self, session_id: str) -> Live | None:
        """Return the session, or the one that it was regenerated to a moment ago."""
        return self._admitted(self.records.follow(session_id)[1])

    def is_plausible(self, session_id: str) -> bool | None:
        """Return whether a session of this id could be alive, without asking.

        None if it was born in the future: the clocks of two servers differ by more
        than a minute. A warning says so, at most once a minute.
        """
        now, born = self.clock(), int(session_id[33:], 16)
        if born > now + ids.MAX_CLOCK_SKEW:
            if now >= self._warn_again:
                self._warn_again = now + 60
                log.warning(
                    "a cookie was made %d seconds in the future: the clocks of your"
                    " servers differ, and users seem to be logged out",
                    born - now,
                )
            return None
        return now < born + self.settings.absolute_lifetime

    # -- beginning ----------------------------------------------------------------

    def create(
        self,
        changes: Changes,
        *,
        epochs: Mapping[bytes, Epoch] | None = None,
        meta: Mapping[str, Any] | None = None,
        born: int | None = None,
        replaced: Live | None = None,
    ) -> Live:
        """Add a session that was `born` then, or now: listed, and known to nobody yet.

        Its values are the `changes`, made to those of the session that it is to
        replace, which hands on its places, too. Raises StaleLogin if a place's epoch in
        `epochs` has ended, TooManySessions, and SeatLost; then nothing is left of it.
        """
        former = replaced.record if replaced else None
        values = changes.apply(former.values if former else {})
        flags = former.flags & PERMANENT if former else 0
        if changes.permanent is not None:
            flags = PERMANENT * changes.permanent
        if meta is None and former:
            meta = former.meta
        self.records.check_size(values)
        self.marker.keep_up()
        carried = former.places if former else {}
        token, now = ids.new_token(), int(self.clock())
        listed, indexing = self.lists.places(
            values, carried, epochs or {}, new_mark(self.clock()), rename=False
        )
        if listed and not self.settings.max_per_key:
            flags |= UNLIMITED
        record = begun(
            token,
            now,
            flags=flags | inherited(listed, carried),
            places=listed,
            indexing=indexing,
            replaces=replaced.id[:TRACE_LENGTH] if replaced else None,
            meta=meta,
            values=values,
            era=self.marker.era,
        )
        session_id, version = self._add(record, now if born is None else born)
        credential = Credential(session_id, 1, token)
        fresh = Live(session_id, record, version, self.clock(), credential, new=True)
        try:
            self.enlist(session_id, values, listed, replaced)
        except Exception as error:
            self.withdraw(fresh, error)
            raise
        return fresh

    def withdraw(self, fresh: Live, reason: Exception | None = None) -> None:
        """Delete a session that nobody knows; one that stays ends by its TTL.

        After a timeout it stays: the client has waited for one already.
        """
        if isinstance(reason, BackendError) and not reason.quick:
            return
        try:
            self.records.delete(fresh.id)
        except BackendError as error:
            log.warning("session %s was not withdrawn: %s", fresh.id, error)
        else:
            self.lists.forget({fresh.id: fresh.record.places})

    def _add(self, record: Record, born: int) -> tuple[str, Version]:
        """Store `record` under a fresh id, at the second try under another: a delayed
        ``add`` of an id that was destroyed meanwhile could bring it back."""
        for retry in (True, False):
            session_id = ids.new_id(born)
            try:
                version = self.records.add(session_id, record)
            except BackendError as error:
                if not (retry and error.quick):
                    raise
            else:
                if version is not None:
                    return session_id, version
        raise BackendError("create")

    # -- places -------------------------------------------------------------------

    def enlist(
        self,
        session_id: str,
        values: Mapping[str, bytes],
        wanted: Places,
        replaced: Live | None = None,
        *,
        mark: str = "",
    ) -> None:
        """List the session in the `wanted` places, and make room for the limits of the
        lists that `values` feed.

        Raises StaleLogin or TooManySessions if it is refused. Where `replaced` is
        listed, its seat is taken over, and no room is needed; SeatLost if that session
        has ended, since others may have the seat. Then the places with this `mark` are
        given up. One that is renamed has an older one, and stays: another process may
        have renamed it, too.
        """
        life, age = self.settings.absolute_lifetime, self.clock() - ids.born(session_id)
        former = replaced.record.places if replaced else ()
        limits = self.settings.max_per_key or {}
        try:
            for name, place in wanted.items():
                # Listed last, whenever it was born; but for a seat that it takes over.
                ttl = max(1, life - int(age)) if name in former else life
                self.lists.add(Entry(name, session_id, *place), ttl)
            for binding in self.lists.fed(values) if wanted and limits else ():
                if limit := limits.get(binding.index):
                    for name in wanted.keys() & set(binding.names):
                        own = Entry(name, session_id, *wanted[name])
                        self.room.make(binding, own, limit, replaced)
        except (StaleLogin, TooManySessions, SeatLost):
            added = {name: place for name, place in wanted.items() if place[1] == mark}
            self.lists.forget({session_id: added})
            raise

    # -- saving -------------------------------------------------------------------

    @changing("save")
    def save(
        self,
        live: Live,
        changes: Changes,
        *,
        epochs: Mapping[bytes, Epoch] | None = None,
    ) -> Found:
        """Return the session with `changes` made, beside those of others meanwhile.

        Takes effect exactly once, or raises: BackendError (see its `ambiguous`),
        SessionTooLarge. A session that has ended is not created again. Its places go
        over to the epochs in `epochs`.
        """
        operation, at = os.urandom(OPERATION_LENGTH), self.clock()
        began, doubt = live.record, None
        listed: dict[bytes, Sequence[str]] = {}
        for _ in range(MAX_ATTEMPTS):
            record = self._changed(live, changes, operation, at, epochs)
            if record.places is not live.record.places:
                added = gained(live.record.places, record.places)
                listed.update(added)
                touched = self.settings.feeding.intersection(changes.keys())
                values, mark = record.values if touched else {}, new_mark(at, operation)
                self.enlist(live.id, values, added, mark=mark)
            try:
                found = self.records.swap(live, record)
            except BackendError as error:
                if doubt or not error.quick:
                    raise
                doubt = error
                found = self.records.reread(live)
            if doubt and isinstance(found, Moved):
                raise doubt  # it may have been done before the session moved
            if not isinstance(found, Live):
                self.lists.forget({live.id: listed})
                return found
            if found.record is record or found.record.has_done(operation):
                if listed or found.record.places is not live.record.places:
                    self._unlist_former(found, live.record.places, listed)
                return found
            if doubt and not found.record.reaches_back_to(began):
                raise doubt
            live = found
        raise BackendError("save")

    def renew(self, live: Live, meta: Mapping[str, Any] | None = None) -> Found:
        """Return the session, last seen now and, if that is due, with its token moved
        on. A change of somebody else meanwhile is as good."""
        now = self.clock()
        record = self._advanced(live, now)
        flags = record.flags | (0 if live.new else PRESENTED)
        record = record._replace(
            last_seen=int(now), flags=flags, meta=meta or record.meta
        )
        return self.records.swap(live, record)

    def renewal_at(self, live: Live) -> float:
        """Return from when on a request that only reads is to write, as unix time."""
        record, verdict = live.record, live.verdict
        # A listed session lives as long unseen; but only a seen one keeps its seat.
        must_be_seen = (
            not record.places
            or bool(self.settings.max_per_key)
            or (record.replaces and self.clock() < record.since + TOMBSTONE_TTL)
        )
        unseen = not (live.new or record.flags & PRESENTED)
        if verdict is Verdict.SUCCESSOR or (unseen and must_be_seen):
            return -math.inf
        touch = record.last_seen + self.settings.touch_interval
        if verdict is Verdict.GRACE or live.credential is None:
            return touch
        every, grace = self.settings.rotate_every, self.settings.rotate_grace
        return min(touch, rotation.due_at(record, every=every, grace=grace))

    # -- ending -------------------------------------------------------------------

    @changing("destroy")
    def discard(self, live: Live, end: End = REVOKED) -> tuple[bool, Found]:
        """Delete the session unless somebody changed it meanwhile.

        Returns whether it was deleted, and otherwise the session as it is.
        """
        deleted = self.records.delete(live.id, live.version)
        if deleted:
            self.tell_ended(live, end)
        found = None if deleted else self.records.reread(live)
        if found is None:
            self.lists.forget({live.id: live.record.places})
        return deleted, found

    def destroy(
        self,
        session_id: str,
        live: Live | None = None,
        end: End = REVOKED,
        *,
        ends_too: EndsToo | None = None,
    ) -> Live | None:
        """Delete the session, and its successor by regeneration, if `ends_too` says so
        (None: always); return the live one.

        From the return on no copy of its cookie works and no request in flight can
        bring it back. `live` spares the read. Raises BackendError if that could not be
        confirmed; then it may be done again.
        """
        if ended := self.records.end(session_id, live, ends_too=ends_too):
            self.tell_ended(ended, end)
            self.lists.forget({ended.id: ended.record.places})
        return ended

    def await_replicas(
        self, count: int, session_ids: Collection[str], binding: Binding | None = None
    ) -> None:
        """Return when `count` replicas have all changes of these sessions and of
        the list of `binding`; raise NotReplicated if that takes too long."""
        names = [*map(self.lists.name, binding.names)] if binding else []
        self.backend.wait(count, [*map(self.records.key, session_ids), *names])

    # -- showing --------------------------------------------------------------------

    def info(
        self, live: Live, *, is_current: bool = False, end: End | None = None
    ) -> SessionInfo:
        """Return the facts about the session that may be shown."""
        record = live.record
        return SessionInfo(
            id=live.id,
            created_at=utc(ids.born(live.id)),
            last_seen_at=utc(record.last_seen),
            expires_at=utc(self.records.expires_at(live.id, record)),
            is_current=is_current,
            meta=record.meta or {},
            end=end,
            bound=record.bound,
        )

    def is_anonymous(self, record: Record) -> bool:
        """Return whether nobody is logged in, and no list has the session."""
        try:
            draft = Draft(record.values, self.serializer)
            return not record.places and was_anonymous(draft, self.settings.logins)
        except Undecodable:
            return False

    # -- pieces -----------------------------------------------------------------------

    def _admitted(self, live: Live | None) -> Live | None:
        """Return the session if its indexes still know it."""
        if live and self.lists.admitted({live.id: live.record.places}):
            return live
        return None

    def _changed(
        self,
        live: Live,
        changes: Changes,
        operation: bytes,
        began: float,
        epochs: Mapping[bytes, Epoch] | None,
    ) -> Record:
        """Return the record with `changes` made and its token moved on, if due.

        Its places are looked at only if that may change them: a key that feeds an
        index was touched, an index was configured since, or a key became the newest.
        """
        now, permanent = self.clock(), changes.permanent
        if permanent is not None and permanent is not live.record.permanent:
            flags = (live.record.flags ^ PERMANENT) | DUE  # with this very response
            live = live._replace(record=live.record._replace(flags=flags))
        record = self._advanced(live, now)
        values = changes.apply(record.values)
        self.records.check_size(values)
        listed, indexing = record.places, self.lists.indexing
        stale = record.indexing != indexing
        untouched = self.settings.feeding.isdisjoint(changes.keys())
        if stale or epochs or changes.cleared or not untouched:
            mark = new_mark(began, operation)
            listed, indexing = self.lists.places(
                values, listed, epochs or {}, mark, rename=stale
            )
        flags = record.flags if live.new else record.flags | PRESENTED
        return record._replace(
            last_seen=int(now),
            flags=flags,
            places=listed,
            indexing=indexing,
            operations=record.operations_with(operation, now),
            values=values,
        )

    def _advanced(self, live: Live, now: float) -> Record:
        """Return the record with its token moved on, if that is due."""
        if live.credential is None or live.verdict is Verdict.GRACE:
            return live.record
        every, grace = self.settings.rotate_every, self.settings.rotate_grace
        return rotation.advance(
            live.record, live.credential, now=now, every=every, grace=grace
        )

    def _unlist_former(self, found: Live, *former: Places) -> None:
        """Remove the entries that the session had, or was given in vain."""
        kept = found.record.places
        for before in former:
            if before is not kept:
                gone = {
                    n: p for n, p in before.items() if kept.get(n, ("", ""))[1] != p[1]
                }
                self.lists.forget({found.id: gone})
