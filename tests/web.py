"""Clients of an app: browsers with a cookie jar, and a server for other programs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import TestResponse

from flask_srvsession import session

from .servers import HOST

PATIENCE = 20.0
"""Seconds after which something that waits is stuck."""

View = Callable[[], Any]

_URL = "/do"
_VIEW = "tests.view"
_ADDING = threading.Lock()


def nothing() -> str:
    """Do what a view does that leaves the session alone."""
    return "untouched"


class Browser:
    """A client with a cookie jar; each of its requests runs a function as the view.

    `where` are options of all its requests, as Werkzeug's test client takes them. Its
    first :meth:`do` comes before other requests to the app: it adds a route.
    """

    _path = "/"
    """Where the app is mounted, and its cookies with it."""

    def __init__(self, app: Flask, cookie: str | None = None, **where: Any) -> None:
        self.app = app
        self.client = app.test_client()
        self._where = where
        if cookie is not None:
            self.cookie = cookie

    def do(self, view: View = nothing, **options: Any) -> TestResponse:
        """Run `view` in a request of its own; what it returns is the response, or its
        text."""
        options = {**self._where, **options}
        overrides = {**options.pop("environ_overrides", {}), _VIEW: view}
        return self._get(self.client, environ_overrides=overrides, **options)

    def does(self, view: View) -> str:
        """Run `view` in a request that succeeds; return its text."""
        response = self.do(view)
        assert response.status_code == 200, response.text
        return response.text

    def send(self, cookies: bytes, view: View) -> TestResponse:
        """Run `view` in a request with a Cookie header as it is, past the jar."""
        environ = {"HTTP_COOKIE": cookies.decode("latin-1"), _VIEW: view}
        client = self.app.test_client(use_cookies=False)
        return self._get(client, environ_overrides=environ)

    def set(self, **values: Any) -> TestResponse:
        """Put `values` into the session."""
        return self.do(lambda: session.update(values))

    def values(self) -> dict[str, Any]:
        """Return what the session holds, as the next request sees it."""
        seen: dict[str, Any] = {}
        response = self.do(lambda: seen.update(session))
        assert response.status_code == 200
        return seen

    @property
    def cookie(self) -> str:
        """The value of the session cookie; it must be there."""
        cookie = self.client.get_cookie("session", path=self._path)
        assert cookie is not None, "there is no session cookie"
        return cookie.value

    @cookie.setter
    def cookie(self, value: str) -> None:
        self.client.set_cookie("session", value)

    @property
    def has_cookie(self) -> bool:
        return self.client.get_cookie("session", path=self._path) is not None

    @property
    def id(self) -> str:
        """The public id in the cookie."""
        return self.cookie.partition(".")[0]

    @property
    def key(self) -> str:
        """The key of the session in the storage."""
        prefix: str = self.app.config["SRVSESSION_KEY_PREFIX"]
        return prefix + self.id

    def copy(self) -> Browser:
        """Return somebody else who has copied the session cookie, if there is one."""
        cookie = self.cookie if self.has_cookie else None
        return Browser(self.app, cookie, **self._where)

    @contextmanager
    def in_flight(self, then: View, first: View = lambda: len(session)) -> Any:
        """Hold a request that has loaded its session and done `first`.

        When the block ends, it does `then` and finishes; see `Late.response`. Its
        response does not reach the cookie jar of this browser.
        """
        late, reached, released = Late(), threading.Event(), threading.Event()

        def view() -> Any:
            first()
            reached.set()
            assert released.wait(PATIENCE)
            return then()

        def run() -> TestResponse:
            response = other.do(view)
            response.get_data()
            return response

        other = self.copy()
        with ThreadPoolExecutor(1) as executor:
            future = executor.submit(run)
            future.add_done_callback(lambda _: reached.set())
            try:
                assert reached.wait(PATIENCE)
                if future.done():
                    future.result()
                    raise AssertionError("the request did not wait")
                yield late
            finally:
                released.set()
            late.finished = future.result(PATIENCE)

    def _get(self, client: FlaskClient, **options: Any) -> TestResponse:
        with _ADDING:
            if "do" not in self.app.view_functions:
                self.app.add_url_rule(_URL, "do", _do, methods=["GET", "POST"])
        return client.get(_URL, **options)


def _do() -> Any:
    result = request.environ.get(_VIEW, nothing)()
    is_response = hasattr(result, "headers") or hasattr(result, "__next__")
    return result if is_response else str(result)


@dataclass
class Late:
    """A request that ends later than others that began after it."""

    finished: TestResponse | None = None

    @property
    def response(self) -> TestResponse:
        assert self.finished is not None, "the request is still under way"
        return self.finished


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        pass


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve `app` from threads of this process; yield its URL."""
    server = make_server(HOST, 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
