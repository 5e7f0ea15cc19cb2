"""A place in each list: where ``SRVSESSION_MAX_PER_KEY`` limits them, who makes room.

A session is listed with one conditional command, which the index refuses if the epoch
has ended or all places are taken. Only then is it looked at who takes them. The dead do
not count, nor does what nobody has presented within a minute. If all others do, the
oldest is ended or the new one refused, as the policy says. What a session is
regenerated to has the same mark in its entry, and so takes over its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from . import ids
from .backends.base import Added, place, shares_place
from .cells import MAX_ATTEMPTS, Held, RecordCells, is_elsewhere
from .config import Settings
from .errors import BackendError, StaleLogin, TooManySessions
from .listing import Bindings, Listing, entry
from .record import Binding

DELIVERY = 60
"""Seconds after which a session that nobody has presented takes up no place."""


class PlaceLost(Exception):
    """The session whose place was to be taken over is gone, and its place with it."""


class Places:
    """Lists sessions, and ends others where there is no room.

    `evict` ends a session, whose entry in the list of that binding it leaves.
    """

    def __init__(
        self,
        cells: RecordCells,
        listing: Listing,
        settings: Settings,
        clock: Callable[[], float],
        evict: Callable[[str, Binding], None],
    ) -> None:
        self._cells = cells
        self._listing = listing
        self._settings = settings
        self._clock = clock
        self._evict = evict

    def take(
        self, session_id: str, bindings: Bindings, replaced: Held | None = None
    ) -> None:
        """List the session everywhere; StaleLogin or TooManySessions if refused.

        Where `replaced` is listed, its place is taken over; PlaceLost if that was the
        only one left, and is gone.
        """
        ttl = max(1, self._cells.ends_at(session_id) - int(self._clock()))
        former = replaced.record.bindings if replaced else {}
        for binding, stamp in bindings.items():
            whose = replaced.id if replaced and binding in former else None
            self._take_in(binding, session_id, stamp, ttl, whose)

    def _take_in(
        self, binding: Binding, session_id: str, stamp: str, ttl: int, whose: str | None
    ) -> None:
        """List the session in one place, which is that of `whose`, if given."""
        for _ in range(MAX_ATTEMPTS):
            match self._listing.add(session_id, binding, stamp, ttl):
                case Added.DONE:
                    return
                case Added.STALE:
                    raise StaleLogin
                case Added.FULL:
                    if whose and self._cells.live(whose) is None:
                        raise PlaceLost
                    self._make_room(binding, entry(session_id, stamp))
        raise BackendError("bind")

    def _make_room(self, binding: Binding, incoming: str) -> None:
        """Unlist who is dead, or else end the oldest, or else TooManySessions."""
        taken: dict[str, dict[str, str]] = {}  # each place's entries and their ids
        for listed, session_id in self._listing.entries(binding).items():
            if not shares_place(listed, incoming):
                taken.setdefault(place(listed), {})[listed] = session_id
        counts = partial(self._counts, binding)
        dead = [e for e in taken.values() if not any(map(counts, e.values()))]
        if taken and not dead:
            if self._settings.max_per_key_policy == "reject":
                raise TooManySessions
            dead = [min(taken.values(), key=_oldest)]
        leaving = {listed: i for entries in dead for listed, i in entries.items()}
        for session_id in dict.fromkeys(leaving.values()):
            if not is_elsewhere(binding, *self._cells.follow(session_id)):
                self._evict(session_id, binding)
        self._listing.remove(binding, leaving)

    def _counts(self, binding: Binding, session_id: str) -> bool:
        """Whether a listed session takes up a place: it lives, maybe under a new id,
        and its client came back, or may still be on the way. A login that failed
        halfway leaves one that nobody will ever present."""
        was, held = self._cells.follow(session_id)
        if held is None or is_elsewhere(binding, was, held):
            return False
        return held.record.presented or self._clock() - held.record.last_seen < DELIVERY


def _oldest(entries: Mapping[str, str]) -> int:
    return min(map(ids.born, entries.values()))
