"""The extension object: gives apps their sessions, and a view on all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import flask
from flask import Flask, current_app

from .backends import backend_from_url
from .backends.base import Backend, Epoch
from .config import Settings
from .interface import ServerSessionInterface
from .listing import parse_index
from .runtime import Runtime
from .session import ServerSideSession


class ServerSession:
    """Server-side sessions for Flask apps.

    ::

        sessions = ServerSession()
        sessions.init_app(app)      # or: ServerSession(app)

    Keeps nothing of an app on itself, so one object serves any number of apps. Its
    methods work on the sessions of the current app; those of ``flask.session`` work
    on the session of the current request.
    """

    def __init__(
        self, app: Flask | None = None, backend: Backend | None = None
    ) -> None:
        if app is not None:
            self.init_app(app, backend)

    def init_app(
        self,
        app: Flask,
        backend: Backend | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Give `app` server-side sessions, kept in `backend`, or where
        ``SRVSESSION_BACKEND`` says.

        Reads and checks all ``SRVSESSION_*`` keys now; raises ConfigurationError. The
        storage is not contacted. `clock` returns unix time; tests may bring their own.
        """
        settings = Settings.from_config(app.config, app.name)
        chosen = backend or settings.backend
        if isinstance(chosen, str):
            chosen = backend_from_url(chosen)
        runtime = Runtime(app, settings, chosen, clock)
        app.extensions["srvsession"] = runtime
        app.session_interface = ServerSessionInterface(runtime)
        _follow_flask_login(app)

    def epoch(self, **index: Any) -> Epoch:
        """Return the present of an index value: ``sessions.epoch(user_id=42)``.

        Read it before the password is checked and give it to ``session.bind``: then no
        login slips through a ``revoke_all`` that happens in between.
        """
        runtime = _runtime()
        binding, _ = parse_index(runtime.settings.indexes, index)
        return runtime.keyed.store.epoch(binding)

    def sweep(self) -> int:
        """Remove expired records where the storage does not do so by itself; return
        how many there were."""
        return _runtime().backend.sweep()


def _runtime() -> Runtime:
    try:
        runtime: Runtime = current_app.extensions["srvsession"]
    except KeyError:
        raise RuntimeError(
            f"The app {current_app.name!r} has no ServerSession: call init_app(app)."
        ) from None
    return runtime


def _follow_flask_login(app: Flask) -> None:
    """Treat each login of Flask-Login as one, also of the user who was logged in."""
    try:
        from flask_login import user_logged_in
    except ImportError:
        return

    def renew(sender: Flask, **_: Any) -> None:
        cast(ServerSideSession, flask.session).login_happened()

    user_logged_in.connect(renew, sender=app, weak=False)
