"""Mistakes in the configuration of an app, and their remedies."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from flask import Flask

from .. import values
from ..backends.health import Finding, a_warning, an_error, an_info
from ..config import PREFIX, Settings, nearest_key, wrong_flask_keys
from ..interface import other_interface
from ..login_keys import LOGIN_KEYS, looks_like_identity

MIN_SECRET = 16
"""Bytes; a shorter key can be guessed by trying."""

_SIMILAR = 0.85
"""From here up to 1, one text may be a misspelt other one."""

_KNOWN = {*Flask.default_config, "SESSION_PROTECTION"}
"""Keys of Flask, and one of Flask-Login's that looks like these."""
_DISTINCT = 6
_WELL_KNOWN = (
    "admin app changeit changeme default dev devkey development flask insecure "
    "key mysecret mysecretkey notsecret password secret secretkey secretkeyhere "
    "supersecret supersecretkey test testing thisisasecret todo verysecret "
    "verysecretkey yoursecretkey yoursecretkeyhere alongrandomtext "
    "changemealongrandomtext thekeythatyouhave 5y2lf4q8z "
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf"
)
"""Letters and digits only; the last ones are from our documentation, and
two from Flask's."""


def check_configuration(app: Flask, settings: Settings) -> Iterator[Finding]:
    """Yield the mistakes in the configuration of `app`.

    `settings` are those of its ``SRVSESSION_`` keys. No value of a secret key is
    repeated.
    """
    config = {**app.config, "SECRET_KEY": app.secret_key}
    wrong = dict(wrong_flask_keys(config))
    for key, error in wrong.items():
        yield an_error(key, str(error), "Correct it: requests fail of it.")
    if "PERMANENT_SESSION_LIFETIME" not in wrong:
        config["PERMANENT_SESSION_LIFETIME"] = app.permanent_session_lifetime
    config.update((key, Flask.default_config[key]) for key in wrong)
    for finding in _of_sound_configuration(config, settings):
        if finding.key not in wrong:
            yield finding
    if other := other_interface(app):
        yield an_error(
            "session_interface",
            f"{other} was set after ServerSession: it"
            " keeps the sessions of this app, and these commands do not see them.",
            "Take out the other extension, Flask-Session for example.",
        )
    if hasattr(app, "login_manager"):
        name = config.get("REMEMBER_COOKIE_NAME", "remember_token")
        yield a_warning(
            "REMEMBER_COOKIE_NAME",
            f"Flask-Login's cookie {name!r} logs in without asking the storage: it"
            " survives revoke() and revoke_all().",
            "Do not use login_user(remember=True) but a permanent session, or let"
            " get_id() depend on something that revoking changes.",
        )


def _of_sound_configuration(
    config: Mapping[str, Any], settings: Settings
) -> Iterator[Finding]:
    key = "PERMANENT_SESSION_LIFETIME"
    permanent = values.lifetime(key, config[key])
    settings = settings.resolved(timedelta(seconds=permanent))
    yield from _strangers(config)
    yield from _secret_keys(config)
    yield from _cookie_name(config)
    yield from _cookie_flags(config)
    yield from _lifetimes(permanent, settings)
    yield from _login_keys(settings)
    if settings.max_per_key == {}:
        yield a_warning(
            "SRVSESSION_MAX_PER_KEY",
            "It is empty, so nothing is limited.",
            "Say how many, as in {'user_id': 5}.",
        )


def _strangers(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the keys that look like one of ours, or of Flask's, and are none."""
    for key in map(str, config):
        name = key.removeprefix("SESSION_")
        if key in _KNOWN or key.startswith(PREFIX) or config.get(key) is None:
            continue
        if name != key:
            flasks = difflib.get_close_matches(key, _KNOWN, 1, cutoff=_SIMILAR)
            meant = nearest_key(PREFIX + name, _SIMILAR) or next(iter(flasks), None)
        elif difflib.get_close_matches(_start(key), [_start(PREFIX)], cutoff=_SIMILAR):
            meant = nearest_key(key.upper())
        else:
            continue
        remedy = f"Did you mean {meant}? Else take it out." if meant else "Take it out."
        problem = "Neither Flask nor ServerSession reads this key."
        yield a_warning(key, problem, remedy)


def _start(key: str) -> str:
    """Return as many letters of `key` as our keys begin with."""
    return re.sub(r"[^A-Z]", "", key.upper())[: len(PREFIX) - 1]


def _secret_keys(config: Mapping[str, Any]) -> Iterator[Finding]:
    if not config["SECRET_KEY"]:
        yield an_error(
            "SECRET_KEY",
            "It is not set: there are no sessions.",
            "Set it to the output of: python -c 'import secrets;"
            " print(secrets.token_hex())'",
        )
    else:
        yield from _secret("SECRET_KEY", config["SECRET_KEY"])
    for number, key in enumerate(config["SECRET_KEY_FALLBACKS"] or ()):
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
    yield an_error(name, problem, remedy)


def _cookie_name(config: Mapping[str, Any]) -> Iterator[Finding]:
    name = config["SESSION_COOKIE_NAME"]
    is_host = name.lower().startswith("__host-")
    secure = [] if is_secure(config) else ["SESSION_COOKIE_SECURE = True"]
    own_host = []
    if config["SESSION_COOKIE_DOMAIN"]:
        own_host.append("no SESSION_COOKIE_DOMAIN")
    if (config["SESSION_COOKIE_PATH"] or config["APPLICATION_ROOT"]) != "/":
        own_host.append('SESSION_COOKIE_PATH = "/"')
    prefixed = name.lower().startswith(("__host-", "__secure-"))
    broken = (secure if prefixed else []) + (own_host if is_host else [])
    if not (is_host or secure or own_host):
        yield an_info(
            "SESSION_COOKIE_NAME",
            f"Another host of the same domain can plant a cookie called {name!r}.",
            "Call it '__Host-session': browsers take that from this host only.",
        )
    if broken:
        yield an_error(
            "SESSION_COOKIE_NAME",
            f"Browsers refuse a cookie called {name!r} without"
            f" {' and '.join(broken)}: nobody can log in.",
            f"Set {' and '.join(broken)}, or give it another name.",
        )


def _cookie_flags(config: Mapping[str, Any]) -> Iterator[Finding]:
    secure, same_site = is_secure(config), config["SESSION_COOKIE_SAMESITE"]
    if not secure:
        yield a_warning(
            "SESSION_COOKIE_SECURE",
            "The cookie is also sent over unencrypted HTTP, where it can be copied.",
            "Set it to True where the app is served over HTTPS.",
        )
    if not config["SESSION_COOKIE_HTTPONLY"]:
        yield a_warning(
            "SESSION_COOKIE_HTTPONLY",
            "JavaScript can read the cookie, that of an attacker included.",
            "Set it to True.",
        )
    if not same_site:
        yield an_info(
            "SESSION_COOKIE_SAMESITE",
            "It is not set, and browsers differ in what they make of that.",
            "Set it to 'Lax'.",
        )
    elif same_site.lower() == "none" and not secure:
        yield an_error(
            "SESSION_COOKIE_SAMESITE",
            "Browsers refuse a cookie with SameSite=None that is not Secure.",
            "Set SESSION_COOKIE_SECURE = True, or SESSION_COOKIE_SAMESITE to 'Lax'.",
        )

    if domain := config["SESSION_COOKIE_DOMAIN"]:
        yield a_warning(
            "SESSION_COOKIE_DOMAIN",
            f"Every host below {domain!r} gets the cookie, and can set another one.",
            "Leave it unset, so that only this host gets the cookie.",
        )


def is_secure(config: Mapping[str, Any]) -> bool:
    """Return whether the cookie is Secure, which a partitioned one is always."""
    return bool(config["SESSION_COOKIE_SECURE"] or config["SESSION_COOKIE_PARTITIONED"])


def _lifetimes(permanent: int, settings: Settings) -> Iterator[Finding]:
    idle, absolute = settings.idle_timeout, settings.absolute_lifetime
    every = settings.rotate_every
    if idle > absolute:
        yield a_warning(
            "SRVSESSION_IDLE_TIMEOUT",
            f"{_says(idle)} without use never pass: SRVSESSION_ABSOLUTE_LIFETIME ends"
            f" each session after {_says(absolute)}.",
            "Lower the one (or PERMANENT_SESSION_LIFETIME, its default) or raise the"
            " other.",
        )
    if permanent > values.MAX_LIFETIME:
        yield a_warning(
            "PERMANENT_SESSION_LIFETIME",
            f"Browsers cut the {_says(permanent)} to 400 days.",
            "Set at most timedelta(days=400).",
        )
    if idle > permanent:
        yield an_info(
            "PERMANENT_SESSION_LIFETIME",
            f"The cookie of a permanent session ends after {_says(permanent)}, the"
            f" session itself only after {_says(idle)} without use.",
            "Make PERMANENT_SESSION_LIFETIME at least SRVSESSION_IDLE_TIMEOUT.",
        )
    if every is None:
        yield an_info(
            "SRVSESSION_ROTATE_EVERY",
            "Rotation is off: a copied cookie is never noticed.",
            "Leave it out, or set a number of seconds.",
        )
    elif every >= absolute:
        yield a_warning(
            "SRVSESSION_ROTATE_EVERY",
            f"No session lives so long ({_says(every)}): no token is ever replaced.",
            "Make it shorter than SRVSESSION_ABSOLUTE_LIFETIME.",
        )


def _login_keys(settings: Settings) -> Iterator[Finding]:
    key, remedy = "SRVSESSION_LOGIN_KEYS", "Leave it out, or add to LOGIN_KEYS."
    if not settings.login_keys:
        problem = "It is empty: a login by any key that feeds no index keeps the id."
        yield a_warning(key, problem, remedy)
    for name in settings.login_keys:
        close = difflib.get_close_matches(name, LOGIN_KEYS, n=1, cutoff=_SIMILAR)
        if close and name not in LOGIN_KEYS and close[0] not in settings.login_keys:
            problem = f"It has {name!r}, which looks like a misspelt {close[0]!r}."
            yield a_warning(key, problem, "Correct it, or have both.")
    for index, keys in settings.indexes.items():
        unsafe = [k for k in keys if k in settings.not_login_keys]
        if len(unsafe) == len(keys) and any(map(looks_like_identity, unsafe)):
            yield a_warning(
                "SRVSESSION_NOT_LOGIN_KEYS",
                f"No key of the index {index!r} is a login key: a planted cookie stays"
                " valid when somebody logs in by it.",
                "Take one of them out of it.",
            )


def _says(seconds: int) -> str:
    return str(timedelta(seconds=seconds))
