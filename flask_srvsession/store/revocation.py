"""All sessions of an index value: find them, end them, and refuse late logins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .. import ids
from ..backends.base import MOST_AT_ONCE, Epoch, Version
from ..backends.guarded import changing
from ..draft import Changes
from ..ending import ALL_REVOKED, End
from ..errors import BackendError
from .lists import Binding, Entry, Watch, entry
from .record import TRACE_LENGTH, Record, Tombstone
from .records import MAX_ATTEMPTS, Live, Moved
from .sessions import SessionStore


class Revocation(NamedTuple):
    """The result of :func:`revoke_all`."""

    epochs: Mapping[bytes, Epoch]
    """The epoch that began with it, under each name."""
    ended: list[Live]
    gone: set[str]
    """The ids of all that do not live any more, by whom ever ended."""
    kept: Live | None
    """The session that goes on, with that epoch."""


def find(
    store: SessionStore,
    binding: Binding,
    *,
    limit: int | None = None,
    after: str | None = None,
) -> list[Live]:
    """Return the live sessions of `binding`, those that began first in front: at most
    `limit` of those that follow the id `after`. Without their values, so that a long
    list takes little memory."""
    entries = store.lists.entries(binding)
    listed = sorted(dict.fromkeys(e.session_id for e in entries), key=ids.born)
    if after in listed:
        listed = listed[listed.index(after) + 1 :]
    elif after is not None:  # it has ended: of its own second, none is left out
        listed = [each for each in listed if ids.born(each) >= ids.born(after)]
    found = list[Live]()
    for start in range(0, len(listed), MOST_AT_ONCE):
        found += _living(store, binding, listed[start : start + MOST_AT_ONCE], entries)
        if limit is not None and len(found) >= limit:
            return found[:limit]
    return found


def _living(
    store: SessionStore,
    binding: Binding,
    listed: Sequence[str],
    entries: Mapping[Entry, bytes],
) -> list[Live]:
    """Return those that live, in this order; unlist those that are gone."""
    read = store.records.read_many(listed)
    gone = {i for i, found in read.items() if found == (None, None)}
    # A record that is there but cannot be read stays listed.
    store.lists.remove({e: n for e, n in entries.items() if e.session_id in gone})
    now = store.clock()
    live = [
        Live(i, record._replace(values={}), version, now)
        for i, (record, version) in read.items()
        if isinstance(record, Record) and binding.lists(record)
    ]
    admitted = store.lists.admitted({each.id: each.record.places for each in live})
    return [each for each in live if each.id in admitted]


@changing("revoke")
def revoke_all(
    store: SessionStore,
    binding: Binding,
    *,
    keep: Live | None = None,
    watch: Watch = iter,
    end: End = ALL_REVOKED,
) -> Revocation:
    """End all sessions of `binding`, but for `keep`; `watch` sees each end.

    The epoch ends first: a login with the old one is refused, and all that are listed
    are known. A session is unlisted after its record is deleted: so this can be done
    again after a crash.
    """
    epochs, entries, kept = _fence(store, binding, keep)
    spared = {live.id for live in (keep, kept) if live}
    ended, gone = list[Live](), set[str]()
    listed = [*dict.fromkeys(e.session_id for e in entries)]
    for number, session_id in enumerate(watch(listed)):
        if number % MOST_AT_ONCE == 0:
            read = store.records.read_many(listed[number : number + MOST_AT_ONCE])
        was, live = _line(store, session_id, *read[session_id])
        line = [*was, live] if live else was
        traces = {other[:TRACE_LENGTH] for other in spared}
        if any(h.id in spared or h.record.replaces in traces for h in line):
            spared.update(h.id for h in line)  # successors of the kept session
            continue
        ending = live.id if live else session_id
        if lived := store.records.end(ending, live):
            ended.append(lived)
            store.ended(lived, end)
        gone |= {session_id, ending}
    store.lists.remove({e: n for e, n in entries.items() if e.session_id not in spared})
    elsewhere = {
        live.id: {n: p for n, p in live.record.places.items() if n not in epochs}
        for live in ended
    }
    store.lists.forget(elsewhere)
    return Revocation(epochs, ended, gone, kept)


def _line(
    store: SessionStore,
    session_id: str,
    content: Record | Tombstone | None,
    version: Version,
) -> tuple[list[Live], Live | None]:
    """Return what a session was and is, of what was read a moment ago: whoever ends
    it finds out if it has changed since."""
    if isinstance(content, Tombstone):
        return store.records.follow(session_id)
    if content is None:
        return [], None
    return [], Live(session_id, content, version, store.clock())


def _fence(
    store: SessionStore, binding: Binding, keep: Live | None
) -> tuple[Mapping[bytes, Epoch], Mapping[Entry, bytes], Live | None]:
    """End the epoch; take `keep`, or its successor by then, along into
    the new one, before any session is ended."""
    for _ in range(MAX_ATTEMPTS):
        places = keep.record.places if keep else {}
        listed = {
            name: entry(keep.id, name, places)
            for name in binding.names
            if keep and name in places
        }
        epochs, entries = store.lists.fence(binding, listed)
        if keep is None or not listed:
            return epochs, entries, None
        found = store.save(keep, Changes(), epochs=epochs)
        if isinstance(found, Live):
            return epochs, entries, found
        successor = found.successor if isinstance(found, Moved) else None
        keep = store.records.follow(successor)[1] if successor else None
    raise BackendError("revoke")
