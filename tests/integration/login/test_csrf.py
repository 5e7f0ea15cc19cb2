"""A CSRF token that was known before a login is worth nothing after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flask import Flask, g, render_template_string
from flask_login import current_user, login_user
from flask_wtf import CSRFProtect, FlaskForm
from flask_wtf.csrf import generate_csrf
from werkzeug.test import TestResponse
from wtforms import StringField

from flask_srvsession import (
    session,
)
from tests.web import Browser, View

from ..apps import (
    User,
    new_cookies,
    use_flask_login,
)
from .ways import CART, LOGINS, by_any_login, shopper

if TYPE_CHECKING:
    from tests.conftest import MakeApp


@by_any_login
def test_the_csrf_token_from_before_is_dropped(app: Flask, log_in: View) -> None:
    browser = shopper(app, csrf_token="known")

    browser.do(log_in)

    assert "csrf_token" not in browser.values()


@by_any_login
def test_a_csrf_token_that_another_request_stores_meanwhile_is_dropped(
    app: Flask, log_in: View
) -> None:
    browser = shopper(app)

    with browser.in_flight(log_in) as late:
        browser.set(csrf_token="known")

    [sent] = new_cookies(late.response)
    assert "csrf_token" not in Browser(app, sent).values()


@pytest.mark.parametrize("token", ["new", "known"])
def test_a_csrf_token_that_is_set_after_the_login_is_kept(
    app: Flask, token: str
) -> None:
    browser = shopper(app, csrf_token="known")

    def log_in() -> None:
        session["user_id"] = 42
        session["csrf_token"] = token

    with browser.in_flight(log_in) as late:
        browser.set(csrf_token="of another request")

    [cookie] = new_cookies(late.response)
    assert Browser(app, cookie).values()["csrf_token"] == token


@by_any_login
@pytest.mark.parametrize("name", ["csrf_token", "_csrf_token"])
def test_a_token_that_the_same_request_has_made_before_is_kept(
    app: Flask, log_in: View, name: str
) -> None:
    """A page with a form asks late who is logged in: by a remember cookie, say."""
    browser = shopper(app)

    def page() -> str:
        session[name] = "made for this page"
        log_in()
        return str(session[name])

    if log_in is LOGINS["clear first"]:
        return  # an app that has cleared all wants it so

    assert browser.does(page) == "made for this page"
    assert browser.values()[name] == "made for this page"


@pytest.mark.parametrize("begins", [True, False])
def test_a_form_on_a_page_that_a_remember_cookie_logs_in_is_taken(
    make_app: MakeApp, begins: bool
) -> None:
    app = make_app()
    use_flask_login(app)
    CSRFProtect(app)
    app.add_url_rule("/save", "save", lambda: "saved", methods=["POST"])
    browser = Browser(app)
    browser.does(lambda: f"{login_user(User('42'), remember=True)}")
    browser.client.delete_cookie("session")
    if not begins:
        browser.set(cart=["apple"])

    token = browser.does(lambda: f"{generate_csrf()} {current_user.get_id()}")

    known, user = token.split()
    assert user == "42"
    assert post(browser, "/save", known).text == "saved"


def test_a_logout_keeps_the_csrf_token(app: Flask) -> None:
    browser = shopper(app, user_id=42, csrf_token="known")

    browser.do(lambda: str(session.pop("user_id")))

    assert browser.values()["csrf_token"] == "known"


def test_what_is_dropped_is_a_setting(make_app: MakeApp) -> None:
    browser = Browser(make_app(SRVSESSION_DROP_AT_LOGIN=("pin",)))
    browser.set(pin=1, csrf_token="kept")

    browser.set(user_id=42)

    assert browser.values() == {"csrf_token": "kept", "user_id": 42}


class NameForm(FlaskForm):
    name = StringField()


FORM = "{{ form.csrf_token.current_token }}"


@pytest.fixture
def forms(app: Flask) -> Browser:
    """A browser of an app whose every POST needs a token of Flask-WTF."""
    CSRFProtect(app)

    @app.get("/form")
    def form() -> str:
        return render_template_string(FORM, form=NameForm())

    @app.post("/login/<way>")
    def login(way: str) -> str:
        form = NameForm()
        assert form.validate_on_submit()
        LOGINS[way]()
        return str(generate_csrf())

    @app.post("/save")
    def save() -> str:
        form = NameForm()
        assert form.validate_on_submit()
        session["name"] = form.name.data
        return "saved"

    browser = Browser(app)
    browser.set(**CART)
    return browser


def post(browser: Browser, url: str, token: str) -> TestResponse:
    return browser.client.post(url, data={"csrf_token": token, "name": "ada"})


@by_any_login
def test_a_form_token_known_before_the_login_is_refused_after_it(
    forms: Browser, log_in: View
) -> None:
    way = next(name for name, view in LOGINS.items() if view is log_in)
    known = forms.client.get("/form").text
    assert post(forms, "/save", known).text == "saved"

    assert post(forms, f"/login/{way}", known).status_code == 200

    assert post(forms, "/save", known).status_code == 400
    assert post(forms, "/save", forms.client.get("/form").text).text == "saved"


@by_any_login
def test_a_form_token_made_after_the_login_in_the_same_request_works(
    forms: Browser, log_in: View
) -> None:
    way = next(name for name, view in LOGINS.items() if view is log_in)
    known = forms.client.get("/form").text

    made_after = post(forms, f"/login/{way}", known).text

    assert made_after != known
    assert post(forms, "/save", made_after).text == "saved"


def test_a_form_without_a_token_is_refused(forms: Browser) -> None:
    assert forms.client.post("/save", data={"name": "ada"}).status_code == 400


def test_a_token_in_g_that_nobody_made_from_the_session_is_dropped_at_login(
    app: Flask,
) -> None:
    browser, left = Browser(app), []

    def log_in() -> None:
        g.csrf_token = "known"
        login_user(User("42"))
        left.append("csrf_token" in g)

    browser.do(log_in)

    assert left == [False]
