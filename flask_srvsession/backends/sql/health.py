"""Faults of a database that sessions are in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..health import Finding, a_warning, an_error, clock, unencrypted
from .engine import Database
from .schema import Tables, UnfitTables

UNSWEPT = 24 * 60 * 60
"""Seconds after which expired rows should have been swept."""


def check(database: Database, tables: Tables, now: int) -> Iterator[Finding]:
    """Yield the faults; `now` is in milliseconds."""
    with database.patient() as connection:
        if asking := _ASKING.get(connection.dialect.name):
            yield from _of_server(connection, database.url.host, *asking)
        try:
            usable = tables.are_there(connection)
        except UnfitTables as error:
            yield an_error("srvsession_table", *error.args)
            return
        if usable:
            yield from _leftovers(connection, tables, now)
            return
    yield an_error(
        "srvsession_table",
        f"The tables {tables.name} are missing: the first request will try to create"
        " them.",
        "Run: flask sessions create-tables",
    )


def stats(database: Database, tables: Tables, now: int) -> dict[str, int]:
    """Return how many rows there are, those of other apps in the same tables too."""
    with database.patient() as connection:
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
    oldest = connection.execute(sa.select(sa.func.min(expires))).scalar() or now
    if oldest < now - UNSWEPT * 1000:
        age = timedelta(seconds=(now - oldest) // 1000)
        yield a_warning(
            "sweep",
            f"{_count(connection, expires <= now)} expired records are still stored,"
            f" the oldest since {age}: nothing removes them.",
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
