"""Flask's session interface: cookies in, cookies out."""

from __future__ import annotations

import enum
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import product
from typing import Any

from flask import Flask, Request, Response
from flask import session as flask_session
from flask.sessions import SessionInterface, SessionMixin

from .arrival import FORMER_COOKIE
from .errors import BackendError, SessionRefused
from .ids import Credential
from .outages import turn_into
from .responses import (
    UNDO,
    deletes,
    is_public,
    keep_from_shared_caches,
    remember,
    restore,
    take_back,
    vary_by_cookie,
    without,
)
from .runtime import Runtime
from .serializers import Undecodable
from .session import ServerSideSession
from .store import rotation
from .visit import Visit


class Cookie(enum.Enum):
    """The fate of a cookie that is not set to a :class:`Credential`."""

    KEEP = enum.auto()
    DELETE = enum.auto()


class ServerSessionInterface(SessionInterface):
    """Opens a :class:`ServerSideSession` for each request and saves it at its end."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def open_session(self, app: Flask, request: Request) -> ServerSideSession | None:
        """Return a session that has read nothing yet; None without a SECRET_KEY."""
        if not app.secret_key:
            return None
        if self._runtime.is_alone:
            self._runtime.warn_if_several(request.environ)
        visit = Visit(self._runtime, request, self.get_cookie_name(app))
        return ServerSideSession(visit)

    def save_session(
        self, app: Flask, session: SessionMixin | None, response: Response
    ) -> None:
        """Write the changes, and set or delete the cookie accordingly.

        Where that fails, the response turns into the error's, in place: Flask would
        make a bare 500 of it. May be called again, for another response. Raises the
        error where nobody would see the response: in a test's ``session_transaction``,
        in an event of Flask-SocketIO.
        """
        if not isinstance(session, ServerSideSession):
            return
        visit = session._visit
        if hasattr(response, UNDO):
            take_back(response, visit.number)
        if visit.accessed:
            quiet = False
            try:
                quiet = session._finish()
            except Undecodable:
                pass  # the session is ignored, as one that a read finds so
            except (BackendError, SessionRefused) as error:
                if not _is_awaited(session):
                    raise
                before = response.status, [*response.headers], response.response
                remember(response, visit.number, partial(restore, *before))
                turn_into(app, response, error)
                if isinstance(error, SessionRefused):  # what error handlers flash
                    with suppress(BackendError, SessionRefused, Undecodable):
                        session._finish()
            vary_by_cookie(response)
            if not quiet:
                self._send_cookie(app, session, response)
        elif response.is_streamed and not response.direct_passthrough:
            vary_by_cookie(response)  # the stream may still read the session
        visit.response_left = True

    def _send_cookie(
        self, app: Flask, session: ServerSideSession, response: Response
    ) -> None:
        visit = session._visit
        change = _fate_of_cookie(app, visit, response)
        devices = self._runtime.devices
        offered = devices and devices.finish(visit, change, response)
        if change is Cookie.KEEP:
            if offered:
                keep_from_shared_caches(response)
            return
        name, attributes = self.get_cookie_name(app), self.cookie_attributes(app)
        others = response.headers.getlist("Set-Cookie")
        if isinstance(change, Credential):
            live = visit.live
            if live and not live.new and deletes(response, name):
                return
            value = visit.store.signer.dumps(change)
            expires = self.get_expiration_time(app, session)
            response.set_cookie(name, value, expires=expires, **attributes)
            if former := visit.request.environ.get(FORMER_COOKIE):
                response.delete_cookie(former, **attributes)
        else:
            response.delete_cookie(name, **attributes)
        if visit.rivals_ended:
            self._delete_variants(app, name, response, attributes)
        ours = response.headers.getlist("Set-Cookie")[len(others) :]
        remember(response, visit.number, partial(without, ours))
        keep_from_shared_caches(response)

    def regenerate(self, session: ServerSideSession) -> None:
        """Give the session a new id now, as ``session.rotate()`` does: apps that were
        written for Flask-Session call this where somebody logs in."""
        session.rotate()

    def cookie_attributes(self, app: Flask) -> dict[str, Any]:
        """Return the attributes of the session's cookie, but for its age."""
        return {
            "domain": self.get_cookie_domain(app),
            "path": self.get_cookie_path(app),
            "secure": self.get_cookie_secure(app),
            "httponly": self.get_cookie_httponly(app),
            "samesite": self.get_cookie_samesite(app),
            "partitioned": self.get_cookie_partitioned(app),
        }

    def _delete_variants(
        self, app: Flask, name: str, response: Response, attributes: dict[str, Any]
    ) -> None:
        """Delete the cookies of our name that another configuration may have set."""
        domains = {None, attributes["domain"]}
        paths = {"/", attributes["path"]}
        present = attributes["domain"], attributes["path"]
        for domain, path in sorted(product(domains, paths), key=str):
            if (domain, path) != present:
                other = {**attributes, "domain": domain, "path": path}
                response.delete_cookie(name, **other)

    def get_expiration_time(self, app: Flask, session: SessionMixin) -> datetime | None:
        """Return when the cookie of a permanent session ends: never past its end, and
        not before a session that is in use has brought another one."""
        if not isinstance(session, ServerSideSession) or not session.permanent:
            return None
        now = datetime.fromtimestamp(self._runtime.clock(), timezone.utc)
        visit, wait = session._visit, 0
        if every := visit.store.settings.rotate_every:
            # Nobody may come to present it for long, and then for the next rotation.
            seen = visit.live and not visit.live.new
            wait = every + (visit.store.settings.idle_timeout if seen else 0)
        expires = now + app.permanent_session_lifetime + timedelta(seconds=wait)
        return min(expires, session.ends_at or expires)


def other_interface(app: Flask) -> str | None:
    """Return the name of the interface that keeps the sessions of an app, if it is
    another one than ours: Flask-Session was left in, say."""
    interface = app.session_interface
    ours = isinstance(interface, ServerSessionInterface)
    return None if ours else type(interface).__name__


def _is_awaited(session: ServerSideSession) -> bool:
    """Whether it is the session of a request whose response somebody waits for."""
    current: Any = flask_session
    is_mine = current._get_current_object() is session
    return is_mine and not session._visit.is_event()


def _fate_of_cookie(
    app: Flask, visit: Visit, response: Response
) -> Credential | Cookie:
    """Return the fate of the cookie with the response.

    Set only for a session that was created or regenerated, or to hand out a
    successor, but that never with a public response, which a cache would give
    to others. Never set to the credential that the client has already: an old
    credential that comes late would undo a newer one. Only without rotation there
    is none: then the cookie of a permanent session moves its expiry when the
    session has moved its own, or with each request (SESSION_REFRESH_EACH_REQUEST).
    """
    live = visit.live
    if live and (credential := live.credential):
        if live.new:
            return credential
        current = credential.generation == live.record.generation
        if current and live.record.pending:  # the client is to get its successor
            fresh = visit.store.clock() - live.read_at < rotation.FRESH
            if fresh and not is_public(response):
                return rotation.successor(live.record, credential)
        if visit.store.settings.rotate_every is None:
            repeat = app.config["SESSION_REFRESH_EACH_REQUEST"]
            expiry = visit.expiry_moved or (repeat and live.record.permanent)
            if current and expiry:
                return credential
    return Cookie.DELETE if visit.delete_cookie and not live else Cookie.KEEP
