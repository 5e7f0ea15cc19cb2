"""One line of JSON for each session that was ended: who did it, and why. One for all,
if all were ended at once.

The logger ``flask_srvsession.audit`` has them at level INFO; without a handler for that
nothing is made. They hold no secrets and nothing that a session holds.
"""

from __future__ import annotations

import json
import logging

from flask import Flask, has_request_context, request

from .ending import End
from .info import SessionInfo, utc

log = logging.getLogger("flask_srvsession.audit")


def tell(app: Flask, end: End, now: float, info: SessionInfo | None = None) -> None:
    """Write the line of a session that was ended `now`, or, without one, of all."""
    event = "session_ended" if info else "everything_ended"
    facts = {
        "event": event,
        "time": utc(int(now)).isoformat(),
        "app": app.name,
        "endpoint": request.endpoint if has_request_context() else None,
        "session": info.id if info else None,
        "actor": end.actor,
        "reason": end.reason,
    }
    if info:
        facts["created_at"] = info.created_at.isoformat()
        facts["last_seen_at"] = info.last_seen_at.isoformat()
    log.info("%s", json.dumps(facts, default=str), extra={event: facts})
