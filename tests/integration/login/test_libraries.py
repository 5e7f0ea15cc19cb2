"""Fixation, replay and revocation, with the login of each library and spelling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flask import Flask

from tests.web import Browser

from ..devices import found, revoke_all
from .libraries import LIBRARIES, SPELLINGS, Library, plain

if TYPE_CHECKING:
    from tests.conftest import MakeApp


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(TESTING=True)


@pytest.fixture(params=[*LIBRARIES, *SPELLINGS])
def library(request: pytest.FixtureRequest, app: Flask) -> Library:
    if request.param in LIBRARIES:
        return LIBRARIES[request.param](app)
    return plain(request.param)


def test_a_planted_cookie_does_not_become_the_victims_session(
    app: Flask, library: Library
) -> None:
    attacker = Browser(app)
    attacker.set(cart="planted")
    victim = attacker.copy()
    nobody = attacker.does(library.who)

    victim.do(library.log_in)

    assert attacker.does(library.who) == nobody
    assert victim.does(library.who) != nobody


def test_a_copy_is_worth_nothing_after_the_logout_and_the_next_login(
    app: Flask, library: Library
) -> None:
    browser = Browser(app)
    nobody = browser.does(library.who)
    browser.set(theme="dark")
    browser.do(library.log_in)
    copy = browser.copy()
    assert copy.does(library.who) != nobody

    browser.do(library.log_out)
    assert copy.does(library.who) == nobody
    browser.do(library.log_in)

    assert copy.does(library.who) == nobody


def test_all_sessions_of_a_user_are_found_and_ended(
    app: Flask, library: Library
) -> None:
    if library.name is None:
        pytest.skip("it does not say who is logged in")
    browser = Browser(app)
    nobody = browser.does(library.who)
    browser.do(library.log_in)
    assert len(found(app, user_id=library.name)) == 1

    assert revoke_all(app, user_id=library.name) == 1

    assert browser.does(library.who) == nobody
    assert found(app, user_id=library.name) == []


def test_no_key_that_a_library_writes_is_warned_about(
    app: Flask, library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    browser = Browser(app)

    browser.do(library.log_in)
    browser.do(library.log_out)

    assert "looks as if it said who is logged in" not in caplog.text
