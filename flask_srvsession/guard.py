"""A backend whose failures are :class:`BackendError`, and what may be tried again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from .backends.base import MOST_AT_ONCE, Backend, Cell, ReadsMany, Token
from .errors import BackendError, ConfigurationError

log = logging.getLogger("flask_srvsession")

READS = frozenset({"load", "find"})
"""The operations that change nothing: their failure is never ambiguous."""

QUICK = 0.1
"""Seconds; what failed later than that has waited for a timeout already."""

T = TypeVar("T")


@contextmanager
def changing(operation: str) -> Iterator[None]:
    """An outage in the middle of a change is one of the change: what could not be
    read any more does not tell whether that was done."""
    try:
        yield
    except BackendError as error:
        if error.operation not in READS:
            raise
        raise BackendError(
            operation, ambiguous=True, quick=error.quick
        ) from error.__cause__


def reason(error: BaseException) -> str:
    """Return what may be said of `error`: the text of a client may hold a password."""
    ours = isinstance(error, ConfigurationError)
    return str(error) if ours else type(error).__name__


class Guarded:
    """Calls a backend and translates what it raises.

    What is harmless when it happens twice is tried a second time, but only where the
    first try failed at once: a client waits for one timeout, never for two. Clients
    must not repeat anything by themselves: a repeated ``add`` or ``swap`` could take
    effect twice.
    """

    def __init__(
        self, backend: Backend, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self.backend = backend
        self._many = backend if isinstance(backend, ReadsMany) else None
        self._timer = timer

    def once(self, operation: str, call: Callable[..., T], *args: Any, **kw: Any) -> T:
        """Return ``call(*args, **kw)``; BackendError if it fails, ambiguous
        unless `operation` only reads."""
        began = self._timer()
        try:
            return call(*args, **kw)
        except self._failures as error:
            quick = self._timer() - began < QUICK
            log.error("storage failed at %s: %s", operation, reason(error))  # noqa: TRY400
            raise BackendError(
                operation, ambiguous=operation not in READS, quick=quick
            ) from error

    def twice(self, operation: str, call: Callable[..., T], *args: Any, **kw: Any) -> T:
        """The same for what may be repeated."""
        try:
            return self.once(operation, call, *args, **kw)
        except BackendError as error:
            if not error.quick:
                raise
        return self.once(operation, call, *args, **kw)

    @property
    def _failures(self) -> tuple[type[Exception], ...]:
        """A storage that is set up wrongly is as good as one that is down."""
        return (ConfigurationError, *self.backend.errors)

    def get(self, key: str) -> Cell | None:
        return self.twice("load", self.backend.get, key)

    def get_many(self, keys: Sequence[str]) -> dict[str, Cell | None]:
        """Return what is under `keys`, read one by one if the backend knows no better
        way; where nothing is, None or no entry."""
        if self._many is None:
            return {key: self.get(key) for key in keys}
        found: dict[str, Cell | None] = {}
        for start in range(0, len(keys), MOST_AT_ONCE):
            batch = keys[start : start + MOST_AT_ONCE]
            found.update(self.twice("load", self._many.get_many, batch))
        return found

    def add(self, key: str, data: bytes, ttl: int) -> Token | None:
        return self.once("create", self.backend.add, key, data, ttl)

    def swap(
        self, key: str, data: bytes, token: Token, ttl: int
    ) -> Token | Cell | None:
        return self.once("save", self.backend.swap, key, data, token, ttl)

    def delete(self, key: str, token: Token | None = None) -> bool:
        return self.twice("destroy", self.backend.delete, key, token)
