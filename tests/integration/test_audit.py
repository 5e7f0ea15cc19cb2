"""Each end of a session leaves one line: which, who, why; and no secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from flask_srvsession import ending, session, session_destroyed, session_revoked
from flask_srvsession.ending import End
from tests.web import Browser

from .apps import index_name, stored, together
from .cli.run import flask
from .devices import sessions, signed_in
from .marks import ON_MEMORY

if TYPE_CHECKING:
    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp

SECRET = "planted-in-the-session"
TOLD = {"actor": "admin 7", "reason": "stolen\nlaptop"}

Line = dict[str, Any]
Ended = tuple[list[str], str | int, str]
"""The ids that ended, by whom and why."""


class Trail(logging.Handler):
    """Collects the lines."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        assert record.session_ended == json.loads(self.texts[-1])  # type: ignore[attr-defined]

    def taken(self) -> list[Line]:
        lines = [json.loads(text) for text in self.texts]
        self.texts.clear()
        return lines

    def ends(self) -> list[tuple[str, str | int, str]]:
        """Return id, actor and reason of the lines since the last time."""
        return [(e["session"], e["actor"], e["reason"]) for e in self.taken()]


@pytest.fixture
def trail() -> Iterator[Trail]:
    log, trail = logging.getLogger("flask_srvsession.audit"), Trail()
    log.addHandler(trail)
    log.setLevel(logging.INFO)
    yield trail
    log.removeHandler(trail)
    log.setLevel(logging.NOTSET)


def logged_in(app: Flask) -> Browser:
    [browser] = signed_in(app)
    browser.set(note=SECRET)
    return browser


def by_destroy(app: Flask, clock: FakeClock) -> Ended:
    browser = logged_in(app)
    ended = browser.id
    browser.do(lambda: session.destroy())
    return [ended], "client", "logout"


def by_destroy_that_says_why(app: Flask, clock: FakeClock) -> Ended:
    browser = logged_in(app)
    ended = browser.id
    browser.do(lambda: session.destroy(**TOLD))  # type: ignore[arg-type]
    return [ended], TOLD["actor"], TOLD["reason"]


def by_clear(app: Flask, clock: FakeClock) -> Ended:
    browser = logged_in(app)
    ended = browser.id
    browser.do(lambda: session.clear())
    return [ended], "client", "emptied"


def by_removal_of_everything(app: Flask, clock: FakeClock) -> Ended:
    browser = logged_in(app)
    ended = browser.id
    browser.do(lambda: [session.pop(key) for key in list(session)] and "out")
    return [ended], "client", "emptied"


def by_clear_and_a_note(app: Flask, clock: FakeClock) -> Ended:
    browser = logged_in(app)
    before = browser.id
    browser.do(lambda: session.clear() or session.update(note="bye") or "")
    assert browser.id not in (None, before)
    return [before], "client", "logout"


def by_removal_of_the_login(app: Flask, clock: FakeClock) -> Ended:
    browser = logged_in(app)
    ended = browser.id
    browser.do(lambda: session.pop("user_id"))
    assert browser.values() == {"note": SECRET}
    return [ended], "client", "logout"


def by_another_login(app: Flask, clock: FakeClock) -> Ended:
    browser = logged_in(app)
    ended = browser.id
    browser.set(user_id=43)
    return [ended], "client", "logout"


def by_a_logout_after_its_session_moved(app: Flask, clock: FakeClock) -> Ended:
    browser = logged_in(app)
    late = browser.copy()
    browser.do(lambda: session.rotate())
    ended = browser.id
    late.do(lambda: session.destroy())
    return [ended], "client", "logout"


def by_a_removal_after_its_session_moved(app: Flask, clock: FakeClock) -> Ended:
    browser = logged_in(app)
    with browser.in_flight(lambda: session.pop("user_id")):
        browser.do(lambda: session.rotate())
    return [browser.id], "client", "logout"


def by_revoke(app: Flask, clock: FakeClock) -> Ended:
    browser = logged_in(app)
    with app.app_context():
        assert sessions.revoke(browser.id)
        assert not sessions.revoke(browser.id)
    return [browser.id], "app", "revoked"


def by_revoke_that_says_why(app: Flask, clock: FakeClock) -> Ended:
    browser = logged_in(app)
    with app.app_context():
        assert sessions.revoke(browser.id, actor=7, reason="asked", user_id=42)
    return [browser.id], 7, "asked"


def by_revoke_of_itself_after_it_moved(app: Flask, clock: FakeClock) -> Ended:
    browser = logged_in(app)
    before = browser.copy()
    browser.do(lambda: session.rotate())
    options: dict[str, Any] = TOLD
    before.do(lambda: str(sessions.revoke(session.id, **options)))
    return [browser.id], TOLD["actor"], TOLD["reason"]


def by_revoke_all(app: Flask, clock: FakeClock) -> Ended:
    ended = [browser.id for browser in signed_in(app, 42, 3)]
    signed_in(app, 43)
    with app.app_context():
        assert sessions.revoke_all(user_id=42) == 3
        assert sessions.revoke_all(user_id=42) == 0
    return ended, "app", "all revoked"


def by_revoke_all_but_this(app: Flask, clock: FakeClock) -> Ended:
    mine, *others = signed_in(app, 42, 3)
    options: dict[str, Any] = {**TOLD, "keep_current": True, "user_id": 42}
    mine.do(lambda: str(sessions.revoke_all(**options)))
    assert mine.values() == {"user_id": 42}
    return [each.id for each in others], TOLD["actor"], TOLD["reason"]


def by_the_command_revoke(app: Flask, clock: FakeClock) -> Ended:
    browser = logged_in(app)
    flask(app, "revoke", browser.id, "--yes", "--actor", "eve", "--reason", "theft")
    return [browser.id], "eve", "theft"


def by_the_command_revoke_all(app: Flask, clock: FakeClock) -> Ended:
    browsers = signed_in(app, 42, 2)
    flask(app, "revoke-all", "user_id=42", "--yes")
    return [each.id for each in browsers], "operator root", "all revoked"


def by_the_limit(app: Flask, clock: FakeClock) -> Ended:
    first, *_ = (signed_in(app)[0] for _ in range(3) if clock.advance(1) is None)
    return [first.id], "server", "limit"


def by_a_login_that_is_sent_twice(app: Flask, clock: FakeClock) -> Ended:
    browser = Browser(app)
    browser.set(cart=["book"])
    again = browser.copy()
    browser.set(user_id=42)
    again.set(user_id=42)
    return [browser.id], "server", "login repeated"


def by_a_replay(app: Flask, clock: FakeClock) -> Ended:
    browser = logged_in(app)
    thief = browser.copy()
    clock.advance(16 * 60)
    browser.values()
    browser.values()
    clock.advance(5 * 60)
    assert thief.values() == {}
    assert thief.values() == {}
    return [browser.id], "server", "replay"


def by_a_logout_with_two_cookies(app: Flask, clock: FakeClock) -> Ended:
    pair = signed_in(app, 42, 2)
    both = "; ".join(f"session={each.cookie}" for each in pair)
    Browser(app).send(both.encode(), lambda: session.destroy())
    return [each.id for each in pair], "server", "several cookies"


def after_a_value_that_did_not_decode(app: Flask, clock: FakeClock) -> Ended:
    browser = logged_in(app)
    store = app.extensions["srvsession"].store
    live = store.peek(browser.id)
    broken = live.record._replace(values={**live.record.values, "user_id": b"\xc1"})
    store.records.swap(live, broken)
    ended = browser.id
    browser.do(lambda: session.destroy())
    return [ended], "client", "logout"


Way = Callable[[Flask, "FakeClock"], Ended]


def by_no_registration(app: Flask, clock: FakeClock) -> Ended:
    """A login that no device was registered for, where each has to be."""
    browser = Browser(app)
    browser.set(user_id=42)
    ended = browser.id
    clock.advance(60)
    browser.values()
    return [ended], "server", "not bound to a device"


WAYS: list[Way] = [
    *(by_destroy, by_destroy_that_says_why, by_clear, by_removal_of_everything),
    *(by_clear_and_a_note, by_removal_of_the_login, by_another_login),
    *(by_a_logout_after_its_session_moved, by_a_removal_after_its_session_moved),
    *(by_revoke, by_revoke_that_says_why, by_revoke_of_itself_after_it_moved),
    *(by_revoke_all, by_revoke_all_but_this),
    *(by_the_command_revoke, by_the_command_revoke_all),
    *(by_the_limit, by_a_replay, by_a_logout_with_two_cookies),
    by_a_login_that_is_sent_twice,
    *(after_a_value_that_did_not_decode, by_no_registration),
]
"""All ways in which a session can end, but for its time, which the storage sees to,
and for back-channel logout, which has tests of its own."""


LEAVING_A_TOMBSTONE = (by_clear_and_a_note, by_removal_of_the_login, by_another_login)


def _config_for(way: Way) -> dict[str, Any]:
    if way is by_no_registration:
        return {"SRVSESSION_DBSC": "required"}
    return {"SRVSESSION_MAX_PER_KEY": {"user_id": 2}} if way is by_the_limit else {}


@pytest.mark.every_storage(
    *(
        "by_destroy",
        "by_another_login",
        "by_revoke_all",
        "by_the_limit",
        "is_sent_twice",
    )
)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_end_leaves_one_line_that_says_who_and_why(
    make_app: MakeApp,
    clock: FakeClock,
    trail: Trail,
    monkeypatch: pytest.MonkeyPatch,
    way: Way,
) -> None:
    monkeypatch.setenv("SUDO_USER", "root")
    app = make_app(**_config_for(way))

    ended, actor, reason = way(app, clock)

    texts = "".join(trail.texts)
    assert sorted(trail.ends()) == sorted((each, actor, reason) for each in ended)
    if way not in LEAVING_A_TOMBSTONE:
        assert all(stored(app, each) is None for each in ended)
    for secret in (SECRET, "user_id", index_name(app, 42)):
        assert secret not in texts
    assert "\n" not in texts


@ON_MEMORY
def test_the_ways_that_are_tested_give_all_reasons(
    make_app: MakeApp, clock: FakeClock
) -> None:
    known = {each for each in vars(ending).values() if isinstance(each, End)}
    known.remove(ending.EVERYTHING)  # one line for all: lists/test_everything.py

    seen = {
        End(actor, reason)
        for way in WAYS
        for _, actor, reason in [way(make_app(**_config_for(way)), clock)]
    }

    assert len(known) >= 7
    assert known <= seen


@ON_MEMORY
def test_no_end_is_no_line(make_app: MakeApp, trail: Trail, clock: FakeClock) -> None:
    app = make_app(SRVSESSION_ON_REPLAY="reject", SRVSESSION_METADATA=True)
    browser = Browser(app)
    browser.set(theme="dark")
    browser.set(user_id=42)  # a new id for whoever was nobody
    browser.set(note=SECRET)
    browser.do(lambda: session.rotate())
    thief = browser.copy()
    clock.advance(16 * 60)
    browser.values()
    browser.values()
    clock.advance(5 * 60)
    thief.values()
    Browser(app).do(lambda: session.destroy())

    assert trail.ends() == []


@ON_MEMORY
def test_many_who_end_it_at_once_leave_one_line(
    make_app: MakeApp, trail: Trail
) -> None:
    app = make_app()
    browser = logged_in(app)

    def revoke() -> None:
        with app.app_context():
            sessions.revoke(browser.id)
            sessions.revoke_all(user_id=42)

    together(*[revoke] * 4, lambda: browser.copy().do(lambda: session.destroy()))

    assert [line["session"] for line in trail.taken()] == [browser.id]


@ON_MEMORY
def test_a_line_says_where_and_when(
    make_app: MakeApp, trail: Trail, clock: FakeClock
) -> None:
    app = make_app()
    first, second = signed_in(app, 42, 2)
    ids = [first.id, second.id]
    clock.advance(90)

    first.do(lambda: session.destroy())
    flask(app, "revoke", second.id, "--yes")

    lines = trail.taken()
    assert [line["session"] for line in lines] == ids
    assert [line["endpoint"] for line in lines] == ["do", None]
    assert {line["app"] for line in lines} == {app.name}
    assert {line["event"] for line in lines} == {"session_ended"}
    for line in lines:
        assert line["time"] > line["last_seen_at"] >= line["created_at"]
        assert line["time"].endswith("+00:00")


@ON_MEMORY
def test_signals_say_who_and_why(make_app: MakeApp) -> None:
    app = make_app()
    first, second, third = signed_in(app, 42, 3)
    seen: dict[str, End | None] = {}

    def note(sender: Flask, info: Any) -> None:
        seen[info.id] = info.end

    expected = {
        first.id: End("client", "logout"),
        second.id: End("admin 7", "revoked"),
        third.id: End("app", "a new password"),
    }
    with (
        session_destroyed.connected_to(note, app),
        session_revoked.connected_to(note, app),
        app.app_context(),
    ):
        first.do(lambda: session.destroy())
        sessions.revoke(second.id, actor="admin 7")
        sessions.revoke_all(user_id=42, reason="a new password")

    assert seen == expected
    assert sessions_found(app) == []


def sessions_found(app: Flask) -> list[End | None]:
    """Return the ends of the sessions that live: there is none."""
    with app.app_context():
        return [info.end for info in sessions.find(user_id=42)]


@ON_MEMORY
def test_without_a_reader_nothing_is_made(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr("flask_srvsession.audit.tell", lambda *a: told.append(a))
    browser = logged_in(make_app())

    browser.do(lambda: session.destroy())

    assert told == []
