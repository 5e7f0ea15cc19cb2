"""Records under ids: sealed, opened, and with the time that they have left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from .. import ids
from ..backends.base import Cell, Version
from ..backends.guarded import Guarded, changing
from ..config import Settings
from ..errors import BackendError, SessionTooLarge
from ..ids import Credential
from .encryption import Unreadable
from .marker import Marker
from .record import OPEN, PRESENTED, READ_FIRST, Record, RecordCodec, Tombstone
from .rotation import Verdict

log = logging.getLogger("flask_srvsession")

UNPRESENTED_TTL = 3600
"""Seconds that a session lives whose cookie never comes back, as that of a bot."""

TOMBSTONE_TTL = 10
"""Seconds for which a regenerated session tells where it went."""

HEADER_RESERVE = 8192
"""Bytes kept free for the parts of a record beside its values."""

MAX_ATTEMPTS = 100
"""How often a change is applied anew; each time another one had succeeded."""


class Live(NamedTuple):
    """A live session as it was read or written: a later change builds on it."""

    id: str
    record: Record
    version: Version
    read_at: float
    credential: Credential | None = None
    """The one that the client presented, or is to get; None where nobody did."""
    verdict: Verdict = Verdict.CURRENT
    new: bool = False
    """Whether its client has not presented this cookie yet: the response sets it, and a
    write does not note that it was presented."""

    def __repr__(self) -> str:  # without secrets
        return f"<Live {self.id}, {self.verdict.value}>"


class Moved(NamedTuple):
    """A session that the request may not use, though its client may: that has a newer
    cookie of it, of the session it moved to, or one that is too early for our clock."""

    id: str
    successor: str | None
    """The id it went on under, its own if only its cookie is newer; None where the
    credential does not prove that it may know."""
    values: Mapping[str, bytes] = {}
    """The values of its login keys; of one that was anonymous before a login, all."""
    readable: bool = False
    """Whether the request may read them: nobody is logged in with them."""

    def __repr__(self) -> str:  # without values
        return f"<Moved {self.id}>"


def outdated(session_id: str, record: Record) -> Moved:
    """Return the session for a request whose cookie is older than its client's."""
    return Moved(session_id, session_id, record.values)


class Line(NamedTuple):
    """Where a session has gone on, if it was regenerated lately."""

    was: Sequence[Live]
    """The session before each of its last moves."""
    live: Live | None
    """The session as it is, None if it does not live, or cannot be read."""
    unreadable: Version = None
    """The version of what is stored under its id, if that cannot be read."""


Found = Live | Moved | None
"""A session now: it lives, it moved, it ended."""

EndsToo = Callable[[Record, Record], bool]
"""Tells, of a session's former record and that of its successor, whether the end of the
one is the end of the other."""


class Records:
    """The cells of a backend, as records instead of bytes."""

    def __init__(
        self,
        backend: Guarded,
        codec: RecordCodec,
        settings: Settings,
        clock: Callable[[], float],
        marker: Marker,
    ) -> None:
        self.backend = backend
        self.key = settings.key_prefix.__add__
        """Returns the key that a session is stored under, of its id."""
        self.codec = codec
        self._marker = marker
        self._settings = settings
        self._clock = clock
        room = (backend.backend.max_bytes or 2**31) - HEADER_RESERVE
        self._max_payload = min(settings.max_payload, room)

    def read(self, session_id: str) -> tuple[Record | Tombstone | None, Version]:
        """Return the content and its version; None for a record that has expired,
        and, with a warning, for one that we did not seal."""
        key = self.key(session_id)
        return self.opened(session_id, key, self.backend.get(key))

    def read_fronts(
        self, session_ids: Collection[str]
    ) -> dict[str, tuple[Record | Tombstone | None, Version]]:
        """Return the same of several without the values, which are not asked for where
        the storage can leave them out. One that is in no list may have expired: the
        values would tell."""
        keys = {session_id: self.key(session_id) for session_id in session_ids}
        cells = self.backend.get_starts([*keys.values()], READ_FIRST)
        has_front = self.codec.has_front
        cut = [key for key, cell in cells.items() if cell and not has_front(cell.data)]
        cells.update(self.backend.get_many(cut))
        return {i: self.opened(i, k, cells.get(k), False) for i, k in keys.items()}

    def live(self, session_id: str) -> Live | None:
        """Return the session that lives under this id."""
        content, version = self.read(session_id)
        if isinstance(content, Record):
            return Live(session_id, content, version, self._clock())
        return None

    def follow(self, session_id: str) -> tuple[list[Live], Live | None]:
        """Return the session before each of its last moves, and as it is."""
        was: list[Live] = []
        content, version = self.read(session_id)
        while isinstance(content, Tombstone):
            was.append(Live(session_id, content.former, version, self._clock()))
            session_id = content.successor
            content, version = self.read(session_id)
        live = content and Live(session_id, content, version, self._clock())
        return was, live

    def lines(self, session_ids: Collection[str]) -> dict[str, Line]:
        """Return the line of each id, read in as few commands as the storage needs;
        values are not read."""
        lines, now = {}, self._clock()
        for session_id, (content, version) in self.read_fronts(session_ids).items():
            if isinstance(content, Tombstone):
                line = Line(*self.follow(session_id))
            else:
                live = content and Live(session_id, content, version, now)
                line = Line([], live, None if live else version)
            lines[session_id] = line
        return lines

    def reread(self, live: Live) -> Found:
        """Return `live` as it is now."""
        return self._as_found(live, *self.read(live.id))

    def add(self, session_id: str, record: Record) -> Version | None:
        """Store the first record under a fresh id; return its version."""
        key = self.key(session_id)
        ttl = self.expires_at(session_id, record) - int(self._clock())
        return self.backend.add(key, self.codec.seal(key, record), max(1, ttl))

    def swap(self, live: Live, content: Record | Tombstone) -> Found:
        """Store `content` in place of the record of `live`; return the session as it is
        then."""
        now = self._clock()
        if now >= self.expires_at(live.id, live.record):
            return self.reread(live)  # the storage may still have it, or a newer one
        if isinstance(content, Tombstone):
            ttl = TOMBSTONE_TTL
        else:
            ttl = max(1, self.expires_at(live.id, content) - int(now))
        key = self.key(live.id)
        outcome = self.backend.swap(
            key, self.codec.seal(key, content), live.version, ttl
        )
        if outcome is None:
            return None
        if isinstance(outcome, Cell):
            return self._as_found(live, *self.opened(live.id, key, outcome))
        if isinstance(content, Tombstone):
            return Moved(live.id, content.successor)
        return live._replace(record=content, version=outcome, read_at=now)

    def retire(
        self, live: Live, successor: str, *, whole: bool = False, is_open: bool = False
    ) -> Found:
        """Turn the record of `live` into a tombstone; return the session as it is then.

        The tombstone remembers who was logged in, for a logout that comes late; the
        `whole` one keeps all values. If it `is_open`, changes may follow the session.
        """
        values = live.record.values
        who = {key: values[key] for key in self._settings.logins.among(values)}
        former = live.record._replace(
            values=values if whole else who,
            places={},
            meta=None,
            operations=b"",
            indexing=b"",
            flags=live.record.flags | (OPEN if is_open else 0),
        )
        return self.swap(live, Tombstone(former, successor))

    def redirect(self, session_id: str, successor: str) -> None:
        """Let the tombstone of a session, if there is one, lead to another successor.

        If somebody else does that at the same time, one of both does it.
        """
        content, version = self.read(session_id)
        if isinstance(content, Tombstone):
            there = Live(session_id, content.former, version, self._clock())
            self.swap(there, Tombstone(content.former, successor))

    def delete(self, session_id: str, version: Version | None = None) -> bool:
        """Delete a record, with `version` only if it is still that."""
        return self.backend.delete(self.key(session_id), version)

    @changing("destroy")
    def end(
        self,
        session_id: str,
        live: Live | None = None,
        *,
        ends_too: EndsToo | None = None,
    ) -> Live | None:
        """Delete the session, and its successor by regeneration, if `ends_too` says so
        (None: always); return the live one. It stays listed. `live` spares the read."""
        passed: list[str] = []
        origin = live.record if live else None
        attempts = 0
        while not (live and self.delete(session_id, live.version)):
            if (attempts := attempts + 1) > MAX_ATTEMPTS:
                raise BackendError("destroy")
            content, version = self.read(session_id)
            live = None
            if isinstance(content, Tombstone):
                origin = origin or content.former
                passed.append(session_id)
                session_id, attempts = content.successor, 0
            elif content:
                if origin and ends_too and passed and not ends_too(origin, content):
                    return None
                live = Live(session_id, content, version, self._clock())
            elif not self.delete(session_id):
                break
        for former in reversed(passed):
            self.delete(former)
        return live

    def end_unchanged(self, lines: Mapping[str, Line]) -> tuple[list[Live], list[str]]:
        """Delete the sessions of these lines if they are still as they were read, in as
        few commands as the storage needs; return them, and the ids under which there is
        something else."""
        found = {
            line.live.id if line.live else session_id: line
            for session_id, line in lines.items()
        }
        versions = {
            self.key(i): line.live.version if line.live else line.unreadable
            for i, line in found.items()
            if line.live or line.unreadable is not None
        }
        deleted = self.backend.delete_many(versions)
        gone = {i for i in found if self.key(i) in deleted}
        ended = [line.live for i, line in found.items() if i in gone and line.live]
        left = [i for i in found if self.key(i) in versions and i not in gone]
        return ended, left

    def check_size(self, values: Mapping[str, bytes]) -> None:
        """Raise SessionTooLarge if the storage or the configuration forbids this."""
        keys = "".join(values).encode("utf-8", "surrogatepass")
        size = len(keys) + sum(map(len, values.values()))
        if size > self._max_payload:
            raise SessionTooLarge(size, self._max_payload)

    def expires_at(self, session_id: str, record: Record) -> int:
        """Return when the session ends if nobody comes, as unix time; 0 if it has
        ended, with all others of its era."""
        if record.era != self._marker.era and self._marker.is_over(record.era):
            return 0
        idle = self._settings.idle_timeout
        if not record.places:
            if not record.flags & PRESENTED:
                idle = min(idle, UNPRESENTED_TTL)
            elif not any(self._settings.logins.among(record.values)):
                idle = self._settings.anonymous_timeout
        end = int(session_id[33:], 16) + self._settings.absolute_lifetime
        return min(record.last_seen + idle, end)

    def ends_at(self, session_id: str) -> int:
        """Return when the session ends even if it is used, as unix time."""
        return ids.born(session_id) + self._settings.absolute_lifetime

    def opened(
        self,
        session_id: str,
        key: str,
        cell: Cell | None,
        whole: bool = True,
    ) -> tuple[Record | Tombstone | None, Version]:
        """Return the result of :meth:`read`, of the cell that was read under `key`."""
        if cell is None:
            return None, None
        try:
            content = self.codec.open(key, cell.data, whole=whole)
        except Unreadable as reason:
            log.warning("the record of session %s is ignored: %s", session_id, reason)
            return None, cell.version
        if type(content) is Record:
            over = self._clock() >= self.expires_at(session_id, content)
            over = over and (whole or bool(content.places))
            return (None if over else content), cell.version
        if isinstance(content, Tombstone) and self._marker.is_over(content.former.era):
            return None, cell.version
        return content, cell.version

    def _as_found(
        self, live: Live, content: Record | Tombstone | None, version: Version
    ) -> Found:
        match content:
            case Record():
                now = self._clock()
                return live._replace(record=content, version=version, read_at=now)
            case Tombstone():
                return Moved(live.id, content.successor)
            case None:
                return None
