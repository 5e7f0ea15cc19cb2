"""How long something waits, on a computer that may be busy with other things."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_TICK = 0.01


@dataclass
class Waited:
    """How long a block waited, in seconds: known when it is over."""

    seconds: float = 0.0


@contextmanager
def stopwatch() -> Iterator[Waited]:
    """Measure the block, less the time in which the computer let nothing of it run.

    A thread sleeps beside the block, again and again. By as much as it wakes up late,
    the block may be late through no fault of its own.
    """
    waited, over, late = Waited(), threading.Event(), 0.0

    def sleep() -> None:
        nonlocal late
        due = time.monotonic() + _TICK
        while not over.wait(_TICK):
            woken = time.monotonic()
            late += woken - due
            due = woken + _TICK

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    began = time.monotonic()
    try:
        yield waited
    finally:
        waited.seconds = time.monotonic() - began
        over.set()
        sleeper.join()
        waited.seconds -= late


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail if the block waits for longer."""
    with stopwatch() as waited:
        yield
    assert waited.seconds < seconds, f"it took {waited.seconds:.2f} s"
