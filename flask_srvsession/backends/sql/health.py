"""Faults of a database that sessions are in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..health import Finding, clock, unencrypted
from .schema import Tables, UnfitTables

UNSWEPT = 24 * 60 * 60
"""Seconds after which expired rows should have been swept."""


def check(
    connection: Connection, host: str | None, tables: Tables, now: int
) -> Iterator[Finding]:
    """Yield the faults; `now` is in milliseconds."""
    if asking := _ASKING.get(connection.dialect.name):
        yield from _of_server(connection, host, asking)
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


def _of_server(
    connection: Connection, host: str | None, asking: _Asking
) -> Iterator[Finding]:
    encryption = connection.exec_driver_sql(asking.encryption).first()
    if host and not (encryption and encryption[-1]):
        yield from unencrypted("SRVSESSION_BACKEND", [host])
    if not connection.exec_driver_sql(asking.durable).scalar():
        yield Finding(
            "warning",
            asking.setting,
            "A crash of the server or its computer loses the last changes: sessions"
            " that were ended then come back.",
            asking.remedy,
        )
    asked = time.time()
    told = connection.exec_driver_sql(asking.time).scalar_one()
    yield from clock(host or connection.dialect.name, float(told), asked)


class _Asking(NamedTuple):
    """Statements that a server answers about itself."""

    encryption: str
    durable: str
    """Whether committed rows are on the disk."""
    setting: str
    remedy: str
    time: str


_MYSQL = _Asking(
    "SHOW SESSION STATUS LIKE 'Ssl_cipher'",
    "SELECT @@innodb_flush_log_at_trx_commit = 1",
    "mysql: innodb_flush_log_at_trx_commit",
    "Set it to 1.",
    "SELECT UNIX_TIMESTAMP(NOW(6))",
)
_ASKING = {
    "postgresql": _Asking(
        "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        "SELECT current_setting('fsync') = 'on'"
        " AND current_setting('synchronous_commit') <> 'off'",
        "postgresql: fsync",
        "Set fsync and synchronous_commit to on.",
        "SELECT EXTRACT(EPOCH FROM clock_timestamp())",
    ),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}
