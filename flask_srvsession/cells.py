"""Records under ids: sealed, opened, and with the time that they have left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from . import ids
from .backends.base import Cell, Token
from .config import Settings
from .errors import SessionTooLarge
from .guard import Guarded
from .ids import Credential
from .record import Binding, Record, RecordCodec, Tombstone, Unreadable
from .rotation import Standing

log = logging.getLogger("flask_srvsession")

UNPRESENTED_TTL = 3600
"""Seconds that a session lives whose cookie never comes back, as that of a bot."""

TOMBSTONE_TTL = 10
"""Seconds for which a regenerated session says where it went."""

HEADER_RESERVE = 8192
"""Bytes kept free for what a record holds beside its values."""

MAX_ATTEMPTS = 100
"""How often a change is applied anew; each time somebody else's had succeeded."""


class Held(NamedTuple):
    """A live session as it was read or written: what a later change builds on."""

    id: str
    record: Record
    version: Token
    read_at: float
    credential: Credential | None = None
    """What the client presented, or is to be given; None where nobody did."""
    standing: Standing = Standing.CURRENT
    created: bool = False
    """Whether this very request created it, so that no client has presented it."""

    def __repr__(self) -> str:  # without secrets
        return f"<Held {self.id}, {self.standing.value}>"


@dataclass(frozen=True, slots=True)
class Superseded:
    """The session was regenerated a moment ago; its client has a newer cookie."""

    id: str
    successor: str | None
    """The id it went on under, if the credential that found out was the right one."""


Found = Held | Superseded | None
"""What became of a session: it lives, it moved, it is gone."""


class RecordCells:
    """The cells of a backend, as records instead of bytes."""

    def __init__(
        self,
        backend: Guarded,
        codec: RecordCodec,
        settings: Settings,
        clock: Callable[[], float],
    ) -> None:
        self._backend = backend
        self._codec = codec
        self._settings = settings
        self._clock = clock
        room = (backend.backend.max_bytes or 2**31) - HEADER_RESERVE
        self._max_payload = min(settings.max_payload, room)

    def read(self, session_id: str) -> tuple[Record | Tombstone | None, Token]:
        """Return what is stored and which version; None for what has expired, and,
        with a warning, for what we did not seal."""
        return self._opened(session_id, self._backend.get(self.key(session_id)))

    def read_many(
        self, session_ids: Collection[str]
    ) -> dict[str, tuple[Record | Tombstone | None, Token]]:
        """The same of several, in as few commands as the storage needs."""
        cells = self._backend.get_many([*map(self.key, session_ids)])
        return {i: self._opened(i, cells.get(self.key(i))) for i in session_ids}

    def live(self, session_id: str) -> Held | None:
        """Return the session that lives under this id."""
        content, version = self.read(session_id)
        if isinstance(content, Record):
            return Held(session_id, content, version, self._clock())
        return None

    def follow(self, session_id: str) -> tuple[list[Held], Held | None]:
        """Return what the session was before each time that it was regenerated of
        late, and what it is now."""
        was: list[Held] = []
        content, version = self.read(session_id)
        while isinstance(content, Tombstone):
            was.append(Held(session_id, content.former, version, self._clock()))
            session_id = content.successor
            content, version = self.read(session_id)
        if content is None:
            return was, None
        return was, Held(session_id, content, version, self._clock())

    def reread(self, held: Held) -> Found:
        """Return what became of what is `held`."""
        return self._as_found(held, *self.read(held.id))

    def add(self, session_id: str, record: Record) -> Token | None:
        """Store the first record under a fresh id; return its version."""
        key = self.key(session_id)
        data = self._codec.seal(key, record)
        return self._backend.add(key, data, self._ttl(session_id, record))

    def swap(self, held: Held, record: Record) -> Found:
        """Store `record` in place of what is `held`; return what is there then."""
        return self._swap(held, record, self._ttl(held.id, record))

    def retire(self, held: Held, successor: str) -> Found:
        """Turn what is `held` into a tombstone; return what is there then."""
        former = held.record._replace(values={}, bindings={}, meta=None, operations=())
        stone = Tombstone(former, successor)
        return self._swap(held, stone, TOMBSTONE_TTL)

    def delete(self, session_id: str, version: Token | None = None) -> bool:
        """Delete what is stored, with `version` only if it is still that."""
        return self._backend.delete(self.key(session_id), version)

    def check_size(self, values: Mapping[str, bytes]) -> None:
        """Raise SessionTooLarge if the storage or the configuration forbids this."""
        size = sum(map(len, values)) + sum(map(len, values.values()))
        if size > self._max_payload:
            raise SessionTooLarge(size, self._max_payload)

    def expires_at(self, session_id: str, record: Record) -> int:
        """Return when the session ends if nobody comes, as unix time."""
        idle = self._settings.idle_timeout
        if not record.presented and not record.bindings:
            idle = min(idle, UNPRESENTED_TTL)
        return min(record.last_seen + idle, self.ends_at(session_id))

    def ends_at(self, session_id: str) -> int:
        """Return when the session ends whoever comes, as unix time."""
        return ids.born(session_id) + self._settings.absolute_lifetime

    def key(self, session_id: str) -> str:
        """Return what the session is stored under."""
        return self._settings.key_prefix + session_id

    def _ttl(self, session_id: str, record: Record) -> int:
        return max(1, self.expires_at(session_id, record) - int(self._clock()))

    def _swap(self, held: Held, content: Record | Tombstone, ttl: int) -> Found:
        if self._is_over(held.id, held.record):
            return self.reread(held)  # the storage may still have it, or a newer one
        key = self.key(held.id)
        data = self._codec.seal(key, content)
        outcome = self._backend.swap(key, data, held.version, ttl)
        if isinstance(outcome, Cell):
            return self._as_found(held, *self._opened(held.id, outcome))
        return self._as_found(held, content if outcome is not None else None, outcome)

    def _opened(
        self, session_id: str, cell: Cell | None
    ) -> tuple[Record | Tombstone | None, Token]:
        if cell is None:
            return None, None
        try:
            content = self._codec.open(self.key(session_id), cell.data)
        except Unreadable as reason:
            log.warning("the record of session %s is ignored: %s", session_id, reason)
            return None, cell.token
        if isinstance(content, Record) and self._is_over(session_id, content):
            return None, cell.token
        return content, cell.token

    def _is_over(self, session_id: str, record: Record) -> bool:
        return self._clock() >= self.expires_at(session_id, record)

    def _as_found(
        self, held: Held, content: Record | Tombstone | None, version: Token
    ) -> Found:
        match content:
            case Record():
                now = self._clock()
                return held._replace(record=content, version=version, read_at=now)
            case Tombstone():
                return Superseded(held.id, content.successor)
            case None:
                return None


def is_elsewhere(binding: Binding, was: list[Held], held: Held | None) -> bool:
    """Whether a session was regenerated to one that lives, but not in `binding`: its
    user signed out, say. One that was not may be listed before its record says so."""
    return bool(was and held and binding not in held.record.bindings)
