"""Connections to an SQL database: how long they wait, and second tries."""

from __future__ import annotations

import os
import random
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, Row
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from ...errors import ConfigurationError
from ..base import Busy
from . import drivers
from .schema import Tables

_RECYCLE = 30 * 60
_PATIENCE = 15.0
"""Seconds that creating the tables, or counting their rows, may take."""
_PAUSES = (0.001, 0.005, 0.02, 0.05)

_UNDONE = (
    *("40001", "40P01"),  # PostgreSQL
    *("1205", "1213"),  # MySQL
    *("database is locked", "database table is locked"),  # SQLite
)
_NO_TABLE = ("42P01", "1146", "no such table")

DURABLE = {"durable": True}
"""The execution options of a statement that ends something: it waits for the disk."""

_T = TypeVar("_T")
_Work: TypeAlias = Callable[[Connection], _T]


class PoolExhausted(Busy, OSError):
    """All connections of this process were in use, and none of them came back."""


class Turns:
    """Lets so many in at a time, who has waited longest first.

    The pool's own queue lets others pass: of 150 clients, some would wait for ever.
    A client waits while others succeed: it gives up where nobody has for `patience`
    seconds. A database that answers is no outage, however many ask it.
    """

    def __init__(self, places: int, patience: float) -> None:
        self._free, self._patience = places, patience
        self._lock, self._waiting = threading.Lock(), deque[threading.Condition]()
        self._succeeded = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if self._free and not self._waiting:
                self._free -= 1
                return
            began, turn = time.monotonic(), threading.Condition(self._lock)
            self._waiting.append(turn)
            try:
                while not self._free or self._waiting[0] is not turn:
                    until = max(began, self._succeeded) + self._patience
                    if (left := until - time.monotonic()) <= 0:
                        raise PoolExhausted(f"no connection for {self._patience} s")
                    turn.wait(left)
                self._free -= 1
            finally:
                self._waiting.remove(turn)
                self._call_next()

    def __exit__(self, kind: object, *_: object) -> None:
        with self._lock:
            if kind is None:
                self._succeeded = time.monotonic()
            self._free += 1
            self._call_next()

    def _call_next(self) -> None:
        if self._free and self._waiting:
            self._waiting[0].notify()


class Database:
    """An engine of our own, whose connections are in autocommit: each statement is a
    transaction of its own, and costs one round trip."""

    def __init__(
        self, url: URL, tables: Tables, timeout: float, options: dict[str, Any]
    ) -> None:
        self.url = url
        self._tables = tables
        self._timeout = timeout
        self._is_sqlite = url.get_backend_name() == "sqlite"
        self.in_memory = self._is_sqlite and drivers.is_in_memory(url)
        if self.in_memory:
            options = {**options, "pool_size": 1, "pool_timeout": _PATIENCE}
        self._options = options
        self.engine = self._create_engine(timeout)
        self._begin_queues()
        self._is_ready = False
        self._pools_of_parents: list[object] = []
        _databases.add(self)

    def rows(self, statement: sa.Executable, **values: Any) -> Sequence[Row[Any]]:
        """Return the rows that are read; once more if the server had closed the
        connection. Those that a change returns are committed, as by :meth:`write`."""
        return self._execute(statement, lambda c: c.execute(statement, values).all())

    def write(self, statement: sa.UpdateBase, **values: Any) -> int:
        """Return how many rows were changed: that is committed.

        An error leaves open whether it was done, unless the database says that it
        has undone it: only then it is tried again.
        """
        return self._execute(statement, lambda c: c.execute(statement, values).rowcount)

    def _execute(self, statement: sa.Executable, work: _Work[_T]) -> _T:
        if not self._is_ready:
            self.create_tables()
            self._is_ready = True
        return self._run(work, statement)

    def create_tables(self) -> bool:
        """Create the tables where they are missing; many may do so at once.

        Returns whether there was anything to create.
        """
        if self._run(self._tables.are_there, sa.select()):
            return False
        for pause in _PAUSES:
            try:
                with self._creators, self.patient() as connection:
                    self._tables.create(connection)
                return True
            except DBAPIError as error:
                if error.connection_invalidated:
                    raise
                refused = error  # maybe only since others are at it, too
            time.sleep(pause)
        raise ConfigurationError(
            f"The session tables {self._tables.name} are missing, and the database"
            " refuses to create them. Create them as a user who may, with flask"
            " sessions create-tables or the statements that its option --sql prints."
        ) from refused

    @contextmanager
    def patient(self) -> Iterator[Connection]:
        """Give a connection for long work, whether the tables are there or not.

        A server that cannot be reached is an error within the timeout all the same.
        """
        with self.engine.connect():
            engine = self.engine
        if not self._is_sqlite:
            engine = self._create_engine(_PATIENCE)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            if engine is not self.engine:
                engine.dispose()

    def leave_connections_to_parent(self) -> None:
        """Begin with none in the child of a fork. Those of the parent are kept, but
        not touched: a close here could close them there."""
        self._pools_of_parents.append(self.engine.pool)
        self.engine.dispose(close=False)
        self._begin_queues()
        self._is_ready = False  # a database in memory is a new one

    def _run(self, work: _Work[_T], statement: sa.Executable) -> _T:
        # After half a timeout nothing is repeated: timeouts must not add up.
        deadline, pause = time.monotonic() + self._timeout / 2, 0.001
        while True:
            try:
                with self._turns, self.engine.connect() as connection:
                    if self._is_sqlite:
                        drivers.set_durable(connection, statement)
                    return work(connection)
            except DBAPIError as error:
                if _says(error, _NO_TABLE):
                    self._is_ready = False  # the next call finds out more
                is_over = statement.is_select and error.connection_invalidated
                is_late = time.monotonic() + pause >= deadline
                if is_late or not (is_over or _says(error, _UNDONE)):
                    raise
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 (no secret)
            pause *= 4

    def _begin_queues(self) -> None:
        self._turns = Turns(self._options["pool_size"], self._options["pool_timeout"])
        self._creators = Turns(1, _PATIENCE)

    def _create_engine(self, timeout: float) -> Engine:
        options = {
            "isolation_level": "AUTOCOMMIT",
            "skip_autocommit_rollback": True,
            "pool_reset_on_return": None,
            "hide_parameters": True,
            "poolclass": QueuePool,
            "max_overflow": 0,
            "pool_use_lifo": True,
            "pool_recycle": -1 if self._is_sqlite else _RECYCLE,
            "connect_args": drivers.connect_args(self.url, timeout),
            **self._options,
        }
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", "Query string argument")
                engine = sa.create_engine(self.url, **options)
        except ModuleNotFoundError as error:
            raise drivers.is_missing(self.url, error) from error
        except (ValueError, sa.exc.SAWarning):
            raise drivers.refuses_options(self.url) from None
        engine.update_execution_options(preserve_rowcount=True)
        drivers.prepare_connections(engine, timeout)
        return engine


def _says(error: DBAPIError, reasons: tuple[str, ...]) -> bool:
    """Return whether the driver gives one of `reasons`: as the SQLSTATE or as the first
    argument of its exception, be it a number or a text."""
    original: Any = error.orig
    state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    code = next(iter(getattr(original, "args", ())), None)
    return str(state).startswith(reasons) or str(code).startswith(reasons)


_databases: WeakSet[Database] = WeakSet()


def _after_fork() -> None:
    for database in list(_databases):
        database.leave_connections_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
