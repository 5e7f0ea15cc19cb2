"""Which session keys say who is logged in, and how a value of one names the user."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import Any
from uuid import UUID

log = logging.getLogger("flask_srvsession")

ABOUT = ("profile", "userinfo", "oidc_auth_profile", "id_token")
"""Keys of which only a dict names the user: a text is no more than a token, say."""

IDENTITY_KEYS = (
    *("user_id", "_user_id", "username", "user", "id", "uid", "userid", "user_name"),
    *("current_user", "account", "account_id", "member_id", "customer_id", "email"),
    *("identity.id", "_logged_in_user", "CAS_USERNAME", "simple_username"),
    *("samlNameId", "DISCORD_USER_ID", "openid"),
    *ABOUT,
)
"""Keys that apps and login libraries name the user by, the surest first."""

LOGIN_KEYS = (
    *IDENTITY_KEYS,
    *("logged_in", "loggedin", "is_logged_in", "simple_logged_in", "authenticated"),
    *("is_authenticated", "last_authenticated", "identity.auth_type", "identity.name"),
    *("oidc_auth_token", "*_oauth_token", "DISCORD_OAUTH2_TOKEN", "access_token"),
    *("refresh_token", "id_token_jwt"),
    *("samlUserdata", "_CAS_TOKEN", "_multipass_login_provider"),
)
"""The default of ``SRVSESSION_LOGIN_KEYS``: those, and others that only
tell that somebody is logged in."""

NAMING = (
    *("sub", "id", "_id", "user_id", "uid", "username", "email"),
    *("userid", "user_name", "login", "uuid"),
)
"""The keys that name the user in a dict that is the value of a login key."""

INSIDE = ("userinfo", "user", "profile", "claims")
"""The keys under which such a dict may hold another one that names the user: an OAuth
token does, which changes every hour while the user stays."""

Feed = Callable[[Any], Any]
"""Returns the text that the value of a session key feeds an index."""

_MOST_KNOWN = 4096
"""Keys of which a process remembers whether they are login keys."""

_PERSON = (
    "user|usr|uid|member|account|customer|client|student|teacher|employee|staff|admin"
    "|person|patient|player|login|principal|identity"
)
_LOOKS_LIKE_IDENTITY = re.compile(
    rf"_*(?:(?:is|current|my|auth|session|logged(?:_?in)?|login|active)_)*"
    rf"(?:(?:{_PERSON})(?:_?(?:id|name|no|number|uid|uuid|pk|email|mail|key|token))?"
    rf"|(?:\w+_)?(?:is_?)?(?:(?:logged|signed)_?(?:in|on)|auth(?:ed|enticated))(?:_(?:as|user))?"
    rf"|(?:e_?)?mail(?:_address)?|(?:\w+_)?(?:access|auth|id|bearer|refresh|oauth)_?token"
    rf"|(?:\w+_)?(?:token|jwt)|(?:\w+_)?userinfo|(?:\w+_)?profile|sub)"
)
_NO_IDENTITY = re.compile(r"(?:\w+_)?_?(?:csrf|xsrf|request|form|reset)_?token")


class LoginKeys(dict[str, bool]):
    """Tells of a session key whether it is a login key: ``keys["user_id"]``.

    A key that looks like one and is none is warned about, once.
    """

    def __init__(
        self, keys: Iterable[str], more: Iterable[str], none: Collection[str]
    ) -> None:
        super().__init__(dict.fromkeys(none, False))
        self.among: Callable[[Iterable[str]], Iterator[str]]
        self.among = partial(filter, self.__getitem__)
        """Yields those of some keys that are login keys."""
        given = [*keys, *more]
        self._patterns = [key for key in given if is_pattern(key)]
        self.update({key: True for key in given if key not in none})
        self._naming = frozenset(naming(self.among(given)))
        self._unnamed: set[str] = set()

    def __missing__(self, key: str) -> bool:
        if not isinstance(key, str):
            return False  # somebody asks for a key that no session can have
        found = any(fnmatchcase(key, pattern) for pattern in self._patterns)
        if len(self) < _MOST_KNOWN:
            self[key] = found
            if not found and looks_like_identity(key):
                log.warning(
                    "the session key %r looks as if it said who is logged in, but is no"
                    " login key: the session keeps its id when it is set. Add it to"
                    " SRVSESSION_LOGIN_KEYS, or, if it says nothing like that, to"
                    " SRVSESSION_NOT_LOGIN_KEYS.",
                    key[:80],
                )
        return found

    def name(self, key: str, value: object) -> str | None:
        """Return how the login key `key` names the user, None if it does not."""
        if isinstance(value, Mapping) or (key in self._naming and key not in ABOUT):
            return name_of(value)
        return None

    def warn_of_unnamed(self, key: str, value: object) -> None:
        """Warn, once, if `value`, with which `key` was just changed, is a dict that
        names nobody."""
        told = key in self._unnamed or key not in self._naming or key in ABOUT
        if not told and isinstance(value, Mapping) and not names_in(value):
            self._unnamed.add(key)
            log.warning(
                "session[%r] is a dict that does not name the user: each change of it"
                " counts as a login, and gives the session a new id. Put one of %s into"
                " it, or, if it does not say who is logged in, its key into"
                " SRVSESSION_NOT_LOGIN_KEYS.",
                *(key, ", ".join(NAMING)),
            )


def is_pattern(key: str) -> bool:
    """Return whether it stands for several session keys."""
    return any(sign in key for sign in "*?[")


def looks_like_identity(key: str) -> bool:
    """Return whether a session key seems to say who is logged in."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[-.: ]", "_", key).lower()
    if _NO_IDENTITY.fullmatch(plain):
        return False
    return _LOOKS_LIKE_IDENTITY.fullmatch(plain) is not None


def naming(keys: Iterable[str]) -> tuple[str, ...]:
    """Return those of the login keys that name somebody, in their order."""
    flags = set(LOGIN_KEYS) - set(IDENTITY_KEYS)
    return tuple(key for key in keys if key not in flags and not is_pattern(key))


def default_index(keys: Iterable[str]) -> dict[str, Feed | None]:
    """Return the session keys that feed the index ``user_id`` where the app does not
    say: the login keys that name somebody; `user_id` alone, if there is none."""
    fed = naming(keys) or ("user_id",)
    return {key: _dict_only if key in ABOUT else None for key in fed}


def _dict_only(value: object) -> str | None:
    return name_of(value) if isinstance(value, Mapping) else None


def is_nobody(value: object) -> bool:
    """Return whether a login key with this value says that nobody is logged in."""
    empty = isinstance(value, (str, dict, list, tuple)) and not value
    return value is None or value is False or empty


def names_in(about: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the values that name the user in a dict, or in one inside of it."""
    found = {name: about[name] for name in NAMING if name in about}
    inside = [about[key] for key in INSIDE if isinstance(about.get(key), dict)]
    return found or next(filter(None, map(names_in, inside)), {})


def name_of(value: object) -> str | None:
    """Return how `value` names a user, so that 42 and "42" are the same, as a dict
    with one of :data:`NAMING` does; None if it does not, as an empty text."""
    if isinstance(value, str):
        return str.__str__(value) or None  # an enum's own __str__ would give its name
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__repr__(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return next(filter(None, map(name_of, names_in(value).values())), None)
    return None
