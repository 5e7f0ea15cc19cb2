"""Server-side sessions for Flask that end when you end them."""

from flask import session as _session

from .errors import BackendError as BackendError
from .errors import ConfigurationError as ConfigurationError
from .errors import DeviceNotProven as DeviceNotProven
from .errors import NotReplicated as NotReplicated
from .errors import SessionError as SessionError
from .errors import SessionRefused as SessionRefused
from .errors import SessionTooLarge as SessionTooLarge
from .errors import StaleCredential as StaleCredential
from .errors import StaleLogin as StaleLogin
from .errors import TooManySessions as TooManySessions
from .extension import ServerSession as ServerSession
from .info import SessionInfo as SessionInfo
from .login_keys import LOGIN_KEYS as LOGIN_KEYS
from .session import ServerSideSession as ServerSideSession
from .signals import binding_failed as binding_failed
from .signals import everything_revoked as everything_revoked
from .signals import session_bound as session_bound
from .signals import session_changes_dropped as session_changes_dropped
from .signals import session_created as session_created
from .signals import session_destroyed as session_destroyed
from .signals import session_refused as session_refused
from .signals import session_replayed as session_replayed
from .signals import session_revoked as session_revoked
from .signals import session_rotated as session_rotated
from .signals import storage_called as storage_called

session: ServerSideSession = _session  # type: ignore[assignment]
"""Flask's own ``session``, with the type that it has under this extension::

    from flask_srvsession import session

    session["cart"] = ["tea"]
    session.destroy()
"""
