"""Room at a limit: the oldest leaves, or else the newcomer is refused.

A session is listed first, by one conditional command that is refused if the epoch has
ended. Only then is the list read. Of two logins at once, the one that was listed later
sees the other one and counts it, and the earlier one leaves the later one alone: so no
more sessions than ``SRVSESSION_MAX_PER_KEY`` allows live once a login has returned.

Dead sessions take no seat, nor does one that nobody has presented within a minute: a
login that failed halfway leaves such. A session and the one that it is regenerated to
share a seat (:meth:`Entry.shares_seat`).

Of a list of less than :data:`EXACT` entries all are looked at, and :func:`leaving` says
who leaves. Of a longer one a login reads a few: then an entry counts until it is known
that nobody needs it. So there are never more sessions than allowed, and sometimes
fewer: a refusal, or the end of the oldest, may come while some of the dead are listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from .. import ids
from ..backends.base import MOST_AT_ONCE
from ..config import Settings
from ..ending import LIMIT, End
from ..errors import TooManySessions
from .lists import Binding, Entry, Lists, is_elsewhere
from .record import INHERITED, PRESENTED, UNLIMITED, Record
from .records import Line, Live, Records

DELIVERY = 60
"""Seconds after which a session that nobody has presented takes no seat."""

EXACT = 1000
"""A list is long with so many entries."""

_MOST_LISTS = 1000

Lines = Mapping[str, Line]

TakesSeat = Callable[[str, bool], bool]
"""Whether the session of this id takes a seat; the flag tells whether it was listed
later than the newcomer."""


class SeatLost(Exception):
    """The session whose seat was to be taken over ended, and others have the seat."""


class Room:
    """Makes room in the lists of one store; `tell_ended` hears of each session."""

    def __init__(
        self,
        records: Records,
        lists: Lists,
        settings: Settings,
        tell_ended: Callable[[Live, End], None],
    ) -> None:
        self._records = records
        self._lists = lists
        self._rejects = settings.max_per_key_policy == "reject"
        self._tell_ended = tell_ended
        self._looked: dict[Binding, Entry] = {}

    def make(
        self, binding: Binding, own: Entry, limit: int, replaced: Live | None = None
    ) -> None:
        """Unlist the dead, and end the oldest if that is not enough, or raise
        TooManySessions: then at most `limit` sessions of `binding` live, with that of
        the entry `own`, which is listed. Where `replaced` is listed, its seat is taken
        over; SeatLost if that session has ended, since others may have the seat."""
        if replaced and binding.lists(replaced.record):
            if self._records.live(replaced.id) is None:
                raise SeatLost
            return
        most, looked = (EXACT if limit < EXACT else MOST_AT_ONCE), False
        while True:
            listed, whole = self._lists.oldest(binding, most)
            if whole:
                self._make_exactly(binding, listed, own, limit)
                return
            oldest = [entry for entry in listed if not entry.shares_seat(own)]
            # Counted after it was read: who has left since does not leave twice.
            surplus = self._lists.count(binding) - limit
            if surplus <= 0 or not oldest:  # or all are none of ours
                return
            most = max(most, min(surplus, EXACT))
            alive, lines = self._drop_dead(binding, oldest)
            if len(alive) < len(oldest):
                continue
            if not looked and self._drop_others(binding, oldest[-1]):
                looked = True
                continue
            if self._rejects:
                raise TooManySessions
            self._end(binding, oldest[:surplus], lines)
            if surplus <= len(oldest):
                return

    def _make_exactly(
        self, binding: Binding, listed: Sequence[Entry], own: Entry, limit: int
    ) -> None:
        lines = cache(lambda: self._lines(listed))

        def takes_seat(session_id: str, later: bool) -> bool:
            return self._takes_seat(binding, lines()[session_id], later=later)

        dead, surplus = leaving(listed, own, limit, takes_seat)
        if surplus and self._rejects:
            raise TooManySessions
        if dead or surplus:
            self._end(binding, [*dead, *surplus], lines())

    def _drop_others(self, binding: Binding, last: Entry) -> bool:
        """Unlist the dead among the entries that follow the `last` one, at the next
        time those behind them, and so on; return whether there were any."""
        looked = self._looked
        if len(looked) >= _MOST_LISTS:
            looked.clear()
        after = looked.pop(binding, last)
        others = next(self._lists.pages(binding, MOST_AT_ONCE, after), [])
        alive, _ = self._drop_dead(binding, others)
        if alive and len(others) == MOST_AT_ONCE:
            looked[binding] = alive[-1]
        return len(alive) < len(others)

    def _drop_dead(
        self, binding: Binding, some: Sequence[Entry]
    ) -> tuple[Sequence[Entry], Lines]:
        """End and unlist those of `some` that take no seat; return the others, and
        the lines of all."""
        lines = self._lines(some)
        alive, dead = list[Entry](), list[Entry]()
        for entry in some:
            takes = self._takes_seat(binding, lines[entry.session_id], later=False)
            (alive if takes else dead).append(entry)
        if dead:
            self._end(binding, dead, lines)
        return alive, lines

    def _lines(self, entries: Iterable[Entry]) -> Lines:
        return self._records.lines([*dict.fromkeys(e.session_id for e in entries)])

    def _takes_seat(self, binding: Binding, line: Line, *, later: bool) -> bool:
        if line.live is None or is_elsewhere(binding, line):
            return False
        return may_be_used(line.live.record, line.live.read_at, later=later)

    def _end(self, binding: Binding, entries: Sequence[Entry], lines: Lines) -> None:
        """End the sessions of these entries and unlist them; but not one that has moved
        on to be elsewhere."""
        here = {
            entry.session_id: lines[entry.session_id]
            for entry in entries
            if not is_elsewhere(binding, lines[entry.session_id])
        }
        ended, changed = self._records.end_unchanged(here)
        for session_id in changed:
            live = self._records.end(
                session_id, ends_too=lambda _, after: binding.lists(after)
            )
            ended += [live] if live else []
        for live in ended:
            self._tell_ended(live, LIMIT)
        self._lists.forget({live.id: live.record.places for live in ended})
        self._lists.unlist(entries)


def leaving(
    listed: Iterable[Entry], own: Entry, limit: int, takes_seat: TakesSeat
) -> tuple[list[Entry], list[Entry]]:
    """Return the entries of the dead, and those of the oldest that are too many: in a
    list that is read as a whole. Of a longer one, :meth:`Room.make` ends the front.

    `listed` are all entries, in the order in which they were listed; one of `limit`
    seats is for `own`; if it is not listed any more, a later login has ended it, and
    nobody leaves for it. `takes_seat` is asked only where all seats seem to be taken.
    Of sessions that began in one second, the marks tell which is the oldest: the same
    to all logins at once, also while a session is being regenerated.
    """
    seats: dict[str, list[Entry]] = {}
    later: set[str] = set()
    seen = False
    for entry in listed:
        if entry.shares_seat(own):
            seen = seen or entry.mark == own.mark
        else:
            seats.setdefault(entry.mark, []).append(entry)
            if seen:
                later.add(entry.mark)
    if not seen or len(seats) < limit:
        return [], []
    born = {m: min(ids.born(e.session_id) for e in seat) for m, seat in seats.items()}
    alive = [
        mark
        for mark, seat in seats.items()
        if any(takes_seat(entry.session_id, mark in later) for entry in seat)
    ]
    oldest_first = sorted(alive, key=lambda mark: (born[mark], mark))
    surplus = oldest_first[: max(0, len(alive) - limit + 1)]
    dead = [mark for mark in seats if mark not in alive and mark not in later]
    return [e for m in dead for e in seats[m]], [e for m in surplus for e in seats[m]]


def may_be_used(record: Record, now: float, *, later: bool) -> bool:
    """Return whether a client has presented the session, or may still be about to. If
    it was listed `later`, its own login is under way, and counts the newcomer; but not
    if it took over a seat that was there before."""
    if record.flags & (PRESENTED | UNLIMITED):
        return True
    counts_newcomer = later and not record.flags & INHERITED
    return not counts_newcomer and now - record.last_seen < DELIVERY
