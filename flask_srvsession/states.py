"""What a request has done to its session, and what becomes of the cookie."""

from __future__ import annotations

import enum


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
