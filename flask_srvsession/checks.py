"""What is wrong with an app's configuration, and what to do about it. No Flask."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from .backends.health import Finding
from .config import MAX_LIFETIME, Settings

MIN_SECRET = 16
"""Bytes; what is shorter can be guessed by trying."""

_DISTINCT = 6
_WELL_KNOWN = (
    "admin app changeit changeme default dev devkey development flask insecure "
    "key mysecret mysecretkey notsecret password secret secretkey secretkeyhere "
    "supersecret supersecretkey test testing thisisasecret todo verysecret "
    "verysecretkey yoursecretkey yoursecretkeyhere alongrandomtext "
    "changemealongrandomtext thekeythatyouhave 5y2lf4q8z "
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf"
)
"""Without what is no letter or digit; the last ones are from our documentation, and
two from Flask's."""


def check_configuration(
    config: Mapping[str, Any], settings: Settings
) -> Iterator[Finding]:
    """Yield what is to be mended in an app's `config`.

    `settings` are those in it, resolved. No value of a secret key is repeated.
    """
    yield from _secret_keys(config)
    yield from _cookie_name(config)
    yield from _cookie_flags(config)
    yield from _cookie_reach(config)
    yield from _lifetimes(config, settings)
    yield from _rotation(config, settings)
    yield from _indexes(settings)


def check_remember_cookie(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what an app that uses Flask-Login has to know."""
    name = config.get("REMEMBER_COOKIE_NAME", "remember_token")
    yield Finding(
        "warning",
        "REMEMBER_COOKIE_NAME",
        f"Flask-Login's cookie {name!r} logs in without asking the storage: it"
        " survives revoke() and revoke_all().",
        "Do not use login_user(remember=True) but a permanent session, or let"
        " get_id() depend on something that revoking changes.",
    )


def _secret_keys(config: Mapping[str, Any]) -> Iterator[Finding]:
    if not config.get("SECRET_KEY"):
        yield Finding(
            "error",
            "SECRET_KEY",
            "It is not set: there are no sessions.",
            "Set it to the output of: python -c 'import secrets;"
            " print(secrets.token_hex())'",
        )
    else:
        yield from _secret("SECRET_KEY", config["SECRET_KEY"])
    fallbacks: Sequence[str | bytes] = config.get("SECRET_KEY_FALLBACKS") or ()
    for number, key in enumerate(fallbacks):
        yield from _secret(f"SECRET_KEY_FALLBACKS[{number}]", key)


def _secret(name: str, key: str | bytes) -> Iterator[Finding]:
    secret = key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key
    plain = re.sub(r"[^a-z0-9]", "", secret.decode("latin-1").lower())
    if plain in _WELL_KNOWN.split():
        problem = "It is one that everybody knows: anybody can forge cookies."
    elif len(secret) < MIN_SECRET or len(set(secret)) < _DISTINCT:
        problem = "It is too short or too regular: it can be guessed."
    else:
        return
    remedy = "Use 32 random bytes, as secrets.token_hex() makes them"
    remedy += "; take this one out." if "FALLBACKS" in name else "."
    yield Finding("error", name, problem, remedy)


def _cookie_name(config: Mapping[str, Any]) -> Iterator[Finding]:
    name = str(config.get("SESSION_COOKIE_NAME"))
    prefix = name.lower()
    promises = prefix.startswith(("__host-", "__secure-"))
    broken = []
    if promises and not config.get("SESSION_COOKIE_SECURE"):
        broken.append("SESSION_COOKIE_SECURE = True")
    if prefix.startswith("__host-"):
        if config.get("SESSION_COOKIE_DOMAIN"):
            broken.append("no SESSION_COOKIE_DOMAIN")
        if _path(config) != "/":
            broken.append('SESSION_COOKIE_PATH = "/"')
    if broken:
        yield Finding(
            "error",
            "SESSION_COOKIE_NAME",
            f"Browsers refuse a cookie called {name!r} without"
            f" {' and '.join(broken)}: nobody can log in.",
            f"Set {' and '.join(broken)}, or give it another name.",
        )


def _cookie_flags(config: Mapping[str, Any]) -> Iterator[Finding]:
    secure = config.get("SESSION_COOKIE_SECURE")
    if not secure:
        yield Finding(
            "warning",
            "SESSION_COOKIE_SECURE",
            "The cookie is also sent over unencrypted HTTP, where it can be copied.",
            "Set it to True where the app is served over HTTPS.",
        )
    if not config.get("SESSION_COOKIE_HTTPONLY"):
        yield Finding(
            "warning",
            "SESSION_COOKIE_HTTPONLY",
            "JavaScript can read the cookie, that of an attacker included.",
            "Set it to True.",
        )
    same_site = str(config.get("SESSION_COOKIE_SAMESITE")).lower()
    if same_site == "none" and config.get("SESSION_COOKIE_SAMESITE") and not secure:
        yield Finding(
            "error",
            "SESSION_COOKIE_SAMESITE",
            "Browsers refuse a cookie with SameSite=None that is not Secure.",
            "Set SESSION_COOKIE_SECURE = True, or SESSION_COOKIE_SAMESITE to 'Lax'.",
        )
    if config.get("SESSION_COOKIE_PARTITIONED") and not secure:
        yield Finding(
            "error",
            "SESSION_COOKIE_PARTITIONED",
            "Browsers refuse a partitioned cookie that is not Secure.",
            "Set SESSION_COOKIE_SECURE = True.",
        )


def _cookie_reach(config: Mapping[str, Any]) -> Iterator[Finding]:
    if not config.get("SESSION_COOKIE_SAMESITE"):
        yield Finding(
            "info",
            "SESSION_COOKIE_SAMESITE",
            "It is not set, and browsers differ in what they make of that.",
            "Set it to 'Lax'.",
        )
    if domain := config.get("SESSION_COOKIE_DOMAIN"):
        yield Finding(
            "warning",
            "SESSION_COOKIE_DOMAIN",
            f"Every host below {domain!r} gets the cookie, and can set another one.",
            "Leave it unset, so that only this host gets the cookie.",
        )


def _lifetimes(config: Mapping[str, Any], settings: Settings) -> Iterator[Finding]:
    idle, absolute = settings.idle_timeout, settings.absolute_lifetime
    permanent = _permanent(config)
    if idle > absolute:
        yield Finding(
            "warning",
            "SRVSESSION_IDLE_TIMEOUT",
            f"{_says(idle)} without use never pass: SRVSESSION_ABSOLUTE_LIFETIME ends"
            f" each session after {_says(absolute)}.",
            "Lower the one (or PERMANENT_SESSION_LIFETIME, its default) or raise the"
            " other.",
        )
    if permanent > MAX_LIFETIME:
        yield Finding(
            "warning",
            "PERMANENT_SESSION_LIFETIME",
            f"Browsers cut the {_says(permanent)} to 400 days.",
            "Set at most timedelta(days=400).",
        )
    if idle > permanent:
        yield Finding(
            "info",
            "PERMANENT_SESSION_LIFETIME",
            f"The cookie of a permanent session ends after {_says(permanent)}, the"
            f" session itself only after {_says(idle)} without use.",
            "Make PERMANENT_SESSION_LIFETIME at least SRVSESSION_IDLE_TIMEOUT.",
        )


def _rotation(config: Mapping[str, Any], settings: Settings) -> Iterator[Finding]:
    every = settings.rotate_every
    if every is None:
        yield Finding(
            "info",
            "SRVSESSION_ROTATE_EVERY",
            "Rotation is off: a copied cookie is never noticed.",
            "Leave it out, or set a number of seconds.",
        )
        return
    if every >= settings.absolute_lifetime:
        yield Finding(
            "warning",
            "SRVSESSION_ROTATE_EVERY",
            f"No session lives so long ({_says(every)}): no token is ever replaced.",
            "Make it shorter than SRVSESSION_ABSOLUTE_LIFETIME.",
        )
    if config.get("SESSION_REFRESH_EACH_REQUEST"):
        yield Finding(
            "info",
            "SESSION_REFRESH_EACH_REQUEST",
            "It means nothing while tokens rotate: rotation renews the cookie.",
            "Set it to False, or leave it.",
        )


def _indexes(settings: Settings) -> Iterator[Finding]:
    if settings.max_per_key is not None and not settings.indexes:
        yield Finding(
            "warning",
            "SRVSESSION_MAX_PER_KEY",
            "There is no index (SRVSESSION_INDEXES), so nothing is limited.",
            "Say which session key names the user.",
        )


def _path(config: Mapping[str, Any]) -> str:
    path = config.get("SESSION_COOKIE_PATH") or config.get("APPLICATION_ROOT") or "/"
    return str(path)


def _permanent(config: Mapping[str, Any]) -> int:
    """Return PERMANENT_SESSION_LIFETIME in seconds; Flask takes an int, too."""
    lifetime = config["PERMANENT_SESSION_LIFETIME"]
    if isinstance(lifetime, timedelta):
        return int(lifetime.total_seconds())
    return int(lifetime)


def _says(seconds: int) -> str:
    return str(timedelta(seconds=seconds))
