"""The operations of a storage: conditional changes of bytes under keys."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

_log = logging.getLogger("flask_srvsession")

Version: TypeAlias = Any
"""Opaque proof of which version was read; only its own backend looks inside."""

Epoch: TypeAlias = str
"""Opaque name of an index's present; a value that was left never comes back."""

EPOCH_ALONE = 15 * 60
"""Seconds for which an epoch is kept that nobody binds to: each failed login may ask
for another one. There is at least half of that time left after it was asked for."""


class Busy(Exception):
    """A call has waited for others of this app, not for the storage: that answers."""


MOST_AT_ONCE = 100
"""Keys that a backend is asked for in one call."""


def new_epoch() -> Epoch:
    """Return a random one, so that an index which was lost never gets one back."""
    return secrets.token_hex(8)


class Cell(NamedTuple):
    """The data under a key now, and the version that a change of it needs."""

    data: bytes
    version: Version

    def __repr__(self) -> str:  # without secrets
        return "<Cell>"


class Head(NamedTuple):
    """The present of an index."""

    epoch: Epoch
    kept: tuple[str, ...] = ()
    """The members that the last fence kept."""


def sound_head(epoch: object, kept: object) -> Head | None:
    """Return the head that a storage has in these texts; None, with a warning, if it
    can be none of ours: somebody else has written it."""
    if not (isinstance(epoch, str) and isinstance(kept, str)) or (
        not re.fullmatch("[0-9a-f]{16}", epoch)
    ):
        _log.warning("an epoch of an index is ignored: it is not one of ours")
        return None
    return Head(epoch, tuple(kept.split()))


class Index(Protocol):
    """The members of each name, and the epoch that they were added under.

    Each method takes effect in one step. :meth:`fence` ends an epoch. A member is text
    without spaces, at most 200 printable ASCII characters; a backend never looks
    into it. A name is a key, as those of the cells are.
    """

    def epoch(self, name: str) -> Epoch:
        """Return the current epoch; begin one, never used before, if there is none."""

    def add(self, name: str, member: str, expect: Epoch, ttl: int) -> bool:
        """List `member` for `ttl` seconds if `expect` is still the current epoch.

        Return False, and add nothing, if the epoch has moved on. A member that is
        listed already keeps the later one of the two expiries.
        """

    def fence(self, name: str, keep: Collection[str] = ()) -> tuple[Epoch, Head | None]:
        """Begin a new epoch; return it, and the head that it ended. All members stay
        listed.

        `keep` are the members that :attr:`Head.kept` names until the next fence.
        """

    def head(self, name: str) -> Head | None:
        """Return the current epoch and the members that the last fence kept.

        None if the index was never used, or if the storage has lost it. Changes
        nothing.
        """

    def remove(self, name: str, members: Collection[str]) -> None:
        """Unlist `members`; those that are not listed are no error."""

    def members(
        self, name: str, most: int, after: str | None = None
    ) -> list[str] | None:
        """Return the first members that have not expired, at most so many; of those
        that follow the member `after`, or None if that is not listed.

        The one that expires soonest comes first; those that expire at the same time
        come in the order in which they were added. A list may have a million members:
        do no more work than for those that are returned, if the storage can.
        """

    def count(self, name: str) -> int:
        """Return how many members have not expired."""


class Backend(Protocol):
    """A key-value store in which every change is conditional.

    Keys are printable ASCII without spaces, at most 200 characters; a `ttl` is in
    seconds and positive, and also right beyond 30 days. Expired data are absent
    for every method. Data that was read or written is never changed by its caller
    afterwards, nor by the backend.
    """

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """The exceptions that the methods raise if the storage fails or refuses."""

    @property
    def evicts(self) -> bool:
        """Whether the storage may lose live data (a full cache does)."""

    @property
    def shared(self) -> bool:
        """Whether other processes see the same data."""

    @property
    def max_bytes(self) -> int | None:
        """The longest data that the storage takes, None without a limit."""

    @property
    def index(self) -> Index:
        """The indexes of this storage."""

    def get(self, key: str) -> Cell | None:
        """Return the cell that is stored under `key`, or None."""

    def add(self, key: str, data: bytes, ttl: int) -> Version | None:
        """Store `data` if nothing is there; return its version, else None."""

    def swap(
        self, key: str, data: bytes, version: Version, ttl: int
    ) -> Version | Cell | None:
        """Replace the cell of this `version` with `data`, in one step.

        Returns the new version; the present :class:`Cell` if it is somebody else's by
        now; None if nothing is there any more. Never creates.
        """

    def delete(self, key: str, version: Version | None = None) -> bool:
        """Delete the cell under `key`, with `version` only if it still has that
        version.

        Returns whether something was deleted.
        """

    def sweep(self) -> int:
        """Remove expired data, where the storage does not; return how many."""


@runtime_checkable
class ReadsMany(Protocol):
    """A backend that reads several cells in less time than one after the other."""

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Cell | None]:
        """Return the cells under `keys`, which are at most :data:`MOST_AT_ONCE`.

        Those under which nothing is may be left out. Others may change something
        between the reads of two.
        """


@runtime_checkable
class ReadsStarts(Protocol):
    """A backend that reads the beginnings of cells, and leaves the rest where it is."""

    def get_starts(self, keys: Sequence[str], length: int) -> Mapping[str, Cell | None]:
        """Return what :meth:`ReadsMany.get_many` does, but of the data of each cell the
        first `length` bytes alone."""


@runtime_checkable
class DeletesMany(Protocol):
    """A backend that deletes several cells in less time than one after the other."""

    def delete_many(self, cells: Mapping[str, Version]) -> Collection[str]:
        """Delete the cells under these keys that still have these versions; return the
        keys of those that were deleted. They are at most :data:`MOST_AT_ONCE`."""


@runtime_checkable
class ReadsHeads(Protocol):
    """A backend that reads a cell and the heads of indexes in one round trip."""

    def get_with_heads(
        self, key: str, names: Sequence[str]
    ) -> tuple[Cell | None, Mapping[str, Head]]:
        """Return the cell under `key`, or None, and the heads of `names` by name.

        A head that was never begun, or was lost, is left out. None of the heads is
        older than the cell.
        """


@runtime_checkable
class Replicated(Protocol):
    """A backend whose storage has replicas, one of which may take over."""

    def confirmed(self, keys: Collection[str], replicas: int) -> int:
        """Return how many replicas have all changes of each of `keys` until now.

        `keys` may be those of cells and the names of indexes. Waits for `replicas` of
        them, but not longer than for a command.
        """


@runtime_checkable
class ListsKeys(Protocol):
    """A backend that can list its keys."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys of cells that begin with `prefix`, and maybe those of indexes.

        One that is added or deleted meanwhile may be missing, or be there twice.
        Raises NotImplementedError where the storage is set up not to tell.
        """


@runtime_checkable
class Erases(Protocol):
    """A backend that can leave nothing behind."""

    def erase(self, names: Collection[str]) -> None:
        """Remove the indexes `names`, their epochs too, but for those with members, and
        all cells that have expired."""


@runtime_checkable
class KeepsTables(Protocol):
    """A backend whose storage needs tables."""

    def create_tables(self) -> bool:
        """Create the tables if they are missing; return whether they were."""

    def ddl(self) -> str:
        """Return the statements that create the tables, for people's migrations."""
