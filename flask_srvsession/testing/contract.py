"""The contract that every backend proves.

Keys are new in each test, so that a real server need not be emptied.
"""

# ruff: noqa: S101 (this module is tests)

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from ..backends.base import Added, Backend, Cell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_T = TypeVar("_T")
_MINUTE = 60
_DAY = 24 * 60 * 60
_THREADS = 8
_PATIENCE = 30.0
_INDEX = ("epoch", "add", "fence", "admits", "remove", "members")


class BackendContract:
    """What every backend must do; subclass it and provide the fixture `backend`."""

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
    def key(self) -> str:
        return f"contract:{uuid.uuid4().hex}"

    @pytest.fixture
    def name(self) -> str:
        return f"contract:user_id:{uuid.uuid4().hex}"

    def _outlive(self) -> None:
        self.elapse(self.shortest_ttl + 0.15)

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
        """Sweeping counts what it removed and never removes what has not expired."""
        backend.add(key, b"alive", _MINUTE)
        removed = backend.sweep()
        assert isinstance(removed, int), "sweep must return how many were removed"
        _holds(backend, key, b"alive", "after a sweep")

    # get and add

    def test_nothing_is_under_a_new_key(self, backend: Backend, key: str) -> None:
        """What was never added is absent, and asking for it is no error."""
        try:
            cell = backend.get(key)
        except (LookupError, OSError) as error:
            raise AssertionError(
                f"get must return None for an unknown key, not raise {error!r}"
            ) from error
        assert cell is None, "get must return None for an unknown key"

    def test_what_was_added_is_there(self, backend: Backend, key: str) -> None:
        """What was added is read back unchanged, as a Cell."""
        assert backend.add(key, b"data", _MINUTE) is not None, (
            "add must return a token when it stored the data"
        )
        cell = _holds(backend, key, b"data", "after add")
        assert isinstance(cell.data, bytes), "the data of a Cell must be bytes"
        assert cell.token is not None, "a Cell must carry a token; None means none"

    def test_add_never_overwrites(self, backend: Backend, key: str) -> None:
        """A second add is refused and leaves what is there."""
        backend.add(key, b"first", _MINUTE)
        assert backend.add(key, b"second", _MINUTE) is None, (
            "add must return None where something is stored already"
        )
        _holds(backend, key, b"first", "after a refused add")

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"", id="empty"),
            pytest.param(bytes(range(256)) * 2, id="every-byte"),
            pytest.param(b"\r\n0\r\nEND\r\n", id="protocol-text"),
            pytest.param(bytes(range(250)) * 800, id="200-KB"),
        ],
    )
    def test_any_bytes_survive(self, backend: Backend, key: str, data: bytes) -> None:
        """Add and swap store any bytes, none at all and 200 KB of them too."""
        token = backend.add(key, data, _MINUTE)
        _holds(backend, key, data, "after add")
        token = backend.swap(key, b"other", token, _MINUTE)
        _is_token(token, "with the token that add returned")
        _is_token(backend.swap(key, data, token, _MINUTE), "with the token of a swap")
        _holds(backend, key, data, "after swap")

    @pytest.mark.parametrize(
        "form",
        [
            "app:session:{unique}_68f3a2b1",
            "my.app-2:session:{unique}:e",
            "app:index:user_id:{{{unique}}}:m",
            "".join(chr(n) for n in range(33, 127)).replace("{", "").replace("}", "")
            + "{unique}",
            "{unique}" + 168 * "x",
        ],
    )
    def test_any_printable_key_is_a_key(self, backend: Backend, form: str) -> None:
        """Keys of up to 200 printable ASCII characters work, and are distinct."""
        key = form.format(unique=uuid.uuid4().hex)
        neighbour = key[:-1] + ("0" if key[-1] != "0" else "1")
        token = backend.add(key, b"data", _MINUTE)
        _holds(backend, key, b"data", f"under a key of {len(key)} characters")
        assert backend.get(neighbour) is None, "two keys must not share their data"
        _is_token(backend.swap(key, b"more", token, _MINUTE), "with the token of add")
        _holds(backend, key, b"more", f"under a key of {len(key)} characters")

    def test_keys_and_members_that_differ_in_case_are_two(
        self, backend: Backend, key: str, name: str
    ) -> None:
        """Some databases and file systems compare names without looking at case."""
        different = "keys that differ in case must not share their data"
        assert backend.add(f"{key}:a", b"lower", _MINUTE) is not None
        assert backend.add(f"{key}:A", b"upper", _MINUTE) is not None, different
        for last, data in (("a", b"lower"), ("A", b"upper")):
            cell = backend.get(f"{key}:{last}")
            assert cell is not None, different
            assert cell.data == data, different
        epoch = backend.index.epoch(name)
        for member in ("a", "A"):
            backend.index.add(name, member, epoch, _MINUTE)
        _lists(backend, name, {"a", "A"})
        assert backend.index.epoch(name.upper()) != epoch, (
            "names that differ in case must have epochs of their own"
        )

    def test_a_ttl_may_be_longer_than_30_days(self, backend: Backend, key: str) -> None:
        """A ttl beyond 30 days is a duration, not a date."""
        token = backend.add(key, b"data", 40 * _DAY)
        _holds(backend, key, b"data", "after add with a ttl of 40 days")
        _is_token(backend.swap(key, b"more", token, 90 * _DAY), "with the token of add")
        _holds(backend, key, b"more", "after swap with a ttl of 90 days")

    # swap

    def test_swap_replaces_what_its_token_stands_for(
        self, backend: Backend, key: str
    ) -> None:
        """The tokens of add, swap and get all allow one change."""
        token = backend.add(key, b"1", _MINUTE)
        token = backend.swap(key, b"2", token, _MINUTE)
        _is_token(token, "with the token that add returned")
        token = backend.swap(key, b"3", token, _MINUTE)
        _is_token(token, "with the token that swap returned")
        cell = _holds(backend, key, b"3", "after two swaps")
        token = backend.swap(key, b"4", cell.token, _MINUTE)
        _is_token(token, "with the token that get returned")
        _holds(backend, key, b"4", "after three swaps")

    @pytest.mark.parametrize("source", ["add", "get"])
    def test_swap_with_an_outdated_token_returns_what_is_there(
        self, backend: Backend, key: str, source: str
    ) -> None:
        """An outdated token changes nothing; the reply is the present Cell."""
        old = backend.add(key, b"old", _MINUTE)
        if source == "get":
            old = _holds(backend, key, b"old", "after add").token
        backend.swap(key, b"theirs", old, _MINUTE)
        reply = backend.swap(key, b"ours", old, _MINUTE)
        assert isinstance(reply, Cell), (
            "swap must return the present Cell where the token is outdated,"
            " or one session overwrites the changes of another request"
        )
        assert reply.data == b"theirs", "the returned Cell must hold what is there"
        _holds(backend, key, b"theirs", "after a refused swap")
        again = backend.swap(key, b"ours", reply.token, _MINUTE)
        _is_token(again, "with the token in the Cell that swap returned")
        _holds(backend, key, b"ours", "after the repeated swap")

    def test_swap_never_creates(self, backend: Backend, key: str) -> None:
        """Where nothing is there any more, swap returns None and changes nothing."""
        token = backend.add(key, b"data", _MINUTE)
        read = _holds(backend, key, b"data", "after add").token
        backend.delete(key)
        for outdated in (token, read):
            reply = backend.swap(key, b"back", outdated, _MINUTE)
            assert backend.get(key) is None, (
                "swap must never create: a session that was ended would come back"
            )
            assert reply is None, "swap must return None where nothing is there"

    def test_an_outdated_token_of_a_former_cell_is_refused(
        self, backend: Backend, key: str
    ) -> None:
        """A token from before a delete means nothing to what was added since."""
        old = backend.add(key, b"former", _MINUTE)
        backend.delete(key)
        backend.add(key, b"latter", _MINUTE)
        reply = backend.swap(key, b"x", old, _MINUTE)
        assert isinstance(reply, Cell), "a token must die with its cell"
        assert not backend.delete(key, old), "a token must die with its cell"
        _holds(backend, key, b"latter", "after changes with a dead token")

    # delete

    def test_delete_without_a_token_deletes(self, backend: Backend, key: str) -> None:
        """Without a token whatever is there goes; a second time there is nothing."""
        backend.add(key, b"data", _MINUTE)
        assert backend.delete(key) is True, "delete must say that it deleted"
        assert backend.get(key) is None, "what was deleted must be absent at once"
        assert backend.delete(key) is False, "nothing is there to delete any more"

    @pytest.mark.parametrize("source", ["add", "get", "swap"])
    def test_delete_with_the_current_token_deletes(
        self, backend: Backend, key: str, source: str
    ) -> None:
        """A current token of any origin deletes; the key can be added anew."""
        token = backend.add(key, b"data", _MINUTE)
        if source == "get":
            token = _holds(backend, key, b"data", "after add").token
        if source == "swap":
            token = backend.swap(key, b"more", token, _MINUTE)
        assert backend.delete(key, token) is True, "delete must say that it deleted"
        assert backend.get(key) is None, "what was deleted must be absent at once"
        assert backend.swap(key, b"back", token, _MINUTE) is None, (
            "swap must return None for what was deleted with a token"
        )
        assert backend.delete(key, token) is False, "nothing is there any more"
        assert backend.add(key, b"new", _MINUTE) is not None, (
            "add must work where something was deleted"
        )

    @pytest.mark.parametrize("source", ["add", "get"])
    def test_delete_with_an_outdated_token_keeps_what_is_there(
        self, backend: Backend, key: str, source: str
    ) -> None:
        """An outdated token deletes nothing."""
        old = backend.add(key, b"old", _MINUTE)
        if source == "get":
            old = _holds(backend, key, b"old", "after add").token
        backend.swap(key, b"new", old, _MINUTE)
        assert backend.delete(key, old) is False, (
            "delete must refuse an outdated token, or it takes changes with it that"
            " its caller has not seen"
        )
        _holds(backend, key, b"new", "after a refused delete")

    def test_delete_of_nothing_is_false(self, backend: Backend, key: str) -> None:
        """Where nothing was, nothing was deleted."""
        assert backend.delete(key) is False, "delete must return False for nothing"

    # Time

    def test_swap_sets_the_time_anew_and_get_does_not(
        self, backend: Backend, key: str
    ) -> None:
        """Each swap brings its own ttl, longer or shorter; a read changes nothing."""
        for use in ("longer", "shorter", "read"):
            ttl = _MINUTE if use == "shorter" else self.shortest_ttl
            token = backend.add(f"{key}:{use}", b"1", ttl)
            if use != "read":
                ttl = self.shortest_ttl if use == "shorter" else _MINUTE
                backend.swap(f"{key}:{use}", b"2", token, ttl)
        self.elapse(self.shortest_ttl / 2)
        backend.get(f"{key}:read")
        self.elapse(self.shortest_ttl / 2 + 0.15)
        _holds(backend, f"{key}:longer", b"2", "when swap has given it more time")
        assert backend.get(f"{key}:shorter") is None, "swap must set a shorter ttl too"
        assert backend.get(f"{key}:read") is None, "get must not renew the ttl"

    def test_what_has_expired_is_absent_for_every_method(
        self, backend: Backend, key: str
    ) -> None:
        """Expired: not read, not revived, not deleted; its key is free for add."""
        uses = ("get", "swap", "swap read", "delete", "delete it", "add")
        tokens = {
            use: backend.add(f"{key}:{use[:4]}{len(use)}", b"x", self.shortest_ttl)
            for use in uses
        }
        keys = {use: f"{key}:{use[:4]}{len(use)}" for use in uses}
        cell = backend.get(keys["swap read"])
        assert cell is not None, (
            f"what was added with a ttl of {self.shortest_ttl} s is gone at once;"
            " is `shortest_ttl` of the test class too short for this storage?"
        )
        self._outlive()
        assert backend.get(keys["get"]) is None, "get must not return the expired"
        for use, token in (("swap", tokens["swap"]), ("swap read", cell.token)):
            assert backend.swap(keys[use], b"y", token, _MINUTE) is None, (
                "swap must return None for what has expired"
            )
            assert backend.get(keys[use]) is None, "swap must never revive the expired"
        assert backend.delete(keys["delete"]) is False, "the expired is not there"
        assert backend.delete(keys["delete it"], tokens["delete it"]) is False, (
            "the expired is not there, with a token neither"
        )
        assert backend.add(keys["add"], b"new", _MINUTE) is not None, (
            "add must work where something has expired"
        )
        _holds(backend, keys["add"], b"new", "after an add over the expired")

    # Many at once

    def test_of_many_swaps_one_wins_each_version(
        self, backend: Backend, key: str
    ) -> None:
        """Threads that count with swap lose no count."""
        each = 15
        backend.add(key, b"0", _MINUTE)

        def count() -> None:
            deadline = time.monotonic() + _PATIENCE
            cell = backend.get(key)
            for _ in range(each):
                while True:
                    assert time.monotonic() < deadline, "swap hardly ever succeeds"
                    assert cell is not None, "the cell vanished under concurrent swaps"
                    new = b"%d" % (int(cell.data) + 1)
                    reply = backend.swap(key, new, cell.token, _MINUTE)
                    if isinstance(reply, Cell):
                        cell = reply
                        continue
                    assert reply is not None, "swap said gone, but it is there"
                    cell = Cell(new, reply)
                    break

        _at_once([count] * _THREADS)
        cell = backend.get(key)
        assert cell is not None, "the cell vanished under concurrent swaps"
        assert int(cell.data) == each * _THREADS, (
            f"{each * _THREADS - int(cell.data)} of {each * _THREADS} changes were"
            " lost: two swaps with the same token both succeeded"
        )

    def test_of_many_adds_one_wins(self, backend: Backend, key: str) -> None:
        """Threads that add the same key: one gets a token, and its data are there."""
        for attempt in range(10):
            tried = f"{key}:{attempt}"

            def add(number: int, tried: str = tried) -> Any:
                return backend.add(tried, b"%d" % number, _MINUTE)

            tokens = _at_once([_bind(add, number) for number in range(_THREADS)])
            winners = [n for n, token in enumerate(tokens) if token is not None]
            assert len(winners) == 1, f"{len(winners)} concurrent adds got a token"
            _holds(backend, tried, b"%d" % winners[0], "after racing adds")

    def test_of_delete_and_swap_one_wins(self, backend: Backend, key: str) -> None:
        """With one token, either the delete happens or the swap, and what won stays."""
        for attempt in range(30):
            tried = f"{key}:{attempt}"
            backend.add(tried, b"old", _MINUTE)
            token = _holds(backend, tried, b"old", "after add").token
            swapped, deleted = _at_once(
                [
                    _bind(backend.swap, tried, b"new", token, _MINUTE),
                    _bind(backend.delete, tried, token),
                ]
            )
            won = swapped is not None and not isinstance(swapped, Cell)
            assert won != deleted, (
                "of a swap and a delete with the same token exactly one must win;"
                f" swap: {won}, delete: {deleted}"
            )
            if deleted:
                assert backend.get(tried) is None, "a swap revived what was deleted"
            else:
                _holds(backend, tried, b"new", "after a delete that lost")

    def test_a_delete_without_a_token_beats_every_swap(
        self, backend: Backend, key: str
    ) -> None:
        """However a plain delete and a swap fall together, nothing is left."""
        for attempt in range(30):
            tried = f"{key}:{attempt}"
            token = backend.add(tried, b"old", _MINUTE)
            _, deleted = _at_once(
                [
                    _bind(backend.swap, tried, b"new", token, _MINUTE),
                    _bind(backend.delete, tried),
                ]
            )
            assert deleted, "something was there all the time: delete must be True"
            assert backend.get(tried) is None, "a swap revived what was deleted"

    # The index

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
            done = backend.index.add(name, member, epoch, _MINUTE)
            assert done is Added.DONE, "add with the current epoch must be DONE"
        _lists(backend, name, {"one_1", "two_2"})
        assert backend.index.members(f"{name}0") == [], "names must not share members"
        assert backend.index.epoch(name) == epoch, "add must not move the epoch"

    def test_a_member_may_live_longer_than_30_days(
        self, backend: Backend, name: str
    ) -> None:
        """A member's ttl beyond 30 days is a duration, not a date."""
        epoch = backend.index.epoch(name)
        backend.index.add(name, "one", epoch, 90 * _DAY)
        _lists(backend, name, {"one"})
        assert backend.index.epoch(name) == epoch, "add must not move the epoch"
        backend.index.add(name, "two", epoch, _MINUTE)
        _lists(backend, name, {"one", "two"})
        assert backend.index.admits(name, {"one": epoch}), "its epoch is current"

    def test_add_with_an_old_epoch_is_stale(self, backend: Backend, name: str) -> None:
        """After a fence nobody is added with an epoch that was read before it."""
        epoch = backend.index.epoch(name)
        fenced, _ = backend.index.fence(name)
        assert fenced != epoch, "fence must start a new epoch"
        assert backend.index.epoch(name) == fenced, "fence must return the new epoch"
        assert backend.index.add(name, "late", epoch, _MINUTE) is Added.STALE, (
            "add must refuse an old epoch, or a login outlives a revocation"
        )
        assert backend.index.members(name) == [], "a refused member must not be listed"
        assert backend.index.add(name, "new", fenced, _MINUTE) is Added.DONE

    def test_add_to_an_unknown_index_is_stale(
        self, backend: Backend, name: str
    ) -> None:
        """Where the storage knows no epoch, none that is expected is current."""
        refused = backend.index.add(name, "late", "0123456789abcdef", _MINUTE)
        assert refused is Added.STALE, "add must not adopt an epoch that it is given"

    def test_fence_lists_everybody_and_removes_nobody(
        self, backend: Backend, name: str
    ) -> None:
        """A fence returns the members, and they stay listed for a second attempt."""
        epoch = backend.index.epoch(name)
        for member in ("one", "two"):
            backend.index.add(name, member, epoch, _MINUTE)
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
        backend.index.add(name, "one", epoch, _MINUTE)
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
            backend.index.add(name, member, epoch, _MINUTE)
        fenced, members = backend.index.fence(name, ["mine_1", "mine_2"])
        assert sorted(members) == ["mine_1", "mine_2", "other"], (
            "fence must return all members, the spared ones too"
        )
        for member in ("mine_1", "mine_2"):
            assert backend.index.admits(name, {member: epoch}), "it was spared"
        assert not backend.index.admits(name, {"other": epoch}), "it was not spared"
        assert not backend.index.admits(name, {"mine": epoch}), "it was not spared"
        done = backend.index.add(name, "new", fenced, 90 * _DAY)
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
            backend.index.add(name, member, epoch, _MINUTE)
        backend.index.remove(name, [])
        backend.index.remove(name, ["nobody"])
        _lists(backend, name, {"one", "two", "three"})
        backend.index.remove(name, ["one", "nobody", "two"])
        _lists(backend, name, {"three"})
        backend.index.remove(name, ["three"])
        assert backend.index.members(name) == [], "all members were removed"
        assert backend.index.epoch(name) == epoch, "remove must not move the epoch"
        assert backend.index.add(name, "four", epoch, _MINUTE) is Added.DONE

    def test_a_limit_is_kept(self, backend: Backend, name: str) -> None:
        """The list grows up to the limit; a listed member may always come again."""
        epoch = backend.index.epoch(name)
        for member in ("one", "two"):
            done = backend.index.add(name, member, epoch, _MINUTE, limit=2)
            assert done is Added.DONE, "the limit is not reached yet"
        full = backend.index.add(name, "three", epoch, _MINUTE, limit=2)
        assert full is Added.FULL, "add must refuse what would exceed the limit"
        _lists(backend, name, {"one", "two"})
        again = backend.index.add(name, "two", epoch, _MINUTE, limit=2)
        assert again is Added.DONE, "a listed member does not make the list longer"
        backend.index.remove(name, ["one"])
        done = backend.index.add(name, "three", epoch, _MINUTE, limit=2)
        assert done is Added.DONE, "a removed member must not count"

    def test_members_of_one_place_count_once(self, backend: Backend, name: str) -> None:
        """What shares the text after the last dot takes up one place."""
        epoch = backend.index.epoch(name)
        backend.index.add(name, "old.x", epoch, _MINUTE, limit=1)
        full = backend.index.add(name, "other.y", epoch, _MINUTE, limit=1)
        assert full is Added.FULL, "another place must count"
        done = backend.index.add(name, "new.x", epoch, _MINUTE, limit=1)
        assert done is Added.DONE, "members of one place must count once"
        _lists(backend, name, {"old.x", "new.x"})
        full = backend.index.add(name, "other.y", epoch, _MINUTE, limit=1)
        assert full is Added.FULL, "that place is still taken"

    def test_a_session_does_not_count_against_itself(
        self, backend: Backend, name: str
    ) -> None:
        """What shares the text before the first dot is the same session."""
        epoch = backend.index.epoch(name)
        backend.index.add(name, "one.x", epoch, _MINUTE, limit=1)
        done = backend.index.add(name, "one.y", epoch, _MINUTE, limit=1)
        assert done is Added.DONE, "a session must not count against itself"
        _lists(backend, name, {"one.x", "one.y"})

    def test_members_expire(self, backend: Backend, name: str) -> None:
        """A member whose time has run out is not listed and does not count."""
        epoch = backend.index.epoch(name)
        backend.index.add(name, "short", epoch, self.shortest_ttl)
        backend.index.add(name, "renewed", epoch, self.shortest_ttl)
        backend.index.add(name, "renewed", epoch, _MINUTE)
        backend.index.add(name, "renewed", epoch, self.shortest_ttl)
        self._outlive()
        _lists(backend, name, {"renewed"})
        done = backend.index.add(name, "new", epoch, _MINUTE, limit=2)
        assert done is Added.DONE, "an expired member must not count, nor end the epoch"
        _lists(backend, name, {"renewed", "new"})

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
                    (member, backend.index.add(index, member, epoch, _MINUTE))
                    for member in members
                ]

            def fence(index: str = index, attempt: int = attempt) -> Any:
                time.sleep(attempt / 1000)  # meets other adds in each attempt
                return backend.index.fence(index)

            adders = [_bind(add, number) for number in range(_THREADS - 1)]
            *added, (fenced, members) = _at_once([*adders, fence])
            outcome = [pair for pairs in added for pair in pairs]
            done = {member for member, result in outcome if result is Added.DONE}
            missed = done - set(members)
            assert not missed, (
                f"{len(missed)} members were added with the old epoch, but the fence"
                " did not return them: a login outlives a revocation"
            )
            refused = {member for member, how in outcome if how is Added.STALE}
            assert not refused & set(members), "a refused member was listed"
            _lists(backend, index, done)
            assert backend.index.epoch(index) == fenced, "only the fence moves it"

    def test_concurrent_members_are_all_listed(
        self, backend: Backend, name: str
    ) -> None:
        """Members that are added and removed at once do not overwrite each other."""
        epoch = backend.index.epoch(name)
        for number in range(_THREADS):
            backend.index.add(name, f"old_{number}", epoch, _MINUTE)

        def exchange(number: int) -> Added:
            backend.index.remove(name, [f"old_{number}"])
            return backend.index.add(name, f"new_{number}", epoch, _MINUTE)

        results = _at_once([_bind(exchange, number) for number in range(_THREADS)])
        assert set(results) == {Added.DONE}, "the epoch did not move"
        _lists(backend, name, {f"new_{number}" for number in range(_THREADS)})

    def test_a_limit_is_kept_by_many(self, backend: Backend, name: str) -> None:
        """Of many who are added at once, as many as the limit allows get in."""
        for attempt in range(5):
            index = f"{name}:{attempt}"
            epoch = backend.index.epoch(index)

            def add(number: int, index: str = index, epoch: str = epoch) -> Added:
                return backend.index.add(index, f"m_{number}", epoch, _MINUTE, limit=3)

            results = _at_once([_bind(add, number) for number in range(_THREADS)])
            assert results.count(Added.DONE) == 3, (
                f"{results.count(Added.DONE)} of {_THREADS} were added at a limit of 3"
            )
            assert results.count(Added.FULL) == _THREADS - 3, "the others must be FULL"
            assert len(backend.index.members(index)) == 3, "the limit was not kept"


def _holds(backend: Backend, key: str, data: bytes, when: str) -> Cell:
    cell = backend.get(key)
    assert cell is not None, f"{when} the data must be there, but get returned None"
    assert isinstance(cell, Cell), (
        f"get must return a Cell, not a {type(cell).__name__}"
    )
    assert cell.data == data, f"{when} get returned other data than were stored"
    return cell


def _is_token(reply: object, when: str) -> None:
    assert reply is not None, f"swap {when} said that nothing is there"
    assert not isinstance(reply, Cell), f"swap {when} was refused"


def _lists(backend: Backend, name: str, expected: set[str]) -> None:
    members = backend.index.members(name)
    assert len(members) == len(set(members)), "a member must be listed once"
    assert set(members) == expected, "members must return exactly who is listed"


def _bind(function: Callable[..., _T], *args: Any) -> Callable[[], _T]:
    return lambda: function(*args)


def _at_once(functions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run each function in a thread, all starting together; return their results."""
    start = threading.Barrier(len(functions))
    results: list[Any] = [None] * len(functions)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            start.wait(_PATIENCE)
            results[number] = functions[number]()
        except BaseException as error:  # raised again by the caller
            failures.append(error)

    threads = [
        threading.Thread(target=run, args=(number,), daemon=True)
        for number in range(len(functions))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "a call does not return"
    if failures:
        raise failures[0]
    return results
