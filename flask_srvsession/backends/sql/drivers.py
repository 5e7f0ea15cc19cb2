"""The settings of each database and its driver, in the URL or by statements."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import ArgumentError, DisconnectionError, NoSuchModuleError

from ...errors import ConfigurationError

_DRIVERS = {
    "sqlite": "pysqlite",
    "postgresql": "psycopg",
    "mysql": "pymysql",
    "mariadb": "pymysql",
}
"""The databases, each with the driver that is taken where the URL names none."""
_PACKAGES = {"psycopg": "psycopg[binary]", "MySQLdb": "mysqlclient"}
"""Where a driver is found, if not under the name of its module."""
_REFUSALS = (TypeError, ValueError, AttributeError)  # PyMySQL's for a charset
_MYSQL = ("connect_timeout", "read_timeout", "write_timeout")
_NO_FILE = ("unable to open database file", "attempt to write a readonly database")


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
    if name not in _DRIVERS:
        raise ConfigurationError(
            f"The SQL backend is for {', '.join(_DRIVERS)}, not for {name}."
        )
    url = url.set(drivername=f"{name}+{driver or _DRIVERS[name]}")
    with suppress(NoSuchModuleError):
        if not url.get_dialect().is_async:
            return url
    raise ConfigurationError(
        f"The driver {driver} of {name} is not known to SQLAlchemy, or is for asyncio."
        f" Leave it out: {_DRIVERS[name]} is taken then."
    )


def is_in_memory(url: URL) -> bool:
    """Return whether a URL of SQLite's names no file."""
    names_none = (url.database or ":memory:").removeprefix("file:") == ":memory:"
    return names_none or url.query.get("mode") == "memory"


def is_missing(url: URL, error: ModuleNotFoundError) -> ConfigurationError:
    """Return the error to raise where the driver is not installed."""
    driver = _PACKAGES.get(error.name or "", error.name)
    return ConfigurationError(
        f"The backend {url.drivername}:// needs the package {driver}:"
        f' pip install "flask_srvsession[sql]" "{driver}"'
    )


def refuses_options(url: URL) -> ConfigurationError:
    """Return the error to raise where the driver refuses the options of the URL."""
    options = ", ".join(sorted(url.query)) or "connect_args"
    return ConfigurationError(
        f"{url.drivername}:// does not take the options that it is given: {options}."
        " It knows no such one, or cannot use its value."
    )


def connect_args(url: URL, timeout: float) -> dict[str, Any]:
    """Return our options for the driver, for those that the URL does not name."""
    longest = timeout * 1.25  # the server, if it lives, gives up before
    args: dict[str, dict[str, Any]] = {
        "pysqlite": {"timeout": timeout, "check_same_thread": False},
        "psycopg": {"connect_timeout": 2},  # less is rounded up to this
        "psycopg2": {"connect_timeout": 2},
        "pymysql": {"binary_prefix": True} | dict.fromkeys(_MYSQL, longest),
        "mysqldb": dict.fromkeys(_MYSQL, max(1, round(longest))),
    }
    own = args.get(url.get_driver_name(), {})
    return {key: arg for key, arg in own.items() if key not in url.query}


def prepare_connections(engine: Engine, timeout: float) -> None:
    """Let each connection wait for `timeout` seconds at most, with our settings."""
    name, driver = engine.dialect.name, engine.dialect.driver
    opens: Callable[..., Any] = engine.dialect.connect
    if driver == "psycopg":
        opens = _punctual_psycopg(timeout * 1.25).connect

    def connect(dialect: Any, record: object, args: Any, kw: Any) -> Any:
        try:
            return opens(*args, **kw)
        except (*_REFUSALS, dialect.loaded_dbapi.ProgrammingError):
            raise refuses_options(engine.url) from None

    def prepare(connection: Any, record: object) -> None:
        with closing(connection.cursor()) as cursor:
            for statement in _SETTINGS[name]:
                cursor.execute(statement.format(max(1, int(timeout))))
            if driver.startswith("psycopg"):
                _let_postgresql_give_up(connection, cursor, timeout)
        if name == "sqlite":
            # Somebody else may have written bytes that are no text: that ends no
            # request.
            connection.text_factory = lambda data: data.decode("utf-8", "replace")

    if name == "sqlite" and not is_in_memory(engine.url):
        _look_after_the_file(engine)
    sa.event.listen(engine, "do_connect", connect)
    sa.event.listen(engine, "connect", prepare)


_SETTINGS = {
    "sqlite": ["PRAGMA foreign_keys = ON", "PRAGMA journal_mode = WAL"],
    "postgresql": [],
    "mysql": [
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'),"
        " innodb_lock_wait_timeout = {}",
    ],
}
_SETTINGS["mariadb"] = _SETTINGS["mysql"]


def _let_postgresql_give_up(connection: Any, cursor: Any, limit: float) -> None:
    """Let the server give up after `limit` seconds: else it would do later the work
    that nobody waits for any more.

    A pooler such as PgBouncer leads each transaction to another connection of its own,
    whose number is not that of ours: settings made there would be met by its
    other clients, or be missing. Then neither is done.
    """
    cursor.execute(
        "SELECT set_config('statement_timeout', %s, false) WHERE pg_backend_pid() = %s",
        (f"{limit * 1000:.0f}", connection.info.backend_pid),
    )
    if cursor.fetchone() is None and hasattr(connection, "prepare_threshold"):
        connection.prepare_threshold = None


def _punctual_psycopg(patience: float) -> Any:
    """Return psycopg's connection with a limit to how long it waits for a reply.

    psycopg itself waits for ever for a server that hangs; the server's own
    ``statement_timeout`` is of no help then.
    """
    import psycopg

    if "timeout" not in inspect.signature(psycopg.Connection.wait).parameters:
        raise ConfigurationError(
            f"psycopg {psycopg.__version__} would wait for ever for a server that"
            ' hangs: pip install "psycopg[binary]>=3.3.6"'
        )

    class PunctualConnection(psycopg.Connection[Any]):
        def wait(self, gen: Any, interval: Any = 0.1, timeout: Any = patience) -> Any:
            try:
                return super().wait(gen, interval, timeout)
            except psycopg.OperationalError:
                if self.info.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                    self.close()  # its reply may still come: nobody may read it
                raise

    return PunctualConnection


def _look_after_the_file(engine: Engine) -> None:
    """Keep the file private, notice where it is replaced, and name it in errors."""
    url = engine.url

    def create(*_: object) -> None:
        """Create it readable by its owner only, as SQLite then creates those beside it;
        one that is there keeps its mode."""
        if url.query.get("mode", "rwc") == "rwc":
            with suppress(OSError):  # it is there, or SQLite will say why it cannot be
                path = str(url.database).removeprefix("file:")
                os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))

    def remember(connection: Any, record: Any) -> None:
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        record.info["file"] = path, os.stat(path)  # noqa: PTH116

    def compare(connection: object, record: Any, fairy: object) -> None:
        """Use none whose file was deleted or replaced since it was opened: nobody else
        would see what is changed in it, a logout for example."""
        path, opened = record.info["file"]
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(path), opened):  # noqa: PTH116
                return
        raise DisconnectionError("the database file was replaced")

    def explain(context: Any) -> None:
        """Say which file cannot be used: the driver does not."""
        if str(context.original_exception).startswith(_NO_FILE):
            raise ConfigurationError(
                f"The SQLite file {url.database} cannot be opened, or not be changed:"
                " is its directory there, and may this user write to both?"
            )

    sa.event.listen(engine, "do_connect", create)
    sa.event.listen(engine, "connect", remember)
    sa.event.listen(engine, "checkout", compare)
    sa.event.listen(engine, "handle_error", explain)


def set_durable(connection: Connection, statement: sa.Executable) -> None:
    """Choose whether SQLite waits for the disk: with the execution option ``durable``,
    for the end of a session must be there.

    A commit that waits brings all earlier ones to the disk with it.
    """
    durable = statement.get_execution_options().get("durable")
    wanted = "FULL" if durable else "NORMAL"
    if connection.info.get("synchronous") != wanted:
        connection.exec_driver_sql(f"PRAGMA synchronous = {wanted}")
        connection.info["synchronous"] = wanted
