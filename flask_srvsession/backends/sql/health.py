"""Faults of a database that sessions are in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

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
        yield from _of_server(connection, host, *asking)
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
    connection: Connection, host: str | None, encryption: str, clocks: str
) -> Iterator[Finding]:
    encrypted = connection.exec_driver_sql(encryption).first()
    if host and not (encrypted and encrypted[-1]):
        yield from unencrypted("SRVSESSION_BACKEND", [host])
    asked = time.time()
    told = connection.exec_driver_sql(clocks).scalar_one()
    yield from clock(host or connection.dialect.name, float(told), asked)


_MYSQL = "SHOW SESSION STATUS LIKE 'Ssl_cipher'", "SELECT UNIX_TIMESTAMP(NOW(6))"
_ASKING = {
    "postgresql": (
        "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        "SELECT EXTRACT(EPOCH FROM clock_timestamp())",
    ),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}
"""Statements that tell whether a connection is encrypted, and the time."""
