"""A login gives the session a new id, which keeps what the session held."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from flask_login import logout_user

from flask_srvsession import (
    session,
    session_rotated,
)
from tests.web import Browser, View

from ..apps import (
    cookie_headers,
    deletes_cookie,
    listed,
    new_cookies,
    sets_cookie,
    stored,
)
from .ways import (
    CART,
    LOGINS,
    by_any_login,
    by_listed_login,
    log_in_like_the_tutorial,
    log_in_with_a_dict,
    log_in_with_flask_login,
    log_in_with_user_id,
    shopper,
    who,
)

if TYPE_CHECKING:
    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp


KEEPING = {name: view for name, view in LOGINS.items() if name != "clear first"}
"""Logins that keep what the session had."""


@by_any_login
def test_the_cookie_from_before_a_login_is_worth_nothing_after_it(
    app: Flask, log_in: View
) -> None:
    browser = shopper(app)
    attacker, session_id = browser.copy(), browser.id

    response = browser.do(log_in)

    assert response.status_code == 200
    assert sets_cookie(response)
    assert browser.id != session_id
    assert who(browser)
    assert not who(attacker)
    assert attacker.values() == CART  # for a moment, and only to be read
    assert attacker.set(cart="other").status_code == 200
    assert browser.values().get("cart") != "other"


@pytest.mark.parametrize("log_in", KEEPING.values(), ids=KEEPING)
def test_the_data_carries_over(app: Flask, log_in: View) -> None:
    browser = shopper(app)

    browser.do(log_in)

    assert browser.values().items() >= CART.items()


def test_after_clear_nothing_carries_over(app: Flask) -> None:
    browser = shopper(app)

    browser.do(log_in_like_the_tutorial)

    assert browser.values() == {"user_id": 42}


@by_any_login
def test_a_login_without_a_session_begins_one(app: Flask, log_in: View) -> None:
    browser = Browser(app)

    response = browser.do(log_in)

    assert sets_cookie(response)
    assert who(browser)


@by_listed_login
def test_only_the_new_session_is_listed(app: Flask, log_in: View) -> None:
    browser = shopper(app)

    browser.do(log_in)

    assert listed(app, 42) == {browser.id}


def test_a_login_begins_a_new_life_and_a_logout_goes_on_with_it(
    app: Flask, clock: Any
) -> None:
    browser, births = shopper(app), list[datetime | None]()
    note: View = lambda: births.append(session.created_at)  # noqa: E731
    browser.do(note)
    clock.advance(100)
    browser.do(log_in_with_user_id)
    browser.do(note)
    clock.advance(100)
    browser.do(lambda: str(session.pop("user_id")))

    browser.do(note)

    before, at_login, after_logout = births
    assert before
    assert at_login == before + timedelta(seconds=100)
    assert after_logout == at_login


def test_logging_in_again_the_tutorials_way_begins_a_new_life(
    app: Flask, clock: Any
) -> None:
    browser, births = Browser(app), list[datetime | None]()
    browser.do(log_in_like_the_tutorial)
    clock.advance(100)

    browser.do(log_in_like_the_tutorial)

    browser.do(lambda: births.append(session.created_at))
    assert births == [datetime.fromtimestamp(clock(), timezone.utc)]


def test_permanent_carries_over(app: Flask) -> None:
    browser = Browser(app)

    def be_permanent() -> None:
        session.permanent = True
        session["cart"] = []

    browser.do(be_permanent)

    response = browser.do(log_in_with_user_id)

    assert "Expires=" in cookie_headers(response)[0]
    assert browser.do(lambda: str(session.permanent)).text == "True"


@pytest.mark.parametrize("kept", [False, True])
def test_after_clear_a_login_is_permanent_only_if_it_says_so(
    app: Flask, kept: bool
) -> None:
    """As with Flask's own session: whoever logs in next has not asked for it."""

    def log_in() -> None:
        session.clear()
        session["user_id"] = 42
        if kept:
            session.permanent = True

    browser = Browser(app)
    browser.do(lambda: session.update(user_id=7) or setattr(session, "permanent", True))

    response = browser.do(log_in)

    assert ("Expires" in response.headers["Set-Cookie"]) is kept
    assert browser.do(lambda: session.permanent).text == str(kept)


def test_changes_of_the_login_request_itself_are_kept(app: Flask) -> None:
    browser = shopper(app)

    def log_in() -> None:
        session["cart"]["items"].append("pear")
        session["user_id"] = 42
        session["since"] = "now"

    browser.do(log_in)

    items = {"items": ["apple", "pear"]}
    assert browser.values() == {"cart": items, "user_id": 42, "since": "now"}


def test_what_is_set_after_bind_is_kept(app: Flask) -> None:
    browser = shopper(app)

    def log_in() -> None:
        session.bind(user_id=42)
        session["since"] = "now"

    browser.do(log_in)

    assert browser.values() == {**CART, "user_id": 42, "since": "now"}


def test_another_user_in_the_same_session_gets_another_id(app: Flask) -> None:
    browser = Browser(app)
    browser.set(user_id=1)
    before = browser.copy()

    browser.set(user_id=2)

    assert before.values() == {}
    assert browser.values() == {"user_id": 2}
    assert listed(app, 1) == set()
    assert listed(app, 2) == {browser.id}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"sub": "1", "name": "eve"}, {"sub": "2", "name": "ada"}),
        # Two providers may give the same one.
        ({"sub": "1", "email": "eve@one"}, {"sub": "1", "email": "ada@two"}),
        ({"id": 1}, {"id": 2}),
        ({"email": "eve@example"}, {"email": "ada@example"}),
        ({"username": "eve"}, {"id": 2}),
        ((1, "eve"), (2, "ada")),
        ({"id": 1}, 2),
        ({"_id": "1", "name": "eve"}, {"_id": "2", "name": "ada"}),
        ({"userinfo": {"sub": "1"}}, {"userinfo": {"sub": "2"}}),
        ([1, "eve"], [2, "ada"]),
        (1, "2"),
        (1, {"id": 2}),
    ],
    ids=repr,
)
def test_another_user_dict_in_the_same_session_gets_another_id(
    app: Flask, before: object, after: object
) -> None:
    """Somebody may have planted the cookie of a session they are logged in to."""
    attacker = Browser(app)
    attacker.set(user=before, csrf_token="known")
    victim = attacker.copy()

    victim.set(user=after)

    assert attacker.values() == {}
    assert victim.values() == {"user": after}


def test_a_change_of_a_dict_without_a_name_is_a_login_and_warned_about_once(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    browser = Browser(app)
    browser.set(user={"name": "Ann", "seen": 0})
    assert caplog.messages == []
    ids = {browser.id}

    for seen in (1, 2):
        browser.set(user={"name": "Ann", "seen": seen})
        ids.add(browser.id)

    assert len(ids) == 3
    [warning] = caplog.messages
    assert "does not name the user" in warning


@pytest.mark.parametrize("name", ["id", "_id"])
@pytest.mark.parametrize("known", [False, True], ids=["empty", "known"])
def test_another_user_in_the_same_dict_gets_another_id(
    app: Flask, name: str, known: bool
) -> None:
    attacker = Browser(app)
    attacker.set(user={name: 1} if known else {}, csrf_token="known")
    victim = attacker.copy()

    victim.do(lambda: session["user"].update({name: 2}))

    # A visitor's former cookie reads what they had, for a moment.
    assert attacker.values() == ({} if known else {"user": {}, "csrf_token": "known"})
    assert victim.values() == {"user": {name: 2}}


@pytest.mark.parametrize(
    ("before", "after"),
    [(42, 42), (42, "42"), ("ann", {"username": "ann"}), (1, True)],
    ids=repr,
)
def test_assigning_the_same_user_changes_no_id(
    app: Flask, before: object, after: object
) -> None:
    """A column may hold an int, and Flask-Login's get_id() returns its text."""
    browser = Browser(app)
    browser.set(user=before)
    browser.set(csrf_token="known")

    response = browser.set(user=after)

    assert cookie_headers(response) == []
    assert browser.values() == {"user": after, "csrf_token": "known"}


def _change_roles() -> None:
    session["user"]["roles"].append("admin")


def _assign_roles() -> None:
    session["user"] = {**session["user"], "roles": ["admin"]}


def _change_and_assign_roles() -> None:
    user = session["user"]
    user["roles"].append("admin")
    session["user"] = user


@pytest.mark.parametrize(
    "change", [_change_roles, _assign_roles, _change_and_assign_roles]
)
def test_a_change_inside_a_user_dict_changes_no_id(app: Flask, change: View) -> None:
    browser = Browser(app)
    browser.do(log_in_with_a_dict)

    response = browser.do(change)

    assert cookie_headers(response) == []
    assert browser.values()["user"]["roles"] == ["admin"]


def test_flask_logins_login_of_the_same_user_changes_the_id(app: Flask) -> None:
    browser = Browser(app)
    browser.do(log_in_with_flask_login)
    before = browser.copy()

    browser.do(log_in_with_flask_login)

    assert before.values() == {}
    assert browser.values()["_user_id"] == "42"
    assert listed(app, 42) == {browser.id}


def test_login_keys_are_a_setting(make_app: MakeApp) -> None:
    browser = Browser(make_app(SRVSESSION_LOGIN_KEYS=("member",)))
    browser.set(username="a nickname")
    before = browser.copy()
    browser.set(user_id=1)
    assert before.values() == {"username": "a nickname", "user_id": 1}

    browser.set(member="ada")

    assert before.values() == {"username": "a nickname", "user_id": 1}  # for a moment
    assert browser.values()["member"] == "ada"


LOGOUTS: dict[str, View] = {
    "pop": lambda: str(session.pop("user_id")),
    "del": lambda: session.__delitem__("user_id"),
    "None": lambda: session.update(user_id=None),
}


@pytest.mark.parametrize("log_out", LOGOUTS.values(), ids=LOGOUTS)
def test_a_copy_from_before_the_user_was_removed_is_worth_nothing(
    app: Flask, log_out: View
) -> None:
    browser = shopper(app, user_id=42)
    thief = browser.copy()

    browser.do(log_out)

    assert thief.values() == {}
    assert browser.values().items() >= CART.items()
    assert who(browser) in (None, "None")
    assert listed(app, 42) == set()


def test_a_copy_from_before_logout_user_is_worth_nothing(app: Flask) -> None:
    browser = shopper(app)
    browser.do(log_in_with_flask_login)
    thief = browser.copy()
    assert who(thief) == "42"

    browser.do(lambda: logout_user() and None)

    assert thief.values() == {}
    assert browser.values() == CART
    assert listed(app, 42) == set()


def test_logout_user_of_a_session_with_nothing_else_ends_it(app: Flask) -> None:
    browser = Browser(app)
    browser.do(log_in_with_flask_login)
    session_id = browser.id

    response = browser.do(lambda: logout_user() and None)

    assert deletes_cookie(response)
    assert stored(app, session_id) is None


def test_rotate_gives_a_new_id_and_the_old_one_is_dead_at_once(app: Flask) -> None:
    browser, heard = shopper(app, user_id=42), []
    before, births = browser.copy(), []
    browser.do(lambda: births.append(session.created_at))

    def rotate() -> None:
        session["admin"] = True
        session.rotate()
        assert before.values() == {}
        births.append(session.created_at)

    with session_rotated.connected_to(lambda app, info: heard.append(info.id)):
        browser.do(rotate)

    assert browser.values() == {**CART, "user_id": 42, "admin": True}
    assert heard == [browser.id]
    assert births[0] == births[1]
    assert listed(app, 42) == {browser.id}


def test_rotate_of_an_emptied_session_ends_it(app: Flask) -> None:
    browser = Browser(app)
    browser.set(step=1)
    before = browser.id

    def empty_and_rotate() -> None:
        del session["step"]
        session.rotate()
        assert session.id is None

    response = browser.do(empty_and_rotate)

    assert deletes_cookie(response)
    assert stored(app, before) is None


def test_two_logins_in_one_request_leave_the_second(app: Flask) -> None:
    browser = shopper(app)

    def log_in_twice() -> None:
        session.bind(user_id=1)
        session.bind(user_id=2)

    response = browser.do(log_in_twice)

    assert new_cookies(response) == [browser.cookie]
    assert browser.values() == {**CART, "user_id": 2}
    assert listed(app, 1) == set()
    assert listed(app, 2) == {browser.id}


def test_a_login_and_a_logout_in_one_request_leave_nothing(app: Flask) -> None:
    browser = shopper(app)
    before, ids = browser.copy(), list[str]()

    def log_in_and_out() -> None:
        session.bind(user_id=42)
        ids.append(session.id or "")
        session.destroy()

    response = browser.do(log_in_and_out)

    assert deletes_cookie(response)
    assert not sets_cookie(response)
    assert stored(app, ids[0]) is None
    assert listed(app, 42) == set()
    assert before.values() == CART  # for a moment


def test_a_logout_and_a_login_in_one_request_begin_empty(app: Flask) -> None:
    browser = shopper(app, user_id=1)
    before, old_id = browser.copy(), browser.id

    def switch() -> None:
        session.destroy()
        session.bind(user_id=2)

    browser.do(switch)

    assert stored(app, old_id) is None
    assert before.values() == {}
    assert browser.values() == {"user_id": 2}


def test_a_further_login_key_of_the_same_user_is_no_new_login(
    make_app: MakeApp, clock: FakeClock
) -> None:
    browser = Browser(make_app())
    browser.set(user_id=42)
    first, since = browser.id, browser.does(lambda: session.created_at)
    clock.advance(60)

    browser.set(github_oauth_token={"access_token": "a"})

    assert browser.id != first
    assert browser.does(lambda: session.created_at) == since
    browser.set(github_oauth_token={"access_token": "b"}, user_id=43)
    assert browser.does(lambda: session.created_at) != since
