"""Rotation under random schedules: the honest are left alone, the thief is not.

A schedule is a list of steps, so that a failure can be shortened and shown. How many
are tried is in SRVSESSION_TEST_SCHEDULES.
"""

from __future__ import annotations

import logging
import os
import random
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask, Response
from flask.sessions import SessionInterface

from flask_srvsession import (
    ServerSession,
    ServerSideSession,
    SessionInfo,
    session_replayed,
)
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.store.record import Record
from flask_srvsession.testing import FakeClock
from tests.concurrency.tally import TRIED

SCHEDULES = int(os.environ.get("SRVSESSION_TEST_SCHEDULES", "1500"))

GRACE = 120
EVERY = 2 * GRACE
UPLOAD = 60
"""Seconds that the network may take to bring a request to the server."""

USER = 42
PAUSES = (0, 0, 0.3, 1.1, 5, 59.6, 100.4, 119.5, 120, 240.2, 241, 241, 900)

Step = tuple[Any, ...]
Violation = AssertionError


@dataclass(eq=False)
class Exchange:
    """A request on its way: sent, opened, answered, and then delivered or lost."""

    cookie: str
    deadline: float
    environ: dict[str, Any] = field(default_factory=dict)
    session: ServerSideSession | None = None
    opened: float = 0.0
    answer: str | None = None
    answered: bool = False
    wrote: str | None = None


class World:
    """A server, a browser with a cookie jar, sockets that stay open, and a thief."""

    def __init__(self) -> None:
        self.clock = FakeClock(1_750_000_000.25)
        self.backend = MemoryBackend(clock=self.clock)
        self.app = Flask("schedules")
        self.app.config.update(
            SECRET_KEY="a secret key that is only used by these tests",
            SRVSESSION_ROTATE_EVERY=EVERY,
            SRVSESSION_ROTATE_GRACE=GRACE,
        )
        ServerSession().init_app(self.app, self.backend, clock=self.clock)
        self.interface: SessionInterface = self.app.session_interface
        self.alarms: list[SessionInfo] = []
        self.exchanges: list[Exchange] = []
        self.sockets: list[dict[str, Any]] = []
        self.handed_out: dict[int, set[str]] = defaultdict(set)
        self.promoted: dict[int, float] = {1: self.clock()}
        self.expected: dict[str, int] = {}
        self.counter = 0
        self.jar = self._log_in()
        self.id = self.jar.partition(".")[0]
        self.loot: str | None = None
        self.over = False

    # -- the server

    def open(self, environ: dict[str, Any]) -> ServerSideSession:
        opened = self.interface.open_session(self.app, self.app.request_class(environ))
        assert isinstance(opened, ServerSideSession)
        return opened

    def answer(self, session: ServerSideSession) -> str | None:
        """End a request; return the cookie that the response sets, if it does."""
        response: Response = self.app.response_class()
        self.interface.save_session(self.app, session, response)
        assert response.status_code == 200, response.status
        record = self.record
        if record is not None:
            self.promoted.setdefault(record.generation, self.clock())
        header = response.headers.get("Set-Cookie")
        return header.partition(";")[0].partition("=")[2] if header else None

    @property
    def record(self) -> Record | None:
        """What is stored of the session."""
        live = self.app.extensions["srvsession"].store.peek(self.id)
        return live.record if live else None

    @property
    def generation(self) -> int:
        record = self.record
        return record.generation if record else 0

    def _log_in(self) -> str:
        session = self.open({})
        session["user_id"] = USER
        response: Response = self.app.response_class()
        with self.app.app_context():
            self.interface.save_session(self.app, session, response)
        header: str = response.headers["Set-Cookie"]
        return header.partition(";")[0].partition("=")[2]

    # -- steps of the honest browser

    def send(self) -> None:
        """The browser sends a request, with what is in its jar now."""
        self.exchanges.append(Exchange(self.jar, self.clock() + UPLOAD))

    def open_next(self, choice: int) -> None:
        """A request arrives at the server."""
        if exchange := self._pick(choice, lambda e: e.session is None):
            exchange.environ = {"HTTP_COOKIE": f"session={exchange.cookie}"}
            exchange.session = self.open(exchange.environ)
            exchange.opened = self.clock()
            exchange.deadline = self.clock() + UPLOAD

    def look(self, choice: int) -> None:
        """A view reads the session."""
        if exchange := self._pick(choice, self._is_in_view):
            self._check_served(exchange)

    def write(self, choice: int) -> None:
        """A view writes a key that nobody else writes."""
        if exchange := self._pick(choice, self._is_in_view):
            self._check_served(exchange)
            self.counter += 1
            exchange.wrote = f"key{self.counter}"
            self._session_of(exchange)[exchange.wrote] = self.counter

    def switch_permanent(self, choice: int) -> None:
        """A view changes whether the cookie outlives the browser."""
        if exchange := self._pick(choice, self._is_in_view):
            self._check_served(exchange)
            session = self._session_of(exchange)
            session.permanent = not session.permanent

    def finish(self, choice: int) -> None:
        """A view returns: the session is saved, the response is on its way."""
        if exchange := self._pick(choice, self._is_in_view):
            self._finish(exchange)

    def deliver(self, choice: int) -> None:
        """A response arrives at the browser."""
        if exchange := self._pick(choice, lambda e: e.answered):
            self.exchanges.remove(exchange)
            if exchange.answer:
                self.jar = exchange.answer

    def lose(self, choice: int) -> None:
        """A response never arrives."""
        if exchange := self._pick(choice, lambda e: e.answered):
            self.exchanges.remove(exchange)

    def visit(self, writes: bool) -> None:
        """A request that is answered at once, whatever else is under way."""
        self.send()
        exchange = self.exchanges[-1]
        for step in (self.open_next, self.write if writes else self.look, self.finish):
            others, self.exchanges = self.exchanges, [exchange]
            step(0)
            self.exchanges = others
        self.exchanges.remove(exchange)
        self.jar = exchange.answer or self.jar

    def connect(self) -> None:
        """The browser opens a socket; its environ stays for as long as it is open."""
        environ = {"HTTP_COOKIE": f"session={self.jar}"}
        self._in_socket(environ)
        self.sockets.append(environ)

    def event(self, choice: int) -> None:
        """Something happens on a socket: the session is opened from its environ."""
        if self.sockets:
            self._in_socket(self.sockets[choice % len(self.sockets)])

    def wait(self, seconds: float) -> None:
        """Time passes; no request of the browser takes longer than it may."""
        until = self.clock() + seconds
        while late := [e for e in self.exchanges if e.deadline < until]:
            exchange = min(late, key=lambda e: e.deadline)
            self.clock.advance(max(0.0, exchange.deadline - self.clock()))
            self._hurry(exchange)
        self.clock.advance(max(0.0, until - self.clock()))

    def settle(self) -> None:
        """End what is under way; nothing of what was written is lost."""
        while self.exchanges:
            self._hurry(self.exchanges[0])
        session = self.open({"HTTP_COOKIE": f"session={self.jar}"})
        assert self.over or session.get("user_id") == USER, "logged out in the end"
        if not self.over:
            lost = {k for k, v in self.expected.items() if session.get(k) != v}
            assert not lost, f"lost updates: {lost}"

    # -- steps of the thief

    def steal(self) -> None:
        """The thief copies what is in the jar."""
        self.loot = self.loot or self.jar

    def strike(self, writes: bool) -> None:
        """The thief sends a request with the copy and takes the answer."""
        if self.loot is None:
            return
        record, now, alarms = self.record, self.clock(), len(self.alarms)
        behind = self.generation - generation_of(self.loot)
        session = self.open({"HTTP_COOKIE": f"session={self.loot}"})
        served = session.get("user_id") == USER
        if writes and served:
            session["by the thief"] = self.counter
        answer = self.answer(session)
        alarmed = len(self.alarms) - alarms
        if record is None:
            assert not served, "served after the end"
            assert (answer, alarmed) == (None, 0)
            return
        if behind <= 0:
            assert served, "the current token is not served"
            assert not alarmed, "an alarm for the current token"
            return
        promoted = self.promoted[record.generation]
        assert answer is None, "the thief got a cookie"
        if behind == 1 and now < promoted + GRACE:
            assert served, "not served within the grace"
            assert not alarmed, "an alarm within the grace"
        elif behind == 1 and now < promoted + GRACE + 1:
            pass  # records count whole seconds
        elif int(now) > int(promoted) + 1:
            assert not served, "served after the grace"
            assert alarmed == 1, "no alarm"
            assert self.alarms[-1].id == self.id
            assert self.record is None, "the session lives on"
        self.over = self.record is None

    # -- pieces

    def _pick(self, choice: int, which: Callable[[Exchange], bool]) -> Exchange | None:
        eligible = [exchange for exchange in self.exchanges if which(exchange)]
        return eligible[choice % len(eligible)] if eligible else None

    def _is_in_view(self, exchange: Exchange) -> bool:
        return exchange.session is not None and not exchange.answered

    def _session_of(self, exchange: Exchange) -> ServerSideSession:
        assert exchange.session is not None
        return exchange.session

    def _check_served(self, exchange: Exchange) -> None:
        served = self._session_of(exchange).get("user_id") == USER
        assert served or self.over, f"logged out: {exchange.cookie[:60]}"

    def _finish(self, exchange: Exchange) -> None:
        exchange.answer = self.answer(self._session_of(exchange))
        exchange.answered = True
        exchange.deadline = self.clock() + GRACE
        if exchange.wrote and not self.over:
            self.expected[exchange.wrote] = int(exchange.wrote.removeprefix("key"))
        if exchange.answer and not self.over:
            self._check_successor(exchange.cookie, exchange.answer)

    def _check_successor(self, presented: str, answer: str) -> None:
        assert answer != presented, "the credential was sent again"
        assert answer.partition(".")[0] == self.id, "a second session"
        generation = generation_of(answer)
        assert generation == generation_of(presented) + 1
        self.handed_out[generation].add(answer)
        assert len(self.handed_out[generation]) == 1, "two successors"

    def _hurry(self, exchange: Exchange) -> None:
        """Do what is next with a request that has waited for as long as it may."""
        if exchange.session is None:
            others, self.exchanges = self.exchanges, [exchange]
            self.open_next(0)
            self.exchanges = others
        elif not exchange.answered:
            self._check_served(exchange)
            self._finish(exchange)
        else:
            self.exchanges.remove(exchange)
            if exchange.answer:
                self.jar = exchange.answer

    def _in_socket(self, environ: dict[str, Any]) -> None:
        session = self.open(environ)
        assert session.get("user_id") == USER or self.over, "the socket is logged out"
        self.answer(session)


def generation_of(cookie: str) -> int:
    return int(cookie.split(".")[1])


# -- schedules

HONEST: dict[str, int] = {
    "visit": 10,
    "send": 4,
    "open_next": 4,
    "look": 3,
    "write": 2,
    "finish": 4,
    "deliver": 4,
    "lose": 1,
    "connect": 1,
    "event": 1,
    "wait": 8,
}
"""How often each step comes, in proportion."""

SWITCHING = {**HONEST, "switch_permanent": 2}
STOLEN = {**HONEST, "visit": 14, "steal": 5, "strike": 6}


def draw(rng: random.Random, weights: dict[str, int]) -> list[Step]:
    names = rng.choices(list(weights), list(weights.values()), k=rng.randint(15, 40))
    return [_with_argument(rng, name) for name in names]


def _with_argument(rng: random.Random, name: str) -> Step:
    if name in ("send", "connect", "steal"):
        return (name,)
    if name == "wait":
        return (name, rng.choice(PAUSES) + rng.random())
    if name in ("strike", "visit"):
        return (name, rng.random() < 0.5)
    return (name, rng.randrange(8))


def failure_of(steps: list[Step]) -> Violation | None:
    """Run a schedule in a new world."""
    try:
        run(World(), steps)
    except Violation as violation:
        return violation
    return None


def run(world: World, steps: list[Step]) -> None:
    def alarm(app: Flask, info: SessionInfo) -> None:
        world.alarms.append(info)
        assert world.loot is not None, "the honest browser is called a thief"

    with session_replayed.connected_to(alarm, sender=world.app):
        for name, *arguments in steps:
            getattr(world, name)(*arguments)
        world.settle()


def shortened(steps: list[Step]) -> list[Step]:
    """Return what is needed of a schedule that fails."""
    at = 0
    while at < len(steps):
        without = steps[:at] + steps[at + 1 :]
        if failure_of(without):
            steps = without
        else:
            at += 1
    return steps


def check(weights: dict[str, int], seed: str, count: int) -> None:
    rng = random.Random(seed)
    for number in range(count):
        steps = draw(rng, weights)
        TRIED["schedules"] += 1
        if failure_of(steps):
            for _ in range(3):
                steps = shortened(steps)
            listing = "\n".join(f"  {step}" for step in steps)
            pytest.fail(f"{seed} {number}: {failure_of(steps)}\n{listing}", False)


def share(of_hundred: int) -> int:
    return max(1, SCHEDULES * of_hundred // 100)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Alarms are counted by their signal; ten thousand log lines help nobody."""
    caplog.set_level(logging.CRITICAL, logger="flask_srvsession")


def test_an_honest_browser_is_never_logged_out_and_never_flagged() -> None:
    """Whatever overlaps, gets lost or comes late; sockets stay open for hours.

    Parallel requests are given the same successor, no response repeats what it was
    asked with, and nothing that was written is lost.
    """
    check(HONEST, "honest", share(60))


def test_nor_when_the_session_is_switched_to_permanent_and_back() -> None:
    check(SWITCHING, "switching", share(40))


def test_a_thief_gets_no_successor_and_ends_the_session_after_the_grace() -> None:
    """As soon as the owner has moved on. Until then nobody can tell them apart."""
    check(STOLEN, "stolen", share(20))


def test_the_schedules_get_to_what_they_are_about() -> None:
    """Rotations and alarms do come up: in most schedules, and in one of ten."""
    rng, rotations, ended = random.Random("coverage"), 0, 0
    for _ in range(200):
        honest, stolen = World(), World()
        with suppress(Violation):
            run(honest, draw(rng, HONEST))
        with suppress(Violation):
            run(stolen, draw(rng, STOLEN))
        rotations += max(honest.promoted) - 1
        ended += stolen.over

    assert rotations > 100
    assert ended > 15


def exchange(world: World, *doing: str) -> None:
    """One request from beginning to end, but for its response."""
    world.send()
    for step in ("open_next", *doing, "finish"):
        getattr(world, step)(-1)


def test_a_response_that_comes_as_late_as_it_may_does_no_harm() -> None:
    """Not even if a second rotation follows as early as it may."""
    world = World()
    exchange(world, "switch_permanent")
    world.deliver(-1)
    exchange(world, "look")  # its response is on its way for the whole grace
    exchange(world, "look")
    world.deliver(-1)
    exchange(world, "switch_permanent")
    world.deliver(-1)
    world.wait(GRACE - 0.24)
    for _ in range(3):
        exchange(world, "look")
        world.deliver(-1)
    world.wait(GRACE + 10)

    exchange(world, "look")

    assert not world.alarms
    assert world.generation in (2, 3)
