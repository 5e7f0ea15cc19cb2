"""Every ``SRVSESSION_*`` key: its default, what it means, and what it may be."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from .backends.base import Backend
from .errors import ConfigurationError
from .serializers import SERIALIZERS, Serializer

if TYPE_CHECKING:
    from flask import Request

    from .info import SessionInfo

PREFIX = "SRVSESSION_"
RESERVED_INDEX_NAMES = frozenset(
    {"self", "session_id", "keep_current", "epoch", "durable"}
)
"""What the methods that take an index as a keyword call their other arguments."""
MAX_LIFETIME = 400 * 86400
"""Seconds; browsers cut a cookie's life there (RFC 6265bis, section 5.5)."""

_Check = Callable[[str, Any], Any]
"""Takes a key and what it is set to; returns the setting, or raises."""


def _key(default: Any, doc: str) -> Any:
    """Declare a key; `doc` is its line in the documentation."""
    return dataclasses.field(default_factory=lambda: default, metadata={"doc": doc})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The checked configuration; durations are seconds.

    `idle_timeout` and `touch_interval` stay None until :meth:`resolved`.
    """

    backend: str | Backend = _key(
        "memory://", "Where sessions are stored: a URL, or a backend object."
    )
    key_prefix: str = _key(
        None,
        "What every store key begins with, and part of the cookie's signature: two "
        "apps with different prefixes share nothing. None: the app's name + "
        '":session:".',
    )
    idle_timeout: int = _key(
        None,
        "How long an unused session lives. Every write and, at most every "
        "TOUCH_INTERVAL, a read starts it anew. None: PERMANENT_SESSION_LIFETIME.",
    )
    absolute_lifetime: int = _key(
        90 * 86400, "How long a session lives at most, counted from the login."
    )
    touch_interval: int = _key(
        None,
        "How often a session that is only read is renewed in the store; at most half "
        "the idle timeout. None: a tenth of it, between 1 second and 5 minutes.",
    )
    indexes: Mapping[str, tuple[str, ...]] = _key(
        {"user_id": ("user_id", "_user_id")},
        "Index name -> the session keys that feed it. find, revoke_all, epoch and "
        "bind take the name as a keyword.",
    )
    login_keys: tuple[str, ...] = _key(
        ("user_id", "_user_id", "username", "user"),
        "Session keys that say who is logged in: when one appears, disappears or "
        "changes, the session gets a new id. Of a dict, sub, id, user_id, username and "
        "email count, or, if it has none of them, all that is in it.",
    )
    drop_at_login: tuple[str, ...] = _key(
        ("csrf_token",),
        "Session keys that do not survive a login, since somebody else may know them.",
    )
    rotate_every: int | None = _key(
        15 * 60,
        "How old a cookie's token gets before it is replaced; at least twice "
        "ROTATE_GRACE. None: for ever.",
    )
    rotate_grace: int = _key(
        2 * 60, "How long requests in flight may still use the token before the last."
    )
    on_replay: Literal["revoke", "reject"] | Callable[[SessionInfo], Any] = _key(
        "revoke",
        'What the use of an outdated token does: "revoke" ends the session, "reject" '
        "only refuses, a callable gets the SessionInfo and decides: the request that "
        "used it is refused in any case.",
    )
    max_per_key: int | None = _key(
        None, "How many sessions an index value may have at once. None: any number."
    )
    max_per_key_policy: Literal["evict-oldest", "reject"] = _key(
        "evict-oldest",
        'What a login at that limit does: "evict-oldest" ends the oldest session, '
        '"reject" raises TooManySessions.',
    )
    serializer: Literal["msgpack", "json"] | Serializer = _key(
        "msgpack",
        'How values are stored: "msgpack", "json" (Flask\'s tagged JSON), or an '
        "object with dumps and loads.",
    )
    max_payload: int = _key(
        256 * 1024,
        "How many bytes a session may have; above, SessionTooLarge. A storage may take "
        "less.",
    )
    metadata: bool | Callable[[Request], Mapping[str, Any] | None] = _key(
        False,
        "What SessionInfo.meta says of the client: False nothing, True a shortened IP "
        "address (ip) and the user agent (agent); a callable gets the request and "
        "returns a dict of what MessagePack can store, or None.",
    )
    sweep_every: int | None = _key(
        None,
        "How often one of the app's processes removes what has expired, where the "
        "storage does not: SQL. None: never, flask sessions sweep does it.",
    )
    fenced_load: bool | None = _key(
        None,
        "Whether every load of a logged-in session asks its index, too (one more "
        "command). None: where the storage may lose an index on its own.",
    )

    @cached_property
    def identifying_keys(self) -> frozenset[str]:
        """The session keys that decide whose session it is, and who finds it."""
        feeding = (key for keys in self.indexes.values() for key in keys)
        return frozenset({*self.login_keys, *feeding})

    @classmethod
    def from_config(cls, config: Mapping[str, Any], app_name: str) -> Settings:
        """Return the settings in `config`; ConfigurationError says what to mend."""
        _reject_unknown(config)
        secret_keys(config)
        given = {
            name: check(PREFIX + name.upper(), config[PREFIX + name.upper()])
            for name, check in _CHECKS.items()
            if PREFIX + name.upper() in config
        }
        if given.get("key_prefix") is None:
            safe_name = re.sub(r"[^\w.-]", "_", app_name, flags=re.A)
            given["key_prefix"] = f"{safe_name[:80]}:session:"
        settings = cls(**given)
        _check_rotation(settings)
        return settings

    def resolved(self, permanent_lifetime: timedelta) -> Settings:
        """Return the settings with what depends on Flask's own keys filled in."""
        idle = self.idle_timeout or max(1, int(permanent_lifetime.total_seconds()))
        default = min(max(1, idle // 10), 300)
        touch = min(self.touch_interval or default, max(1, idle // 2))
        return dataclasses.replace(self, idle_timeout=idle, touch_interval=touch)


def secret_keys(config: Mapping[str, Any]) -> list[Any]:
    """Return the app's keys, oldest first; ConfigurationError if that is no list."""
    fallbacks = config.get("SECRET_KEY_FALLBACKS") or ()
    if isinstance(fallbacks, (str, bytes)):
        raise ConfigurationError(
            "SECRET_KEY_FALLBACKS is one text, of which each character would be a key: "
            "it must be a list of keys."
        )
    return [*fallbacks, config.get("SECRET_KEY")]


def _reject_unknown(config: Mapping[str, Any]) -> None:
    known = [PREFIX + field.name.upper() for field in dataclasses.fields(Settings)]
    for key in config:
        if isinstance(key, str) and key.startswith(PREFIX) and key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0)
            raise ConfigurationError(f"{key} is not a key; did you mean {close[0]}?")


def _check_rotation(settings: Settings) -> None:
    every, grace = settings.rotate_every, settings.rotate_grace
    if every is not None and every < 2 * grace:
        raise ConfigurationError(
            f"SRVSESSION_ROTATE_EVERY is {every} s, but must be at least twice "
            f"SRVSESSION_ROTATE_GRACE ({grace} s): raise the one or lower the other."
        )


def _wrong(key: str, value: object, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"{key} is {value!r}, but must be {remedy}.")


def _or_none(check: _Check) -> _Check:
    return lambda key, value: None if value is None else check(key, value)


def _seconds(key: str, value: Any) -> int:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise _wrong(key, value, "a number of seconds or a timedelta")
    if not 1 <= seconds <= MAX_LIFETIME:
        raise _wrong(key, value, f"between 1 and {MAX_LIFETIME} seconds (400 days)")
    return int(seconds)


def _positive(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _wrong(key, value, "a positive int")
    return value


def _one_of(*choices: str, or_callable: bool = False) -> _Check:
    def check(key: str, value: Any) -> Any:
        if value in choices or (or_callable and callable(value)):
            return value
        raise _wrong(key, value, " or ".join(repr(choice) for choice in choices))

    return check


def _boolean(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(key, value, "True, False or None")
    return value


def _metadata(key: str, value: Any) -> Any:
    if not isinstance(value, bool) and not callable(value):
        raise _wrong(key, value, "True, False or a callable")
    return value


def _names(key: str, value: Any) -> tuple[str, ...]:
    is_list = isinstance(value, (tuple, list))
    if not is_list or not all(isinstance(name, str) for name in value):
        raise _wrong(key, value, "a tuple of session keys, as in ('user_id',)")
    return tuple(value)


def _indexes(key: str, value: Any) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise _wrong(key, value, "a dict, as in {'user_id': ('user_id', '_user_id')}")
    for name in value:
        if not isinstance(name, str) or not name.isidentifier():
            raise _wrong(key, value, "a dict whose keys can be keyword arguments")
        if name in RESERVED_INDEX_NAMES:
            raise _wrong(key, value, f"without {name!r}, which has another meaning")
        if not value[name]:  # a bind() under it would list the session nowhere
            raise _wrong(key, value, f"a dict with a session key for {name!r}")
    return {name: _names(f"{key}[{name!r}]", keys) for name, keys in value.items()}


def _key_prefix(key: str, value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w.:-]{1,100}", value, re.A):
        raise _wrong(key, value, "1 to 100 ASCII letters, digits or any of _ . : -")
    return value


def _serializer(key: str, value: Any) -> str | Serializer:
    if (isinstance(value, str) and value in SERIALIZERS) or _has_methods(
        value, "dumps", "loads"
    ):
        serializer: str | Serializer = value
        return serializer
    raise _wrong(key, value, "'msgpack', 'json' or an object with dumps and loads")


def _backend(key: str, value: Any) -> str | Backend:
    if isinstance(value, str) or _has_methods(value, "get", "add", "swap", "delete"):
        backend: str | Backend = value
        return backend
    remedy = "a URL like 'redis://localhost:6379/0' or a Backend"
    raise ConfigurationError(
        f"{key} is a {type(value).__name__}, but must be {remedy}."
    )


def _has_methods(value: Any, *names: str) -> bool:
    return all(callable(getattr(value, name, None)) for name in names)


_CHECKS: Mapping[str, _Check] = {
    "backend": _backend,
    "key_prefix": _or_none(_key_prefix),
    "idle_timeout": _or_none(_seconds),
    "absolute_lifetime": _seconds,
    "touch_interval": _or_none(_seconds),
    "indexes": _indexes,
    "login_keys": _names,
    "drop_at_login": _names,
    "rotate_every": _or_none(_seconds),
    "rotate_grace": _seconds,
    "on_replay": _one_of("revoke", "reject", or_callable=True),
    "max_per_key": _or_none(_positive),
    "max_per_key_policy": _one_of("evict-oldest", "reject"),
    "serializer": _serializer,
    "max_payload": _positive,
    "metadata": _metadata,
    "sweep_every": _or_none(_seconds),
    "fenced_load": _or_none(_boolean),
}
