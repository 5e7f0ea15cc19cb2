"""A request ends its session, and those that it came with beside it."""

from __future__ import annotations

import logging
from collections.abc import Collection

from . import moves, signals
from .ending import LOGOUT, SEVERAL_COOKIES, End
from .store.records import Live
from .visit import Visit

log = logging.getLogger("flask_srvsession")

MAX_RIVALS = 20
"""How many of those a login or a logout looks at, to end their sessions."""


def destroy(visit: Visit, durable: int = 0, by: End = LOGOUT) -> None:
    """Keep the promise of :meth:`ServerSideSession.destroy`."""
    visit.store.backend.need(durable)
    if live := visit.live:
        end(visit, live.id, live, by)
    end_moved(visit, by)
    end_rivals(visit)
    visit.was_ended()
    if live:
        visit.send(signals.session_destroyed, live, by)
    if durable:  # a deleted session may still be on the replicas
        came = {credential.id for credential in visit.credentials}
        visit.store.await_replicas(durable, visit.ended | came)


def revoke(visit: Visit, durable: int) -> bool:
    """End the successor of this request's session, if it moved, as a logout does,
    and rivals; return whether one lived."""
    if visit.live or not (visit.moved or visit.rivals or visit.untried):
        return False
    before = visit.ended
    destroy(visit, durable)
    return visit.ended != before


def end_moved(visit: Visit, by: End = LOGOUT) -> bool:
    """End the successor of a session that has moved; return whether it lived."""
    moved = visit.moved
    return bool(moved and moved.successor and end(visit, moved.id, by=by))


def end_rivals(visit: Visit) -> None:
    """End the sessions of which none was used, since several were presented."""
    for credential in [*visit.untried][:MAX_RIVALS]:
        found = visit.store.load(credential, opened=visit.opened)
        if isinstance(found, Live):
            visit.rivals = [*visit.rivals, found.id]
    by = SEVERAL_COOKIES if len(visit.rivals) > 1 else LOGOUT
    for rival in visit.rivals:
        end(visit, rival, by=by)
    if visit.rivals:
        visit.rivals_ended = True
        log.warning(
            "%d sessions were presented at once and are ended: several cookies have"
            " the name %r, set by an app of a sibling domain, or before"
            " SESSION_COOKIE_DOMAIN or SESSION_COOKIE_PATH was changed",
            *(len(visit.rivals), visit.cookie_name),
        )
    visit.rivals = visit.untried = ()


def end(
    visit: Visit,
    session_id: str,
    live: Live | None = None,
    by: End = LOGOUT,
    keys: Collection[str] = (),
) -> bool:
    """End the session, and its successor where that has the same user; return
    whether one lived."""
    ended = moves.end(visit.store, session_id, live, by, keys)
    if ended:
        visit.ended |= {session_id, ended.id}
    return ended is not None
