"""What is promised of sessions, in a world where nothing ever overlaps.

It knows dictionaries, whose they are, when they were used, and what each of the cookies
means that were handed out. It has no storage.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from werkzeug.test import TestResponse

EVERY, GRACE, TOUCH, IDLE, ABSOLUTE = 120, 40, 60, 900, 3000
LIFETIMES = {
    "SRVSESSION_ROTATE_EVERY": EVERY,
    "SRVSESSION_ROTATE_GRACE": GRACE,
    "SRVSESSION_TOUCH_INTERVAL": TOUCH,
    "SRVSESSION_IDLE_TIMEOUT": IDLE,
    "SRVSESSION_ABSOLUTE_LIFETIME": ABSOLUTE,
}
TOMBSTONE = 10
USERS = 2


class Content(dict[str, Any]):
    """The values of a session in one request; does what a session does."""

    cleared = left = False
    """Whether all was removed, and whether a logout was meant."""

    def __init__(self, stored: Stored | None = None) -> None:
        self._before = stored.values if stored else {}
        self._assigned: set[str] = set()
        self.permanent = stored.permanent if stored else False
        super().__init__(copy.deepcopy(self._before))

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._assigned.add(key)

    def clear(self) -> None:
        super().clear()
        self.cleared, self.permanent = True, False

    def pop(self, key: str, *default: Any) -> Any:
        self.left |= key == "user_id"
        return super().pop(key, *default)

    def compute(self, key: str, function: Callable[[Any], Any]) -> None:
        self[key] = function(self.get(key))

    def commit(self) -> None:
        """As good as at the end: nothing overlaps."""

    @property
    def own(self) -> dict[str, Any]:
        """What this request has put in itself."""
        before, assigned = self._before, self._assigned
        return {k: v for k, v in self.items() if k in assigned or before.get(k) != v}


def one_more(number: int | None) -> int:
    return (number or 0) + 1


def clear_and_assign(content: Any, number: int) -> None:
    content.clear()
    content["b"] = number


def commit_between(content: Any, number: int) -> None:
    content["a"] = number
    content.commit()
    content["b"] = number


def assign_and_compute(content: Any, number: int) -> None:
    content["a"] = number
    content.compute("count", one_more)


def switch_permanent(content: Any, number: int) -> None:
    content.permanent = not content.permanent


WORK: dict[str, Callable[[Any, int], Any]] = {
    "read": lambda content, n: None,
    "assign": lambda content, n: content.update(a=n),
    "append": lambda content, n: content.setdefault("tree", {"l": []})["l"].append(n),
    "compute": lambda content, n: content.compute("count", one_more),
    "remove": lambda content, n: content.pop("a", None),
    "clear": lambda content, n: content.clear(),
    "clear and assign": clear_and_assign,
    "commit": commit_between,
    "permanent": switch_permanent,
    "log in": lambda content, n: content.update(user_id=1 + n % USERS),
    "log out": lambda content, n: content.pop("user_id", None),
}
"""What a view does to its session, and so to the model's."""


@dataclass
class Stored:
    """A session that lives."""

    id: str
    values: dict[str, Any]
    born: int
    last_seen: int
    since: int
    permanent: bool
    due: bool = False
    generation: int = 1
    pending: bool = False
    presented: bool = False

    @property
    def user(self) -> int | None:
        user: int | None = self.values.get("user_id")
        return user

    def verdict(self, generation: int, now: int) -> str:
        """Return what a cookie of this session means now."""
        behind = self.generation - generation
        assert behind >= (-1 if self.pending else 0), "a cookie from nowhere"
        if behind <= 0:
            return "live"
        if behind == 1 and now < self.since + GRACE:
            return "grace"
        return "late" if now <= self.since else "replayed"

    def advance(self, generation: int, now: int) -> bool:
        """Take note of a cookie that was presented; return whether that is written."""
        if generation == self.generation + 1:
            self.generation, self.pending, self.since = generation, False, now
            return True
        age = now - self.since
        in_grace = self.generation > 1 and age <= GRACE
        is_due = age >= EVERY or (self.due and not in_grace)
        if generation == self.generation and is_due and not self.pending:
            self.pending, self.due = True, False
            return True
        return False

    def serve(self, generation: int, now: int, *, changed: bool) -> bool:
        """Note that it was read or changed; return whether a successor is due."""
        must_be_seen = not self.presented and self.user is None
        is_old = now - self.last_seen >= TOUCH
        if self.advance(generation, now) or changed or must_be_seen or is_old:
            self.last_seen, self.presented = now, True
        return self.pending and generation == self.generation


@dataclass
class Moved:
    """What is known of a session that was regenerated."""

    former: Stored
    successor: str
    until: float
    is_open: bool = False
    """Whether the changes of requests that had read it follow: it only rotated."""


@dataclass
class Arrived:
    """A request: which session its cookie led to, and how it went."""

    browser: int
    got: bool
    """Whether the response reaches the browser."""
    cookie: str
    verdict: str = "none"
    """One of "none", "live", "grace" and "moved"."""
    stored: Stored | None = None
    is_meant: bool = False
    """Whether a logout ends the session, although it is not served."""
    was_anonymous: bool = False
    response: TestResponse = field(init=False)
    result: Any = None

    @property
    def id(self) -> str:
        return self.cookie.split(".")[0]

    @property
    def generation(self) -> int:
        return int(self.cookie.split(".")[1])


@dataclass
class Model:
    """All that was promised."""

    live: dict[str, Stored] = field(default_factory=dict)
    moved: dict[str, Moved] = field(default_factory=dict)
    known: list[str] = field(default_factory=list)
    epochs: Counter[int] = field(default_factory=Counter)
    orphaned: Counter[int] = field(default_factory=Counter)
    """User -> how many sessions are stored, but refused: their index was lost."""
    alarms: int = 0

    def judge(self, arrived: Arrived, now: int) -> None:
        """Say what the cookie means now; a replay ends its session."""
        if moved := self.moved.get(arrived.id):
            verdict = moved.former.verdict(arrived.generation, now)
            arrived.verdict, arrived.is_meant = "moved", verdict != "replayed"
        elif stored := self.live.get(arrived.id):
            verdict = stored.verdict(arrived.generation, now)
            if verdict == "late":
                arrived.verdict, arrived.is_meant = "moved", True
            elif verdict == "replayed":
                self.end(stored.id)
                self.alarms += 1
            else:
                arrived.verdict, arrived.stored = verdict, stored
                arrived.was_anonymous = stored.user is None

    def expire(self, now: int) -> None:
        for stored in list(self.live.values()):
            if now >= min(stored.last_seen + IDLE, stored.born + ABSOLUTE):
                del self.live[stored.id]
        self.moved = {i: moved for i, moved in self.moved.items() if now < moved.until}

    def end(self, session_id: str) -> None:
        """End a session, and what it was regenerated to."""
        self.live.pop(session_id, None)
        if moved := self.moved.pop(session_id, None):
            self.end(moved.successor)

    def log_out(self, arrived: Arrived, *, meant: bool = False) -> bool:
        """End the session that a logout means though it has moved, if what it is now
        has the same user; return whether it had."""
        moved, now = self.moved.get(arrived.id), self.follow(arrived.id)
        if not (meant or arrived.is_meant):
            return False
        if now not in self.live:
            self.end(arrived.id)  # nothing is known of it any more
            return False
        former = moved.former if moved else self.live[now]
        same = former.user == self.live[now].user
        if same:
            self.end(arrived.id)
        return same

    def follow(self, session_id: str) -> str:
        while moved := self.moved.get(session_id):
            session_id = moved.successor
        return session_id

    def goes_on(self, session_id: str) -> Stored | None:
        """Return the session that the changes of a request follow to, if they do."""
        while moved := self.moved.get(session_id):
            if not moved.is_open:
                return None
            session_id = moved.successor
        return self.live.get(session_id)

    def of(self, user: int) -> set[str]:
        return {each.id for each in self.live.values() if each.user == user}

    def end_all(self, user: int, keep: Stored | None = None) -> int:
        ended = self.of(user) - {keep.id if keep else None}
        for session_id in ended:
            del self.live[session_id]
        self.epochs[user] += 1
        return len(ended)
