"""The login keys of a session, and the changes that a request has made to them.

``SRVSESSION_LOGIN_KEYS`` are those that tell who is logged in: a session in which one
appears, disappears or says somebody else gets a new id.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Any

from .draft import Draft

NAMING = ("sub", "id", "_id", "user_id", "uid", "username", "email")
"""The keys that name the user in a dict that is the value of a login key."""

INSIDE = ("userinfo", "user", "profile", "claims")
"""The keys under which such a dict may hold another one that names the user: an OAuth
token does, which changes every hour while the user stays."""


class Login(enum.Enum):
    """The effect of a request on the keys that say who is logged in."""

    SAME = enum.auto()
    IN = enum.auto()
    OUT = enum.auto()


def change_of_login(draft: Draft, keys: Collection[str]) -> Login:
    """Return the change of the login `keys`; a login outweighs a logout."""
    login = Login.SAME
    for key in draft.touched(keys):
        before, after = draft.before(key), draft.get(key)
        if is_login(before, after):
            return Login.IN
        if before is not None and after is None:
            login = Login.OUT
    return login


def is_login(before: Any, after: Any) -> bool:
    """Whether a login key says somebody else now. A dict about a user may well change
    for other reasons: where something names the user, only that counts."""
    if after is None or before is None:
        return after is not None
    if isinstance(before, dict) and isinstance(after, dict):
        named = _names(before), _names(after)
        if named != ({}, {}):
            return named[0] != named[1]
    return bool(before != after)


def _names(about: dict[Any, Any]) -> dict[str, Any]:
    """Return the value that names the user in a dict, or in the first one inside."""
    found = {name: about[name] for name in NAMING if name in about}
    inside = [about[key] for key in INSIDE if isinstance(about.get(key), dict)]
    return found or next(filter(None, map(_names, inside)), {})


def was_anonymous(draft: Draft, keys: Collection[str]) -> bool:
    """Whether the stored values name nobody."""
    return all(draft.stored(key) is None for key in keys)


def is_same_user(draft: Draft, other: Draft, keys: Collection[str]) -> bool:
    """Whether the stored value of one of `keys` names the same user in both."""
    pairs = [(draft.stored(key), other.stored(key)) for key in keys]
    return any(None not in pair and not is_login(*pair) for pair in pairs)


def ends_login(draft: Draft, keys: Collection[str]) -> bool:
    """Return whether somebody was logged in and is not any more: nobody is, or else
    somebody else."""
    was_in = not was_anonymous(draft, keys)
    return was_in and change_of_login(draft, keys) is not Login.SAME
