"""The login keys of a session, and the changes that a request has made to them.

``SRVSESSION_LOGIN_KEYS`` are those that tell who is logged in: a session in which one
appears, disappears or says somebody else gets a new id.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Any

from .draft import Draft
from .login_keys import LoginKeys, is_nobody, name_of, names_in


class Login(enum.Enum):
    """The effect of a request on the keys that say who is logged in."""

    SAME = enum.auto()
    IN = enum.auto()
    MORE = enum.auto()  # a further key says so, and the user stays the same
    OUT = enum.auto()


def change_of_login(draft: Draft, logins: LoginKeys) -> Login:
    """Return the change of the login keys; a login outweighs a logout."""
    login = Login.SAME
    for key in logins.among(draft.touched()):
        before, after = draft.before(key), draft.get(key)
        if is_login(before, after):
            if before and isinstance(before, dict):
                logins.warn_of_unnamed(key, after)
            return Login.MORE if _stays(draft, logins) else Login.IN
        if is_nobody(after) and not is_nobody(draft.stored(key)):
            login = Login.OUT
    return login


def _stays(draft: Draft, logins: LoginKeys) -> bool:
    """Whether somebody was logged in by name, and each key still names them."""
    named = False
    for key in logins.among(draft.held):
        name = logins.name(key, draft.before(key))
        if name is not None:
            if logins.name(key, draft.get(key)) != name:
                return False
            named = True
    return named


def is_login(before: Any, after: Any) -> bool:
    """Whether a login key says somebody else now. A dict about a user may well change
    for other reasons: where something names the user, only that counts. 42, "42" and
    a dict of that id are one user."""
    if is_nobody(after):
        return False
    if is_nobody(before):
        return True
    if isinstance(before, dict) and isinstance(after, dict):
        named = names_in(before), names_in(after)
        if named != ({}, {}):
            return named[0] != named[1]
    name = name_of(before)
    return bool(before != after) and (name is None or name != name_of(after))


def was_anonymous(draft: Draft, logins: LoginKeys) -> bool:
    """Whether the stored values name nobody."""
    return all(map(is_nobody, map(draft.stored, logins.among(draft.held))))


def is_same_user(
    draft: Draft, other: Draft, logins: LoginKeys, keys: Collection[str] = ()
) -> bool:
    """Whether a stored login key, one of `keys` if there are any, names the same user
    in both. Where none names anybody, all have to say the same."""
    common = [k for k in logins.among(draft.held) if not keys or k in keys]
    pairs = [(key, draft.stored(key), other.stored(key)) for key in common]
    names = [
        (logins.name(k, ours), logins.name(k, theirs)) for k, ours, theirs in pairs
    ]
    if any(map(any, names)):
        return any(ours and ours == theirs for ours, theirs in names)
    seen = [(ours, theirs) for _, ours, theirs in pairs if not is_nobody(ours)]
    return bool(seen) and not any(
        is_nobody(theirs) or is_login(ours, theirs) for ours, theirs in seen
    )


def names(draft: Draft, logins: LoginKeys) -> set[str]:
    """Return how the stored login keys name the user, each by itself."""
    named = (logins.name(k, draft.stored(k)) for k in logins.among(draft.held))
    return {*filter(None, named)}


def ends_login(draft: Draft, logins: LoginKeys) -> bool:
    """Return whether somebody was logged in and is not any more: nobody is, or else
    somebody else."""
    was_in = not was_anonymous(draft, logins)
    return was_in and change_of_login(draft, logins) in (Login.IN, Login.OUT)
