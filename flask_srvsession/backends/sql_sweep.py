"""Removes what has expired from an SQL database, and lets others work meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect

from .sql_engine import Database
from .sql_schema import Tables

SWEEP_MARGIN = 60
"""Seconds; a process whose clock is ahead must not remove what is alive for others."""

SMALLEST_BATCH, LARGEST_BATCH = 20, 500
"""Rows that one transaction removes."""

BATCH_SECONDS = 0.01
"""How long a transaction should take: so long may others wait for its locks."""

_SHORTEST_PAUSE = 0.005


@dataclass(frozen=True)
class _Kind:
    """What finds the rows of a table that are due, and what is done with them."""

    find: sa.Select[Any]
    changes: Sequence[sa.UpdateBase]


class Sweep:
    """Removes what is due, in batches: each locks few rows, and only for a moment."""

    def __init__(self, database: Database, tables: Tables) -> None:
        self._database = database
        cells, epochs, members = tables.cells, tables.epochs, tables.members
        self._cells = _Kind(_due(cells), [sa.delete(cells).where(_found_in(cells))])
        self._members = _Kind(
            _due(members), [sa.delete(members).where(_found_in(members))]
        )
        these = _found_in(epochs)
        listed = sa.exists().where(members.c.name == epochs.c.name)
        later: Any = sa.bindparam("later")
        self._epochs = _Kind(
            _due(epochs),
            [
                sa.delete(epochs).where(these, ~listed),
                # One whose index still has members is looked at again `later`.
                sa.update(epochs).where(these).values(expires=later),
            ],
        )

    def run(self, due: int, later: int) -> int:
        """Return how many cells were removed; both times are in milliseconds."""
        times = {"due": due, "later": later}
        removed = self._in_batches(self._cells, times)
        self._in_batches(self._members, times)
        self._in_batches(self._epochs, times)
        return removed

    def _in_batches(self, kind: _Kind, times: dict[str, int]) -> int:
        removed, size = 0, SMALLEST_BATCH
        while True:
            began = time.monotonic()
            batch = partial(_batch, kind=kind, values={**times, "size": size})
            found, changed = self._database.transact(batch)
            took = time.monotonic() - began
            removed += changed
            if found < size:
                return removed
            size = _next_size(size, took)
            # SQLite has one writer at a time, and who waits looks only now and then
            # whether it is their turn: most of the time must be theirs.
            time.sleep(max(_SHORTEST_PAUSE, 2 * took))


def _batch(tx: Connection, kind: _Kind, values: dict[str, Any]) -> tuple[int, int]:
    """Return how many rows were found, and how many the first change changed."""
    locking = kind.find.with_for_update(skip_locked=_can_skip_locked(tx.dialect))
    rows = tx.execute(locking, values).all()
    if not rows:
        return 0, 0
    keys = [row[0] if len(row) == 1 else tuple(row) for row in rows]
    counts = [tx.execute(c, {**values, "found": keys}).rowcount for c in kind.changes]
    return len(rows), counts[0]


def _next_size(size: int, took: float) -> int:
    """Return the size of a batch that would have taken as long as it should."""
    wanted = int(size * min(2.0, BATCH_SECONDS / max(took, 0.001)))
    return min(max(wanted, SMALLEST_BATCH), LARGEST_BATCH)


def _due(table: sa.Table) -> sa.Select[Any]:
    due = table.c.expires <= sa.bindparam("due")
    found = sa.select(*table.primary_key).where(due).order_by(table.c.expires)
    return found.limit(sa.bindparam("size", type_=sa.Integer))


def _found_in(table: sa.Table) -> sa.ColumnElement[bool]:
    """Return the condition for the rows that were found, if they are still due."""
    columns = list(table.primary_key)
    key: Any = columns[0] if len(columns) == 1 else sa.tuple_(*columns)
    found: Any = sa.bindparam("found", expanding=True)
    return sa.and_(key.in_(found), table.c.expires <= sa.bindparam("due"))


def _can_skip_locked(dialect: Dialect) -> bool:
    version = dialect.server_version_info or ()
    if dialect.name == "postgresql":
        return True
    return version >= ((10, 6) if getattr(dialect, "is_mariadb", False) else (8, 0, 1))
