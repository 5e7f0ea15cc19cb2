"""Memory keeps the contract; time is a clock that the tests wind."""

from __future__ import annotations

import time
from typing import Any

import pytest

from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.testing import BackendContract, FakeClock


class Yielding(dict[str, Any]):
    """Lets other threads in between a look and what follows from it."""

    def get(self, key: str, default: Any = None) -> Any:
        found = super().get(key, default)
        time.sleep(0)
        return found


class TestMemory(BackendContract):
    @pytest.fixture
    def backend(self) -> MemoryBackend:
        self.clock = FakeClock()
        backend = MemoryBackend(self.clock)
        backend._items = Yielding()
        return backend

    def elapse(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def test_the_expired_are_absent_and_then_removed(
        self, backend: MemoryBackend
    ) -> None:
        """Thousands that expire at once are absent at once, and removed by and by."""
        versions = [backend.add(f"{n}", b"x", 1) for n in range(3000)]
        self.clock.advance(1)

        assert len(backend) == 0
        assert backend.swap("2999", b"y", versions[2999], 9) is None
        assert not any(backend.get(f"{n}") for n in range(3000))
        for n in range(1001):
            backend.add(f"later {n}", b"x", 1)
        assert len(backend._items) <= 2000
        assert backend.sweep() == 0

    def test_an_epoch_that_nobody_binds_to_lives_for_minutes(
        self, backend: MemoryBackend
    ) -> None:
        epoch = backend.index.epoch("user")
        self.clock.advance(14 * 60)
        assert backend.index.epoch("user") == epoch
        self.clock.advance(14 * 60)  # from when it was asked for
        assert backend.index.add("user", "one", epoch, 60)

        backend.index.epoch("stranger")
        self.clock.advance(16 * 60)

        assert backend.index.head("stranger") is None
        backend.sweep()
        assert not [key for key in backend._items if "stranger" in key]

    def test_what_was_deleted_takes_up_no_room(self, backend: MemoryBackend) -> None:
        for _ in range(1000):
            backend.add("key", b"x", 3600)
            backend.delete("key")

        assert not backend._items
