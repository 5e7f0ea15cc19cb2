"""Every ``SRVSESSION_*`` key: its default, its meaning and its values."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from . import values
from .backends.base import Backend
from .errors import ConfigurationError
from .login_keys import LOGIN_KEYS, Feed, LoginKeys, default_index
from .serializers import Serializer

if TYPE_CHECKING:
    from flask import Flask, Request

    from .info import SessionInfo

PREFIX = "SRVSESSION_"
_BACKEND_WORDS = frozenset({"REDIS", "TYPE", "URL", "URI"})
"""Words in the name of a key that other extensions, and people, give the backend."""


def _key(default: Any, check: values.Check, *, shown: bool = True) -> Any:
    """Declare a key. The text below it is its line in the documentation."""
    return dataclasses.field(
        default_factory=lambda: default, metadata={"check": check}, repr=shown
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The checked configuration; durations are seconds.

    `idle_timeout` and `touch_interval` stay None until :meth:`resolved`.
    """

    backend: str | Backend = _key("memory://", values.backend, shown=False)
    """Where sessions are stored: a URL, or a backend object."""
    key_prefix: str = _key(None, values.or_none(values.key_prefix))
    """The beginning of every store key, and part of the cookie's signature: two apps
    with different prefixes share nothing. None: the app's name + ":session:"."""
    idle_timeout: int = _key(None, values.or_none(values.seconds))
    """How long an unused session lives. Every write and, at most every TOUCH_INTERVAL,
    a read starts it anew. None: PERMANENT_SESSION_LIFETIME."""
    anonymous_timeout: int = _key(86400, values.seconds)
    """How long an unused session lives in which nobody is logged in; at most
    IDLE_TIMEOUT."""
    absolute_lifetime: int = _key(90 * 86400, values.seconds)
    """How long a session lives at most, counted from the login."""
    touch_interval: int = _key(None, values.or_none(values.seconds))
    """How often a session that is only read is renewed in the store; at most half the
    idle timeout. None: a tenth of it, between 1 second and 5 minutes."""
    indexes: Mapping[str, Sequence[str] | Mapping[str, Feed | None]] = _key(
        {"user_id": default_index(LOGIN_KEYS)}, values.indexes
    )
    """Index name -> the session keys that feed it: of those that are there, the first
    counts. A dict of them may have callables that make the index value of a key's
    value. find, revoke_all, epoch and bind take the name as a keyword."""
    login_keys: tuple[str, ...] = _key(LOGIN_KEYS, values.names)
    """Session keys that say who is logged in, patterns such as *_oauth_token among
    them, and those of all indexes as well: when one appears, disappears or changes, the
    session gets a new id. Of a dict, sub, id, user_id, username and email count, or, if
    it has none of them, all that is in it."""
    not_login_keys: tuple[str, ...] = _key((), values.names)
    """Session keys that say nothing about who is logged in, though LOGIN_KEYS or their
    names say so."""
    drop_at_login: tuple[str, ...] = _key(
        ("csrf_token", "_csrf_token", "csrf", "_csrf", "xsrf_token", "_xsrf_token"),
        values.names,
    )
    """Session keys that do not survive a login if they were stored before it, since
    somebody else may know them; WTF_CSRF_FIELD_NAME always is one."""
    rotate_every: int | None = _key(15 * 60, values.or_none(values.seconds))
    """How old a cookie's token gets before it is replaced; at least twice ROTATE_GRACE.
    None: for ever."""
    rotate_grace: int = _key(2 * 60, values.seconds)
    """How long requests in flight may still use the token before the last."""
    on_replay: Literal["revoke", "reject"] | Callable[[SessionInfo], Any] = _key(
        "revoke", values.one_of("revoke", "reject", or_callable=True)
    )
    """The effect of an outdated token: "revoke" ends the session, "reject" only
    refuses, a callable gets the SessionInfo and decides: the request that used it is
    refused in any case."""
    max_per_key: Mapping[str, int] | None = _key(None, values.or_none(values.limits))
    """Index name -> how many sessions a value of it may have at once: {"user_id": 5}.
    None: any number."""
    max_per_key_policy: Literal["evict-oldest", "reject"] = _key(
        "evict-oldest", values.one_of("evict-oldest", "reject")
    )
    """The effect of a login at that limit: "evict-oldest" ends the oldest session,
    "reject" raises TooManySessions."""
    serializer: Literal["msgpack", "json"] | Serializer = _key(
        "msgpack", values.serializer
    )
    """How values are stored: "msgpack", "json" (Flask's tagged JSON), or an object with
    dumps and loads."""
    max_payload: int = _key(256 * 1024, values.positive)
    """How many bytes a session may have; above, SessionTooLarge. A storage may take
    less."""
    metadata: bool | Callable[[Request], Mapping[str, Any] | None] = _key(
        False, values.metadata
    )
    """The client in SessionInfo.meta: False nothing, True a shortened IP address (ip)
    and the user agent (agent); a callable gets the request and returns a dict of values
    for MessagePack, or None."""
    sweep_every: int | None = _key(None, values.or_none(values.seconds))
    """How often one of the app's processes removes expired records, where the storage
    does not: SQL. None: never, flask sessions sweep does it."""
    encryption_keys: Sequence[Any] | Callable[[], Sequence[Any]] | None = _key(
        None, values.or_none(values.encryption_keys), shown=False
    )
    """Keys that encrypt records, oldest first: 32 bytes or 64 hex digits each, or a
    callable that returns one; or a callable that returns all of them. The last one
    encrypts; with None as the last one they only decrypt."""
    fenced_load: bool | None = _key(None, values.or_none(values.boolean))
    """Whether every load of a logged-in session asks its index, too (one more command).
    None: where the storage may lose an index on its own."""

    dbsc: Literal[False, True, "required"] = _key(False, values.dbsc)
    """Whether sessions are bound to the device (DBSC): True where the browser can,
    "required" ends a login that is not bound within a minute."""
    dbsc_path: str = _key("/dbsc", values.path)
    """The path below which browsers register devices and prove them."""
    dbsc_window: int = _key(10 * 60, values.window)
    """How long a proof of the device is good: so long may a thief use a copy of all
    cookies. From 180 to 3600."""
    dbsc_exclude: tuple[str, ...] = _key((), values.paths)
    """Paths of requests that need no session begin so: these do not wait for a proof.
    The static files of the app are excluded anyway."""
    dbsc_initiators: tuple[str, ...] = _key((), values.names)
    """Other sites whose links may make the browser prove itself, as in ("*",) or
    ("example.org",). Otherwise such a link loads one short page more."""

    @cached_property
    def logins(self) -> LoginKeys:
        """Tells of each session key whether it is a login key."""
        return LoginKeys(self.login_keys, self.feeding, self.not_login_keys)

    @cached_property
    def feeding(self) -> frozenset[str]:
        """The session keys that feed an index."""
        return frozenset(key for keys in self.indexes.values() for key in keys)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], app_name: str) -> Settings:
        """Return the settings in `config`; ConfigurationError names the mistake."""
        check_flask_keys(config)
        _reject_unknown(config)
        given = {
            field.name: field.metadata["check"](key, config[key])
            for key, field in _fields().items()
            if key in config
        }
        if given.get("key_prefix") is None:
            safe_name = re.sub(r"[^\w.-]", "_", app_name, flags=re.A)
            given["key_prefix"] = f"{safe_name[:80]}:session:"
        if "indexes" not in given:
            none = given.get("not_login_keys", ())
            keys = [k for k in given.get("login_keys", LOGIN_KEYS) if k not in none]
            given["indexes"] = {"user_id": default_index(keys)}
        settings = cls(**given)
        _check_rotation(settings)
        _check_limits(settings)
        return settings

    def resolved(self, permanent_lifetime: timedelta) -> Settings:
        """Return the settings, with those that depend on Flask's own keys filled in."""
        idle = self.idle_timeout or max(1, int(permanent_lifetime.total_seconds()))
        default = min(max(1, idle // 10), 300)
        anonymous = min(self.anonymous_timeout, idle)
        touch = min(self.touch_interval or default, max(1, anonymous // 2))
        return dataclasses.replace(
            self,
            idle_timeout=idle,
            anonymous_timeout=anonymous,
            touch_interval=touch,
        )


def check_flask_keys(config: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for the first of Flask's own keys that cannot work."""
    for _, error in wrong_flask_keys(config):
        raise error


def check_unchanged(
    settings: Settings, config: Mapping[str, Any], app_name: str
) -> None:
    """Raise ConfigurationError for the first key that has another value than when the
    `settings` were made of it: that would have no effect. Raises it for Flask's own
    keys, too, if one of them cannot work."""
    present = Settings.from_config(config, app_name)
    for key, field in _fields().items():
        if getattr(present, field.name) != getattr(settings, field.name):
            raise ConfigurationError(
                f"{key} was changed after ServerSession(app) had read it: set it"
                " before."
            )


def wrong_flask_keys(
    config: Mapping[str, Any],
) -> Iterator[tuple[str, ConfigurationError]]:
    """Yield each of Flask's own keys that cannot work, and why."""
    for key, check in _FLASK_KEYS.items():
        try:
            if key in config:
                check(key, config[key])
        except ConfigurationError as error:
            yield key, error


def secret_keys(app: Flask) -> list[Any]:
    """Return the app's keys, oldest first; ConfigurationError if they cannot be. The
    newest is ``app.secret_key``, with which Flask signs: a class may define it."""
    key = "SECRET_KEY_FALLBACKS"
    return [*values.secrets(key, app.config.get(key)), app.secret_key]


def nearest_key(name: str, cutoff: float = 0.0) -> str | None:
    """Return the key that `name` seems to mean, if one is as similar as `cutoff`."""
    if _BACKEND_WORDS.intersection(name.upper().split("_")):
        return f"{PREFIX}BACKEND"
    close = difflib.get_close_matches(name, _fields(), n=1, cutoff=cutoff)
    return close[0] if close else None


def _fields() -> dict[str, dataclasses.Field[Any]]:
    return {PREFIX + f.name.upper(): f for f in dataclasses.fields(Settings)}


def _reject_unknown(config: Mapping[str, Any]) -> None:
    for key in config:
        if isinstance(key, str) and key.startswith(PREFIX) and key not in _fields():
            raise ConfigurationError(
                f"{key} is not a key; did you mean {nearest_key(key)}?"
            )


def _check_rotation(settings: Settings) -> None:
    """See that a token is replaced when the grace of the one before it is over, with
    time to spare: a request in flight would fall out of its grace otherwise."""
    every, grace = settings.rotate_every, settings.rotate_grace
    if every is not None and every < 2 * grace:
        raise ConfigurationError(
            f"SRVSESSION_ROTATE_EVERY is {every} s, but must be at least twice "
            f"SRVSESSION_ROTATE_GRACE ({grace} s): raise the one or lower the other."
        )


def _check_limits(settings: Settings) -> None:
    for index in settings.max_per_key or ():
        if index not in settings.indexes:
            raise ConfigurationError(
                f"SRVSESSION_MAX_PER_KEY is {settings.max_per_key!r}, but must be a"
                f" dict of indexes: SRVSESSION_INDEXES has {sorted(settings.indexes)}."
            )


_FLASK_KEYS: Mapping[str, values.Check] = {
    "SECRET_KEY": values.or_none(values.secret),
    "SECRET_KEY_FALLBACKS": values.secrets,
    "PERMANENT_SESSION_LIFETIME": values.lifetime,
    "SESSION_COOKIE_NAME": values.cookie_name,
    "SESSION_COOKIE_DOMAIN": values.text,
    "SESSION_COOKIE_PATH": values.text,
    "APPLICATION_ROOT": values.text,
    "SESSION_COOKIE_SECURE": values.flag,
    "SESSION_COOKIE_HTTPONLY": values.flag,
    "SESSION_COOKIE_PARTITIONED": values.flag,
    "SESSION_COOKIE_SAMESITE": values.or_none(values.same_site),
    "SESSION_REFRESH_EACH_REQUEST": values.flag,
}
