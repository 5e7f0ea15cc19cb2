"""A backend whose failures are :class:`BackendError`, with second tries."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from itertools import islice
from typing import Any, ParamSpec, TypeVar

from blinker import Signal

from ..errors import BackendError, ConfigurationError, NotReplicated
from ..signals import storage_called
from .base import (
    MOST_AT_ONCE,
    Backend,
    Busy,
    Cell,
    DeletesMany,
    ReadsMany,
    ReadsStarts,
    Replicated,
    Version,
)
from .causes import describe
from .outage import Outage, StorageHangs

log = logging.getLogger("flask_srvsession")

READS = frozenset({"load", "find"})
"""The operations that change nothing: their failure is never ambiguous."""

QUICK = 0.1
"""Seconds; a call that failed later than that has waited for a timeout already."""

P = ParamSpec("P")
T = TypeVar("T")


def changing(operation: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let an outage in the middle of a change be one of the change: a read that failed
    does not tell whether the change was done."""

    def decorate(change: Callable[P, T]) -> Callable[P, T]:
        @wraps(change)
        def changed(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return change(*args, **kwargs)
            except BackendError as error:
                if error.operation not in READS:
                    raise
                raise BackendError(
                    operation, ambiguous=True, quick=error.quick
                ) from error.__cause__

        return changed

    return decorate


def _outcome(operation: str, result: object) -> str:
    if operation == "save" and (result is None or isinstance(result, Cell)):
        return "conflict"
    return "refused" if operation == "bind" and result is False else "done"


class Guarded:
    """Calls a backend and translates its exceptions.

    A call that is harmless when it happens twice is tried a second time, but only where
    the first try failed at once: a client waits for one timeout, never for two. Clients
    must not repeat anything by themselves: a repeated ``add`` or ``swap`` could take
    effect twice. Where the storage hangs, most calls fail without asking it.

    Each call is told by ``storage_called``, if there is a `sender`.
    """

    def __init__(
        self,
        backend: Backend,
        timer: Callable[[], float] = time.monotonic,
        sender: object = None,
    ) -> None:
        self.backend = backend
        self.outage = Outage(breaks=not getattr(backend, "has_several_servers", False))
        self._failures: tuple[type[Exception], ...]
        self._failures = (ConfigurationError, *backend.errors)
        """A storage that is set up wrongly is as good as one that is down."""
        self._timer = timer
        self._sender = sender
        self._signal = Signal() if sender is None else storage_called

    def twice(self, operation: str, call: Callable[..., T], *args: Any) -> T:
        """Call a method that may be repeated: it is tried twice."""
        try:
            return self.once(operation, call, *args, last=False)
        except BackendError as error:
            if not error.quick:
                raise
        return self.once(operation, call, *args)

    def once(
        self, operation: str, call: Callable[..., T], *args: Any, last: bool = True
    ) -> T:
        """Return ``call(*args)``; BackendError if it fails, ambiguous unless
        `operation` only reads. Another try follows unless it is the `last` one."""
        outage, began = self.outage, self._timer()
        if outage.on:
            try:
                outage.admit(operation, began)
            except BackendError:
                self._tell(operation, began, StorageHangs.__name__)
                raise
        try:
            result = call(*args)
        except self._failures as error:
            raise self._failed(operation, began, error, last) from error
        if outage.on:
            outage.worked(self._timer())
        if self._signal.receivers:
            self._tell(operation, began, _outcome(operation, result))
        return result

    def _failed(
        self, operation: str, began: float, error: Exception, last: bool
    ) -> BackendError:
        """Note a failure, but none that another try may mend at once."""
        now = self._timer()
        quick = now - began < QUICK
        self._tell(operation, began, type(error).__name__)
        if last or not quick:
            cause = describe(error, getattr(self.backend, "server", ""))
            late = None if isinstance(error, Busy) else not quick
            self.outage.failed(operation, cause, now, late=late)
        return BackendError(operation, ambiguous=operation not in READS, quick=quick)

    def _tell(self, operation: str, began: float, outcome: str) -> None:
        """Tell the receivers; an error of one of them ends no request."""
        if not self._signal.receivers:
            return
        seconds = self._timer() - began
        try:
            self._signal.send(
                self._sender, operation=operation, seconds=seconds, outcome=outcome
            )
        except Exception:
            log.exception("a receiver of storage_called failed")

    def get(self, key: str) -> Cell | None:
        """Return the cell under `key`, or None; tried twice."""
        if self.outage.on or self._signal.receivers:
            return self.twice("load", self.backend.get, key)
        began = self._timer()  # most calls of all come here: as fast as can be
        try:
            return self.backend.get(key)
        except self._failures as error:
            failed = self._failed("load", began, error, False)
            if not failed.quick:
                raise failed from error
        return self.once("load", self.backend.get, key)

    def get_many(self, keys: Sequence[str]) -> dict[str, Cell | None]:
        """Return the cells under `keys`, read one by one if the backend knows no better
        way; where nothing is, None or no entry."""
        if not isinstance(self.backend, ReadsMany):
            return {key: self.get(key) for key in keys}
        return self._in_parts(keys, self.backend.get_many)

    def get_starts(self, keys: Sequence[str], length: int) -> dict[str, Cell | None]:
        """Return the same, but of the data at least the first `length` bytes."""
        if not isinstance(self.backend, ReadsStarts):
            return self.get_many(keys)
        return self._in_parts(keys, self.backend.get_starts, length)

    def _in_parts(
        self,
        keys: Sequence[str],
        get: Callable[..., Mapping[str, Cell | None]],
        *more: int,
    ) -> dict[str, Cell | None]:
        found: dict[str, Cell | None] = {}
        for start in range(0, len(keys), MOST_AT_ONCE):
            batch = keys[start : start + MOST_AT_ONCE]
            found.update(self.twice("load", get, batch, *more))
        return found

    def add(self, key: str, data: bytes, ttl: int) -> Version | None:
        """Add a cell, once: a second try could find the first one done."""
        return self.once("create", self.backend.add, key, data, ttl)

    def swap(
        self, key: str, data: bytes, version: Version, ttl: int
    ) -> Version | Cell | None:
        """Replace a cell, once: the caller finds out about a lost answer."""
        if self.outage.on or self._signal.receivers:
            return self.once("save", self.backend.swap, key, data, version, ttl)
        began = self._timer()
        try:
            return self.backend.swap(key, data, version, ttl)
        except self._failures as error:
            raise self._failed("save", began, error, True) from error

    def delete(self, key: str, version: Version | None = None) -> bool:
        """Delete a cell; tried twice. One that is gone at the second try counts: the
        first may have done it, and its answer was lost."""
        try:
            return self.once("destroy", self.backend.delete, key, version, last=False)
        except BackendError as error:
            if not error.quick:
                raise
        deleted = self.once("destroy", self.backend.delete, key, version)
        return deleted or self.get(key) is None

    def delete_many(self, cells: Mapping[str, Version]) -> set[str]:
        """Delete the cells that still have these versions; return the keys of those
        that were deleted. Tried twice, as :meth:`delete`."""
        if not isinstance(self.backend, DeletesMany):
            return {key for key, version in cells.items() if self.delete(key, version)}
        deleted = set[str]()
        for start in range(0, len(cells), MOST_AT_ONCE):
            part = dict(islice(cells.items(), start, start + MOST_AT_ONCE))
            deleted |= self._delete_part(self.backend.delete_many, part)
        return deleted

    def _delete_part(
        self,
        delete: Callable[[Mapping[str, Version]], Collection[str]],
        part: Mapping[str, Version],
    ) -> set[str]:
        try:
            return {*self.once("destroy", delete, part, last=False)}
        except BackendError as error:
            if not error.quick:
                raise
        deleted = {*self.once("destroy", delete, part)}
        there = self.get_many([key for key in part if key not in deleted])
        return {key for key in part if there.get(key) is None}

    def need(self, replicas: int) -> None:
        """Raise ConfigurationError where nobody can ask the replicas, and
        ValueError for a number that is none of replicas."""
        if replicas < 0:
            raise ValueError(f"durable is {replicas}, but must be 0 or more.")
        if replicas and not isinstance(self.backend, Replicated):
            raise ConfigurationError(
                "durable= needs a storage that knows what its replicas have, as Redis;"
                f" {type(self.backend).__name__} does not. Leave it out, or make it 0,"
                " here."
            )

    def wait(self, replicas: int, keys: Collection[str]) -> None:
        """Return when so many replicas have all changes of each of `keys` until now;
        raise NotReplicated if that takes too long."""
        if not (replicas and keys and isinstance(self.backend, Replicated)):
            return
        try:
            confirmed = self.once("replicate", self.backend.confirmed, keys, replicas)
        except BackendError as error:
            raise NotReplicated(replicas, 0) from error
        if confirmed < replicas:
            raise NotReplicated(replicas, confirmed)
