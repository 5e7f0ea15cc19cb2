"""Connections to an SQL database: how long they wait, and what may be repeated."""

from __future__ import annotations

import importlib
import os
import random
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, Row
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    NoSuchModuleError,
)
from sqlalchemy.pool import QueuePool

from ..errors import ConfigurationError
from .sql_schema import Tables

_KEPT = 16
_RECYCLE = 30 * 60
_PATIENCE = 15.0
"""Seconds that creating the tables, or counting what is in them, may take."""
_PAUSES = (0.001, 0.005, 0.02, 0.05)
_POSTGRESQL_LEAST = 2
"""Seconds; the drivers round what is shorter up to this."""

_DEFAULT_DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_PACKAGES = {"psycopg": "psycopg[binary]", "MySQLdb": "mysqlclient"}
"""Where a driver is found, if not under the name of its module."""
_BEGIN = {
    "sqlite": "BEGIN IMMEDIATE",
    "postgresql": "BEGIN ISOLATION LEVEL READ COMMITTED",
    "mysql": "START TRANSACTION",
    "mariadb": "START TRANSACTION",
}
_ROLLED_BACK = (
    *("40001", "40P01"),  # PostgreSQL
    *("1205", "1213"),  # MySQL
    *("database is locked", "database table is locked"),  # SQLite
)
_NO_FILE = ("unable to open database file", "attempt to write a readonly database")
_NO_TABLE = ("42P01", "1146", "no such table")

_T = TypeVar("_T")


class CommitFailed(OSError):
    """The storage did not say whether it has done what it was to commit."""


class Database:
    """An engine of our own: each statement for itself, or several in a transaction.

    The connections are in autocommit, and transactions are begun and ended by
    statements. That is the same with every driver, and a statement for itself costs
    one round trip.
    """

    def __init__(
        self, url: URL, tables: Tables, timeout: float, options: dict[str, Any]
    ) -> None:
        self.url = url
        self._tables = tables
        self._timeout = timeout
        self._options = options
        self._is_sqlite = url.get_backend_name() == "sqlite"
        self.in_memory = self._is_sqlite and _is_in_memory(url)
        self._begin = _BEGIN[url.get_backend_name()]
        self._engines = {os.getpid(): self._create_engine(timeout)}
        self._ready: set[Engine] = set()

    @property
    def engine(self) -> Engine:
        """The engine of this process.

        That of the parent is kept but not touched: its connections are the parent's,
        and closing them here could close them there.
        """
        engine = self._engines.get(os.getpid())
        if engine is None:
            created = self._create_engine(self._timeout)
            engine = self._engines.setdefault(os.getpid(), created)
        return engine

    def read(self, statement: sa.Select[Any], **values: Any) -> Sequence[Row[Any]]:
        """Return the rows; once more if the server had closed the connection."""

        def call() -> Sequence[Row[Any]]:
            with self._connected() as connection:
                return connection.execute(statement, values).all()

        return self._patiently(call, _did_nothing_or_was_closed)

    def write(
        self, statement: sa.UpdateBase, *, durable: bool = False, **values: Any
    ) -> int:
        """Return how many rows were changed; once executed, it is committed."""

        def call() -> int:
            with self._connected(durable) as connection:
                return connection.execute(statement, values).rowcount

        return self._patiently(call, _did_nothing)

    def transact(
        self, work: Callable[[Connection], _T], *, durable: bool = False
    ) -> _T:
        """Return what `work` returns, with all its statements committed, or none.

        `work` runs again where it lost against others, also with an IntegrityError:
        then somebody inserted what it had not found.
        """

        def call() -> _T:
            with self._connected(durable) as connection, self._transaction(connection):
                return work(connection)

        return self._patiently(call, _lost_a_race)

    def create_tables(self) -> bool:
        """Create the tables where they are missing; many may do so at once.

        Returns whether there was anything to create.
        """
        if self._has_tables():
            return False
        # Others may be at it, too.
        with self._patient() as engine:
            self._create_with(engine)
        return True

    @contextmanager
    def patient(self) -> Iterator[Connection]:
        """Give a connection for what takes time, whether the tables are there or not.

        A server that cannot be reached is an error within the timeout all the same.
        """
        with self.engine.connect():
            pass
        with self._patient() as engine, engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close the connections of this process; the next call opens new ones."""
        self.engine.dispose()

    @contextmanager
    def _connected(self, durable: bool = False) -> Iterator[Connection]:
        engine = self.engine
        if engine not in self._ready:
            self.create_tables()
            self._ready.add(engine)
        with engine.connect() as connection:
            if self._is_sqlite:
                _set_durable(connection, durable)
            try:
                yield connection
            except DBAPIError as error:
                if _misses_a_table(error):
                    self._ready.discard(engine)  # the next call finds out more
                raise

    @contextmanager
    def _patient(self) -> Iterator[Engine]:
        if self._is_sqlite:
            yield self.engine
            return
        engine = self._create_engine(_PATIENCE)
        try:
            yield engine
        finally:
            engine.dispose()

    def _create_with(self, engine: Engine) -> None:
        refused: DBAPIError | None = None
        for pause in _PAUSES:
            try:
                with engine.connect() as connection, self._transaction(connection):
                    self._tables.create(connection)
            except DBAPIError as error:
                if error.connection_invalidated:
                    raise
                refused = error
            else:
                return
            time.sleep(pause)
        raise ConfigurationError(
            f"The session tables {self._tables.name} are missing, and the database"
            " refuses to create them. Create them as a user who may, with flask"
            " sessions create-tables or the statements that its option --sql prints."
        ) from refused

    def _has_tables(self) -> bool:
        def call() -> bool:
            with self.engine.connect() as connection:
                return self._tables.are_there(connection)

        return self._patiently(call, _did_nothing_or_was_closed)

    @contextmanager
    def _transaction(self, connection: Connection) -> Iterator[None]:
        try:
            connection.exec_driver_sql(self._begin)
            yield
        except BaseException:
            _roll_back(connection)
            raise
        try:
            connection.exec_driver_sql("COMMIT")
        except BaseException as error:
            _roll_back(connection)
            if isinstance(error, DBAPIError):
                raise CommitFailed("the database did not confirm a commit") from error
            raise

    def _patiently(
        self, call: Callable[[], _T], may_repeat: Callable[[DBAPIError], bool]
    ) -> _T:
        # What has waited for half a timeout is not repeated: timeouts must not add up.
        deadline = time.monotonic() + self._timeout / 2
        for pause in _PAUSES:
            try:
                return call()
            except DBAPIError as error:
                if not may_repeat(error) or time.monotonic() >= deadline:
                    raise
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 (no secret)
        return call()

    def _create_engine(self, timeout: float) -> Engine:
        url = self.url
        options: dict[str, Any] = {
            "isolation_level": "AUTOCOMMIT",
            "skip_autocommit_rollback": True,
            "pool_reset_on_return": None,
            "hide_parameters": True,
            "poolclass": QueuePool,
            "connect_args": self._connect_args(timeout),
        }
        if self.in_memory:
            # The data live as long as the one connection, which takes turns.
            options |= {"pool_size": 1, "max_overflow": 0, "pool_timeout": 30}
        else:
            options |= {"pool_size": _KEPT, "max_overflow": -1, "pool_use_lifo": True}
            if not self._is_sqlite:
                options["pool_recycle"] = _RECYCLE
        try:
            engine = sa.create_engine(url, **options | self._options)
        except ModuleNotFoundError as error:
            driver = _PACKAGES.get(error.name or "", error.name)
            raise ConfigurationError(
                f"The backend {url.drivername}:// needs the package {driver}:"
                f' pip install "flask_srvsession[sql]" "{driver}"'
            ) from error
        self._prepare_connections(engine, timeout)
        return engine

    def _connect_args(self, timeout: float) -> dict[str, Any]:
        """Return what the driver is to be told, if the URL says nothing about it."""
        longest = timeout * 1.25  # the server, if it lives, gives up before
        whole = max(1, round(longest))
        known: dict[str, dict[str, Any]] = {
            "sqlite": {"timeout": timeout, "check_same_thread": False},
            "psycopg": {"connect_timeout": _POSTGRESQL_LEAST},
            "psycopg2": {"connect_timeout": _POSTGRESQL_LEAST},
            "pymysql": {
                "connect_timeout": longest,
                "read_timeout": longest,
                "write_timeout": longest,
                "binary_prefix": True,
            },
            "mysqldb": {
                "connect_timeout": whole,
                "read_timeout": whole,
                "write_timeout": whole,
            },
        }
        name, _, driver = self.url.drivername.partition("+")
        args = known.get("sqlite" if name == "sqlite" else driver, {})
        return {key: arg for key, arg in args.items() if key not in self.url.query}

    def _prepare_connections(self, engine: Engine, timeout: float) -> None:
        name = engine.dialect.name
        limit = max(1, round(timeout * 1000))
        statements = {
            "sqlite": ["PRAGMA foreign_keys = ON", "PRAGMA journal_mode = WAL"],
            "postgresql": [f"SET statement_timeout = {limit}"],
            "mysql": [
                "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
                "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'),"
                f" innodb_lock_wait_timeout = {max(1, limit // 1000)}",
            ],
        }
        statements["mariadb"] = statements["mysql"]

        def prepare(connection: Any, record: object) -> None:
            try:
                cursor = connection.cursor()
                for statement in statements[name]:
                    cursor.execute(statement)
                cursor.close()
            except BaseException:
                connection.close()  # the pool would just forget it
                raise

        sa.event.listen(engine, "connect", prepare)
        if self._is_sqlite and not self.in_memory:
            _leave_replaced_files(engine)
            _explain_files_that_cannot_be_used(engine)
        if engine.dialect.driver == "psycopg":
            punctual = _punctual_psycopg(timeout * 1.25)

            def connect(dialect: object, record: object, args: Any, kw: Any) -> Any:
                return punctual.connect(*args, **kw)

            sa.event.listen(engine, "do_connect", connect)


def parse_url(text: str | URL) -> URL:
    """Return the URL with a driver; no error repeats it, it may hold a password."""
    try:
        url = sa.make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "This database URL cannot be understood. It looks like"
            " sqlite:///file or postgresql+psycopg://user:password@host:port/database,"
            " with special characters in the password percent-encoded."
        ) from None
    name, _, driver = url.drivername.lower().partition("+")
    if name not in _BEGIN:
        raise ConfigurationError(
            f"The SQL backend is for {', '.join(_BEGIN)}, not for {name}."
        )
    driver = driver or _DEFAULT_DRIVERS.get(name, "")
    url = url.set(drivername=f"{name}+{driver}" if driver else name)
    try:
        dialect = url.get_dialect()
    except NoSuchModuleError:
        raise ConfigurationError(
            f"SQLAlchemy has no driver {url.drivername}://. Known to work are"
            " sqlite://, postgresql+psycopg://, mysql+pymysql:// and"
            " mariadb+pymysql://."
        ) from None
    if dialect.is_async:
        raise ConfigurationError(
            f"The driver of {url.drivername}:// is for asyncio. Use one such as"
            " psycopg or pymysql."
        )
    return url


def _is_in_memory(url: URL) -> bool:
    database = url.database or ""
    return (
        database in ("", ":memory:")
        or database.startswith("file::memory:")
        or url.query.get("mode") == "memory"
    )


def _leave_replaced_files(engine: Engine) -> None:
    """Use no connection whose SQLite file was deleted or replaced since it was opened:
    nobody else would see what it changes, a logout for example."""

    def remember(connection: Any, record: Any) -> None:
        path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
        record.info["file"] = path, _identity(path)

    def compare(connection: object, record: Any, fairy: object) -> None:
        path, opened = record.info["file"]
        if _identity(path) != opened:
            raise DisconnectionError("the database file was replaced")

    sa.event.listen(engine, "connect", remember)
    sa.event.listen(engine, "checkout", compare)


def _explain_files_that_cannot_be_used(engine: Engine) -> None:
    """Say which file it is, and what to look for; the driver says neither."""

    def explain(context: Any) -> None:
        if str(context.original_exception).startswith(_NO_FILE):
            raise ConfigurationError(
                f"The SQLite file {engine.url.database} cannot be opened, or not be"
                " changed: is its directory there, and may this user write to both?"
            )

    sa.event.listen(engine, "handle_error", explain)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        file = path.stat()
    except FileNotFoundError:
        return None
    return file.st_dev, file.st_ino


def _set_durable(connection: Connection, durable: bool) -> None:
    """Choose whether SQLite waits for the disk: for what was ended, it must.

    A commit that waits brings all earlier ones to the disk with it.
    """
    wanted = "FULL" if durable else "NORMAL"
    if connection.info.get("synchronous") != wanted:
        connection.exec_driver_sql(f"PRAGMA synchronous = {wanted}")
        connection.info["synchronous"] = wanted


def _roll_back(connection: Connection) -> None:
    if connection.invalidated:
        return
    if getattr(connection.connection.dbapi_connection, "in_transaction", None) is False:
        return  # SQLite, which could not begin or has rolled back by itself
    try:
        connection.exec_driver_sql("ROLLBACK")
    except sa.exc.SQLAlchemyError:
        # Whatever it is in the middle of, it must not go back to the pool.
        connection.invalidate()


def _did_nothing(error: DBAPIError) -> bool:
    """Return whether the database has undone the statement, and said so."""
    return _says(error, _ROLLED_BACK)


def _misses_a_table(error: DBAPIError) -> bool:
    return _says(error, _NO_TABLE)


def _says(error: DBAPIError, reasons: tuple[str, ...]) -> bool:
    """Return whether the driver gives one of `reasons`: as the SQLSTATE or as the first
    argument of its exception, be it a number or a text."""
    original: Any = error.orig
    state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    code = next(iter(getattr(original, "args", ())), None)
    return str(state).startswith(reasons) or str(code).startswith(reasons)


def _did_nothing_or_was_closed(error: DBAPIError) -> bool:
    return error.connection_invalidated or _did_nothing(error)


def _lost_a_race(error: DBAPIError) -> bool:
    return isinstance(error, IntegrityError) or _did_nothing(error)


def _punctual_psycopg(patience: float) -> Any:
    """Return psycopg's connection with a limit to how long it waits for a reply.

    psycopg itself waits for ever for a server that hangs; the server's own
    ``statement_timeout`` is of no help then.
    """
    psycopg = importlib.import_module("psycopg")
    none_ready = importlib.import_module("psycopg.waiting").READY_NONE

    def limited(steps: Generator[Any, Any, _T]) -> Generator[Any, Any, _T]:
        deadline = time.monotonic() + patience
        try:
            wanted = next(steps)
            while True:
                ready = yield wanted
                if ready == none_ready and time.monotonic() >= deadline:
                    raise psycopg.OperationalError("the server does not answer in time")
                wanted = steps.send(ready)
        except StopIteration as done:
            result: _T = done.value
            return result

    class PunctualConnection(psycopg.Connection):  # type: ignore[misc, name-defined]
        def wait(self, steps: Any, *args: Any, **kw: Any) -> Any:
            try:
                return super().wait(limited(steps), *args, **kw)
            except psycopg.OperationalError:
                if self.pgconn.transaction_status == active:
                    self.close()  # its reply may still come: nobody may read it
                raise

        @classmethod
        def _connect_gen(cls, *args: Any, **kw: Any) -> Any:
            return limited(super()._connect_gen(*args, **kw))

    active = psycopg.pq.TransactionStatus.ACTIVE
    return PunctualConnection
