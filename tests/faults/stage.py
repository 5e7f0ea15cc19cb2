"""Where flows are played while something fails, and what is seen of that afterwards."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from flask import Flask

from flask_srvsession import BackendError, session
from flask_srvsession.backends import Backend, backend_from_url
from flask_srvsession.testing import FakeClock
from tests.integration.probes import KEY, login, set_cookies
from tests.servers import Server
from tests.sql_servers import SQLServer
from tests.stopwatch import stopwatch
from tests.web import Browser

from .disturbance import Disturbance
from .flows import GONE, ROTATE_EVERY, TOUCH_INTERVAL, USER, Flow, Values, sessions
from .proxy import Proxy

SHORT, LONG = 0.15, 10.0
"""Seconds for which clients wait for an answer."""
_ALLOWANCE = 30.0
"""Seconds that a busy computer may take beside: more is a hang. That nobody waits for
two timeouts is counted, not measured."""
_ATTEMPTS = 300

_TIMEOUTS = {
    "redis": "?socket_timeout={0}&socket_connect_timeout={0}",
    "memcached": "?timeout={0}",
    "postgresql+psycopg": "?srvsession_timeout={0}",
    "mariadb+pymysql": "?ssl_disabled=1&srvsession_timeout={0}",
}

Trouble = Callable[[Proxy], AbstractContextManager[Disturbance]]


@dataclass(frozen=True)
class Outcome:
    """What a client was told, and what is there when the storage is well again."""

    status: int
    text: str
    is_in_time: bool
    """Whether it was answered after no more than one timeout."""
    is_ambiguous: bool
    """Whether the 503 said that it may have been done all the same."""
    sets_cookie: bool
    disturbance: Disturbance
    was_kept: bool
    """Whether somebody changed the session after the response, and was told so."""
    is_kept: bool
    """Whether that change is there."""
    old: Values
    new: Values
    other: Values
    """What these cookies lead to, as in the flow."""
    left: list[Values]
    """What they lead to when all sessions of the user have been ended."""


class Stage:
    """An app whose way to the storage can be disturbed, and its calm twin.

    A flow is played on it in three steps, for others to be played at the same time:
    :meth:`arrange`, :meth:`act`, :meth:`outcome`.
    """

    def __init__(self, server: Server | SQLServer, timeout: float = LONG) -> None:
        options = _TIMEOUTS[server.url.partition(":")[0]].format(timeout)
        self._limit = timeout + _ALLOWANCE
        prefix = f"{uuid.uuid4().hex}:"
        self.proxy = Proxy(server)
        self._clock = FakeClock()
        self._commands: dict[str, int] = {}
        self._backends: list[Any] = [
            backend_from_url(url) for url in (self.proxy.url + options, server.url)
        ]
        self.app, self.calm = (
            make_app(backend, prefix, self._clock) for backend in self._backends
        )

    def arrange(self, flow: Flow) -> None:
        """Let the user be signed in, and have what the flow begins with."""
        self._other, browser = Browser(self.calm), Browser(self.calm)
        self._other.does(lambda: session.update(USER))
        browser.does(lambda: session.update(flow.before))
        self.old = browser.cookie if browser.has_cookie else None
        self.browser = Browser(self.app, self.old)
        _soon(Browser(self.app, self._other.cookie), lambda: session["user_id"])
        if not flow.is_connected:
            self._backends[0].close()
        self._clock.advance(flow.later)

    def act(self, flow: Flow, trouble: Trouble) -> None:
        """Send the request, in `trouble`. If that is only on the way, somebody else
        changes the session after the response, before what is late arrives."""
        with trouble(self.proxy) as self._disturbance:
            with stopwatch() as waited:
                self._response = self.browser.do(flow.view)
            self._took = waited.seconds
            alone = self.old is None or self._disturbance.fault is None
            self._was_kept = not alone and _keep(self.calm, self.old)

    def outcome(self) -> Outcome:
        """Return what came of it, and end all sessions of the user."""
        browser, response = self.browser, self._response
        is_new = browser.has_cookie and browser.cookie != self.old
        new = browser.cookie if is_new else None
        cookies = (self.old, new, self._other.cookie)
        old_seen, new_seen, other_seen = (values(self.calm, c) for c in cookies)
        is_kept = bool(old_seen.pop("kept", False))
        new_seen.pop("kept", None)
        for do in (login, lambda: sessions.revoke_all(user_id=42)):
            _soon(browser, do)
        return Outcome(
            status=response.status_code,
            text=response.text,
            is_in_time=self._took < self._limit,
            is_ambiguous=response.headers.get("Ambiguous") == "True",
            sets_cookie=bool(set_cookies(response)),
            disturbance=self._disturbance,
            was_kept=self._was_kept,
            is_kept=is_kept,
            old=old_seen,
            new=new_seen,
            other=other_seen,
            left=[values(self.calm, cookie) for cookie in cookies],
        )

    def move(self, server: Server) -> None:
        """Let another server take over, under the address that the app knows."""
        self.proxy.redirect(server)
        self.calm = self.app

    def play(self, flow: Flow, trouble: Trouble) -> Outcome:
        """Play all of it, in `trouble`."""
        self.arrange(flow)
        self.act(flow, trouble)
        return self.outcome()

    def commands(self, flow: Flow) -> int:
        """Return how many commands the flow takes where nothing fails."""
        if flow.name not in self._commands:
            self.play(flow, Proxy.disturbed)  # a first login looks at the marker
            outcome = self.play(flow, Proxy.disturbed)
            assert [outcome.status, *broken_promises(flow, outcome)] == [200]
            self._commands[flow.name] = outcome.disturbance.commands
        return self._commands[flow.name]

    def close(self) -> None:
        for backend in self._backends:
            backend.close()
        self.proxy.close()


def broken_promises(flow: Flow, outcome: Outcome) -> list[str]:
    """Return what the outcome of a flow shows to be untrue, with the outcome."""
    o, done = outcome, outcome.status == 200
    promises = {
        "it is done or a 503": o.status in (200, 503),
        "the answer comes in time": o.is_in_time,
        "nobody waits for more than one timeout": o.disturbance.waits <= 1,
        "what was done is there": not done
        or (flow.leaves(o.old) and o.other == flow.other),
        "what was said is true": not done or flow.says in (None, o.text),
        "a cookie leads to what was done": (
            not done or o.new == flow.new or (flow.only_reads and o.new == GONE)
        ),
        "a 503 sets no cookie": done or not o.sets_cookie,
        "only what may have been done is ambiguous": (
            not (o.is_ambiguous and flow.only_reads)
        ),
        "what may have been done is ambiguous": (
            done or o.is_ambiguous or (o.old, o.other) == (flow.before, USER)
        ),
        "nothing is done by halves": (
            o.old in (flow.before, flow.old) and o.other in (flow.other, USER)
        ),
        "what others were told to be done is there": (
            o.is_kept or not o.was_kept or (flow.old == GONE and not done)
        ),
        "all sessions of the user can be ended": not any(
            "user_id" in left
            for left in o.left  # a visitor's cart may still be read
        ),
    }
    return [f"not true: {p}: {o}" for p, is_true in promises.items() if not is_true]


def make_app(backend: Backend, prefix: str, clock: FakeClock) -> Flask:
    """Make an app as in production that says whether an outage is ambiguous."""
    app = Flask("testapp")
    app.config.update(
        SECRET_KEY=KEY,
        SRVSESSION_KEY_PREFIX=prefix,
        SRVSESSION_ROTATE_EVERY=ROTATE_EVERY,
        SRVSESSION_TOUCH_INTERVAL=TOUCH_INTERVAL,
    )
    sessions.init_app(app, backend, clock=clock)

    @app.errorhandler(BackendError)
    def outage(error: BackendError) -> tuple[str, int, dict[str, str]]:
        return error.operation, 503, {"Ambiguous": f"{error.ambiguous}"}

    return app


def _soon(browser: Browser, do: Callable[[], Any]) -> None:
    """Do something that succeeds, if the computer is not too busy. Where it was, the
    storage seems to hang, and is asked once a second."""
    for _ in range(_ATTEMPTS):
        if browser.do(do).status_code == 200:
            return
        time.sleep(0.1)
    raise AssertionError("the storage is well, but nothing works")


def values(app: Flask, cookie: str | None) -> dict[str, Any]:
    """Return what a cookie leads to."""
    seen: dict[str, Any] = {}
    if cookie is not None:
        Browser(app, cookie).does(lambda: seen.update(session))
    return seen


def _keep(app: Flask, cookie: str | None) -> bool:
    """Change the session, if it lives: the values of one that has moved are only read,
    and it has no id."""

    def view() -> bool:
        if session.id:
            session["kept"] = True
        return "kept" in session

    return Browser(app, cookie).does(view) == "True"
