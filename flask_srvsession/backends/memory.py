"""Sessions in the memory of this process: for development, tests, one worker."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .base import Cell, Head, Version
from .cell_index import CellIndex, IndexContention, IndexFull, read_with_heads

STRIPES = 64
_EXPIRED_PER_CALL = 4
_DEAD_ENTRIES = 64


@dataclass(slots=True)
class _Item:
    cell: Cell
    deadline: float
    queued: float
    """The earliest of this item's entries in the heap; never after the deadline."""


@dataclass(slots=True)
class _Stripe:
    """A share of the keys, under one lock; each method is called with it held."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    items: dict[str, _Item] = field(default_factory=dict)
    heap: list[tuple[float, str]] = field(default_factory=list)
    written: int = 0

    def live(self, key: str, now: float) -> _Item | None:
        item = self.items.get(key)
        return None if item is None or item.deadline <= now else item

    def write(self, key: str, data: bytes, deadline: float) -> Version:
        self.written += 1
        item = self.items.get(key)
        if item is None or deadline < item.queued:
            heapq.heappush(self.heap, (deadline, key))
            queued = deadline
        else:
            queued = item.queued
        self.items[key] = _Item(Cell(data, self.written), deadline, queued)
        return self.written

    def expire(self, now: float, at_most: int | None = None) -> int:
        """Remove what has expired, look at `at_most` entries; return how many."""
        seen = removed = 0
        while self.heap and self.heap[0][0] <= now and seen != at_most:
            seen += 1
            queued, key = heapq.heappop(self.heap)
            item = self.items.get(key)
            if item is None or item.queued != queued:
                continue
            if item.deadline <= now:
                del self.items[key]
                removed += 1
            else:
                item.queued = item.deadline
                heapq.heappush(self.heap, (item.deadline, key))
        self._compact()
        return removed

    def _compact(self) -> None:
        # Entries of deleted items would otherwise stay until their time is over.
        if len(self.heap) > 2 * len(self.items) + _DEAD_ENTRIES:
            self.heap = [(item.queued, key) for key, item in self.items.items()]
            heapq.heapify(self.heap)


class MemoryBackend:
    """Keeps everything in this process; other processes do not see it.

    `clock` returns the time in seconds.
    """

    errors: tuple[type[Exception], ...] = (IndexContention, IndexFull)
    evicts = False
    shared = False
    max_bytes: int | None = None

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stripes = tuple(_Stripe() for _ in range(STRIPES))
        self.index = CellIndex(self, clock=clock)

    @classmethod
    def from_url(cls, url: str) -> MemoryBackend:
        """Build an empty one; ``memory://`` has nothing to configure."""
        return cls()

    def __len__(self) -> int:
        now = self._clock()
        count = 0
        for stripe in self._stripes:
            with stripe.lock:
                count += sum(item.deadline > now for item in stripe.items.values())
        return count

    def get(self, key: str) -> Cell | None:
        stripe, now = self._stripe(key), self._clock()
        with stripe.lock:
            stripe.expire(now, _EXPIRED_PER_CALL)
            item = stripe.live(key, now)
            return None if item is None else item.cell

    def get_many(self, keys: Sequence[str]) -> dict[str, Cell | None]:
        return {key: self.get(key) for key in keys}

    def get_with_heads(
        self, key: str, names: Sequence[str]
    ) -> tuple[Cell | None, dict[str, Head]]:
        return read_with_heads(self.get_many, key, names)

    def add(self, key: str, data: bytes, ttl: int) -> Version | None:
        stripe, now = self._stripe(key), self._clock()
        with stripe.lock:
            stripe.expire(now, _EXPIRED_PER_CALL)
            if stripe.live(key, now) is not None:
                return None
            return stripe.write(key, bytes(data), now + ttl)

    def swap(
        self, key: str, data: bytes, version: Version, ttl: int
    ) -> Version | Cell | None:
        stripe, now = self._stripe(key), self._clock()
        with stripe.lock:
            stripe.expire(now, _EXPIRED_PER_CALL)
            item = stripe.live(key, now)
            if item is None:
                return None
            if item.cell.version != version:
                return item.cell
            return stripe.write(key, bytes(data), now + ttl)

    def delete(self, key: str, version: Version | None = None) -> bool:
        stripe, now = self._stripe(key), self._clock()
        with stripe.lock:
            stripe.expire(now, _EXPIRED_PER_CALL)
            item = stripe.live(key, now)
            if item is None or (version is not None and item.cell.version != version):
                return False
            del stripe.items[key]
            return True

    def sweep(self) -> int:
        now = self._clock()
        removed = 0
        for stripe in self._stripes:
            with stripe.lock:
                removed += stripe.expire(now)
        return removed

    def close(self) -> None:
        """Nothing is open; here for symmetry with the other backends."""

    def _stripe(self, key: str) -> _Stripe:
        return self._stripes[hash(key) % STRIPES]
