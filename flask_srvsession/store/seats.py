"""The seats in a list: who has one, and who leaves where there are too many.

A session is listed first, by one conditional command that is refused if the epoch has
ended. Only then is the list read. Of two logins at once, the one that was listed later
sees the other one and counts it, and the earlier one leaves the later one alone: so no
more sessions than ``SRVSESSION_MAX_PER_KEY`` allows live once a login has returned.

Dead sessions do not count, nor does one that nobody has presented within a minute: a
login that failed halfway leaves such. A session and the one that it is regenerated to
share a seat (:meth:`Entry.shares_seat`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .. import ids
from .lists import Binding, Entry
from .record import INHERITED, PRESENTED, UNLIMITED, Record
from .records import Line

DELIVERY = 60
"""Seconds after which a session that nobody has presented takes no seat."""

Seat = list[Entry]
"""The entries that count as one, in the order of the list."""

TakesSeat = Callable[[str, bool], bool]
"""Whether the session of this id takes a seat; the flag tells whether it was listed
later than the newcomer."""


class SeatLost(Exception):
    """The session whose seat was to be taken over ended, and others have the seat."""


def leaving(
    listed: Iterable[Entry], own: Entry, limit: int, counts: TakesSeat
) -> tuple[list[Entry], list[Entry]]:
    """Return the entries of the dead, and those of the oldest that are too many.

    `listed` are all entries, in the order in which they were listed; one of `limit`
    seats is for `own`; if it is not listed any more, a later login has ended it, and
    nobody leaves for it. `counts` is asked only where all seats seem to be taken. Of
    sessions that began in one second, the marks tell which is the oldest: the same to
    all logins at once, also while a session is being regenerated.
    """
    seats: dict[str, Seat] = {}
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
    alive = [
        mark
        for mark, seat in seats.items()
        if any(counts(entry.session_id, mark in later) for entry in seat)
    ]
    oldest_first = sorted(alive, key=lambda mark: (_born(seats[mark]), mark))
    surplus = oldest_first[: max(0, len(alive) - limit + 1)]
    dead = [mark for mark in seats if mark not in alive and mark not in later]
    return _flat(seats, dead), _flat(seats, surplus)


def may_be_used(record: Record, now: float, *, later: bool) -> bool:
    """Return whether a client has presented the session, or may still be about to. If
    it was listed `later`, its own login is under way, and counts the newcomer; but not
    if it took over a seat that was there before."""
    counts = bool(record.flags & INHERITED) or not later
    known = bool(record.flags & (PRESENTED | UNLIMITED))
    return known or (counts and now - record.last_seen < DELIVERY)


def is_elsewhere(binding: Binding, line: Line) -> bool:
    """Whether a session was regenerated to one that lives, but is not listed under
    `binding`: its user signed out, say. A session that was not may be listed before its
    record says so."""
    was, live, _ = line
    return bool(was and live and not binding.lists(live.record))


def _flat(seats: dict[str, Seat], marks: Iterable[str]) -> list[Entry]:
    return [entry for mark in marks for entry in seats[mark]]


def _born(seat: Seat) -> int:
    return min(ids.born(entry.session_id) for entry in seat)
