"""Removes expired rows from an SQL database, and lets others work meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator

import sqlalchemy as sa

from .engine import Database
from .schema import Tables

SWEEP_MARGIN = 60
"""Seconds; a process whose clock is ahead must not remove rows that live for others."""

LISTED_FOR = 24 * 60 * 60
"""Seconds after which an epoch is looked at again whose index has members."""

SMALLEST_BATCH, LARGEST_BATCH = 20, 500
"""Rows that one statement removes."""

BATCH_SECONDS = 0.01
"""How long a batch should take: so long may others wait for its locks."""

_SHORTEST_PAUSE = 0.005


def sweep(database: Database, tables: Tables, now: int, margin: int) -> int:
    """Remove rows that expired more than `margin` seconds ago; return how many cells.

    It goes by batches: each locks few rows, and only for a moment. `now` is in
    milliseconds. All of that may be done twice, and by several at once.
    """
    epochs, removed, due = tables.epochs, 0, now - margin * 1000
    for table in (tables.cells, tables.members):
        for found in _batches(database, table, due):
            count = database.write(sa.delete(table).where(*found))
            removed += count if table is tables.cells else 0
    again = now + LISTED_FOR * 1000
    listed = sa.exists().where(tables.members.c.name == epochs.c.name)
    for found in _batches(database, epochs, due):
        database.write(sa.delete(epochs).where(*found, ~listed))
        database.write(sa.update(epochs).where(*found).values(expires=again))
    return removed


def _batches(
    database: Database, table: sa.Table, due: int
) -> Iterator[sa.ColumnElement[bool]]:
    """Yield the condition for some rows that are due, until there are none left: who
    gets it removes them, or makes them due later."""
    [key] = table.primary_key
    is_due = table.c.expires <= due
    # A row that somebody has locked is not waited for.
    find = sa.select(key).where(is_due).order_by(table.c.expires)
    find = find.with_for_update(skip_locked=True)
    size = SMALLEST_BATCH
    while True:
        began = time.monotonic()
        rows = database.rows(find.limit(size))
        if rows:
            yield sa.and_(key.in_([row[0] for row in rows]), is_due)
        if len(rows) < size:
            return
        took = max(time.monotonic() - began, 0.001)
        # As many as would have taken as long as they should.
        size = min(int(size * min(2.0, BATCH_SECONDS / took)), LARGEST_BATCH)
        size = max(size, SMALLEST_BATCH)
        # SQLite has one writer at a time, and who waits looks only now and then
        # whether it is their turn: most of the time must be theirs.
        time.sleep(max(_SHORTEST_PAUSE, 2 * took))
