"""What a request has done to its session, and what becomes of the cookie."""

from __future__ import annotations

import enum
from typing import Any

NAMING = ("sub", "id", "user_id", "username", "email")
"""What names the user in a dict that is the value of a login key."""


class State(enum.Enum):
    """What a request has done to its session, as far as saving is concerned."""

    UNTOUCHED = enum.auto()
    READ = enum.auto()
    CHANGED = enum.auto()
    NEW = enum.auto()
    REPLACED = enum.auto()  # somebody logged in or out, or clear() and then writes
    CLEARED = enum.auto()
    EMPTIED = enum.auto()


class Cookie(enum.Enum):
    """What happens to the cookie, where it is not set to a :class:`Credential`."""

    KEEP = enum.auto()
    DELETE = enum.auto()


class Login(enum.Enum):
    """What a request has done to the keys that say who is logged in."""

    SAME = enum.auto()
    IN = enum.auto()
    OUT = enum.auto()


def is_login(before: Any, after: Any) -> bool:
    """Whether a login key says somebody else now; of a dict about a user, which may
    well be changed for other reasons, what names the user counts."""
    if after is None or before is None:
        return after is not None
    if isinstance(before, dict) and isinstance(after, dict):
        return any(before.get(name) != after.get(name) for name in NAMING)
    both_are_lists = isinstance(before, list) and isinstance(after, list)
    return not both_are_lists and bool(before != after)
