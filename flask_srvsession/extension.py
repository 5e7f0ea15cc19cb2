"""The extension object: gives apps their sessions, and a view on all of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import flask
from flask import Flask, current_app, has_request_context

from . import audit, ids, logout, moves, saving, values
from .backends import backend_from_url
from .backends.base import Backend, Epoch
from .commands.lazy import sessions_group
from .config import Settings
from .ending import ALL_REVOKED, EVERYTHING, REVOKED, End
from .errors import BackendError, ConfigurationError
from .info import SessionInfo
from .interface import ServerSessionInterface, other_interface
from .outages import AnswerOutages
from .runtime import Runtime
from .session import ServerSideSession
from .signals import everything_revoked, session_revoked
from .store import SessionStore, revocation
from .store.lists import Binding
from .store.records import Live
from .sweeper import Sweeper

if TYPE_CHECKING:
    from .take_over import Source

P = ParamSpec("P")
R = TypeVar("R")


BY_KEYWORD = frozenset({"find", "revoke_all", "epoch"})
"""The methods that take an index and its value as a keyword, and nothing before it."""


def _latching(method: Callable[P, R]) -> Callable[P, R]:
    """After an outage that this request has met, fail at once: it waits only once."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if method.__name__ in BY_KEYWORD and len(args) > 1:
            raise TypeError(
                f"Say whose sessions by a keyword: {method.__name__}(user_id=42)."
            )
        if not _has_session():
            return method(*args, **kwargs)
        visit = _current()._visit
        if visit.failure:
            raise visit.failure
        try:
            return method(*args, **kwargs)
        except BackendError as error:
            visit.latch(error)
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
        self,
        app: Flask | None = None,
        backend: Backend | None = None,
        *,
        take_over: Iterable[Source] = (),
    ) -> None:
        if app is not None:
            self.init_app(app, backend, take_over=take_over)

    def init_app(
        self,
        app: Flask,
        backend: Backend | None = None,
        *,
        take_over: Iterable[Source] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Give `app` server-side sessions, kept in `backend`, or where
        ``SRVSESSION_BACKEND`` says.

        Reads and checks all ``SRVSESSION_*`` keys now; raises ConfigurationError. The
        storage is not contacted. `take_over` are sources of sessions that others have
        begun: :mod:`flask_srvsession.take_over`. `clock` returns unix time; tests may
        bring their own.
        """
        if not isinstance(app, Flask):
            raise ConfigurationError(
                f"The app is a {type(app).__name__}, but must be a Flask: say"
                " ServerSession(app), and where sessions are stored by"
                " SRVSESSION_BACKEND or backend=."
            )
        if "srvsession" in app.extensions:
            raise RuntimeError(
                f"The app {app.name!r} has a ServerSession already: call init_app once."
            )
        settings = Settings.from_config(app.config, app.name)
        chosen = settings.backend
        if backend is not None:
            chosen = values.backend("The argument backend", backend)
        if isinstance(chosen, str):
            chosen = backend_from_url(chosen)
        runtime = Runtime(app, settings, chosen, clock)
        if take_over:
            from .take_over.asking import TakeOver

            runtime.take_over = TakeOver(app, take_over)
        app.extensions["srvsession"] = runtime
        app.session_interface = ServerSessionInterface(runtime)
        app.wsgi_app = AnswerOutages(app)  # type: ignore[method-assign]
        app.cli.add_command(sessions_group(self, app, settings, chosen))
        if settings.sweep_every:
            key = f"{settings.key_prefix}sweep"
            app.before_request(Sweeper(chosen, key, settings.sweep_every).begin)
        if settings.dbsc:
            _bind_devices(runtime)
        _follow_flask_login(app)

    @_latching
    def find(
        self,
        *,
        limit: int | None = None,
        after: str | SessionInfo | None = None,
        **index: Any,
    ) -> list[SessionInfo]:
        """Return the live sessions of an index value, oldest first.

        ::

            for info in sessions.find(user_id=42):
                print(info.id, info.last_seen_at, info.is_current)

        At most `limit` of them, those that follow the one called `after`: a long list
        is read in parts. If that one has ended, the list begins anew: those that live
        come again. ValueError for a `limit` below 1, and for an `after` that is no id.

        Raises TypeError for an unknown index, as all methods that take one.
        """
        store, binding = _store_and_binding(index)
        last = _id_of(after)
        if limit is not None and limit < 1:
            raise ValueError(f"limit is {limit}, but must be positive.")
        if last is not None and not ids.is_id(last):
            raise ValueError("after must be the id of a session.")
        current = _current_id()
        return [
            store.info(live, is_current=live.id == current)
            for live in revocation.find(store, binding, limit=limit, after=last)
        ]

    @_latching
    def get(self, session_id: str | SessionInfo | None) -> SessionInfo | None:
        """Return the SessionInfo of a session; None if no session has this id.

        ::

            info = sessions.get(session_id)
        """
        store, session_id = _store(), _id_of(session_id)
        live = store.peek(session_id) if ids.is_id(session_id) else None
        if live is None:
            return None
        return store.info(live, is_current=live.id == _current_id())

    @_latching
    def revoke(
        self,
        session_id: str | SessionInfo | None,
        *,
        durable: int = 0,
        actor: str | int | None = None,
        reason: str | None = None,
        **owner: Any,
    ) -> bool:
        """End a session, given by its id or as :meth:`find` returns it; return whether
        it lived.

        ::

            sessions.revoke(request.form["id"], user_id=current_user.id)

        With an owner, as here, only a session of theirs: a view that lets users end
        sessions should always give it. Of a session
        that has just got another id, that one ends if it has the same user. Raises
        BackendError if the storage could not confirm it; `durable`, `actor` and
        `reason` are those of ``session.destroy``.
        """
        end = REVOKED.said(actor, reason)
        store, binding = _store_and_binding(owner) if owner else (_store(), None)
        store.backend.need(durable)
        session_id = _id_of(session_id)
        if session_id is None and not owner and _has_session():
            current_session = _current()
            return current_session._act(logout.revoke, durable, end)
        if not ids.is_id(session_id):
            return False
        current, live = _current_id(), store.trace(session_id)
        if live and binding and not binding.lists(live.record):
            return False
        given = live.id if live and binding else session_id  # the owner is known
        same = live if live and live.id == given else None
        ended = moves.end(store, given, same, end) if live else None
        if ended:
            _tell(store, [ended], current, end)
        # A deleted session may still be on the replicas.
        gone = {session_id, *(each.id for each in (live, ended) if each)}
        store.await_replicas(durable, gone)
        return ended is not None

    @_latching
    def revoke_all(
        self,
        *,
        keep_current: bool = False,
        durable: int = 0,
        actor: str | int | None = None,
        reason: str | None = None,
        **index: Any,
    ) -> int:
        """End all sessions of an index value.

        ::

            ended = sessions.revoke_all(user_id=42, keep_current=True)

        Returns how many there were. `keep_current` keeps the one of this request,
        under a new id where a cookie can still be set: copies of its cookie end, too.
        Without it, that one ends as by ``session.destroy()``: flash afterwards.
        Nobody slips through: a login whose credentials were checked before, with
        ``epoch`` and ``bind``, is refused. Raises BackendError if the storage could
        not confirm all of it; then it is to be done again. `durable`, `actor` and
        `reason` are those of ``session.destroy``.
        """
        return self._revoke_all(
            index,
            keep_current=keep_current,
            durable=durable,
            end=ALL_REVOKED.said(actor, reason),
        )

    def _revoke_all(
        self,
        index: dict[str, Any],
        *,
        keep_current: bool = False,
        durable: int = 0,
        watch: revocation.Watch | None = None,
        end: End = ALL_REVOKED,
    ) -> int:
        store, binding = _store_and_binding(index)
        store.backend.need(durable)
        current = _current_id()
        keep = _current()._live() if keep_current and current else None
        done = revocation.revoke_all(store, binding, keep=keep, watch=watch, end=end)
        if done.kept:
            with _current()._opened() as visit:
                saving.keep(visit, done.kept)
        _tell(store, done.ended, current, end)
        store.await_replicas(durable, done.gone, binding)
        return len(done.ended)

    @_latching
    def revoke_everything(
        self,
        *,
        durable: int = 0,
        actor: str | int | None = None,
        reason: str | None = None,
    ) -> None:
        """End the sessions of everybody, anonymous ones and those of sources that are
        still to be taken over as well: for the day of an incident.

        ::

            sessions.revoke_everything(actor="on call", reason="a backup was stolen")

        One change in the storage, however many there are. In force here at once, and
        within five seconds in every process of the app; a session that begins in a
        process before it knows of this ends, too, all later ones live. Neither requests
        in flight nor a repetition bring one back. Raises BackendError if the storage
        could not confirm it; then it is to be done again. `durable`, `actor` and
        `reason` are those of ``session.destroy``.

        A storage that may throw out what it has (memcached, a Redis that evicts) may
        lose the mark that this sets: there, a new ``SECRET_KEY`` is the sure way.
        """
        store, end = _store(), EVERYTHING.said(actor, reason)
        store.backend.need(durable)
        current = _current_id()
        store.marker.begin_era()
        if current:
            with _current()._opened() as visit:
                visit.was_ended()
        app = _runtime().app
        if audit.log.isEnabledFor(logging.INFO):
            audit.tell(app, end, store.clock())
        everything_revoked.send(app, end=end)
        store.backend.wait(durable, [store.marker.key])

    @_latching
    def epoch(self, **index: Any) -> Epoch:
        """Return the present of an index value.

        ::

            epoch = sessions.epoch(user_id=42)
            ...  # check the password
            session.bind(user_id=42, epoch=epoch)

        Read it before the user's password (its stored hash) is read, and give it to
        ``session.bind``: then no login slips through a ``revoke_all`` in between. The
        name that somebody types to sign in may be empty, too.
        """
        store = _store()
        return store.lists.epoch(store.lists.parse(index, typed=True))

    def sweep(self) -> int:
        """Remove expired records where the storage does not do so by itself; return
        how many there were. Raises BackendError; then it may be done again."""
        backend = _runtime().store.backend
        return backend.once("sweep", backend.backend.sweep)


def _runtime() -> Runtime:
    try:
        runtime: Runtime = current_app.extensions["srvsession"]
    except KeyError:
        raise RuntimeError(
            f"The app {current_app.name!r} has no ServerSession: call init_app(app)."
        ) from None
    if other := other_interface(runtime.app):
        raise RuntimeError(
            f"The app {current_app.name!r} has another session_interface now, {other}:"
            " its sessions are not seen here. Take out the other extension."
        )
    return runtime


def _id_of(session_id: str | SessionInfo | None) -> str | None:
    if isinstance(session_id, SessionInfo):
        return session_id.id
    if session_id is None or isinstance(session_id, str):
        return session_id
    raise TypeError(
        f"A session is given by its id, a str, or by a SessionInfo, not by a"
        f" {type(session_id).__name__}; end those of a user by revoke_all(user_id=42)."
    )


def _store() -> SessionStore:
    store = _runtime().store
    store.marker.keep_up()
    return store


def _store_and_binding(index: dict[str, Any]) -> tuple[SessionStore, Binding]:
    store = _store()
    return store, store.lists.parse(index)


def _current() -> ServerSideSession:
    return cast(ServerSideSession, flask.session)


def _current_id() -> str | None:
    """Return the id of this request's session, if there is a request and it has one."""
    return _current().id if _has_session() else None


def _has_session() -> bool:
    return has_request_context() and isinstance(flask.session, ServerSideSession)


def _tell(
    store: SessionStore, ended: list[Live], current: str | None, end: End
) -> None:
    """Say which sessions were ended; this request's own is a new one from now on."""
    if any(live.id == current for live in ended):
        with _current()._opened() as visit:
            visit.was_ended()
    app = _runtime().app
    for live in ended:
        info = store.info(live, is_current=live.id == current, end=end)
        session_revoked.send(app, info=info)


def _bind_devices(runtime: Runtime) -> None:
    """Answer browsers that bind sessions to their device."""
    try:
        from .dbsc import gate, routes
    except ImportError as error:
        raise ConfigurationError(
            "SRVSESSION_DBSC needs a package that is not installed: pip install"
            ' "flask_srvsession[dbsc]".'
        ) from error
    app = runtime.app
    interface = cast(ServerSessionInterface, app.session_interface)
    runtime.devices = devices = gate.Gate(runtime, interface)
    routes.Routes(devices).install(app)


def _follow_flask_login(app: Flask) -> None:
    """Treat each login of Flask-Login as one, also of the user who was logged in."""
    try:
        from flask_login import user_logged_in, user_logged_out
    except ImportError:
        return

    def renew(sender: Flask, **_: Any) -> None:
        with _current()._opened() as visit:
            visit.note_login()

    def end(sender: Flask, **_: Any) -> None:
        with _current()._opened() as visit:
            visit.note_logout()

    user_logged_in.connect(renew, sender=app, weak=False)
    user_logged_out.connect(end, sender=app, weak=False)
