"""Flask's session interface: cookies in, cookies out, and a 503 for an outage."""

from __future__ import annotations

import enum
import logging
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from inspect import signature
from itertools import product
from threading import get_ident
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response, request
from flask.globals import app_ctx
from flask.sessions import SessionInterface, SessionMixin
from werkzeug.exceptions import HTTPException

from .arrival import FORMER_COOKIE
from .errors import BackendError, SessionRefused
from .ids import Credential
from .runtime import Runtime
from .serializers import Undecodable
from .session import ServerSideSession
from .store import rotation
from .visit import ANSWERED, FAILURE, Visit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


log = logging.getLogger("flask_srvsession")


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
            _take_back(response, visit.number)
        if visit.accessed:
            quiet = False
            try:
                quiet = session._finish()
            except Undecodable:
                pass  # the session is ignored, as one that a read finds so
            except (BackendError, SessionRefused) as error:
                if ANSWERED not in visit.request.environ:
                    raise
                before = response.status, [*response.headers], response.response
                change = visit.number, get_ident(), partial(_restore, *before)
                setattr(response, UNDO, (*getattr(response, UNDO, ()), change))
                _turn_into(app, response, error)
                if isinstance(error, SessionRefused):  # what error handlers flash
                    with suppress(BackendError, SessionRefused, Undecodable):
                        session._finish()
            _vary_by_cookie(response)
            if not quiet:
                self._send_cookie(app, session, response)
        elif response.is_streamed and not response.direct_passthrough:
            _vary_by_cookie(response)  # the stream may still read the session
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
                _keep_from_shared_caches(response)
            return
        name, attributes = self.get_cookie_name(app), self.cookie_attributes(app)
        others = response.headers.getlist("Set-Cookie")
        if isinstance(change, Credential):
            live = visit.live
            if live and not live.new and _deletes(response, name):
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
        set_cookies = visit.number, get_ident(), partial(_without, ours)
        setattr(response, UNDO, (*getattr(response, UNDO, ()), set_cookies))
        _keep_from_shared_caches(response)

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
            if fresh and not _is_public(response):
                return rotation.successor(live.record, credential)
        if visit.store.settings.rotate_every is None:
            repeat = app.config["SESSION_REFRESH_EACH_REQUEST"]
            expiry = visit.expiry_moved or (repeat and live.record.permanent)
            if current and expiry:
                return credential
    return Cookie.DELETE if visit.delete_cookie and not live else Cookie.KEEP


FOR_CACHES = ("CDN-Cache-Control", "Surrogate-Control")
"""Headers by which a response speaks to shared caches alone (RFC 9213)."""


def _deletes(response: Response, name: str) -> bool:
    """Return whether the app itself deletes this cookie: that is its logout."""
    mine = f"{name}=;"
    return any(each.startswith(mine) for each in response.headers.getlist("Set-Cookie"))


UNDO = "_srvsession_undo"
"""Where a Response has our changes: the number of the request that each was made for,
the thread, and how to undo it."""


def _take_back(response: Response, number: int) -> None:
    """Undo changes for other requests on a Response that is returned again: a constant
    of the app, or one that ``lru_cache`` keeps. Those for a request within this one,
    to which it was forwarded, stay."""
    changes = getattr(response, UNDO)
    if all(at >= number and thread == get_ident() for at, thread, _ in changes):
        return
    delattr(response, UNDO)
    for _, _, undo in reversed(changes):
        undo(response)
    log.warning(
        "a Response object is returned again: the session cookie, or the error page, of"
        " another request was taken out of it. Make a Response for each request."
    )


def _restore(
    status: str, headers: list[tuple[str, str]], body: Any, response: Response
) -> None:
    response.status, response.response = status, body
    response.headers.clear()
    response.headers.extend(headers)


def _without(cookies: list[str], response: Response) -> None:
    present = response.headers.getlist("Set-Cookie")
    kept = [each for each in present if each not in cookies]
    response.headers.setlist("Set-Cookie", kept)


def _vary_by_cookie(response: Response) -> None:
    if response.headers.getlist("Vary"):
        response.vary.add("Cookie")
    else:
        response.headers.add("Vary", "Cookie")  # a third of the time


def _is_public(response: Response) -> bool:
    directives = ",".join(response.headers.getlist("Cache-Control")).lower()
    return "public" in directives or "s-maxage" in directives


def _keep_from_shared_caches(response: Response) -> None:
    """Let no cache give our Set-Cookie to others (RFC 9111, section 3).

    A view's own Cache-Control stays as far as it concerns the browser's cache.
    """
    control = response.cache_control
    if "Cache-Control" not in response.headers:
        control.no_store = True
    else:
        control.public, control.s_maxage = False, None
        control.private = True
    for name in FOR_CACHES:
        if name in response.headers:
            response.headers[name] = "no-store"


def _with_context(app: Flask, method: str, *args: Any) -> Any:
    """Call a method of Flask, which from 3.2 on wants the context first; for one that
    an app overrides without it, Flask leaves it out."""
    function = getattr(app, method)
    if "ctx" in signature(getattr(Flask, method)).parameters:
        context: Any = app_ctx
        return function(context._get_current_object(), *args)
    return function(*args)


def _turn_into(app: Flask, response: Response, error: HTTPException) -> None:
    """Turn `response` into the one that the app's error handlers make of `error`."""
    try:
        answer = app.make_response(_with_context(app, "handle_user_exception", error))
        answer = _finished(app, answer)
    except Exception as failure:
        if failure is not error:
            _with_context(app, "log_exception", sys.exc_info())
        answer = app.make_response(error.get_response())
    _replace(response, answer)


def _finished(app: Flask, answer: Response) -> Response:
    """Run the app's functions for all responses: CORS headers are set there.

    A wish that the view expressed with ``after_this_request`` was for the response that
    failed.
    """
    for name in (*request.blueprints, None):
        for function in reversed(app.after_request_funcs.get(name, ())):
            answer = app.ensure_sync(function)(answer)
    return answer


def _replace(response: Response, answer: Response) -> None:
    if callable(close := getattr(response.response, "close", None)):
        close()
    response.direct_passthrough = False
    _restore(answer.status, [*answer.headers], [], response)
    response.set_data(answer.get_data())


class AnswerOutages:
    """WSGI middleware: where an outage ended in a 500, or in nothing, answer 503.

    Error pages and ``after_request`` functions that use the session fail with the
    storage, too. Flask makes a 500 of that, or lets the exception pass to the server.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._wsgi_app: WSGIApplication = app.wsgi_app

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        environ[ANSWERED] = True
        head: tuple[Any, ...] | None = ()
        written: Callable[[bytes], object] | None = None

        def start(status: str, *args: Any) -> Callable[[bytes], object]:
            nonlocal head
            if head is None:
                return start_response(status, *args)
            head = status, *args
            return write

        def write(data: bytes) -> object:
            nonlocal head, written
            if head:
                written, head = start_response(*head), None
            return written(data) if written else None

        try:
            body = self._wsgi_app(environ, start)
        except Exception:  # of a teardown_request function, perhaps: after the head
            if FAILURE not in environ or self._propagates():
                raise
            return _answer(environ, start_response)
        if head and FAILURE in environ and head[0].startswith("500"):
            if callable(close := getattr(body, "close", None)):
                close()
            return _answer(environ, start_response)
        begun, head = head, None
        if begun:
            start_response(*begun)
        return body

    def _propagates(self) -> bool:
        """Whether Flask lets exceptions through on purpose: for tests, a debugger."""
        wanted = self._app.config["PROPAGATE_EXCEPTIONS"]
        return bool(self._app.testing or self._app.debug if wanted is None else wanted)


def _answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    failure: HTTPException = environ[FAILURE]
    return failure.get_response(environ)(environ, start_response)
