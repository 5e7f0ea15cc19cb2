"""A backend that fails once: a process dies, a reply is lost, a command comes late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask_srvsession.backends import Backend
from flask_srvsession.backends.base import Cell, Version
from flask_srvsession.backends.cell_index import CellIndex


class Died(BaseException):
    """The process was killed in the middle of an operation."""


class FaultyBackend:
    """A backend that fails at the chosen call, once."""

    def __init__(self, backend: Backend) -> None:
        self._backend: Any = backend
        self._left, self._fault = -1, ""
        self.has_failed = False
        self._delayed: list[Callable[[], Any]] = []
        if isinstance(backend.index, CellIndex):
            self.index: Any = CellIndex(self)
        else:
            self.index = _FaultyIndex(self, backend.index)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def fail(self, fault: str, at_call: int) -> None:
        """Let that call fail: "dies before" or "dies after" it, its "reply is lost",
        it is "refused", or reported as failed and "done later"."""
        self._fault, self._left = fault, at_call

    def finish(self) -> None:
        """End an operation; what was delayed takes effect now."""
        self._left = -1
        delayed, self._delayed = self._delayed, []
        for call in delayed:
            call()

    def get(self, key: str) -> Cell | None:
        cell: Cell | None = self.call(self._backend.get, key)
        return cell

    def add(self, key: str, data: bytes, ttl: int) -> Version | None:
        return self.call(self._backend.add, key, data, ttl)

    def swap(
        self, key: str, data: bytes, version: Version, ttl: int
    ) -> Version | Cell | None:
        return self.call(self._backend.swap, key, data, version, ttl)

    def delete(self, key: str, version: Version | None = None) -> bool:
        return bool(self.call(self._backend.delete, key, version))

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._left -= 1
        if self._left != -1:
            return function(*args, **kwargs)
        self.has_failed = True
        match self._fault:
            case "dies before":
                raise Died
            case "dies after":
                function(*args, **kwargs)
                raise Died
            case "reply is lost":
                function(*args, **kwargs)
            case "done later":
                self._delayed.append(lambda: function(*args, **kwargs))
        raise self._backend.errors[0](self._fault)


FAULTS = ("dies before", "dies after", "reply is lost", "refused", "done later")


class _FaultyIndex:
    def __init__(self, backend: FaultyBackend, index: Any) -> None:
        self._backend, self._index = backend, index

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._index, name)
        return lambda *args, **kwargs: self._backend.call(function, *args, **kwargs)
