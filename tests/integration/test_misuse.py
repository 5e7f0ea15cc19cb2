"""What is said where a call cannot mean anything, and that nothing is done then."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import redis
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from flask_srvsession import ConfigurationError, ServerSession, session
from flask_srvsession.backends import Backend
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.interface import ServerSessionInterface
from flask_srvsession.testing import FakeClock
from tests.web import Browser

from .cli.run import flask

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import MakeApp

sessions = ServerSession()


class TestWhichSession:
    @pytest.mark.every_storage
    def test_may_be_given_as_it_was_found(self, make_app: MakeApp) -> None:
        app = make_app()
        ours, other = Browser(app), Browser(app)
        ours.set(user_id=42)
        other.set(user_id=42)

        with app.app_context():
            first, second = sessions.find(user_id=42)
            assert sessions.get(first) == first
            assert sessions.find(user_id=42, after=first) == [second]
            assert sessions.revoke(first, user_id=7) is False
            assert sessions.revoke(first, user_id=42) is True
            assert sessions.revoke(second) is True

        assert ours.values() == other.values() == {}

    @pytest.mark.parametrize("given", [42, b"id", ["id"], True])
    @pytest.mark.parametrize(
        "call",
        [
            lambda given: sessions.revoke(given),
            lambda given: sessions.revoke(given, user_id=42),
            lambda given: sessions.get(given),
            lambda given: sessions.find(user_id=42, after=given),
        ],
        ids=["revoke", "revoke of", "get", "find after"],
    )
    def test_must_be_text_or_as_it_was_found(
        self, make_app: MakeApp, call: Callable[[Any], Any], given: Any
    ) -> None:
        browser = Browser(make_app())
        browser.set(user_id=42)

        with (
            browser.app.app_context(),
            pytest.raises(TypeError, match=r"given by its id.*revoke_all\(user_id=42"),
        ):
            call(given)

        assert browser.values() == {"user_id": 42}

    def test_that_is_no_id_is_none(self, make_app: MakeApp) -> None:
        browser = Browser(make_app())
        browser.set(user_id=42)

        with browser.app.app_context():
            assert sessions.revoke(f" {browser.id}") is False
            assert sessions.revoke(None) is False
            assert sessions.revoke(browser.id) is True


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda s: s.revoke_all(42), r"revoke_all\(user_id=42\)"),
        (lambda s: s.find("ann"), r"find\(user_id=42\)"),
        (lambda s: s.epoch(42), r"epoch\(user_id=42\)"),
        (lambda s: s.find(userid=42), "'userid' is no index.*'user_id'"),
        (lambda s: s.revoke_all(user_id=42, keep_curent=True), "'keep_curent'"),
        (lambda s: s.revoke("id", usr_id=42), "'usr_id'"),
        (lambda s: s.epoch(user=42), "'user' is no index"),
        (lambda s: session.bind(user=42), "'user' is no index"),
    ],
)
def test_a_wrong_call_is_told_the_right_one(
    make_app: MakeApp, call: Callable[[Any], Any], says: str
) -> None:
    browser = Browser(make_app())
    browser.set(user_id=42)

    with pytest.raises(TypeError, match=says):
        browser.do(lambda: call(sessions))

    assert browser.values() == {"user_id": 42}


def test_the_clock_for_tests_needs_no_pytest() -> None:
    code = (
        "import sys; sys.modules['pytest'] = None;"
        "from flask_srvsession.testing import FakeClock;"
        "clock = FakeClock(5); clock.advance(2); print(clock())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert done.stdout == "7\n"


class TestAnotherInterface:
    """Flask-Session was left in, say."""

    @pytest.mark.parametrize(
        "call",
        [
            lambda: sessions.find(user_id=42),
            lambda: sessions.revoke_all(user_id=42),
            lambda: sessions.epoch(user_id=42),
            lambda: sessions.get("id"),
            lambda: sessions.revoke("id"),
            lambda: sessions.sweep(),
        ],
        ids=["find", "revoke_all", "epoch", "get", "revoke", "sweep"],
    )
    def test_that_is_set_later_is_told_by_each_call(
        self, make_app: MakeApp, call: Callable[[], Any]
    ) -> None:
        app = make_app()
        Browser(app).set(user_id=42)
        app.session_interface = SecureCookieSessionInterface()

        with (
            app.app_context(),
            pytest.raises(RuntimeError, match="SecureCookieSessionInterface"),
        ):
            call()

    @pytest.mark.parametrize("command", ["list user_id=42", "revoke-all user_id=42"])
    def test_that_is_set_later_ends_the_commands(
        self, make_app: MakeApp, command: str
    ) -> None:
        app = make_app()
        app.session_interface = SecureCookieSessionInterface()

        result = flask(app, *command.split())

        assert result.exit_code not in (0, 1)
        assert "SecureCookieSessionInterface" in result.output

    def test_that_is_a_kind_of_ours_is_ours(self, make_app: MakeApp) -> None:
        class Own(ServerSessionInterface):
            pass

        app = make_app()
        app.session_interface = Own(app.extensions["srvsession"])
        Browser(app).set(user_id=42)

        with app.app_context():
            assert len(sessions.find(user_id=42)) == 1


class TestBeginning:
    def test_twice_is_refused(self, make_app: MakeApp) -> None:
        app = make_app()

        for _ in range(2):
            with pytest.raises(RuntimeError, match="call init_app once"):
                ServerSession().init_app(app)
            with pytest.raises(RuntimeError, match="call init_app once"):
                ServerSession(app)

        browser = Browser(app)
        browser.set(a=1)
        assert browser.values() == {"a": 1}

    @pytest.mark.parametrize("by_argument", [True, False])
    @pytest.mark.parametrize(
        "backend",
        [redis.Redis(), MemoryBackend, 5, b"redis://localhost"],
        ids=["client", "class", "number", "bytes"],
    )
    def test_with_what_is_no_backend_is_refused(
        self, backend: Any, by_argument: bool
    ) -> None:
        app = Flask("shop")
        if not by_argument:
            app.config["SRVSESSION_BACKEND"] = backend

        with pytest.raises(ConfigurationError, match=r"must be a URL like .* Backend"):
            ServerSession(app, backend if by_argument else None)

        assert "srvsession" not in app.extensions

    @pytest.mark.parametrize(
        "app", ["redis://localhost", redis.Redis(), 5], ids=["URL", "client", "number"]
    )
    def test_with_what_is_no_app_is_refused(self, app: Any) -> None:
        with pytest.raises(ConfigurationError, match="must be a Flask"):
            ServerSession(app)


class TestFlasksOwnKeysLater:
    """When ServerSession began, they were right, or were not there."""

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("PERMANENT_SESSION_LIFETIME", "3600"),
            ("PERMANENT_SESSION_LIFETIME", None),
            ("SESSION_COOKIE_SAMESITE", "bogus"),
            ("SESSION_COOKIE_SECURE", "False"),
        ],
    )
    def test_are_a_finding_and_a_clear_error(
        self, make_app: MakeApp, key: str, value: Any
    ) -> None:
        app = make_app()
        app.config[key] = value

        result = flask(app, "check")
        assert f"{key}" in result.output
        assert "must be" in result.output
        assert "Traceback" not in result.output
        with pytest.raises(ConfigurationError, match=key):
            Browser(app).set(a=1)


def test_an_app_without_the_extension_is_told_so(
    backend: Backend, clock: FakeClock
) -> None:
    with (
        Flask("shop").app_context(),
        pytest.raises(RuntimeError, match="has no ServerSession: call init_app"),
    ):
        sessions.find(user_id=42)
