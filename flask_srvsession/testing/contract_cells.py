"""The part of the contract about cells: bytes under keys, changed conditionally."""

# ruff: noqa: S101 (this module is tests)

from __future__ import annotations

import time
import uuid
from functools import partial

import pytest

from ..backends.base import Backend, Cell, Index
from .contract_base import (
    DAY,
    MINUTE,
    PATIENCE,
    THREADS,
    ContractBase,
    at_once,
    enlist,
    holds,
    is_version,
    lists,
    read_many,
    version_of,
)

_INDEX = ("epoch", "add", "fence", "head", "remove", "members", "count")


class CellContract(ContractBase):
    """The duties of a backend towards its cells."""

    # The attributes

    def test_attributes_say_what_the_storage_is_like(self, backend: Backend) -> None:
        """The attributes that the store decides by are there and have their types."""
        assert isinstance(backend.evicts, bool), "`evicts` must be True or False"
        assert isinstance(backend.shared, bool), "`shared` must be True or False"
        longest = backend.max_bytes
        assert longest is None or longest >= 200_000, (
            "`max_bytes` must be None, or leave room for sessions of 200 KB"
        )
        assert isinstance(backend.errors, tuple), "`errors` must be a tuple of classes"
        assert all(issubclass(error, Exception) for error in backend.errors), (
            "`errors` must hold exception classes only"
        )
        lacking = [name for name in _INDEX if not hasattr(backend.index, name)]
        assert not lacking, (
            f"`index` lacks {', '.join(lacking)}: CellIndex(self) has them all"
        )

    def test_sweep_leaves_what_is_alive(self, backend: Backend, key: str) -> None:
        """Sweeping counts the removed cells and never removes a live one."""
        backend.add(key, b"alive", MINUTE)
        removed = backend.sweep()
        assert isinstance(removed, int), "sweep must return how many were removed"
        holds(backend, key, b"alive", "after a sweep")

    # get and add

    def test_nothing_is_under_a_new_key(self, backend: Backend, key: str) -> None:
        """A cell that was never added is absent, and asking for it is no error."""
        try:
            cell = backend.get(key)
        except (LookupError, OSError) as error:
            raise AssertionError(
                f"get must return None for an unknown key, not raise {error!r}"
            ) from error
        assert cell is None, "get must return None for an unknown key"
        assert backend.delete(key) is False, "delete must return False for nothing"

    def test_what_was_added_is_there(self, backend: Backend, key: str) -> None:
        """Added data are read back unchanged, as a Cell."""
        assert backend.add(key, b"data", MINUTE) is not None, (
            "add must return a version when it stored the data"
        )
        cell = holds(backend, key, b"data", "after add")
        assert isinstance(cell.data, bytes), "the data of a Cell must be bytes"
        assert cell.version is not None, "a Cell must carry a version; None means none"

    def test_add_never_overwrites(self, backend: Backend, key: str) -> None:
        """A second add is refused and leaves the first cell."""
        backend.add(key, b"first", MINUTE)
        assert backend.add(key, b"second", MINUTE) is None, (
            "add must return None where something is stored already"
        )
        holds(backend, key, b"first", "after a refused add")

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            bytes(range(256)) * 2,
            b"\r\n0\r\nEND\r\n",
            bytes(range(250)) * 800,
        ],
        ids=["empty", "every-byte", "protocol-text", "200-KB"],
    )
    def test_any_bytes_survive(self, backend: Backend, key: str, data: bytes) -> None:
        """Add and swap store any bytes, none at all and 200 KB of them too."""
        version = backend.add(key, data, MINUTE)
        holds(backend, key, data, "after add")
        version = backend.swap(key, b"other", version, MINUTE)
        is_version(version, "with the version that add returned")
        is_version(backend.swap(key, data, version, MINUTE), "with a swap's version")
        holds(backend, key, data, "after swap")

    @pytest.mark.parametrize(
        "form",
        [
            "app:session:{unique}_68f3a2b1",
            "my.app-2:session:{unique}:e",
            "app:index:user_id:{{{unique}}}:m",
            "".join(chr(n) for n in range(33, 127) if chr(n) not in "{}") + "{unique}",
            "{unique}" + 168 * "x",
        ],
    )
    def test_any_printable_key_is_a_key(self, backend: Backend, form: str) -> None:
        """Keys of up to 200 printable ASCII characters work, and are distinct."""
        key = form.format(unique=uuid.uuid4().hex)
        neighbour = key[:-1] + ("0" if key[-1] != "0" else "1")
        version = backend.add(key, b"data", MINUTE)
        holds(backend, key, b"data", f"under a key of {len(key)} characters")
        assert backend.get(neighbour) is None, "two keys must not share their data"
        is_version(backend.swap(key, b"more", version, MINUTE), "with add's version")
        holds(backend, key, b"more", f"under a key of {len(key)} characters")

    def test_keys_and_members_that_differ_in_case_are_two(
        self, backend: Backend, index: Index, key: str, name: str
    ) -> None:
        """Some databases and file systems compare names without looking at case."""
        different = "keys that differ in case must not share their data"
        assert backend.add(f"{key}:a", b"lower", MINUTE) is not None
        assert backend.add(f"{key}:A", b"upper", MINUTE) is not None, different
        cells = [backend.get(f"{key}:{last}") for last in "aA"]
        assert [cell and cell.data for cell in cells] == [b"lower", b"upper"], different
        epoch = enlist(index, name, ("a", "A"))
        lists(index, name, {"a", "A"})
        assert index.epoch(name.upper()) != epoch, (
            "names that differ in case must have epochs of their own"
        )

    def test_a_ttl_may_be_longer_than_30_days(self, backend: Backend, key: str) -> None:
        """A ttl beyond 30 days is a duration, not a date."""
        version = backend.add(key, b"data", 40 * DAY)
        holds(backend, key, b"data", "after add with a ttl of 40 days")
        is_version(backend.swap(key, b"more", version, 90 * DAY), "with add's version")
        holds(backend, key, b"more", "after swap with a ttl of 90 days")

    # swap

    @pytest.mark.parametrize("source", ["add", "get", "swap", "swap and get"])
    def test_swap_replaces_what_its_version_stands_for(
        self, backend: Backend, key: str, source: str
    ) -> None:
        """A current version of any origin allows one change."""
        version = version_of(backend, key, source)
        reply = backend.swap(key, b"new", version, MINUTE)
        is_version(reply, f"with the version that {source} returned")
        holds(backend, key, b"new", "after swap")

    @pytest.mark.parametrize("source", ["add", "get"])
    def test_swap_with_an_outdated_version_returns_what_is_there(
        self, backend: Backend, key: str, source: str
    ) -> None:
        """An outdated version changes nothing; the reply is the present Cell."""
        old = version_of(backend, key, source)
        backend.swap(key, b"theirs", old, MINUTE)
        reply = backend.swap(key, b"ours", old, MINUTE)
        assert isinstance(reply, Cell), (
            "swap must return the present Cell where the version is outdated,"
            " or one session overwrites the changes of another request"
        )
        assert reply.data == b"theirs", "the returned Cell must hold what is there"
        holds(backend, key, b"theirs", "after a refused swap")
        again = backend.swap(key, b"ours", reply.version, MINUTE)
        is_version(again, "with the version in the Cell that swap returned")
        holds(backend, key, b"ours", "after the repeated swap")

    def test_swap_never_creates(self, backend: Backend, key: str) -> None:
        """Where nothing is there any more, swap returns None and changes nothing."""
        version = backend.add(key, b"data", MINUTE)
        read = holds(backend, key, b"data", "after add").version
        backend.delete(key)
        for outdated in (version, read):
            reply = backend.swap(key, b"back", outdated, MINUTE)
            assert backend.get(key) is None, (
                "swap must never create: a session that was ended would come back"
            )
            assert reply is None, "swap must return None where nothing is there"

    def test_a_version_of_a_former_cell_is_refused(
        self, backend: Backend, key: str
    ) -> None:
        """A version from before a delete means nothing to data that were added
        since."""
        old = backend.add(key, b"former", MINUTE)
        backend.delete(key)
        backend.add(key, b"latter", MINUTE)
        reply = backend.swap(key, b"x", old, MINUTE)
        assert isinstance(reply, Cell), "a version must die with its cell"
        assert not backend.delete(key, old), "a version must die with its cell"
        holds(backend, key, b"latter", "after changes with a dead version")

    # delete

    def test_delete_without_a_version_deletes(self, backend: Backend, key: str) -> None:
        """Without a version each cell is deleted; a second time there is nothing."""
        backend.add(key, b"data", MINUTE)
        assert backend.delete(key) is True, "delete must say that it deleted"
        assert backend.get(key) is None, "what was deleted must be absent at once"
        assert backend.delete(key) is False, "nothing is there to delete any more"

    @pytest.mark.parametrize("source", ["add", "get", "swap", "swap and get"])
    def test_delete_with_the_current_version_deletes(
        self, backend: Backend, key: str, source: str
    ) -> None:
        """A current version of any origin deletes; the key can be added anew."""
        version = version_of(backend, key, source)
        assert backend.delete(key, version) is True, "delete must say that it deleted"
        assert backend.get(key) is None, "what was deleted must be absent at once"
        assert backend.swap(key, b"back", version, MINUTE) is None, (
            "swap must return None for what was deleted with a version"
        )
        assert backend.delete(key, version) is False, "nothing is there any more"
        assert backend.add(key, b"new", MINUTE) is not None, (
            "add must work where something was deleted"
        )

    @pytest.mark.parametrize("source", ["add", "get"])
    def test_delete_with_an_outdated_version_keeps_what_is_there(
        self, backend: Backend, key: str, source: str
    ) -> None:
        """An outdated version deletes nothing."""
        old = version_of(backend, key, source)
        backend.swap(key, b"new", old, MINUTE)
        assert backend.delete(key, old) is False, (
            "delete must refuse an outdated version, or it takes changes with it that"
            " its caller has not seen"
        )
        holds(backend, key, b"new", "after a refused delete")

    # Time

    def test_swap_sets_the_time_anew_and_get_does_not(
        self, backend: Backend, key: str
    ) -> None:
        """Each swap brings its own ttl, longer or shorter; a read changes nothing."""
        short = self.shortest_ttl
        for use, first, then in (("longer", short, MINUTE), ("shorter", MINUTE, short)):
            version = backend.add(f"{key}:{use}", b"1", first)
            backend.swap(f"{key}:{use}", b"2", version, then)
        backend.add(f"{key}:read", b"1", short)
        self.elapse(self.shortest_ttl / 2)
        backend.get(f"{key}:read")
        self.elapse(self.shortest_ttl / 2 + 0.15)
        holds(backend, f"{key}:longer", b"2", "when swap has given it more time")
        assert backend.get(f"{key}:shorter") is None, "swap must set a shorter ttl too"
        assert backend.get(f"{key}:read") is None, "get must not renew the ttl"

    def test_what_has_expired_is_absent_for_every_method(
        self, backend: Backend, key: str
    ) -> None:
        """Expired: not read, not revived, not deleted; its key is free for add."""
        uses = ("get", "get_many", "swap", "swap_read", "delete", "delete_it", "add")
        keys = {use: f"{key}:{use}" for use in uses}
        versions = {
            use: backend.add(keys[use], b"x", self.shortest_ttl) for use in uses
        }
        cell = backend.get(keys["swap_read"])
        assert cell is not None, (
            f"what was added with a ttl of {self.shortest_ttl} s is gone at once;"
            " is `shortest_ttl` of the test class too short for this storage?"
        )
        self._outlive()
        assert backend.get(keys["get"]) is None, "get must not return the expired"
        many = read_many(backend, [keys["get_many"]])
        assert many == {}, "get_many must not return the expired"
        for use, version in (("swap", versions["swap"]), ("swap_read", cell.version)):
            assert backend.swap(keys[use], b"y", version, MINUTE) is None, (
                "swap must return None for what has expired"
            )
            assert backend.get(keys[use]) is None, "swap must never revive the expired"
        assert backend.delete(keys["delete"]) is False, "the expired is not there"
        assert backend.delete(keys["delete_it"], versions["delete_it"]) is False, (
            "the expired is not there, with a version neither"
        )
        assert backend.add(keys["add"], b"new", MINUTE) is not None, (
            "add must work where something has expired"
        )
        holds(backend, keys["add"], b"new", "after an add over the expired")

    # Many at once

    def test_of_many_swaps_one_wins_each_version(
        self, backend: Backend, key: str
    ) -> None:
        """Threads that count with swap lose no count."""
        each = 15
        backend.add(key, b"0", MINUTE)

        def count() -> None:
            deadline, done = time.monotonic() + PATIENCE, 0
            cell = backend.get(key)
            while done < each:
                assert time.monotonic() < deadline, "swap hardly ever succeeds"
                assert cell is not None, "the cell vanished under concurrent swaps"
                new = b"%d" % (int(cell.data) + 1)
                reply = backend.swap(key, new, cell.version, MINUTE)
                assert reply is not None, "swap said gone, but it is there"
                done += not isinstance(reply, Cell)
                cell = reply if isinstance(reply, Cell) else Cell(new, reply)

        at_once([count] * THREADS)
        cell = backend.get(key)
        assert cell is not None, "the cell vanished under concurrent swaps"
        lost = each * THREADS - int(cell.data)
        assert not lost, (
            f"{lost} of {each * THREADS} changes were lost: two swaps with the same"
            " version both succeeded"
        )

    def test_of_many_adds_one_wins(self, backend: Backend, key: str) -> None:
        """Threads that add the same key: one gets a version, and its data are there."""
        for attempt in range(10):
            tried = f"{key}:{attempt}"

            data = [b"%d" % number for number in range(THREADS)]
            adds = [partial(backend.add, tried, each, MINUTE) for each in data]
            versions = at_once(adds)
            winners = [n for n, version in enumerate(versions) if version is not None]
            assert len(winners) == 1, f"{len(winners)} concurrent adds got a version"
            holds(backend, tried, data[winners[0]], "after racing adds")

    def test_of_delete_and_swap_one_wins(self, backend: Backend, key: str) -> None:
        """With one version, the delete happens or the swap, and the winner stays."""
        for attempt in range(30):
            tried = f"{key}:{attempt}"
            backend.add(tried, b"old", MINUTE)
            version = holds(backend, tried, b"old", "after add").version
            swap = partial(backend.swap, tried, b"new", version, MINUTE)
            delete = partial(backend.delete, tried, version)
            swapped, deleted = at_once([swap, delete])
            won = swapped is not None and not isinstance(swapped, Cell)
            assert won != deleted, (
                "of a swap and a delete with the same version exactly one must win;"
                f" swap: {won}, delete: {deleted}"
            )
            if deleted:
                assert backend.get(tried) is None, "a swap revived what was deleted"
            else:
                holds(backend, tried, b"new", "after a delete that lost")

    def test_a_delete_without_a_version_beats_every_swap(
        self, backend: Backend, key: str
    ) -> None:
        """However a plain delete and a swap fall together, nothing is left."""
        for attempt in range(30):
            tried = f"{key}:{attempt}"
            version = backend.add(tried, b"old", MINUTE)
            swap = partial(backend.swap, tried, b"new", version, MINUTE)
            _, deleted = at_once([swap, partial(backend.delete, tried)])
            assert deleted, "something was there all the time: delete must be True"
            assert backend.get(tried) is None, "a swap revived what was deleted"
