"""A session that moved still counts: for a logout, and for the same login again.

A session moves when it gets a new id. Requests with its former cookie may be under way,
or their client never got the new one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from .draft import Changes, Draft, Undecodable
from .ending import LOGIN_REPEATED, LOGOUT, End
from .logins import is_same_user, was_anonymous
from .store import SessionStore
from .store.record import Record
from .store.records import Found, Live, Moved


def end(
    store: SessionStore,
    session_id: str,
    live: Live | None = None,
    end: End = LOGOUT,
    keys: Collection[str] = (),
) -> Live | None:
    """End the session, and its successor where that has the same user by one of these
    login `keys`, or all; return the live one.

    A cookie that somebody has planted before a login must not end that login.
    """

    def follow(former: Record, present: Record) -> bool:
        return have_same_user(store, former.values, present.values, keys)

    return store.destroy(session_id, live, end, follow=follow)


def begin_again(store: SessionStore, moved: Moved, changes: Changes) -> Changes:
    """Return the content of a login whose session moved by a login: the `changes`, made
    to the former content. The first answer was lost, or nobody waited for it.

    If nobody has presented the session that the first one began, it ends.
    """
    if not moved.readable:
        return changes
    values = changes.apply(moved.values)
    first = store.records.live(moved.successor) if moved.successor else None
    unseen = first if first and not first.record.presented else None
    if unseen and have_same_user(store, values, unseen.record.values):
        store.discard(unseen, LOGIN_REPEATED)
    return replace(changes, cleared=False, assigned=values, removed=(), computed={})


def held_by(found: Found, values: Mapping[str, bytes]) -> Moved | None:
    """Return the session that was found to have moved, as it is readable to a request
    that had read these values of it before."""
    if isinstance(found, Moved):
        return found._replace(values=values, readable=True)
    return None


def have_same_user(
    store: SessionStore,
    one: Mapping[str, bytes],
    other: Mapping[str, bytes],
    keys: Collection[str] = (),
) -> bool:
    """Whether a login key, one of `keys` if there are any, names the same user in both,
    or nobody is logged in with either."""
    before, after = Draft(one, store.serializer), Draft(other, store.serializer)
    logins = store.settings.logins
    try:
        if was_anonymous(before, logins):
            return was_anonymous(after, logins)
        return is_same_user(before, after, logins, keys)
    except Undecodable:
        return False
