"""``revoke_everything``: the sessions of all end, in every process, and stay ended.

A process is an app of its own here, with the same keys and prefix on one storage.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from flask_srvsession import (
    BackendError,
    ConfigurationError,
    ServerSession,
    everything_revoked,
    session,
)
from flask_srvsession.backends import Backend
from flask_srvsession.backends.sql import SQLBackend
from flask_srvsession.ending import End
from flask_srvsession.store.marker import ASKED_EVERY
from flask_srvsession.take_over import CookieSource
from tests.web import Browser

from ..apps import WatchedBackend, deletes_cookie, new_cookies, sets_cookie
from ..cli.run import flask
from ..marks import ON_MEMORY
from ..probes import CountingBackend

if TYPE_CHECKING:
    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp

Process = Callable[..., Flask]
KEY, NEW_KEY = "k" * 8 + "0123456789abcdef", "n" * 8 + "fedcba9876543210"
sessions = ServerSession()


@pytest.fixture
def prefix() -> str:
    """The key prefix of the app: other tests may use the same server."""
    return f"{uuid.uuid4().hex}:"


@pytest.fixture
def marker_key(prefix: str) -> str:
    return f"{prefix}secret-keys"


@pytest.fixture
def process(make_app: MakeApp, prefix: str) -> Process:
    """Start one more process of one app."""

    def start(*backend: Backend, **config: Any) -> Flask:
        given = {"SECRET_KEY": KEY, "SRVSESSION_KEY_PREFIX": prefix, **config}
        return make_app(*backend, **given)

    return start


def visitor(app: Flask, **values: Any) -> Browser:
    """Return a browser whose session holds this, and has been used."""
    browser = Browser(app)
    browser.set(**values)
    assert browser.values() == values
    return browser


def at(app: Flask, browser: Browser) -> Browser:
    """Return the browser, as it asks another process of the app."""
    return Browser(app, browser.cookie)


def everybody_out(app: Flask, **given: Any) -> None:
    with app.app_context():
        sessions.revoke_everything(**given)


def eras(app: Flask) -> int:
    era: int = app.extensions["srvsession"].store.marker.era
    return era


@pytest.mark.every_storage
def test_in_every_process_nobody_has_a_session_after_it(
    process: Process, clock: FakeClock
) -> None:
    here, there = process(), process()
    browsers = [visitor(here, user_id=42, cart=1), visitor(there, cart=2)]
    browsers += [at(here, browsers[1]), at(there, browsers[0])]

    everybody_out(here)

    assert [b.values() for b in browsers if b.app is here] == [{}, {}]
    clock.advance(ASKED_EVERY)
    assert [b.values() for b in browsers] == [{}] * 4
    assert [at(process(), b).values() for b in browsers] == [{}] * 4
    with there.app_context():
        assert sessions.find(user_id=42) == []
        assert sessions.get(browsers[0].id) is None
        assert not sessions.revoke(browsers[0].id)


def test_all_processes_know_it_within_five_seconds() -> None:
    assert ASKED_EVERY + 1 < 5  # and the second that a storage has to answer


@pytest.mark.every_storage
def test_a_session_that_begins_after_it_lives_in_every_process(
    process: Process, clock: FakeClock
) -> None:
    here, there = process(), process()
    everybody_out(here)

    browser = visitor(here, user_id=42)

    assert at(there, browser).values() == {"user_id": 42}
    clock.advance(ASKED_EVERY)
    assert at(there, browser).values() == {"user_id": 42}
    later = visitor(there, user_id=42)
    assert at(here, later).values() == {"user_id": 42}
    assert at(process(), later).values() == {"user_id": 42}
    visitor(process(), user_id=42)
    with process().app_context():
        assert len(sessions.find(user_id=42)) == 3


def test_a_session_that_begins_in_a_process_before_it_has_heard_ends_too(
    process: Process, clock: FakeClock
) -> None:
    here, there = process(), process()
    visitor(there, user_id=1)
    everybody_out(here)

    early = visitor(there, user_id=42)

    assert at(here, early).values() == {}
    clock.advance(ASKED_EVERY)
    assert early.values() == {}


@pytest.mark.parametrize("skew", [-59, 59])
def test_the_clocks_of_the_processes_do_not_matter(
    process: Process, clock: FakeClock, skew: int
) -> None:
    """One that is ahead begins sessions in the future of the other."""
    here, there = process(), process()
    clock.advance(skew)
    old = visitor(there, user_id=42)
    clock.advance(-skew)

    everybody_out(here)
    new = visitor(here, user_id=42)

    clock.advance(skew)
    assert at(there, new).values() == {"user_id": 42}
    assert old.values() == at(here, old).values() == {}


def test_a_process_hears_of_it_by_a_session_of_after_it(process: Process) -> None:
    here, there = process(), process()
    old = visitor(there, user_id=42)
    everybody_out(here)
    new = visitor(here, user_id=42)
    assert old.values() == {"user_id": 42}

    assert at(there, new).values() == {"user_id": 42}

    assert old.values() == {}


@pytest.mark.every_storage("save-True", "login-False", "rotate-False")
@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        lambda: session.update(note=1),
        lambda: session.compute("note", lambda n: (n or 0) + 1),
        lambda: session.update(user_id=43),
        lambda: session.bind(user_id=42),
        lambda: session.rotate(),
        lambda: session.pop("user_id"),
    ],
    ids=["save", "compute", "login", "bind", "rotate", "logout by removal"],
)
def test_a_request_in_flight_brings_no_session_back(
    process: Process, clock: FakeClock, change: Callable[[], Any], heard: bool
) -> None:
    here, there = process(), process()
    browser = visitor(there, user_id=42, cart=1)

    with browser.in_flight(then=lambda: (change() and "") or "") as late:
        everybody_out(there if heard else here)

    clock.advance(ASKED_EVERY)
    assert browser.values() == {}
    for cookie in new_cookies(late.response):
        assert Browser(there, cookie).values() == {}


def test_a_session_that_moved_just_before_is_not_readable_after_it(
    process: Process,
) -> None:
    """For ten seconds, who signs in twice could read their former session."""
    app = process()
    browser = visitor(app, cart=1)
    former = browser.copy()
    browser.set(user_id=42)
    assert former.values() == {"cart": 1}

    everybody_out(app)

    assert former.values() == {}
    former.set(user_id=42)
    assert former.values() == {"user_id": 42}


@pytest.mark.every_storage
def test_it_may_be_repeated(process: Process, clock: FakeClock) -> None:
    app = process()
    for _ in range(3):  # within one second
        browser = visitor(app, user_id=42)
        before = eras(app)
        everybody_out(app)
        assert eras(app) > before
        assert browser.values() == {}
    clock.advance(ASKED_EVERY)
    assert visitor(app, user_id=42).values() == {"user_id": 42}


@pytest.mark.every_storage
def test_nobody_is_revived_where_the_marker_is_lost(
    marker_key: str, process: Process, backend: Backend, clock: FakeClock
) -> None:
    """A process that has heard of it writes it again, for those that start later."""
    here = process()
    old = visitor(here, user_id=42)
    everybody_out(here)
    new = visitor(here, user_id=43)
    assert backend.delete(marker_key)

    clock.advance(ASKED_EVERY)
    assert old.values() == {}
    assert new.values() == {"user_id": 43}

    there = process()
    assert at(there, old).values() == {}
    assert at(there, new).values() == {"user_id": 43}


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x01", b"\x81\x01\x02"])
def test_nobody_is_revived_by_who_overwrites_the_marker(
    marker_key: str, process: Process, backend: Backend, clock: FakeClock, data: bytes
) -> None:
    app = process()
    old = visitor(app, user_id=42)
    everybody_out(app)
    backend.delete(marker_key)
    backend.add(marker_key, data, 1000)

    clock.advance(ASKED_EVERY)
    assert old.values() == {}
    assert at(process(), old).values() == {}


def test_who_writes_the_storage_cannot_end_sessions_by_the_marker(
    marker_key: str, process: Process, backend: Backend, clock: FakeClock
) -> None:
    app = process()
    everybody_out(app)
    browser = visitor(app, user_id=42)
    found = backend.get(marker_key)
    assert found
    era = eras(app).to_bytes(4, "big")
    assert era in found.data
    forged = found.data.replace(era, (eras(app) + 1000).to_bytes(4, "big"))
    backend.swap(marker_key, forged, found.version, 1000)

    clock.advance(ASKED_EVERY)

    assert browser.values() == {"user_id": 42}
    assert at(process(), browser).values() == {"user_id": 42}


def test_it_outlives_the_lifetime_of_the_marker_where_people_log_in(
    process: Process, clock: FakeClock
) -> None:
    app = process(SRVSESSION_ABSOLUTE_LIFETIME=timedelta(days=3))
    everybody_out(app)
    began = eras(app)
    for _ in range(5):
        clock.advance(24 * 60 * 60)
        visitor(app, user_id=42)

    fresh = process(SRVSESSION_ABSOLUTE_LIFETIME=timedelta(days=3))
    visitor(fresh, user_id=42)

    assert eras(fresh) == began


@pytest.mark.parametrize("key", ["old", "new"])
def test_it_holds_for_the_former_and_the_next_secret_key(
    process: Process, clock: FakeClock, key: str
) -> None:
    """A server that is deployed later, or rolled back, has only one of them."""
    both = {"SECRET_KEY": NEW_KEY, "SECRET_KEY_FALLBACKS": [KEY]}
    old = visitor(process(), user_id=42)
    everybody_out(process(**both) if key == "old" else process())
    visitor(process(**both), user_id=7)  # a login under the newer key

    app = process(**both) if key == "new" else process()

    assert at(app, old).values() == {}


def test_another_app_of_the_prefix_keeps_its_sessions(
    process: Process, clock: FakeClock
) -> None:
    ours, theirs = process(), process(SECRET_KEY=NEW_KEY)
    browsers = visitor(ours, user_id=42), visitor(theirs, user_id=42)

    everybody_out(ours)
    clock.advance(ASKED_EVERY)

    assert [b.values() for b in browsers] == [{}, {"user_id": 42}]
    assert at(process(SECRET_KEY=NEW_KEY), browsers[1]).values() == {"user_id": 42}


@pytest.mark.every_storage
def test_with_a_limit_those_that_ended_take_up_no_place(process: Process) -> None:
    app = process(
        SRVSESSION_MAX_PER_KEY={"user_id": 1}, SRVSESSION_MAX_PER_KEY_POLICY="reject"
    )
    visitor(app, user_id=42)

    everybody_out(app)

    visitor(app, user_id=42)


def test_a_source_gives_no_session_of_before_it(
    make_app: MakeApp, clock: FakeClock
) -> None:
    former = Flask("former")
    former.secret_key = KEY
    old = Browser(former)
    old.set(user_id=42)
    app = Flask("testapp")
    app.config.update(SECRET_KEY=KEY, SRVSESSION_KEY_PREFIX="shop:")
    ServerSession(app, take_over=[CookieSource()])
    taken = Browser(app, old.cookie)
    assert taken.values() == {"user_id": 42}
    other = Browser(former)
    other.set(user_id=43)

    everybody_out(app)

    for cookie in (taken.cookie, old.cookie, other.cookie):
        assert Browser(app, cookie).values() == {}


def test_this_browsers_own_session_ends_and_so_does_its_cookie(
    process: Process,
) -> None:
    browser = visitor(process(), user_id=42)

    def view() -> str:
        sessions.revoke_everything()
        assert not session
        return ""

    response = browser.do(view)

    assert deletes_cookie(response)
    assert not sets_cookie(response)


# -- its costs, and outages ------------------------------------------------------------


@ON_MEMORY
def test_a_process_asks_every_few_seconds_and_not_with_each_request(
    process: Process, backend: Backend, clock: FakeClock
) -> None:
    counted = CountingBackend(backend)
    browser = visitor(process(counted), user_id=42)
    asked = counted.asked_for_marker

    for _ in range(10 * ASKED_EVERY):
        for _ in range(5):
            browser.values()
        clock.advance(1)

    assert counted.asked_for_marker - asked == 10 - 1


@ON_MEMORY
def test_a_clock_that_is_set_back_does_not_keep_a_process_from_asking(
    process: Process, clock: FakeClock
) -> None:
    here, there = process(), process()
    browser = visitor(there, user_id=42)
    clock.advance(-30)

    everybody_out(here)

    assert browser.values() == {}


@ON_MEMORY
@pytest.mark.parametrize("count", [1, 1000])
def test_it_is_one_change_however_many_there_are(
    process: Process, backend: Backend, count: int
) -> None:
    counted = CountingBackend(backend)
    app = process(counted)
    for number in range(count):
        Browser(app).set(user_id=number)
    counted.taken()

    everybody_out(app)

    assert counted.taken() == ["swap"]


@ON_MEMORY
def test_where_the_storage_fails_nothing_is_said_to_be_done(
    process: Process, backend: Backend
) -> None:
    losing = WatchedBackend(backend)
    app = process(losing)
    browser = visitor(app, user_id=42)
    told: list[Any] = []
    losing.lose(at_write=1)

    with everything_revoked.connected_to(lambda *_, **__: told.append(1), app):
        with pytest.raises(BackendError):
            everybody_out(app)
        losing.recover()
        assert browser.values() == {"user_id": 42}
        everybody_out(app)

    assert told == [1]
    assert browser.values() == {}


class _Without(WatchedBackend):
    """A storage of several servers, of which that of the marker may be down."""

    down = False
    errors = (ConnectionError,)

    def get(self, key: str) -> Any:
        if self.down and key.endswith("secret-keys"):
            raise ConnectionError
        return super().get(key)


@ON_MEMORY
def test_a_process_goes_on_while_the_server_of_the_marker_alone_is_down(
    process: Process,
    backend: Backend,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage = _Without(backend)
    app = process(storage)
    old = visitor(app, user_id=42)
    everybody_out(app)
    new = visitor(app, user_id=43)
    storage.down = True
    clock.advance(ASKED_EVERY)

    assert new.values() == {"user_id": 43}
    assert old.values() == {}
    assert "the marker of the key prefix was not read" in caplog.text
    fresh = process(storage)
    assert at(fresh, new).values() == {"user_id": 43}
    assert at(fresh, old).values() == {}  # it has heard by that session


# -- those who are told ---------------------------------------------------------------


@ON_MEMORY
def test_the_signal_and_one_line_say_who_and_why(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    app = process()
    visitor(app, user_id=42)
    told: list[End] = []

    def note(sender: Flask, end: End) -> None:
        assert sender is app
        told.append(end)

    with (
        everything_revoked.connected_to(note, app),
        caplog.at_level(logging.INFO, "flask_srvsession.audit"),
    ):
        everybody_out(app)
        everybody_out(app, actor="admin 7", reason="a leak")

    assert told == [End("app", "everything revoked"), End("admin 7", "a leak")]
    lines = [json.loads(r.getMessage()) for r in caplog.records]
    assert [(e["event"], e["actor"], e["reason"]) for e in lines] == [
        ("everything_ended", "app", "everything revoked"),
        ("everything_ended", "admin 7", "a leak"),
    ]
    assert all(line["session"] is None for line in lines)


@ON_MEMORY
def test_a_storage_that_knows_no_replicas_cannot_wait_for_them(
    process: Process,
) -> None:
    app = process()
    browser = visitor(app, user_id=42)

    with pytest.raises(ConfigurationError, match="replicas"):
        everybody_out(app, durable=1)

    assert browser.values() == {"user_id": 42}


@pytest.mark.parametrize("answer", ["y", "n"])
def test_the_command_asks_first(process: Process, prefix: str, answer: str) -> None:
    browser = visitor(process(), user_id=42)

    result = flask(process(), "revoke-everything", answer=answer)

    assert f"End the sessions of everybody, all under {prefix!r}?" in result.stderr
    assert result.exit_code == (0 if answer == "y" else 1)
    assert at(process(), browser).values() == ({} if answer == "y" else {"user_id": 42})


@pytest.mark.every_storage
def test_the_command_says_so_where_the_storage_may_lose_it(
    process: Process, backend: Backend
) -> None:
    visitor(process(), user_id=42)

    result = flask(process(), "revoke-everything", "--yes", "--json")

    assert json.loads(result.stdout) == {"revoked": "everything"}
    assert ("a new SECRET_KEY is the sure way" in result.stderr) is backend.evicts


def test_the_command_does_nothing_with_another_key(process: Process) -> None:
    browser = visitor(process(), user_id=42)

    result = flask(process(SECRET_KEY=NEW_KEY), "revoke-everything", "--yes")

    assert result.exit_code == 3
    assert at(process(), browser).values() == {"user_id": 42}


# -- another process ------------------------------------------------------------------

_PROGRAM = """
import sys
from flask import Flask
from flask_srvsession import ServerSession

app = Flask("testapp")
app.config.update(
    SRVSESSION_BACKEND=sys.argv[1],
    SECRET_KEY=sys.argv[2],
    SRVSESSION_KEY_PREFIX="shop:",
)
sessions = ServerSession(app)
with app.app_context():
    sessions.revoke_everything(reason="a leak")
"""


def test_a_running_server_hears_of_a_command_in_another_process(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    app = Flask("testapp")
    app.config.update(
        SECRET_KEY=KEY, SRVSESSION_BACKEND=url, SRVSESSION_KEY_PREFIX="shop:"
    )
    ServerSession(app)
    with app.app_context():
        backend = app.extensions["srvsession"].backend
        assert isinstance(backend, SQLBackend)
        backend.create_tables()
    browser = visitor(app, user_id=42)

    subprocess.run([sys.executable, "-c", _PROGRAM, url, KEY], check=True, timeout=60)

    marker = app.extensions["srvsession"].store.marker
    marker.asked -= ASKED_EVERY  # as if the time had passed
    assert browser.values() == {}
    backend.close()
