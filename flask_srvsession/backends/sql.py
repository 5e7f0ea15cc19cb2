"""Sessions in an SQL database, through SQLAlchemy Core."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from ..errors import ConfigurationError
from . import sql_health
from .base import EPOCH_ALONE, Added, Cell, Epoch, Token, new_epoch
from .health import Finding
from .index import is_full
from .sql_engine import Database, parse_url
from .sql_schema import Tables
from .sql_sweep import LARGEST_BATCH, SWEEP_MARGIN, Sweep

_TIMEOUT = 1.0
_MIB = 1024 * 1024
_MAX_BYTES = {"mysql": 8 * _MIB - 65536, "mariadb": 8 * _MIB - 65536}
"""Half of the servers' usual max_allowed_packet: each byte may have to be escaped."""
_LONGEST = 512 * _MIB
_ADDS = 3


class SQLBackend:
    """Keeps each cell as a row with a random version, and the index in two tables.

    It has an engine and connections of its own, never those of the app: a rollback
    of the app would undo a logout. The tables, whose names begin with `table`, are
    created at first use if they are missing. `timeout` is in seconds;
    `engine_options` are for SQLAlchemy's ``create_engine``.

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
        timeout: float = _TIMEOUT,
        clock: Callable[[], float] = time.time,
        **engine_options: Any,
    ) -> None:
        url = parse_url(url)
        self._tables = tables = Tables(table)
        self._database = Database(url, tables, timeout, engine_options)
        self._clock = clock
        self._statements = _CellStatements(tables.cells)
        self.shared = not self._database.in_memory
        self.max_bytes: int = _MAX_BYTES.get(url.get_backend_name(), _LONGEST)
        self.index = SQLIndex(self._database, tables, clock)

    @classmethod
    def from_url(cls, url: str) -> SQLBackend:
        """Build one for a URL of SQLAlchemy's, such as ``sqlite:///sessions.db``.

        Its query may also hold `srvsession_table` and `srvsession_timeout`.
        """
        parsed = parse_url(url)
        options = {
            name: value
            for name, value in parsed.query.items()
            if name.startswith("srvsession_")
        }
        return cls(parsed.difference_update_query(options), **_options(options))

    def get(self, key: str) -> Cell | None:
        return self._get(key, self._now())

    def get_many(self, keys: Sequence[str]) -> dict[str, Cell]:
        get_many = self._statements.get_many
        rows = self._database.read(get_many, cells=keys, now=self._now())
        return {row.id: Cell(row.data, row.version) for row in rows}

    def add(self, key: str, data: bytes, ttl: int) -> Token | None:
        now, token = self._now(), _new_token()
        new: dict[str, Any] = {
            "content": data,
            "token": token,
            "until": now + ttl * 1000,
        }
        for _ in range(_ADDS):
            try:
                self._database.write(self._statements.insert, cell=key, **new)
            except IntegrityError:
                # The row may be one that has expired; or was, if it is swept by now.
                took = self._statements.take_over
                if self._database.write(took, cell=key, now=now, **new):
                    return token
                if self._get(key, now) is not None:
                    return None
            else:
                return token
        return None

    def swap(
        self, key: str, data: bytes, token: Token, ttl: int
    ) -> Token | Cell | None:
        now, new = self._now(), _new_token()
        done = self._database.write(
            self._statements.swap,
            cell=key,
            old=token,
            now=now,
            content=data,
            token=new,
            until=now + ttl * 1000,
        )
        return new if done else self._get(key, now)

    def delete(self, key: str, token: Token | None = None) -> bool:
        now = self._now()
        if token is None:
            delete = self._statements.delete
            return bool(self._database.write(delete, durable=True, cell=key, now=now))
        delete = self._statements.delete_version
        return bool(
            self._database.write(delete, durable=True, cell=key, now=now, old=token)
        )

    def sweep(self) -> int:
        """Remove what expired more than a minute ago; return how many cells.

        Runs in small transactions that leave others time between them.
        """
        now = self._now()
        due = now - SWEEP_MARGIN * 1000
        return Sweep(self._database, self._tables).run(due, now + EPOCH_ALONE * 1000)

    def create_tables(self) -> bool:
        """Create the tables if they are missing; return whether they were."""
        return self._database.create_tables()

    def ddl(self) -> str:
        """Return the statements that create the tables, for your own migrations."""
        return self._tables.ddl(self._database.engine.dialect)

    def check(self) -> list[Finding]:
        """Return what is wrong with database, connection and tables; creates none."""
        with self._database.patient() as connection:
            host, now = self._database.url.host, self._now()
            return list(
                sql_health.check(connection, host, self._tables, now, self.max_bytes)
            )

    def stats(self) -> dict[str, int]:
        """Return how many records there are, alive and expired, and listed members."""
        with self._database.patient() as connection:
            return sql_health.stats(connection, self._tables, self._now())

    def close(self) -> None:
        """Close the connections of this process; the next call opens new ones."""
        self._database.close()

    def _get(self, key: str, now: int) -> Cell | None:
        rows = self._database.read(self._statements.get, cell=key, now=now)
        return Cell(rows[0].data, rows[0].version) if rows else None

    def _now(self) -> int:
        return int(self._clock() * 1000)


class SQLIndex:
    """The epochs in one table, the members in another.

    Whoever adds a member locks the row of the epoch first, as a fence does: one of
    them sees what the other one has done.
    """

    def __init__(
        self, database: Database, tables: Tables, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._statements = _IndexStatements(tables)
        self._clock = clock

    def epoch(self, name: str) -> Epoch:
        now = self._now()
        rows = self._database.read(self._statements.epoch, index=name)
        if rows and rows[0].expires > now + EPOCH_ALONE * 500:
            return str(rows[0].epoch)
        return self._database.transact(lambda tx: self._begin(tx, name, now))

    def add(
        self,
        name: str,
        member: str,
        expect: Epoch,
        ttl: int,
        *,
        limit: int | None = None,
    ) -> Added:
        now = self._now()

        def work(tx: Connection) -> Added:
            if self._locked_epoch(tx, name) != expect:
                return Added.STALE
            listed = self._members(tx, name, now) if limit else ()
            if is_full(listed, member, limit):
                return Added.FULL
            this = {"index": name, "listed": member, "until": now + ttl * 1000}
            if not tx.execute(self._statements.renew, this).rowcount:
                tx.execute(self._statements.insert, this)
            return Added.DONE

        return self._database.transact(work)

    def fence(self, name: str, spare: Collection[str] = ()) -> tuple[Epoch, list[str]]:
        epoch, until = new_epoch(), self._now() + EPOCH_ALONE * 1000
        spared = " ".join(spare)
        new = {"index": name, "present": epoch, "spare": spared, "until": until}

        def work(tx: Connection) -> list[str]:
            # Takes the lock: whoever added before is committed, and listed below.
            if not tx.execute(self._statements.fence, new).rowcount:
                tx.execute(self._statements.begin, new)
            return self._members(tx, name, 0)

        return epoch, self._database.transact(work, durable=True)

    def admits(self, name: str, epochs: Mapping[str, Epoch]) -> set[str]:
        rows = self._database.read(self._statements.epoch, index=name)
        return {
            member
            for row in rows
            for member, epoch in epochs.items()
            if row.epoch == epoch or member in row.spared.split(" ")
        }

    def remove(self, name: str, members: Collection[str]) -> None:
        gone = sorted(members)
        for at in range(0, len(gone), LARGEST_BATCH):
            part = gone[at : at + LARGEST_BATCH]
            self._database.write(self._statements.remove, index=name, gone=part)

    def members(self, name: str) -> list[str]:
        now = self._now()
        rows = self._database.read(self._statements.members, index=name, now=now)
        return [row.member for row in rows]

    def _begin(self, tx: Connection, name: str, now: int) -> Epoch:
        """Return the epoch, a new one if there is none, and let it live on."""
        until = now + EPOCH_ALONE * 1000
        epoch = self._locked_epoch(tx, name)
        if epoch is None:
            epoch = new_epoch()
            new = {"index": name, "present": epoch, "spare": "", "until": until}
            tx.execute(self._statements.begin, new)
            return epoch
        tx.execute(self._statements.keep, {"index": name, "until": until})
        return epoch

    def _locked_epoch(self, tx: Connection, name: str) -> Epoch | None:
        row = tx.execute(self._statements.lock, {"index": name}).first()
        return None if row is None else row.epoch

    def _members(self, tx: Connection, name: str, now: int) -> list[str]:
        rows = tx.execute(self._statements.members, {"index": name, "now": now})
        return [row.member for row in rows]

    def _now(self) -> int:
        return int(self._clock() * 1000)


class _CellStatements:
    def __init__(self, cells: sa.Table) -> None:
        c = cells.c
        here = c.id == sa.bindparam("cell")
        alive = c.expires > sa.bindparam("now")
        unchanged = c.version == sa.bindparam("old")
        new: dict[str, Any] = {
            "version": sa.bindparam("token"),
            "data": sa.bindparam("content"),
            "expires": sa.bindparam("until"),
        }
        self.get = sa.select(c.data, c.version).where(here, alive)
        self.get_many = sa.select(c.id, c.data, c.version).where(
            c.id.in_(sa.bindparam("cells", expanding=True)), alive
        )
        self.insert = sa.insert(cells).values(id=sa.bindparam("cell"), **new)
        self.take_over = sa.update(cells).where(here, ~alive).values(new)
        self.swap = sa.update(cells).where(here, unchanged, alive).values(new)
        self.delete = sa.delete(cells).where(here, alive)
        self.delete_version = sa.delete(cells).where(here, unchanged, alive)


class _IndexStatements:
    def __init__(self, tables: Tables) -> None:
        e, m = tables.epochs.c, tables.members.c
        index: Any = sa.bindparam("index")
        until: Any = sa.bindparam("until")
        listed: Any = sa.bindparam("listed")
        new: dict[str, Any] = {
            "epoch": sa.bindparam("present"),
            "spared": sa.bindparam("spare"),
            "expires": until,
        }
        self.epoch = sa.select(e.epoch, e.spared, e.expires).where(e.name == index)
        self.lock = sa.select(e.epoch).where(e.name == index).with_for_update()
        self.begin = sa.insert(tables.epochs).values(name=index, **new)
        self.keep = (
            sa.update(tables.epochs).where(e.name == index).values(expires=until)
        )
        self.fence = sa.update(tables.epochs).where(e.name == index).values(new)

        later = sa.case((m.expires > until, m.expires), else_=until)
        this = (m.name == index, m.member == listed)
        self.renew = sa.update(tables.members).where(*this).values(expires=later)
        self.insert = sa.insert(tables.members).values(
            name=index, member=listed, expires=until
        )
        self.remove = sa.delete(tables.members).where(
            m.name == index, m.member.in_(sa.bindparam("gone", expanding=True))
        )
        self.members = (
            sa.select(m.member)
            .where(m.name == index, m.expires > sa.bindparam("now"))
            .order_by(m.expires)
        )


def _options(query: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {"table": str, "timeout": float}
    options = {}
    for name, value in query.items():
        short = name.removeprefix("srvsession_")
        if short not in known:
            raise ConfigurationError(
                f"The URL of a database takes no option {name}, but srvsession_table"
                " and srvsession_timeout, and those of its driver."
            )
        try:
            options[short] = known[short](value)
        except (TypeError, ValueError):
            raise ConfigurationError(
                f"The option {name} of the database URL must be a number."
            ) from None
    return options


def _new_token() -> int:
    return secrets.randbits(63)
