"""All sessions of an index value: end them, refuse late logins, and find them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from ..backends.base import MOST_AT_ONCE, Epoch
from ..backends.guarded import changing
from ..draft import Changes
from ..ending import ALL_REVOKED, End
from ..errors import BackendError
from .lists import Binding, Entry, is_elsewhere
from .records import MAX_ATTEMPTS, Line, Live, Moved
from .sessions import SessionStore

PAGE = 1000
"""Entries that are read at once, where all are needed: others wait for a storage that
does one thing after the other."""

UNLISTED = 20_000
"""Entries that are unlisted at once: memcached writes the whole list for that."""

Watch = Callable[[int, int], None]
"""Is told how many entries are done, and of how many."""


class Revocation(NamedTuple):
    """The result of :func:`revoke_all`."""

    epochs: Mapping[bytes, Epoch]
    """The epoch that began with it, under each name."""
    ended: list[Live]
    """Those that lived, without their values."""
    gone: set[str]
    """The ids of all that do not live any more, by whom ever ended."""
    kept: Live | None
    """The session that goes on, with that epoch."""


@changing("revoke")
def revoke_all(
    store: SessionStore,
    binding: Binding,
    *,
    keep: Live | None = None,
    watch: Watch | None = None,
    end: End = ALL_REVOKED,
) -> Revocation:
    """End all sessions of `binding`, but for `keep`; `watch` sees how far it is.

    The order of the steps makes it sure, and lets it be done again after a crash:

    1. The epoch ends, under every name of the list; `keep` goes over to the new one.
       From then on a login with the old epoch is refused.
    2. The list is read. Of whoever is in it, the record is deleted; but for those with
       the new epoch, or a later one: they have logged in since.
    3. Those who have ended are unlisted, here, and then in their other lists.
    """
    epochs, spared = _fence(store, binding, keep)
    kept = spared if spared and binding.lists(spared.record) else None
    done = Revocation(epochs, [], set(), kept)
    total = store.lists.count(binding) if watch else 0
    seen, leaving = 0, list[Entry]()
    for page in store.lists.pages(binding, PAGE):
        listed = dict.fromkeys(entry.session_id for entry in page)
        stay = _end(store, binding, listed, done, spared, end)
        seen += len(listed)
        if watch:
            watch(min(seen, total), total)
        leaving += [entry for entry in page if entry.session_id not in stay]
        if len(leaving) >= UNLISTED:
            store.lists.unlist(leaving)
            leaving.clear()
    store.lists.unlist(leaving)
    store.lists.forget({live.id: live.record.places for live in done.ended}, epochs)
    return done


def _fence(
    store: SessionStore, binding: Binding, keep: Live | None
) -> tuple[Mapping[bytes, Epoch], Live | None]:
    """End the epoch; take `keep`, or its successor by then, along into the new one;
    return it. One that an earlier fence was to end is not kept. One that is not listed
    here is another user's, and stays as it is."""
    epochs: Mapping[bytes, Epoch] = {}
    for _ in range(MAX_ATTEMPTS):
        epochs, may_stay = store.lists.fence(binding, keep, epochs)
        if keep is None or not binding.lists(keep.record):
            return epochs, keep
        found = store.save(keep, Changes(), epochs=epochs) if may_stay else None
        if isinstance(found, Live):
            return epochs, found
        successor = found.successor if isinstance(found, Moved) else None
        keep = store.records.follow(successor)[1] if successor else None
    raise BackendError("revoke")


def _end(
    store: SessionStore,
    binding: Binding,
    session_ids: Collection[str],
    done: Revocation,
    spared: Live | None,
    end: End,
) -> set[str]:
    """End these sessions, and what they have moved to, unless that is somebody else's
    by now; return the ids of those that have the new epoch, or a later one."""
    stay, left = set[str](), session_ids
    for _ in range(MAX_ATTEMPTS):
        lines = store.records.lines(left)
        # The epochs are asked for after the records: no session has a later one.
        heads = {name: store.lists.head(name) for name in binding.names}
        newer = {*done.epochs.items(), *((n, h.epoch) for n, h in heads.items() if h)}
        stay |= {i for i, line in lines.items() if _stays(line, newer, spared)}
        ending = {
            session_id: line
            for session_id, line in lines.items()
            if session_id not in stay and not is_elsewhere(binding, line)
        }
        ended, left = store.records.end_unchanged(ending)
        for lived in ended:
            store.tell_ended(lived, end)
            done.ended.append(lived._replace(record=lived.record._replace(values={})))
        living = [line.live.id for line in ending.values() if line.live]
        done.gone.update(ending, living)
        if not left:
            return stay
    raise BackendError("revoke")


def _stays(
    line: Line, newer: Collection[tuple[bytes, Epoch]], spared: Live | None
) -> bool:
    """Return whether a session is spared, or is in one of these `newer` epochs of the
    list: it logged in after the fence, or was kept by it."""
    if line.live is None:
        return False
    # By its id: its epoch may be an older one again, if another end of all keeps it.
    if spared and spared.id in (line.live.id, *[each.id for each in line.was]):
        return True
    places = line.live.record.places
    return any((name, place[0]) in newer for name, place in places.items())


def find(
    store: SessionStore,
    binding: Binding,
    *,
    limit: int | None = None,
    after: str | None = None,
) -> list[Live]:
    """Return the live sessions of `binding`, in the order in which they were listed: at
    most `limit` of those that follow the id `after`. Without their values, so that a
    long list takes little memory."""
    start = _entry_of(store, binding, after) if after else None  # None: it has ended
    found, moved = dict[str, Live](), dict[str, Live]()
    size = PAGE if limit is None else min(PAGE, max(limit, MOST_AT_ONCE))
    for page in store.lists.pages(binding, size, start):
        listed = dict.fromkeys(e.session_id for e in page)
        wanted = [i for i in listed if i not in found]
        for live in _living(store, binding, wanted, page):
            (found if live.id in listed else moved)[live.id] = live
        if limit is not None and len(found) >= limit:
            break
    else:
        found = {**found, **moved}  # listed too late to be read, maybe
    return [*found.values()][:limit]


def _entry_of(store: SessionStore, binding: Binding, session_id: str) -> Entry | None:
    """Return the entry of a session that lives."""
    live = store.records.live(session_id)
    places = live.record.places if live else {}
    for name in binding.names:
        if name in places:
            return Entry(name, session_id, *places[name])
    return None


def _living(
    store: SessionStore,
    binding: Binding,
    listed: Sequence[str],
    entries: Iterable[Entry],
) -> list[Live]:
    """Return those that live, in this order, or what they have just moved to; unlist
    those that are gone."""
    lines = store.records.lines(listed)
    gone = {i for i, line in lines.items() if line == ([], None, None)}
    # A record that is there but cannot be read stays listed.
    store.lists.unlist(entry for entry in entries if entry.session_id in gone)
    live = [
        line.live._replace(record=line.live.record._replace(values={}))
        for line in lines.values()
        if line.live and binding.lists(line.live.record)
    ]
    admitted = store.lists.admitted({each.id: each.record.places for each in live})
    return [each for each in live if each.id in admitted]
