"""Requests that are in flight while somebody logs in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, flash

from flask_srvsession import (
    session,
)
from flask_srvsession.store import revocation
from tests.web import Browser, View

from ..apps import (
    cookie_headers,
    listed,
    new_cookies,
    sets_cookie,
    stored,
    together,
)
from .ways import (
    CART,
    by_any_login,
    clear_and_write,
    is_logged_in,
    log_in_like_the_tutorial,
    log_in_with_user_id,
    shopper,
)

if TYPE_CHECKING:
    from tests.conftest import MakeApp


IN_FLIGHT: dict[str, View] = {
    "read": lambda: str(dict(session)),
    "assign": lambda: session.update(late=True),
    "nested": lambda: session["cart"]["items"].append("late"),
    "remove": lambda: str(session.pop("cart")),
    "compute": lambda: str(session.compute("n", lambda n: (n or 0) + 1)),
    "flash": lambda: flash("late"),
    "clear": lambda: session.clear(),
    "clear and write": clear_and_write,
    "permanent": lambda: setattr(session, "permanent", True),
    "modified": lambda: setattr(session, "modified", True),
    "rotate": lambda: session.rotate(),
    "log out": lambda: str(session.pop("user_id", None)),
}


@pytest.mark.every_storage(
    *("anonymous-assign-user_id", "other-remove-user_id", "other-log out-bind")
)
@by_any_login
@pytest.mark.parametrize("then", IN_FLIGHT.values(), ids=IN_FLIGHT)
@pytest.mark.parametrize("before", [{}, {"user_id": 7}], ids=["anonymous", "other"])
def test_a_request_in_flight_neither_brings_the_old_session_back_nor_sets_a_cookie(
    app: Flask, log_in: View, then: View, before: dict[str, Any]
) -> None:
    browser = shopper(app, **before)
    attacker = browser.copy()

    with browser.in_flight(then) as late:
        browser.do(log_in)

    assert late.response.status_code == 200
    assert not sets_cookie(late.response)
    assert attacker.values() == ({} if before else CART)  # only to be read
    ended = ["clear", "remove", "log out", *(["clear and write"] if before else [])]
    if then not in [IN_FLIGHT[name] for name in ended]:
        assert is_logged_in(browser)
        assert "late" not in browser.values()


@pytest.mark.parametrize("then", ["remove", "log out"])
def test_what_a_request_in_flight_removes_does_not_reach_the_new_session(
    app: Flask, then: str
) -> None:
    browser = shopper(app, user_id=7)

    with browser.in_flight(IN_FLIGHT[then]) as late:
        browser.do(log_in_with_user_id)

    assert cookie_headers(late.response) == []
    assert browser.values() == {**CART, "user_id": 42}


def test_a_request_in_flight_does_not_delete_the_new_cookie(app: Flask) -> None:
    browser = shopper(app)

    with browser.in_flight(lambda: str(session.pop("cart"))) as late:
        browser.do(log_in_with_user_id)

    assert cookie_headers(late.response) == []
    assert browser.values() == {**CART, "user_id": 42}


@by_any_login
def test_what_others_store_during_the_login_comes_along(
    app: Flask, log_in: View
) -> None:
    browser = shopper(app)

    with browser.in_flight(log_in) as late:
        browser.set(meanwhile=True)

    [sent] = new_cookies(late.response)
    values = Browser(app, sent).values()
    assert log_in is log_in_like_the_tutorial or values["meanwhile"] is True
    assert not is_logged_in(browser)


TEAMS: Any = {
    "SRVSESSION_INDEXES": {"user_id": ("user_id", "_user_id"), "team": ("team",)},
    "SRVSESSION_NOT_LOGIN_KEYS": ("team",),
}


@pytest.mark.every_storage
@pytest.mark.parametrize(
    "act", [log_in_with_user_id, lambda: session.rotate()], ids=["log in", "rotate"]
)
def test_what_others_bind_during_it_is_listed_for_the_new_session(
    make_app: MakeApp, act: View
) -> None:
    """Else whoever ends all sessions of that index value would miss this one."""
    browser = shopper(app := make_app(**TEAMS))

    with browser.in_flight(act) as late:
        browser.set(team="red")

    [sent] = new_cookies(late.response)
    fresh = Browser(app, sent)
    assert fresh.values()["team"] == "red"
    assert listed(app, "red", "team") == {fresh.id}
    store = app.extensions["srvsession"].store
    team = store.lists.binding("team", "red")
    assert [live.id for live in revocation.find(store, team)] == [fresh.id]


@pytest.mark.every_storage
def test_a_login_in_flight_whose_anonymous_session_was_ended_begins_empty(
    app: Flask,
) -> None:
    browser = shopper(app)
    old_id = browser.id

    with browser.in_flight(log_in_with_user_id) as late:
        browser.do(lambda: session.destroy())

    [sent] = new_cookies(late.response)
    assert stored(app, old_id) is None
    assert Browser(app, sent).values() == {"user_id": 42}


@pytest.mark.every_storage
def test_nothing_is_lost_between_a_login_and_many_writers(app: Flask) -> None:
    """Each write is in the new session, or its request was told of no failure but
    came after the login."""
    browser = shopper(app)
    old = browser.cookie

    def write(n: int) -> bool:
        writer, alive = Browser(app, old), []

        def view() -> None:
            alive.append("cart" in session)
            session[f"key{n}"] = True
            session.commit()
            alive.append(session.id == old.partition(".")[0])

        assert not sets_cookie(writer.do(view))
        return all(alive)

    calls = [lambda n=n: write(n) for n in range(8)]
    _, *written = together(lambda: browser.do(log_in_with_user_id), *calls)

    kept = {f"key{n}": True for n in range(8) if written[n]}
    assert browser.values() == {**CART, "user_id": 42, **kept}


@pytest.mark.every_storage
@pytest.mark.parametrize("presented", [True, False])
def test_of_two_logins_at_once_the_later_ends_the_other_if_nobody_has_that(
    app: Flask, presented: bool
) -> None:
    browser = shopper(app)
    attacker = browser.copy()

    with browser.in_flight(log_in_with_user_id) as late:
        browser.do(log_in_with_user_id)
        if presented:
            browser.values()

    [sent] = new_cookies(late.response)
    assert attacker.values() == CART  # only to be read
    signed_in = {**CART, "user_id": 42}
    assert browser.values() == (signed_in if presented else {})
    assert Browser(app, sent).values() == signed_in
    alive = {sent.partition(".")[0], *([browser.id] if presented else [])}
    assert listed(app, 42) == alive


@pytest.mark.every_storage
def test_a_login_during_a_logout_of_the_same_session_is_dropped(app: Flask) -> None:
    browser = shopper(app, user_id=7)
    session_id = browser.id

    with browser.in_flight(log_in_with_user_id) as late:
        browser.do(lambda: session.destroy())

    assert cookie_headers(late.response) == []
    assert stored(app, session_id) is None
    assert listed(app, 42) == listed(app, 7) == set()
