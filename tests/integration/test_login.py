"""A login gives the session a new id, in one step or not at all."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, flash, g, render_template_string
from flask_login import current_user, login_user, logout_user
from flask_wtf import CSRFProtect, FlaskForm
from flask_wtf.csrf import generate_csrf
from werkzeug.test import TestResponse
from wtforms import StringField

from flask_srvsession import (
    ServerSession,
    SessionTooLarge,
    StaleLogin,
    TooManySessions,
    session,
    session_rotated,
)
from flask_srvsession.backends import Backend
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.ids import CookieSigner, Credential, new_id, new_token
from flask_srvsession.record import Binding
from flask_srvsession.testing import FakeClock

from .apps import (
    Browser,
    LosingBackend,
    User,
    View,
    cookie_headers,
    deletes_cookie,
    each_write,
    index_name,
    listed,
    new_cookies,
    remove_stored,
    sets_cookie,
    stored,
    together,
    use_flask_login,
)
from .marks import WITH_FLASK_LOGIN

if TYPE_CHECKING:
    from tests.conftest import MakeApp


CART = {"cart": {"items": ["apple"]}}


def log_in_with_user_id() -> None:
    session["user_id"] = 42


def log_in_like_the_quickstart() -> None:
    session["username"] = "ada"


def log_in_like_the_tutorial() -> None:
    session.clear()
    session["user_id"] = 42


def log_in_with_flask_login() -> None:
    login_user(User("42"))


def log_in_with_compute() -> None:
    session.compute("user_id", lambda _: 42)


def log_in_with_a_dict() -> None:
    session["user"] = {"id": 42, "name": "ada", "roles": []}


def log_in_and_read_the_id() -> None:
    session["user_id"] = 42
    str(session.id)


def bind() -> None:
    session.bind(user_id=42)


def assign_and_bind() -> None:
    session["user_id"] = 42
    session.bind(user_id=42)


def bind_with_an_epoch() -> None:
    epoch = ServerSession().epoch(user_id=42)
    session.bind(user_id=42, epoch=epoch)


LOGINS: dict[str, View] = {
    "user_id": log_in_with_user_id,
    "username": log_in_like_the_quickstart,
    "clear first": log_in_like_the_tutorial,
    "Flask-Login": log_in_with_flask_login,
    "compute": log_in_with_compute,
    "a dict": log_in_with_a_dict,
    "reading the id": log_in_and_read_the_id,
    "bind": bind,
    "assign and bind": assign_and_bind,
    "bind with an epoch": bind_with_an_epoch,
}
KEEPING = {name: view for name, view in LOGINS.items() if name != "clear first"}
"""Logins that keep what the session had."""

LISTED = {
    name: LOGINS[name]
    for name in ("user_id", "clear first", "Flask-Login", "bind", "assign and bind")
}
"""Logins that are listed under user_id=42."""

by_any_login = pytest.mark.parametrize("log_in", LOGINS.values(), ids=LOGINS)
by_listed_login = pytest.mark.parametrize("log_in", LISTED.values(), ids=LISTED)


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """An app under Flask-Login."""
    use_flask_login(app := make_app())
    return app


def shopper(app: Flask, **values: Any) -> Browser:
    """Return a browser with a cart and nobody logged in."""
    browser = Browser(app)
    browser.set(**CART, **values)
    browser.values()
    return browser


def who(browser: Browser) -> object:
    """Return who is logged in, by any key."""
    values = browser.values()
    keys = ("user_id", "_user_id", "username", "user")
    found = [str(values[key]) for key in keys if key in values]
    return found[0] if found else None


def is_logged_in(browser: Browser) -> bool:
    """Return whether one of the logins above is in force."""
    values = browser.values()
    done = {"user_id": 42, "_user_id": "42", "username": "ada"}
    return any(values.get(key) == done[key] for key in done) or "user" in values


# -- the cookie from before -----------------------------------------------------------


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
    assert attacker.values() == {}


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
        ({"id": 1}, {"id": 2}),
        ({"email": "eve@example"}, {"email": "ada@example"}),
        ({"username": "eve"}, {"id": 2}),
        ((1, "eve"), (2, "ada")),
        ({"id": 1}, 2),
        ({"_id": "1", "name": "eve"}, {"_id": "2", "name": "ada"}),
        ({"userinfo": {"sub": "1"}}, {"userinfo": {"sub": "2"}}),
        ([1, "eve"], [2, "ada"]),
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


@pytest.mark.parametrize("name", ["id", "_id"])
@pytest.mark.parametrize("known", [False, True], ids=["empty", "known"])
def test_another_user_in_the_same_dict_gets_another_id(
    app: Flask, name: str, known: bool
) -> None:
    attacker = Browser(app)
    attacker.set(user={name: 1} if known else {}, csrf_token="known")
    victim = attacker.copy()

    victim.do(lambda: session["user"].update({name: 2}))

    assert attacker.values() == {}
    assert victim.values() == {"user": {name: 2}}


def test_assigning_the_same_user_changes_no_id(app: Flask) -> None:
    browser = Browser(app)
    browser.set(user_id=42)

    response = browser.set(user_id=42)

    assert cookie_headers(response) == []
    assert browser.values() == {"user_id": 42}


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

    assert before.values() == {}
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
    assert before.values() == {}


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


# -- what an attacker may have known before -------------------------------------------


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


# -- logins that fail -----------------------------------------------------------------


@by_any_login
@pytest.mark.parametrize("before", [{}, {"user_id": 7}], ids=["anonymous", "other"])
def test_a_login_that_loses_the_store_leaves_the_old_session_as_it_was(
    make_app: MakeApp, backend: Backend, log_in: View, before: dict[str, Any]
) -> None:
    losing, failures = LosingBackend(backend), 0
    use_flask_login(app := make_app(losing))

    for nth in each_write(losing):
        browser = shopper(app, **before)
        cookie = browser.cookie

        losing.lose(at_write=nth)
        response = browser.do(log_in)
        losing.recover()

        if response.status_code == 503:
            failures += 1
            assert cookie_headers(response) == []
            assert browser.cookie == cookie
            assert browser.values() == {**CART, **before}
        else:
            assert response.status_code == 200
            assert Browser(app, cookie).values() == {}
            assert is_logged_in(browser)

    assert failures >= 2  # the new record, and the step away from the old one


@by_any_login
def test_a_login_of_which_one_answer_is_lost_is_done_or_not_done(
    make_app: MakeApp, backend: Backend, log_in: View
) -> None:
    losing, done = LosingBackend(backend), 0
    use_flask_login(app := make_app(losing))

    for nth in each_write(losing):
        browser = shopper(app)
        cookie = browser.cookie

        losing.lose(at_write=nth, only_answer=True)
        response = browser.do(log_in)
        losing.recover()

        if response.status_code == 503:
            assert browser.cookie == cookie
            assert browser.values() == CART
        else:
            done += 1
            assert Browser(app, cookie).values() == {}
            assert is_logged_in(browser)

    assert done >= 2


@by_any_login
def test_a_login_with_the_store_down_is_a_503(
    make_app: MakeApp, backend: Backend, log_in: View
) -> None:
    losing = LosingBackend(backend)
    use_flask_login(app := make_app(losing))
    browser = shopper(app)
    with_cart = browser.cookie

    losing.lose(at_write=0)
    response = browser.do(log_in)
    losing.recover()

    assert response.status_code == 503
    assert browser.cookie == with_cart
    assert browser.values() == CART


@by_listed_login
def test_a_login_over_the_limit_leaves_the_old_session_as_it_was(
    make_app: MakeApp, log_in: View
) -> None:
    app = make_app(SRVSESSION_MAX_PER_KEY=1, SRVSESSION_MAX_PER_KEY_POLICY="reject")
    use_flask_login(app)
    first = Browser(app)
    first.do(log_in)
    browser = shopper(app)
    cookie = browser.cookie

    response = browser.do(log_in)

    assert response.status_code == 409
    assert cookie_headers(response) == []
    assert browser.cookie == cookie
    assert browser.values() == CART
    assert who(first) == "42"
    assert listed(app, 42) == {first.id}


@by_listed_login
def test_who_is_in_already_may_log_in_again_at_the_limit(
    make_app: MakeApp, log_in: View
) -> None:
    app = make_app(SRVSESSION_MAX_PER_KEY=1, SRVSESSION_MAX_PER_KEY_POLICY="reject")
    use_flask_login(app)
    browser = Browser(app)
    browser.do(log_in)

    response = browser.do(log_in)

    assert response.status_code == 200
    assert who(browser) == "42"
    assert listed(app, 42) == {browser.id}


@by_listed_login
def test_the_oldest_session_makes_room_where_the_policy_says_so(
    make_app: MakeApp, clock: Any, log_in: View
) -> None:
    use_flask_login(app := make_app(SRVSESSION_MAX_PER_KEY=2))
    browsers = [Browser(app) for _ in range(3)]

    for browser in browsers:
        browser.do(log_in)
        clock.advance(10)

    assert [who(browser) for browser in browsers] == [None, "42", "42"]
    assert listed(app, 42) == {browsers[1].id, browsers[2].id}


@WITH_FLASK_LOGIN
def test_a_refused_login_of_flask_login_sets_no_remember_cookie(
    make_app: MakeApp,
) -> None:
    app = make_app(SRVSESSION_MAX_PER_KEY=1, SRVSESSION_MAX_PER_KEY_POLICY="reject")
    use_flask_login(app)
    Browser(app).do(log_in_with_flask_login)

    response = Browser(app).do(lambda: login_user(User("42"), remember=True) and None)

    assert response.status_code == 409
    assert response.headers.getlist("Set-Cookie") == []


@WITH_FLASK_LOGIN
def test_a_refused_login_of_flask_login_is_not_made_at_the_end(
    make_app: MakeApp,
) -> None:
    app = make_app(SRVSESSION_MAX_PER_KEY=1, SRVSESSION_MAX_PER_KEY_POLICY="reject")
    use_flask_login(app)
    Browser(app).do(log_in_with_flask_login)
    browser = shopper(app)

    def log_in() -> str:
        login_user(User("42"), remember=True)
        with pytest.raises(TooManySessions):
            session.commit()
        return "sorry"

    response = browser.do(log_in)

    assert response.text == "sorry"
    assert response.headers.getlist("Set-Cookie") == []
    assert browser.values() == CART


def test_a_refused_bind_that_the_view_catches_does_not_log_in_at_the_end(
    make_app: MakeApp,
) -> None:
    app = make_app(SRVSESSION_MAX_PER_KEY=1, SRVSESSION_MAX_PER_KEY_POLICY="reject")
    Browser(app).do(bind)
    browser = shopper(app)
    cookie = browser.cookie

    def log_in() -> str:
        session["draft"] = "lost with the login"
        try:
            session.bind(user_id=42)
        except TooManySessions:
            flash("too many")
            return "sorry"
        return "welcome"

    response = browser.do(log_in)

    assert response.text == "sorry"
    assert cookie_headers(response) == []
    assert browser.cookie == cookie
    assert browser.values() == {**CART, "_flashes": [("message", "too many")]}


def test_a_refused_bind_without_a_session_begins_none(make_app: MakeApp) -> None:
    app = make_app(SRVSESSION_MAX_PER_KEY=1, SRVSESSION_MAX_PER_KEY_POLICY="reject")
    Browser(app).do(bind)
    browser = Browser(app)

    def log_in() -> str:
        try:
            session.bind(user_id=42)
        except TooManySessions:
            return "sorry"
        return "welcome"

    response = browser.do(log_in)

    assert response.text == "sorry"
    assert cookie_headers(response) == []


def test_a_refused_assignment_and_bind_does_not_log_in_at_the_end(
    make_app: MakeApp,
) -> None:
    app = make_app(SRVSESSION_MAX_PER_KEY=1, SRVSESSION_MAX_PER_KEY_POLICY="reject")
    Browser(app).do(bind)
    browser = shopper(app)

    def log_in() -> str:
        try:
            assign_and_bind()
        except TooManySessions:
            return "sorry"
        return "welcome"

    assert browser.do(log_in).text == "sorry"
    assert browser.values() == CART


def test_a_logout_before_a_refused_bind_stays_done(make_app: MakeApp) -> None:
    app = make_app(SRVSESSION_MAX_PER_KEY=1, SRVSESSION_MAX_PER_KEY_POLICY="reject")
    Browser(app).do(bind)
    browser = shopper(app, user_id=7)
    old_id = browser.id

    def switch() -> str:
        session.destroy()
        try:
            session.bind(user_id=42)
        except TooManySessions:
            return "sorry"
        return "welcome"

    response = browser.do(switch)

    assert response.text == "sorry"
    assert deletes_cookie(response)
    assert stored(app, old_id) is None


def test_of_many_logins_at_once_as_many_succeed_as_the_limit_allows(
    make_app: MakeApp,
) -> None:
    app = make_app(SRVSESSION_MAX_PER_KEY=3, SRVSESSION_MAX_PER_KEY_POLICY="reject")
    browsers = [shopper(app) for _ in range(8)]

    responses = together(*(lambda b=b: b.do(log_in_with_user_id) for b in browsers))

    codes = [response.status_code for response in responses]
    assert sorted(codes) == [200] * 3 + [409] * 5
    inside = {b.id for b, code in zip(browsers, codes, strict=True) if code == 200}
    assert listed(app, 42) == inside
    for browser, code in zip(browsers, codes, strict=True):
        assert browser.values() == ({**CART, "user_id": 42} if code == 200 else CART)


def test_of_many_logins_at_once_the_limit_is_kept_where_the_oldest_makes_room(
    make_app: MakeApp,
) -> None:
    app = make_app(SRVSESSION_MAX_PER_KEY=3)
    browsers = [shopper(app) for _ in range(8)]

    responses = together(*(lambda b=b: b.do(log_in_with_user_id) for b in browsers))

    assert {response.status_code for response in responses} == {200}
    alive = {browser.id for browser in browsers if stored(app, browser.id)}
    assert len(alive) == 3
    assert listed(app, 42) == alive


def test_a_bind_with_an_ended_epoch_is_refused_and_logs_nobody_in(
    app: Flask, backend: Backend
) -> None:
    browser = shopper(app)
    cookie = browser.cookie

    def log_in() -> str:
        epoch = ServerSession().epoch(user_id=42)
        backend.index.fence(index_name(app, 42))  # somebody ends all sessions
        try:
            session.bind(user_id=42, epoch=epoch)
        except StaleLogin:
            return "sorry"
        return "welcome"

    response = browser.do(log_in)

    assert response.text == "sorry"
    assert cookie_headers(response) == []
    assert browser.cookie == cookie
    assert browser.values() == CART
    assert listed(app, 42) == set()


def test_a_bind_with_an_epoch_that_got_lost_is_refused(app: Flask) -> None:
    """An empty one, as of a form without it, never was the present one."""
    browser = shopper(app)

    response = browser.do(lambda: session.bind(user_id=42, epoch=""))

    assert response.status_code == 409
    assert browser.values() == CART
    assert listed(app, 42) == set()


def test_a_bind_that_loses_the_store_and_is_caught_does_not_log_in_at_the_end(
    make_app: MakeApp, backend: Backend
) -> None:
    losing = LosingBackend(backend)
    browser = shopper(make_app(losing))

    def log_in() -> str:
        losing.lose(at_write=1)
        try:
            session.bind(user_id=42)
        except Exception:
            losing.recover()
            return "sorry"
        return "welcome"

    response = browser.do(log_in)

    assert not sets_cookie(response)
    assert browser.values() == CART


def test_bind_needs_exactly_one_known_index(app: Flask) -> None:
    browser = shopper(app)

    def log_in() -> None:
        with pytest.raises(TypeError, match="name"):
            session.bind(name="ada")
        with pytest.raises(TypeError, match="exactly one"):
            session.bind()
        with pytest.raises(TypeError, match="user_id"):
            session.bind(user_id=None)

    browser.do(log_in)

    assert browser.values() == CART


@pytest.mark.parametrize("log_in", [log_in_with_user_id, bind])
def test_a_login_with_something_that_cannot_be_stored_leaves_the_session_as_it_was(
    app: Flask, log_in: View
) -> None:
    browser = shopper(app)
    cookie = browser.cookie

    def log_in_badly() -> None:
        session["tags"] = {"a set"}
        log_in()

    with pytest.raises(TypeError, match="tags"):
        browser.do(log_in_badly)

    assert browser.cookie == cookie
    assert browser.values() == CART
    assert listed(app, 42) == set()


def test_a_login_that_is_too_large_leaves_the_session_as_it_was(
    make_app: MakeApp,
) -> None:
    browser = shopper(app := make_app(SRVSESSION_MAX_PAYLOAD=200))
    cookie = browser.cookie

    with pytest.raises(SessionTooLarge):
        browser.set(user_id=42, text="x" * 500)

    assert browser.cookie == cookie
    assert browser.values() == CART
    assert listed(app, 42) == set()


@pytest.mark.parametrize("log_in", [log_in_with_user_id, bind])
def test_a_login_that_others_make_too_large_leaves_nothing_new(
    make_app: MakeApp, log_in: View
) -> None:
    browser = shopper(app := make_app(SRVSESSION_MAX_PAYLOAD=300))

    def log_in_with_much() -> str:
        session["mine"] = "x" * 200
        try:
            log_in()
            session.commit()
        except SessionTooLarge:
            return "too large"
        return "welcome"

    with browser.in_flight(log_in_with_much) as late:
        browser.set(theirs="x" * 200)

    assert late.response.text == "too large"
    assert cookie_headers(late.response) == []
    assert browser.values() == {**CART, "theirs": "x" * 200}
    assert listed(app, 42) == set()


# -- ids that somebody chose ----------------------------------------------------------


def cookie_of(app: Flask, session_id: str, generation: int = 1) -> str:
    """Return a cookie as only somebody who knows the SECRET_KEY can make it."""
    signer = CookieSigner([app.secret_key or ""], app.config["SRVSESSION_KEY_PREFIX"])
    return signer.dumps(Credential(session_id, generation, new_token()))


@by_any_login
def test_a_client_chosen_id_is_never_adopted(app: Flask, log_in: View) -> None:
    chosen = f"{secrets.token_hex(16)}_{1_750_000_000:x}.1.{secrets.token_hex(16)}.sig"
    victim = Browser(app, chosen)
    session_id = victim.id

    victim.do(log_in)

    assert victim.id != session_id
    assert Browser(app, chosen).values() == {}
    assert stored(app, session_id) is None


@by_any_login
def test_an_unknown_id_that_we_seem_to_have_signed_is_never_adopted(
    app: Flask, log_in: View, clock: Any
) -> None:
    victim = Browser(app, cookie_of(app, new_id(clock())))
    attacker, session_id = victim.copy(), victim.id

    victim.do(log_in)

    assert victim.id != session_id
    assert attacker.values() == {}
    assert stored(app, session_id) is None


@by_any_login
def test_the_id_of_an_ended_session_is_never_adopted(app: Flask, log_in: View) -> None:
    browser = shopper(app)
    attacker, session_id = browser.copy(), browser.id
    attacker.copy().do(lambda: session.destroy())

    browser.do(log_in)

    assert browser.id != session_id
    assert attacker.values() == {}
    assert stored(app, session_id) is None


@pytest.mark.parametrize("generation", [1, 2, 7])
def test_a_cookie_forged_with_a_leaked_key_opens_nothing_and_harms_nobody(
    app: Flask, generation: int
) -> None:
    browser = shopper(app, user_id=42)
    forger = Browser(app, cookie_of(app, browser.id, generation))

    assert forger.values() == {}
    forger.do(lambda: session.destroy())
    forger.set(mine=True)

    assert forger.id != browser.id
    assert browser.values() == {**CART, "user_id": 42}


def test_an_empty_session_with_an_unknown_id_gets_no_cookie(
    app: Flask, clock: Any
) -> None:
    browser = Browser(app, cookie_of(app, new_id(clock())))

    response = browser.do(lambda: str(dict(session)))

    assert cookie_headers(response) == []


# -- requests in flight ---------------------------------------------------------------


def clear_and_write() -> None:
    session.clear()
    session["late"] = True


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
    assert attacker.values() == {}
    if then not in (IN_FLIGHT["clear"], IN_FLIGHT["remove"], IN_FLIGHT["log out"]):
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
    assert browser.values() == {}


TEAMS = {"user_id": ("user_id", "_user_id"), "team": ("team",)}


@pytest.mark.parametrize(
    "act", [log_in_with_user_id, lambda: session.rotate()], ids=["log in", "rotate"]
)
def test_what_others_bind_during_it_is_listed_for_the_new_session(
    make_app: MakeApp, act: View
) -> None:
    """Else whoever ends all sessions of that index value would miss this one."""
    browser = shopper(app := make_app(SRVSESSION_INDEXES=TEAMS))

    with browser.in_flight(act) as late:
        browser.set(team="red")

    [sent] = new_cookies(late.response)
    fresh = Browser(app, sent)
    assert fresh.values()["team"] == "red"
    assert listed(app, "red", "team") == {fresh.id}
    store = app.extensions["srvsession"].keyed.store
    assert [held.id for held in store.find(Binding("team", "red"))] == [fresh.id]


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


def test_two_logins_at_once_leave_two_sessions_and_the_old_one_dead(
    app: Flask,
) -> None:
    browser = shopper(app)
    attacker = browser.copy()

    with browser.in_flight(log_in_with_user_id) as late:
        browser.do(log_in_with_user_id)

    [sent] = new_cookies(late.response)
    assert attacker.values() == {}
    assert browser.values() == {**CART, "user_id": 42}
    assert Browser(app, sent).values() == {"user_id": 42}
    assert listed(app, 42) == {browser.id, sent.partition(".")[0]}


def test_a_login_during_a_logout_of_the_same_session_is_dropped(app: Flask) -> None:
    browser = shopper(app, user_id=7)
    session_id = browser.id

    with browser.in_flight(log_in_with_user_id) as late:
        browser.do(lambda: session.destroy())

    assert cookie_headers(late.response) == []
    assert stored(app, session_id) is None
    assert listed(app, 42) == listed(app, 7) == set()


# -- the tombstone --------------------------------------------------------------------


@by_any_login
def test_destroy_with_the_cookie_from_before_ends_the_successor(
    app: Flask, log_in: View
) -> None:
    browser = shopper(app)
    before = browser.copy()
    browser.do(log_in)
    session_id = browser.id

    response = before.do(lambda: session.destroy())

    assert response.status_code == 200
    assert stored(app, session_id) is None
    assert browser.values() == {}
    assert listed(app, 42) == set()


@by_any_login
def test_destroy_in_flight_during_a_login_ends_the_successor(
    app: Flask, log_in: View
) -> None:
    browser = shopper(app)

    with browser.in_flight(lambda: session.destroy()) as late:
        browser.do(log_in)
        session_id = browser.id

    assert late.response.status_code == 200
    assert stored(app, session_id) is None
    assert browser.values() == {}


def test_a_forged_cookie_of_the_old_id_does_not_end_the_successor(app: Flask) -> None:
    browser = shopper(app)
    old_id = browser.id
    browser.do(log_in_with_user_id)

    Browser(app, cookie_of(app, old_id)).do(lambda: session.destroy())

    assert browser.values() == {**CART, "user_id": 42}


@pytest.mark.parametrize(
    "write",
    [lambda: session.update(late=True), clear_and_write, lambda: flash("late")],
    ids=["assign", "clear and write", "flash"],
)
def test_a_write_with_the_cookie_from_before_creates_nothing(
    app: Flask, write: View
) -> None:
    browser = shopper(app)
    before = browser.copy()
    browser.do(log_in_with_user_id)

    response = before.do(write)

    assert response.status_code == 200
    assert cookie_headers(response) == []
    assert browser.values() == {**CART, "user_id": 42}


def test_a_login_with_the_cookie_from_before_begins_empty(app: Flask) -> None:
    browser = shopper(app)
    before = browser.copy()
    browser.do(log_in_with_user_id)

    before.set(user_id=7)

    assert before.values() == {"user_id": 7}
    assert browser.values() == {**CART, "user_id": 42}


def test_once_the_tombstone_is_gone_a_write_begins_a_session_of_its_own(
    app: Flask,
) -> None:
    browser = shopper(app)
    before = browser.copy()
    browser.do(log_in_with_user_id)
    assert remove_stored(app, before.id)
    old_id = before.id

    before.set(late=True)

    assert before.id not in (old_id, browser.id)
    assert before.values() == {"late": True}
    assert browser.values() == {**CART, "user_id": 42}


def test_the_tombstone_stays_for_ten_seconds(
    make_app: MakeApp, clock: FakeClock
) -> None:
    app = make_app(MemoryBackend(clock=clock))
    browser = shopper(app)
    old_id = browser.id
    browser.do(log_in_with_user_id)

    clock.advance(9)
    after_nine_seconds = stored(app, old_id)
    clock.advance(1)
    after_ten_seconds = stored(app, old_id)

    assert after_nine_seconds is not None
    assert after_ten_seconds is None


def test_the_tombstone_has_no_content(app: Flask) -> None:
    browser = shopper(app, secret="s3cret")
    old_id = browser.id

    browser.do(log_in_with_user_id)

    cell = stored(app, old_id)
    assert cell is not None
    assert b"s3cret" not in cell.data


# -- several cookies of our name ------------------------------------------------------


def ask(app: Flask, view: View, *cookies: str) -> TestResponse:
    """Send a request with several cookies called ``session``."""
    browser = Browser(app)
    browser.client = app.test_client(use_cookies=False)
    header = "; ".join(f"session={cookie}" for cookie in cookies)
    return browser.do(view, headers={"Cookie": header})


def show() -> dict[str, Any]:
    return dict(session)


def test_a_cookie_beside_ours_that_is_not_ours_is_ignored(app: Flask) -> None:
    cookie = shopper(app).cookie

    for planted in ("planted", "x" * 4000, cookie_of(app, new_id(1_750_000_000))):
        assert ask(app, show, planted, cookie).get_json() == CART
        assert ask(app, show, cookie, planted).get_json() == CART


def test_the_same_cookie_twice_is_one(app: Flask) -> None:
    cookie = shopper(app).cookie

    assert ask(app, show, cookie, cookie).get_json() == CART


def test_of_two_live_sessions_none_is_used(app: Flask) -> None:
    mine, planted = shopper(app).cookie, shopper(app).cookie

    response = ask(app, show, planted, mine)

    assert response.get_json() == {}
    assert cookie_headers(response) == []
    assert Browser(app, mine).values() == CART


@by_any_login
def test_a_login_ends_all_sessions_that_it_came_with(app: Flask, log_in: View) -> None:
    one, two = shopper(app), shopper(app)

    response = ask(app, log_in, one.cookie, two.cookie)

    [sent] = new_cookies(response)
    fresh = Browser(app, sent)
    assert who(fresh)
    assert "cart" not in fresh.values()
    assert stored(app, one.id) is None
    assert stored(app, two.id) is None


def test_destroy_ends_all_sessions_that_it_came_with(app: Flask) -> None:
    one, two = shopper(app), shopper(app)

    response = ask(app, lambda: session.destroy(), one.cookie, two.cookie)

    assert deletes_cookie(response)
    assert stored(app, one.id) is None
    assert stored(app, two.id) is None


def test_more_than_three_cookies_of_ours_are_not_tried(
    make_app: MakeApp, backend: Backend, clock: Any
) -> None:
    noting = LosingBackend(backend)
    app = make_app(noting)
    unknown = [cookie_of(app, new_id(clock())) for _ in range(50)]

    response = ask(app, show, *unknown)

    assert response.get_json() == {}
    assert noting.calls == ["get"] * 3


def test_an_old_cookie_beside_the_new_one_does_no_harm(app: Flask) -> None:
    browser = shopper(app)
    old = browser.cookie
    browser.do(log_in_with_user_id)

    response = ask(app, show, old, browser.cookie)

    assert response.get_json() == {**CART, "user_id": 42}


# -- Flask-Login ----------------------------------------------------------------------


def test_current_user_is_known_after_login_user(app: Flask) -> None:
    browser = Browser(app)
    browser.do(log_in_with_flask_login)

    response = browser.do(lambda: str(current_user.get_id()))

    assert response.text == "42"


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
