"""A logout ends what its session has moved to meanwhile."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from flask import Flask
from flask_login import current_user, login_user, logout_user

from flask_srvsession import ServerSession, session
from tests.web import Browser, View

from ..apps import (
    User,
    cookie_headers,
    use_flask_login,
)
from ..devices import (
    Act,
    advance_token,
    found,
    log_out,
    result_of,
    rotate,
    signed_in,
    user_of,
)
from ..marks import ON_MEMORY
from .test_logout import Choosy
from .ways import destroy

if TYPE_CHECKING:
    from flask import Flask

    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp


@ON_MEMORY
def test_a_logout_follows_any_number_of_rotations(make_app: MakeApp) -> None:
    def rotate_often() -> None:
        for _ in range(1200):
            session.rotate()

    browser = Browser(make_app())
    browser.set(user_id=42)
    before = browser.copy()
    browser.do(rotate_often)

    assert before.do(destroy).status_code == 200
    assert browser.values() == {}


@ON_MEMORY
def test_a_value_that_nobody_can_read_any_more_stops_no_logout(
    make_app: MakeApp,
) -> None:
    choosy = Choosy()
    browser = Browser(make_app(SRVSESSION_SERIALIZER=choosy))
    browser.set(user_id=42, old="unknown")
    choosy.refused = "unknown"

    with browser.in_flight(lambda: session.pop("user_id") and "") as late:
        rotate(browser)
    choosy.refused = None

    assert late.response.status_code == 200
    assert user_of(browser) is None


@ON_MEMORY
def test_the_end_of_a_session_that_nobody_can_read_is_told_as_it_is(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    def leave() -> None:
        assert session.get("old") is None
        session.destroy(actor="support", reason="phone lost")

    choosy = Choosy()
    browser = Browser(make_app(SRVSESSION_SERIALIZER=choosy))
    browser.set(user_id=42, old="unknown")
    choosy.refused = "unknown"
    caplog.set_level("INFO", logger="flask_srvsession.audit")

    browser.do(leave)

    assert "phone lost" in caplog.text
    assert "presented at once" not in caplog.text


@ON_MEMORY
def test_a_default_for_a_missing_user_is_no_logout(make_app: MakeApp) -> None:
    """Apps prepare each session before the request, also one whose cookie is late."""
    app = make_app()
    app.before_request(lambda: session.setdefault("user_id") and None)
    [browser] = signed_in(app)
    before = browser.copy()
    rotate(browser)

    assert before.values() == {"user_id": None}

    assert user_of(browser) == 42
    assert before.do(lambda: session.update(user_id=None)).status_code == 200
    assert user_of(browser) is None


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


def remove_user() -> None:
    assert session.pop("user_id") == 42


class TestLogoutThatMeetsARotation:
    def test_by_removal_of_the_user_ends_the_successor(self, app: Flask) -> None:
        [browser] = signed_in(app)
        browser.set(cart=[1])

        with browser.in_flight(remove_user):
            rotate(browser)

        assert browser.values() == {}
        assert found(app) == []

    def test_by_removal_of_the_only_key_ends_the_successor(self, app: Flask) -> None:
        [browser] = signed_in(app)

        with browser.in_flight(remove_user):
            rotate(browser)

        assert browser.values() == {}
        assert found(app) == []

    def test_by_removal_of_a_user_dict_that_has_changed_ends_the_successor(
        self, app: Flask
    ) -> None:
        browser = Browser(app)
        browser.set(user={"id": 42, "theme": "light"})

        with browser.in_flight(lambda: session.pop("user")):
            rotate(browser)
            browser.set(user={"id": 42, "theme": "dark"})

        assert browser.values() == {}

    def test_by_flask_login_ends_the_successor(self, app: Flask) -> None:
        use_flask_login(app)
        browser = Browser(app)
        browser.do(lambda: str(login_user(User("42"))))

        with browser.in_flight(lambda: str(logout_user())):
            rotate(browser)

        assert not result_of(browser, lambda: current_user.is_authenticated)
        assert found(app) == []

    @pytest.mark.parametrize("cart", [None, [1]])
    def test_does_not_end_the_login_of_somebody_else_meanwhile(
        self, app: Flask, cart: object
    ) -> None:
        [browser] = signed_in(app)
        browser.set(cart=cart)

        with browser.in_flight(remove_user) as late:
            browser.set(user_id=7)

        assert cookie_headers(late.response) == []
        assert user_of(browser) == 7

    def test_by_flask_login_does_not_end_the_login_of_somebody_else(
        self, app: Flask
    ) -> None:
        use_flask_login(app)
        browser = Browser(app)
        browser.do(lambda: str(login_user(User("42"))))

        with browser.in_flight(lambda: str(logout_user())):
            browser.do(lambda: str(login_user(User("7"))))

        assert result_of(browser, lambda: current_user.get_id()) == "7"


def log_in_anew(browser: Browser) -> None:
    browser.do(lambda: session.bind(user_id=42))


class TestDestroyWithAnotherTokenOfTheSession:
    @pytest.fixture
    def former(self, app: Flask, clock: FakeClock) -> Browser:
        """One whose token has a successor, which `browser` has got."""
        [former] = signed_in(app)
        assert user_of(former) == 42
        return former

    @pytest.fixture
    def browser(self, former: Browser, clock: FakeClock) -> Browser:
        browser = former.copy()
        advance_token(browser, clock)
        assert browser.cookie != former.cookie
        return browser

    @pytest.mark.parametrize("move", [rotate, log_in_anew])
    def test_the_pending_successor_ends_what_it_moved_to(
        self, former: Browser, browser: Browser, move: Act
    ) -> None:
        move(former)

        log_out(browser)

        assert former.values() == {}

    @pytest.mark.parametrize("move", [rotate, log_in_anew])
    def test_the_predecessor_in_its_grace_ends_what_it_moved_to(
        self, former: Browser, browser: Browser, move: Act
    ) -> None:
        assert user_of(browser) == 42  # the successor is the current token now
        move(browser)

        log_out(former)

        assert browser.values() == {}

    @pytest.mark.parametrize("move", [rotate, log_in_anew])
    @pytest.mark.parametrize("late", ["presented", "predecessor"])
    def test_both_tokens_end_what_a_successor_moved_to_when_it_came_first(
        self, former: Browser, browser: Browser, late: str, move: Act
    ) -> None:
        presented = browser.copy()
        move(browser)

        log_out(presented if late == "presented" else former)

        assert browser.values() == {}

    @pytest.mark.parametrize("move", [lambda b: None, rotate, log_in_anew])
    def test_one_that_was_outdated_during_the_request_ends_it(
        self, browser: Browser, clock: FakeClock, move: Act
    ) -> None:
        assert user_of(browser) == 42

        def destroy_late() -> None:
            for _ in range(2):
                advance_token(browser, clock)
                assert user_of(browser) == 42
            move(browser)
            session.destroy()

        response = browser.copy().do(destroy_late)

        assert response.status_code == 200
        assert browser.values() == {}

    @pytest.mark.parametrize("late", ["presented", "predecessor"])
    def test_does_not_end_the_login_of_somebody_else(
        self, former: Browser, browser: Browser, late: str
    ) -> None:
        presented = browser.copy()
        browser.set(user_id=7)

        log_out(presented if late == "presented" else former)

        assert user_of(browser) == 7


def pop_missing() -> None:
    session.pop("user_id", None)


def forget_user() -> None:
    session["user_id"] = None


def name_nobody() -> None:
    session["user_id"] = ""


def delete_user() -> None:
    with suppress(KeyError):
        del session["user_id"]


def revoke_itself() -> None:
    ServerSession().revoke(session.id)


def clear_and_write() -> None:
    session.clear()
    session["notice"] = "Bye"


WAYS: dict[str, View] = {
    "destroy": destroy,
    "pop": pop_missing,
    "del": delete_user,
    "None": forget_user,
    "nobody": name_nobody,
    "clear": lambda: session.clear(),
    "clear and write": clear_and_write,
    "revoke": revoke_itself,
    "logout_user": lambda: str(logout_user()),
}
by_any_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@pytest.mark.every_storage("destroy", "pop", "revoke")
@by_any_way
class TestAnyLogout:
    """Of a session that just moved, or moves in the middle."""

    @pytest.fixture
    def browser(self, app: Flask) -> Browser:
        use_flask_login(app)
        browser = Browser(app)
        browser.set(user_id=42, _user_id="42", cart=[1])
        return browser

    def test_after_a_rotation_ends_the_successor(
        self, app: Flask, browser: Browser, way: View
    ) -> None:
        before = browser.copy()
        rotate(browser)

        assert before.do(way).status_code == 200

        assert user_of(browser) is None
        assert found(app) == []

    def test_in_flight_during_a_rotation_ends_the_successor(
        self, app: Flask, browser: Browser, way: View
    ) -> None:
        with browser.in_flight(way) as late:
            rotate(browser)

        assert late.response.status_code == 200
        assert user_of(browser) is None
        assert found(app) == []

    def test_after_the_login_of_somebody_else_leaves_that(
        self, browser: Browser, way: View
    ) -> None:
        before = browser.copy()
        browser.set(user_id=7, _user_id="7")

        assert before.do(way).status_code == 200

        assert user_of(browser) == 7

    def test_in_flight_during_the_login_of_somebody_else_leaves_that(
        self, browser: Browser, way: View
    ) -> None:
        with browser.in_flight(way) as late:
            browser.set(user_id=7, _user_id="7")

        assert late.response.status_code == 200
        assert user_of(browser) == 7

    def test_with_a_cookie_from_before_the_login_leaves_the_login(
        self, app: Flask, way: View
    ) -> None:
        use_flask_login(app)
        victim = Browser(app)
        victim.set(cart=[1])
        planted = victim.copy()
        victim.set(user_id=42)

        assert planted.do(way).status_code == 200

        assert user_of(victim) == 42
        assert [info.id for info in found(app)] == [victim.id]

    def test_with_two_live_cookies_ends_both(
        self, app: Flask, browser: Browser, way: View
    ) -> None:
        other = Browser(app)
        other.set(user_id=42)
        header = f"session={other.cookie}; session={browser.cookie}".encode()

        assert browser.send(header, way).status_code == 200

        assert user_of(browser) is None
        assert user_of(other) is None
