"""The contract says in a sentence what is wrong with a backend."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest

from flask_srvsession.backends import Added, Cell, CellIndex
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.testing import BackendContract, FakeClock


class Sound(MemoryBackend):
    """A backend that is right; each of the others breaks one thing."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.index = self.index_type(self, clock)

    index_type = CellIndex


class Upserting(Sound):
    def swap(self, key: str, data: bytes, token: Any, ttl: int) -> Any:
        reply = super().swap(key, data, token, ttl)
        return self.add(key, data, ttl) if reply is None else reply


class Overwriting(Sound):
    def add(self, key: str, data: bytes, ttl: int) -> Any:
        self.delete(key)
        return super().add(key, data, ttl)


class SwappingBlindly(Sound):
    def swap(self, key: str, data: bytes, token: Any, ttl: int) -> Any:
        cell = self.get(key)
        return None if cell is None else super().swap(key, data, cell.token, ttl)


class CheckingBefore(Sound):
    """Looks at the token, and then writes: in two steps."""

    def swap(self, key: str, data: bytes, token: Any, ttl: int) -> Any:
        cell = self.get(key)
        if cell is None or cell.token != token:
            return cell
        time.sleep(0.005)
        while isinstance(cell, Cell):
            cell = super().swap(key, data, cell.token, ttl)
        return cell


class DeletingBlindly(Sound):
    def delete(self, key: str, token: Any = None) -> bool:
        return super().delete(key)


class Silent(Sound):
    def delete(self, key: str, token: Any = None) -> Any:
        super().delete(key, token)


class Numbering(Sound):
    """Its tokens are the numbers of a cell's versions: 1, 2, and so on."""

    def __init__(self, clock: FakeClock) -> None:
        self._numbers: dict[Any, int] = {}
        super().__init__(clock)

    def add(self, key: str, data: bytes, ttl: int) -> Any:
        return self._numbered(super().add(key, data, ttl), 1)

    def get(self, key: str) -> Any:
        cell = super().get(key)
        return cell and Cell(cell.data, self._numbers[cell.token])

    def swap(self, key: str, data: bytes, token: Any, ttl: int) -> Any:
        cell = super().get(key)
        if cell is None or self._numbers[cell.token] != token:
            return self.get(key)
        return self._numbered(super().swap(key, data, cell.token, ttl), token + 1)

    def _numbered(self, token: Any, number: int) -> Any:
        if token is None:
            return None
        self._numbers[token] = number
        return number


class Keeping(Sound):
    """Forgets nothing by itself."""

    def add(self, key: str, data: bytes, ttl: int) -> Any:
        return super().add(key, data, 10**9)


class Renewing(Sound):
    def get(self, key: str) -> Any:
        cell = super().get(key)
        if cell:
            self._stripe(key).items[key].deadline += 60
        return cell


class ReadingDates(Sound):
    """Takes a ttl of more than 30 days for a date, as memcached does."""

    def add(self, key: str, data: bytes, ttl: int) -> Any:
        token = super().add(key, data, ttl)
        if ttl > 30 * 24 * 60 * 60:
            self.delete(key)
        return token


class Textual(Sound):
    def add(self, key: str, data: bytes, ttl: int) -> Any:
        return super().add(key, data.decode("utf-8", "replace").encode(), ttl)


class Folding(Sound):
    """Compares keys without looking at case, as some databases do."""

    def get(self, key: str) -> Any:
        return super().get(key.lower())

    def add(self, key: str, data: bytes, ttl: int) -> Any:
        return super().add(key.lower(), data, ttl)


class Raising(Sound):
    def get(self, key: str) -> Any:
        cell = super().get(key)
        if cell is None:
            raise KeyError(key)
        return cell


class Unpacked(Sound):
    def get(self, key: str) -> Any:
        cell = super().get(key)
        return cell and (cell.data, cell.token)


class Listing(Sound):
    def get_many(self, keys: Sequence[str]) -> Any:
        return [self.get(key) for key in keys]


class Shuffling(Sound):
    """Expects rows in the order in which it asked for them."""

    def get_many(self, keys: Sequence[str]) -> Any:
        return dict(zip(keys, map(self.get, sorted(keys)), strict=True))


class Reviving(Sound):
    def get_many(self, keys: Sequence[str]) -> Any:
        items = {key: self._stripe(key).items.get(key) for key in keys}
        return {key: item.cell for key, item in items.items() if item}


class SweepingAll(Sound):
    def sweep(self) -> int:
        for stripe in self._stripes:
            stripe.items.clear()
        return 1


class WithoutIndex(Sound):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.index: Any = None


class WithErrorClass(Sound):
    errors: Any = OSError


class OpenIndex(CellIndex):
    """Adds whoever comes."""

    def add(self, name: str, member: str, expect: str, ttl: int, **kw: Any) -> Added:
        return super().add(name, member, self.epoch(name), ttl, **kw)


class ForgettingIndex(CellIndex):
    def fence(self, name: str, spare: Collection[str] = ()) -> tuple[str, list[str]]:
        epoch, members = super().fence(name, spare)
        self.remove(name, members)
        return epoch, members


class SlowIndex(CellIndex):
    """Lists first, and ends the epoch then."""

    def fence(self, name: str, spare: Collection[str] = ()) -> tuple[str, list[str]]:
        members = self.members(name)
        time.sleep(0.01)
        return super().fence(name, spare)[0], members

    def add(self, *args: Any, **limited: Any) -> Added:
        time.sleep(0.003)  # so that a fence meets some, whoever begins first
        return super().add(*args, **limited)


class CountingIndex(CellIndex):
    """Counts first, and adds then."""

    def add(
        self, name: str, member: str, expect: str, ttl: int, **limited: int | None
    ) -> Added:
        limit, listed = limited.get("limit"), self.members(name)
        if limit and member not in listed and len(listed) >= limit:
            return Added.FULL
        time.sleep(0.01)
        return super().add(name, member, expect, ttl)


def with_index(index: type[CellIndex]) -> type[Sound]:
    return type(index.__name__, (Sound,), {"index_type": index})


class Contract(BackendContract):
    def __init__(self) -> None:
        self.clock = FakeClock()

    def elapse(self, seconds: float) -> None:
        self.clock.advance(seconds)


BROKEN: list[tuple[type[Sound], Callable[..., None], list[str], str]] = [
    (
        Upserting,
        Contract.test_swap_never_creates,
        ["key"],
        "swap must never create: a session that was ended would come back",
    ),
    (
        Overwriting,
        Contract.test_add_never_overwrites,
        ["key"],
        "add must return None where something is stored already",
    ),
    (
        SwappingBlindly,
        Contract.test_swap_with_an_outdated_token_returns_what_is_there,
        ["key", "add"],
        "swap must return the present Cell where the token is outdated, or one session"
        " overwrites the changes of another request",
    ),
    (
        CheckingBefore,
        Contract.test_of_many_swaps_one_wins_each_version,
        ["key"],
        "changes were lost: two swaps with the same token both succeeded",
    ),
    (
        DeletingBlindly,
        Contract.test_delete_with_an_outdated_token_keeps_what_is_there,
        ["key", "add"],
        "delete must refuse an outdated token, or it takes changes with it that its"
        " caller has not seen",
    ),
    (
        Silent,
        Contract.test_delete_without_a_token_deletes,
        ["key"],
        "delete must say that it deleted",
    ),
    (
        Numbering,
        Contract.test_an_outdated_token_of_a_former_cell_is_refused,
        ["key"],
        "a token must die with its cell",
    ),
    (
        Keeping,
        Contract.test_what_has_expired_is_absent_for_every_method,
        ["key"],
        "get must not return the expired",
    ),
    (
        Renewing,
        Contract.test_swap_sets_the_time_anew_and_get_does_not,
        ["key"],
        "get must not renew the ttl",
    ),
    (
        ReadingDates,
        Contract.test_a_ttl_may_be_longer_than_30_days,
        ["key"],
        "after add with a ttl of 40 days the data must be there",
    ),
    (
        Textual,
        Contract.test_any_bytes_survive,
        ["key", b"\xff"],  # type: ignore[list-item]
        "after add get returned other data than were stored",
    ),
    (
        Folding,
        Contract.test_keys_and_members_that_differ_in_case_are_two,
        ["key", "name"],
        "keys that differ in case must not share their data",
    ),
    (
        Raising,
        Contract.test_nothing_is_under_a_new_key,
        ["key"],
        "get must return None for an unknown key, not raise KeyError('key')",
    ),
    (
        Unpacked,
        Contract.test_what_was_added_is_there,
        ["key"],
        "get must return a Cell, not a tuple",
    ),
    (
        Listing,
        Contract.test_get_many_returns_what_get_returns,
        ["key"],
        "get_many must return Cells by their keys, without those that are absent",
    ),
    (
        Shuffling,
        Contract.test_get_many_returns_what_get_returns,
        ["key"],
        "get_many must return what is there, under its own key, and nothing else",
    ),
    (
        Reviving,
        Contract.test_what_has_expired_is_absent_for_every_method,
        ["key"],
        "get_many must not return the expired",
    ),
    (
        SweepingAll,
        Contract.test_sweep_leaves_what_is_alive,
        ["key"],
        "after a sweep the data must be there",
    ),
    (
        WithoutIndex,
        Contract.test_attributes_say_what_the_storage_is_like,
        [],
        "`index` lacks epoch, add, fence, admits, remove, members: CellIndex(self) has"
        " them all",
    ),
    (
        WithErrorClass,
        Contract.test_attributes_say_what_the_storage_is_like,
        [],
        "`errors` must be a tuple of classes",
    ),
    (
        with_index(OpenIndex),
        Contract.test_add_with_an_old_epoch_is_stale,
        ["name"],
        "add must refuse an old epoch, or a login outlives a revocation",
    ),
    (
        with_index(ForgettingIndex),
        Contract.test_fence_lists_everybody_and_removes_nobody,
        ["name"],
        "fence must remove nobody: after a crash it has to find them again",
    ),
    (
        with_index(SlowIndex),
        Contract.test_a_fence_misses_nobody,
        ["name"],
        "members were added with the old epoch, but the fence did not return them: a"
        " login outlives a revocation",
    ),
    (
        with_index(CountingIndex),
        Contract.test_a_limit_is_kept_by_many,
        ["name"],
        "were added at a limit of 3",
    ),
]


@pytest.mark.parametrize(
    ("broken", "test", "args", "sentence"),
    BROKEN,
    ids=[case[0].__name__ for case in BROKEN],
)
def test_a_broken_backend_is_told_what_is_wrong(
    broken: type[Sound], test: Callable[..., None], args: list[str], sentence: str
) -> None:
    contract = Contract()
    test(contract, Sound(contract.clock), *args)

    with pytest.raises(AssertionError) as caught:
        test(contract, broken(contract.clock), *args)

    assert sentence in str(caught.value)
