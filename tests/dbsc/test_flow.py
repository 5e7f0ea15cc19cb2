"""A session from the login to the logout, on every storage, with an honest browser."""

from __future__ import annotations

import pytest
from flask import Flask

from flask_srvsession import binding_failed, session, session_bound
from flask_srvsession.testing import FakeClock
from tests.conftest import MakeApp

from .conftest import WINDOW
from .device import DeviceBrowser

EVERY = pytest.mark.every_storage
LOGIN = {"user_id": "ann"}


@EVERY
def test_a_login_is_bound_and_proven_again_and_again(
    browser: DeviceBrowser, clock: FakeClock
) -> None:
    browser.set(user_id="ann")

    assert browser.asked == [("/dbsc/register", 200)]
    for _ in range(4):
        assert browser.values() == LOGIN
        clock.advance(WINDOW)
    assert browser.asked[1:] == [("/dbsc/refresh", 200)] * 3
    assert browser.ended == []


@EVERY
def test_rotation_goes_on_beside_it(make_app: MakeApp, clock: FakeClock) -> None:
    app = make_app(
        SRVSESSION_DBSC=True, SRVSESSION_ROTATE_EVERY=60, SRVSESSION_ROTATE_GRACE=10
    )
    browser = DeviceBrowser(app, clock)
    browser.set(user_id="ann")
    cookies = set()
    for count in range(30):
        browser.set(count=count)
        cookies.add(browser.cookie)
        clock.advance(61)

    assert browser.values() == {**LOGIN, "count": 29}
    assert len(cookies) > 10
    assert browser.asked[1:] == [("/dbsc/refresh", 200)] * 3


def test_it_works_without_rotation(make_app: MakeApp, clock: FakeClock) -> None:
    browser = DeviceBrowser(
        make_app(SRVSESSION_DBSC=True, SRVSESSION_ROTATE_EVERY=None), clock
    )
    browser.set(user_id="ann")
    assert browser.values() == LOGIN
    clock.advance(WINDOW)

    assert browser.values() == LOGIN
    assert browser.asked == [("/dbsc/register", 200), ("/dbsc/refresh", 200)]


@pytest.mark.parametrize("every", [900, None])
def test_a_login_from_before_is_offered_it_once_in_a_while(
    make_app: MakeApp, clock: FakeClock, every: int | None
) -> None:
    prefix = {"SRVSESSION_KEY_PREFIX": "p:", "SRVSESSION_ROTATE_EVERY": every}
    before = DeviceBrowser(make_app(**prefix), clock)
    before.set(user_id="ann")
    assert before.asked == []
    browser = DeviceBrowser(make_app(SRVSESSION_DBSC=True, **prefix), clock)
    browser.client.set_cookie("session", before.cookie)

    clock.advance(901)
    assert browser.values() == LOGIN

    assert browser.asked == [("/dbsc/register", 200)]
    for _ in range(3):
        clock.advance(901)
        assert browser.values() == LOGIN
    assert [path for path, _ in browser.asked].count("/dbsc/register") == 1


def test_an_anonymous_session_is_not_offered_it(browser: DeviceBrowser) -> None:
    browser.set(cart=[1])

    assert browser.asked == []


def test_a_browser_without_dbsc_goes_on_as_it_is(
    browser: DeviceBrowser, clock: FakeClock
) -> None:
    browser.registers = False
    browser.set(user_id="ann")
    for _ in range(5):
        clock.advance(WINDOW)
        assert browser.values() == LOGIN
    assert browser.does(lambda: str(session.bound)) == "False"


def test_nothing_is_offered_without_https(app: Flask, clock: FakeClock) -> None:
    browser = DeviceBrowser(app, clock)
    response = browser.do(
        lambda: session.update(user_id="ann"), base_url="http://localhost"
    )

    assert "Secure-Session-Registration" not in response.headers


def test_a_logout_ends_the_binding_without_a_word(
    ann: DeviceBrowser, clock: FakeClock
) -> None:
    ann.do(lambda: session.destroy())

    assert ann.value("session") is ann.value("session-b") is None
    assert ann.values() == {}
    assert ann.ended == ["continue: false"]
    assert ann.asked[-1] == ("/dbsc/refresh", 200)
    ann.values()
    assert len(ann.asked) == 2


def test_a_second_login_is_bound_anew(ann: DeviceBrowser, clock: FakeClock) -> None:
    former = ann.id

    ann.set(user_id="bob")

    assert ann.id != former
    assert ann.values() == {"user_id": "bob"}
    clock.advance(WINDOW)
    assert ann.values() == {"user_id": "bob"}
    assert [*ann.bindings] == [ann.id]
    assert ann.ended == ["continue: false"]


def test_a_new_id_is_bound_anew(ann: DeviceBrowser, clock: FakeClock) -> None:
    former = ann.id

    ann.do(lambda: session.rotate())

    assert ann.id != former
    clock.advance(WINDOW)
    assert ann.values() == LOGIN
    assert [*ann.bindings] == [ann.id]
    assert ann.does(lambda: str(session.bound)) == "True"


def test_a_restarted_browser_proves_itself_first(
    ann: DeviceBrowser, clock: FakeClock
) -> None:
    """It has keys and bindings, but the cookie with a life of its own alone."""
    main = ann.cookie
    clock.advance(WINDOW)
    ann.lose("session")
    ann.refresh()
    ann.client.set_cookie("session", main)

    assert ann.values() == LOGIN
    assert ann.ended == []


def test_a_refresh_before_the_end_leaves_requests_in_flight_alone(
    ann: DeviceBrowser, clock: FakeClock
) -> None:
    clock.advance(WINDOW - 60)
    former = ann.value("session-b")
    ann.refresh()
    assert ann.value("session-b") != former
    assert former is not None
    ann.client.set_cookie("session-b", former)

    assert ann.values() == LOGIN


def test_the_signals_tell_of_it(app: Flask, browser: DeviceBrowser) -> None:
    told: list[str] = []

    def bound(sender: Flask, info: object) -> None:
        told.append(info.id)  # type: ignore[attr-defined]

    def failed(sender: Flask, info: object, reason: str) -> None:
        told.append(reason)

    failures = binding_failed.connected_to(failed, app)
    with session_bound.connected_to(bound, app), failures:
        browser.set(user_id="ann")
        browser.values()

    assert told == [browser.id]


def test_the_session_says_that_it_is_bound(
    ann: DeviceBrowser, clock: FakeClock
) -> None:
    assert ann.does(lambda: str(session.bound)) == "True"
    at = ann.does(lambda: str(session.device_proved_at.timestamp()))  # type: ignore[union-attr]
    assert float(at) == int(clock())
