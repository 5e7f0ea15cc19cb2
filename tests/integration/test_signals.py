"""Each event is told once, with the app and the session, after it has happened."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from flask import session as plain_session

import flask_srvsession
from flask_srvsession import (
    SessionInfo,
    session,
    session_changes_dropped,
    session_created,
    session_destroyed,
    session_replayed,
    session_revoked,
    session_rotated,
)
from tests.web import Browser

from .apps import deletes_cookie, sets_cookie, stored
from .devices import alive, found, revoke_all, sessions, signed_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from blinker import Signal
    from flask import Flask

    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp

SIGNALS = {
    "created": session_created,
    "rotated": session_rotated,
    "destroyed": session_destroyed,
    "revoked": session_revoked,
    "replayed": session_replayed,
    "dropped": session_changes_dropped,
}

Event = tuple[str, Any, SessionInfo | None]


class Listener:
    """Notes what is sent, and whether the session was in the storage then."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.in_storage: list[bool] = []
        self._receivers: list[tuple[Signal, Callable[..., None]]] = []

    def listen(self) -> None:
        for name, signal in SIGNALS.items():
            receiver = self._receiver(name)
            self._receivers.append((signal, receiver))
            signal.connect(receiver, weak=False)

    def stop(self) -> None:
        for signal, receiver in self._receivers:
            signal.disconnect(receiver)
        self._receivers.clear()

    def taken(self) -> list[tuple[str, str | None]]:
        """Return names and ids of the events since the last time."""
        events = [(name, info.id if info else None) for name, _, info in self.events]
        self.events.clear()
        self.in_storage.clear()
        return events

    def _receiver(self, name: str) -> Callable[..., None]:
        def receive(sender: Any, *, info: SessionInfo | None, **extra: Any) -> None:
            assert extra == {}
            self.events.append((name, sender, info))
            if info:
                self.in_storage.append(stored(sender, info.id) is not None)

        return receive


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    listener.listen()
    yield listener
    listener.stop()


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


def test_a_new_session_is_told_once_and_is_in_the_storage_then(
    app: Flask, listener: Listener
) -> None:
    browser = Browser(app)

    browser.set(theme="dark")

    [(name, sender, info)] = listener.events
    assert (name, sender) == ("created", app)
    assert isinstance(info, SessionInfo)
    assert info.id == browser.id
    assert info.is_current
    assert listener.in_storage == [True]


def test_who_only_looks_or_changes_something_sends_nothing(
    app: Flask, listener: Listener
) -> None:
    browser = Browser(app)
    browser.set(theme="dark")
    listener.taken()

    browser.values()
    browser.set(theme="light")

    assert listener.taken() == []


@pytest.mark.parametrize("how", ["login", "rotate"])
def test_a_new_id_is_told_once_with_the_new_one(
    app: Flask, listener: Listener, how: str
) -> None:
    browser = Browser(app)
    browser.set(theme="dark")
    old = browser.id
    listener.taken()

    browser.do(
        lambda: session.update(user_id=1) if how == "login" else session.rotate()
    )

    assert listener.in_storage == [True]
    assert browser.id != old
    assert listener.taken() == [("rotated", browser.id)]


@pytest.mark.parametrize("how", ["destroy", "clear", "pop"])
def test_a_logout_is_told_once_after_it_was_done(
    app: Flask, listener: Listener, how: str
) -> None:
    browser = Browser(app)
    browser.set(theme="dark")
    old = browser.id
    listener.taken()
    acts: dict[str, Callable[[], Any]] = {
        "destroy": lambda: session.destroy(),
        "clear": lambda: plain_session.clear(),
        "pop": lambda: str(plain_session.pop("theme")),
    }

    response = browser.do(acts[how])

    assert listener.in_storage == [False]
    assert listener.taken() == [("destroyed", old)]
    assert deletes_cookie(response)


def test_revocations_are_told_once_for_each_session(
    app: Flask, listener: Listener
) -> None:
    browsers = signed_in(app, 42, 3)
    signed_in(app, 7)
    ids = [browser.id for browser in browsers]
    listener.taken()

    with app.app_context():
        sessions.revoke(ids[0])
        sessions.revoke(ids[0])
    assert listener.in_storage == [False]
    assert listener.taken() == [("revoked", ids[0])]

    revoke_all(app)
    assert listener.in_storage == [False, False]
    assert {sender for _, sender, _ in listener.events} == {app}
    assert sorted(listener.taken()) == sorted(("revoked", i) for i in ids[1:])

    revoke_all(app)
    assert listener.taken() == []


@pytest.mark.parametrize("touched", [True, False])
def test_the_session_of_the_request_that_revokes_is_marked(
    app: Flask, listener: Listener, touched: bool
) -> None:
    mine, other = signed_in(app, 42, 2)
    ids = {mine.id: True, other.id: False}
    listener.taken()

    def view() -> str:
        if touched:
            len(session)
        return str(sessions.revoke_all(user_id=42))

    mine.do(view)

    marked = {info.id: info.is_current for _, _, info in listener.events if info}
    assert marked == ids


def test_a_limit_that_ends_the_oldest_says_so(
    make_app: MakeApp, clock: FakeClock, listener: Listener
) -> None:
    app = make_app(SRVSESSION_MAX_PER_KEY={"user_id": 1})
    [first] = signed_in(app)
    clock.advance(1)
    listener.taken()

    [second] = signed_in(app)

    assert sorted(listener.taken()) == [("created", second.id), ("revoked", first.id)]


def test_a_replay_is_told_once_with_the_session_that_is_ended(
    app: Flask, clock: FakeClock, listener: Listener
) -> None:
    browser = Browser(app)
    browser.set(theme="dark")
    thief = browser.copy()
    stolen = browser.id
    clock.advance(16 * 60)
    browser.values()
    browser.values()
    clock.advance(5 * 60)
    listener.taken()

    assert thief.values() == {}

    assert listener.in_storage == [False]
    assert listener.taken() == [("replayed", stolen)]
    assert alive([browser]) == [False]


def test_dropped_changes_are_told_once(app: Flask, listener: Listener) -> None:
    [browser] = signed_in(app)
    old = browser.id

    with browser.in_flight(lambda: session.update(late=1)) as late:
        revoke_all(app)
        listener.taken()

    assert listener.taken() == [("dropped", old)]
    assert not sets_cookie(late.response)


def test_a_kept_session_is_told_of_as_rotated(app: Flask, listener: Listener) -> None:
    kept, other = signed_in(app, 42, 2)
    gone = other.id
    listener.taken()

    kept.do(lambda: str(sessions.revoke_all(user_id=42, keep_current=True)))

    assert listener.taken() == [("rotated", kept.id), ("revoked", gone)]


class TestRaisingReceiver:
    """It makes a 500 of the response, but neither prevents nor undoes anything."""

    @pytest.fixture(autouse=True)
    def quiet(self, app: Flask, caplog: pytest.LogCaptureFixture) -> None:
        app.testing = False
        caplog.set_level(logging.CRITICAL, logger="testapp")

    @staticmethod
    def fail(sender: Any, **_: Any) -> None:
        raise ValueError("the receiver failed")

    @pytest.mark.parametrize("how", ["destroy", "clear", "pop"])
    def test_a_logout_is_done_and_deletes_the_cookie(
        self, app: Flask, how: str
    ) -> None:
        browser = Browser(app)
        browser.set(theme="dark")
        copy = browser.copy()
        acts: dict[str, Callable[[], Any]] = {
            "destroy": lambda: session.destroy(),
            "clear": lambda: plain_session.clear(),
            "pop": lambda: str(plain_session.pop("theme")),
        }

        with session_destroyed.connected_to(self.fail, sender=app):
            response = browser.do(acts[how])

        assert response.status_code == 500
        assert deletes_cookie(response)
        assert copy.values() == {}

    def test_all_sessions_are_ended_before_anybody_hears_of_it(
        self, app: Flask
    ) -> None:
        browsers = signed_in(app, 42, 3)

        with (
            session_revoked.connected_to(self.fail, sender=app),
            pytest.raises(ValueError, match="receiver"),
        ):
            revoke_all(app)

        assert alive(browsers) == [False, False, False]
        assert found(app) == []

    def test_a_view_that_signs_out_everywhere_deletes_its_cookie(
        self, app: Flask
    ) -> None:
        mine, other = signed_in(app, 42, 2)

        def view() -> str:
            len(session)
            return str(sessions.revoke_all(user_id=42))

        with session_revoked.connected_to(self.fail, sender=app):
            response = mine.do(view)

        assert response.status_code == 500
        assert deletes_cookie(response)
        assert alive([mine, other]) == [False, False]

    def test_keep_current_keeps_the_session_usable(self, app: Flask) -> None:
        kept, other = signed_in(app, 42, 2)

        with session_revoked.connected_to(self.fail, sender=app):
            kept.do(lambda: str(sessions.revoke_all(user_id=42, keep_current=True)))

        assert alive([kept, other]) == [True, False]

    def test_a_login_gets_its_cookie(self, app: Flask) -> None:
        browser = Browser(app)
        browser.set(theme="dark")
        old = browser.copy()

        with session_rotated.connected_to(self.fail, sender=app):
            response = browser.set(user_id=42)

        assert response.status_code == 500
        assert old.values() == {"theme": "dark"}  # for a moment
        assert sets_cookie(response)
        assert browser.values()["user_id"] == 42

    def test_a_login_at_the_limit_goes_through(self, make_app: MakeApp) -> None:
        app = make_app(SRVSESSION_MAX_PER_KEY={"user_id": 1})
        [oldest] = signed_in(app)
        browser = Browser(app)

        with session_revoked.connected_to(self.fail, sender=app):
            response = browser.set(user_id=42)

        assert response.status_code == 200
        assert alive([oldest, browser]) == [False, True]


class TestConnecting:
    def test_only_the_app_that_is_listened_to_is_heard(self, make_app: MakeApp) -> None:
        app, other = make_app(), make_app()
        heard: list[SessionInfo] = []

        def receive(sender: Flask, info: SessionInfo) -> None:
            heard.append(info)

        with session_created.connected_to(receive, sender=app):
            mine = signed_in(app)
            signed_in(other)
        signed_in(app)

        assert [info.id for info in heard] == [mine[0].id]

    def test_a_disconnected_receiver_hears_nothing(
        self, app: Flask, listener: Listener
    ) -> None:
        listener.stop()

        signed_in(app)

        assert listener.events == []
        assert not session_created.has_receivers_for(app)

    def test_all_six_are_public(self) -> None:
        for signal in SIGNALS.values():
            name = signal.name.replace("-", "_")
            assert getattr(flask_srvsession, name) is signal


def test_a_new_session_has_its_id_when_it_is_told_of(app: Flask) -> None:
    seen: list[tuple[str | None, str | None]] = []

    def note(_: Flask, info: SessionInfo, **more: Any) -> None:
        seen.append((info.id, session.id))

    with session_created.connected_to(note, app):
        browser = Browser(app)
        browser.set(cart=["book"])

    assert seen == [(browser.id, browser.id)]


def test_a_session_that_a_limit_ends_is_not_the_current_one(make_app: MakeApp) -> None:
    app = make_app(SRVSESSION_MAX_PER_KEY={"user_id": 1})
    signed_in(app)
    ended: list[bool] = []

    def note(_: Flask, info: SessionInfo, **more: Any) -> None:
        ended.append(info.is_current)

    with session_revoked.connected_to(note, app):
        signed_in(app)

    assert ended == [False]


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("created", lambda: session.update(a=1)),
        ("rotated", lambda: session.update(user_id=43)),
        ("destroyed", lambda: session.clear()),
    ],
)
def test_a_change_that_a_receiver_makes_is_saved(
    make_app: MakeApp, name: str, act: Callable[[], object]
) -> None:
    app = make_app()
    browser = Browser(app)
    if name != "created":
        browser.set(user_id=42)
    told: list[object] = []

    def receive(sender: object, info: SessionInfo) -> None:
        told.append(info)
        session["seen"] = len(told)

    with SIGNALS[name].connected_to(receive, sender=app):
        browser.do(act)

    assert browser.values()["seen"] == len(told) == 1
