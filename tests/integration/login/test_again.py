"""A login that is sent twice: a double click, or an answer that was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flask import Flask, render_template_string
from flask_wtf import CSRFProtect, FlaskForm
from werkzeug.test import TestResponse
from wtforms import StringField

from flask_srvsession import session, session_changes_dropped
from flask_srvsession.testing import FakeClock
from tests.web import Browser, View

from ..apps import cookie_headers, listed, new_cookies, stored
from .ways import CART, by_any_login, by_listed_login, log_in_with_user_id, shopper, who

if TYPE_CHECKING:
    from tests.conftest import MakeApp


class SignIn(FlaskForm):
    name = StringField()


def with_form(app: Flask) -> Flask:
    """Give `app` a login form whose POST needs a token of Flask-WTF."""
    CSRFProtect(app)

    @app.get("/login")
    def form() -> str:
        return render_template_string(
            "{{ form.csrf_token.current_token }}", form=SignIn()
        )

    @app.post("/login")
    def log_in() -> str:
        assert SignIn().validate_on_submit()
        session["user_id"] = 42
        return "welcome"

    return app


def sign_in(browser: Browser, token: str) -> TestResponse:
    return browser.client.post("/login", data={"csrf_token": token, "name": "ada"})


@pytest.mark.every_storage
@pytest.mark.parametrize("limit", [None, 1])
def test_the_form_can_be_sent_twice(make_app: MakeApp, limit: int | None) -> None:
    limits = {"SRVSESSION_MAX_PER_KEY": {"user_id": limit}} if limit else {}
    app = with_form(make_app(SRVSESSION_MAX_PER_KEY_POLICY="reject", **limits))
    browser = Browser(app)
    browser.set(**CART)
    token = browser.client.get("/login").text
    first = browser.copy()

    lost = sign_in(first, token)
    again = sign_in(browser, token)

    assert (lost.status_code, again.status_code) == (200, 200)
    assert browser.values() == {**CART, "user_id": 42}
    assert listed(app, 42) == {browser.id}
    assert stored(app, first.id) is None


@pytest.mark.every_storage
@pytest.mark.parametrize("limit", [None, 1])
def test_the_form_can_be_sent_any_number_of_times(
    make_app: MakeApp, limit: int | None
) -> None:
    limits = {"SRVSESSION_MAX_PER_KEY": {"user_id": limit}} if limit else {}
    app = with_form(make_app(SRVSESSION_MAX_PER_KEY_POLICY="reject", **limits))
    browser = Browser(app)
    browser.set(**CART)
    token = browser.client.get("/login").text
    lost = [browser.copy() for _ in range(4)]

    for each in [*lost, browser]:
        assert sign_in(each, token).status_code == 200

    assert browser.values() == {**CART, "user_id": 42}
    assert listed(app, 42) == {browser.id}
    assert [stored(app, each.id) for each in lost] == [None] * 4


@pytest.mark.every_storage
def test_a_login_whose_cookie_was_presented_goes_on(make_app: MakeApp) -> None:
    app = with_form(make_app())
    browser = shopper(app)
    token = browser.client.get("/login").text
    first = browser.copy()
    sign_in(first, token)
    assert who(first) == "42"

    assert sign_in(browser, token).status_code == 200

    assert who(first) == who(browser) == "42"
    assert listed(app, 42) == {first.id, browser.id}


@by_any_login
def test_any_login_can_be_done_again(app: Flask, log_in: View) -> None:
    browser = shopper(app, csrf_token="known")
    first = browser.copy()
    first.do(log_in)

    response = browser.do(log_in)

    assert response.status_code == 200
    assert who(browser)
    assert "csrf_token" not in browser.values()


@by_listed_login
def test_one_session_is_left_of_two_logins(app: Flask, log_in: View) -> None:
    browser = shopper(app)
    browser.copy().do(log_in)

    browser.do(log_in)

    assert listed(app, 42) == {browser.id}


class TestTheCookieFromBefore:
    @pytest.fixture
    def browser(self, app: Flask) -> Browser:
        return shopper(app, csrf_token="known")

    @pytest.fixture
    def before(self, browser: Browser) -> Browser:
        before = browser.copy()
        browser.set(user_id=42, secret="of the user")
        return before

    def test_reads_what_was_there_and_nothing_of_the_login(
        self, before: Browser
    ) -> None:
        assert before.values() == {**CART, "csrf_token": "known"}
        assert before.does(lambda: f"{session.id} {session.new}") == "None True"

    def test_reads_nothing_that_was_stored_after_the_login(
        self, browser: Browser, before: Browser
    ) -> None:
        browser.set(cart="of the user")

        assert before.values()["cart"] == CART["cart"]

    @pytest.mark.parametrize(
        "write",
        [
            lambda: session.update(cart="other"),
            lambda: str(session.pop("cart")),
            lambda: session["cart"]["items"].append("late"),
            lambda: session.clear(),
            lambda: session.rotate(),
            lambda: session.commit(),
            lambda: setattr(session, "permanent", True),
            lambda: setattr(session, "modified", True),
        ],
    )
    def test_changes_nothing_and_begins_nothing(
        self, browser: Browser, before: Browser, write: View
    ) -> None:
        response = before.do(write)

        assert response.status_code == 200
        assert cookie_headers(response) == []
        assert before.values() == {**CART, "csrf_token": "known"}
        assert browser.values()["cart"] == CART["cart"]

    def test_reads_without_a_signal_of_lost_changes(self, before: Browser) -> None:
        dropped: list[object] = []
        with session_changes_dropped.connected_to(
            lambda *_, **__: dropped.append(1), sender=before.app
        ):
            before.values()
            before.do(lambda: setattr(session, "permanent", True))

        assert dropped == []

    def test_reads_nothing_after_ten_seconds(
        self, before: Browser, clock: FakeClock
    ) -> None:
        clock.advance(10)

        assert before.values() == {}

    def test_of_somebody_who_was_logged_in_reads_nothing(self, app: Flask) -> None:
        browser = shopper(app, user_id=7)
        before = browser.copy()
        browser.set(user_id=42)

        assert before.values() == {}

    def test_that_was_made_up_reads_nothing(
        self, browser: Browser, before: Browser
    ) -> None:
        forged = before.cookie.split(".")
        forged[2] = "0" * 32

        assert Browser(before.app, ".".join(forged)).values() == {}

    def test_that_was_in_its_grace_reads_nothing(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        browser = shopper(make_app())
        former = browser.copy()
        clock.advance(15 * 60)
        browser.values()
        browser.values()
        assert former.cookie != browser.cookie
        assert former.values() == CART
        browser.do(log_in_with_user_id)

        assert former.values() == {}

    def test_does_not_end_the_login_by_a_login_of_somebody_else(
        self, browser: Browser, before: Browser
    ) -> None:
        before.set(user_id=7)

        assert who(browser) == "42"


def test_who_has_signed_out_by_none_can_sign_in_twice(app: Flask) -> None:
    browser = shopper(app, user_id=42)
    browser.set(user_id=None, csrf_token="known")
    first = browser.copy()
    first.do(log_in_with_user_id)

    assert browser.values()["csrf_token"] == "known"
    browser.do(log_in_with_user_id)

    assert listed(app, 42) == {browser.id}


def test_a_login_in_flight_ends_one_that_nobody_has(app: Flask) -> None:
    browser = shopper(app)

    with browser.in_flight(log_in_with_user_id) as late:
        browser.copy().do(log_in_with_user_id)

    [sent] = new_cookies(late.response)
    assert Browser(app, sent).values() == {**CART, "user_id": 42}
    assert listed(app, 42) == {sent.partition(".")[0]}
