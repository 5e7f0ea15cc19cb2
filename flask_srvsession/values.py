"""The values that a key of the configuration may have.

Each function takes a key and its value; it returns the setting, or raises a
ConfigurationError that names the key, the value (unless that is a secret), and what it
must be.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from .backends.base import Backend
from .errors import ConfigurationError
from .serializers import SERIALIZERS

Check = Callable[[str, Any], Any]

RESERVED_INDEX_NAMES = frozenset(
    {"self", "session_id", "keep_current", "epoch", "durable", "actor", "reason"}
    | {"limit", "after"}
)
"""The other arguments of the methods that take an index as a keyword."""
MAX_LIFETIME = 400 * 86400
"""Seconds; browsers cut a cookie's life there (RFC 6265bis, section 5.5)."""


def _wrong(key: str, value: object, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"{key} is {value!r}, but must be {remedy}.")


def _wrong_type(key: str, value: object, remedy: str) -> ConfigurationError:
    """Return the error for a value that may be a secret."""
    kind = type(value).__name__
    return ConfigurationError(f"{key} is a {kind}, but must be {remedy}.")


def or_none(check: Check) -> Check:
    """Return `check`, but for None, which it takes as it is."""
    return lambda key, value: None if value is None else check(key, value)


def _must_be(remedy: str, fits: Callable[[Any], bool]) -> Check:
    """Return a check that takes the values that fit, as they are."""

    def check(key: str, value: Any) -> Any:
        if fits(value):
            return value
        raise _wrong(key, value, remedy)

    return check


def _text_like(pattern: str, remedy: str) -> Check:
    matches = re.compile(pattern).fullmatch
    return _must_be(remedy, lambda v: isinstance(v, str) and matches(v) is not None)


def one_of(*choices: str, or_callable: bool = False) -> Check:
    return _must_be(
        " or ".join(map(repr, choices)),
        lambda value: value in choices or (or_callable and callable(value)),
    )


def _between(least: int, most: int) -> Check:
    """Return a check for seconds, or a timedelta, which becomes seconds."""

    def check(key: str, value: Any) -> int:
        given = value.total_seconds() if isinstance(value, timedelta) else value
        if isinstance(given, bool) or not isinstance(given, (int, float)):
            raise _wrong(key, value, "a number of seconds or a timedelta")
        if not least <= given <= most:
            limits = f"between {least} and {most} seconds ({most // 86400} days)"
            raise _wrong(key, value, limits)
        return int(given)

    return check


seconds = _between(1, MAX_LIFETIME)
window = _between(180, 3600)
lifetime = _between(0, 36500 * 86400)
"""For as long as Flask and dates can do it."""
positive = _must_be(
    "a positive int", lambda v: isinstance(v, int) and v is not True and v > 0
)
boolean = _must_be("True, False or None", lambda v: isinstance(v, bool))
dbsc = _must_be(
    "True, False or 'required'", lambda v: isinstance(v, bool) or v == "required"
)
metadata = _must_be(
    "True, False or a callable", lambda v: isinstance(v, bool) or callable(v)
)
path = _text_like(
    r"(?a)(/[\w.~-]+)+", "a path without a slash at its end, as in '/dbsc'"
)
key_prefix = _text_like(
    r"(?a)[\w.:-]{1,100}", "1 to 100 ASCII letters, digits or any of _ . : -"
)
serializer = _must_be(
    "'msgpack', 'json' or an object with dumps and loads",
    lambda v: (
        v in SERIALIZERS if isinstance(v, str) else _has_methods(v, "dumps", "loads")
    ),
)

# Flask's own keys

flag = _must_be("True or False", lambda v: v is None or isinstance(v, int))
"""A truth value for Flask, which takes numbers and None, too. Text is always true,
"False" is."""
text = _must_be("a text or None", lambda v: not v or isinstance(v, str))
cookie_name = _text_like(
    r"[^\s=;,\x00-\x20\x7f]+", "a text without spaces and any of = ; ,"
)
same_site = _text_like("(?ai)strict|lax|none", "'Lax', 'Strict', 'None' or None")


def limits(key: str, value: Any) -> Mapping[str, int]:
    if not isinstance(value, Mapping):
        raise _wrong(key, value, "a dict of indexes, as in {'user_id': 5}")
    return {index: positive(f"{key}[{index!r}]", most) for index, most in value.items()}


def paths(key: str, value: Any) -> tuple[str, ...]:
    given = names(key, value)
    if not all(each.startswith("/") for each in given):
        raise _wrong(key, value, "a tuple of paths, as in ('/images/',)")
    return given


def names(key: str, value: Any) -> tuple[str, ...]:
    is_list = isinstance(value, (tuple, list))
    if not is_list or not all(isinstance(name, str) for name in value):
        raise _wrong(key, value, "a tuple of session keys, as in ('user_id',)")
    return tuple(value)


def indexes(
    key: str, value: Any
) -> Mapping[str, tuple[str, ...] | Mapping[str, Callable[[Any], Any] | None]]:
    if not isinstance(value, Mapping):
        raise _wrong(key, value, "a dict, as in {'user_id': ('user_id', '_user_id')}")
    for name in value:
        if not isinstance(name, str) or not name.isidentifier():
            raise _wrong(key, value, "a dict whose keys can be keyword arguments")
        if name in RESERVED_INDEX_NAMES:
            raise _wrong(key, value, f"without {name!r}, which has another meaning")
        if not value[name]:  # a bind() under it would list the session nowhere
            raise _wrong(key, value, f"a dict with a session key for {name!r}")
    return {name: _feeding(f"{key}[{name!r}]", keys) for name, keys in value.items()}


def _feeding(
    key: str, value: Any
) -> tuple[str, ...] | Mapping[str, Callable[[Any], Any] | None]:
    if not isinstance(value, Mapping):
        return names(key, value)
    for feed in value.values():
        if feed is not None and not callable(feed):
            raise _wrong(key, value, "a dict of session keys and callables or None")
    return dict(zip(names(key, tuple(value)), value.values(), strict=True))


def backend(key: str, value: Any) -> str | Backend:
    is_backend = _has_methods(value, "get", "add", "swap", "delete")
    if isinstance(value, str) or (is_backend and not isinstance(value, type)):
        backend: str | Backend = value
        return backend
    raise _wrong_type(key, value, "a URL like 'redis://localhost:6379/0' or a Backend")


def secret(key: str, value: Any) -> str | bytes:
    if not isinstance(value, (str, bytes)):
        raise _wrong_type(key, value, "a str or bytes")
    return value


def secrets(key: str, value: Any) -> list[str | bytes]:
    given = value or ()
    if isinstance(given, (str, bytes)):
        raise ConfigurationError(
            f"{key} is one text, of which each character would be a key: it must be a"
            " list of keys."
        )
    if not isinstance(given, (list, tuple)):
        raise _wrong_type(key, given, "a list of keys")
    return [secret(f"{key}[{number}]", each) for number, each in enumerate(given)]


def encryption_keys(key: str, value: Any) -> Any:
    """The keys themselves, or who will know them."""
    if not importlib.util.find_spec("cryptography"):
        raise ConfigurationError(
            f"{key} needs cryptography: pip install 'flask-srvsession[encryption]'."
        )
    if callable(value):
        return value
    if not isinstance(value, (list, tuple)):
        raise _wrong_type(key, value, "a list of keys")
    keys = value[:-1] if value and value[-1] is None else value
    if not keys:
        raise ConfigurationError(f"{key} has no key: leave it out to encrypt nothing.")
    for number, each in enumerate(keys):
        if not callable(each):
            encryption_key(f"{key}[{number}]", each)
    return value


def encryption_key(key: str, value: Any) -> bytes:
    if isinstance(value, str):
        with suppress(ValueError):
            value = bytes.fromhex(value)
    if not isinstance(value, bytes) or len(value) != 32:
        raise ConfigurationError(
            f"{key} must be 32 random bytes, or 64 hex digits: python -c"
            " 'import secrets; print(secrets.token_hex(32))' makes some."
        )
    return value


def _has_methods(value: Any, *names: str) -> bool:
    return all(callable(getattr(value, name, None)) for name in names)
