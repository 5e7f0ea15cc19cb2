"""A session that moved still counts: for a logout, for the same login again, and for
the changes of requests in flight.

A session moves when it gets a new id. Requests with its former cookie may be under way,
or their client never got the new one.

The order in which a login is done again is proven in
tests/concurrency/models/again.pml.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

from .backends.base import Epoch
from .draft import Changes, Draft
from .ending import LOGIN_REPEATED, LOGOUT, End
from .errors import BackendError
from .logins import is_same_user, names, was_anonymous
from .serializers import Undecodable
from .store import SessionStore
from .store.record import OPEN, Record
from .store.records import MAX_ATTEMPTS, Found, Live, Moved

log = logging.getLogger("flask_srvsession")


def end(
    store: SessionStore,
    session_id: str,
    live: Live | None = None,
    by: End = LOGOUT,
    keys: Collection[str] = (),
) -> Live | None:
    """End the session, and its successor where that has the same user by one of these
    login `keys`, or all; return the live one.

    A cookie that somebody has planted before a login must not end that login.
    """

    def ends_too(former: Record, present: Record) -> bool:
        return have_same_user(store, former.values, present.values, keys)

    return store.destroy(session_id, live, by, ends_too=ends_too)


def create(
    store: SessionStore,
    moved: Moved,
    changes: Changes,
    *,
    epochs: Mapping[bytes, Epoch] | None,
    meta: Mapping[str, Any] | None,
) -> Live:
    """Return a new session, for a request whose own has `moved` and is readable.

    After a login it has moved to one that the client may not know: the first answer was
    lost, or nobody waited for it. The next login has the former content as well, and
    what moved leads to it from then on, for ten more seconds. The session that the
    login before has begun ends, if nobody has presented it.
    """
    values = changes.apply(moved.values)
    first = store.records.live(moved.successor) if moved.successor else None
    unseen = first if first and not first.record.presented else None
    if unseen and have_same_user(store, values, unseen.record.values):
        store.discard(unseen, LOGIN_REPEATED)
    begun = Changes(assigned=values, permanent=changes.permanent)
    created = store.create(begun, epochs=epochs, meta=meta)
    try:
        store.records.redirect(moved.id, created.id)
    except BackendError as error:  # a third login would leave this one listed
        log.warning("session %s is not known to have moved: %s", moved.id, error)
    return created


def follow(store: SessionStore, live: Live, moved: Moved, changes: Changes) -> Found:
    """Let the changes of a request that had read `live` follow it to the session that
    it moved to; return the session as this request goes on to see it, else how it is.

    They could as well have been saved before the move, which carries all over. They do
    not follow a login, ``clear()``, a key that may name another user, or the end of all
    other sessions of the user. The request sees nothing of the new session, and sends
    no cookie.
    """
    for _ in range(MAX_ATTEMPTS):
        was, present = store.records.follow(live.id)
        is_open = all(each.record.flags & OPEN for each in was)
        if not (present and is_open and _goes_on(store, live.record, present.record)):
            return moved
        unseen = present._replace(new=True)  # its client may not have come yet
        if isinstance(store.save(unseen, changes), Live):
            values = changes.apply(live.record.values)
            record = live.record._replace(values=values)
            return live._replace(record=record, credential=None)
    raise BackendError("save")


def _goes_on(store: SessionStore, former: Record, present: Record) -> bool:
    """Whether nobody else may be logged in now, and no revocation came in between."""
    epochs = {name: place[0] for name, place in former.places.items()}
    revoked = any(epochs.get(n, p[0]) != p[0] for n, p in present.places.items())
    same = have_same_user(store, former.values, present.values, no_other=True)
    return same and not revoked


def have_same_user(
    store: SessionStore,
    one: Mapping[str, bytes],
    other: Mapping[str, bytes],
    keys: Collection[str] = (),
    *,
    no_other: bool = False,
) -> bool:
    """Whether a login key, one of `keys` if there are any, names the same user in both,
    or nobody is logged in with either; and, with `no_other`, whether no key names
    somebody in the `other` who has no key in the first."""
    before, after = Draft(one, store.serializer), Draft(other, store.serializer)
    logins = store.settings.logins
    try:
        if no_other and not names(after, logins) <= names(before, logins):
            return False
        if was_anonymous(before, logins):
            return was_anonymous(after, logins)
        return is_same_user(before, after, logins, keys)
    except Undecodable:
        return False
