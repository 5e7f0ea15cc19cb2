"""Several apps in one process, and contexts within contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flask
import pytest
from flask import (
    Flask,
    has_request_context,
)
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from flask_srvsession import ServerSession, session
from flask_srvsession.backends import Backend
from flask_srvsession.backends.memory import MemoryBackend
from tests.web import Browser

from ..apps import (
    LosingBackend,
    listed,
    stored,
)

if TYPE_CHECKING:
    from tests.conftest import MakeApp


KEY = "a secret key that is only used by these tests"


# -- several apps ---------------------------------------------------------------------


@pytest.mark.parametrize("same", [True, False], ids=["same store", "other store"])
def test_the_cookie_of_one_app_is_worth_nothing_in_another(
    make_app: MakeApp, clock: Any, same: bool
) -> None:
    one = make_app()
    two = make_app() if same else make_app(MemoryBackend(clock=clock))
    browser = Browser(one)
    browser.set(user_id=42)
    stranger = Browser(two, browser.cookie)

    assert stranger.values() == {}
    stranger.do(lambda: session.destroy())
    stranger.set(user_id=42, where="two")

    assert stranger.id != browser.id
    assert stranger.values() == {"user_id": 42, "where": "two"}
    assert browser.values() == {"user_id": 42}


def test_a_cookie_of_another_app_costs_no_store_command(
    make_app: MakeApp, backend: Backend
) -> None:
    browser = Browser(make_app())
    browser.set(user_id=42)
    noting = LosingBackend(backend)

    Browser(make_app(noting), browser.cookie).values()

    assert noting.calls == []


def test_apps_that_share_a_store_do_not_share_their_users(make_app: MakeApp) -> None:
    one, two = make_app(), make_app()
    in_one, in_two = Browser(one), Browser(two)

    in_one.set(user_id=42)
    in_two.set(user_id=42)

    assert listed(one, 42) == {in_one.id}
    assert listed(two, 42) == {in_two.id}


def test_a_limit_counts_the_sessions_of_one_app_only(make_app: MakeApp) -> None:
    limits = {
        "SRVSESSION_MAX_PER_KEY": {"user_id": 1},
        "SRVSESSION_MAX_PER_KEY_POLICY": "reject",
    }
    in_one, in_two = Browser(make_app(**limits)), Browser(make_app(**limits))

    answers = [in_one.set(user_id=42), in_two.set(user_id=42)]

    assert [answer.status_code for answer in answers] == [200, 200]


def test_two_instances_of_one_app_share_their_sessions(make_app: MakeApp) -> None:
    one = make_app()
    prefix = one.config["SRVSESSION_KEY_PREFIX"]
    two = make_app(SRVSESSION_KEY_PREFIX=prefix)
    browser = Browser(one)
    browser.set(cart=["apple"])
    at_two = Browser(two, browser.cookie)

    at_two.do(lambda: session["cart"].append("pear"))
    assert browser.values() == {"cart": ["apple", "pear"]}
    at_two.do(lambda: session.destroy())

    assert browser.values() == {}


def test_instances_with_other_secret_keys_do_not(make_app: MakeApp) -> None:
    one = make_app()
    prefix = one.config["SRVSESSION_KEY_PREFIX"]
    two = make_app(SRVSESSION_KEY_PREFIX=prefix, SECRET_KEY="another")
    browser = Browser(one)
    browser.set(cart=["apple"])

    assert Browser(two, browser.cookie).values() == {}
    assert browser.values() == {"cart": ["apple"]}


def configured(prefix: str) -> Flask:
    app = Flask("testapp")
    app.config.update(TESTING=True, SECRET_KEY=KEY, SRVSESSION_KEY_PREFIX=prefix)
    return app


def test_one_extension_object_serves_several_apps(
    backend: Backend, clock: Any, make_app: MakeApp
) -> None:
    sessions = ServerSession()
    prefix = make_app().config["SRVSESSION_KEY_PREFIX"]
    one, two = configured(f"{prefix}one:"), configured(f"{prefix}two:")
    sessions.init_app(one, backend, clock=clock)
    sessions.init_app(two, MemoryBackend(clock=clock), clock=clock)
    in_one, in_two = Browser(one), Browser(two)

    in_one.set(where="one", user_id=42)
    in_two.set(where="two", user_id=42)

    assert in_one.values() == {"where": "one", "user_id": 42}
    assert in_two.values() == {"where": "two", "user_id": 42}
    assert Browser(two, in_one.cookie).values() == {}
    assert vars(sessions) == {}
    with one.app_context():
        epoch_of_one = sessions.epoch(user_id=42)
    with two.app_context():
        assert sessions.epoch(user_id=42) != epoch_of_one


def test_an_app_factory_makes_as_many_apps_as_one_likes(
    backend: Backend, clock: Any, make_app: MakeApp
) -> None:
    sessions = ServerSession()
    prefix = make_app().config["SRVSESSION_KEY_PREFIX"]

    def create_app() -> Flask:
        app = configured(prefix)
        sessions.init_app(app, backend, clock=clock)
        return app

    browser = Browser(create_app())
    browser.set(n=1)

    again = Browser(create_app(), browser.cookie)

    assert again.values() == {"n": 1}


def test_without_init_app_the_extension_says_what_is_missing() -> None:
    app = Flask("testapp")

    with app.app_context(), pytest.raises(RuntimeError, match="init_app"):
        ServerSession().epoch(user_id=42)


def counting(app: Flask) -> Flask:
    @app.get("/")
    def count() -> str:
        return str(session.compute("n", lambda n: (n or 0) + 1))

    @app.get("/out")
    def out() -> str:
        session.destroy()
        return "bye"

    return app


def test_mounted_apps_with_cookies_of_their_own_paths_keep_apart(
    make_app: MakeApp,
) -> None:
    front = counting(make_app())
    shop = counting(make_app(SESSION_COOKIE_PATH="/shop"))
    client = Client(DispatcherMiddleware(front, {"/shop": shop}))

    answers = [client.get(url).text for url in ["/", "/shop/", "/shop/", "/"]]
    assert answers == ["1", "1", "2", "2"]
    client.get("/shop/out")

    assert client.get("/").text == "3"
    assert client.get("/shop/").text == "1"


def test_mounted_apps_with_cookies_of_their_own_names_keep_apart(
    make_app: MakeApp,
) -> None:
    front = counting(make_app())
    shop = counting(make_app(SESSION_COOKIE_NAME="shop"))
    client = Client(DispatcherMiddleware(front, {"/shop": shop}))

    answers = [client.get(url).text for url in ["/", "/shop/", "/shop/", "/"]]
    assert answers == ["1", "1", "2", "2"]
    client.get("/out")

    assert client.get("/shop/").text == "3"
    assert client.get("/").text == "1"


# -- nested contexts ------------------------------------------------------------------


def test_a_request_to_another_app_in_the_middle_of_one_keeps_apart(
    make_app: MakeApp,
) -> None:
    outer, inner = Browser(make_app()), Browser(make_app())

    def outer_view() -> None:
        session["where"] = "outer"
        inner.set(where="inner", user_id=1)
        assert dict(session) == {"where": "outer"}
        session["after"] = True

    outer.do(outer_view)

    assert outer.values() == {"where": "outer", "after": True}
    assert inner.values() == {"where": "inner", "user_id": 1}


def test_a_request_to_the_same_app_in_the_middle_of_one_loses_nothing(
    make_app: MakeApp,
) -> None:
    browser = Browser(make_app())
    browser.set(x=0)

    def outer_view() -> None:
        session["outer"] = 1
        browser.copy().set(inner=2)

    browser.do(outer_view)

    assert browser.values() == {"x": 0, "outer": 1, "inner": 2}


def test_an_app_context_in_a_request_does_not_change_the_session(
    make_app: MakeApp,
) -> None:
    app, other = make_app(), make_app()
    browser = Browser(app)
    with app.test_request_context(), app.app_context():
        if not has_request_context():
            pytest.skip("from Flask 3.2 on there is no session in it")

    def view() -> None:
        with app.app_context():
            session["a"] = 1
        with other.app_context():
            session["b"] = 2

    browser.do(view)

    assert browser.values() == {"a": 1, "b": 2}


def test_a_test_request_context_has_an_empty_session_that_can_be_committed(
    make_app: MakeApp,
) -> None:
    app = make_app()

    with app.test_request_context():
        assert dict(session) == {}
        assert session.id is None
        session["a"] = 1
        session.commit()
        session_id = session.id

    assert session_id is not None
    assert stored(app, session_id) is not None


def test_a_test_request_context_finds_the_session_of_its_cookie(
    make_app: MakeApp,
) -> None:
    browser = Browser(app := make_app())
    browser.set(a=1)

    with app.test_request_context(headers={"Cookie": f"session={browser.cookie}"}):
        assert session["a"] == 1
        assert session.id == browser.id
        with app.test_request_context():
            assert dict(session) == {}
        assert session["a"] == 1


def test_without_a_request_context_the_session_says_so(make_app: MakeApp) -> None:
    app = make_app()

    with app.app_context(), pytest.raises(RuntimeError, match=r"request .*context"):
        session["a"] = 1


def test_the_session_of_a_finished_request_can_be_looked_at_in_a_with_block(
    make_app: MakeApp,
) -> None:
    browser = Browser(make_app())

    with browser.client:
        browser.set(a=1)
        assert flask.session["a"] == 1
        assert session.id == browser.id


def test_an_app_with_flasks_own_session_ends_sessions_of_another_in_its_context(
    make_app: MakeApp,
) -> None:
    """An admin app, say, which has no session of ours."""
    shop, admin = make_app(), Flask("admin")
    admin.secret_key = KEY
    browser = Browser(shop)
    browser.set(user_id=42)

    @admin.post("/sign-out")
    def sign_out() -> str:
        flask.session["by"] = "an administrator"
        with shop.app_context():
            return str(ServerSession().revoke_all(user_id=42))

    response = admin.test_client().post("/sign-out")

    assert (response.status_code, response.text) == (200, "1")
    assert browser.values() == {}
