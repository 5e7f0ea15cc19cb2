"""The extension object: gives apps their sessions, and a view on all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import flask
from flask import Flask, current_app, has_request_context

from . import ids
from .backends import backend_from_url
from .backends.base import Backend, Epoch
from .cells import Held
from .cli import sessions_group
from .config import Settings
from .errors import BackendError
from .guard import Guarded
from .info import SessionInfo
from .interface import ServerSessionInterface
from .listing import Watch, parse_index
from .outages import AnswerOutages
from .record import Binding
from .runtime import Runtime
from .session import ServerSideSession
from .signals import session_revoked
from .store import SessionStore
from .sweeper import Sweeper

P = ParamSpec("P")
R = TypeVar("R")


def _latching(method: Callable[P, R]) -> Callable[P, R]:
    """After an outage that this request has met, fail at once: it waits only once."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not _has_session():
            return method(*args, **kwargs)
        if failure := _current()._failure:
            raise failure
        try:
            return method(*args, **kwargs)
        except BackendError as error:
            _current()._latch(error)
            raise

    return call


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
        chosen = settings.backend if backend is None else backend
        if isinstance(chosen, str):
            chosen = backend_from_url(chosen)
        runtime = Runtime(app, settings, chosen, clock)
        app.extensions["srvsession"] = runtime
        app.session_interface = ServerSessionInterface(runtime)
        app.wsgi_app = AnswerOutages(app)  # type: ignore[method-assign]
        app.cli.add_command(sessions_group(self, app))
        if settings.sweep_every:
            key = f"{settings.key_prefix}sweep"
            app.before_request(Sweeper(chosen, key, settings.sweep_every).begin)
        _follow_flask_login(app)

    @_latching
    def find(self, **index: Any) -> list[SessionInfo]:
        """Return the live sessions of an index value, oldest first:
        ``sessions.find(user_id=42)``.

        Raises TypeError for an unknown index, as all methods that take one.
        """
        store, binding = _store_and_binding(index)
        current = _current_id()
        return [
            store.info(held, is_current=held.id == current)
            for held in store.find(binding)
        ]

    @_latching
    def get(self, session_id: str | None) -> SessionInfo | None:
        """Return what may be shown of a session; None if there is none of this id,
        whatever that is."""
        store = _store()
        held = store.peek(session_id) if ids.is_id(session_id) else None
        if held is None:
            return None
        return store.info(held, is_current=held.id == _current_id())

    @_latching
    def revoke(self, session_id: str | None, *, durable: int = 0, **owner: Any) -> bool:
        """End a session; return whether it lived: what is no id has none.

        With an owner, ``sessions.revoke(session_id, user_id=42)``, only a session of
        theirs: a view that lets users end sessions should always give it. Raises
        BackendError if the storage could not confirm it; `durable` is that of
        ``session.destroy``.
        """
        store, binding = _store_and_binding(owner) if owner else (_store(), None)
        store.replicas.need(durable)
        if not ids.is_id(session_id):
            return False
        current, held = _current_id(), store.trace(session_id)
        if held and binding and binding not in held.record.bindings:
            return False
        ended = store.destroy(held.id, held) if held else None
        if ended:
            _tell(store, [ended], current)
        # What is not there any more may still be on the replicas.
        gone = {session_id, *(each.id for each in (held, ended) if each)}
        store.await_replicas(durable, gone)
        return ended is not None

    @_latching
    def revoke_all(
        self, *, keep_current: bool = False, durable: int = 0, **index: Any
    ) -> int:
        """End all sessions of an index value: ``sessions.revoke_all(user_id=42)``.

        Returns how many there were. `keep_current` spares the one of this request.
        Nobody slips through: a login whose credentials were checked before, with
        ``epoch`` and ``bind``, is refused. Raises BackendError if the storage could
        not confirm all of it; then it is to be done again. `durable` is that of
        ``session.destroy``.
        """
        return self._revoke_all(index, keep_current=keep_current, durable=durable)

    def _revoke_all(
        self,
        index: dict[str, Any],
        *,
        keep_current: bool = False,
        durable: int = 0,
        watch: Watch = iter,
    ) -> int:
        store, binding = _store_and_binding(index)
        store.replicas.need(durable)
        current = _current_id()
        spare = _current()._live() if keep_current and current else None
        revocation = store.revoke_all(binding, spare=spare, watch=watch)
        if revocation.spared:
            _current()._note_spared(revocation.spared)
        _tell(store, revocation.ended, current)
        store.await_replicas(durable, revocation.gone, binding)
        return len(revocation.ended)

    @_latching
    def epoch(self, **index: Any) -> Epoch:
        """Return the present of an index value: ``sessions.epoch(user_id=42)``.

        Read it before the user's password (its stored hash) is read, and give it to
        ``session.bind``: then no login slips through a ``revoke_all`` in between.
        """
        store, binding = _store_and_binding(index)
        return store.epoch(binding)

    def sweep(self) -> int:
        """Remove expired records where the storage does not do so by itself; return
        how many there were. Raises BackendError; then it may be done again."""
        backend = _runtime().backend
        return Guarded(backend).once("sweep", backend.sweep)


def _runtime() -> Runtime:
    try:
        runtime: Runtime = current_app.extensions["srvsession"]
    except KeyError:
        raise RuntimeError(
            f"The app {current_app.name!r} has no ServerSession: call init_app(app)."
        ) from None
    return runtime


def _store() -> SessionStore:
    return _runtime().keyed.store


def _store_and_binding(index: dict[str, Any]) -> tuple[SessionStore, Binding]:
    store = _store()
    binding, _ = parse_index(store.settings.indexes, index)
    return store, binding


def _current() -> ServerSideSession:
    return cast(ServerSideSession, flask.session)


def _current_id() -> str | None:
    """Return the id of this request's session, if there is a request and it has one."""
    return _current().id if _has_session() else None


def _has_session() -> bool:
    return has_request_context() and isinstance(flask.session, ServerSideSession)


def _tell(store: SessionStore, ended: list[Held], current: str | None) -> None:
    """Say which sessions were ended; this request's own is a new one from now on."""
    if any(held.id == current for held in ended):
        _current()._note_revoked()
    app = _runtime().app
    for held in ended:
        info = store.info(held, is_current=held.id == current)
        session_revoked.send(app, info=info)


def _follow_flask_login(app: Flask) -> None:
    """Treat each login of Flask-Login as one, also of the user who was logged in."""
    try:
        from flask_login import user_logged_in
    except ImportError:
        return

    def renew(sender: Flask, **_: Any) -> None:
        _current()._note_login()

    user_logged_in.connect(renew, sender=app, weak=False)
