"""A session's values as one request sees and changes them. No store, no Flask."""

from __future__ import annotations

from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
)
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from .serializers import Serializer, decode, encode

T = TypeVar("T")

_IMMUTABLE = (str, int, float, bool, type(None), bytes, UUID, datetime)


@dataclass(slots=True)
class Changes:
    """The difference that a request makes, key by key.

    Applied to the present values, not to those that the request had read: so two
    requests that change different keys both survive, and of two that change the same
    key the later commit wins. `computed` maps a key to a function from its present
    encoded value (None where there is none) to the new one.
    """

    cleared: bool = False
    assigned: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    removed: Collection[str] = ()
    computed: Mapping[str, Callable[[bytes | None], bytes]] = field(
        default_factory=dict, repr=False
    )
    permanent: bool | None = None

    @property
    def has_content(self) -> bool:
        """Whether there is something in it to begin a session with."""
        return bool(self.assigned or self.computed)

    def keys(self) -> list[str]:
        """Return the keys whose value may be another one now."""
        return [*self.assigned, *self.removed, *self.computed]

    def apply(self, values: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return `values` with these changes made."""
        result = {} if self.cleared else dict(values)
        for key in self.removed:
            result.pop(key, None)
        result.update(self.assigned)
        for key, compute in self.computed.items():
            result[key] = compute(result.get(key))
        return result


NO_CHANGES = Changes()


@dataclass(slots=True)
class _Computation:
    """Functions to apply to the value that a key has by then."""

    serializer: Serializer
    key: str
    before: bytes | None = field(repr=False)
    after: bytes = field(repr=False)
    functions: list[Callable[[Any], Any]] = field(default_factory=list)

    def __call__(self, stored: bytes | None) -> bytes:
        if stored == self.before:
            return self.after
        value = None if stored is None else decode(self.serializer, self.key, stored)
        for function in self.functions:
            value = function(value)
        return encode(self.serializer, self.key, value)


class Draft(MutableMapping[str, Any]):
    """Decodes values one by one, when they are used, and knows the changes.

    Values that were handed out and could have been changed in place are encoded again
    and compared with the stored ones: so nested changes are found, and only those.
    """

    def __init__(self, base: Mapping[str, bytes], serializer: Serializer) -> None:
        self.held = self._base = base
        """The stored values, encoded."""
        self._serializer = serializer
        self._values: dict[str, Any] = {}
        self._assigned: set[str] = set()
        self._removed: set[str] = set()
        self._computed: dict[str, _Computation] = {}
        self._cleared = False

    def discard_changes(self) -> None:
        """Go back to the stored values."""
        self.__init__(self.held, self._serializer)  # type: ignore[misc]

    def __getitem__(self, key: str) -> Any:
        if key not in self._values:
            if key in self._removed:
                raise KeyError(key)
            self._values[key] = decode(self._serializer, key, self._base[key])
        return self._values[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, or `default`."""
        if key in self._values:
            return self._values[key]
        if key in self._base and key not in self._removed:
            return self[key]
        return default

    def __setitem__(self, key: str, value: Any) -> None:
        self._values[key] = value
        self._assigned.add(key)
        self._removed.discard(key)
        self._computed.pop(key, None)

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self._values.pop(key, None)
        self._assigned.discard(key)
        self._computed.pop(key, None)
        if key in self._base:
            self._removed.add(key)

    def __contains__(self, key: object) -> bool:
        return key in self._values or (key in self._base and key not in self._removed)

    def __iter__(self) -> Iterator[str]:
        stored = [key for key in self._base if key not in self._removed]
        return iter([*stored, *(key for key in self._values if key not in self._base)])

    def __len__(self) -> int:
        added = self._values.keys() - self._base.keys()
        return len(self._base) - len(self._removed) + len(added)

    def clear(self) -> None:
        """Remove everything, also values that others store until this is saved."""
        self.discard_changes()
        self._base = {}
        self._cleared = True

    def compute(self, key: str, function: Callable[[Any], T]) -> T:
        """Set `key` to ``function(present value or None)``; :class:`Changes` repeats
        that on another present value. A value that this request had set counts as the
        present one from then on."""
        own = key in self._assigned or key in self.changes().assigned
        if self._cleared or key in self._removed or own:
            self[key] = value = function(self.get(key))
            return value
        before, known = self._base.get(key), self._computed.get(key)
        data = known.after if known else before
        value = function(None if data is None else decode(self._serializer, key, data))
        after = encode(self._serializer, key, value)
        known = known or _Computation(self._serializer, key, before, after)
        known.after = after
        known.functions.append(function)
        self._computed[key], self._values[key] = known, value
        return value

    def stored(self, key: str) -> Any:
        """Return the value that is stored, None if there is none."""
        data = self.held.get(key)
        return None if data is None else decode(self._serializer, key, data)

    def drop(self, keys: Iterable[str]) -> list[str]:
        """Remove the values of those of `keys` that this request has not set; return
        these keys, also those without a value."""
        others = [*{*keys} - self._assigned]
        for key in others:
            self._values.pop(key, None)
            self._computed.pop(key, None)
        self._removed.update(self._base.keys() & others)
        return others

    def touched(self) -> list[str]:
        """Return the keys whose value this request has set or removed, or may have
        changed inside."""
        if self._cleared:
            return [*{**self.held, **self._values}]
        inside = [k for k, v in self._values.items() if not isinstance(v, _IMMUTABLE)]
        return [*{*self._assigned, *self._removed, *inside}]

    def before(self, key: str) -> Any:
        """Return the value that this request began with, None if there was none, or
        if it has cleared everything."""
        return None if self._cleared else self.stored(key)

    def decode(self, keys: Iterable[str]) -> None:
        """Make sure that these values can be read; :class:`.Undecodable` if not."""
        for key in keys:
            if key not in self._values and key not in self._removed:
                self._values[key] = decode(self._serializer, key, self._base[key])

    def changes(self) -> Changes:
        """Return the difference to the stored values, :data:`NO_CHANGES` if there is
        none; TypeError names a value that cannot be stored."""
        assigned: dict[str, bytes] = {}
        for key, value in self._values.items():
            if key in self._assigned or not isinstance(value, _IMMUTABLE):
                data = encode(self._serializer, key, value)
                computed = self._computed.get(key)
                if data != (computed.after if computed else self._base.get(key)):
                    assigned[key] = data
        if not (assigned or self._cleared or self._removed or self._computed):
            return NO_CHANGES
        others = self._computed
        if others:
            others = {k: c for k, c in others.items() if k not in assigned}
        return Changes(self._cleared, assigned, frozenset(self._removed), others)

    def alone(self) -> Changes:
        """Return the values that this request has set, as if nothing were stored."""
        changes = self.changes()
        same = {
            key: self._base[key] for key in self._assigned - changes.assigned.keys()
        }
        own = {**same, **changes.assigned}
        return replace(changes, cleared=True, assigned=own, removed=())

    def without(self, keys: Iterable[str], changes: Changes) -> Changes:
        """Return `changes` with these `keys` removed, also if others have stored them
        meanwhile; but not those that this request has set."""
        assigned = dict(changes.assigned)
        for key in self._assigned.intersection(keys) - assigned.keys():
            assigned[key] = self._base[key]  # set to the value that it had
        removed = {*changes.removed, *keys} - assigned.keys()
        return replace(changes, assigned=assigned, removed=removed)

    def saved_as(self, base: Mapping[str, bytes], changes: Changes) -> None:
        """Go on from `base`, which was stored with `changes` in it.

        Values that the caller may still hold stay the same objects, as long as nobody
        else changed them meanwhile.
        """
        mine, values = {**self._base, **changes.assigned}, self._values
        for key, computation in self._computed.items():
            mine[key] = computation.after
        self.__init__(base, self._serializer)  # type: ignore[misc]
        for key, value in values.items():
            if mine.get(key) == base.get(key):
                self._values[key] = value

    def rebase(self, base: Mapping[str, bytes]) -> None:
        """Keep only the changes of this request, as changes of `base` instead."""
        changes = self.changes()
        mine = {*self._assigned, *changes.assigned, *changes.computed}
        self._values = {k: v for k, v in self._values.items() if k in mine}
        self._assigned |= changes.assigned.keys()
        self._removed &= base.keys()
        self.held = base
        self._base = {} if self._cleared else base
