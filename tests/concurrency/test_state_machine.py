"""Browsers, users, thieves, losses and a clock, in any order, against a model.

``SRVSESSION_TEST_LONG=1`` tries many more runs, on all storages.
"""

from __future__ import annotations

import logging
import math
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import pytest
from flask import Flask, request
from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from flask_srvsession import (
    ServerSession,
    StaleCredential,
    ids,
    session,
    session_replayed,
)
from flask_srvsession.backends import backend_from_url
from flask_srvsession.backends.base import EPOCH_ALONE
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.testing import FakeClock
from tests.concurrency.model import (
    ABSOLUTE,
    EVERY,
    GRACE,
    IDLE,
    LIFETIMES,
    TOMBSTONE,
    TOUCH,
    USERS,
    WORK,
    Arrived,
    Content,
    Model,
    Moved,
    Stored,
    assign_and_compute,
)
from tests.concurrency.storages import SEVERAL, SQL
from tests.concurrency.tally import TRIED
from tests.integration.apps import cookie_headers, deletes_cookie

LONG = os.environ.get("SRVSESSION_TEST_LONG") == "1"
RUNS = {"memory": 40, "memory, fenced": 30, "redis": 15, "memcached": 15, "sqlite": 10}
LONG_RUNS = {
    **dict.fromkeys(RUNS, 2000),
    **dict.fromkeys([*SQL, *SEVERAL], 1000),
}
BROWSERS = 3
VIEW = "tests.view"

Client = tuple[int, bool]
"""A browser, and whether the response reaches it."""

browsers = st.integers(0, BROWSERS - 1)
clients = st.tuples(browsers, st.sampled_from([True, True, True, False]))
works = st.sampled_from(list(WORK))
users = st.integers(1, USERS)
pauses = st.sampled_from([1, TOMBSTONE, GRACE - 1, GRACE, TOUCH, EVERY, EVERY, IDLE])
long_pauses = st.sampled_from([EVERY, EVERY, IDLE - TOUCH])


@dataclass(frozen=True)
class Storage:
    """What sessions are kept in, and what is to be known about it."""

    make: Callable[[FakeClock], Any]
    loses_index: bool = False
    has_our_clock: bool = False


class Sessions(RuleBasedStateMachine):
    """Requests of browsers that share sessions by copied cookies, one at a time, or
    one inside of another."""

    epochs = Bundle("epochs")
    storage: ClassVar[Storage]

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.backend = self.storage.make(self.clock)
        self.prefix = f"{uuid.uuid4().hex}:"
        self.app = Flask("machine")
        self.app.config.update(
            TESTING=True,
            SECRET_KEY="a secret key that is only used by these tests",
            SRVSESSION_KEY_PREFIX=self.prefix,
            SRVSESSION_FENCED_LOAD=self.storage.loses_index,
            **LIFETIMES,
        )
        self.sessions = ServerSession()
        self.sessions.init_app(self.app, self.backend, clock=self.clock)
        self.app.add_url_rule("/", "view", lambda: request.environ[VIEW]())
        self.jars = [""] * BROWSERS
        self.model = Model()
        self.numbers = iter(range(1000, 10**9))
        self.alarms: list[Any] = []
        self.asked: dict[str, int] = {}
        self.began = time.monotonic()
        session_replayed.connect(self.note_alarm, sender=self.app)

    def note_alarm(self, app: Flask, info: Any) -> None:
        self.alarms.append(info)

    @property
    def now(self) -> int:
        return int(self.clock())

    # -- one request ------------------------------------------------------------------

    def request(
        self, client: Client, view: Callable[[], Any], *, stale: bool = False
    ) -> Arrived:
        """Run `view` in a request that sees what the model says it sees."""
        # A storage with a clock of its own forgets after that what has moved.
        in_time = time.monotonic() - self.began < TOMBSTONE - 1
        assume(self.storage.has_our_clock or in_time)
        arrived = Arrived(*client, self.cookie_of(client[0]))
        if arrived.cookie and self.now < ids.born(arrived.id) + ABSOLUTE:
            self.model.judge(arrived, self.now)
        values = Content(arrived.stored)

        def checked() -> str:
            assert dict(session) == values, "the view of the browser"
            assert (session.id is not None) is (arrived.stored is not None)
            arrived.result = view()
            return ""

        arrived.response = self.app.test_client(use_cookies=False).get(
            "/",
            headers={"Cookie": f"session={arrived.cookie}"},
            environ_overrides={VIEW: checked},
        )
        assert arrived.response.status_code == (409 if stale else 200)
        TRIED["requests"] += 1
        return arrived

    def cookie_of(self, browser: int) -> str:
        """Return the cookie that a browser sends; none of a visitor who has logged in
        since: that still reads (tests/integration/login/test_again.py)."""
        cookie = self.jars[browser]
        moved = self.model.moved.get(cookie.split(".")[0])
        return "" if moved and moved.former.user is None else cookie

    def answered(self, arrived: Arrived, what: str) -> str:
        """The response keeps, deletes or sets the cookie; let the browser have it."""
        headers = cookie_headers(arrived.response)
        assert len(headers) == (what != "keep")
        assert deletes_cookie(arrived.response) is (what == "delete")
        cookie = headers[0].partition(";")[0].partition("=")[2] if headers else ""
        if headers and arrived.got:
            self.jars[arrived.browser] = cookie
        return cookie

    def served(self, arrived: Arrived, *, changed: bool = False) -> None:
        """The request read or changed its session; it may get a newer cookie."""
        stored = arrived.stored
        if stored and stored.serve(arrived.generation, self.now, changed=changed):
            cookie = self.answered(arrived, "set")
            assert cookie.startswith(f"{stored.id}.{stored.generation + 1}.")
        else:
            self.answered(arrived, "keep")

    def ended(self, arrived: Arrived, session_id: str) -> None:
        self.model.end(session_id)
        self.answered(arrived, "delete")

    def created(self, arrived: Arrived, content: Content) -> Stored:
        """The response gives the browser a new session."""
        return self.created_as(arrived, dict(content), self.now, content.permanent)

    def created_as(
        self, arrived: Arrived, values: dict[str, Any], born: int, permanent: bool
    ) -> Stored:
        session_id, generation, _ = self.answered(arrived, "set").split(".", 2)
        assert session_id not in self.model.known, "an id is used twice"
        assert (ids.born(session_id), generation) == (born, "1")
        new = Stored(session_id, values, born, self.now, self.now, permanent)
        self.model.live[session_id] = new
        self.model.known.append(session_id)
        return new

    def moved(self, arrived: Arrived, content: Content, *, login: bool) -> None:
        """The session goes on under another id; an old cookie does not take along what
        others have put in."""
        old = arrived.stored
        assert old is not None
        values = content.own if arrived.verdict == "grace" else dict(content)
        if not values:
            self.ended(arrived, old.id)
            return
        old.advance(arrived.generation, self.now)
        del self.model.live[old.id]
        born = self.now if login else old.born
        new = self.created_as(arrived, values, born, content.permanent)
        until = self.now + TOMBSTONE if self.storage.has_our_clock else math.inf
        self.model.moved[old.id] = Moved(old, new.id, until)

    def changed(self, arrived: Arrived, work: Callable[[Any], Any]) -> None:
        """The request did some work on its session, or began one with it."""
        stored = arrived.stored
        content = Content(stored)
        work(content)
        user = content.get("user_id")
        if stored is None:
            logs_out = (content.cleared or content.left) and not user
            if arrived.verdict == "moved" and logs_out:
                ended = self.model.log_out(arrived)
                self.answered(arrived, "delete" if ended else "keep")
            elif content and (arrived.verdict == "none" or user):
                self.created(arrived, content)
            else:
                self.answered(arrived, "keep")
            return
        wrote = content != stored.values or content.cleared
        switched = content.permanent is not stored.permanent
        if wrote and not content:
            self.ended(arrived, stored.id)
        elif content.cleared or user != stored.user:
            self.moved(arrived, content, login=user is not None)
        else:
            switched = switched and arrived.verdict != "grace"
            stored.values = dict(content)
            if switched:  # with this very response
                stored.permanent, stored.due = not stored.permanent, True
            self.served(arrived, changed=wrote or switched)

    # -- rules: this session ----------------------------------------------------------

    @rule(client=clients, what=works)
    def work(self, client: Client, what: str) -> None:
        number = next(self.numbers)
        arrived = self.request(client, lambda: WORK[what](session, number))

        self.changed(arrived, lambda content: WORK[what](content, number))

    @rule(client=clients)
    def rotate(self, client: Client) -> None:
        refusals = []

        def view() -> None:
            try:
                session.rotate()
            except StaleCredential as refusal:
                refusals.append(refusal)

        arrived = self.request(client, view)

        assert len(refusals) == (arrived.verdict == "grace")
        if arrived.verdict == "live" and arrived.stored:
            self.moved(arrived, Content(arrived.stored), login=False)
            if moved := self.model.moved.get(arrived.id):
                moved.is_open = True
        else:
            self.served(arrived)

    @rule(client=clients, again=st.booleans())
    def destroy(self, client: Client, again: bool) -> None:
        def view() -> None:
            session.destroy()
            if again:
                session["a"] = "bye"

        arrived = self.request(client, view)

        self.destroyed(arrived, {"a": "bye"} if again else {})

    def destroyed(self, arrived: Arrived, rest: dict[str, Any]) -> None:
        if arrived.stored and arrived.id not in self.model.moved:
            self.model.end(arrived.id)
        elif arrived.stored or arrived.is_meant:
            self.model.log_out(arrived, meant=True)
        if rest:
            self.created_as(arrived, rest, self.now, False)
        else:
            self.answered(arrived, "keep" if arrived.verdict == "none" else "delete")

    @rule(target=epochs, user=users)
    def ask_for_the_epoch(self, user: int) -> tuple[int, int, str]:
        with self.app.app_context():
            name = self.sessions.epoch(user_id=user)
        self.asked[name] = self.now
        return user, self.model.epochs[user], name

    @rule(client=clients, user=users)
    def bind(self, client: Client, user: int) -> None:
        self.bind_with_epoch(client, (user, self.model.epochs[user], None))

    @rule(client=clients, epoch=consumes(epochs))
    def bind_with_epoch(
        self, client: Client, epoch: tuple[int, int, str | None]
    ) -> None:
        user, number, name = epoch
        if name and self.now >= self.asked[name] + EPOCH_ALONE // 2:
            return  # it may have ended by itself, if nobody was bound to it
        stale = number != self.model.epochs[user]
        arrived = self.request(
            client, lambda: session.bind(user_id=user, epoch=name), stale=stale
        )

        if stale:
            self.served(arrived)
        elif arrived.stored is None:
            self.created_as(arrived, {"user_id": user}, self.now, False)
        else:
            content = Content(arrived.stored)
            content["user_id"] = user
            self.moved(arrived, content, login=True)

    # -- rules: other sessions --------------------------------------------------------

    @precondition(lambda self: self.model.known)
    @rule(client=clients, which=st.integers(0, 20), user=st.none() | users)
    def revoke(self, client: Client, which: int, user: int | None) -> None:
        chosen = self.model.known[-1 - which % len(self.model.known)]
        owner: dict[str, Any] = {"user_id": user} if user else {}
        view = partial(self.sessions.revoke, chosen, **owner)
        arrived = self.request(client, view)

        given = chosen
        moved, chosen = self.model.moved.get(given), self.model.follow(given)
        theirs = self.model.of(user) if user else {*self.model.live}
        if moved and not user:  # the login of somebody else is not meant
            theirs &= {
                i for i, s in self.model.live.items() if s.user == moved.former.user
            }
        assert arrived.result is (chosen in theirs)
        if arrived.result:  # with all that it was, if the owner is not given
            self.model.end(chosen if user else given)
        self.revoked(arrived)

    @rule(client=clients, user=users, keep=st.booleans())
    def revoke_all(self, client: Client, user: int, keep: bool) -> None:
        view = partial(self.sessions.revoke_all, user_id=user, keep_current=keep)
        arrived = self.request(client, view)

        stored = arrived.stored
        kept = stored if keep and stored and stored.user == user else None
        ended = self.model.end_all(user, kept)
        assert ended <= arrived.result <= ended + self.model.orphaned[user]
        if kept and arrived.verdict == "live":
            self.moved(arrived, Content(kept), login=False)
        else:
            self.revoked(arrived, saved=kept is not None)

    def revoked(self, arrived: Arrived, *, saved: bool = False) -> None:
        if arrived.stored and arrived.stored.id not in self.model.live:
            self.answered(arrived, "delete")
        else:
            self.served(arrived, changed=saved)

    # -- rules: what else happens -----------------------------------------------------

    @rule(source=browsers, thief=browsers)
    def copy_the_cookie(self, source: int, thief: int) -> None:
        self.jars[thief] = self.jars[source]

    @rule()
    def sweep(self) -> None:
        """Nobody notices."""
        with self.app.app_context():
            self.sessions.sweep()

    @rule(seconds=pauses)
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.model.expire(self.now)

    @rule(client=clients, thief=clients, what=works, seconds=long_pauses)
    def come_back(self, client: Client, thief: Client, what: str, seconds: int) -> None:
        """A browser's cookie gets old and is replaced; somebody else has a copy."""
        self.work((client[0], True), "assign")
        for _ in range(3):
            self.copy_the_cookie(client[0], thief[0])
            self.wait(seconds)
            self.work(client, "read")
            self.work(client, "read")
        self.work(client if thief[1] else thief, what)

    @rule(
        outer=clients,
        inner=clients,
        what=st.sampled_from([*WORK, "destroy", "rotate", "revoke_all"]),
        user=users,
        leave=st.booleans(),
    )
    def overlap(
        self, outer: Client, inner: Client, what: str, user: int, leave: bool
    ) -> None:
        """While a request is under way, another one comes and goes."""
        others: dict[str, Callable[[], None]] = {
            "destroy": lambda: self.destroy(inner, False),
            "rotate": lambda: self.rotate(inner),
            "revoke_all": lambda: self.revoke_all(inner, user, False),
        }
        number = next(self.numbers)

        def view() -> None:
            others.get(what, lambda: self.work(inner, what))()
            if leave:
                session.destroy()
            else:
                assign_and_compute(session, number)

        arrived = self.request(outer, view)

        if leave:
            self.destroyed(arrived, {})
            return
        stored = arrived.stored
        was_ended = stored is not None and stored.id not in self.model.live
        if was_ended and arrived.was_anonymous and arrived.id not in self.model.moved:
            arrived.stored, arrived.verdict, was_ended = None, "none", False
        present = self.model.goes_on(arrived.id) if was_ended else None
        if present:
            content = Content(present)
            assign_and_compute(content, number)
            present.values = dict(content)
        if was_ended:
            self.answered(arrived, "keep")
        else:
            self.changed(arrived, lambda content: assign_and_compute(content, number))

    @precondition(lambda self: self.model.live)
    @rule(which=st.integers(0, 20))
    def lose_a_record(self, which: int) -> None:
        lost = list(self.model.live)[which % len(self.model.live)]

        assert self.backend.delete(self.prefix + lost)
        del self.model.live[lost]

    @precondition(lambda self: self.storage.loses_index)
    @rule(user=users, parts=st.sampled_from(["e", "m", "em"]))
    def lose_an_index(self, user: int, parts: str) -> None:
        """Whose index is lost, whole or in part, is logged out everywhere."""
        lists = self.app.extensions["srvsession"].store.lists
        name = lists.name(lists.binding("user_id", str(user)).names[0])
        lost = [self.backend.delete(f"{name}:{part}") for part in parts]
        with self.app.app_context():
            self.sessions.epoch(user_id=user)  # whoever uses it next finds out

        if any(lost):
            self.model.orphaned[user] += self.model.end_all(user)

    # -- what is always so ------------------------------------------------------------

    @invariant()
    def what_is_stored_is_what_was_promised(self) -> None:
        runtime = self.app.extensions["srvsession"]
        for session_id in {*self.model.live, *self.model.known[-8:]}:
            live = runtime.store.peek(session_id)
            stored = self.model.live.get(session_id)
            assert (live is None) is (stored is None), "it is lost, or lives for ever"
            if live and stored:
                values = live.record.values.items()
                loads = runtime.serializer.loads
                assert stored.values == {key: loads(data) for key, data in values}
                assert stored.generation == live.record.generation
                assert stored.permanent is live.record.permanent

    @invariant()
    def each_user_finds_their_own(self) -> None:
        for user in range(1, USERS + 1):
            with self.app.app_context():
                found = self.sessions.find(user_id=user)

            assert {info.id for info in found} == self.model.of(user)

    @invariant()
    def only_outdated_cookies_raise_the_alarm(self) -> None:
        assert len(self.alarms) == self.model.alarms


@pytest.fixture
def storage(name: str, url_of: Callable[[str], str]) -> Iterator[Storage]:
    if name.startswith("memory"):
        fenced = name.endswith("fenced")
        yield Storage(MemoryBackend, loses_index=fenced, has_our_clock=True)
        return
    shared: Any = backend_from_url(url_of(name))
    with closing(shared):
        yield Storage(lambda clock: shared, loses_index=name == "memcached")


@pytest.mark.parametrize("name", LONG_RUNS if LONG else RUNS)
def test_sessions_are_as_promised_in(
    name: str, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "flask_srvsession")
    machine = type("SessionsInStorage", (Sessions,), {"storage": storage})
    chosen = settings(
        max_examples=(LONG_RUNS if LONG else RUNS)[name],
        stateful_step_count=40,
        phases=[phase for phase in Phase if phase is not Phase.explain],  # takes long
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )

    try:
        run_state_machine_as_test(machine, settings=chosen)
    except Flaky:  # a storage has a clock of its own: it was too late for a step
        if storage.has_our_clock:
            raise
        run_state_machine_as_test(machine, settings=chosen)
