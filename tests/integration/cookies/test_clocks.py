"""Servers whose clocks differ: nobody is logged out without a word."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from flask import Flask

from flask_srvsession import ServerSession, session
from flask_srvsession.backends import Backend
from flask_srvsession.testing import FakeClock
from tests.web import Browser

from ..apps import sets_cookie

if TYPE_CHECKING:
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage


@pytest.fixture
def two(make_app: MakeApp, backend: Backend, clock: FakeClock) -> tuple[Flask, Flask]:
    """An app on two servers: the first is five minutes ahead of the second."""
    second = make_app()
    first = Flask("testapp")
    first.config.update(second.config)
    ahead = FakeClock(clock() + 300)
    ServerSession().init_app(first, backend, clock=ahead)
    return first, second


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "clocks" in r.getMessage()]


def test_a_cookie_from_the_future_is_not_overwritten_and_told_of(
    two: tuple[Flask, Flask], caplog: pytest.LogCaptureFixture, clock: FakeClock
) -> None:
    first, second = two
    browser = Browser(first)
    browser.set(user_id=42)
    there = Browser(second, browser.cookie)
    caplog.set_level(logging.WARNING)

    for act in (
        lambda: session.get("user_id"),
        lambda: session.update(a=1),
        lambda: session.clear(),
        lambda: session.pop("user_id", None),
    ):
        response = there.do(act)
        assert response.status_code == 200
        assert "Set-Cookie" not in response.headers

    [said] = warnings(caplog)
    assert "300 seconds in the future" in said
    clock.advance(61)
    there.values()
    [_, again] = warnings(caplog)
    assert "239 seconds in the future" in again
    assert browser.values() == {"user_id": 42}


def test_a_login_begins_a_session_all_the_same(two: tuple[Flask, Flask]) -> None:
    first, second = two
    browser = Browser(first)
    browser.set(user_id=7)
    there = Browser(second, browser.cookie)

    assert sets_cookie(there.set(user_id=42))
    assert there.values() == {"user_id": 42}


def test_a_minute_does_not_matter(
    make_app: MakeApp, backend: Backend, clock: FakeClock
) -> None:
    app = make_app()
    browser = Browser(app)
    browser.set(user_id=42)
    clock.advance(-60)

    assert browser.values() == {"user_id": 42}
