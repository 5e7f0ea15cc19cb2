"""How many of our own functions a request calls: the way through the package is short.

The numbers are those of Redis: one that grows needs a reason.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from flask import Flask

import flask_srvsession
from flask_srvsession import ServerSession, session
from flask_srvsession.testing import FakeClock
from tests.servers import Server
from tests.web import Browser

PACKAGE = str(Path(flask_srvsession.__file__).parent)
ROOT = Path(PACKAGE).parent
CLOCK = str(Path(PACKAGE) / "testing" / "clock.py")
CALLS = {
    "untouched": 6,
    "read": 45,
    "change": 72,
    "login with an old session": 157,
    "login without one": 122,
    "logout": 84,
}


@contextmanager
def counted() -> Iterator[list[str]]:
    """Give a list of the calls of our functions by this thread, by their names."""
    calls: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        name = code.co_filename
        if event == "call" and name.startswith(PACKAGE) and name != CLOCK:
            calls.append(code.co_name)

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def numbers(url: str) -> dict[str, int]:
    """Return how many calls each request takes, with sessions at `url`."""
    app = Flask("calls")
    app.config.update(SECRET_KEY="a long random text", SRVSESSION_BACKEND=url)
    ServerSession().init_app(app, clock=FakeClock())  # nothing gets due
    browser, visitor = Browser(app), Browser(app)
    browser.set(user_id=42, count=1)
    visitor.set(cart=1)

    def asks(who: Browser, view: Callable[[], Any]) -> int:
        with counted() as calls:
            assert who.do(lambda: view() or "").status_code == 200
        return len(calls)

    def log_in() -> None:
        session["user_id"] = 7

    asks(browser, lambda: session.destroy())  # Redis knows all scripts from here on
    browser.set(user_id=42, count=1)
    for _ in range(3):
        for view in (lambda: session["count"], lambda: session.update(count=2)):
            asks(browser, view)
        asks(visitor, lambda: session["cart"])
    return {
        "untouched": asks(browser, lambda: None),
        "read": asks(browser, lambda: session["count"] and None),
        "change": asks(browser, lambda: session.update(count=3)),
        "login with an old session": asks(visitor, log_in),
        "login without one": asks(Browser(app), log_in),
        "logout": asks(browser, lambda: session.destroy()),
    }


def test_a_request_calls_as_many_functions_as_it_needs(redis_server: Server) -> None:
    """In a process of its own: other tests listen to signals."""
    command = [sys.executable, "-m", "tests.integration.test_calls", redis_server.url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)

    found: dict[str, int] = json.loads(done.stdout)
    assert found.keys() == CALLS.keys()
    if sys.version_info < (3, 12):
        assert found == CALLS
    else:  # comprehensions are no calls any more
        assert all(CALLS[name] - 15 <= n <= CALLS[name] for name, n in found.items())


if __name__ == "__main__":
    print(json.dumps(numbers(sys.argv[1])))
