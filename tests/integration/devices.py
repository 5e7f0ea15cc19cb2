"""Signed-in browsers, all sessions of a user, and storages that stop in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

import sqlalchemy as sa
from flask import Flask

from flask_srvsession import ServerSession, SessionInfo, session
from flask_srvsession.backends import Backend
from flask_srvsession.backends.base import Cell, Version
from flask_srvsession.backends.cell_index import CellIndex, _Roll
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.backends.redis import RedisIndex
from flask_srvsession.backends.sql import SQLBackend, SQLIndex
from flask_srvsession.draft import Changes
from flask_srvsession.store import SessionStore, revocation
from flask_srvsession.store.lists import Binding
from flask_srvsession.store.revocation import Revocation
from flask_srvsession.testing import FakeClock
from tests.sql_servers import executed
from tests.web import Browser

from .apps import index_name

DAY = 24 * 60 * 60
MOST_STEPS = 60
"""No job of these tests asks the storage more often than this."""

sessions = ServerSession()

Job = Callable[[SessionStore], Any]
Act = Callable[[Browser], Any]

_ROTATE_EVERY = 900


def user(app: Flask) -> Binding:
    """Return the binding of the user whom these tests are about."""
    return store_of(app).lists.binding("user_id", "42")


def end_all(app: Flask) -> Revocation:
    """End all sessions of the user; return how that went."""
    return revocation.revoke_all(store_of(app), user(app))


def signed_in(app: Flask, user_id: object = 42, count: int = 1) -> list[Browser]:
    """Return `count` browsers in which the user has logged in, in this order."""
    browsers = [Browser(app) for _ in range(count)]
    for browser in browsers:
        assert browser.set(user_id=user_id).status_code == 200
    return browsers


def alive(browsers: Collection[Browser]) -> list[bool]:
    """Return for each browser whether its session is served to it."""
    return [bool(browser.values()) for browser in browsers]


def rotate(browser: Browser) -> None:
    assert browser.do(lambda: session.rotate()).status_code == 200


def log_out(browser: Browser) -> None:
    assert browser.do(lambda: session.destroy()).status_code == 200


def log_out_and_in(browser: Browser) -> None:
    log_out(browser)
    browser.set(user_id=42)


def user_of(browser: Browser) -> Any:
    return browser.values().get("user_id")


def advance_token(browser: Browser, clock: FakeClock) -> None:
    clock.advance(_ROTATE_EVERY + 1)
    browser.do(lambda: str(len(session)))


def found(app: Flask, **index: Any) -> list[SessionInfo]:
    """Return what ``find`` says outside any request."""
    with app.app_context():
        return sessions.find(**(index or {"user_id": 42}))


def revoke_all(app: Flask, **index: Any) -> int:
    """End all sessions of a user, outside any request."""
    with app.app_context():
        return sessions.revoke_all(**(index or {"user_id": 42}))


def result_of(browser: Browser, view: Callable[[], Any]) -> Any:
    """Return what `view` returns within a request of `browser`."""
    results = []
    response = browser.do(lambda: results.append(view()))
    assert response.status_code == 200, response.text
    return results[0]


def store_of(app: Flask) -> SessionStore:
    store: SessionStore = app.extensions["srvsession"].store
    return store


def assigning(app: Flask, **values: Any) -> Changes:
    """Return the change that sets `values`."""
    dumps = app.extensions["srvsession"].serializer.dumps
    return Changes(assigned={key: dumps(value) for key, value in values.items()})


def by_clock(backend: Backend) -> bool:
    """Whether time passes in the storage as the clock of the test says."""
    return isinstance(backend, (MemoryBackend, SQLBackend))


def lose_index(app: Flask, value: object = 42, parts: str = "em") -> None:
    """Remove the index of a user behind the extension's back, as an eviction does:
    the epoch (``e``), the members (``m``) or both.

    In a database, where the members refer to the epoch, they go first. Redis has both
    under one key, and loses both.
    """
    name = index_name(app, value)
    backend: Any = app.extensions["srvsession"].backend
    if isinstance(backend.index, SQLIndex):
        tables = backend._tables
        gone = (tables.members, tables.epochs)[: 1 + ("e" in parts)]
        for table in gone:
            lost = executed(backend, sa.delete(table).where(table.c.name == name))
        assert lost.rowcount, "there was none"
        return
    if isinstance(backend.index, RedisIndex):
        assert backend._client.delete(name), "there was none"
        return
    for part in parts:
        assert backend.delete(f"{name}:{part}"), "there was none"


def list_entries(backend: Any, name: str, entries: Collection[str]) -> None:
    """List entries for a day behind the extension's back; faster than logins."""
    index = backend.index
    if isinstance(index, CellIndex):
        cell = backend.get(f"{name}:m")
        roll = _Roll.load(cell.data)
        assert roll is not None
        members = {**roll.members, **dict.fromkeys(entries, roll.until)}
        data = _Roll(roll.stamp, roll.until, members).dump()
        assert backend.swap(f"{name}:m", data, cell.version, DAY)
    elif isinstance(index, SQLIndex):
        expires = int((time.time() + DAY) * 1000)
        row = {"name": name, "expires": expires}
        rows = [row | {"member": entry} for entry in entries]
        executed(backend, sa.insert(backend._tables.members), rows)
    else:
        until = (time.time() + DAY) * 1_000_000
        backend._client.zadd(name, dict.fromkeys(entries, until))


class SteppingBackend:
    """A backend that does something else before a chosen call of whoever uses it.

    An index over cells is stepped through cell by cell; one of the server's own does
    each step at once. What is done in between is not interrupted itself.
    """

    _do: Callable[[], Any] | None

    def __init__(self, backend: Backend, clock: Callable[[], float]) -> None:
        self._backend: Any = backend
        self._disarm()
        self.unlistings = 0
        """How often a list of members was written, or shortened by the server."""
        self.index: Any = _SteppingIndex(self, backend.index)
        if isinstance(backend.index, CellIndex):
            self.index = CellIndex(self, time.time if backend.shared else clock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def positions(
        self, in_between: Callable[[], Any], most: int = MOST_STEPS
    ) -> Iterator[int]:
        """Yield 0, 1, 2 and so on: before that call of the next job, do `in_between`.

        Ends when the job is over before: then `in_between` is done after it.
        """
        for position in range(most):
            self._do, self._at = in_between, position
            self.begin()
            yield position
            finished_before = self._was_late
            self._disarm()
            if finished_before:
                return
        raise AssertionError("the job never ends")

    def begin(self) -> None:
        """Count steps from here on."""
        self._steps, self._counting = 0, True

    def pause(self) -> None:
        """Count none until the next :meth:`begin`."""
        self._counting = False

    def finish(self) -> None:
        """Do what is to be done in between now, if the job was over before."""
        if self._do is not None:
            self._was_late = True
            do, self._do = self._do, None
            do()

    def get(self, key: str) -> Cell | None:
        self.step()
        cell: Cell | None = self._backend.get(key)
        return cell

    def add(self, key: str, data: bytes, ttl: int) -> Version | None:
        self.step()
        return self._backend.add(key, data, ttl)

    def swap(
        self, key: str, data: bytes, version: Version, ttl: int
    ) -> Version | Cell | None:
        self.step()
        self.unlistings += key.endswith(":m")
        return self._backend.swap(key, data, version, ttl)

    def delete(self, key: str, version: Version | None = None) -> bool:
        self.step()
        return bool(self._backend.delete(key, version))

    def step(self) -> None:
        """Count a call, and do what is to be done before it."""
        if self._do is None or not self._counting:
            return
        if self._steps == self._at:
            do, self._do = self._do, None
            do()
        self._steps += 1

    def _disarm(self) -> None:
        self._do = None
        self._steps, self._at = 0, 0
        self._counting = self._was_late = False


class _SteppingIndex:
    """Steps before each call of an index that the server keeps itself."""

    def __init__(self, backend: SteppingBackend, index: Any) -> None:
        self._backend = backend
        self._index = index

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._index, name)

        def stepped(*args: Any, **kwargs: Any) -> Any:
            self._backend.step()
            self._backend.unlistings += name == "remove"
            return function(*args, **kwargs)

        return stepped
