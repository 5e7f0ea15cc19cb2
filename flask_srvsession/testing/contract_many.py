"""The part of the contract about several cells at once, where a backend can do that."""

# ruff: noqa: S101 (this module is tests)

from __future__ import annotations

import pytest

from ..backends.base import MOST_AT_ONCE, Backend
from ..backends.guarded import Guarded
from .contract_base import MINUTE, ContractBase, is_version, read_many


class ManyContract(ContractBase):
    """The duties of `get_many`, `get_starts` and `delete_many`."""

    @pytest.mark.parametrize("many", [3, MOST_AT_ONCE])
    def test_get_many_returns_what_get_returns(
        self, backend: Backend, key: str, many: int
    ) -> None:
        """Each cell that is there, under its own key, and nothing else; of as many as
        it is ever asked for, with a kilobyte under each."""
        names = ["", "one", *map(str, range(2, many))]
        stored = {f"{key}:{name}": name.encode() * 1024 for name in names}
        for each, data in stored.items():
            backend.add(each, data, MINUTE)
        cells = read_many(backend, [f"{key}:absent", *stored, f"{key}:ONE"])
        assert {each: cell.data for each, cell in cells.items()} == stored, (
            "get_many must return what is there, under its own key, and nothing else"
        )
        for each, cell in cells.items():
            version = backend.swap(each, b"new", cell.version, MINUTE)
            is_version(version, "with the version that get_many returned")

    def test_get_starts_returns_the_first_bytes(
        self, backend: Backend, key: str
    ) -> None:
        """At least so many, of each cell that is there, with the version of all."""
        stored = {f"{key}:{n}": bytes(range(n)) for n in (0, 1, 99, 100, 101, 250)}
        for each, data in stored.items():
            backend.add(each, data, MINUTE)
        starts = Guarded(backend).get_starts([f"{key}:absent", *stored], 100)
        for each, data in stored.items():
            cell = starts.get(each)
            assert cell is not None, "get_starts must return what is there"
            assert data.startswith(cell.data), "get_starts must return the beginning"
            assert len(cell.data) >= min(100, len(data)), "get_starts cuts too much off"
            version = backend.swap(each, b"new", cell.version, MINUTE)
            is_version(version, "with the version that get_starts returned")
        assert starts.get(f"{key}:absent") is None, "nothing is there"

    def test_delete_many_deletes_what_has_not_changed(
        self, backend: Backend, key: str
    ) -> None:
        """Each cell that has its version still, of as many as it is ever given."""
        keys = [f"{key}:{number}" for number in range(MOST_AT_ONCE)]
        for each in keys:
            backend.add(each, b"data", MINUTE)
        read = {k: cell.version for k, cell in read_many(backend, keys).items()}
        gone, changed = keys[3], keys[7]
        backend.delete(gone)
        version = backend.swap(changed, b"more", read[changed], MINUTE)
        is_version(version, "with the version that get_many returned")
        deleted = Guarded(backend).delete_many(read)
        left = {each for each in keys if backend.get(each) is not None}
        assert left == {changed}, (
            "delete_many must delete those of the given versions, and no others"
        )
        assert set(deleted) == {*keys} - {gone, changed}, (
            "delete_many must return the keys of those that it has deleted"
        )
        assert not Guarded(backend).delete_many({}), "nothing was to be deleted"
