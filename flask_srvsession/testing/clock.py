"""A clock that tests wind."""

from __future__ import annotations


class FakeClock:
    """A clock that stands still until it is advanced; call it to read it."""

    def __init__(self, now: float = 1_750_000_000.0) -> None:
        self._now = now

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._now += seconds
