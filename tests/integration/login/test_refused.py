"""A login that fails leaves the session as it was, and logs nobody in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, flash
from flask_login import current_user, login_user

from flask_srvsession import (
    ServerSession,
    SessionTooLarge,
    StaleLogin,
    TooManySessions,
    session,
)
from flask_srvsession.backends import Backend
from tests.web import Browser, View

from ..apps import (
    LosingBackend,
    User,
    cookie_headers,
    deletes_cookie,
    each_write,
    index_name,
    listed,
    sets_cookie,
    stored,
    together,
    use_flask_login,
)
from ..marks import WITH_FLASK_LOGIN
from .ways import (
    CART,
    assign_and_bind,
    bind,
    by_any_login,
    by_listed_login,
    is_logged_in,
    log_in_with_flask_login,
    log_in_with_user_id,
    shopper,
    who,
)

if TYPE_CHECKING:
    from tests.conftest import MakeApp


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
            assert not is_logged_in(Browser(app, cookie))
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
            assert not is_logged_in(Browser(app, cookie))
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
    app = make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": 1}, SRVSESSION_MAX_PER_KEY_POLICY="reject"
    )
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
    app = make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": 1}, SRVSESSION_MAX_PER_KEY_POLICY="reject"
    )
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
    use_flask_login(app := make_app(SRVSESSION_MAX_PER_KEY={"user_id": 2}))
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
    app = make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": 1}, SRVSESSION_MAX_PER_KEY_POLICY="reject"
    )
    use_flask_login(app)
    Browser(app).do(log_in_with_flask_login)

    response = Browser(app).do(lambda: login_user(User("42"), remember=True) and None)

    assert response.status_code == 409
    assert response.headers.getlist("Set-Cookie") == []


@WITH_FLASK_LOGIN
def test_a_refused_login_of_flask_login_is_not_made_at_the_end(
    make_app: MakeApp,
) -> None:
    app = make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": 1}, SRVSESSION_MAX_PER_KEY_POLICY="reject"
    )
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


@WITH_FLASK_LOGIN
def test_an_error_handler_sees_nobody_logged_in_and_may_flash(
    make_app: MakeApp,
) -> None:
    """A login by assignment is refused when the view has returned."""
    app = make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": 1}, SRVSESSION_MAX_PER_KEY_POLICY="reject"
    )
    use_flask_login(app)

    @app.errorhandler(TooManySessions)
    def sign_in_later(error: TooManySessions) -> tuple[str, int]:
        flash("too many")
        return str(current_user.is_authenticated), 409

    Browser(app).do(log_in_with_flask_login)

    for browser in (shopper(app), Browser(app)):
        response = browser.do(log_in_with_flask_login)

        assert (response.status_code, response.text) == (409, "False")
        assert browser.values()["_flashes"] == [("message", "too many")]
    assert len(listed(app, 42)) == 1


def test_a_refused_bind_that_the_view_catches_does_not_log_in_at_the_end(
    make_app: MakeApp,
) -> None:
    app = make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": 1}, SRVSESSION_MAX_PER_KEY_POLICY="reject"
    )
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
    app = make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": 1}, SRVSESSION_MAX_PER_KEY_POLICY="reject"
    )
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
    app = make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": 1}, SRVSESSION_MAX_PER_KEY_POLICY="reject"
    )
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
    app = make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": 1}, SRVSESSION_MAX_PER_KEY_POLICY="reject"
    )
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
    app = make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": 3}, SRVSESSION_MAX_PER_KEY_POLICY="reject"
    )
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
    app = make_app(SRVSESSION_MAX_PER_KEY={"user_id": 3})
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


@pytest.mark.parametrize(
    "feeding",
    [
        {"SRVSESSION_LOGIN_KEYS": ("profile",)},
        {"SRVSESSION_INDEXES": {"user_id": {"user_id": str.lower}}},
    ],
    ids=["a text names nobody", "a function makes something else of it"],
)
def test_a_bind_that_would_list_the_session_elsewhere_is_refused(
    make_app: MakeApp, feeding: dict[str, Any]
) -> None:
    browser = shopper(make_app(**feeding))

    def log_in() -> None:
        with pytest.raises(TypeError, match="does not feed 'user_id'"):
            session.bind(user_id="Ann")

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
