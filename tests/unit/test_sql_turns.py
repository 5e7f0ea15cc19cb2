"""Who waits for a connection to a database gets it in the order of their coming."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from flask_srvsession.backends.sql import engine
from flask_srvsession.backends.sql.engine import PoolExhausted, Turns

PATIENCE = 20.0


def waiting(turns: Turns, count: int) -> None:
    """Return when so many wait."""
    for _ in range(2000):
        if len(turns._waiting) == count:
            return
        time.sleep(0.01)
    raise TimeoutError


def test_those_who_wait_go_first_in_their_order_and_nobody_passes_them() -> None:
    turns, order = Turns(1, PATIENCE), list[int]()

    def go(number: int) -> None:
        with turns:
            order.append(number)
        with turns:  # at once again, as the next statement of a request does
            order.append(number)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(4)]
    with turns:
        for number, thread in enumerate(threads):
            thread.start()
            waiting(turns, number + 1)
    for thread in threads:
        thread.join(PATIENCE)

    assert order == [0, 1, 2, 3, 0, 1, 2, 3]


def test_who_has_waited_too_long_leaves_the_queue() -> None:
    turns = Turns(2, 0.01)
    with turns, turns:
        for _ in range(3):
            with pytest.raises(PoolExhausted):
                turns.__enter__()

    with turns, turns:
        assert not turns._waiting


def test_a_turn_of_somebody_who_has_given_up_goes_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = Turns(1, 3 * PATIENCE)  # who is not called comes late

    class Killed(threading.Condition):
        """Its greenlet is killed just after it was called."""

        def wait(self, timeout: float | None = None) -> bool:
            super().wait(timeout)
            raise ZeroDivisionError

    def go() -> None:
        with pytest.raises(ZeroDivisionError), turns:
            pytest.fail("it was killed")

    def follow() -> None:
        with turns:
            came.append("next")

    came = list[str]()
    threads = [threading.Thread(target=each, daemon=True) for each in (go, follow)]
    with turns:
        with monkeypatch.context() as patched:
            patched.setattr(threading, "Condition", Killed)
            threads[0].start()
            waiting(turns, 1)
        threads[1].start()
        waiting(turns, 2)
    for thread in threads:
        thread.join(PATIENCE)

    assert came == ["next"]


def test_who_fails_inside_gives_the_place_back() -> None:
    turns = Turns(1, 0.01)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), turns:
            raise ZeroDivisionError


@pytest.mark.parametrize(("outcome", "waited"), [(None, 3.5 + 3.0), (ValueError, 3.0)])
def test_nobody_gives_up_while_others_succeed(
    monkeypatch: pytest.MonkeyPatch, outcome: Any, waited: float
) -> None:
    """Those who fail do not count: where the database hangs, nobody waits for long."""
    turns, clock, ends = Turns(1, 3.0), SimpleNamespace(now=100.0), [101.0, 103.5]
    monkeypatch.setattr(engine, "time", SimpleNamespace(monotonic=lambda: clock.now))

    class Turn(threading.Condition):
        """Others come to their end after 1 s and after 3.5 s, then nobody does."""

        def wait(self, timeout: float | None = None) -> bool:
            until = clock.now + (timeout or 0)
            while ends and ends[0] <= until:
                clock.now = ends.pop(0)
                turns._free -= 1  # the place of theirs goes to others who came before
                self.release()
                turns.__exit__(outcome)
                self.acquire()
            clock.now = until
            return False

    turns.__enter__()
    monkeypatch.setattr(threading, "Condition", Turn)
    with pytest.raises(PoolExhausted):
        turns.__enter__()
    assert clock.now - 100.0 == waited
