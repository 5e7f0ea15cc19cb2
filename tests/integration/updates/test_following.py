"""A session that gets another id while its user stays the same: the changes of requests
in flight follow it. They follow no login, and nobody sees anything by them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from flask_srvsession import ServerSession, session, session_changes_dropped
from flask_srvsession.backends import Backend
from flask_srvsession.backends.base import Cell
from tests.web import Browser

from ..apps import cookie_headers, listed, stored
from ..probes import login

if TYPE_CHECKING:
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage

ANN: dict[str, Any] = {"user_id": 42, "cart": ["apple"], "n": 1}
VISITOR: dict[str, Any] = {"cart": ["apple"], "n": 1}
TOKEN = {"access_token": "a secret of the provider"}
sessions = ServerSession()

MOVES: dict[str, tuple[dict[str, Any], Callable[[], Any]]] = {
    "an OAuth token appears": (ANN, lambda: session.update(github_oauth_token=TOKEN)),
    "a flag appears": (ANN, lambda: session.update(logged_in=True)),
    "their own profile": (ANN, lambda: session.update(profile={"id": 42, "a": 1})),
    "rotate": (ANN, lambda: session.rotate()),
    "rotate, a visitor": (VISITOR, lambda: session.rotate()),
}
CHANGES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "assign": (lambda: session.update(late=1), {"late": 1}),
    "nested": (lambda: session["cart"].append("pear"), {"cart": ["apple", "pear"]}),
    "remove": (lambda: session.pop("n"), {"n": None}),
    "compute": (lambda: session.compute("n", lambda n: n + 1), {"n": 2}),
}
NOT_FOLLOWED: dict[str, tuple[dict[str, Any], Callable[[], Any]]] = {
    "a login": (VISITOR, login),
    "a token, of a visitor": (VISITOR, lambda: session.update(access_token="t")),
    "a login again": (ANN, lambda: session.bind(user_id=42)),
    "somebody else": (ANN, lambda: session.update(user_id=43)),
    "another name": (ANN, lambda: session.update(username="eve")),
    "another profile": (ANN, lambda: session.update(profile={"sub": "eve"})),
    "a logout": (ANN, lambda: session.pop("user_id")),
    "clear": (ANN, lambda: (session.clear(), session.update(user_id=42))),
    "clear, a visitor": (VISITOR, lambda: (session.clear(), session.update(a=1))),
    "all others ended": (
        ANN,
        lambda: sessions.revoke_all(user_id=42, keep_current=True),
    ),
}


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


def with_session(app: Flask, values: dict[str, Any]) -> Browser:
    browser = Browser(app)
    browser.set(**values)
    browser.values()
    return browser


@pytest.mark.every_storage("rotate-assign", "token appears-remove", "profile-compute")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("move", MOVES)
def test_changes_in_flight_follow(app: Flask, move: str, change: str) -> None:
    (values, act), (then, expected) = MOVES[move], CHANGES[change]
    browser = with_session(app, values)
    former, dropped = browser.id, list[Any]()

    with (
        session_changes_dropped.connected_to(lambda *_, **__: dropped.append(1), app),
        browser.in_flight(lambda: str(then())) as late,
    ):
        browser.do(lambda: (act() and "") or "")

    assert late.response.status_code == 200
    assert cookie_headers(late.response) == []
    assert browser.id != former
    found = browser.values()
    assert {key: found.get(key) for key in expected} == expected
    assert dropped == []
    if "user_id" in values:
        assert listed(app, 42) == {browser.id}


@pytest.mark.every_storage("a login again", "a logout", "all others ended")
@pytest.mark.parametrize("move", NOT_FOLLOWED)
def test_they_follow_no_login_and_no_end(app: Flask, move: str) -> None:
    values, act = NOT_FOLLOWED[move]
    browser = with_session(app, values)

    with browser.in_flight(lambda: session.update(late=1)) as late:
        browser.do(lambda: (act() and "") or "")

    assert "late" not in browser.values()
    assert cookie_headers(late.response) == []


def test_a_token_that_is_no_login_as_the_app_says_drops_nothing(
    make_app: MakeApp,
) -> None:
    app = make_app(SRVSESSION_NOT_LOGIN_KEYS=("access_token",))
    browser = with_session(app, VISITOR)
    former = browser.id

    with browser.in_flight(lambda: session.update(late=1)):
        browser.do(lambda: session.update(access_token="t") or "")

    assert browser.values() == {**VISITOR, "access_token": "t", "late": 1}
    assert browser.id == former


def test_nor_a_login_that_comes_after_such_a_move(app: Flask) -> None:
    browser = with_session(app, VISITOR)

    with browser.in_flight(lambda: session.update(late=1)):
        browser.do(lambda: session.rotate())
        browser.do(login)

    assert browser.values() == {**VISITOR, "user_id": 42}


def test_they_follow_two_moves(app: Flask) -> None:
    browser = with_session(app, ANN)

    with browser.in_flight(lambda: session.update(late=1)):
        browser.do(lambda: session.rotate())
        browser.set(github_oauth_token=TOKEN)

    assert browser.values() == {**ANN, "github_oauth_token": TOKEN, "late": 1}


def test_several_requests_in_flight_all_keep_their_changes(app: Flask) -> None:
    browser = with_session(app, ANN)

    with (
        browser.in_flight(lambda: session.update(a=1)),
        browser.in_flight(lambda: session.update(b=2)),
        browser.in_flight(lambda: session.update(c=3)),
    ):
        browser.set(github_oauth_token=TOKEN)

    assert browser.values() == {
        **ANN,
        "github_oauth_token": TOKEN,
        "a": 1,
        "b": 2,
        "c": 3,
    }


def test_the_request_sees_nothing_of_the_new_session(app: Flask) -> None:
    """It may be that of somebody who has planted the cookie."""
    browser = with_session(app, ANN)
    former, seen = browser.id, dict[str, Any]()

    def commit_and_look() -> None:
        session["late"] = 1
        session.commit()
        seen.update(session)
        seen["id"] = session.id
        session["later"] = 2

    with browser.in_flight(commit_and_look) as late:
        browser.set(github_oauth_token=TOKEN)

    assert seen == {**ANN, "late": 1, "id": former}
    assert cookie_headers(late.response) == []
    assert browser.values() == {
        **ANN,
        "github_oauth_token": TOKEN,
        "late": 1,
        "later": 2,
    }


def test_a_cookie_of_before_the_move_opens_nothing(app: Flask) -> None:
    browser = with_session(app, ANN)
    copy = browser.copy()
    browser.set(github_oauth_token=TOKEN)

    copy.set(late=1)

    assert copy.values() == {}
    assert browser.values() == {**ANN, "github_oauth_token": TOKEN}


@pytest.mark.parametrize("end", ["destroy", "revoke_all", "revoke_everything"])
def test_what_has_ended_is_not_brought_back(app: Flask, end: str) -> None:
    browser = with_session(app, ANN)

    def end_it() -> None:
        if end == "destroy":
            session.destroy()
        elif end == "revoke_all":
            sessions.revoke_all(user_id=42)
        else:
            sessions.revoke_everything()

    with browser.in_flight(lambda: session.update(late=1)):
        browser.do(lambda: session.rotate())
        moved = browser.copy()
        browser.do(end_it)

    assert moved.values() == {}
    if end != "revoke_everything":
        assert stored(app, moved.id) is None


def test_a_session_that_nobody_has_presented_stays_so(app: Flask) -> None:
    """Else one whose cookie was lost would live for a month, not for an hour."""
    browser = with_session(app, VISITOR)

    with browser.in_flight(lambda: session.update(late=1)):
        browser.do(lambda: session.rotate())

    store = app.extensions["srvsession"].store
    live = store.peek(browser.id)
    assert live is not None
    assert not live.record.presented


class _MovesOnce:
    """Lets the session move again just before the change gets there."""

    def __init__(self, backend: Backend) -> None:
        self._backend: Any = backend
        self.before_swap: Callable[[], Any] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def get(self, key: str) -> Cell | None:
        found: Cell | None = self._backend.get(key)
        return found

    def swap(self, *args: Any) -> Any:
        before, self.before_swap = self.before_swap, None
        if before:
            before()
        return self._backend.swap(*args)


def test_a_move_just_before_the_save_is_followed_too(
    make_app: MakeApp, backend: Backend
) -> None:
    watched = _MovesOnce(backend)
    app = make_app(watched)
    browser = with_session(app, ANN)

    def late() -> None:
        session["late"] = 1
        watched.before_swap = move_and_again

    def move_and_again() -> None:
        browser.do(lambda: session.rotate())
        watched.before_swap = lambda: browser.do(lambda: session.rotate())

    with browser.in_flight(late):
        pass

    assert browser.values() == {**ANN, "late": 1}
