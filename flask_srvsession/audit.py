"""One line of JSON for each session that was ended: who did it, and why.

The logger ``flask_srvsession.audit`` has them at level INFO; without a handler for that
nothing is made. They hold no secrets and nothing that a session holds.
"""

from __future__ import annotations

import json
import logging

from flask import Flask, has_request_context, request

from .info import SessionInfo, utc

log = logging.getLogger("flask_srvsession.audit")


def tell(app: Flask, info: SessionInfo, now: float) -> None:
    """Write the line of a session that was ended `now`; ``info.end`` says by whom."""
    end = info.end
    if end is None:
        return
    facts = {
        "event": "session_ended",
        "time": utc(int(now)).isoformat(),
        "app": app.name,
        "endpoint": request.endpoint if has_request_context() else None,
        "session": info.id,
        "actor": end.actor,
        "reason": end.reason,
        "created_at": info.created_at.isoformat(),
        "last_seen_at": info.last_seen_at.isoformat(),
    }
    log.info("%s", json.dumps(facts, default=str), extra={"session_ended": facts})


def is_wanted() -> bool:
    """Return whether somebody takes the lines."""
    return log.isEnabledFor(logging.INFO)
