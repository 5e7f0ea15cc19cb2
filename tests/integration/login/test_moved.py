"""The record that a session leaves behind when it gets a new id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flask import Flask, flash

from flask_srvsession import (
    session,
)
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.testing import FakeClock
from tests.web import Browser, View

from ..apps import (
    cookie_headers,
    remove_stored,
    stored,
)
from .ways import (
    CART,
    by_any_login,
    clear_and_write,
    cookie_of,
    log_in_with_user_id,
    shopper,
    who,
)

if TYPE_CHECKING:
    from tests.conftest import MakeApp


@by_any_login
def test_destroy_with_the_cookie_from_before_does_not_end_the_login(
    app: Flask, log_in: View
) -> None:
    browser = shopper(app)
    before = browser.copy()
    browser.do(log_in)
    session_id = browser.id

    response = before.do(lambda: session.destroy())

    assert response.status_code == 200
    assert stored(app, session_id) is not None
    assert who(browser)


@by_any_login
def test_destroy_in_flight_does_not_end_a_login_meanwhile(
    app: Flask, log_in: View
) -> None:
    browser = shopper(app)

    with browser.in_flight(lambda: session.destroy()) as late:
        browser.do(log_in)
        session_id = browser.id

    assert late.response.status_code == 200
    assert stored(app, session_id) is not None
    assert who(browser)


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


def test_a_login_of_another_with_the_cookie_from_before_leaves_the_first(
    app: Flask,
) -> None:
    browser = shopper(app)
    before = browser.copy()
    browser.do(log_in_with_user_id)

    before.set(user_id=7)

    assert before.values() == {**CART, "user_id": 7}
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


def test_the_tombstone_of_somebody_logged_in_has_no_content(app: Flask) -> None:
    browser = shopper(app, secret="s3cret", username="bob")
    old_id = browser.id

    browser.do(log_in_with_user_id)

    cell = stored(app, old_id)
    assert cell is not None
    assert b"s3cret" not in cell.data
