"""Indexes in two tables: the epochs, and the members that were added under them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from ..base import EPOCH_ALONE, Epoch, Head, new_epoch, sound_head
from .engine import DURABLE, Database
from .schema import Tables
from .sweep import LARGEST_BATCH

log = logging.getLogger("flask_srvsession")

_ATTEMPTS = 16


class SQLIndex:
    """The indexes of an SQL backend.

    Each change is one statement, and so a transaction of its own. A statement that adds
    a member locks the row of the epoch, as a fence does: an add that comes first is in
    the list of the fence, one that comes later finds another epoch.
    """

    def __init__(
        self, database: Database, tables: Tables, clock: Callable[[], float]
    ) -> None:
        self._database, self._clock = database, clock
        self._statements = _Statements(tables, database.url.get_backend_name())
        self._members = tables.members

    def epoch(self, name: str) -> Epoch:
        """Return the current epoch; begin one, never used before, if there is none.

        It lives for half of :data:`EPOCH_ALONE` at least. Reads only, unless it would
        end earlier.
        """
        write, do = self._database.write, self._statements
        for _ in range(_ATTEMPTS):
            until, row = self._in(EPOCH_ALONE), self._row(name)
            head = head_of(row)
            if row is None:
                epoch = new_epoch()
                with suppress(IntegrityError):  # somebody else has begun one meanwhile
                    write(do.begin, name=name, epoch=epoch, kept="", expires=until)
                    return epoch
            elif head is None:
                return self.fence(name)[0]
            elif row.expires > until - EPOCH_ALONE * 500 or write(
                do.prolong, index=name, present=head.epoch, expires=until
            ):
                return head.epoch
        raise OSError("the epoch is changed all the time")

    def add(self, name: str, member: str, expect: Epoch, ttl: int) -> bool:
        """List `member` for `ttl` seconds, if `expect` is still the current epoch.

        Returns whether it is. One that is listed already keeps the later expiry.
        """
        new = {"listed": member, "until": self._in(ttl)}
        add = self._statements.add
        return self._database.write(add, index=name, present=expect, **new) > 0

    def fence(self, name: str, keep: Collection[str] = ()) -> tuple[Epoch, Head | None]:
        """Begin a new epoch; return it, and the head before it.

        The new head names those in `keep`; nobody is removed. Then it is on the disk.
        """
        epoch = new_epoch()
        new = {"epoch": epoch, "kept": " ".join(keep), "expires": self._in(EPOCH_ALONE)}
        write, do = self._database.write, self._statements
        for _ in range(_ATTEMPTS):
            row = self._row(name)
            former = head_of(row)
            if row is None:
                with suppress(IntegrityError):  # somebody else has begun one meanwhile
                    write(do.begin_at_once, name=name, **new)
                    return epoch, None
            elif former is None:
                write(do.replace, index=name, **new)
                return epoch, None
            elif write(do.move, index=name, present=former.epoch, **new):
                return epoch, former
        raise OSError("the epoch is changed all the time")

    def head(self, name: str) -> Head | None:
        """Return the current epoch and the members that the last fence kept, None
        where there is none."""
        return head_of(self._row(name))

    def remove(self, name: str, members: Collection[str]) -> None:
        """Unlist `members`; those that are not listed are no error."""
        gone = sorted(members)
        for at in range(0, len(gone), LARGEST_BATCH):
            part = gone[at : at + LARGEST_BATCH]
            self._database.write(self._statements.remove, index=name, gone=part)

    def members(
        self, name: str, most: int, after: str | None = None
    ) -> list[str] | None:
        """Return the first `most` members that have not expired, the soonest expiry
        first, equal ones in the order of their adds; of those that follow `after`, or
        None if that is not listed."""
        m, wanted = self._members.c, self._alive(name)
        if after is not None:
            place = sa.select(m.expires, m.id).where(m.name == name, m.member == after)
            if not (found := self._database.rows(place)):
                return None
            [last] = found
            later = (m.expires > last.expires) | (m.id > last.id)
            wanted &= (m.expires >= last.expires) & later
        first = sa.select(m.member).where(wanted).order_by(m.expires, m.id).limit(most)
        rows = self._database.rows(first)
        sound = [row.member for row in rows if isinstance(row.member, str)]
        if len(sound) < len(rows):
            log.warning("members of an index are ignored: they are no text")
        return sound

    def count(self, name: str) -> int:
        """Return how many members have not expired."""
        count = sa.select(sa.func.count()).where(self._alive(name))
        return int(self._database.rows(count)[0][0])

    def drop(self, name: str) -> None:
        """Delete the index, its epoch too, unless it has members."""
        self._database.write(self._statements.drop, index=name)

    def _alive(self, name: str) -> sa.ColumnElement[bool]:
        m = self._members.c
        return (m.name == name) & (m.expires > self._in(0))

    def _row(self, name: str) -> Any:
        return next(iter(self._database.rows(self._statements.head, index=name)), None)

    def _in(self, seconds: int) -> int:
        """Return the time in `seconds` from now, in milliseconds."""
        return int(self._clock() * 1000) + seconds * 1000


def head_of(row: Any) -> Head | None:
    """Return the head that the row of an epoch holds, None if there is none, or if it
    can be none of ours."""
    if row is None or not isinstance(row.expires, int):  # SQLite stores any type
        return None
    return sound_head(row.epoch, row.kept)


class _Statements:
    def __init__(self, tables: Tables, database: str) -> None:
        e, m = tables.epochs.c, tables.members.c
        index = sa.bindparam("index", type_=sa.String)
        this, listed = e.name == index, m.name == index
        current = this & (e.epoch == sa.bindparam("present"))
        self.head = sa.select(e.epoch, e.kept, e.expires).where(this)
        self.begin = sa.insert(tables.epochs)
        self.begin_at_once = self.begin.execution_options(**DURABLE)
        self.prolong = sa.update(tables.epochs).where(current)
        self.move = self.prolong.execution_options(**DURABLE)
        self.replace = sa.update(tables.epochs).where(this).execution_options(**DURABLE)
        self.drop = sa.delete(tables.epochs).where(this, ~sa.exists().where(listed))
        gone = m.member.in_(sa.bindparam("gone", expanding=True))
        self.remove = sa.delete(tables.members).where(listed, gone)

        member = sa.bindparam("listed", type_=sa.String)
        until = sa.bindparam("until", type_=sa.BigInteger)
        # The lock: adds follow each other, so a later one of the list sees the earlier.
        row = sa.select(e.name, member, until).where(current).with_for_update()
        later = {"expires": sa.case((m.expires > until, m.expires), else_=until)}
        dialect: Any = {"sqlite": sqlite, "postgresql": postgresql}.get(database, mysql)
        key = [m.name, m.member]
        insert = dialect.insert(tables.members).from_select([*key, m.expires], row)
        self.add = (
            insert.on_duplicate_key_update(later)
            if dialect is mysql
            else insert.on_conflict_do_update(index_elements=key, set_=later)
        )
