"""Browsers, requests that wait in the middle, and storages that get lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask
from flask_login import LoginManager, UserMixin
from werkzeug.test import TestResponse

from flask_srvsession import ids
from flask_srvsession.backends import Backend
from flask_srvsession.backends.base import Cell
from tests.web import PATIENCE

TIMEOUT = 0.3
"""Seconds that a call of a hanging storage takes: too long to be tried again."""

DELETED = "expires=thu, 01 jan 1970"


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
    lists = app.extensions["srvsession"].store.lists
    digest = lists.binding(index, str(value)).names[0].hex()
    return f"{app.config['SRVSESSION_KEY_PREFIX']}index:{digest}"


def listed(app: Flask, value: object, index: str = "user_id") -> set[str]:
    """Return the ids of the sessions that are listed under an index value."""
    backend: Backend = app.extensions["srvsession"].backend
    listed = backend.index.members(index_name(app, value, index), 1_000_000)
    return {ids.unpack(entry.partition(".")[0]) for entry in listed or ()}


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
        return [c for c in self.calls if c not in ("get", "members", "head")]

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

    def get_with_heads(self, *args: Any) -> Any:
        return self.call("get", self._backend.get_with_heads, *args)

    def add(self, *args: Any) -> Any:
        return self.call("add", self._backend.add, *args)

    def swap(self, *args: Any) -> Any:
        return self.call("swap", self._backend.swap, *args)

    def delete(self, *args: Any) -> Any:
        return self.call("delete", self._backend.delete, *args)

    def keys(self, prefix: str) -> Any:  # from 3.12 on, protocols see no __getattr__
        return self._backend.keys(prefix)

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
        label = name if name in ("members", "head") else f"index.{name}"
        return lambda *args, **kw: self._backend.call(label, function, *args, **kw)


def each_write(losing: LosingBackend, most: int = 12) -> Iterator[int]:
    """Yield 1, 2, 3 and so on until a request ends before it gets to that write."""
    for nth in range(1, most + 1):
        yield nth
        if not losing.has_failed:
            return
    raise AssertionError("the request never ends")


class WatchedBackend(LosingBackend):
    """A backend that does something before each call, or waits and fails instead."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.before: Callable[[str], Any] = lambda name: None
        self.timeouts = 0

    def call(
        self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        self.before(name)
        return super().call(name, function, *args, **kwargs)

    def hang(self, at: Callable[[str], bool] = lambda name: True) -> None:
        """Time out from now on, at those calls."""

        def wait(name: str) -> None:
            if at(name):
                self.timeouts += 1
                time.sleep(TIMEOUT)
                raise self._backend.errors[0]("timed out")

        self.before = wait

    def answer(self) -> None:
        """Do not hang any more."""
        self.before = lambda name: None
