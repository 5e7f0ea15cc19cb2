"""What a storage has to offer: conditional changes of bytes under keys."""

from __future__ import annotations

import enum
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

Token: TypeAlias = Any
"""Opaque proof of which version was read; only its own backend looks inside."""

Epoch: TypeAlias = str
"""Opaque name of an index's present; a value that was left never comes back."""

EPOCH_ALONE = 24 * 60 * 60
"""Seconds for which an epoch is kept at least, also without members."""

MOST_AT_ONCE = 100
"""Keys that a backend is asked for in one call."""


def new_epoch() -> Epoch:
    """Return a random one, so that an index which was lost never gets one back."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Cell:
    """What is stored under a key now, and the token that a change of it needs."""

    data: bytes = field(repr=False)
    token: Token = field(repr=False)


class Added(enum.Enum):
    """How :meth:`Index.add` ended."""

    DONE = "done"
    STALE = "stale"  # the epoch has moved on: nothing was added
    FULL = "full"  # the limit is reached: nothing was added


def place(member: str) -> str:
    """Return what a member counts as: those with the same are counted once."""
    return member.rpartition(".")[2]


def shares_place(member: str, other: str) -> bool:
    """Return whether two members count once: they are of the same place, or the text
    before their first dot says that they are the same session."""
    same_session = member.partition(".")[0] == other.partition(".")[0]
    return same_session or place(member) == place(other)


class Index(Protocol):
    """Which sessions belong to a name, and since when.

    Each method takes effect in one step. A session is *admitted* while the epoch it
    was added under is current; :meth:`fence` ends an epoch.
    """

    def epoch(self, name: str) -> Epoch:
        """Return the current epoch, a never used one where there was none."""

    def add(
        self,
        name: str,
        member: str,
        expect: Epoch,
        ttl: int,
        *,
        limit: int | None = None,
    ) -> Added:
        """List `member` for `ttl` seconds if `expect` is still the current epoch.

        With `limit`, no more than that many *places* may be taken: members with the
        same text after their last dot share one (see :func:`place`), and what has the
        same text before the first dot as `member` does not count against it. Adding a
        listed member again only renews its time.
        """

    def fence(self, name: str, spare: Collection[str] = ()) -> tuple[Epoch, list[str]]:
        """Start a new epoch; return it with all members. Nothing is removed.

        The members in `spare` stay admitted with the epoch they have.
        """

    def admits(self, name: str, epochs: Mapping[str, Epoch]) -> set[str]:
        """Return those members whose epoch, in `epochs`, is current, or who were
        spared by the last fence.

        Nobody where the storage has lost the index. Never changes anything.
        """

    def remove(self, name: str, members: Collection[str]) -> None:
        """Unlist `members`; those that are not listed are no error."""

    def members(self, name: str) -> list[str]:
        """Return the listed members whose time has not run out.

        Whose time is over first comes first; else, of several sessions that began in
        the same second, it is not known who logged in first.
        """


class Backend(Protocol):
    """A key-value store in which every change is conditional.

    Keys are printable ASCII without spaces, at most 200 characters; a `ttl` is in
    seconds and positive, and also right beyond 30 days. What has expired is absent
    for every method. Data that was read or written is never changed by its caller
    afterwards, nor by the backend.
    """

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the methods raise when the storage cannot be reached or refuses."""

    @property
    def evicts(self) -> bool:
        """Whether the storage may lose what has not expired (a full cache does)."""

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
        """Return what is stored under `key`, or None."""

    def add(self, key: str, data: bytes, ttl: int) -> Token | None:
        """Store `data` if nothing is there; return its token, None if something is."""

    def swap(
        self, key: str, data: bytes, token: Token, ttl: int
    ) -> Token | Cell | None:
        """Replace what `token` stands for with `data`, in one step.

        Returns the new token; the present :class:`Cell` if it is somebody else's by
        now; None if nothing is there any more. Never creates.
        """

    def delete(self, key: str, token: Token | None = None) -> bool:
        """Delete what is under `key`, with `token` only if it is still that version.

        Returns whether something was deleted.
        """

    def sweep(self) -> int:
        """Remove what has expired, where the storage does not; return how many."""


@runtime_checkable
class ReadsMany(Protocol):
    """A backend that reads several cells in less time than one after the other."""

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Cell | None]:
        """Return what is stored under `keys`, which are at most :data:`MOST_AT_ONCE`.

        Those under which nothing is may be left out. Others may change something
        between the reads of two.
        """


@runtime_checkable
class Replicated(Protocol):
    """A backend whose storage has replicas, one of which may take over."""

    def confirmed(self, keys: Collection[str], replicas: int) -> int:
        """Return how many replicas have, of each of `keys`, what was done before.

        `keys` may be those of cells and the names of indexes. Waits for `replicas` of
        them, but not longer than for a command.
        """


@runtime_checkable
class KeepsTables(Protocol):
    """A backend whose storage needs tables."""

    def create_tables(self) -> bool:
        """Create the tables if they are missing; return whether they were."""

    def ddl(self) -> str:
        """Return the statements that create the tables, for people's migrations."""
