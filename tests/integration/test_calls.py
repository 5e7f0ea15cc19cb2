"""How many of our own functions a request calls: the way through the package is short.

The numbers are exact, for Redis. One that grows needs a reason; one that shrinks is
noted here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import flask_srvsession
from flask_srvsession import session
from flask_srvsession.backends import backend_from_url
from tests.conftest import MakeApp
from tests.servers import Server
from tests.web import Browser

PACKAGE = str(Path(flask_srvsession.__file__).parent)
CLOCK = str(Path(PACKAGE) / "testing" / "clock.py")
CALLS = {
    "untouched": 6,
    "read": 49,
    "change": 86,
    "login with an old session": 216,
    "login without one": 164,
    "logout": 105,
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


def test_a_request_calls_as_many_functions_as_it_needs(
    make_app: MakeApp, redis_server: Server
) -> None:
    app = make_app(backend_from_url(redis_server.url))
    browser, visitor = Browser(app), Browser(app)
    browser.set(user_id=42, count=1)
    visitor.set(cart=1)

    def asks(who: Browser, view: Callable[[], Any]) -> int:
        with counted() as calls:
            assert who.do(lambda: view() or "").status_code == 200
        return len(calls)

    def log_in() -> None:
        session["user_id"] = 7

    for _ in range(3):
        for view in (lambda: session["count"], lambda: session.update(count=2)):
            asks(browser, view)
        asks(visitor, lambda: session["cart"])
    numbers = {
        "untouched": asks(browser, lambda: None),
        "read": asks(browser, lambda: session["count"] and None),
        "change": asks(browser, lambda: session.update(count=3)),
        "login with an old session": asks(visitor, log_in),
        "login without one": asks(Browser(app), log_in),
        "logout": asks(browser, lambda: session.destroy()),
    }

    assert numbers == CALLS
