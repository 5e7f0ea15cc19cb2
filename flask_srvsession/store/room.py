"""Room for one more session, where an index has a limit.

Of a list of less than :data:`EXACT` entries all are looked at, and :mod:`seats` says
who leaves. Of a longer one a login reads a few: then an entry counts until it is known
that nobody needs it. So there are never more sessions than allowed, and sometimes
fewer: a refusal, or the end of the oldest, may come while some of the dead are listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from ..backends.base import MOST_AT_ONCE
from ..config import Settings
from ..ending import LIMIT, End
from ..errors import TooManySessions
from . import seats
from .lists import Binding, Entry, Lists
from .records import Line, Live, Records
from .seats import SeatLost, is_elsewhere, may_be_used

EXACT = 1000
"""A list is long with so many entries."""

_MOST_LISTS = 1000

Lines = Mapping[str, Line]


class Room:
    """Makes room in the lists of one store; `tell_ended` hears of each session."""

    def __init__(
        self,
        records: Records,
        lists: Lists,
        settings: Settings,
        clock: Callable[[], float],
        tell_ended: Callable[[Live, End], None],
    ) -> None:
        self._records = records
        self._lists = lists
        self._rejects = settings.max_per_key_policy == "reject"
        self._clock = clock
        self._tell_ended = tell_ended
        self._looked: dict[Binding, tuple[bytes, str]] = {}

    def make(
        self, binding: Binding, own: Entry, limit: int, replaced: Live | None = None
    ) -> None:
        """Unlist the dead, and end the oldest if that is not enough, or raise
        TooManySessions: then at most `limit` sessions of `binding` live, with that of
        the entry `own`, which is listed. Where `replaced` is listed, its seat is taken
        over; SeatLost if that session has ended, since others may have the seat."""
        lists = self._lists
        if replaced and binding.lists(replaced.record):
            if self._records.live(replaced.id) is None:
                raise SeatLost
            return
        looked, most = False, EXACT if limit < EXACT else MOST_AT_ONCE
        surplus = 1
        while surplus > 0:
            listed, whole = lists.oldest(binding, most)
            if whole:
                self._make_exactly(binding, listed, own, limit)
                return
            # Counted after it was read: who has left since does not leave twice.
            surplus = lists.count(binding) - limit
            if surplus <= 0:
                return
            size = MOST_AT_ONCE if surplus < EXACT else EXACT
            most = max(most, size)
            others = ((e, n) for e, n in listed.items() if not e.shares_seat(own))
            some = dict(islice(others, size))
            alive, lines = self._alive(binding, some)
            if len(alive) < len(some):
                continue
            if not looked:
                looked = True
                if self._drop_others(binding, some):
                    continue
            if self._rejects:
                raise TooManySessions
            self._end(binding, dict(islice(some.items(), surplus)), lines)
            surplus -= len(some)

    def _make_exactly(
        self, binding: Binding, listed: Mapping[Entry, bytes], own: Entry, limit: int
    ) -> None:
        lines: Lines = {}

        def counts(session_id: str, later: bool) -> bool:
            nonlocal lines
            lines = lines or self._lines(listed)
            return self._counts(binding, lines[session_id], later=later)

        dead, surplus = seats.leaving(listed, own, limit, counts)
        if surplus and self._rejects:
            raise TooManySessions
        if dead or surplus:
            self._end(binding, {e: listed[e] for e in (*dead, *surplus)}, lines)

    def _drop_others(self, binding: Binding, some: Mapping[Entry, bytes]) -> bool:
        """Unlist the dead among the entries that follow `some`, at the next time those
        behind them, and so on; return whether there were any."""
        looked = self._looked
        if len(looked) >= _MOST_LISTS:
            looked.clear()
        after = looked.pop(binding, _last(some))
        others = next(self._lists.pages(binding, MOST_AT_ONCE, after), {})
        alive, _ = self._alive(binding, others)
        if alive and len(others) == MOST_AT_ONCE:
            looked[binding] = _last(alive)
        return len(alive) < len(others)

    def _alive(
        self, binding: Binding, some: Mapping[Entry, bytes]
    ) -> tuple[Mapping[Entry, bytes], Lines]:
        """End and unlist those of `some` that take no seat; return the others, and
        the lines of all."""
        lines = self._lines(some)
        alive = {
            entry: name
            for entry, name in some.items()
            if self._counts(binding, lines[entry.session_id])
        }
        if len(alive) < len(some):
            dead = {e: n for e, n in some.items() if e not in alive}
            self._end(binding, dead, lines)
        return alive, lines

    def _lines(self, entries: Iterable[Entry]) -> Lines:
        return self._records.lines([*dict.fromkeys(e.session_id for e in entries)])

    def _counts(self, binding: Binding, line: Line, *, later: bool = False) -> bool:
        if line.live is None or is_elsewhere(binding, line):
            return False
        return may_be_used(line.live.record, self._clock(), later=later)

    def _end(
        self, binding: Binding, entries: Mapping[Entry, bytes], lines: Lines
    ) -> None:
        """End the sessions of these entries and unlist them; but not one that has moved
        on to be elsewhere."""
        ending = {
            entry.session_id: lines[entry.session_id]
            for entry in entries
            if not is_elsewhere(binding, lines[entry.session_id])
        }
        ended, left = self._records.end_unchanged(ending)
        for session_id in left:
            live = self._records.end(
                session_id, ends_too=lambda _, after: binding.lists(after)
            )
            ended += [live] if live else []
        for live in ended:
            self._tell_ended(live, LIMIT)
        self._lists.forget({live.id: live.record.places for live in ended})
        self._lists.remove(entries)


def _last(entries: Mapping[Entry, bytes]) -> tuple[bytes, str]:
    """Return the position in a list that the last one of these has."""
    entry, name = [*entries.items()][-1]
    return name, entry.member
