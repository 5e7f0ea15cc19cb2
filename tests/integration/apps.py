"""Browsers, requests that wait in the middle, and storages that get lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Flask, request
from flask_login import LoginManager, UserMixin
from werkzeug.test import TestResponse

from flask_srvsession import ids, session
from flask_srvsession.backends import Backend
from flask_srvsession.backends.base import Cell
from flask_srvsession.record import Binding

PATIENCE = 20.0
"""Seconds after which something that waits is stuck."""

DELETED = "expires=thu, 01 jan 1970"
VIEW = "tests.view"

View = Callable[[], Any]


def _do() -> Any:
    result = request.environ[VIEW]()
    return "" if result is None else result


class Browser:
    """A client with a cookie jar; each of its requests runs a function as the view."""

    def __init__(self, app: Flask, cookie: str | None = None) -> None:
        if "do" not in app.view_functions:
            app.add_url_rule("/do", "do", _do)
        self.app = app
        self.client = app.test_client()
        if cookie is not None:
            self.client.set_cookie("session", cookie)

    def do(self, view: View, **kwargs: Any) -> TestResponse:
        """Run `view` in a request of its own."""
        return self.client.get("/do", environ_overrides={VIEW: view}, **kwargs)

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
        """The session cookie; it must be there."""
        cookie = self.client.get_cookie("session")
        assert cookie is not None, "there is no session cookie"
        return cookie.value

    @property
    def has_cookie(self) -> bool:
        return self.client.get_cookie("session") is not None

    @property
    def id(self) -> str:
        """The public id in the cookie."""
        return self.cookie.partition(".")[0]

    def copy(self) -> Browser:
        """Return somebody else who has copied the session cookie."""
        return Browser(self.app, self.cookie)

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


@dataclass
class Late:
    """A request that ends later than others that began after it."""

    finished: TestResponse | None = None

    @property
    def response(self) -> TestResponse:
        assert self.finished is not None, "the request is still under way"
        return self.finished


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run `calls` at the same time, each in a thread; return their results."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        start.wait(PATIENCE)
        return call()

    with ThreadPoolExecutor(len(calls)) as executor:
        futures = [executor.submit(run, call) for call in calls]
        return [future.result(PATIENCE) for future in futures]


def cookie_headers(response: TestResponse, name: str = "session") -> list[str]:
    """Return the Set-Cookie headers for `name`."""
    headers = response.headers.getlist("Set-Cookie")
    return [header for header in headers if header.startswith(f"{name}=")]


def sets_cookie(response: TestResponse, name: str = "session") -> bool:
    """Return whether the response gives the client a cookie called `name`."""
    headers = cookie_headers(response, name)
    return any(DELETED not in header.lower() for header in headers)


def new_cookies(response: TestResponse) -> list[str]:
    """Return the values of the session cookies that the response sets."""
    headers = [h for h in cookie_headers(response) if DELETED not in h.lower()]
    return [header.partition(";")[0].removeprefix("session=") for header in headers]


def deletes_cookie(response: TestResponse, name: str = "session") -> bool:
    """Return whether the response deletes the cookie called `name`."""
    headers = cookie_headers(response, name)
    return any(DELETED in header.lower() for header in headers)


def stored(app: Flask, session_id: str) -> Cell | None:
    """Return what is in the storage for the session, a tombstone included."""
    backend: Backend = app.extensions["srvsession"].backend
    return backend.get(app.config["SRVSESSION_KEY_PREFIX"] + session_id)


def remove_stored(app: Flask, session_id: str) -> bool:
    """Remove it behind the extension's back, as the end of a TTL does."""
    backend: Backend = app.extensions["srvsession"].backend
    return backend.delete(app.config["SRVSESSION_KEY_PREFIX"] + session_id)


def index_name(app: Flask, value: object, index: str = "user_id") -> str:
    """Return what the storage calls the list of sessions under an index value."""
    digest = Binding(index, str(value)).digest()
    return f"{app.config['SRVSESSION_KEY_PREFIX']}index:{digest}"


def listed(app: Flask, value: object, index: str = "user_id") -> set[str]:
    """Return the ids of the sessions that are listed under an index value."""
    backend: Backend = app.extensions["srvsession"].backend
    listed = backend.index.members(index_name(app, value, index))
    return {ids.unpack(entry.partition(".")[0]) for entry in listed}


class User(UserMixin):
    def __init__(self, user_id: str) -> None:
        self.id = user_id


def use_flask_login(app: Flask) -> LoginManager:
    """Put `app` under Flask-Login; every id is a user's."""
    manager = LoginManager(app)
    manager.user_loader(User)
    return manager


class LosingBackend:
    """A backend whose storage can be lost in the middle of a request.

    Notes what it is asked to do. From the chosen write on, everything fails until
    :meth:`recover`; or only the answer of that one write is lost.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend: Any = backend
        self.index = _LosingIndex(self)
        self.calls: list[str] = []
        self.has_failed = False
        self.recover()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    @property
    def writes(self) -> list[str]:
        """What could have changed the storage, in order."""
        return [c for c in self.calls if c not in ("get", "members", "admits")]

    def lose(self, *, at_write: int, only_answer: bool = False) -> None:
        """Fail from the n-th write on, counted from now; 0 is at once."""
        self.calls.clear()
        self.has_failed = False
        self._at_write, self._only_answer = at_write, only_answer

    def recover(self) -> None:
        """Be there again, with what was stored."""
        self._at_write, self._only_answer = -1, False

    def get(self, key: str) -> Any:
        return self.call("get", self._backend.get, key)

    def add(self, *args: Any) -> Any:
        return self.call("add", self._backend.add, *args)

    def swap(self, *args: Any) -> Any:
        return self.call("swap", self._backend.swap, *args)

    def delete(self, *args: Any) -> Any:
        return self.call("delete", self._backend.delete, *args)

    def call(
        self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        self.calls.append(name)
        count = len(self.writes)
        if self._only_answer and count == self._at_write and not self.has_failed:
            function(*args, **kwargs)
            self._fail()
        if not self._only_answer and 0 <= self._at_write <= count:
            self._fail()
        return function(*args, **kwargs)

    def _fail(self) -> None:
        self.has_failed = True
        raise self._backend.errors[0]("the storage was lost")


class _LosingIndex:
    def __init__(self, backend: LosingBackend) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._backend._backend.index, name)
        label = name if name in ("members", "admits") else f"index.{name}"
        return lambda *args, **kw: self._backend.call(label, function, *args, **kw)


def each_write(losing: LosingBackend, most: int = 12) -> Iterator[int]:
    """Yield 1, 2, 3 and so on until a request ends before it gets to that write."""
    for nth in range(1, most + 1):
        yield nth
        if not losing.has_failed:
            return
    raise AssertionError("the request never ends")
