"""Flask's session interface: cookies in, cookies out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from flask import Flask, Request, Response, request
from flask.sessions import SessionInterface, SessionMixin
from werkzeug.exceptions import HTTPException

from .errors import BackendError, SessionRefused
from .ids import Credential
from .outages import ANSWERED, FAILURE
from .rotation import Standing
from .runtime import Keyed, Runtime
from .serializers import Serializer
from .session import ServerSideSession
from .states import Cookie
from .store import SessionStore

MAX_COOKIES = 3
"""How many valid cookies of our name are tried; browsers send one."""

OPENED = "flask_srvsession.opened"
VERDICTS = "flask_srvsession.verdicts"


class RequestOpening:
    """A session's view of the request it was opened for.

    Time and verdict are kept in the WSGI environ: whoever opens the session again from
    the environ of a long-lived connection (Flask-SocketIO does) is judged by when that
    connection began, and once.
    """

    def __init__(self, runtime: Runtime, request: Request, cookie_name: str) -> None:
        self.app = runtime.app
        self.opened: float = request.environ.setdefault(OPENED, runtime.clock())
        self._runtime = runtime
        self._keyed: Keyed | None = None
        self._request = request
        self._cookie_name = cookie_name

    @property
    def keyed(self) -> Keyed:
        """The same to the end, even if the app's keys change meanwhile."""
        if self._keyed is None:
            self._keyed = self._runtime.keyed
        return self._keyed

    @property
    def store(self) -> SessionStore:
        return self.keyed.store

    @property
    def serializer(self) -> Serializer:
        return self._runtime.serializer

    def credentials(self) -> list[Credential]:
        loads, is_plausible = self.keyed.signer.loads, self.store.is_plausible
        valid = [loads(cookie) for cookie in cookies(self._request, self._cookie_name)]
        return [c for c in valid if c and is_plausible(c.id)][:MAX_COOKIES]

    @property
    def verdicts(self) -> dict[str, Standing]:
        verdicts: dict[str, Standing]
        verdicts = self._request.environ.setdefault(VERDICTS, {})
        return verdicts

    def note_failure(self, failure: BackendError) -> None:
        self._request.environ[FAILURE] = failure

    def metadata(self) -> Mapping[str, Any] | None:
        return self._runtime.metadata(self._request)


def cookies(request: Request, name: str) -> list[str]:
    """Return the values of all cookies of this name, as ``request.cookies`` has them,
    but without parsing the others."""
    header: str = request.environ.get("HTTP_COOKIE", "")
    if '"' in header:  # may quote a semicolon
        return request.cookies.getlist(name)
    pairs = [pair.partition("=") for pair in header.split(";")]
    return [value.strip(" \t") for key, _, value in pairs if key.strip(" \t") == name]


class ServerSessionInterface(SessionInterface):
    """Opens a :class:`ServerSideSession` for each request and saves it at its end."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def open_session(self, app: Flask, request: Request) -> ServerSideSession | None:
        """Return a session that has read nothing yet; None without a SECRET_KEY."""
        if not app.secret_key:
            return None
        self._runtime.warn_if_not_shared(request.environ)
        opening = RequestOpening(self._runtime, request, self.get_cookie_name(app))
        return ServerSideSession(opening)

    def is_null_session(self, obj: object) -> bool:
        """Return whether there is nothing to save; for ours, without asking an ABC."""
        return type(obj) is not ServerSideSession and super().is_null_session(obj)

    def save_session(
        self, app: Flask, session: SessionMixin | None, response: Response
    ) -> None:
        """Write what there is to write, and set or delete the cookie accordingly.

        Where that fails, the response turns into the error's, in place: Flask would
        make a bare 500 of it. May be called again, for another response. Raises what
        fails where nobody would see the response: in a test's ``session_transaction``,
        in an event of Flask-SocketIO.
        """
        if not isinstance(session, ServerSideSession):
            return
        if session.accessed:
            try:
                session.commit()
            except (BackendError, SessionRefused) as error:
                if ANSWERED not in request.environ:
                    raise
                _turn_into(app, response, error)
            _vary_by_cookie(response)
            self._send_cookie(app, session, response)
        session._note_response_left()

    def _send_cookie(
        self, app: Flask, session: ServerSideSession, response: Response
    ) -> None:
        change = session._cookie(
            repeat=app.config["SESSION_REFRESH_EACH_REQUEST"],
            is_public=lambda: _is_public(response),
        )
        if change is Cookie.KEEP:
            return
        name = self.get_cookie_name(app)
        attributes: dict[str, Any] = {
            "domain": self.get_cookie_domain(app),
            "path": self.get_cookie_path(app),
            "secure": self.get_cookie_secure(app),
            "httponly": self.get_cookie_httponly(app),
            "samesite": self.get_cookie_samesite(app),
            "partitioned": self.get_cookie_partitioned(app),
        }
        if isinstance(change, Credential):
            value = self._runtime.keyed.signer.dumps(change)
            expires = self.get_expiration_time(app, session)
            response.set_cookie(name, value, expires=expires, **attributes)
        else:
            response.delete_cookie(name, **attributes)
        if "Cache-Control" not in response.headers:
            response.cache_control.no_store = True

    def get_expiration_time(self, app: Flask, session: SessionMixin) -> datetime | None:
        """Return when the cookie of a permanent session ends: never past its end, and
        not before a session that is in use has brought another one."""
        if not isinstance(session, ServerSideSession) or not session.permanent:
            return None
        now = datetime.fromtimestamp(self._runtime.clock(), timezone.utc)
        expires = now + app.permanent_session_lifetime + session._time_to_next_cookie()
        return min(expires, session.ends_at or expires)


def _is_public(response: Response) -> bool:
    directives = response.headers.getlist("Cache-Control")
    return "public" in ",".join(directives).lower()


def _vary_by_cookie(response: Response) -> None:
    """The same as ``response.vary.add("Cookie")``, in a third of its time."""
    if response.headers.getlist("Vary"):
        response.vary.add("Cookie")
    else:
        response.headers.add("Vary", "Cookie")


def _turn_into(app: Flask, response: Response, error: HTTPException) -> None:
    """Make of `response` what the app's error handlers make of `error`."""
    try:
        answer = app.make_response(app.handle_user_exception(error))
        answer = _finished(app, answer)
    except Exception as failure:
        if failure is not error:
            app.log_exception(sys.exc_info())
        answer = app.make_response(error.get_response())
    _replace(response, answer)


def _finished(app: Flask, answer: Response) -> Response:
    """Let the app do what it does for all responses: CORS headers are set there.

    What the view asked for with ``after_this_request`` was for the one that failed.
    """
    for name in (*request.blueprints, None):
        for function in reversed(app.after_request_funcs.get(name, ())):
            answer = app.ensure_sync(function)(answer)
    return answer


def _replace(response: Response, answer: Response) -> None:
    if callable(close := getattr(response.response, "close", None)):
        close()
    response.direct_passthrough = False
    response.status = answer.status
    response.headers.clear()
    response.headers.extend(answer.headers)
    response.set_data(answer.get_data())
