"""When the session cookie is set, with what, and what else a response says of it."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import flask
import pytest
from flask import Flask, Response, make_response
from flask_login import LoginManager, UserMixin

from flask_srvsession import session
from flask_srvsession.testing import FakeClock

from .marks import ON_MEMORY
from .probes import (
    KEY,
    Browser,
    CountingBackend,
    attributes,
    login,
    nothing,
    set_cookies,
    signed,
    varies_by_cookie,
)

if TYPE_CHECKING:
    from flask_srvsession.backends import Backend
    from tests.conftest import MakeApp

ACCESSES: dict[str, Callable[[], Any]] = {
    "in": lambda: "a" in session,
    "not in": lambda: "zzz" not in session,
    "len": lambda: len(session),
    "iteration": lambda: list(session),
    "[]": lambda: session["a"],
    "get": lambda: session.get("zzz"),
    "setdefault": lambda: session.setdefault("a", 1),
    "pop of what is not there": lambda: session.pop("zzz", None),
    "==": lambda: session == {},
    "!=": lambda: session != {},
    "bool": lambda: bool(session),
    "keys": lambda: list(session.keys()),
    "values": lambda: list(session.values()),
    "items": lambda: list(session.items()),
    "dict": lambda: dict(session),
    "**": lambda: dict(**session),
    "id": lambda: session.id,
    "new": lambda: session.new,
    "permanent": lambda: session.permanent,
    "created_at": lambda: session.created_at,
    "last_seen_at": lambda: session.last_seen_at,
    "expires_at": lambda: session.expires_at,
    "get_flashed_messages": flask.get_flashed_messages,
    "flask.session": lambda: flask.session.get("a"),
    "template": lambda: flask.render_template_string("{{ session.a }}"),
}
NO_ACCESSES: dict[str, Callable[[], Any]] = {
    "nothing": nothing,
    "permanent = True": lambda: setattr(session, "permanent", True),
    "permanent = False": lambda: setattr(session, "permanent", False),
    "permanent = True and read": lambda: (
        setattr(session, "permanent", True) or session.permanent
    ),
    "modified": lambda: session.modified,
    "accessed": lambda: session.accessed,
    "repr": lambda: repr(session),
    "_remember in": lambda: "_remember" in session,
    "_remember get": lambda: session.get("_remember"),
    "_remember pop": lambda: session.pop("_remember", None),
    "_remember set": lambda: session.update(_remember="set", _remember_seconds=60),
    "_remember set and deleted": lambda: (
        session.update(_remember="set") or session.pop("_remember")
    ),
    "_remember_seconds in": lambda: "_remember_seconds" in session,
    "template without it": lambda: flask.render_template_string("{{ 1 + 1 }}"),
}


@pytest.fixture
def clock() -> FakeClock:
    """The present, because Flask computes the expiry of cookies from it."""
    return FakeClock(float(int(time.time())))


@pytest.fixture
def counted(backend: Backend) -> CountingBackend:
    return CountingBackend(backend)


@pytest.fixture
def browser(make_app: MakeApp, counted: CountingBackend) -> Browser:
    return Browser(make_app(counted))


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
        response = browser.visit(do)

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

        response = stale.visit(lambda: session.get("user_id"))

        assert response.text == "None"
        assert set_cookies(response) == []
        assert counted.taken() == ["get"]


class TestTheCookieIsSet:
    def test_when_a_session_is_created(self, browser: Browser) -> None:
        response = browser.visit(lambda: session.update(a=1))

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
        before = browser.session_id

        response = browser.visit(do)

        [cookie] = set_cookies(response)
        assert cookie.startswith(f"session={browser.cookie}; ")
        assert browser.session_id != before

    def test_when_a_logout_keeps_the_rest(self, browser: Browser) -> None:
        browser.does(lambda: session.update(user_id=1, theme="dark"))
        before = browser.session_id

        response = browser.visit(lambda: session.pop("user_id"))

        assert len(set_cookies(response)) == 1
        assert browser.session_id != before
        assert browser.does(lambda: session["theme"]) == "dark"

    def test_when_something_is_flashed_after_a_logout(self, browser: Browser) -> None:
        browser.does(login)
        before = browser.session_id

        response = browser.visit(lambda: session.destroy() or flask.flash("Bye"))

        assert len(set_cookies(response)) == 1
        assert browser.session_id != before
        assert browser.does(flask.get_flashed_messages) == "['Bye']"

    def test_when_a_rotation_hands_out_a_successor(
        self, browser: Browser, clock: FakeClock
    ) -> None:
        browser.does(lambda: session.update(a=1))
        assert browser.cookie is not None
        before = browser.cookie
        clock.advance(15 * 60)

        response = browser.visit(lambda: session["a"])

        [cookie] = set_cookies(response)
        assert cookie.startswith(f"session={before.partition('.')[0]}.2.")

    def test_after_a_live_session_was_made_permanent(self, browser: Browser) -> None:
        """By the rotation that this makes due: its successor has the new expiry."""
        browser.does(lambda: session.update(a=1))
        before = browser.cookie

        responses = [browser.visit(_make_permanent), browser.visit(_make_permanent)]

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

        response = browser.visit(do)

        assert response.status_code == 200
        assert set_cookies(response) == []

    def test_where_the_session_was_ended_meanwhile(self, browser: Browser) -> None:
        browser.does(login)
        other = browser.copy()

        def work() -> None:
            assert session["user_id"] == 42
            other.does(lambda: session.destroy())
            session["late"] = 1

        response = browser.visit(work)

        assert response.status_code == 200
        assert set_cookies(response) == []
        assert browser.does(lambda: dict(session)) == "{}"

    def test_by_a_renewal(self, browser: Browser, clock: FakeClock) -> None:
        browser.does(login)
        clock.advance(10 * 60)

        response = browser.visit(lambda: session["user_id"])

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

        response = browser.visit(save_before_the_end)

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

        response = browser.visit(do)

        [cookie] = set_cookies(response)
        assert cookie.startswith("session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT;")
        assert browser.cookie is None
        assert backend.get(key) is None

    def test_only_where_the_request_came_with_a_session(self, browser: Browser) -> None:
        response = browser.visit(lambda: session.update(a=1) or session.destroy())

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

        [made] = set_cookies(browser.visit(lambda: session.update(a=1)))
        [deleted] = set_cookies(browser.visit(lambda: session.destroy()))

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


class TestVary:
    @pytest.mark.parametrize("how", ACCESSES)
    @pytest.mark.parametrize("live", [True, False], ids=["live", "new"])
    @ON_MEMORY
    def test_names_the_cookie_for_each_kind_of_access(
        self, browser: Browser, how: str, live: bool
    ) -> None:
        if live:
            browser.does(lambda: session.update(a=1))
        do = ACCESSES[how]

        response = browser.visit(lambda: _ignoring_key_error(do))

        assert response.status_code == 200
        assert varies_by_cookie(response)

    @pytest.mark.parametrize("how", NO_ACCESSES)
    @pytest.mark.parametrize("live", [True, False], ids=["live", "new"])
    @ON_MEMORY
    def test_does_not_name_the_cookie_where_nobody_looked(
        self, browser: Browser, counted: CountingBackend, how: str, live: bool
    ) -> None:
        if live:
            browser.does(lambda: session.update(a=1))
            counted.taken()

        response = browser.visit(NO_ACCESSES[how])

        assert response.status_code == 200
        assert not varies_by_cookie(response)
        assert set_cookies(response) == []
        assert counted.taken() == []

    def test_names_the_cookie_on_every_backend(self, browser: Browser) -> None:
        responses = [
            browser.visit(lambda: session.update(a=1)),
            browser.visit(lambda: session["a"]),
            browser.visit(lambda: session.update(a=2)),
            browser.visit(lambda: session.destroy()),
        ]

        assert [varies_by_cookie(response) for response in responses] == [True] * 4

    @ON_MEMORY
    def test_keeps_what_the_view_has_put_there(self, browser: Browser) -> None:
        def read() -> Response:
            response = make_response(str(session.get("a")))
            response.vary.add("Accept-Language")
            return response

        response = browser.visit(read)

        assert set(response.vary) == {"Accept-Language", "Cookie"}

    @ON_MEMORY
    def test_does_not_name_the_cookie_under_flask_login(
        self, make_app: MakeApp
    ) -> None:
        """Its own notes on each response are not an access."""
        app = make_app()
        manager = LoginManager(app)
        manager.user_loader(lambda _: UserMixin())
        browser = Browser(app)
        browser.does(lambda: session.update(a=1))

        response = browser.visit()

        assert not varies_by_cookie(response)


def _ignoring_key_error(do: Callable[[], Any]) -> Any:
    try:
        return do()
    except KeyError:
        return None


@ON_MEMORY
class TestCacheControl:
    @pytest.mark.parametrize(
        "do",
        [
            lambda: session.rotate(),
            lambda: session.update(user_id=1),
            lambda: session.destroy(),
            lambda: session.destroy() or session.update(b=1),
        ],
        ids=["rotated", "logged in", "destroyed", "created"],
    )
    def test_forbids_to_store_a_response_with_our_cookie(
        self, browser: Browser, do: Callable[[], Any]
    ) -> None:
        browser.does(lambda: session.update(a=1))

        response = browser.visit(do)

        assert len(set_cookies(response)) == 1
        assert response.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("do", [nothing, lambda: session.get("a")])
    def test_is_left_alone_without_our_cookie(
        self, browser: Browser, do: Callable[[], Any]
    ) -> None:
        browser.does(lambda: session.update(a=1))

        response = browser.visit(do)

        assert "Cache-Control" not in response.headers

    def test_of_the_view_goes_first(self, browser: Browser) -> None:
        def view() -> Response:
            session["a"] = 1
            response = make_response("made")
            response.headers["Cache-Control"] = "private, max-age=60"
            return response

        response = browser.visit(view)

        assert len(set_cookies(response)) == 1
        assert response.headers["Cache-Control"] == "private, max-age=60"


@ON_MEMORY
class TestExpiry:
    def test_is_not_there_for_a_session_of_the_browser(self, browser: Browser) -> None:
        [cookie] = set_cookies(browser.visit(lambda: session.update(a=1)))

        assert attributes(cookie) == {"httponly": "", "path": "/"}

    @pytest.mark.parametrize("every", [None, 15 * 60])
    def test_of_a_permanent_session_is_its_lifetime_and_the_time_to_the_next_rotation(
        self, make_app: MakeApp, clock: FakeClock, every: int | None
    ) -> None:
        app = make_app(
            PERMANENT_SESSION_LIFETIME=timedelta(days=7), SRVSESSION_ROTATE_EVERY=every
        )

        [cookie] = set_cookies(Browser(app).visit(_permanent))

        assert _expires(cookie) == clock() + 7 * 86400 + (every or 0)

    def test_is_never_past_the_absolute_end(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        app = make_app(
            PERMANENT_SESSION_LIFETIME=timedelta(days=60),
            SRVSESSION_ABSOLUTE_LIFETIME=timedelta(days=10),
        )
        browser = Browser(app)

        [cookie] = set_cookies(browser.visit(_permanent))

        assert _expires(cookie) == clock() + 10 * 86400

    @pytest.mark.parametrize(
        "how",
        [
            {},
            {"SRVSESSION_ROTATE_EVERY": None},
            {"SRVSESSION_ROTATE_EVERY": None, "SESSION_REFRESH_EACH_REQUEST": False},
        ],
        ids=["rotation", "each request", "touch interval"],
    )
    @pytest.mark.parametrize(
        ("lifetime", "pause"),
        [(timedelta(days=31), 20 * 86400), (600, 20), (600, 180), (1200, 840)],
        ids=["seldom", "often", "short", "in between"],
    )
    def test_is_never_before_the_session_ends_for_lack_of_use(
        self,
        make_app: MakeApp,
        clock: FakeClock,
        how: dict[str, Any],
        lifetime: Any,
        pause: int,
    ) -> None:
        app = make_app(
            PERMANENT_SESSION_LIFETIME=lifetime,
            SRVSESSION_ABSOLUTE_LIFETIME=timedelta(days=400),
            **how,
        )
        browser = Browser(app)
        [cookie] = set_cookies(browser.visit(lambda: _permanent() or login()))

        for _ in range(16):
            clock.advance(pause)
            response = browser.visit(_when_unused_it_ends)
            assert _expires(cookie) >= float(response.text)
            cookie = next(iter(set_cookies(response)), cookie)

    def test_is_not_moved_by_a_use_of_the_session(self, browser: Browser) -> None:
        browser.does(_permanent)

        response = browser.visit(lambda: session.update(a=2))

        assert set_cookies(response) == []

    def test_is_moved_by_the_rotation(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        """Capped by what is left of the absolute lifetime, which goes on."""
        app = make_app(
            PERMANENT_SESSION_LIFETIME=timedelta(days=60),
            SRVSESSION_ABSOLUTE_LIFETIME=timedelta(days=10),
        )
        browser = Browser(app)
        browser.does(_permanent)
        browser.does(lambda: session["a"])
        end = clock() + 10 * 86400
        clock.advance(86400)

        [cookie] = set_cookies(browser.visit(lambda: session["a"]))

        assert _expires(cookie) == end

    def test_goes_away_when_the_session_is_not_permanent_any_more(
        self, browser: Browser
    ) -> None:
        browser.does(_permanent)

        browser.visit(lambda: setattr(session, "permanent", False) or session["a"])
        response = browser.visit(lambda: session["a"])

        [cookie] = set_cookies(response)
        assert "expires" not in attributes(cookie)

    def test_stays_where_a_change_does_not_say_anything_of_it(
        self, browser: Browser
    ) -> None:
        browser.does(_permanent)

        browser.does(lambda: session.update(a=2))

        assert browser.does(lambda: session.permanent) == "True"

    def test_is_carried_over_by_a_login(self, browser: Browser) -> None:
        browser.does(_permanent)

        [cookie] = set_cookies(browser.visit(login))

        assert "expires" in attributes(cookie)
        assert browser.does(lambda: session.permanent) == "True"


def _permanent() -> None:
    session.permanent = True
    session["a"] = 1


def _make_permanent() -> None:
    session.permanent = True
    assert session["a"] == 1


def _when_unused_it_ends() -> float:
    assert session.expires_at
    return session.expires_at.timestamp()


def _expires(cookie: str) -> float:
    return parsedate_to_datetime(attributes(cookie)["expires"]).timestamp()


@ON_MEMORY
class TestRefreshEachRequest:
    """SESSION_REFRESH_EACH_REQUEST, which is True by default."""

    @pytest.fixture
    def browser(self, make_app: MakeApp, counted: CountingBackend) -> Browser:
        return Browser(make_app(counted, SRVSESSION_ROTATE_EVERY=None))

    def test_repeats_the_cookie_where_nothing_rotates(self, browser: Browser) -> None:
        browser.does(_permanent)
        before = browser.cookie

        response = browser.visit(lambda: session["a"])

        [cookie] = set_cookies(response)
        assert cookie.startswith(f"session={before}; ")
        assert "expires" in attributes(cookie)

    @pytest.mark.parametrize("do", [nothing, lambda: setattr(session, "permanent", 1)])
    def test_repeats_it_only_for_a_session_that_was_touched(
        self, browser: Browser, counted: CountingBackend, do: Callable[[], Any]
    ) -> None:
        browser.does(_permanent)
        counted.taken()

        response = browser.visit(do)

        assert set_cookies(response) == []
        assert counted.taken() == []

    def test_repeats_it_only_for_a_permanent_session(self, browser: Browser) -> None:
        browser.does(lambda: session.update(a=1))

        response = browser.visit(lambda: session["a"])

        assert set_cookies(response) == []

    def test_repeats_it_only_with_what_is_stored_when_it_is_off(
        self, make_app: MakeApp
    ) -> None:
        app = make_app(SRVSESSION_ROTATE_EVERY=None, SESSION_REFRESH_EACH_REQUEST=False)
        browser = Browser(app)
        browser.does(_permanent)
        browser.does(lambda: session["a"])

        read = browser.visit(lambda: session["a"])
        written = browser.visit(lambda: session.update(a=2))

        assert set_cookies(read) == []
        [cookie] = set_cookies(written)
        assert cookie.startswith(f"session={browser.cookie}; ")

    @pytest.mark.parametrize("refresh", [True, False])
    def test_lets_a_session_that_is_not_permanent_any_more_end_with_the_browser(
        self, make_app: MakeApp, refresh: bool
    ) -> None:
        app = make_app(
            SRVSESSION_ROTATE_EVERY=None, SESSION_REFRESH_EACH_REQUEST=refresh
        )
        browser = Browser(app)
        browser.does(_permanent)
        before = browser.cookie

        response = browser.visit(
            lambda: setattr(session, "permanent", False) or session["a"]
        )

        [cookie] = set_cookies(response)
        assert cookie.startswith(f"session={before}; ")
        assert "expires" not in attributes(cookie)

    def test_repeats_nothing_of_a_session_that_was_ended_meanwhile(
        self, browser: Browser
    ) -> None:
        browser.does(lambda: _permanent() or login())
        other = browser.copy()

        def work() -> None:
            assert session["a"] == 1
            other.does(lambda: session.destroy())
            session["a"] = 2

        response = browser.visit(work)

        assert set_cookies(response) == []
        assert browser.does(lambda: dict(session)) == "{}"


class TestNothingSecretIsShown:
    def test_the_cookie_is_short_and_consists_of_id_generation_token_and_signature(
        self, browser: Browser
    ) -> None:
        browser.does(lambda: session.update(a="x" * 1000, user_id="ada" * 50))

        assert browser.cookie is not None
        assert len(browser.cookie) < 200
        assert re.fullmatch(
            r"[0-9a-f]{32}_[0-9a-f]+\.1\.[0-9a-f]{32}\.[\w-]{43}", browser.cookie
        )

    def test_the_store_holds_no_token(self, browser: Browser, backend: Backend) -> None:
        browser.does(login)

        cell = backend.get(browser.key)

        assert cell is not None
        assert browser.cookie is not None
        _, _, token, signature = browser.cookie.split(".")
        halves = [token[:16], token[16:]]
        clear = [half.encode() for half in (*halves, signature)]
        for secret in (*clear, *map(bytes.fromhex, halves)):
            assert secret not in cell.data

    def test_repr_tells_the_public_id_at_most(self, browser: Browser) -> None:
        browser.does(lambda: session.update(a="classified"))
        assert browser.cookie is not None
        secrets = [*browser.cookie.split(".")[2:], "classified"]

        untouched = browser.does(lambda: repr(session))
        read = browser.does(lambda: session["a"] and repr(session))

        assert browser.session_id in read
        assert browser.session_id not in untouched
        assert not [s for s in secrets if s in untouched + read]

    def test_logs_tell_the_public_id_at_most(
        self, browser: Browser, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Through creation, login, rotation, replay and forgery."""
        caplog.set_level(logging.DEBUG)
        cookies = []
        for do in (lambda: session.update(a="classified"), login, lambda: session["a"]):
            browser.does(do)
            cookies.append(browser.cookie or "")
        clock.advance(15 * 60)
        browser.does(lambda: session["a"])
        browser.does(lambda: session["a"])
        clock.advance(15 * 60)
        browser.copy(cookies[-1]).does(lambda: session.get("a"))
        browser.copy(cookies[0]).does(lambda: session.get("a"))
        browser.does(lambda: session.get("a"))
        cookies.append(browser.cookie or "")
        browser.does(lambda: session.update(a="classified"))
        forged = f"{browser.session_id}.1.{'f' * 32}"
        cookies.append(signed(forged, KEY, browser.app.config["SRVSESSION_KEY_PREFIX"]))
        browser.copy(cookies[-1]).does(lambda: session.get("a"))

        assert "the credential is forged" in caplog.text
        assert "an outdated cookie was used" in caplog.text
        secrets = {part for cookie in cookies for part in cookie.split(".")[2:]}
        secrets |= {"classified", browser.app.config["SECRET_KEY"]}
        assert not [secret for secret in secrets if secret and secret in caplog.text]
