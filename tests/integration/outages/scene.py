"""Servers that are killed or hang, and apps that answer meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import flask
from flask import Flask, request
from flask_login import LoginManager, UserMixin, current_user
from werkzeug.exceptions import HTTPException

from flask_srvsession import BackendError, session
from tests.web import Browser

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.servers import Server


TIMEOUT = 0.6
"""Seconds for which the clients of these tests wait for an answer."""


ONE_TIMEOUT = 1.9 * TIMEOUT
"""Seconds; more than one timeout, less than two."""


OPTIONS = {
    "redis": f"?socket_timeout={TIMEOUT}&socket_connect_timeout={TIMEOUT}",
    "memcached": f"?timeout={TIMEOUT}",
}


Outage = Callable[["Server"], AbstractContextManager[None]]


SetUp = Callable[[Flask], Any]


MakeBrowser = Callable[..., Browser]


@contextmanager
def killed(server: Server) -> Generator[None]:
    """The server is gone: connections are refused. It comes back with nothing."""
    server.stop()
    try:
        yield
    finally:
        server.start()


def begin() -> None:
    session["a"] = 1


def read() -> Any:
    return session.get("a")


def write() -> None:
    session["a"] = session.get("a", 0) + 1


def logout() -> None:
    session.destroy()


class User(UserMixin):
    def __init__(self, user_id: str) -> None:
        self.id = user_id


def with_flask_login(app: Flask) -> None:
    manager = LoginManager(app)
    manager.user_loader(User)


def flash_error_page(_: Exception) -> tuple[str, int]:
    flask.flash("Sorry")
    return f"out of order, {session.get('a')}", 503


def page_503(app: Flask) -> None:
    @app.errorhandler(503)
    def out_of_order(error: HTTPException) -> tuple[str, int, dict[str, str]]:
        return f"out of order: {request.path}", 503, {"Retry-After": "7"}


def page_503_with_session(app: Flask) -> None:
    app.register_error_handler(503, flash_error_page)


def page_500_with_session(app: Flask) -> None:
    app.register_error_handler(500, flash_error_page)


def page_of_http_errors_with_session(app: Flask) -> None:
    app.register_error_handler(HTTPException, flash_error_page)


def page_of_all_errors_with_session(app: Flask) -> None:
    app.register_error_handler(Exception, flash_error_page)


def session_in_teardown(app: Flask) -> None:
    @app.teardown_request
    def note(_: BaseException | None) -> None:
        try:
            session.get("visits")
        except BackendError:
            app.logger.warning("no visits")


SESSION_IN_ERROR_PAGES: dict[str, list[SetUp]] = {
    "503": [page_503_with_session],
    "500": [page_500_with_session],
    "503 and 500": [page_503_with_session, page_500_with_session],
    "HTTPException": [page_of_http_errors_with_session],
    "Exception": [page_of_all_errors_with_session],
    "teardown": [session_in_teardown],
    "503 and teardown": [page_503_with_session, session_in_teardown],
    "Flask-Login's user": [
        with_flask_login,
        lambda app: app.register_error_handler(
            503, lambda _: (f"sorry, {current_user.is_authenticated}", 503)
        ),
    ],
}


class Closing:
    """An iterable that notes when it is closed."""

    def __init__(self, items: Iterator[str], closed: list[bool]) -> None:
        self._items = items
        self._closed = closed

    def __iter__(self) -> Iterator[str]:
        return self._items

    def close(self) -> None:
        self._closed.append(True)
