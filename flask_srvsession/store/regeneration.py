"""How a session gets a new id: at logins, at logouts that keep it, by ``rotate()``.

The order is proven in tests/concurrency/models/regenerate.pml: the new record exists,
bound and listed, before the old one turns into a tombstone, on the version whose
content was copied. A change of the old one in between is merged into the new one, and
one that comes after it may follow, but never into a login; an end of either of them
wins. A crash anywhere leaves the old session or the new one, and
the cookie is set only when the old one is dead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import ids
from ..backends.base import Epoch
from ..backends.guarded import changing
from ..draft import Changes
from ..errors import BackendError, StaleLogin
from .lists import gained, new_mark
from .record import Places, inherited
from .records import MAX_ATTEMPTS, Found, Live, Moved
from .room import SeatLost
from .sessions import SessionStore


@changing("regenerate")
def regenerate(
    store: SessionStore,
    live: Live,
    changes: Changes,
    *,
    login: bool,
    epochs: Mapping[bytes, Epoch] | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Found:
    """Return the session with `changes` made, under a new id; the old one is dead.

    A `login` begins a new life, otherwise the absolute lifetime goes on. A crash
    anywhere leaves the old session or the new one. Where the result is no
    :class:`Live`, the session was ended meanwhile, and nothing new is left.
    Raises as :meth:`SessionStore.create` does; then the old session is untouched.
    """
    born, present = None if login else ids.born(live.id), epochs
    for _ in range(MAX_ATTEMPTS):
        try:
            fresh = store.create(
                changes, epochs=present, meta=meta, born=born, replaced=live
            )
        except SeatLost:
            return store.records.reread(live)
        except StaleLogin:
            present = None if epochs else store.lists.kept(live.id, live.record.places)
            if not present:
                raise
            continue
        found = _move(store, live, fresh, changes, login)
        if not isinstance(found, Live) or found.id == fresh.id:
            return found
        live = found  # the new one was ended, but not this session
    raise BackendError("regenerate")


def _move(
    store: SessionStore, live: Live, fresh: Live, changes: Changes, login: bool
) -> Found:
    """Turn `live` into a tombstone that leads to `fresh`; return `fresh`, with the
    changes of others in it. Otherwise nothing new is left: the session was ended, or
    else it is returned as it is now, since `fresh` was ended."""
    for _ in range(MAX_ATTEMPTS):
        found = _retire(store, live, fresh.id, changes, login)
        if isinstance(found, Moved) and found.successor == fresh.id:
            store.lists.forget({live.id: live.record.places})
            return fresh
        if not isinstance(found, Live):
            store.withdraw(fresh)
            return found
        values = changes.apply(found.record.values)
        try:
            store.records.check_size(values)
            merged = relist(store, fresh, values, found.record.places)
        except Exception as error:
            store.withdraw(fresh, error)
            raise
        if not isinstance(merged, Live):
            return found
        fresh, live = merged, found
    raise BackendError("regenerate")


def _retire(
    store: SessionStore, live: Live, successor: str, changes: Changes, login: bool
) -> Found:
    """Turn `live` into a tombstone; return the session as it is then."""
    try:
        whole = login and store.is_anonymous(live.record)  # for the same login again
        is_open = not (login or changes.cleared)
        return store.records.retire(live, successor, whole=whole, is_open=is_open)
    except BackendError as error:
        if not error.quick:
            raise
        return store.records.reread(live)


def relist(
    store: SessionStore,
    live: Live,
    values: Mapping[str, bytes],
    carried: Places,
    *,
    rename: bool = False,
) -> Found:
    """Store other `values` of a session, and list it as they say; return it as it
    is then. It has the places that are `carried` over, too. Raises as
    :meth:`SessionStore.enlist` does."""
    before = live.record.places
    mark = new_mark(store.clock())
    wanted, indexing = store.lists.places(
        values, {**before, **carried}, {}, mark, rename=rename
    )
    added = gained(before, wanted)
    store.enlist(live.id, values, added, mark=mark)
    flags = live.record.flags | inherited(wanted, carried)
    record = live.record._replace(
        values=values, places=wanted, indexing=indexing, flags=flags
    )
    found = store.records.swap(live, record)
    if not isinstance(found, Live):
        leaving = added
    elif found.record is record:
        leaving = gained(wanted, before)
    else:  # another one renames a place, maybe, which keeps its mark
        leaving = {n: place for n, place in added.items() if place[1] == mark}
    store.lists.forget({live.id: leaving})
    return found
