"""The log's lines of an outage, and a breaker for a storage that hangs."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from flask_srvsession.backends.base import Busy
from flask_srvsession.backends.guarded import Guarded
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.backends.outage import (
    CALM,
    COUNT_EVERY,
    HANGS_AFTER,
    MOST_CAUSES,
    PROBE_EVERY,
    StorageHangs,
)
from flask_srvsession.errors import BackendError


class Storage(MemoryBackend):
    """Takes `seconds` for each call, on a clock of its own, and fails if told to."""

    errors = (OSError, Busy)

    def __init__(self) -> None:
        super().__init__()
        self.now, self.seconds, self.calls = 100.0, 0.0, 0
        self.error: Exception | None = None

    def get(self, key: str) -> Any:
        self.calls += 1
        self.now += self.seconds
        if self.error:
            raise self.error
        return super().get(key)


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture
def guard(storage: Storage) -> Guarded:
    return Guarded(storage, timer=lambda: storage.now)


def fail(guard: Guarded, times: int = 1) -> BackendError:
    for _ in range(times):
        with pytest.raises(BackendError) as failed:
            guard.get("key")
    return failed.value


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.DEBUG) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= level]


def test_a_failure_that_the_second_try_mends_is_no_line(
    guard: Guarded, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tries = iter([ConnectionResetError(), None])

    def once_broken() -> None:
        if error := next(tries):
            raise error

    guard.twice("load", once_broken)

    assert lines(caplog) == []
    assert not guard.outage.on


def test_an_outage_is_a_line_at_its_begin_counts_and_one_at_its_end(
    guard: Guarded, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    storage.error = ConnectionRefusedError()
    for _ in range(21):
        fail(guard, 100)
        storage.now += 0.5
    storage.error, storage.now = None, storage.now + CALM
    guard.get("key")
    guard.get("key")

    begin, first, second, end = lines(caplog)
    assert begin == "storage failed at load: ConnectionRefusedError"
    assert first.startswith("storage fails: 1001 calls in 5 s")
    assert second.startswith("storage fails: 2001 calls in 10 s")
    assert end == "storage answers again: 2100 calls failed in 10.0 s"
    assert COUNT_EVERY == 5


def test_a_storage_that_fails_now_and_then_has_one_outage(
    guard: Guarded, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        storage.error = ConnectionRefusedError()
        fail(guard)
        storage.error = None
        guard.get("key")
        storage.now += CALM / 4

    assert len(lines(caplog)) == 1


def test_each_cause_has_its_line_but_not_any_number_of_them(
    guard: Guarded, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(200, 200 + 2 * MOST_CAUSES):
        storage.error = OSError(number, "unknown")
        fail(guard)

    assert len(lines(caplog)) == MOST_CAUSES


def test_a_storage_that_hangs_is_not_asked_by_everybody(
    guard: Guarded, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    storage.error, storage.seconds = TimeoutError(), 1.0
    fail(guard, HANGS_AFTER)
    assert storage.calls == HANGS_AFTER

    refused = fail(guard, 100)

    assert storage.calls == HANGS_AFTER
    assert isinstance(refused.__cause__, StorageHangs)
    assert not refused.ambiguous
    assert not refused.quick, "another try would be in vain"
    assert len(lines(caplog, logging.ERROR)) == 2


def test_one_call_a_second_finds_out_and_the_first_answer_is_the_end_of_it(
    guard: Guarded, storage: Storage
) -> None:
    storage.error, storage.seconds = TimeoutError(), 1.0
    fail(guard, HANGS_AFTER)
    storage.now += PROBE_EVERY

    fail(guard)
    assert storage.calls == HANGS_AFTER + 1

    storage.error, storage.seconds = None, 0.0
    assert guard.get("key") is None
    assert guard.get("key") is None
    assert storage.calls == HANGS_AFTER + 3


def test_a_change_that_was_refused_was_not_done(
    guard: Guarded, storage: Storage
) -> None:
    storage.error, storage.seconds = TimeoutError(), 1.0
    fail(guard, HANGS_AFTER)

    for change in (
        lambda: guard.add("key", b"", 60),
        lambda: guard.swap("key", b"", b"", 60),
        lambda: guard.delete("key"),
    ):
        with pytest.raises(BackendError) as failed:
            change()
        assert not failed.value.ambiguous


def test_timeouts_with_answers_in_between_are_no_hang(
    guard: Guarded, storage: Storage
) -> None:
    for _ in range(2 * HANGS_AFTER):
        storage.error, storage.seconds = TimeoutError(), 1.0
        fail(guard)
        storage.error = None
        guard.get("key")

    assert not guard.outage.is_hanging


def test_who_waits_for_others_of_this_app_finds_no_hang(
    guard: Guarded, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    storage.seconds = 1.0
    for error in (TimeoutError(), TimeoutError(), *[Busy()] * 5):
        storage.error = error
        fail(guard)
    assert not guard.outage.is_hanging

    storage.error = TimeoutError()  # but hides none, either
    fail(guard)

    assert guard.outage.is_hanging


def test_a_storage_that_hangs_again_and_again_is_one_line(
    guard: Guarded, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        storage.now += PROBE_EVERY
        storage.error, storage.seconds = TimeoutError(), 0.3
        fail(guard, HANGS_AFTER)
        storage.now += PROBE_EVERY
        storage.error = None
        guard.outage.worked(storage.now - 2 * PROBE_EVERY)  # the outage goes on

    assert sum(line.startswith("storage hangs") for line in lines(caplog)) == 1


def test_failures_at_once_are_no_hang(guard: Guarded, storage: Storage) -> None:
    storage.error = ConnectionRefusedError()
    fail(guard, 10 * HANGS_AFTER)

    assert not guard.outage.is_hanging


def test_one_of_several_servers_does_not_shut_out_the_others() -> None:
    storage = Storage()
    storage.has_several_servers = True  # type: ignore[attr-defined]
    guard = Guarded(storage, timer=lambda: storage.now)
    storage.error, storage.seconds = TimeoutError(), 1.0

    fail(guard, 10 * HANGS_AFTER)

    assert storage.calls == 10 * HANGS_AFTER
