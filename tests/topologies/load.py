"""Browsers that use their sessions all the time, and note what they were told."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flask_srvsession import session
from tests.integration.apps import index_name
from tests.redis_topologies import eventually
from tests.stopwatch import stopwatch
from tests.web import PATIENCE, Browser

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.test import TestResponse


@dataclass
class User:
    """Somebody who is logged in and counts how often they were served."""

    browser: Browser
    name: str
    counted: int = 0
    """How many of their requests were answered by a 200."""
    perhaps: int = 0
    """How many were not, and may have been done all the same."""
    slowest: float = 0.0
    """Seconds that their longest request took."""
    statuses: Counter[int] = field(default_factory=Counter)
    last_status: int = 0
    lost: list[str] = field(default_factory=list)
    """What they were told that is not true."""

    @classmethod
    def logged_in(cls, app: Flask, name: str) -> User:
        user = cls(Browser(app), name)
        eventually(user._log_in)  # the first connections may time out
        return user

    @property
    def id(self) -> str:
        return self.browser.id

    @property
    def session_key(self) -> str:
        """What their session is stored under."""
        return f"{self.browser.app.config['SRVSESSION_KEY_PREFIX']}{self.id}"

    @property
    def index_name(self) -> str:
        """What the list of their sessions is called."""
        return index_name(self.browser.app, self.name)

    def count(self) -> None:
        """Make a request that counts, and note how it went."""
        response = self.timed(self._count_in_view)
        if response.status_code == 200:
            self.counted += 1
        else:
            self.perhaps += 1

    def write(self) -> None:
        """Make a request that writes, whoever they are."""
        self.timed(lambda: session.update(seen=True))

    def is_served(self) -> bool:
        """Return whether a request that needs the session is answered by a 200."""
        return self.timed(lambda: f"{len(session)}").status_code == 200

    def stored(self) -> int:
        """Return what their session says, once they are served."""
        eventually(self.is_served)
        count: int = self.browser.values()["count"]
        return count

    def timed(self, view: Callable[[], Any]) -> TestResponse:
        with stopwatch() as waited:
            response = self.browser.do(view)
        self.slowest = max(self.slowest, waited.seconds)
        self.last_status = response.status_code
        self.statuses[response.status_code] += 1
        return response

    def _log_in(self) -> bool:
        return self.browser.set(user_id=self.name, count=0).status_code == 200

    def _count_in_view(self) -> str:
        if session.get("user_id") != self.name:
            self.lost.append(f"logged out as {self.name}")
        session.compute("count", lambda n: (n or 0) + 1)
        return "counted"


@contextmanager
def under_load(users: list[User]) -> Iterator[None]:
    """Let all users make requests, as fast as they can, during the block."""
    over = threading.Event()

    def work(user: User) -> None:
        while not over.is_set():
            user.count()
            time.sleep(0.005)

    threads = [threading.Thread(target=work, args=[user]) for user in users]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
