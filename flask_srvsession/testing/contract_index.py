"""The part of the contract about indexes: who is listed, and since when."""

# ruff: noqa: S101 (this module is tests)

from __future__ import annotations

import time
from collections import ChainMap
from functools import partial

import pytest

from ..backends import Backend, Epoch, Head, Index
from ..backends.base import Erases, ListsKeys, ReadsHeads
from .contract_base import (
    DAY,
    MINUTE,
    THREADS,
    ContractBase,
    at_once,
    enlist,
    everybody,
    holds,
    is_version,
    lists,
)


class IndexContract(ContractBase):
    """The duties of a backend towards its indexes."""

    def test_an_epoch_stays(self, index: Index, name: str) -> None:
        """Reading the epoch does not change it, and names have their own."""
        epoch = index.epoch(name)
        assert isinstance(epoch, str), "an epoch must be a str"
        assert epoch, "an epoch must not be empty"
        assert index.epoch(name) == epoch, "epoch must not move by itself"
        assert index.epoch(f"{name}0") != epoch, (
            "an epoch must never have been used before, not by another name either"
        )

    def test_members_are_listed(self, index: Index, name: str) -> None:
        """An added member is listed, once, however often it was added."""
        epoch = index.epoch(name)
        assert everybody(index, name) == [], "a new index must be empty"
        for member in ("one_1", "two_2", "one_1"):
            added = index.add(name, member, epoch, MINUTE)
            assert added is True, "add with the current epoch must be True"
        lists(index, name, {"one_1", "two_2"})
        assert everybody(index, f"{name}0") == [], "names must not share members"
        assert index.epoch(name) == epoch, "add must not move the epoch"

    def test_a_member_may_live_longer_than_30_days(
        self, index: Index, name: str
    ) -> None:
        """A member's ttl beyond 30 days is a duration, not a date."""
        epoch = index.epoch(name)
        index.add(name, "one", epoch, 90 * DAY)
        lists(index, name, {"one"})
        assert index.epoch(name) == epoch, "add must not move the epoch"
        index.add(name, "two", epoch, MINUTE)
        lists(index, name, {"one", "two"})
        assert index.head(name) == Head(epoch), "add must not move the epoch"

    def test_add_with_an_old_epoch_is_refused(self, index: Index, name: str) -> None:
        """After a fence nobody is added with an epoch that was read before it."""
        epoch = index.epoch(name)
        fenced, former = index.fence(name)
        assert former == Head(epoch), "fence must return the head that it ended"
        assert fenced != epoch, "fence must start a new epoch"
        assert index.epoch(name) == fenced, "fence must return the new epoch"
        assert index.add(name, "late", epoch, MINUTE) is False, (
            "add must refuse an old epoch, or a login outlives a revocation"
        )
        assert everybody(index, name) == [], "a refused member must not be listed"
        assert index.add(name, "new", fenced, MINUTE) is True

    def test_add_to_an_unknown_index_is_refused(self, index: Index, name: str) -> None:
        """Where the storage knows no epoch, none that is expected is current."""
        refused = index.add(name, "late", "0123456789abcdef", MINUTE)
        assert refused is False, "add must not adopt an epoch that it is given"

    def test_fence_removes_nobody(self, index: Index, name: str) -> None:
        """The members stay listed, for whoever ends them, and for a second attempt."""
        epoch = enlist(index, name, ("one", "two"))
        second, _ = index.fence(name)
        assert len(everybody(index, name)) == 2, (
            "fence must remove nobody: they are to be found and ended"
        )
        third, former = index.fence(name)
        assert former == Head(second), "fence must return the head that it ended"
        lists(index, name, {"one", "two"})
        assert len({epoch, second, third}) == 3, "each fence must start a new epoch"

    def test_fence_works_on_an_unknown_index(self, index: Index, name: str) -> None:
        """A fence where nothing is known yet starts the first epoch."""
        epoch, former = index.fence(name)
        assert former in (None, Head(former.epoch if former else "")), "kept nobody"
        assert index.epoch(name) == epoch, "fence must return the new epoch"

    def test_head_follows_the_epoch(self, index: Index, name: str) -> None:
        """The head is the current epoch; an index that nobody used has none."""
        assert index.head(name) is None, (
            "head must be None where the index is unknown: it may have been lost"
        )
        assert index.head(name) is None, "head must not begin an epoch"
        epoch = index.epoch(name)
        assert index.head(name) == Head(epoch), "head must tell the epoch"
        index.add(name, "one", epoch, 90 * DAY)
        assert index.head(name) == Head(epoch), "add must not change the head"
        fenced, _ = index.fence(name)
        assert index.head(name) == Head(fenced), (
            "head must tell the new epoch after a fence"
        )

    def test_the_kept_are_known_until_the_next_fence(
        self, index: Index, name: str
    ) -> None:
        """The head names the members that the last fence was to keep."""
        enlist(index, name, ("mine_1", "mine.2", "other"))
        fenced, _ = index.fence(name, ["mine_1", "mine.2"])
        lists(index, name, {"mine.2", "mine_1", "other"})
        kept = Head(fenced, ("mine_1", "mine.2"))
        assert index.head(name) == kept, "head must name whom a fence kept"
        added = index.add(name, "new", fenced, 90 * DAY)
        assert added is True, "the new epoch is current"
        index.remove(name, ["other"])
        assert index.epoch(name) == fenced, "only a fence moves the epoch"
        assert index.head(name) == kept, (
            "only a fence may change whom the last one kept"
        )
        again, former = index.fence(name, ["mine.2"])
        assert former == kept, "fence must return the head with whom that one kept"
        assert index.head(name) == Head(again, ("mine.2",)), (
            "whom the last fence did not keep must be forgotten"
        )
        last, _ = index.fence(name)
        assert index.head(name) == Head(last), "the last fence kept nobody"

    def test_a_cell_and_heads_are_read_at_once(
        self, backend: Backend, index: Index, key: str, name: str
    ) -> None:
        """get_with_heads agrees with get and head; lost heads are left out."""
        if not isinstance(backend, ReadsHeads):
            pytest.skip("this backend does not read heads with a cell")
        names = [f"{name}:{number}" for number in range(3)]
        absent: tuple[None, dict[str, Head]] = (None, {})
        assert backend.get_with_heads(key, names) == absent, "nothing is there yet"
        assert backend.get_with_heads(key, []) == absent, "nothing is there yet"
        backend.add(key, b"data", MINUTE)
        index.epoch(names[0])
        index.fence(names[2], ["one", "two"])
        cell, heads = backend.get_with_heads(key, names)
        assert cell == backend.get(key), "get_with_heads must return what get returns"
        assert heads == {each: index.head(each) for each in (names[0], names[2])}, (
            "get_with_heads must return the heads that are there by their names"
        )
        assert cell is not None
        is_version(backend.swap(key, b"new", cell.version, MINUTE), "with its version")
        backend.delete(key)
        assert backend.get_with_heads(key, names) == (None, heads), (
            "get_with_heads must return None for what was deleted"
        )

    def test_its_keys_are_listed(self, backend: Backend, key: str) -> None:
        """A backend that has `keys` yields those of the cells that begin alike."""
        if not isinstance(backend, ListsKeys):
            pytest.skip("this backend does not list its keys")
        there = {f"{key}%_*[a]:{number}" for number in range(3)}
        for each in (*there, f"{key}%-*[a]:0", f"{key}%_*a:0", f"{key}:gone"):
            backend.add(each, b"x", MINUTE)
        backend.delete(f"{key}:gone")
        found = set(backend.keys(f"{key}%_*[a]:"))
        assert found == there, "keys must yield what begins with the very prefix"
        assert f"{key}:gone" not in set(backend.keys(key)), "a deleted key is listed"

    def test_an_erased_index_leaves_nothing(
        self, backend: Backend, index: Index, key: str, name: str
    ) -> None:
        """A backend that has `erase` forgets an index, unless somebody is listed."""
        if not isinstance(backend, Erases):
            pytest.skip("this backend does not erase")
        old = {each: index.epoch(f"{name}:{each}") for each in "abc"}
        for each in ("a", "b"):
            index.add(f"{name}:{each}", "one", old[each], MINUTE)
        index.remove(f"{name}:a", ["one"])
        backend.add(key, b"alive", MINUTE)
        backend.erase([f"{name}:{each}" for each in ("a", "b", "d")])
        heads = {each: index.head(f"{name}:{each}") for each in "abc"}
        assert heads["a"] is None, "erase must remove the epoch of an empty index"
        assert heads["b"] == Head(old["b"]), "erase must leave who is listed"
        assert heads["c"] == Head(old["c"]), "erase must leave the other indexes"
        lists(index, f"{name}:b", {"one"})
        late = index.add(f"{name}:a", "late", old["a"], MINUTE)
        assert late is False, "the epoch of an erased index must never be current again"
        holds(backend, key, b"alive", "after an erase")

    def test_removed_members_are_not_listed(self, index: Index, name: str) -> None:
        """Removing unlists the given members; those not listed are no error."""
        index.remove(name, ["nobody"])
        epoch = enlist(index, name, ("one", "two", "three"))
        index.remove(name, [])
        index.remove(name, ["nobody"])
        lists(index, name, {"one", "two", "three"})
        index.remove(name, ["one", "nobody", "two"])
        lists(index, name, {"three"})
        index.remove(name, ["three"])
        assert everybody(index, name) == [], "all members were removed"
        assert index.epoch(name) == epoch, "remove must not move the epoch"
        assert index.add(name, "four", epoch, MINUTE) is True

    def test_who_expires_first_comes_first(self, index: Index, name: str) -> None:
        """Members are ordered by their expiry, not by when they were added."""
        epoch = index.epoch(name)
        for member, ttl in (("late", DAY), ("soon", MINUTE), ("a", 90 * DAY)):
            index.add(name, member, epoch, ttl)
        assert everybody(index, name) == ["soon", "late", "a"], (
            "the member that expires soonest must come first"
        )
        index.add(name, "soon", epoch, 40 * DAY)
        assert everybody(index, name) == ["late", "soon", "a"], (
            "a member that was added again must move to its new expiry"
        )

    def test_who_was_added_first_comes_first(self, index: Index, name: str) -> None:
        """Members that expire at the same time are in the order of their adds."""
        added = [f"{number * 7 % 10}" for number in range(10)]
        enlist(index, name, added)
        order = "members of the same ttl must be in the order in which they were added"
        assert everybody(index, name) == added, order
        index.fence(name)
        assert everybody(index, name) == added, order

    def test_members_are_read_in_parts(self, index: Index, name: str) -> None:
        """A part has the first of those that follow a member; a member that is not
        listed is followed by nobody."""
        members, count = index.members, index.count
        assert count(name) == 0, "nobody is listed"
        assert members(name, 2, "one") is None, "members after nobody must be None"
        added = [f"m{number * 7 % 10}" for number in range(5)]
        epoch = enlist(index, name, added)
        index.add(name, "last", epoch, DAY)
        order = [*added, "last"]
        assert members(name, 2) == order[:2], "members must return the first ones"
        assert members(name, 2, order[1]) == order[2:4], "and those that follow"
        assert members(name, 4, order[1]) == order[2:], "and all that there are"
        assert members(name, 2, order[5]) == [], "nobody follows the last one"
        assert count(name) == 6, "count must count all members"
        index.remove(name, order[:2])
        assert members(name, 2, order[1]) is None, (
            "members after one that is not listed any more must be None: to begin"
            " anywhere else could pass over somebody"
        )
        assert members(name, 2, order[2]) == order[3:5], "those that follow"
        assert count(name) == 4, "count must not count who was removed"
        index.add(name, order[2], epoch, 40 * DAY)
        assert members(name, 9, order[3]) == [order[4], "last", order[2]], (
            "a member that was added again must be listed at its new place"
        )

    def test_members_expire(self, index: Index, name: str) -> None:
        """An expired member is not listed; to add it again never shortens its time."""
        epoch = index.epoch(name)
        index.add(name, "short", epoch, self.shortest_ttl)
        index.add(name, "renewed", epoch, self.shortest_ttl)
        index.add(name, "renewed", epoch, MINUTE)
        index.add(name, "renewed", epoch, self.shortest_ttl)
        self._outlive()
        lists(index, name, {"renewed"})
        added = index.add(name, "new", epoch, MINUTE)
        assert added is True, "a member that expires must not end the epoch"
        lists(index, name, {"renewed", "new"})

    def test_a_fence_misses_nobody(self, index: Index, name: str) -> None:
        """A member that was added with the old epoch is in the list of the fence."""
        for attempt in range(10):  # the fence meets other adds in each
            self._fence_among_adds(index, f"{name}:{attempt}", attempt / 1000)

    def _fence_among_adds(self, index: Index, name: str, pause: float) -> None:
        epoch = index.epoch(name)

        def add(number: int) -> dict[str, bool]:
            members = [f"{number}_{n}" for n in range(3)]
            return {each: index.add(name, each, epoch, MINUTE) for each in members}

        def fence() -> tuple[Epoch, list[str]]:
            time.sleep(pause)
            fenced, _ = index.fence(name)
            return fenced, everybody(index, name)

        adders = [partial(add, number) for number in range(THREADS - 1)]
        *added, (fenced, members) = at_once([*adders, fence])
        outcome = dict(ChainMap(*added))
        done = {member for member, result in outcome.items() if result}
        missed = done - set(members)
        assert not missed, (
            f"{len(missed)} members were added with the old epoch, but after the"
            " fence they were not listed: a login outlives a revocation"
        )
        assert done >= set(members), "a refused member was listed"
        lists(index, name, done)
        assert index.epoch(name) == fenced, "only the fence moves it"

    def test_concurrent_members_are_all_listed(self, index: Index, name: str) -> None:
        """Members that are added and removed at once do not overwrite each other."""
        epoch = enlist(index, name, [f"old_{number}" for number in range(THREADS)])

        def exchange(number: int) -> bool:
            index.remove(name, [f"old_{number}"])
            return index.add(name, f"new_{number}", epoch, MINUTE)

        results = at_once([partial(exchange, number) for number in range(THREADS)])
        assert set(results) == {True}, "the epoch did not move"
        lists(index, name, {f"new_{number}" for number in range(THREADS)})
