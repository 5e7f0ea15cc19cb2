"""When the session cookie is set, and when it is deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import flask
import pytest
from flask import Flask, Response, make_response

from flask_srvsession import session
from flask_srvsession.testing import FakeClock
from tests.web import Browser, nothing

from ..marks import ON_MEMORY
from ..probes import (
    CountingBackend,
    attributes,
    login,
    set_cookies,
)

if TYPE_CHECKING:
    from flask_srvsession.backends import Backend
    from tests.conftest import MakeApp


class TestNothingIsStored:
    """A session that stays empty leaves no trace, in the store nor in the browser."""

    @pytest.mark.parametrize(
        "do",
        [
            nothing,
            lambda: session.get("a"),
            lambda: session.clear(),
            lambda: session.pop("a", None),
            lambda: session.update(a=1) or session.pop("a"),
            lambda: session.update(a=1) or session.clear(),
            lambda: setattr(session, "permanent", True),
            lambda: setattr(session, "permanent", True) or session.get("a"),
            lambda: setattr(session, "modified", True),
            lambda: setattr(session, "modified", True) or session.get("a"),
            lambda: session.destroy(),
            lambda: session.rotate(),
            lambda: session.commit(),
            lambda: session.update(_remember="set"),
        ],
        ids=[
            "untouched",
            "read",
            "clear",
            "pop",
            "set and pop",
            "set and clear",
            "permanent",
            "permanent and read",
            "modified",
            "modified and read",
            "destroy",
            "rotate",
            "commit",
            "remember",
        ],
    )
    def test_and_no_cookie_set_for_a_session_that_stays_empty(
        self, browser: Browser, counted: CountingBackend, do: Callable[[], Any]
    ) -> None:
        response = browser.do(do)

        assert response.status_code == 200
        assert set_cookies(response) == []
        assert counted.taken() == []

    def test_where_the_view_looks_at_an_unknown_session(
        self, browser: Browser, counted: CountingBackend
    ) -> None:
        browser.does(login)
        stale = browser.copy()
        browser.does(lambda: session.destroy())
        counted.taken()

        response = stale.do(lambda: session.get("user_id"))

        assert response.text == "None"
        assert set_cookies(response) == []
        assert counted.taken() == ["get"]


class TestTheCookieIsSet:
    def test_when_a_session_is_created(self, browser: Browser) -> None:
        response = browser.do(lambda: session.update(a=1))

        [cookie] = set_cookies(response)
        assert cookie.startswith(f"session={browser.cookie}; ")
        assert browser.does(lambda: session["a"]) == "1"

    @pytest.mark.parametrize(
        "do",
        [
            lambda: session.update(user_id=1),
            lambda: session.update(username="ada"),
            lambda: session.bind(user_id=1),
            lambda: session.rotate(),
            lambda: session.clear() or session.update(b=1),
        ],
        ids=["user_id", "username", "bind", "rotate", "clear and write"],
    )
    def test_when_it_gets_a_new_id(
        self, browser: Browser, do: Callable[[], Any]
    ) -> None:
        browser.does(lambda: session.update(a=1))
        before = browser.id

        response = browser.do(do)

        [cookie] = set_cookies(response)
        assert cookie.startswith(f"session={browser.cookie}; ")
        assert browser.id != before

    def test_when_a_logout_keeps_the_rest(self, browser: Browser) -> None:
        browser.does(lambda: session.update(user_id=1, theme="dark"))
        before = browser.id

        response = browser.do(lambda: session.pop("user_id"))

        assert len(set_cookies(response)) == 1
        assert browser.id != before
        assert browser.does(lambda: session["theme"]) == "dark"

    def test_when_something_is_flashed_after_a_logout(self, browser: Browser) -> None:
        browser.does(login)
        before = browser.id

        response = browser.do(lambda: session.destroy() or flask.flash("Bye"))

        assert len(set_cookies(response)) == 1
        assert browser.id != before
        assert browser.does(flask.get_flashed_messages) == "['Bye']"

    def test_when_a_rotation_hands_out_a_successor(
        self, browser: Browser, clock: FakeClock
    ) -> None:
        browser.does(lambda: session.update(a=1))
        before = browser.cookie
        clock.advance(15 * 60)

        response = browser.do(lambda: session["a"])

        [cookie] = set_cookies(response)
        assert cookie.startswith(f"session={before.partition('.')[0]}.2.")

    def test_after_a_live_session_was_made_permanent(self, browser: Browser) -> None:
        """By the rotation that this makes due: its successor has the new expiry."""
        browser.does(lambda: session.update(a=1))
        before = browser.cookie

        responses = [browser.do(_make_permanent), browser.do(_make_permanent)]

        [cookie] = [
            cookie for response in responses for cookie in set_cookies(response)
        ]
        assert "expires" in attributes(cookie)
        assert browser.cookie != before
        assert browser.does(lambda: session.permanent) == "True"


class TestTheCookieIsNotSet:
    @pytest.mark.parametrize(
        "do",
        [
            nothing,
            lambda: session["a"],
            lambda: session.update(a=2),
            lambda: session.update(b=[1]),
            lambda: session.pop("b"),
            lambda: session["b"].append(2),
            lambda: session.compute("a", lambda n: n + 1),
            lambda: setattr(session, "modified", True) or session["a"],
            lambda: setattr(session, "permanent", False) or session["a"],
            lambda: session.update(c=1) or session.commit(),
        ],
        ids=[
            "untouched",
            "read",
            "change",
            "new key",
            "removed key",
            "nested",
            "compute",
            "modified",
            "not permanent",
            "commit",
        ],
    )
    def test_where_the_client_has_it_already(
        self, browser: Browser, do: Callable[[], Any]
    ) -> None:
        browser.does(lambda: session.update(a=1, b=[0]))

        response = browser.do(do)

        assert response.status_code == 200
        assert set_cookies(response) == []

    def test_where_the_session_was_ended_meanwhile(self, browser: Browser) -> None:
        browser.does(login)
        other = browser.copy()

        def work() -> None:
            assert session["user_id"] == 42
            other.does(lambda: session.destroy())
            session["late"] = 1

        response = browser.do(work)

        assert response.status_code == 200
        assert set_cookies(response) == []
        assert browser.does(lambda: dict(session)) == "{}"

    def test_by_a_renewal(self, browser: Browser, clock: FakeClock) -> None:
        browser.does(login)
        clock.advance(10 * 60)

        response = browser.do(lambda: session["user_id"])

        assert set_cookies(response) == []

    def test_a_second_time_when_saved_twice(self, browser: Browser) -> None:
        """Also where the response of the first save is thrown away."""
        browser.does(lambda: session.update(a=1))
        app = browser.app

        def save_before_the_end() -> Response:
            session["a"] = 2
            response = make_response("saved")
            app.session_interface.save_session(app, session, response)
            return response

        response = browser.do(save_before_the_end)

        assert set_cookies(response) == []
        assert browser.does(lambda: session["a"]) == "2"


class TestTheCookieIsDeleted:
    @pytest.mark.parametrize(
        "do",
        [
            lambda: session.destroy(),
            lambda: session.clear(),
            lambda: [session.pop(key) for key in list(session)],
            lambda: [session.popitem() for _ in range(len(session))],
            lambda: session.destroy() or session.destroy(),
            lambda: session.update(b=1) or session.destroy(),
        ],
        ids=["destroy", "clear", "pop", "popitem", "twice", "changed and destroyed"],
    )
    @pytest.mark.parametrize("user_id", [None, 42], ids=["anonymous", "logged in"])
    def test_with_the_session(
        self,
        browser: Browser,
        backend: Backend,
        do: Callable[[], Any],
        user_id: int | None,
    ) -> None:
        browser.does(lambda: session.update(a=1, user_id=user_id))
        assert backend.get(browser.key)
        key = browser.key

        response = browser.do(do)

        [cookie] = set_cookies(response)
        assert cookie.startswith("session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT;")
        assert not browser.has_cookie
        assert backend.get(key) is None

    def test_only_where_the_request_came_with_a_session(self, browser: Browser) -> None:
        response = browser.do(lambda: session.update(a=1) or session.destroy())

        assert set_cookies(response) == []

    @pytest.mark.parametrize(
        "how",
        [
            {"SESSION_COOKIE_PATH": "/shop"},
            {"SESSION_COOKIE_DOMAIN": "example.com"},
            {"SESSION_COOKIE_SECURE": True},
            {"SESSION_COOKIE_HTTPONLY": False},
            {"SESSION_COOKIE_SAMESITE": "Lax"},
            {"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": True},
            {"SESSION_COOKIE_SECURE": True, "SESSION_COOKIE_PARTITIONED": True},
            {"SESSION_COOKIE_NAME": "__Host-sid", "SESSION_COOKIE_SECURE": True},
            {
                "SESSION_COOKIE_NAME": "sid",
                "SESSION_COOKIE_DOMAIN": "example.com",
                "SESSION_COOKIE_PATH": "/shop",
                "SESSION_COOKIE_SECURE": True,
                "SESSION_COOKIE_HTTPONLY": True,
                "SESSION_COOKIE_SAMESITE": "Strict",
                "SESSION_COOKIE_PARTITIONED": True,
            },
        ],
        ids=[
            "path",
            "domain",
            "secure",
            "not httponly",
            "samesite",
            "samesite none",
            "partitioned",
            "host prefix",
            "all",
        ],
    )
    @ON_MEMORY
    def test_with_all_attributes_that_it_was_set_with(
        self, make_app: MakeApp, how: dict[str, Any]
    ) -> None:
        app = make_app(APPLICATION_ROOT="/shop", **how)
        browser = Browser(app, base_url="https://example.com/shop")
        name = how.get("SESSION_COOKIE_NAME", "session")

        [made] = set_cookies(browser.do(lambda: session.update(a=1)))
        [deleted] = set_cookies(browser.do(lambda: session.destroy()))

        expected = _expected_attributes(app)
        assert made.startswith(f"{name}=")
        assert attributes(made) == expected
        assert deleted.startswith(f"{name}=;")
        gone = attributes(deleted)
        assert gone.pop("max-age") == "0"
        assert gone.pop("expires") == "Thu, 01 Jan 1970 00:00:00 GMT"
        assert gone == expected


def _expected_attributes(app: Flask) -> dict[str, str]:
    config = app.config
    expected = {"path": config["SESSION_COOKIE_PATH"] or "/shop"}
    for key in ("DOMAIN", "SAMESITE"):
        if config[f"SESSION_COOKIE_{key}"]:
            expected[key.lower()] = config[f"SESSION_COOKIE_{key}"]
    for key in ("SECURE", "HTTPONLY", "PARTITIONED"):
        if config[f"SESSION_COOKIE_{key}"]:
            expected[key.lower()] = ""
    return expected


def _make_permanent() -> None:
    session.permanent = True
    assert session["a"] == 1
