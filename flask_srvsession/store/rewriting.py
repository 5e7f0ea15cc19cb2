"""Records that nobody touches are written anew, with the newest key."""

from __future__ import annotations

from collections.abc import Iterator

from .. import ids
from ..backends.base import MOST_AT_ONCE, ListsKeys
from ..errors import StaleLogin, TooManySessions
from .record import Record
from .records import MAX_ATTEMPTS, Live
from .regeneration import relist
from .room import SeatLost
from .sessions import SessionStore


def session_ids(store: SessionStore) -> list[str] | None:
    """Return the ids of all sessions, None where the storage cannot list its keys."""
    backend, prefix = store.backend.backend, store.settings.key_prefix
    if not isinstance(backend, ListsKeys):
        return None
    found = (key[len(prefix) :] for key in backend.keys(prefix))
    try:
        return [*dict.fromkeys(filter(ids.is_id, found))]
    except NotImplementedError:
        return None


def outdated(store: SessionStore, session_ids: list[str]) -> Iterator[str]:
    """Yield those whose records are not encrypted, or not, as present ones are."""
    for start in range(0, len(session_ids), MOST_AT_ONCE):
        keys = {store.records.key(i): i for i in session_ids[start:][:MOST_AT_ONCE]}
        for key, cell in store.backend.get_many([*keys]).items():
            if cell and not store.records.codec.is_present(cell.data):
                yield keys[key]


def rewrite(store: SessionStore, session_id: str) -> bool:
    """Write a session as present ones are, and list it under present names.

    Return whether that was done, and not by anybody else: one that has ended, or was
    written meanwhile, needs it no more. Its client notices nothing; it ends when it
    would have ended.
    """
    key = store.records.key(session_id)
    for _ in range(MAX_ATTEMPTS):
        cell = store.backend.get(key)
        if cell is None or store.records.codec.is_present(cell.data):
            return False
        content, version = store.records.opened(session_id, key, cell)
        if not isinstance(content, Record):
            return False
        live = Live(session_id, content, version, store.clock())
        try:
            found = relist(store, live, content.values, {}, rename=True)
            if isinstance(found, Live) and found.record.values is content.values:
                return True
        except (StaleLogin, TooManySessions, SeatLost):
            return False  # it is being ended
    return False
