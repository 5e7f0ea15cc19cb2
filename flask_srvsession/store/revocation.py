"""All sessions of an index value: find them, end them, and refuse late logins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .. import ids
from ..backends.base import Epoch
from ..backends.guarded import changing
from ..draft import Changes
from ..ending import ALL_REVOKED, End
from ..errors import BackendError
from .lists import Binding, Entry, Watch, entry
from .record import TRACE_LENGTH, Record
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


def find(store: SessionStore, binding: Binding) -> list[Live]:
    """Return the live sessions of `binding`, those that began first in front."""
    entries = store.lists.entries(binding)
    found = store.records.read_many(dict.fromkeys(e.session_id for e in entries))
    absent = (None, None)  # a record that cannot be read stays listed
    store.lists.remove(
        {e: name for e, name in entries.items() if found[e.session_id] == absent}
    )
    now = store.clock()
    live = [
        Live(session_id, record, version, now)
        for session_id, (record, version) in found.items()
        if isinstance(record, Record) and binding.lists(record)
    ]
    admitted = store.lists.admitted({each.id: each.record.places for each in live})
    live = [each for each in live if each.id in admitted]
    return sorted(live, key=lambda each: ids.born(each.id))


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
    for session_id in watch(dict.fromkeys(e.session_id for e in entries)):
        was, live = store.records.follow(session_id)
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
