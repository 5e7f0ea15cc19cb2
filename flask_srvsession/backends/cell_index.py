"""An index over the cells of any backend.

Two cells hold an index: the *head* (the current epoch and the members that the last
fence kept) and the *roll* (the members, stamped with the epoch that they were listed
under). No storage changes two cells in one step, so the order of the steps has to do
it:

- A member is added by swapping a roll whose stamp is the current epoch. The roll is
  read before the head: its version then vouches that a fence, which changes the head
  first, has not come to the roll yet.
- A fence changes the head, then restamps the roll. A member that was added in between
  is in the roll that is restamped, and so listed when the fence returns; nobody is
  added under the old epoch after that.
- A roll with another stamp is a fence that is between its steps, or died there:
  anybody may finish it.
- A roll that is missing under a head was lost by the storage. Sessions of this epoch
  might be unlisted, so the epoch ends.
"""

from __future__ import annotations

import logging
import math
import random
import re
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from .base import EPOCH_ALONE, Backend, Busy, Cell, Epoch, Head, new_epoch

log = logging.getLogger("flask_srvsession")

_ROUNDS = 64
_PATIENCE = 3
_LATEST = 2**32 * 10
_SOUND_HEAD = re.compile(rb"([0-9a-f]{16}) ([0-3]?\d{1,10})((?: [!-~]+)*)")
_LONGEST_ROLL = 64 * 1024 * 1024


class IndexContention(Busy, OSError):
    """An index was changed by others each time that it was to be changed."""


class IndexFull(OSError):
    """The list of members is longer than the storage takes."""


@dataclass(frozen=True, slots=True)
class _Head:
    epoch: Epoch
    until: float
    kept: tuple[str, ...] = ()

    def dump(self) -> bytes:
        return " ".join((self.epoch, f"{_tenths(self.until)}", *self.kept)).encode()

    @classmethod
    def of(cls, cell: Cell | None) -> _Head | None:
        if cell is None:
            return None
        if found := _SOUND_HEAD.fullmatch(cell.data):
            epoch, until, kept = found.groups()
            return cls(epoch.decode(), int(until) / 10, tuple(kept.decode().split()))
        log.warning("an epoch of an index is ignored: it is not one of ours")
        return None


@dataclass(frozen=True, slots=True)
class _Roll:
    stamp: Epoch
    until: float
    members: Mapping[str, float]

    def dump(self, level: int = 1) -> bytes:
        """Return stamp and time in clear, then the columns, compressed at this level.

        The times follow each other as differences, so that they cost little. Those
        of one time stay as they were listed.
        """
        tenths = {member: _tenths(until) for member, until in self.members.items()}
        listed = sorted(tenths, key=tenths.__getitem__)
        times, last = [], 0
        for member in listed:
            times.append(f"{tenths[member] - last}")
            last = tenths[member]
        text = f"{' '.join(listed)}\n{' '.join(times)}"
        clear = f"{self.stamp} {_tenths(self.until)}\n"
        return clear.encode() + zlib.compress(text.encode("ascii", "replace"), level)

    @classmethod
    def load(cls, data: bytes) -> _Roll | None:
        try:
            clear, _, body = data.partition(b"\n")
            stamp, until = clear.decode("ascii").split(" ")
            text = zlib.decompressobj().decompress(body, _LONGEST_ROLL)
            names, times = text.decode("ascii", "replace").split("\n")
            members, last = {}, 0
            for name, time_ in zip(names.split(), times.split(), strict=True):
                last += int(time_)
                members[name] = last / 10
            if stamp and max(last, int(until)) <= _LATEST:
                return cls(stamp, int(until) / 10, members)
        except (ValueError, zlib.error):
            pass
        log.warning("a list of sessions is ignored: it cannot be read")
        return None


@dataclass(frozen=True, slots=True)
class _Aligned:
    """A roll, and the head that was current while the roll carried its epoch."""

    roll_cell: Cell | None
    roll: _Roll
    head_cell: Cell | None
    head: _Head


class CellIndex:
    """The :class:`~.base.Index` of a backend that has none of its own.

    `clock` returns the time in seconds, alike in all processes that share the cells.
    `read_in_order` reads several cells, none before those that stand in front of it, in
    less time than one after the other.
    """

    def __init__(
        self,
        cells: Backend,
        clock: Callable[[], float] = time.time,
        read_in_order: Callable[[Sequence[str]], Mapping[str, Cell]] | None = None,
    ) -> None:
        self._cells = cells
        self._clock = clock
        self._read_in_order = read_in_order
        self._last: tuple[bytes, _Roll | None] = (b"", None)
        self._level = 1 if cells.shared else 0  # the own memory is near: uncompressed

    def epoch(self, name: str) -> Epoch:
        """Return the current epoch of the list; begin one where there is none. It lives
        for half of :data:`EPOCH_ALONE` at least."""
        for _ in _rounds():
            seen = self._seen(name)
            if isinstance(seen, _Head):
                return seen.epoch
            soon = self._clock() + EPOCH_ALONE / 2
            is_late = seen.head.until >= soon
            if is_late or self._write_both(name, seen, seen.roll.members, soon):
                return seen.head.epoch
        raise _contention()

    def add(self, name: str, member: str, expect: Epoch, ttl: int) -> bool:
        """List `member` for `ttl` seconds, if `expect` is still the current epoch;
        return whether it is. One that is listed already keeps the later expiry."""
        for _ in _rounds():
            seen = self._seen(name)
            if isinstance(seen, _Head) or seen.head.epoch != expect:
                return False
            now = self._clock()
            listed = _living(seen.roll.members, now)
            listed[member] = max(now + ttl, listed.get(member, 0))
            if self._write_both(name, seen, listed, listed[member]):
                return True
        raise _contention()

    def fence(self, name: str, keep: Collection[str] = ()) -> tuple[Epoch, Head | None]:
        """Begin a new epoch; return it, and the head before it. The new head names
        those in `keep`; nobody is removed."""
        for _ in _rounds():
            seen = self._seen(name)
            if isinstance(seen, _Head):
                continue
            until = max(seen.head.until, self._clock() + EPOCH_ALONE)
            head = _Head(new_epoch(), until, tuple(keep))
            if self._write_head(name, seen.head_cell, head):
                self._restamp(name, seen.roll, head)
                return head.epoch, _present(seen.head)
        raise _contention()

    def head(self, name: str) -> Head | None:
        """Return the epoch and the members that the last fence kept, or None."""
        return _present(self._read_head(name)[1])

    def remove(self, name: str, members: Collection[str]) -> None:
        """Unlist `members`; those that are not listed are no error."""
        gone = frozenset(members)
        for _ in _rounds():
            cell, roll = self._read_roll(name)
            if roll is None or gone.isdisjoint(roll.members):
                return
            left = {m: until for m, until in roll.members.items() if m not in gone}
            if self._write_roll(name, cell, replace(roll, members=left)):
                return
        raise _contention()

    def members(
        self, name: str, most: int, after: str | None = None
    ) -> list[str] | None:
        """Return the first `most` members that have not expired, the soonest expiry
        first; of those that follow `after`, or None if that is not listed."""
        _, roll = self._read_roll(name)
        listed, now = roll.members if roll else {}, self._clock()
        if after is not None and after not in listed:
            return None
        rest = iter(listed.items())
        if after is not None:
            next(member for member, _ in rest if member == after)
        return [*islice((m for m, until in rest if until > now), most)]

    def count(self, name: str) -> int:
        """Return how many members have not expired."""
        _, roll = self._read_roll(name)
        return len(_living(roll.members, self._clock())) if roll else 0

    def drop(self, name: str) -> None:
        """Delete the index, its epoch too, unless it has members.

        The head goes first: who adds a member meanwhile has changed the roll then,
        which stays, and which the next one begins an epoch for.
        """
        head_cell, _ = self._read_head(name)
        roll_cell, roll = self._read_roll(name)
        if roll and _living(roll.members, self._clock()):
            return
        if head_cell and not self._cells.delete(_head_key(name), head_cell.version):
            return
        if roll_cell:
            self._cells.delete(_roll_key(name), roll_cell.version)

    def _seen(self, name: str) -> _Aligned | _Head:
        """Return a head and a roll of one epoch; make them so where they are not. Just
        the head if it was begun for that.

        All that this writes is safe to leave at any point, and for others to finish.
        """
        for _ in _rounds():
            # The roll comes first. The other way round, two readers that know a head
            # which a fence has ended since could restamp the roll for it, and add.
            roll_cell, roll, head_cell, head = self._read_both(name)
            if head is None:
                # The roll, then the head: a head without a roll means a loss.
                head = _Head(new_epoch(), self._clock() + EPOCH_ALONE)
                roll = roll or _Roll(head.epoch, head.until, {})
                begun = self._stamp(name, roll_cell, roll, head)
                if begun and self._write_head(name, head_cell, head):
                    return head
            elif roll is None:
                self._end_epoch_of_lost_roll(name, head_cell, head)
            elif roll.stamp != head.epoch:
                self._stamp(name, roll_cell, roll, head)
            else:
                return _Aligned(roll_cell, roll, head_cell, head)
        raise _contention()

    def _end_epoch_of_lost_roll(
        self, name: str, head_cell: Cell | None, head: _Head
    ) -> None:
        """Move the head, then write the roll: halfway, it is still seen as lost."""
        roll_cell, roll = self._read_roll(name)
        if roll is not None:
            return  # it was written between our reads of the two
        until = max(head.until, self._clock() + EPOCH_ALONE)
        head = _Head(new_epoch(), until)
        if self._write_head(name, head_cell, head):
            self._write_roll(name, roll_cell, _Roll(head.epoch, until, {}))

    def _stamp(self, name: str, over: Cell | None, roll: _Roll, head: _Head) -> bool:
        """Write `roll` with the epoch of `head`, to live no shorter than that."""
        until = max(roll.until, head.until)
        roll = replace(roll, stamp=head.epoch, until=until)
        return self._write_roll(name, over, roll)

    def _restamp(self, name: str, before: _Roll, head: _Head) -> None:
        """Take a fence's second step."""
        for _ in _rounds():
            cell, roll = self._read_roll(name)
            if roll is not None and roll.stamp != before.stamp:
                return  # somebody did it for us; or it was lost and begun again
            # Lost since the first step: the members that we know are better than none.
            if self._stamp(name, cell, roll or before, head):
                return
        raise _contention()

    def _write_both(
        self, name: str, seen: _Aligned, members: Mapping[str, float], until: float
    ) -> bool:
        """Write the roll with these members, and make both cells live past `until`, the
        roll not shorter than the head. Return whether nobody came in between."""
        head = seen.head
        if head.until < until:
            now = self._clock()
            head = replace(head, until=now + 2 * (until - now))
            if not self._write_head(name, seen.head_cell, head):
                return False
        lasting = max(head.until, seen.roll.until)
        roll = replace(seen.roll, until=lasting, members=members)
        return self._write_roll(name, seen.roll_cell, roll)

    def _read_both(
        self, name: str
    ) -> tuple[Cell | None, _Roll | None, Cell | None, _Head | None]:
        if self._read_in_order is None:
            return *self._read_roll(name), *self._read_head(name)
        cells = self._read_in_order([_roll_key(name), _head_key(name)])
        roll, head = cells.get(_roll_key(name)), cells.get(_head_key(name))
        return roll, self._loaded(roll), head, _Head.of(head)

    def _read_head(self, name: str) -> tuple[Cell | None, _Head | None]:
        cell = self._cells.get(_head_key(name))
        return cell, _Head.of(cell)

    def _read_roll(self, name: str) -> tuple[Cell | None, _Roll | None]:
        cell = self._cells.get(_roll_key(name))
        return cell, self._loaded(cell)

    def _loaded(self, cell: Cell | None) -> _Roll | None:
        """Return the roll; a long one that is read in parts is parsed once."""
        if cell is None:
            return None
        data, roll = self._last
        if data != cell.data:
            roll = _Roll.load(cell.data)
            self._last = cell.data, roll
        return roll

    def _write_roll(self, name: str, over: Cell | None, roll: _Roll) -> bool:
        data = roll.dump(self._level)
        if self._cells.max_bytes is not None and len(data) > self._cells.max_bytes:
            raise IndexFull(
                f"an index has {len(roll.members)} members, which take {len(data)}"
                f" bytes; this storage takes {self._cells.max_bytes}"
            )
        return self._write(_roll_key(name), over, data, roll.until)

    def _write_head(self, name: str, over: Cell | None, head: _Head) -> bool:
        return self._write(_head_key(name), over, head.dump(), head.until)

    def _write(self, key: str, over: Cell | None, data: bytes, until: float) -> bool:
        ttl = max(1, math.ceil(until - self._clock()))
        if over is None:
            return self._cells.add(key, data, ttl) is not None
        written = self._cells.swap(key, data, over.version, ttl)
        return written is not None and not isinstance(written, Cell)


def read_with_heads(
    get_many: Callable[[Sequence[str]], Mapping[str, Cell | None]],
    key: str,
    names: Sequence[str],
) -> tuple[Cell | None, dict[str, Head]]:
    """Do the work of ``get_with_heads`` for a backend whose index is a CellIndex.

    `get_many` must read no cell before the first one of its keys.
    """
    cells = get_many([key, *map(_head_key, names)])
    heads = {name: _present(_Head.of(cells.get(_head_key(name)))) for name in names}
    return cells.get(key), {name: head for name, head in heads.items() if head}


def _present(head: _Head | None) -> Head | None:
    return Head(head.epoch, head.kept) if head else None


def _head_key(name: str) -> str:
    return name + ":e"


def _roll_key(name: str) -> str:
    return name + ":m"


def _living(members: Mapping[str, float], now: float) -> dict[str, float]:
    return {member: until for member, until in members.items() if until > now}


def _tenths(until: float) -> int:
    return math.ceil(until * 10)


def _rounds() -> Iterator[None]:
    """Yield for each attempt, after some of them with a moment's pause."""
    for number in range(_ROUNDS):
        if number >= _PATIENCE:
            time.sleep(random.uniform(0, 0.0005 * number))  # noqa: S311 (no secret)
        yield


def _contention() -> IndexContention:
    return IndexContention(f"an index was changed by others {_ROUNDS} times in a row")
