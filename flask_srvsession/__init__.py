"""Server-side sessions for Flask that end when you end them."""

from typing import cast

import flask

from .errors import (
    BackendError,
    ConfigurationError,
    DeviceNotProven,
    NotReplicated,
    SessionError,
    SessionRefused,
    SessionTooLarge,
    StaleCredential,
    StaleLogin,
    TooManySessions,
)
from .extension import ServerSession
from .info import SessionInfo
from .login_keys import LOGIN_KEYS
from .session import ServerSideSession
from .signals import (
    binding_failed,
    everything_revoked,
    session_bound,
    session_changes_dropped,
    session_created,
    session_destroyed,
    session_refused,
    session_replayed,
    session_revoked,
    session_rotated,
    storage_called,
)

session: ServerSideSession = cast("ServerSideSession", flask.session)
"""Flask's own ``session``, with the type that it has under this extension::

    from flask_srvsession import session

    session["cart"] = ["tea"]
    session.destroy()
"""

__all__ = [
    "LOGIN_KEYS",
    "BackendError",
    "ConfigurationError",
    "DeviceNotProven",
    "NotReplicated",
    "ServerSession",
    "ServerSideSession",
    "SessionError",
    "SessionInfo",
    "SessionRefused",
    "SessionTooLarge",
    "StaleCredential",
    "StaleLogin",
    "TooManySessions",
    "binding_failed",
    "everything_revoked",
    "session",
    "session_bound",
    "session_changes_dropped",
    "session_created",
    "session_destroyed",
    "session_refused",
    "session_replayed",
    "session_revoked",
    "session_rotated",
    "storage_called",
]
