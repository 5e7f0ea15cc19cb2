"""Ids and cookies that somebody chose, guessed or planted."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, jsonify
from werkzeug.test import TestResponse

from flask_srvsession import (
    session,
)
from flask_srvsession.backends import Backend
from flask_srvsession.ids import new_id
from tests.web import Browser, View

from ..apps import (
    LosingBackend,
    cookie_headers,
    deletes_cookie,
    new_cookies,
    stored,
)
from .ways import CART, by_any_login, cookie_of, log_in_with_user_id, shopper, who

if TYPE_CHECKING:
    from tests.conftest import MakeApp


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


def ask(app: Flask, view: View, *cookies: str) -> TestResponse:
    """Send a request with several cookies called ``session``."""
    browser = Browser(app)
    browser.client = app.test_client(use_cookies=False)
    header = "; ".join(f"session={cookie}" for cookie in cookies)
    return browser.do(view, headers={"Cookie": header})


def show() -> Response:
    return jsonify(dict(session))


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
    assert noting.calls == []


def test_of_several_live_sessions_none_is_used_however_often_one_is_presented(
    app: Flask,
) -> None:
    planted, own = shopper(app), shopper(app)

    response = ask(app, show, *[planted.cookie] * 3, own.cookie)

    assert response.get_json() == {}


def test_dead_cookies_do_not_hide_the_living_one(app: Flask) -> None:
    own = shopper(app)
    dead = cookie_of(app, new_id(app.extensions["srvsession"].clock()))

    response = ask(app, show, dead, dead, dead, own.cookie)

    assert response.get_json() == CART


def test_a_logout_ends_every_living_session_that_was_presented(app: Flask) -> None:
    planted, own = shopper(app), shopper(app)

    ask(app, lambda: f"{session.destroy()}", *[planted.cookie] * 3, own.cookie)

    assert planted.values() == {}
    assert own.values() == {}


def test_a_new_session_ends_its_rivals(app: Flask) -> None:
    planted, own = shopper(app), shopper(app)

    ask(app, lambda: f"{session.update(csrf_token=1)}", planted.cookie, own.cookie)

    assert planted.values() == {}
    assert own.values() == {}


def test_an_old_cookie_beside_the_new_one_does_no_harm(app: Flask) -> None:
    browser = shopper(app)
    old = browser.cookie
    browser.do(log_in_with_user_id)

    response = ask(app, show, old, browser.cookie)

    assert response.get_json() == {**CART, "user_id": 42}
