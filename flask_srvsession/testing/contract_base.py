"""The base of the parts of the contract.

Keys are new in each test, so that a real server need not be emptied.
"""

# ruff: noqa: S101 (this module is tests)

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from typing import Any

import pytest

from ..backends.base import Backend, Cell, Epoch, Index, Version
from ..backends.guarded import Guarded

MINUTE = 60
DAY = 24 * 60 * 60
THREADS = 8
PATIENCE = 30.0


class ContractBase:
    """The duties of every backend; subclass it and provide the fixture `backend`."""

    shortest_ttl: int = 1
    """The shortest time to live that surely lasts until the next command.

    Give 2 where the storage counts whole seconds.
    """

    @pytest.fixture
    def backend(self) -> Backend:
        """Return the backend under test."""
        raise NotImplementedError("Provide a fixture `backend` in your subclass.")

    def elapse(self, seconds: float) -> None:
        """Let `seconds` pass for the backend; override it for an injected clock."""
        time.sleep(seconds)

    @pytest.fixture
    def index(self, backend: Backend) -> Index:
        return backend.index

    @pytest.fixture
    def key(self) -> str:
        return f"contract:{uuid.uuid4().hex}"

    @pytest.fixture
    def name(self) -> str:
        return f"contract:user_id:{uuid.uuid4().hex}"

    def _outlive(self) -> None:
        self.elapse(self.shortest_ttl + 0.15)


def holds(backend: Backend, key: str, data: bytes, when: str) -> Cell:
    cell = backend.get(key)
    assert cell is not None, f"{when} the data must be there, but get returned None"
    assert isinstance(cell, Cell), (
        f"get must return a Cell, not a {type(cell).__name__}"
    )
    assert cell.data == data, f"{when} get returned other data than were stored"
    return cell


def read_many(backend: Backend, keys: Sequence[str]) -> dict[str, Cell]:
    """Return the cells, read by `get_many` if the backend has it."""
    try:
        cells = Guarded(backend).get_many(keys)
    except (LookupError, TypeError, ValueError) as error:
        raise AssertionError(
            "get_many must return Cells by their keys, without those that are absent"
        ) from error
    found = {key: cell for key, cell in cells.items() if cell is not None}
    odd = [type(cell).__name__ for cell in found.values() if not isinstance(cell, Cell)]
    assert not odd, f"get_many must return Cells by their keys, not a {odd[0]}"
    return found


def version_of(backend: Backend, key: str, source: str) -> Version:
    """Add a cell; return its version, as the last call that `source` names says it."""
    version = backend.add(key, b"old", MINUTE)
    if "swap" in source:
        version = backend.swap(key, b"old", version, MINUTE)
    if "get" in source:
        version = holds(backend, key, b"old", f"after {source}").version
    return version


def is_version(reply: object, when: str) -> None:
    assert reply is not None, f"swap {when} said that nothing is there"
    assert not isinstance(reply, Cell), f"swap {when} was refused"


def everybody(index: Index, name: str) -> list[str]:
    """Return all members; the contract's lists are short."""
    members = index.members(name, 1000)
    assert members is not None, "members without `after` must return a list"
    return members


def enlist(index: Index, name: str, members: Iterable[str]) -> Epoch:
    """Add members for a minute under the current epoch; return that."""
    epoch = index.epoch(name)
    for member in members:
        index.add(name, member, epoch, MINUTE)
    return epoch


def lists(index: Index, name: str, expected: set[str]) -> None:
    members = everybody(index, name)
    assert len(members) == len(set(members)), "a member must be listed once"
    assert set(members) == expected, "members must return exactly who is listed"
    assert index.count(name) == len(members), "count must count the members"


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Make each call in a thread, all starting together; return their results."""
    start = threading.Barrier(len(calls))

    def run(future: Future[Any], call: Callable[[], Any]) -> None:
        try:
            start.wait(PATIENCE)
            future.set_result(call())
        except BaseException as error:  # raised again by the caller
            future.set_exception(error)

    futures = [Future[Any]() for _ in calls]
    for pair in zip(futures, calls, strict=True):
        threading.Thread(target=run, args=pair, daemon=True).start()
    assert not wait(futures, PATIENCE).not_done, "a call does not return"
    return [future.result() for future in futures]
