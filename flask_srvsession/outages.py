"""The last word on an outage: a 503, whatever the error pages made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask

from .errors import BackendError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FAILURE = "flask_srvsession.failure"
"""Where the WSGI environ has the first BackendError that a session met."""

ANSWERED = "flask_srvsession.answered"
"""There in the WSGI environ of a request whose response somebody waits for."""


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
        withheld = False
        environ[ANSWERED] = True

        def start(status: str, *args: Any) -> Callable[[bytes], object]:
            nonlocal withheld
            withheld = FAILURE in environ and status.startswith("500")
            return _ignore if withheld else start_response(status, *args)

        try:
            body = self._wsgi_app(environ, start)
        except Exception:
            if FAILURE not in environ or self._propagates():
                raise
            return _answer(environ, start_response)
        if not withheld:
            return body
        if callable(close := getattr(body, "close", None)):
            close()
        return _answer(environ, start_response)

    def _propagates(self) -> bool:
        """Whether Flask lets exceptions through on purpose: for tests, a debugger."""
        wanted = self._app.config["PROPAGATE_EXCEPTIONS"]
        return bool(self._app.testing or self._app.debug if wanted is None else wanted)


def _ignore(data: bytes) -> None:
    pass


def _answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    failure: BackendError = environ[FAILURE]
    return failure.get_response(environ)(environ, start_response)
