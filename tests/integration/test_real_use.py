"""Faults that real use has found: the right value of each."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf
from werkzeug.test import Client, Cookie

from flask_srvsession import ServerSession, session, session_replayed
from flask_srvsession.backends import Backend
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.backends.sql import SQLBackend
from flask_srvsession.ids import CookieSigner
from flask_srvsession.login_keys import ABOUT
from flask_srvsession.testing import FakeClock
from tests.web import PATIENCE, Browser, served

from .apps import LosingBackend, index_name

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeApp


def with_values(app: Flask, **values: object) -> Browser:
    browser = Browser(app)
    browser.set(**values)
    return browser


def header(*browsers: Browser) -> bytes:
    return "; ".join(f"session={browser.cookie}" for browser in browsers).encode()


class TestTossedCookies:
    @pytest.mark.parametrize("order", ["AAAV", "VAAA", "AVAA", "AV"])
    def test_of_two_live_sessions_none_is_used_however_often(
        self, make_app: MakeApp, order: str
    ) -> None:
        app = make_app()
        known = {"A": with_values(app, user_id=7), "V": with_values(app, user_id=42)}
        cookies = header(*(known[name] for name in order))

        assert known["V"].send(cookies, lambda: dict(session)).text == "{}"

    @pytest.mark.parametrize("copies", [[0, 0, 0], [0, 1]])
    def test_dead_ones_in_front_do_not_hide_the_living_one(
        self, make_app: MakeApp, copies: list[int]
    ) -> None:
        app = make_app()
        dead = [with_values(app, user_id=7) for _ in range(2)]
        before = [browser.copy() for browser in dead]
        for browser in dead:
            browser.do(lambda: session.destroy())
        living = with_values(app, user_id=42)
        cookies = header(*(before[n] for n in copies), living)

        assert living.send(cookies, lambda: session["user_id"]).text == "42"

    def test_a_logout_ends_each_that_was_presented(self, make_app: MakeApp) -> None:
        app = make_app()
        ours, theirs = with_values(app, user_id=42), with_values(app, user_id=7)

        ours.send(header(theirs, theirs, theirs, ours), lambda: session.destroy())

        assert ours.values() == theirs.values() == {}


def test_an_upload_that_travelled_for_long_is_refused_without_an_alarm(
    make_app: MakeApp, clock: FakeClock
) -> None:
    app = make_app()
    browser = with_values(app, user_id=42)
    browser.values()
    sender = browser.copy()
    clock.advance(15 * 60)
    browser.values()
    browser.values()
    clock.advance(5 * 60)
    alarms: list[object] = []

    with session_replayed.connected_to(lambda *_, **__: alarms.append(1), sender=app):
        late = sender.do(lambda: dict(session), data=b"x" * 100)

    assert late.text == "{}"
    assert alarms == []
    assert browser.values() == {"user_id": 42}


def test_a_key_that_a_class_defines_signs(backend: Backend, clock: FakeClock) -> None:
    class Shop(Flask):
        @property
        def secret_key(self) -> str:  # type: ignore[override]
            return "defined by the class"

    app = Shop("shop")
    app.config["SECRET_KEY"] = "of the configuration"
    app.config["SRVSESSION_KEY_PREFIX"] = "shop:"
    ServerSession().init_app(app, backend, clock=clock)
    browser = with_values(app, user_id=42)

    assert CookieSigner(["defined by the class"], "shop:").loads(browser.cookie)
    assert browser.values() == {"user_id": 42}


class TestTwoAppsOfOneName:
    @pytest.fixture
    def two(self, make_app: MakeApp, backend: Backend) -> list[Browser]:
        given = {"SRVSESSION_KEY_PREFIX": "main:"}
        given |= {"SRVSESSION_MAX_PER_KEY": {"user_id": 1}}  # type: ignore[dict-item]
        keys = ["a" * 16, "b" * 16]
        apps = [make_app(backend, SECRET_KEY=key, **given) for key in keys]
        return [with_values(app, user_id=1) for app in apps]

    @pytest.mark.every_storage
    def test_a_login_at_the_limit_of_one_ends_nothing_of_the_other(
        self, two: list[Browser]
    ) -> None:
        assert [browser.values() for browser in two] == [{"user_id": 1}] * 2

    @pytest.mark.every_storage
    def test_revoke_all_of_one_ends_nothing_of_the_other(
        self, two: list[Browser]
    ) -> None:
        one, other = two
        with one.app.app_context():
            assert ServerSession().revoke_all(user_id=1) == 1

        assert one.values() == {}
        assert other.values() == {"user_id": 1}


@pytest.mark.parametrize("name", ["proof", "_csrf", "_csrf_token", "csrf_token"])
def test_a_csrf_token_under_any_usual_name_is_dropped(
    make_app: MakeApp, name: str
) -> None:
    given = {"WTF_CSRF_FIELD_NAME": "proof"} if name == "proof" else {}
    browser = with_values(make_app(**given), **{name: "known"})

    browser.set(user_id=42)

    assert browser.values() == {"user_id": 42}


@pytest.mark.parametrize("member", ["junk", "A" * 28 + ".mark"])
def test_a_member_of_a_list_that_is_none_is_ignored_with_a_warning(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture, member: str
) -> None:
    backend = MemoryBackend()
    app = make_app(backend)
    browser = with_values(app, user_id=42)
    roll = backend.index
    name = index_name(app, 42)
    cell, present = roll._read_roll(name)
    assert present is not None
    members = {**present.members, member: max(present.members.values())}
    junk = type(present)(present.stamp, present.until, members)
    assert roll._write_roll(name, cell, junk)

    with caplog.at_level(logging.WARNING), app.app_context():
        assert [i.id for i in ServerSession().find(user_id=42)] == [browser.id]
        assert ServerSession().revoke_all(user_id=42) == 1

    assert "a member of an index is ignored" in caplog.text
    assert browser.values() == {}


def jar(browser: Browser) -> list[Cookie]:
    """Return all cookies that a browser has."""
    return [*(browser.client._cookies or {}).values()]


class TestCookieOfAnotherDomain:
    """SESSION_COOKIE_DOMAIN was introduced while sessions lived."""

    @pytest.fixture
    def browser(self, make_app: MakeApp) -> Browser:
        before = make_app()
        after = make_app(
            SRVSESSION_KEY_PREFIX=before.config["SRVSESSION_KEY_PREFIX"],
            SESSION_COOKIE_DOMAIN="example.com",
        )
        CSRFProtect(after)
        after.add_url_rule("/form", "form", lambda: generate_csrf())

        @after.post("/login")
        def login() -> str:
            session["user_id"] = 42
            return "in"

        where = {"base_url": "https://www.example.com"}
        old, new = Browser(before, **where), Browser(after, **where)
        old.set(cart=1)
        new.set(cart=2)
        [host_only] = jar(old)
        new.client.set_cookie("session", host_only.value, domain="www.example.com")
        assert len(jar(new)) == 2
        return new

    def test_a_login_form_works_at_once_and_one_cookie_is_left(
        self, browser: Browser, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)
        client, where = browser.client, {"base_url": "https://www.example.com"}
        token = client.get("/form", **where).text

        answer = client.post(
            "/login",
            data={"csrf_token": token},
            headers={"Referer": "https://www.example.com/form"},
            **where,
        )

        assert answer.text == "in"
        assert [c.domain for c in jar(browser)] == ["example.com"]
        assert browser.values() == {"user_id": 42}
        said = [r for r in caplog.records if "presented at once" in r.getMessage()]
        assert len(said) == 1
        assert "SESSION_COOKIE_DOMAIN" in said[0].getMessage()

    def test_a_logout_deletes_both(self, browser: Browser) -> None:
        browser.do(lambda: session.destroy())

        assert jar(browser) == []
        assert browser.values() == {}


@pytest.mark.parametrize("key", ["user", "profile", "google_oauth_token"])
def test_a_token_that_is_refreshed_is_no_login(
    make_app: MakeApp, clock: FakeClock, key: str
) -> None:
    """As Auth0's quickstart has it: the value changes each hour, the user does not."""
    app = make_app(SRVSESSION_ABSOLUTE_LIFETIME=10 * 3600)
    browser = Browser(app)

    def about(sub: str, number: int) -> dict[str, object]:
        return {"access_token": f"t{number}", "userinfo": {"sub": sub, "n": number}}

    browser.set(**{key: about("ann", 0)})
    browser.values()
    session_id = browser.id
    for number in range(1, 10):
        clock.advance(3600)
        browser.set(**{key: about("ann", number)})
        assert browser.id == session_id
    clock.advance(3600)
    assert browser.values() == {}

    browser.set(**{key: about("ann", 0)})
    before = browser.id
    browser.set(**{key: about("bob", 0)})
    assert browser.id != before


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_a_sqlite_file_that_we_create_is_for_its_owner_only(
    make_app: MakeApp, tmp_path: Path, umask: int
) -> None:
    ours, theirs = tmp_path / "ours.db", tmp_path / "theirs.db"
    former = os.umask(umask)
    try:
        theirs.touch(0o644)
        theirs.chmod(0o644)
        for file in (ours, theirs):
            backend = SQLBackend(f"sqlite:///{file}")
            with_values(make_app(backend), user_id=42)
            modes = {f.name: f.stat().st_mode & 0o777 for f in tmp_path.iterdir()}
            beside = [modes[f"{file.name}-{end}"] for end in ("wal", "shm")]
            assert {modes[file.name], *beside} == {0o600 if file is ours else 0o644}
            backend.close()
    finally:
        os.umask(former)


class TestFlaskFromThreeTwoOn:
    """``handle_user_exception`` and ``log_exception`` take a context first."""

    @pytest.fixture
    def app(self, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> Flask:
        for name in ("handle_user_exception", "log_exception"):
            method = getattr(Flask, name)
            if "ctx" not in inspect.signature(method).parameters:
                monkeypatch.setattr(Flask, name, with_context(method))
        return make_app(
            SRVSESSION_MAX_PER_KEY={"user_id": 1},
            SRVSESSION_MAX_PER_KEY_POLICY="reject",
        )

    def test_a_refusal_at_the_end_of_a_request_is_a_409(self, app: Flask) -> None:
        app.register_error_handler(409, lambda error: ("two many", 409))
        with_values(app, user_id=42)

        answer = Browser(app).set(user_id=42)

        assert (answer.status_code, answer.text) == (409, "two many")

    def test_an_error_page_that_fails_is_logged(
        self, app: Flask, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(error: Exception) -> str:
            raise KeyError("of the page")

        app.register_error_handler(409, fail)
        with_values(app, user_id=42)

        assert Browser(app).set(user_id=42).status_code == 409
        assert "of the page" in caplog.text


def test_an_app_whose_error_handling_is_wrapped_answers_with_its_own_page(
    make_app: MakeApp,
) -> None:
    """As Flask-RESTful does it: by a ``functools.partial``, which has no name."""
    app = make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": 1}, SRVSESSION_MAX_PER_KEY_POLICY="reject"
    )
    app.register_error_handler(409, lambda error: ("too many", 409))

    def route(original: Any, *error: Any) -> Any:
        return original(*error)

    for name in ("handle_user_exception", "log_exception"):
        setattr(app, name, partial(route, getattr(app, name)))
    with_values(app, user_id=42)

    answer = Browser(app).set(user_id=42)

    assert (answer.status_code, answer.text) == (409, "too many")


@pytest.mark.parametrize("age", [0, 16 * 60])
@pytest.mark.parametrize("how", ["delete_cookie", "set_cookie"])
def test_a_cookie_that_the_app_deletes_is_not_set_again(
    make_app: MakeApp, clock: FakeClock, age: int, how: str
) -> None:
    browser = with_values(make_app(), user_id=42)
    clock.advance(age)

    def sign_out() -> Response:
        response = Response(f"Bye, {session['user_id']}")
        if how == "delete_cookie":
            response.delete_cookie("session")
        else:
            response.set_cookie("session", "", expires=0)
        return response

    browser.do(sign_out)

    assert not browser.has_cookie


class TestAResponseThatIsReturnedAgain:
    """``NO_CONTENT = Response(status=204)``, or a view under ``lru_cache``."""

    @pytest.mark.parametrize("act", ["read", "touch nothing", "write"])
    def test_carries_the_session_of_nobody_else(
        self, make_app: MakeApp, clock: FakeClock, act: str, caplog: Any
    ) -> None:
        app = make_app()
        constant = Response("the page", headers={"Set-Cookie": "lang=de; Path=/"})
        ann, bob = with_values(app, user_id="ann"), with_values(app, user_id="bob")
        before = bob.cookie
        clock.advance(16 * 60)
        acts = {"read": lambda: session["user_id"], "touch nothing": lambda: None}
        acts["write"] = lambda: session.update(a=1)
        ann.do(lambda: [session["user_id"], constant][1])
        clock.advance(-1)  # it is set back

        answer = bob.do(lambda: [acts[act](), constant][1])

        assert "returned again" in caplog.text
        cookies = answer.headers.getlist("Set-Cookie")
        assert cookies[0] == "lang=de; Path=/"
        assert len(cookies) == (1 if act == "touch nothing" else 2)
        assert bob.values()["user_id"] == "bob"
        assert bob.id == before.partition(".")[0]

    def test_is_no_error_page_when_the_outage_is_over(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        backend = LosingBackend(MemoryBackend(clock))
        backend.errors = (OSError,)  # type: ignore[attr-defined]
        constant = Response("the page", 202, {"X-Own": "1"})
        browser = with_values(make_app(backend, TESTING=False), user_id=42)

        def view() -> Response:
            session["seen"] = session.get("seen", 0) + 1
            return constant

        browser.do(view)
        backend.lose(at_write=1)
        clock.advance(1)
        assert browser.do(view).status_code == 503
        backend.recover()

        answer = browser.do(view)

        assert (answer.status_code, answer.text) == (202, "the page")
        assert answer.headers["X-Own"] == "1"
        assert answer.headers["Content-Length"] == "8"

    def test_keeps_the_cookie_of_a_request_to_which_it_was_forwarded(
        self, make_app: MakeApp
    ) -> None:
        app = make_app()

        def forward() -> Response:
            with app.test_request_context("/login"):
                return app.full_dispatch_request()

        app.add_url_rule("/login", "login", lambda: session.update(user_id=42) or "in")
        app.add_url_rule("/", "forward", forward)
        browser = Browser(app)
        browser.do()
        browser.client.get("/")

        assert browser.values() == {"user_id": 42}


def test_an_outage_in_a_teardown_function_is_a_503_on_a_server(
    make_app: MakeApp, clock: FakeClock
) -> None:
    backend = LosingBackend(MemoryBackend(clock))
    backend.errors = (OSError,)  # type: ignore[attr-defined]
    app = make_app(backend, TESTING=False)
    app.teardown_request(lambda _: session.get("user_id"))
    app.add_url_rule("/", "page", lambda: "the page")
    browser = with_values(app, user_id=42)
    backend.lose(at_write=0)

    with served(app) as url:
        connection = HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)
        headers = {"Cookie": f"session={browser.cookie}"}
        connection.request("GET", "/", headers=headers)
        assert connection.getresponse().status == 503
        connection.close()


def test_a_server_that_has_the_app_from_before_gets_the_answers_of_its_handlers(
    backend: Backend,
) -> None:
    """Some frameworks take `wsgi_app` when they make the app."""
    app = Flask("early")
    app.secret_key = "a long random text"
    client = Client(app.wsgi_app)
    app.config.update(
        SRVSESSION_MAX_PER_KEY={"user_id": 1}, SRVSESSION_MAX_PER_KEY_POLICY="reject"
    )
    ServerSession(app, backend)
    app.register_error_handler(409, lambda _: ("one at a time", 409))
    app.add_url_rule("/", "in", lambda: session.update(user_id=42) or "in")

    assert client.get("/").text == "in"
    assert Client(client.application).get("/").text == "one at a time"


def test_an_app_that_writes_its_answer_is_let_through() -> None:
    """The old way of WSGI, which a middleware beneath ours may still go."""

    def old(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"one ")
        write(b"two ")
        return [b"three"]

    def later(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"later"

    for inner, text in ((old, "one two three"), (later, "later")):
        app = Flask("old")
        app.wsgi_app = inner  # type: ignore[method-assign]
        ServerSession(app)
        assert app.test_client().get("/").text == text


@pytest.mark.parametrize("key", ABOUT)
def test_a_profile_that_names_nobody_is_kept(make_app: MakeApp, key: str) -> None:
    browser = with_values(make_app(), **{key: {"theme": "dark"}})

    assert browser.values() == {key: {"theme": "dark"}}


def with_context(method: Any) -> Any:
    """Return a method of Flask as it will be."""

    def later(self: Flask, ctx: Any, *args: Any) -> Any:
        assert ctx.app is self
        return method(self, *args)

    later.__name__ = method.__name__
    return later
