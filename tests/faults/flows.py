"""Requests that do something to a session, and what there is to be seen of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flask_srvsession import ServerSession, session

sessions = ServerSession()

Values = Mapping[str, Any]

USER = {"user_id": 42}
SIGNED_IN = {**USER, "n": 1}
ANONYMOUS = {"n": 1}
GONE: Values = {}

ROTATE_EVERY = 900
TOUCH_INTERVAL = 300


@dataclass(frozen=True)
class Flow:
    """A request, and what a session holds for whom when it has been answered.

    The user is signed in with another browser, too.
    """

    name: str
    view: Callable[[], Any]
    before: Values = field(default_factory=lambda: SIGNED_IN)
    """What the request comes with; nothing if it has no session."""
    old: Values = field(default_factory=lambda: SIGNED_IN)
    """What the cookie that it comes with leads to afterwards."""
    new: Values = field(default_factory=lambda: GONE)
    """What the cookie that it is given leads to, if there is to be one."""
    other: Values = field(default_factory=lambda: USER)
    """What the other browser's cookie leads to."""
    says: str | None = None
    """The response, if that tells something of the session."""
    later: float = 0
    """Seconds that pass between the session's last request and this one."""
    is_connected: bool = True
    """Whether the app's connection to the storage is open."""
    only_reads: bool = False
    """Whether it asks for no change, so that what it writes beside can wait."""

    def __str__(self) -> str:
        return self.name.replace(" ", "-")

    def leaves(self, old: Values) -> bool:
        """Whether the former cookie may lead to this afterwards. That of a visitor who
        has logged in still reads the visitor's values for a moment."""
        logs_in = (self.before, self.new) == (ANONYMOUS, SIGNED_IN)
        return old == self.old or (logs_in and old == self.before)


def _login() -> None:
    session["user_id"] = 42


def _checked_login() -> None:
    session.bind(user_id=42, epoch=sessions.epoch(user_id=42))


def _revoke_the_other() -> None:
    [other] = [i for i in sessions.find(user_id=42) if not i.is_current]
    sessions.revoke(other.id, user_id=42)


def _count() -> int:
    return session.compute("n", lambda n: (n or 0) + 1)


READ = Flow("read", lambda: session.get("n"), says="1", only_reads=True)
FIRST_READ = replace(READ, name="first read", is_connected=False)
CHANGE = Flow("change", _count, says="2", old={**USER, "n": 2})
CREATE = Flow(
    "create", lambda: session.update(n=1), before=GONE, old=GONE, new=ANONYMOUS
)
LOGIN = Flow("login", _login, before=ANONYMOUS, old=GONE, new=SIGNED_IN)
BIND = Flow("bind", _checked_login, before=ANONYMOUS, old=GONE, new=SIGNED_IN)
DESTROY = Flow("destroy", lambda: session.destroy(), old=GONE)
REMOVAL = Flow(
    "logout by removal", lambda: session.pop("user_id", None), old=GONE, new=ANONYMOUS
)
EMPTIED = Flow("emptied", lambda: session.pop("n", None), before=ANONYMOUS, old=GONE)
ROTATE = Flow("rotate", lambda: session.rotate(), old=GONE, new=SIGNED_IN)
REVOKE_ALL = Flow(
    "revoke all", lambda: sessions.revoke_all(user_id=42), old=GONE, other=GONE
)
REVOKE_OTHERS = Flow(
    "revoke all others",
    lambda: sessions.revoke_all(user_id=42, keep_current=True),
    old=GONE,
    new={"user_id": 42, "n": 1},
    other=GONE,
)
REVOKE = Flow("revoke", _revoke_the_other, other=GONE)
RENEWAL = Flow(
    "renewal",
    lambda: session.get("n"),
    says="1",
    later=2 * TOUCH_INTERVAL,
    only_reads=True,
)
ROTATION = Flow(
    "periodic rotation",
    lambda: session.get("n"),
    says="1",
    later=ROTATE_EVERY + 1,
    new=SIGNED_IN,
    only_reads=True,
)

FLOWS = [
    READ,
    FIRST_READ,
    CHANGE,
    CREATE,
    LOGIN,
    BIND,
    DESTROY,
    REMOVAL,
    EMPTIED,
    ROTATE,
    REVOKE_ALL,
    REVOKE_OTHERS,
    REVOKE,
    RENEWAL,
    ROTATION,
]
