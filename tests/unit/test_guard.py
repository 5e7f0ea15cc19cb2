"""What is tried again, and what becomes of what a client raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from flask_srvsession.backends.base import MOST_AT_ONCE
from flask_srvsession.backends.guarded import QUICK, Guarded, changing
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.errors import BackendError


class Unreachable(Exception):
    pass


class Flaky(MemoryBackend):
    """Fails the next few calls, each after some time on the clock of the guard."""

    errors = (Unreachable,)

    def __init__(self, failures: int, seconds: float = 0.0) -> None:
        super().__init__()
        self.failures, self.seconds, self.now = failures, seconds, 0.0
        self.calls: list[str] = []
        self.sizes: list[int] = []

    def fail(self, call: str) -> None:
        self.calls.append(call)
        if self.failures:
            self.failures -= 1
            self.now += self.seconds
            raise Unreachable(call)

    def get(self, key: str) -> Any:
        self.fail("get")
        return super().get(key)

    def get_many(self, keys: Sequence[str]) -> dict[str, Any]:
        self.fail("get_many")
        self.sizes.append(len(keys))
        return {key: cell for key in keys if (cell := MemoryBackend.get(self, key))}

    def add(self, key: str, data: bytes, ttl: int) -> Any:
        self.fail("add")
        return super().add(key, data, ttl)

    def swap(self, key: str, data: bytes, version: Any, ttl: int) -> Any:
        self.fail("swap")
        return super().swap(key, data, version, ttl)

    def delete(self, key: str, version: Any = None) -> bool:
        self.fail("delete")
        return super().delete(key, version)

    def delete_many(self, cells: Mapping[str, Any]) -> list[str]:
        self.fail("delete_many")
        delete = MemoryBackend.delete
        return [k for k, version in cells.items() if delete(self, k, version)]


CALLS: dict[str, tuple[Any, ...]] = {
    "get": ("key",),
    "get_many": (["key"],),
    "add": ("key", b"data", 60),
    "swap": ("key", b"data", 1, 60),
    "delete": ("key",),
}
WITH_VERSION: dict[str, tuple[Any, ...]] = {
    "delete": ("key", b"another"),
    "delete_many": ({"key": b"another"},),
}
OPERATIONS = {
    "get": "load",
    "get_many": "load",
    "add": "create",
    "swap": "save",
    "delete": "destroy",
}
READING = ("get", "get_many")
REPEATED = (*READING, "delete")


def guarded(backend: Flaky) -> Guarded:
    return Guarded(backend, timer=lambda: backend.now)


@pytest.mark.parametrize("method", REPEATED)
def test_what_may_happen_twice_is_tried_again(method: str) -> None:
    backend = Flaky(failures=1)

    getattr(guarded(backend), method)(*CALLS[method])

    assert backend.calls[:2] == [method, method]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("method", ["delete", "delete_many"])
def test_what_is_gone_at_the_second_try_was_deleted_by_the_first(
    method: str, there: bool
) -> None:
    backend = Flaky(failures=0)
    if there:
        backend.add("key", b"by somebody else", 60)
    backend.failures = 1

    deleted = getattr(guarded(backend), method)(*WITH_VERSION[method])

    assert bool(deleted) is not there


@pytest.mark.parametrize("method", REPEATED)
def test_but_only_once_more(method: str) -> None:
    backend = Flaky(failures=9)

    with pytest.raises(BackendError):
        getattr(guarded(backend), method)(*CALLS[method])

    assert backend.calls == [method, method]


@pytest.mark.parametrize("method", ["add", "swap"])
def test_what_could_take_effect_twice_is_never_tried_again(method: str) -> None:
    backend = Flaky(failures=1)

    with pytest.raises(BackendError):
        getattr(guarded(backend), method)(*CALLS[method])

    assert backend.calls == [method]


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize(
    ("seconds", "quick"), [(0.0, True), (QUICK / 2, True), (QUICK, False), (5, False)]
)
def test_who_has_waited_for_a_timeout_does_not_wait_again(
    method: str, seconds: float, quick: bool
) -> None:
    backend = Flaky(failures=9, seconds=seconds)

    with pytest.raises(BackendError) as failed:
        getattr(guarded(backend), method)(*CALLS[method])

    assert failed.value.quick is quick
    repeated = quick and method in REPEATED
    assert backend.calls == [method] * (2 if repeated else 1)


@pytest.mark.parametrize("method", CALLS)
def test_a_failure_says_what_failed_and_why(method: str) -> None:
    with pytest.raises(BackendError) as failed:
        getattr(guarded(Flaky(failures=9)), method)(*CALLS[method])

    assert failed.value.operation == OPERATIONS[method]
    assert failed.value.ambiguous is (method not in READING)
    assert isinstance(failed.value.__cause__, Unreachable)


@pytest.mark.parametrize("method", CALLS)
def test_whatever_fails_in_the_middle_of_a_change_it_may_have_been_done(
    method: str,
) -> None:
    @changing("save")
    def change() -> None:
        getattr(guarded(Flaky(failures=9)), method)(*CALLS[method])

    with pytest.raises(BackendError) as failed:
        change()

    assert failed.value.ambiguous
    changed = "save" if method in READING else OPERATIONS[method]
    assert failed.value.operation == changed
    assert isinstance(failed.value.__cause__, Unreachable)


def test_many_keys_are_asked_for_in_batches() -> None:
    backend = Flaky(failures=0)
    keys = [f"{number}" for number in range(2 * MOST_AT_ONCE + 1)]
    for key in keys:
        backend.add(key, key.encode(), 60)

    cells = guarded(backend).get_many(keys)

    assert {key: cell and cell.data for key, cell in cells.items()} == {
        key: key.encode() for key in keys
    }
    assert backend.sizes == [MOST_AT_ONCE, MOST_AT_ONCE, 1]


def test_a_failure_is_logged_without_what_the_client_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A client's message may hold a URL with a password, or a key."""

    def call() -> None:
        raise Unreachable("redis://:hunter2@host")

    with pytest.raises(BackendError):
        guarded(Flaky(failures=0)).once("load", call)

    assert "load" in caplog.text
    assert "Unreachable" in caplog.text
    assert "hunter2" not in caplog.text


def test_what_is_no_outage_passes_as_it_is() -> None:
    def call() -> None:
        raise ZeroDivisionError

    guard = guarded(Flaky(failures=0))

    with pytest.raises(ZeroDivisionError):
        guard.once("load", call)
    with pytest.raises(ZeroDivisionError):
        guard.twice("load", call)


def test_arguments_and_results_pass_through() -> None:
    guard = guarded(Flaky(failures=0))

    version = guard.add("key", b"1", 60)
    version = guard.swap("key", b"2", version, 60)
    cell = guard.get("key")

    assert cell is not None
    assert (cell.data, cell.version) == (b"2", version)
    assert guard.delete("key", "outdated") is False
    assert guard.delete("key", version) is True
    assert guard.twice("sum", lambda a, b: a + b, 1, 2) == 3
