"""What is wrong with a database that sessions are in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from .health import Finding, is_local, unencrypted
from .sql_schema import Tables, UnfitTables

UNSWEPT = 24 * 60 * 60
"""Seconds after which what has expired should have been swept."""


def check(
    connection: Connection, host: str | None, tables: Tables, now: int, max_bytes: int
) -> Iterator[Finding]:
    """Yield what is to be mended; `now` is in milliseconds."""
    yield from _encryption(connection, host)
    yield from _DATABASES[connection.dialect.name](connection, max_bytes)
    try:
        usable = tables.are_there(connection)
    except UnfitTables as error:
        yield Finding("error", "srvsession_table", error.problem, error.remedy)
        return
    if usable:
        yield from _leftovers(connection, tables, now)
    else:
        yield Finding(
            "error",
            "srvsession_table",
            f"The tables {tables.name} are missing: the first request will try to"
            " create them.",
            "Run: flask sessions create-tables",
        )


def stats(connection: Connection, tables: Tables, now: int) -> dict[str, int]:
    """Return how many rows there are, those of other apps in the same tables too."""
    if not tables.are_there(connection):
        return {}
    cells = tables.cells.c.expires
    return {
        "items": _count(connection, cells > now),
        "expired": _count(connection, cells <= now),
        "members": _count(connection, tables.members.c.expires > now),
    }


def _count(connection: Connection, condition: sa.ColumnElement[bool]) -> int:
    counted = sa.select(sa.func.count()).where(condition)
    return connection.execute(counted).scalar_one()


def _leftovers(connection: Connection, tables: Tables, now: int) -> Iterator[Finding]:
    expires = tables.cells.c.expires
    oldest = connection.execute(sa.select(sa.func.min(expires))).scalar()
    if oldest is None or oldest >= now - UNSWEPT * 1000:
        return
    age = timedelta(seconds=(now - oldest) // 1000)
    yield Finding(
        "warning",
        "sweep",
        f"{_count(connection, expires <= now)} expired records are still stored, the"
        f" oldest since {age}: nothing removes them.",
        "Run flask sessions sweep every hour, by cron for example, or set"
        " SRVSESSION_SWEEP_EVERY.",
    )


def _encryption(connection: Connection, host: str | None) -> Iterator[Finding]:
    asking = _IS_ENCRYPTED.get(connection.dialect.name)
    if asking is None or host is None or is_local(host):
        return
    answer = connection.exec_driver_sql(asking).first()
    if not (answer and answer[-1]):
        yield from unencrypted("SRVSESSION_BACKEND", [host])


def _of_sqlite(connection: Connection, max_bytes: int) -> Iterator[Finding]:
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    if mode not in ("wal", "memory"):
        yield Finding(
            "warning",
            "sqlite: journal_mode",
            f"It is {mode!r} although WAL was asked for: whoever reads waits for"
            " whoever writes. The file may be on a network, where it is not safe.",
            "Keep the file on a disk of this computer.",
        )


def _of_postgresql(connection: Connection, max_bytes: int) -> Iterator[Finding]:
    if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar():
        yield _replica("postgresql")
    for name in ("fsync", "synchronous_commit"):
        if connection.exec_driver_sql(f"SHOW {name}").scalar() == "off":
            yield _forgetful(f"postgresql: {name}", "on")


def _of_mysql(connection: Connection, max_bytes: int) -> Iterator[Finding]:
    asked = "SELECT @@read_only, @@innodb_flush_log_at_trx_commit, @@max_allowed_packet"
    read_only, flush, packet = connection.exec_driver_sql(asked).one()
    if read_only:
        yield _replica("mysql")
    if flush != 1:
        yield _forgetful("mysql: innodb_flush_log_at_trx_commit", "1")
    if packet < 2 * max_bytes:
        yield Finding(
            "warning",
            "mysql: max_allowed_packet",
            f"The server takes statements of {packet} bytes: a session of more than"
            f" about {packet // 2} could not be saved.",
            f"Set it to {2 * max_bytes} or more, or lower SRVSESSION_MAX_PAYLOAD.",
        )


def _replica(server: str) -> Finding:
    return Finding(
        "error",
        f"{server}: role",
        "The server is a replica, or read-only: it refuses changes, and may still have"
        " sessions that were ended.",
        "Connect to the primary.",
    )


def _forgetful(key: str, better: str) -> Finding:
    return Finding(
        "warning",
        key,
        "A crash of the server or its computer loses the last changes: sessions that"
        " were ended then come back.",
        f"Set it to {better}.",
    )


_IS_ENCRYPTED: Mapping[str, str] = {
    "postgresql": "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    **dict.fromkeys(("mysql", "mariadb"), "SHOW SESSION STATUS LIKE 'Ssl_cipher'"),
}
_DATABASES: Mapping[str, Callable[[Connection, int], Iterator[Finding]]] = {
    "sqlite": _of_sqlite,
    "postgresql": _of_postgresql,
    "mysql": _of_mysql,
    "mariadb": _of_mysql,
}
