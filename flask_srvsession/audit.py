"""One line of JSON for each session that was ended: who did it, and why. One for all,
if all were ended at once.

The logger ``flask_srvsession.audit`` has them at level INFO; without a handler for that
nothing is made. They hold no secrets and nothing that a session holds.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

from flask import Flask, has_request_context, request

from .ending import End
from .info import SessionInfo, utc

log = logging.getLogger("flask_srvsession.audit")


def tell(app: Flask, info: SessionInfo, now: float) -> None:
    """Write the line of a session that was ended `now`; ``info.end`` says by whom."""
    if info.end is None:
        return
    times = {
        "created_at": info.created_at.isoformat(),
        "last_seen_at": info.last_seen_at.isoformat(),
    }
    _write("session_ended", app, info.id, info.end, now, times)


def tell_everything(app: Flask, end: End, now: float) -> None:
    """Write the line of the end of all sessions."""
    _write("everything_ended", app, None, end, now)


def _write(
    event: str,
    app: Flask,
    session_id: str | None,
    end: End,
    now: float,
    times: Mapping[str, str] = {},
) -> None:
    facts = {
        "event": event,
        "time": utc(int(now)).isoformat(),
        "app": app.name,
        "endpoint": request.endpoint if has_request_context() else None,
        "session": session_id,
        "actor": end.actor,
        "reason": end.reason,
        **times,
    }
    log.info("%s", json.dumps(facts, default=str), extra={event: facts})


def is_wanted() -> bool:
    """Return whether somebody takes the lines."""
    return log.isEnabledFor(logging.INFO)
