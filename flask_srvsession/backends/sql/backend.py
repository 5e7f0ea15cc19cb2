"""Sessions in an SQL database, through SQLAlchemy Core."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from ...errors import ConfigurationError
from ..base import Cell, Head, Version
from ..health import Finding
from ..options import checked
from . import health
from .drivers import parse_url
from .engine import DURABLE, Database
from .index import SQLIndex, head_of
from .schema import Tables
from .sweep import SWEEP_MARGIN, sweep

_MIB = 1024 * 1024
_MAX_BYTES = {"mysql": 8 * _MIB - 65536, "mariadb": 8 * _MIB - 65536}
"""Half of the servers' usual max_allowed_packet: each byte may have to be escaped."""
_LONGEST = 512 * _MIB
_ADDS = 3
_OURS = "srvsession_"
_OPTIONS = {
    "srvsession_table": str,
    "srvsession_timeout": float,
    "srvsession_pool_size": int,
    "srvsession_pool_timeout": float,
}


class SQLBackend:
    """Keeps each cell as a row with a random version, and the index in two tables.

    It has an engine and connections of its own, never those of the app: a rollback
    of the app would undo a logout. The tables, whose names begin with `table`, are
    created at first use if they are missing. `timeout` is how many seconds it waits
    for an answer. Each process opens `pool_size` connections at most; where all are in
    use, calls wait their turn, and fail where no other has succeeded for `pool_timeout`
    seconds, or for `timeout`. `engine_options` are for SQLAlchemy's ``create_engine``.

    `clock` returns the time in seconds since 1970. Times are stored in milliseconds
    as the clock of the process that writes has them, and judged by that of the one
    that reads: where clocks differ, sessions end as much early or late.
    """

    errors: tuple[type[Exception], ...] = (SQLAlchemyError, OSError)
    evicts = False

    def __init__(
        self,
        url: str | URL,
        *,
        table: str = "srvsession",
        timeout: float = 1.0,
        pool_size: int = 10,
        pool_timeout: float | None = None,
        clock: Callable[[], float] = time.time,
        **engine_options: Any,
    ) -> None:
        url = parse_url(url)
        wait = timeout if pool_timeout is None else pool_timeout
        pool = {"pool_size": pool_size, "pool_timeout": wait}
        for name, value in {"timeout": timeout, **pool}.items():
            if not 0 < value < math.inf:
                raise ConfigurationError(
                    f"The {name} of an SQL backend must be more than 0, not {value}."
                )
        self._tables = tables = Tables(table)
        self._database = Database(url, tables, timeout, {**pool, **engine_options})
        self._clock = clock
        self._statements = _Statements(tables)
        self.shared: bool = not self._database.in_memory
        where = url.host or url.database, url.port  # without user and password
        self.server: str = ":".join(str(part) for part in where if part)
        self.system = url.get_backend_name()
        self.max_bytes: int = _MAX_BYTES.get(self.system, _LONGEST)
        self.index: SQLIndex = SQLIndex(self._database, tables, clock)

    @classmethod
    def from_url(cls, url: str) -> SQLBackend:
        """Build one for a URL of SQLAlchemy's, such as ``sqlite:///sessions.db``.

        Its query may also hold `srvsession_table`, `srvsession_timeout`,
        `srvsession_pool_size` and `srvsession_pool_timeout`.
        """
        parsed = parse_url(url)
        given = {name: parsed.query[name] for name in parsed.query if _OURS in name}
        options = checked(parsed.get_backend_name(), given, _OPTIONS)
        own = {name.removeprefix(_OURS): options[name] for name in options}
        return cls(parsed.difference_update_query(given), **own)

    def get(self, key: str) -> Cell | None:
        """Return the cell that is stored under `key`, or None."""
        return self._cells(self._statements.get, key=key).get(key)

    def get_with_heads(
        self, key: str, names: Sequence[str]
    ) -> tuple[Cell | None, dict[str, Head]]:
        """Return the cell under `key`, or None, and the heads of the indexes
        `names`, without those that there are not; in one round trip."""
        cell, heads = None, {}
        statement = self._statements.get_with_heads
        rows = self._database.rows(statement, key=key, now=self._now(), names=names)
        for row in rows:
            if row.version is not None:
                cell = Cell(row.data, row.version)
            elif head := head_of(row):
                heads[row.name] = head
        return cell, heads

    def get_many(self, keys: Sequence[str]) -> dict[str, Cell]:
        """Return the cells under `keys`, without those under which nothing is."""
        return self._cells(self._statements.get_many, keys=keys)

    def get_starts(self, keys: Sequence[str], length: int) -> dict[str, Cell]:
        """Return the same, but of the data the first `length` bytes alone."""
        return self._cells(self._statements.get_starts, keys=keys, length=length)

    def add(self, key: str, data: bytes, ttl: int) -> Version | None:
        """Store `data` for `ttl` seconds if nothing is there; return its version, else
        None."""
        now = self._now()
        new = _content(data, now + ttl * 1000)
        write, do = self._database.write, self._statements
        for _ in range(_ADDS):
            with suppress(IntegrityError):
                write(do.insert, id=key, **new)
                return new["version"]
            # The row may be one that has expired; or was, if it is swept by now.
            if write(do.take_over, key=key, now=now, **new):
                return new["version"]
            if self.get(key) is not None:
                break
        return None

    def swap(
        self, key: str, data: bytes, version: Version, ttl: int
    ) -> Version | Cell | None:
        """Replace the cell of this `version` with `data`, for `ttl` seconds.

        Returns the new version, or the present :class:`Cell` if it is another, or None
        if nothing is there any more.
        """
        now = self._now()
        new = _content(data, now + ttl * 1000)
        swap = self._statements.swap
        done = self._database.write(swap, key=key, old=version, now=now, **new)
        return new["version"] if done else self.get(key)

    def delete(self, key: str, version: Version | None = None) -> bool:
        """Delete the cell under `key`, with `version` only if it still has that
        version.

        Returns whether something was deleted; then it is on the disk, too.
        """
        do, values = self._statements, {"key": key, "now": self._now()}
        if version is None:
            return self._database.write(do.delete, **values) > 0
        return self._database.write(do.delete_version, old=version, **values) > 0

    def delete_many(self, cells: Mapping[str, Version]) -> set[str]:
        """Delete the cells under these keys that still have these versions; return the
        keys of those that were deleted. Then they are off the disk, too."""
        if not self._database.engine.dialect.delete_returning:  # MySQL
            return {key for key, version in cells.items() if self.delete(key, version)}
        values = {"keys": [*cells], "cells": [*cells.items()], "now": self._now()}
        rows = self._database.rows(self._statements.delete_many, **values)
        return {row.id for row in rows}

    def sweep(self) -> int:
        """Remove cells that expired more than a minute ago; return how many.

        Runs in small steps that leave others time between them.
        """
        return sweep(self._database, self._tables, self._now(), SWEEP_MARGIN)

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with `prefix`."""
        ids, last = self._tables.cells.c.id, ""
        start = sa.select(ids).where(ids.startswith(prefix, autoescape=True))
        start = start.order_by(ids).limit(500)
        while rows := self._database.rows(start.where(ids > last)):
            yield from (row.id for row in rows)
            last = rows[-1].id

    def erase(self, names: Collection[str]) -> None:
        """Remove these indexes, but for those with members, and all expired rows."""
        sweep(self._database, self._tables, self._now(), margin=0)
        for name in names:
            self.index.drop(name)

    def create_tables(self) -> bool:
        """Create the tables if they are missing; return whether they were."""
        return self._database.create_tables()

    def ddl(self) -> str:
        """Return the statements that create the tables, for your own migrations."""
        return self._tables.ddl(self._database.engine.dialect)

    def check(self) -> list[Finding]:
        """Return the faults of database, connection and tables; creates none."""
        return list(health.check(self._database, self._tables, self._now()))

    def stats(self) -> dict[str, int]:
        """Return how many records there are, alive and expired, and listed members."""
        return health.stats(self._database, self._tables, self._now())

    def close(self) -> None:
        """Close the connections of this process; the next call opens new ones."""
        self._database.engine.dispose()

    def _cells(self, statement: sa.Select[Any], **values: Any) -> dict[str, Cell]:
        rows = self._database.rows(statement, now=self._now(), **values)
        # SQLite makes NULL of the beginning of nothing.
        return {row.id: Cell(row.data or b"", row.version) for row in rows}

    def _now(self) -> int:
        return int(self._clock() * 1000)


class _Statements:
    """Changed values have the names of their columns, conditions other names."""

    def __init__(self, tables: Tables) -> None:
        cells, c, e = tables.cells, tables.cells.c, tables.epochs.c
        here = c.id == sa.bindparam("key")
        alive = c.expires > sa.bindparam("now")
        unchanged = c.version == sa.bindparam("old")
        these = c.id.in_(sa.bindparam("keys", expanding=True))
        named = e.name.in_(sa.bindparam("names", expanding=True))
        self.get = sa.select(c.id, c.data, c.version).where(here, alive)
        self.get_many = sa.select(c.id, c.data, c.version).where(these, alive)
        length = sa.bindparam("length", type_=sa.Integer)
        start = sa.func.substr(c.data, 1, length, type_=c.data.type).label("data")
        self.get_starts = sa.select(c.id, start, c.version).where(these, alive)
        null = sa.null()
        no_cell = null.label("data"), null.label("version")
        heads = sa.select(e.name, e.epoch, e.kept, e.expires, *no_cell).where(named)
        cell = sa.select(c.id, null, null, c.expires, c.data, c.version)
        self.get_with_heads = sa.union_all(heads, cell.where(here, alive))
        self.insert = sa.insert(cells)
        self.take_over = sa.update(cells).where(here, ~alive)
        self.swap = sa.update(cells).where(here, unchanged, alive)
        self.delete = sa.delete(cells).where(here, alive).execution_options(**DURABLE)
        self.delete_version = self.delete.where(unchanged)
        pairs = sa.tuple_(c.id, c.version).in_(sa.bindparam("cells", expanding=True))
        gone = sa.delete(cells).where(these, pairs, alive).returning(c.id)
        self.delete_many = gone.execution_options(**DURABLE)


def _content(data: bytes, expires: int) -> dict[str, Any]:
    return {"version": secrets.randbits(63), "data": data, "expires": expires}
