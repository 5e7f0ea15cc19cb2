"""Until when browsers keep the session cookie."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest

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
    from tests.conftest import MakeApp


@ON_MEMORY
class TestExpiry:
    def test_is_not_there_for_a_session_of_the_browser(self, browser: Browser) -> None:
        [cookie] = set_cookies(browser.do(lambda: session.update(a=1)))

        assert attributes(cookie) == {"httponly": "", "path": "/"}

    @pytest.mark.parametrize("every", [None, 15 * 60])
    def test_of_a_permanent_session_is_its_lifetime_and_the_time_to_the_next_rotation(
        self, make_app: MakeApp, clock: FakeClock, every: int | None
    ) -> None:
        app = make_app(
            PERMANENT_SESSION_LIFETIME=timedelta(days=7), SRVSESSION_ROTATE_EVERY=every
        )

        [cookie] = set_cookies(Browser(app).do(_permanent))

        assert _expires(cookie) == clock() + 7 * 86400 + (every or 0)

    def test_is_never_past_the_absolute_end(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        app = make_app(
            PERMANENT_SESSION_LIFETIME=timedelta(days=60),
            SRVSESSION_ABSOLUTE_LIFETIME=timedelta(days=10),
        )
        browser = Browser(app)

        [cookie] = set_cookies(browser.do(_permanent))

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
        [cookie] = set_cookies(browser.do(lambda: _permanent() or login()))

        for _ in range(16):
            clock.advance(pause)
            response = browser.do(_when_unused_it_ends)
            assert _expires(cookie) >= float(response.text)
            cookie = next(iter(set_cookies(response)), cookie)

    def test_is_not_moved_by_a_use_of_the_session(self, browser: Browser) -> None:
        browser.does(_permanent)

        response = browser.do(lambda: session.update(a=2))

        assert set_cookies(response) == []

    def test_is_moved_by_the_rotation(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        """Capped by what is left of the absolute lifetime, which goes on."""
        app = make_app(
            PERMANENT_SESSION_LIFETIME=timedelta(days=60),
            SRVSESSION_ABSOLUTE_LIFETIME=timedelta(days=10),
            SRVSESSION_ANONYMOUS_TIMEOUT=timedelta(days=10),
        )
        browser = Browser(app)
        browser.does(_permanent)
        browser.does(lambda: session["a"])
        end = clock() + 10 * 86400
        clock.advance(86400)

        [cookie] = set_cookies(browser.do(lambda: session["a"]))

        assert _expires(cookie) == end

    def test_goes_away_when_the_session_is_not_permanent_any_more(
        self, browser: Browser
    ) -> None:
        browser.does(_permanent)

        response = browser.do(
            lambda: setattr(session, "permanent", False) or session["a"]
        )

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

        [cookie] = set_cookies(browser.do(login))

        assert "expires" in attributes(cookie)
        assert browser.does(lambda: session.permanent) == "True"


def _permanent() -> None:
    session.permanent = True
    session["a"] = 1


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

        response = browser.do(lambda: session["a"])

        [cookie] = set_cookies(response)
        assert cookie.startswith(f"session={before}; ")
        assert "expires" in attributes(cookie)

    @pytest.mark.parametrize("do", [nothing, lambda: setattr(session, "permanent", 1)])
    def test_repeats_it_only_for_a_session_that_was_touched(
        self, browser: Browser, counted: CountingBackend, do: Callable[[], Any]
    ) -> None:
        browser.does(_permanent)
        counted.taken()

        response = browser.do(do)

        assert set_cookies(response) == []
        assert counted.taken() == []

    def test_repeats_it_only_for_a_permanent_session(self, browser: Browser) -> None:
        browser.does(lambda: session.update(a=1))

        response = browser.do(lambda: session["a"])

        assert set_cookies(response) == []

    def test_repeats_it_only_with_what_is_stored_when_it_is_off(
        self, make_app: MakeApp
    ) -> None:
        app = make_app(SRVSESSION_ROTATE_EVERY=None, SESSION_REFRESH_EACH_REQUEST=False)
        browser = Browser(app)
        browser.does(_permanent)
        browser.does(lambda: session["a"])

        read = browser.do(lambda: session["a"])
        written = browser.do(lambda: session.update(a=2))

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

        response = browser.do(
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

        response = browser.do(work)

        assert set_cookies(response) == []
        assert browser.does(lambda: dict(session)) == "{}"
