"""The answer to an outage or a refusal that is met after the view: the response turns
into the error's, or into a 503."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from inspect import signature
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from flask.globals import app_ctx
from werkzeug.exceptions import HTTPException

from .responses import restore
from .visit import FAILURE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def _with_context(app: Flask, method: str, *args: Any) -> Any:
    """Call a method of Flask, which from 3.2 on wants the context first; for one that
    an app overrides without it, Flask leaves it out."""
    function = getattr(app, method)
    if "ctx" in signature(getattr(Flask, method)).parameters:
        context: Any = app_ctx
        return function(context._get_current_object(), *args)
    return function(*args)


def turn_into(app: Flask, response: Response, error: HTTPException) -> None:
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
    restore(answer.status, [*answer.headers], [], response)
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
