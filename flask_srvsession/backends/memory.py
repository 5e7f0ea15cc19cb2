"""Sessions in the memory of this process: for development, tests, one worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from .base import Cell, Head, Version
from .cell_index import CellIndex, IndexContention, IndexFull, read_with_heads

FEW = 1000
"""With fewer items than this, expired ones may stay."""


class _Item(NamedTuple):
    cell: Cell
    deadline: float


class MemoryBackend:
    """Keeps everything in this process; other processes do not see it.

    `clock` returns the time in seconds. Expired items are removed by :meth:`sweep`, and
    whenever there are twice as many items as after the last time.
    """

    errors: tuple[type[Exception], ...] = (IndexContention, IndexFull)
    evicts = False
    shared = False
    max_bytes: int | None = None

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._items: dict[str, _Item] = {}
        self._written = 0
        self._sweep_at = FEW
        self.index: CellIndex = CellIndex(self, clock=clock)

    @classmethod
    def from_url(cls, url: str) -> MemoryBackend:
        """Build an empty one; ``memory://`` has nothing to configure."""
        return cls()

    def __len__(self) -> int:
        with self._lock:
            now = self._clock()
            return sum(item.deadline > now for item in self._items.values())

    def get(self, key: str) -> Cell | None:
        """Return the cell under `key`, None if there is none."""
        return self._live(key)

    def get_many(self, keys: Sequence[str]) -> dict[str, Cell | None]:
        """Return the cell under each key, None where there is none."""
        return {key: self._live(key) for key in keys}

    def get_with_heads(
        self, key: str, names: Sequence[str]
    ) -> tuple[Cell | None, dict[str, Head]]:
        """Return the cell under `key`, and the heads that are there."""
        return read_with_heads(self.get_many, key, names)

    def add(self, key: str, data: bytes, ttl: int) -> Version | None:
        """Store `data` for `ttl` seconds; None if there is something under `key`."""
        with self._lock:
            return None if self._live(key) else self._write(key, data, ttl)

    def swap(
        self, key: str, data: bytes, version: Version, ttl: int
    ) -> Version | Cell | None:
        """Store `data` for `ttl` seconds in place of the cell of this `version`;
        return the new version, or the cell that is there instead."""
        with self._lock:
            cell = self._live(key)
            if cell is None or cell.version != version:
                return cell
            return self._write(key, data, ttl)

    def delete(self, key: str, version: Version | None = None) -> bool:
        """Delete the cell under `key`, with `version` only if it has that; return
        whether it was deleted."""
        with self._lock:
            cell = self._live(key)
            if cell is None or (version is not None and cell.version != version):
                return False
            del self._items[key]
            return True

    def sweep(self) -> int:
        """Remove the expired items; return how many that were."""
        with self._lock:
            return self._sweep()

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys of now that begin with `prefix`."""
        with self._lock:
            keys = [key for key in self._items if key.startswith(prefix)]
        return iter(keys)

    def erase(self, names: Collection[str]) -> None:
        """Remove these indexes, but for those with members, and all expired items."""
        for name in names:
            self.index.drop(name)
        self.sweep()

    def close(self) -> None:
        """Nothing is open; here for symmetry with the other backends."""

    def _live(self, key: str) -> Cell | None:
        item = self._items.get(key)  # a single step, which needs no lock
        return item.cell if item and item.deadline > self._clock() else None

    def _write(self, key: str, data: bytes, ttl: int) -> Version:
        if len(self._items) >= self._sweep_at:
            self._sweep()
        self._written += 1
        self._items[key] = _Item(Cell(bytes(data), self._written), self._clock() + ttl)
        return self._written

    def _sweep(self) -> int:
        now, before = self._clock(), len(self._items)
        self._items = {k: i for k, i in self._items.items() if i.deadline > now}
        self._sweep_at = max(FEW, 2 * len(self._items))
        return before - len(self._items)
