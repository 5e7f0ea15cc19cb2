"""Indexes in two tables: the epochs, and the members that were added under them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from ..base import EPOCH_ALONE, Epoch, Head, new_epoch, sound_head
from .engine import DURABLE, Database
from .schema import Tables
from .sweep import LARGEST_BATCH

log = logging.getLogger("flask_srvsession")

_ATTEMPTS = 4
_FENCES = 16


class SQLIndex:
    """The indexes of an SQL backend.

    Each change is one statement, and so a transaction of its own. A statement that adds
    a member locks the row of the epoch, as a fence does: an add that comes first is in
    the list of the fence, one that comes later finds another epoch.
    """

    def __init__(
        self, database: Database, tables: Tables, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._statements = _Statements(tables, database.url.get_backend_name())
        self._clock = clock

    def epoch(self, name: str) -> Epoch:
        """Return the current epoch; begin one, never used before, if there is none.

        It lives for half of :data:`EPOCH_ALONE` at least. Reads only, unless it would
        end earlier.
        """
        for _ in range(_ATTEMPTS):
            until = self._in(EPOCH_ALONE)
            row = self._row(name)
            head = head_of(row)
            if row is None:
                new = {"name": name, "epoch": new_epoch(), "kept": "", "expires": until}
                with suppress(IntegrityError):  # somebody else has begun one meanwhile
                    self._database.write(self._statements.begin, **new)
                    return str(new["epoch"])
            elif head is None:
                return self.fence(name)[0]
            elif row.expires > until - EPOCH_ALONE * 500 or self._database.write(
                self._statements.prolong, index=name, present=head.epoch, expires=until
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
        move = self._statements.move
        for _ in range(_FENCES):
            former = self.head(name)
            if former is None:  # or none of ours is there
                self._database.write(self._statements.fence, name=name, **new)
                return epoch, None
            if self._database.write(move, index=name, present=former.epoch, **new):
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
        read, here = self._database.rows, {"index": name, "now": self._in(0)}
        if after is None:
            rows = read(self._statements.members, most=most, **here)
            return _sound_members(rows)
        place = read(self._statements.place, index=name, listed=after)
        if not place:
            return None
        here |= {"expires": place[0].expires, "number": place[0].id}
        return _sound_members(read(self._statements.following, most=most, **here))

    def count(self, name: str) -> int:
        """Return how many members have not expired."""
        count = self._statements.count
        [(found,)] = self._database.rows(count, index=name, now=self._in(0))
        return int(found)

    def drop(self, name: str) -> None:
        """Delete the index, its epoch too, unless it has members."""
        self._database.write(self._statements.drop, index=name)

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


def _sound_members(rows: Sequence[Row[Any]]) -> list[str]:
    found = [row.member for row in rows if isinstance(row.member, str)]
    if len(found) < len(rows):
        log.warning("members of an index are ignored: they are no text")
    return found


class _Statements:
    def __init__(self, tables: Tables, database: str) -> None:
        inserts: dict[str, Any] = {"postgresql": postgresql, "sqlite": sqlite}
        insert = inserts.get(database, mysql).insert
        epochs, e = tables.epochs, tables.epochs.c
        members, m = tables.members, tables.members.c
        index = sa.bindparam("index", type_=sa.String)
        present = sa.bindparam("present", type_=sa.String)
        this, listed = e.name == index, m.name == index
        self.head = sa.select(e.epoch, e.kept, e.expires).where(this)
        self.begin = insert(epochs)
        self.prolong = sa.update(epochs).where(this, e.epoch == present)
        self.fence = _or_change(
            self.begin.execution_options(**DURABLE),
            ["name"],
            lambda new: {c: new[c] for c in ("epoch", "kept", "expires")},
        )
        self.move = self.prolong.execution_options(**DURABLE)

        member = sa.bindparam("listed", type_=sa.String)
        until = sa.bindparam("until", type_=sa.BigInteger)
        row = sa.select(e.name, member, until).where(this, e.epoch == present)
        # The lock: adds follow each other, so a later one of the list sees the earlier.
        self.add = _or_change(
            insert(members).from_select(
                [m.name, m.member, m.expires], row.with_for_update()
            ),
            ["name", "member"],
            lambda new: {
                "expires": sa.case(
                    (m.expires > new.expires, m.expires), else_=new.expires
                ),
            },
        )
        self.drop = sa.delete(epochs).where(this, ~sa.exists().where(listed))
        gone = m.member.in_(sa.bindparam("gone", expanding=True))
        self.remove = sa.delete(members).where(listed, gone)
        self._read_members(m, listed)

    def _read_members(self, m: Any, listed: Any) -> None:
        """Add the statements that read the members of an index."""
        member = sa.bindparam("listed", type_=sa.String)
        alive = m.expires > sa.bindparam("now")
        self.count = sa.select(sa.func.count()).where(listed, alive)
        self.members = (
            sa.select(m.member)
            .where(listed, alive)
            .order_by(m.expires, m.id)
            .limit(sa.bindparam("most", type_=sa.Integer))
        )
        self.place = sa.select(m.expires, m.id).where(listed, m.member == member)
        expires = sa.bindparam("expires", type_=sa.BigInteger)
        number = sa.bindparam("number", type_=sa.BigInteger)
        self.following = self.members.where(
            m.expires >= expires, (m.expires > expires) | (m.id > number)
        )


def _or_change(insert: Any, key: list[str], changes: Callable[[Any], Any]) -> Any:
    """Return `insert`, or else the `changes` of the row that is there, made from the
    columns of the new one."""
    if isinstance(insert, mysql.Insert):
        return insert.on_duplicate_key_update(changes(insert.inserted))
    changed = changes(insert.excluded)
    return insert.on_conflict_do_update(index_elements=key, set_=changed)
