"""The contract says in a sentence what is wrong with a backend."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import pytest

from flask_srvsession.backends import Cell, CellIndex, Head
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.testing import BackendContract, FakeClock


class Sound(MemoryBackend):
    """A backend that is right; each of the others breaks one thing."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.index = self.index_type(self, clock)

    index_type = CellIndex


class Upserting(Sound):
    def swap(self, key: str, data: bytes, version: Any, ttl: int) -> Any:
        reply = super().swap(key, data, version, ttl)
        return self.add(key, data, ttl) if reply is None else reply


class Overwriting(Sound):
    def add(self, key: str, data: bytes, ttl: int) -> Any:
        self.delete(key)
        return super().add(key, data, ttl)


class SwappingBlindly(Sound):
    def swap(self, key: str, data: bytes, version: Any, ttl: int) -> Any:
        cell = self.get(key)
        return None if cell is None else super().swap(key, data, cell.version, ttl)


class CheckingBefore(Sound):
    """Looks at the version, and then writes: in two steps."""

    def swap(self, key: str, data: bytes, version: Any, ttl: int) -> Any:
        cell = self.get(key)
        if cell is None or cell.version != version:
            return cell
        time.sleep(0.005)
        while isinstance(cell, Cell):
            cell = super().swap(key, data, cell.version, ttl)
        return cell


class DeletingBlindly(Sound):
    def delete(self, key: str, version: Any = None) -> bool:
        return super().delete(key)


class DeletingMany(Sound):
    def delete_many(self, cells: Mapping[str, Any]) -> set[str]:
        return {key for key in cells if self.delete(key)}


class Silent(Sound):
    def delete(self, key: str, version: Any = None) -> Any:
        super().delete(key, version)


class Numbering(Sound):
    """Its versions are the numbers of a cell's versions: 1, 2, and so on."""

    def __init__(self, clock: FakeClock) -> None:
        self._numbers: dict[Any, int] = {}
        super().__init__(clock)

    def add(self, key: str, data: bytes, ttl: int) -> Any:
        return self._numbered(super().add(key, data, ttl), 1)

    def get(self, key: str) -> Any:
        cell = super().get(key)
        return cell and Cell(cell.data, self._numbers[cell.version])

    def swap(self, key: str, data: bytes, version: Any, ttl: int) -> Any:
        cell = super().get(key)
        if cell is None or self._numbers[cell.version] != version:
            return self.get(key)
        return self._numbered(super().swap(key, data, cell.version, ttl), version + 1)

    def _numbered(self, version: Any, number: int) -> Any:
        if version is None:
            return None
        self._numbers[version] = number
        return number


class Keeping(Sound):
    """Forgets nothing by itself."""

    def add(self, key: str, data: bytes, ttl: int) -> Any:
        return super().add(key, data, 10**9)


class Renewing(Sound):
    def get(self, key: str) -> Any:
        cell = super().get(key)
        if cell:
            item = self._items[key]
            self._items[key] = item._replace(deadline=item.deadline + 60)
        return cell


class ReadingDates(Sound):
    """Takes a ttl of more than 30 days for a date, as memcached does."""

    def add(self, key: str, data: bytes, ttl: int) -> Any:
        version = super().add(key, data, ttl)
        if ttl > 30 * 24 * 60 * 60:
            self.delete(key)
        return version


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
        return cell and (cell.data, cell.version)


class Listing(Sound):
    def get_many(self, keys: Sequence[str]) -> Any:
        return [self.get(key) for key in keys]


class Shuffling(Sound):
    """Expects rows in the order in which it asked for them."""

    def get_many(self, keys: Sequence[str]) -> Any:
        return dict(zip(keys, map(self.get, sorted(keys)), strict=True))


class Reviving(Sound):
    def get_many(self, keys: Sequence[str]) -> Any:
        items = {key: self._items.get(key) for key in keys}
        return {key: item.cell for key, item in items.items() if item}


class Headless(Sound):
    """Has a head for each name, also for those that were lost."""

    def get_with_heads(self, key: str, names: Sequence[str]) -> Any:
        cell, heads = super().get_with_heads(key, names)
        return cell, {name: heads.get(name) for name in names} if cell else heads


class ListingAll(Sound):
    """Takes a prefix for a pattern."""

    def keys(self, prefix: str) -> Iterator[str]:
        return super().keys(prefix.partition("%")[0])


class ErasingAll(Sound):
    def erase(self, names: Collection[str]) -> None:
        for name in names:
            self.delete(f"{name}:e")
            self.delete(f"{name}:m")


class ErasingNothing(Sound):
    def erase(self, names: Collection[str]) -> None:
        pass


class SweepingAll(Sound):
    def sweep(self) -> int:
        self._items.clear()
        return 1


class WithoutIndex(Sound):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.index: Any = None


class WithErrorClass(Sound):
    errors: Any = OSError


class OpenIndex(CellIndex):
    """Adds whoever comes."""

    def add(self, name: str, member: str, expect: str, ttl: int) -> bool:
        return super().add(name, member, self.epoch(name), ttl)


class ForgettingIndex(CellIndex):
    def fence(self, name: str, keep: Collection[str] = ()) -> tuple[str, Head | None]:
        fenced = super().fence(name, keep)
        self.remove(name, self.members(name, 1000) or ())
        return fenced


class SlowIndex(CellIndex):
    """Looks whether the epoch is right, and adds then."""

    def add(self, name: str, member: str, expect: str, ttl: int) -> bool:
        if self.epoch(name) != expect:
            return False
        time.sleep(0.003)  # so that a fence meets some, whoever begins first
        return super().add(name, member, self.epoch(name), ttl)


class UnorderedIndex(CellIndex):
    def members(
        self, name: str, most: int, after: str | None = None
    ) -> list[str] | None:
        found = super().members(name, most, after)
        return found and sorted(found)


class RestartingIndex(CellIndex):
    """Begins anew where the member is not listed that the others follow."""

    def members(
        self, name: str, most: int, after: str | None = None
    ) -> list[str] | None:
        found = super().members(name, most, after)
        return super().members(name, most) if found is None else found


class ShorteningIndex(CellIndex):
    """Gives a member that is added again its new time, also where that is shorter."""

    def add(self, name: str, member: str, expect: str, ttl: int) -> bool:
        self.remove(name, [member])
        return super().add(name, member, expect, ttl)


class InventiveIndex(CellIndex):
    """Begins an epoch for whoever only looks."""

    def head(self, name: str) -> Head | None:
        return super().head(name) or Head(self.epoch(name))


class KeepingIndex(CellIndex):
    """Keeps whom any fence was to keep."""

    def fence(self, name: str, keep: Collection[str] = ()) -> tuple[str, Head | None]:
        head = self.head(name)
        return super().fence(name, (*keep, *(head.kept if head else ())))


def with_index(index: type[CellIndex]) -> type[Sound]:
    return type(index.__name__, (Sound,), {"index_type": index})


class Contract(BackendContract):
    def __init__(self) -> None:
        self.clock = FakeClock()

    def elapse(self, seconds: float) -> None:
        self.clock.advance(seconds)


BROKEN: list[tuple[type[Sound], Callable[..., None], list[str | int], str]] = [
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
        Contract.test_swap_with_an_outdated_version_returns_what_is_there,
        ["key", "add"],
        "swap must return the present Cell where the version is outdated, or one"
        " session overwrites the changes of another request",
    ),
    (
        CheckingBefore,
        Contract.test_of_many_swaps_one_wins_each_version,
        ["key"],
        "changes were lost: two swaps with the same version both succeeded",
    ),
    (
        DeletingBlindly,
        Contract.test_delete_with_an_outdated_version_keeps_what_is_there,
        ["key", "add"],
        "delete must refuse an outdated version, or it takes changes with it that its"
        " caller has not seen",
    ),
    (
        Silent,
        Contract.test_delete_without_a_version_deletes,
        ["key"],
        "delete must say that it deleted",
    ),
    (
        Numbering,
        Contract.test_a_version_of_a_former_cell_is_refused,
        ["key"],
        "a version must die with its cell",
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
        ["key", 3],
        "get_many must return Cells by their keys, without those that are absent",
    ),
    (
        Shuffling,
        Contract.test_get_many_returns_what_get_returns,
        ["key", 3],
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
        "`index` lacks epoch, add, fence, head, remove, members, count: CellIndex(self)"
        " has them all",
    ),
    (
        WithErrorClass,
        Contract.test_attributes_say_what_the_storage_is_like,
        [],
        "`errors` must be a tuple of classes",
    ),
    (
        with_index(OpenIndex),
        Contract.test_add_with_an_old_epoch_is_refused,
        ["name"],
        "add must refuse an old epoch, or a login outlives a revocation",
    ),
    (
        with_index(ForgettingIndex),
        Contract.test_fence_removes_nobody,
        ["name"],
        "fence must remove nobody: they are to be found and ended",
    ),
    (
        with_index(SlowIndex),
        Contract.test_a_fence_misses_nobody,
        ["name"],
        "members were added with the old epoch, but after the fence they were not"
        " listed: a login outlives a revocation",
    ),
    (
        with_index(UnorderedIndex),
        Contract.test_who_expires_first_comes_first,
        ["name"],
        "the member that expires soonest must come first",
    ),
    (
        with_index(UnorderedIndex),
        Contract.test_who_was_added_first_comes_first,
        ["name"],
        "members of the same ttl must be in the order in which they were added",
    ),
    (
        with_index(RestartingIndex),
        Contract.test_members_are_read_in_parts,
        ["name"],
        "members after nobody must be None",
    ),
    (
        DeletingMany,
        Contract.test_delete_many_deletes_what_has_not_changed,
        ["key"],
        "delete_many must delete those of the given versions, and no others",
    ),
    (
        with_index(ShorteningIndex),
        Contract.test_members_expire,
        ["name"],
        "members must return exactly who is listed",
    ),
    (
        with_index(InventiveIndex),
        Contract.test_head_follows_the_epoch,
        ["name"],
        "head must be None where the index is unknown: it may have been lost",
    ),
    (
        with_index(KeepingIndex),
        Contract.test_the_kept_are_known_until_the_next_fence,
        ["name"],
        "whom the last fence did not keep must be forgotten",
    ),
    (
        ListingAll,
        Contract.test_its_keys_are_listed,
        ["key"],
        "keys must yield what begins with the very prefix",
    ),
    (
        ErasingAll,
        Contract.test_an_erased_index_leaves_nothing,
        ["key", "name"],
        "erase must leave who is listed",
    ),
    (
        ErasingNothing,
        Contract.test_an_erased_index_leaves_nothing,
        ["key", "name"],
        "erase must remove the epoch of an empty index",
    ),
    (
        Headless,
        Contract.test_a_cell_and_heads_are_read_at_once,
        ["key", "name"],
        "get_with_heads must return the heads that are there by their names",
    ),
]


@pytest.mark.parametrize(
    ("broken", "test", "args", "sentence"),
    BROKEN,
    ids=[case[0].__name__ for case in BROKEN],
)
def test_a_broken_backend_is_told_what_is_wrong(
    broken: type[Sound], test: Callable[..., None], args: list[str | int], sentence: str
) -> None:
    contract = Contract()

    def prove(backend: Sound) -> None:
        takes = inspect.signature(test).parameters
        given = {"self": contract, "backend": backend, "index": backend.index}
        names = [name for name in takes if name not in given]
        given |= zip(names, args, strict=True)
        test(**{name: given[name] for name in takes})

    prove(Sound(contract.clock))
    with pytest.raises(AssertionError) as caught:
        prove(broken(contract.clock))

    assert sentence in str(caught.value)
