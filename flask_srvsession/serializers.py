"""How the values of a session become bytes and come back unchanged."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Protocol
from uuid import UUID

import msgpack
from flask.json.tag import TaggedJSONSerializer
from markupsafe import Markup


class Serializer(Protocol):
    """Turns one value into bytes and back; TypeError for a value that would not
    survive."""

    def dumps(self, value: Any) -> bytes:
        """Return `value` as bytes, equal bytes for an unchanged value."""

    def loads(self, data: bytes) -> Any:
        """Return a new object equal to the one that was dumped."""


class _Type(enum.IntEnum):
    """MessagePack's numbers of the types that it does not know; never changed."""

    TUPLE = 0
    MARKUP = 1
    UUID = 2
    DATETIME = 3
    INT = 4


MAX_NESTED_TUPLES = 16
"""Tuples within tuples; each of them is packed by itself."""

_BASES: dict[type, Callable[[Any], Any]] = {
    dict: dict,
    list: list,
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
}


class MsgpackSerializer:
    """MessagePack that keeps all types of Flask's own session, and a few more.

    Tuples, bytes, Markup, UUID, datetime (with microseconds and UTC offset), ints of
    any size and non-string keys of dictionaries survive. Subclasses of dict, list,
    tuple, str, int and float come back as those, bytearray and memoryview as bytes.
    Anything else is a TypeError.
    """

    def dumps(self, value: Any, depth: int = 0) -> bytes:
        """Return `value` as bytes; TypeError names a type that cannot be stored."""
        packed: bytes = msgpack.packb(
            value,
            default=partial(self._extend, depth=depth),
            strict_types=True,
            unicode_errors="surrogatepass",
        )
        if any(map(packed.__contains__, _EXTENDED)):
            _refuse_foreign(value)
        return packed

    def loads(self, data: bytes) -> Any:
        """Return the value that :meth:`dumps` made `data` of."""
        return msgpack.unpackb(
            data,
            ext_hook=self._restore,
            strict_map_key=False,
            unicode_errors="surrogatepass",
        )

    def _extend(self, value: Any, depth: int) -> Any:
        match value:
            case tuple():
                if depth == MAX_NESTED_TUPLES:
                    raise TypeError("tuples are nested too deeply to be stored")
                inside = self.dumps(list(value), depth + 1)
                return msgpack.ExtType(_Type.TUPLE, inside)
            case UUID():
                return msgpack.ExtType(_Type.UUID, value.bytes)
            case datetime():
                text = datetime.isoformat(value)
                return msgpack.ExtType(_Type.DATETIME, text.encode("ascii"))
            case int() if not -(2**63) <= value < 2**64:
                return msgpack.ExtType(_Type.INT, b"%d" % value)
            case _ if callable(getattr(value, "__html__", None)):
                return msgpack.ExtType(_Type.MARKUP, self.dumps(str(value.__html__())))
        for base, convert in _BASES.items():
            if isinstance(value, base):
                return convert(value)
        raise TypeError(f"a {type(value).__name__} cannot be stored in a session")

    def _restore(self, code: int, data: bytes) -> Any:
        match code:
            case _Type.TUPLE:
                return tuple(self.loads(data))
            case _Type.MARKUP:
                return Markup(self.loads(data))  # noqa: S704 - it was Markup before
            case _Type.UUID:
                return UUID(bytes=data)
            case _Type.DATETIME:
                return datetime.fromisoformat(data.decode("ascii"))
            case _Type.INT:
                return int(data)
        raise ValueError(f"unknown extension type {code}")


_EXTENDED = (*range(0xC7, 0xCA), *range(0xD4, 0xD9))
"""One of these bytes is in all that MessagePack makes of an extension type, and in some
other texts. To look for each is twenty times as fast as a pattern."""


def _refuse_foreign(value: Any) -> None:
    """Raise TypeError for extension types that are not ours: MessagePack would store
    them, and nobody could read the session again."""
    if isinstance(value, (msgpack.ExtType, msgpack.Timestamp)):
        raise TypeError(f"a msgpack.{type(value).__name__} cannot be stored")
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple)):
        for part in value:
            _refuse_foreign(part)


class JSONSerializer:
    """Flask's tagged JSON, with the losses that Flask documents."""

    _tagged = TaggedJSONSerializer()

    def dumps(self, value: Any) -> bytes:
        """Return `value` as tagged JSON, as Flask's own session does."""
        return self._tagged.dumps(value).encode("utf-8", "surrogatepass")

    def loads(self, data: bytes) -> Any:
        """Return the value that :meth:`dumps` made `data` of."""
        return self._tagged.loads(data.decode("utf-8", "surrogatepass"))


SERIALIZERS: dict[str, Callable[[], Serializer]] = {
    "msgpack": MsgpackSerializer,
    "json": JSONSerializer,
}


def encode(serializer: Serializer, key: str, value: Any) -> bytes:
    """Return `value` as bytes; a refusal says where in the session the culprit is.

    Raises TypeError with the path, as in ``session['cart']['items'][3]``.
    """
    try:
        return serializer.dumps(value)
    except Exception as error:
        path, culprit = _culprit(serializer, f"session[{key!r}]", value)
        raise TypeError(
            f"{path} cannot be stored: it is of the type {type(culprit).__name__}, "
            "which does not survive serialization. Convert it to a str, int, float,"
            " bool, None, bytes, list, tuple, dict, datetime, UUID or Markup."
        ) from error


class Undecodable(KeyError):
    """The stored value of a key cannot be turned back into an object."""


def decode(serializer: Serializer, key: str, data: bytes) -> Any:
    """Return the value that was encoded; :class:`Undecodable` names the key alone."""
    try:
        return serializer.loads(data)
    except Exception:
        raise Undecodable(key) from None


def _culprit(
    serializer: Serializer, path: str, value: Any, depth: int = 32
) -> tuple[str, Any]:
    """Return path and value of the smallest part that cannot be dumped."""
    parts: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, (list, tuple)):
        parts = list(enumerate(value))
    for key, part in parts if depth else ():
        try:
            serializer.dumps(part)
        except Exception:
            return _culprit(serializer, f"{path}[{key!r}]", part, depth - 1)
    return path, value
