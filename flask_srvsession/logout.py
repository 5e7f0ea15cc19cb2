"""A request ends its session, and those that it came with beside it."""

from __future__ import annotations

import logging

from . import moves, signals
from .ending import LOGOUT, SEVERAL_COOKIES, End
from .store.records import Live
from .visit import Visit

log = logging.getLogger("flask_srvsession")

MAX_RIVALS = 20
"""How many of those a login or a logout looks at, to end their sessions."""


def destroy(visit: Visit, durable: int = 0, by: End = LOGOUT) -> set[str]:
    """Keep the promise of :meth:`ServerSideSession.destroy`; return the ids of the
    sessions that lived."""
    visit.store.backend.need(durable)
    live = visit.live
    ended = _end(visit, live.id, by, live) if live else set()
    ended |= end_moved(visit, by) | end_rivals(visit, by)
    visit.was_ended()
    if live:
        visit.send(signals.session_destroyed, live, by)
    if durable:  # a deleted session may still be on the replicas
        came = {credential.id for credential in visit.credentials}
        visit.store.await_replicas(durable, ended | came)
    return ended


def revoke(visit: Visit, durable: int, by: End) -> bool:
    """End the successor of this request's session, if it moved, and rivals; return
    whether one lived."""
    came = visit.moved or visit.rivals or visit.untried
    return bool(came and not visit.live and destroy(visit, durable, by))


def end_moved(visit: Visit, by: End = LOGOUT) -> set[str]:
    """End the successor of a session that has moved."""
    moved = visit.moved
    return _end(visit, moved.id, by) if moved and moved.successor else set()


def end_rivals(visit: Visit, by: End = LOGOUT) -> set[str]:
    """End the sessions that were presented and not used: since there are several, or
    since one cannot be read."""
    ended, too_many = set[str](), bool(visit.untried)
    for credential in [*visit.untried][:MAX_RIVALS]:
        found = visit.store.load(credential, opened=visit.opened)
        if isinstance(found, Live):
            visit.rivals = [*visit.rivals, found.id]
    if len(visit.rivals) > 1:
        too_many, by = True, SEVERAL_COOKIES
    for rival in visit.rivals:
        ended |= _end(visit, rival, by)
    if visit.rivals and too_many:
        visit.rivals_ended = True
        log.warning(
            "%d sessions were presented at once and are ended: several cookies have"
            " the name %r, set by an app of a sibling domain, or before"
            " SESSION_COOKIE_DOMAIN or SESSION_COOKIE_PATH was changed",
            *(len(visit.rivals), visit.cookie_name),
        )
    visit.rivals = visit.untried = ()
    return ended


def _end(visit: Visit, session_id: str, by: End, live: Live | None = None) -> set[str]:
    """End the session, and its successor where that has the same user; return the ids
    of both if one lived."""
    ended = moves.end(visit.store, session_id, live, by)
    return {session_id, ended.id} if ended else set()
