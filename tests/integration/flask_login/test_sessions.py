"""Flask-Login needs no glue: remember-me, protection, fresh logins."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import flask
import pytest
from flask import Flask
from flask_login import (
    confirm_login,
    current_user,
    fresh_login_required,
    login_fresh,
    login_required,
    login_user,
    logout_user,
)

from flask_srvsession import (
    session,
)
from flask_srvsession.backends import Backend
from tests.integration.login.ways import log_in_with_flask_login
from tests.web import Browser, View

from ..apps import (
    LosingBackend,
    User,
    cookie_headers,
    deletes_cookie,
    listed,
    sets_cookie,
    stored,
    use_flask_login,
)
from ..marks import WITH_FLASK_LOGIN

if TYPE_CHECKING:
    from tests.conftest import MakeApp

pytestmark = WITH_FLASK_LOGIN


REMEMBER = "remember_token"


OTHER_AGENT = {"User-Agent": "somebody else's browser"}


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """An app under Flask-Login."""
    use_flask_login(app := make_app())
    return app


def log_in() -> None:
    login_user(User("42"))


def log_in_and_remember() -> None:
    login_user(User("42"), remember=True)


def who() -> str:
    return str(current_user.get_id())


def in_(app: Flask, log_in: View = log_in) -> Browser:
    """Return a browser in which user 42 has logged in."""
    browser = Browser(app)
    browser.do(log_in)
    return browser


def remembered(browser: Browser) -> str | None:
    cookie = browser.client.get_cookie(REMEMBER)
    return cookie.value if cookie else None


def forget_session(browser: Browser) -> None:
    """Close the browser: only the remember cookie stays."""
    browser.client.delete_cookie("session")


# -- remember me, and destroy() -------------------------------------------------------


def log_out_then_destroy() -> None:
    logout_user()
    session.destroy()


def destroy_then_log_out() -> None:
    session.destroy()
    logout_user()


def destroy() -> None:
    session.destroy()


def log_out_and_clear() -> None:
    logout_user()
    session.clear()


LOGOUTS: dict[str, View] = {
    "logout_user": lambda: logout_user() and None,
    "logout_user, destroy": log_out_then_destroy,
    "destroy, logout_user": destroy_then_log_out,
    "destroy": destroy,
    "logout_user, clear": log_out_and_clear,
}


@pytest.mark.parametrize("log_out", LOGOUTS.values(), ids=LOGOUTS)
def test_a_logout_deletes_both_cookies_and_nobody_comes_back(
    app: Flask, log_out: View
) -> None:
    browser = in_(app, log_in_and_remember)
    thief, session_id = browser.copy(), browser.id
    assert remembered(browser)

    response = browser.do(log_out)

    assert deletes_cookie(response)
    assert deletes_cookie(response, REMEMBER)
    assert not sets_cookie(response, REMEMBER)
    assert stored(app, session_id) is None
    assert browser.do(who).text == "None"
    assert thief.do(who).text == "None"
    assert remembered(browser) is None
    assert not browser.has_cookie


@pytest.mark.parametrize("log_out", LOGOUTS.values(), ids=LOGOUTS)
def test_nobody_is_there_in_the_rest_of_the_request_that_logged_out(
    app: Flask, log_out: View
) -> None:
    browser = in_(app, log_in_and_remember)
    names: list[str] = []

    def log_out_and_look() -> None:
        log_out()
        flask.g.pop("_login_user", None)  # what is to be loaded anew
        names.append(who())

    response = browser.do(log_out_and_look)

    assert names == ["None"]
    assert not sets_cookie(response)
    assert browser.do(who).text == "None"


@pytest.mark.parametrize("log_out", LOGOUTS.values(), ids=LOGOUTS)
def test_a_logout_of_who_came_back_by_the_remember_cookie_deletes_both_too(
    app: Flask, log_out: View
) -> None:
    browser = in_(app, log_in_and_remember)
    forget_session(browser)

    def come_back_and_leave() -> None:
        assert who() == "42"
        log_out()

    response = browser.do(come_back_and_leave)

    assert deletes_cookie(response, REMEMBER)
    assert not sets_cookie(response)
    assert browser.do(who).text == "None"


def test_a_login_after_destroy_in_the_same_request_is_remembered(app: Flask) -> None:
    browser = in_(app, log_in_and_remember)
    session_id = browser.id

    def switch() -> None:
        session.destroy()
        login_user(User("7"), remember=True)

    response = browser.do(switch)

    assert stored(app, session_id) is None
    assert sets_cookie(response, REMEMBER)
    assert browser.do(who).text == "7"
    forget_session(browser)
    assert browser.do(who).text == "7"


def test_remember_sets_its_cookie_once(app: Flask) -> None:
    browser = Browser(app)

    first = browser.do(log_in_and_remember)
    second = browser.do(who)

    assert sets_cookie(first, REMEMBER)
    assert cookie_headers(second, REMEMBER) == []


def test_remember_for_a_duration_sets_the_expiry(app: Flask) -> None:
    browser = Browser(app)
    duration = timedelta(days=3)

    def log_in_for_three_days() -> None:
        login_user(User("42"), remember=True, duration=duration)

    [header] = cookie_headers(browser.do(log_in_for_three_days), REMEMBER)

    year = int(header.lower().partition("expires=")[2].split()[3])
    assert year < 2100
    assert "_remember_seconds" not in browser.values()


def test_flask_logins_notes_to_itself_are_not_stored(app: Flask) -> None:
    browser = in_(app, log_in_and_remember)

    assert browser.values().keys() == {"_user_id", "_fresh", "_id"}


def test_who_is_remembered_gets_a_session_of_their_own_again(app: Flask) -> None:
    browser = in_(app, log_in_and_remember)
    old_id = browser.id
    forget_session(browser)

    def look() -> str:
        return f"{who()} {login_fresh()}"

    assert browser.do(look).text == "42 False"
    assert browser.id != old_id
    assert browser.do(look).text == "42 False"
    assert listed(app, 42) == {old_id, browser.id}


def test_who_is_remembered_gets_a_new_id_for_an_anonymous_session(app: Flask) -> None:
    browser = in_(app, log_in_and_remember)
    forget_session(browser)
    shopper = Browser(app)
    shopper.set(cart=["apple"])
    attacker = shopper.copy()
    token = remembered(browser)
    assert token
    shopper.client.set_cookie(REMEMBER, token)

    assert shopper.do(who).text == "42"

    assert attacker.values() == {"cart": ["apple"]}  # for a moment, only to be read
    assert shopper.values()["cart"] == ["apple"]


@pytest.mark.parametrize("log_out", LOGOUTS.values(), ids=LOGOUTS)
def test_refreshing_the_remember_cookie_each_request_ends_with_the_logout(
    make_app: MakeApp, log_out: View
) -> None:
    use_flask_login(app := make_app(REMEMBER_COOKIE_REFRESH_EACH_REQUEST=True))
    browser = in_(app, log_in_and_remember)

    assert sets_cookie(browser.do(lambda: None), REMEMBER)
    assert deletes_cookie(browser.do(log_out), REMEMBER)
    assert browser.do(who).text == "None"
    assert cookie_headers(browser.do(lambda: None), REMEMBER) == []


def test_refreshing_the_remember_cookie_stores_nothing_for_who_is_not_in(
    make_app: MakeApp,
) -> None:
    use_flask_login(app := make_app(REMEMBER_COOKIE_REFRESH_EACH_REQUEST=True))

    response = Browser(app).do(lambda: None)

    assert response.headers.getlist("Set-Cookie") == []


# -- what costs nothing ---------------------------------------------------------------


@pytest.mark.parametrize("log_in", [log_in, log_in_and_remember])
def test_a_view_that_does_not_ask_who_is_there_loads_nothing(
    make_app: MakeApp, backend: Backend, log_in: View
) -> None:
    noting = LosingBackend(backend)
    use_flask_login(app := make_app(noting))
    browser = in_(app, log_in)
    noting.calls.clear()

    response = browser.do(lambda: "static")

    assert response.text == "static"
    assert noting.calls == []
    assert response.headers.getlist("Set-Cookie") == []
    assert "Cookie" not in response.headers.get("Vary", "")


@pytest.mark.parametrize("log_in", [log_in, log_in_and_remember])
def test_a_view_that_does_not_ask_answers_while_the_store_is_down(
    make_app: MakeApp, backend: Backend, log_in: View
) -> None:
    losing = LosingBackend(backend)
    use_flask_login(app := make_app(losing))
    browser = in_(app, log_in)

    losing.lose(at_write=0)

    assert browser.do(lambda: "static").status_code == 200
    assert browser.do(who).status_code == 503
    losing.recover()
    assert browser.do(who).text == "42"


def test_asking_who_is_there_is_a_read_and_no_write(
    make_app: MakeApp, backend: Backend
) -> None:
    noting = LosingBackend(backend)
    use_flask_login(app := make_app(noting))
    browser = in_(app)
    browser.do(who)
    noting.calls.clear()

    assert browser.do(who).text == "42"

    assert noting.calls.count("get") == 1
    assert noting.writes == []


# -- protection -----------------------------------------------------------------------


def test_basic_protection_makes_a_login_stale_in_another_browser(
    make_app: MakeApp,
) -> None:
    use_flask_login(app := make_app(SESSION_PROTECTION="basic"))
    browser = in_(app)

    def look() -> str:
        return f"{who()} {login_fresh()}"

    assert browser.do(look).text == "42 True"
    assert browser.do(look, headers=OTHER_AGENT).text == "42 False"
    assert browser.do(look).text == "42 False"


def test_strong_protection_ends_the_session_in_another_browser(
    make_app: MakeApp,
) -> None:
    use_flask_login(app := make_app(SESSION_PROTECTION="strong"))
    browser = in_(app)
    thief, session_id = browser.copy(), browser.id
    assert browser.do(who).text == "42"

    assert thief.do(who, headers=OTHER_AGENT).text == "None"

    assert stored(app, session_id) is None
    assert browser.do(who).text == "None"


def test_strong_protection_does_not_come_back_by_the_remember_cookie(
    make_app: MakeApp,
) -> None:
    use_flask_login(app := make_app(SESSION_PROTECTION="strong"))
    browser = in_(app, log_in_and_remember)

    response = browser.do(who, headers=OTHER_AGENT)

    assert response.text == "None"
    assert deletes_cookie(response, REMEMBER)
    assert browser.do(who).text == "None"


def test_strong_protection_keeps_the_cart_under_a_new_id(make_app: MakeApp) -> None:
    use_flask_login(app := make_app(SESSION_PROTECTION="strong"))
    browser = in_(app)
    browser.set(cart=["apple"])
    before = browser.copy()

    browser.do(who, headers=OTHER_AGENT)

    assert before.values() == {}
    assert browser.values() == {"cart": ["apple"]}


# -- views that ask -------------------------------------------------------------------


@pytest.fixture
def site(app: Flask) -> Browser:
    """A browser of a site with pages for who is logged in, and freshly so."""
    app.login_manager.login_view = "sign_in"  # type: ignore[attr-defined]
    app.login_manager.refresh_view = "sign_in"  # type: ignore[attr-defined]

    @app.get("/sign-in")
    def sign_in() -> str:
        return "sign in"

    @app.get("/mine")
    @login_required  # type: ignore[untyped-decorator]
    def mine() -> str:
        return who()

    @app.get("/secret")
    @fresh_login_required  # type: ignore[untyped-decorator]
    def secret() -> str:
        return who()

    browser = Browser(app)
    browser.do()
    return browser


def test_login_required_redirects_until_somebody_is_in(site: Browser) -> None:
    assert site.client.get("/mine").status_code in (302, 303)

    site.do(log_in)

    assert site.client.get("/mine").text == "42"


def test_the_message_of_the_redirect_survives_the_login(site: Browser) -> None:
    site.client.get("/mine")
    assert site.values()["_flashes"]

    site.do(log_in)

    assert site.values()["_flashes"]


def test_a_fresh_login_is_needed_until_it_is_confirmed(site: Browser) -> None:
    site.do(log_in_and_remember)
    assert site.client.get("/secret").text == "42"
    forget_session(site)
    assert site.client.get("/mine").text == "42"
    assert site.client.get("/secret").status_code in (302, 303)

    site.do(lambda: confirm_login())

    assert site.client.get("/secret").text == "42"


def test_use_session_for_next_keeps_where_one_wanted_to_go(make_app: MakeApp) -> None:
    app = make_app(USE_SESSION_FOR_NEXT=True)
    use_flask_login(app).login_view = "sign_in"

    @app.get("/sign-in")
    def sign_in() -> str:
        log_in()
        return str(session.pop("next"))

    @app.get("/mine")
    @login_required  # type: ignore[untyped-decorator]
    def mine() -> str:
        return who()

    browser = Browser(app)
    browser.client.get("/mine")

    assert browser.client.get("/sign-in").text == "/mine"
    assert browser.client.get("/mine").text == "42"


def test_several_apps_under_flask_login_do_not_hear_each_others_logins(
    make_app: MakeApp,
) -> None:
    one, two = make_app(), make_app()
    use_flask_login(one)
    use_flask_login(two)
    in_two = in_(two)
    two_id = in_two.id

    def view() -> None:
        in_(one)
        assert who() == "42"

    response: Any = in_two.do(view)

    assert cookie_headers(response) == []
    assert in_two.id == two_id


def test_an_app_with_flasks_own_sessions_in_the_same_process_is_left_alone(
    make_app: MakeApp,
) -> None:
    use_flask_login(make_app())
    other = Flask("other")
    other.secret_key = "a secret key that is only used by this test"
    use_flask_login(other)
    other.add_url_rule("/", view_func=lambda: str(login_user(User("42"))))

    assert other.test_client().get("/").text == "True"


# -- Flask-Login ----------------------------------------------------------------------


def test_current_user_is_known_after_login_user(app: Flask) -> None:
    browser = Browser(app)
    browser.do(log_in_with_flask_login)

    response = browser.do(lambda: str(current_user.get_id()))

    assert response.text == "42"
