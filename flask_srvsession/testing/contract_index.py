"""The part of the contract about indexes: who is listed, and since when."""

# ruff: noqa: S101 (this module is tests)

from __future__ import annotations

import time
from typing import Any

from ..backends.base import Added, Backend
from .contract_base import DAY, MINUTE, THREADS, ContractBase, at_once, bind, lists


class IndexContract(ContractBase):
    """What a backend does with its indexes."""

    def test_an_epoch_stays(self, backend: Backend, name: str) -> None:
        """Reading the epoch does not change it, and names have their own."""
        epoch = backend.index.epoch(name)
        assert isinstance(epoch, str), "an epoch must be a str"
        assert epoch, "an epoch must not be empty"
        assert backend.index.epoch(name) == epoch, "epoch must not move by itself"
        assert backend.index.epoch(f"{name}0") != epoch, (
            "an epoch must never have been used before, not by another name either"
        )

    def test_members_are_listed(self, backend: Backend, name: str) -> None:
        """What was added is listed, once, however often it was added."""
        epoch = backend.index.epoch(name)
        assert backend.index.members(name) == [], "a new index must be empty"
        for member in ("one_1", "two_2", "one_1"):
            done = backend.index.add(name, member, epoch, MINUTE)
            assert done is Added.DONE, "add with the current epoch must be DONE"
        lists(backend, name, {"one_1", "two_2"})
        assert backend.index.members(f"{name}0") == [], "names must not share members"
        assert backend.index.epoch(name) == epoch, "add must not move the epoch"

    def test_a_member_may_live_longer_than_30_days(
        self, backend: Backend, name: str
    ) -> None:
        """A member's ttl beyond 30 days is a duration, not a date."""
        epoch = backend.index.epoch(name)
        backend.index.add(name, "one", epoch, 90 * DAY)
        lists(backend, name, {"one"})
        assert backend.index.epoch(name) == epoch, "add must not move the epoch"
        backend.index.add(name, "two", epoch, MINUTE)
        lists(backend, name, {"one", "two"})
        assert backend.index.admits(name, {"one": epoch}), "its epoch is current"

    def test_add_with_an_old_epoch_is_stale(self, backend: Backend, name: str) -> None:
        """After a fence nobody is added with an epoch that was read before it."""
        epoch = backend.index.epoch(name)
        fenced, _ = backend.index.fence(name)
        assert fenced != epoch, "fence must start a new epoch"
        assert backend.index.epoch(name) == fenced, "fence must return the new epoch"
        assert backend.index.add(name, "late", epoch, MINUTE) is Added.STALE, (
            "add must refuse an old epoch, or a login outlives a revocation"
        )
        assert backend.index.members(name) == [], "a refused member must not be listed"
        assert backend.index.add(name, "new", fenced, MINUTE) is Added.DONE

    def test_add_to_an_unknown_index_is_stale(
        self, backend: Backend, name: str
    ) -> None:
        """Where the storage knows no epoch, none that is expected is current."""
        refused = backend.index.add(name, "late", "0123456789abcdef", MINUTE)
        assert refused is Added.STALE, "add must not adopt an epoch that it is given"

    def test_fence_lists_everybody_and_removes_nobody(
        self, backend: Backend, name: str
    ) -> None:
        """A fence returns the members, and they stay listed for a second attempt."""
        epoch = backend.index.epoch(name)
        for member in ("one", "two"):
            backend.index.add(name, member, epoch, MINUTE)
        second, members = backend.index.fence(name)
        assert sorted(members) == ["one", "two"], "fence must return all members"
        assert len(backend.index.members(name)) == 2, (
            "fence must remove nobody: after a crash it has to find them again"
        )
        third, members = backend.index.fence(name)
        assert sorted(members) == ["one", "two"], "fence must remove nobody"
        assert len({epoch, second, third}) == 3, "each fence must start a new epoch"

    def test_fence_works_on_an_unknown_index(self, backend: Backend, name: str) -> None:
        """A fence where nothing is known yet starts the first epoch."""
        epoch, members = backend.index.fence(name)
        assert members == [], "nobody was listed"
        assert backend.index.epoch(name) == epoch, "fence must return the new epoch"

    def test_admits_follows_the_epoch(self, backend: Backend, name: str) -> None:
        """Admitted is the current epoch only, and in an unknown index nothing is."""
        assert not backend.index.admits(name, {"one": "0123456789abcdef"}), (
            "admits must be False where the index is unknown: it may have been lost"
        )
        epoch = backend.index.epoch(name)
        backend.index.add(name, "one", epoch, MINUTE)
        assert backend.index.admits(name, {"one": epoch}), "its epoch is current"
        fenced, _ = backend.index.fence(name)
        assert not backend.index.admits(name, {"one": epoch}), (
            "admits must be False for an epoch that a fence has ended"
        )
        assert backend.index.admits(name, {"one": fenced}), "its epoch is current"

    def test_the_spared_stay_admitted_until_the_next_fence(
        self, backend: Backend, name: str
    ) -> None:
        """A fence spares whom it is told to; the next one spares anew."""
        epoch = backend.index.epoch(name)
        for member in ("mine_1", "mine_2", "other"):
            backend.index.add(name, member, epoch, MINUTE)
        fenced, members = backend.index.fence(name, ["mine_1", "mine_2"])
        assert sorted(members) == ["mine_1", "mine_2", "other"], (
            "fence must return all members, the spared ones too"
        )
        for member in ("mine_1", "mine_2"):
            assert backend.index.admits(name, {member: epoch}), "it was spared"
        assert not backend.index.admits(name, {"other": epoch}), "it was not spared"
        assert not backend.index.admits(name, {"mine": epoch}), "it was not spared"
        done = backend.index.add(name, "new", fenced, 90 * DAY)
        assert done is Added.DONE, "the new epoch is current"
        assert backend.index.admits(name, {"mine_1": epoch}), (
            "adding a member must not forget who was spared"
        )
        backend.index.fence(name, ["mine_2"])
        assert not backend.index.admits(name, {"mine_1": epoch}), (
            "whom the last fence did not spare is not admitted any more"
        )
        assert backend.index.admits(name, {"mine_2": epoch}), "it was spared again"

    def test_removed_members_are_not_listed(self, backend: Backend, name: str) -> None:
        """Removing unlists the given members; those not listed are no error."""
        backend.index.remove(name, ["nobody"])
        epoch = backend.index.epoch(name)
        for member in ("one", "two", "three"):
            backend.index.add(name, member, epoch, MINUTE)
        backend.index.remove(name, [])
        backend.index.remove(name, ["nobody"])
        lists(backend, name, {"one", "two", "three"})
        backend.index.remove(name, ["one", "nobody", "two"])
        lists(backend, name, {"three"})
        backend.index.remove(name, ["three"])
        assert backend.index.members(name) == [], "all members were removed"
        assert backend.index.epoch(name) == epoch, "remove must not move the epoch"
        assert backend.index.add(name, "four", epoch, MINUTE) is Added.DONE

    def test_a_limit_is_kept(self, backend: Backend, name: str) -> None:
        """The list grows up to the limit; a listed member may always come again."""
        epoch = backend.index.epoch(name)
        for member in ("one", "two"):
            done = backend.index.add(name, member, epoch, MINUTE, limit=2)
            assert done is Added.DONE, "the limit is not reached yet"
        full = backend.index.add(name, "three", epoch, MINUTE, limit=2)
        assert full is Added.FULL, "add must refuse what would exceed the limit"
        lists(backend, name, {"one", "two"})
        again = backend.index.add(name, "two", epoch, MINUTE, limit=2)
        assert again is Added.DONE, "a listed member does not make the list longer"
        backend.index.remove(name, ["one"])
        done = backend.index.add(name, "three", epoch, MINUTE, limit=2)
        assert done is Added.DONE, "a removed member must not count"

    def test_members_of_one_place_count_once(self, backend: Backend, name: str) -> None:
        """What shares the text after the last dot takes up one place."""
        epoch = backend.index.epoch(name)
        backend.index.add(name, "old.x", epoch, MINUTE, limit=1)
        full = backend.index.add(name, "other.y", epoch, MINUTE, limit=1)
        assert full is Added.FULL, "another place must count"
        done = backend.index.add(name, "new.x", epoch, MINUTE, limit=1)
        assert done is Added.DONE, "members of one place must count once"
        lists(backend, name, {"old.x", "new.x"})
        full = backend.index.add(name, "other.y", epoch, MINUTE, limit=1)
        assert full is Added.FULL, "that place is still taken"

    def test_a_session_does_not_count_against_itself(
        self, backend: Backend, name: str
    ) -> None:
        """What shares the text before the first dot is the same session."""
        epoch = backend.index.epoch(name)
        backend.index.add(name, "one.x", epoch, MINUTE, limit=1)
        done = backend.index.add(name, "one.y", epoch, MINUTE, limit=1)
        assert done is Added.DONE, "a session must not count against itself"
        lists(backend, name, {"one.x", "one.y"})

    def test_members_expire(self, backend: Backend, name: str) -> None:
        """A member whose time has run out is not listed and does not count."""
        epoch = backend.index.epoch(name)
        backend.index.add(name, "short", epoch, self.shortest_ttl)
        backend.index.add(name, "renewed", epoch, self.shortest_ttl)
        backend.index.add(name, "renewed", epoch, MINUTE)
        backend.index.add(name, "renewed", epoch, self.shortest_ttl)
        self._outlive()
        lists(backend, name, {"renewed"})
        done = backend.index.add(name, "new", epoch, MINUTE, limit=2)
        assert done is Added.DONE, "an expired member must not count, nor end the epoch"
        lists(backend, name, {"renewed", "new"})

    def test_a_fence_misses_nobody(self, backend: Backend, name: str) -> None:
        """Whoever was added with the old epoch is in the list of the fence."""
        for attempt in range(10):
            index = f"{name}:{attempt}"
            epoch = backend.index.epoch(index)

            def add(
                number: int, index: str = index, epoch: str = epoch
            ) -> list[tuple[str, Added]]:
                members = [f"{number}_{n}" for n in range(3)]
                return [
                    (member, backend.index.add(index, member, epoch, MINUTE))
                    for member in members
                ]

            def fence(index: str = index, attempt: int = attempt) -> Any:
                time.sleep(attempt / 1000)  # meets other adds in each attempt
                return backend.index.fence(index)

            adders = [bind(add, number) for number in range(THREADS - 1)]
            *added, (fenced, members) = at_once([*adders, fence])
            outcome = [pair for pairs in added for pair in pairs]
            done = {member for member, result in outcome if result is Added.DONE}
            missed = done - set(members)
            assert not missed, (
                f"{len(missed)} members were added with the old epoch, but the fence"
                " did not return them: a login outlives a revocation"
            )
            refused = {member for member, how in outcome if how is Added.STALE}
            assert not refused & set(members), "a refused member was listed"
            lists(backend, index, done)
            assert backend.index.epoch(index) == fenced, "only the fence moves it"

    def test_concurrent_members_are_all_listed(
        self, backend: Backend, name: str
    ) -> None:
        """Members that are added and removed at once do not overwrite each other."""
        epoch = backend.index.epoch(name)
        for number in range(THREADS):
            backend.index.add(name, f"old_{number}", epoch, MINUTE)

        def exchange(number: int) -> Added:
            backend.index.remove(name, [f"old_{number}"])
            return backend.index.add(name, f"new_{number}", epoch, MINUTE)

        results = at_once([bind(exchange, number) for number in range(THREADS)])
        assert set(results) == {Added.DONE}, "the epoch did not move"
        lists(backend, name, {f"new_{number}" for number in range(THREADS)})

    def test_a_limit_is_kept_by_many(self, backend: Backend, name: str) -> None:
        """Of many who are added at once, as many as the limit allows get in."""
        for attempt in range(5):
            index = f"{name}:{attempt}"
            epoch = backend.index.epoch(index)

            def add(number: int, index: str = index, epoch: str = epoch) -> Added:
                return backend.index.add(index, f"m_{number}", epoch, MINUTE, limit=3)

            results = at_once([bind(add, number) for number in range(THREADS)])
            assert results.count(Added.DONE) == 3, (
                f"{results.count(Added.DONE)} of {THREADS} were added at a limit of 3"
            )
            assert results.count(Added.FULL) == THREADS - 3, "the others must be FULL"
            assert len(backend.index.members(index)) == 3, "the limit was not kept"
