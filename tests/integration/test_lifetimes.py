"""How long a session lives: by the injected clock, and by the TTL in the store."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from flask_srvsession import session
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.backends.sql import SQLBackend
from flask_srvsession.testing import FakeClock
from tests.sql_servers import executed
from tests.web import Browser

from .devices import by_clock
from .probes import CountingBackend, ask, login

if TYPE_CHECKING:
    from flask_srvsession.backends import Backend
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage

HOUR = 3600
DAY = 24 * HOUR

TimeToLive = Callable[[str], float]


@pytest.fixture
def time_to_live(
    backend: Backend, clock: FakeClock, request: pytest.FixtureRequest
) -> TimeToLive:
    """Ask the store itself how many seconds a key has left."""
    if isinstance(backend, MemoryBackend):
        return lambda key: backend._items[key].deadline - clock()
    if isinstance(backend, SQLBackend):
        return lambda key: _deadline_in(backend, key) - clock()
    kind = request.node.callspec.params["backend"]
    server = request.getfixturevalue(f"{kind}_server")
    ask_server = _redis_time_to_live if kind == "redis" else _memcached_time_to_live
    return lambda key: ask_server((server.host, server.port), key)


def _deadline_in(backend: SQLBackend, key: str) -> float:
    cells = backend._tables.cells
    found = sa.select(cells.c.expires).where(cells.c.id == key)
    return float(executed(backend, found).scalar_one()) / 1000


def _redis_time_to_live(address: tuple[str, int], key: str) -> float:
    answer = ask(address, f"PTTL {key}\r\n".encode()).decode()
    left = int(answer.removeprefix(":"))
    assert left > 0, "there is no such key, or it never expires"
    return left / 1000


def _memcached_time_to_live(address: tuple[str, int], key: str) -> int:
    answer = ask(address, f"mg {key} t\r\n".encode()).decode()
    left = int(answer.removeprefix("HD t"))
    assert left > 0, "it never expires"
    return left


def store(**values: Any) -> Callable[[], None]:
    return lambda: session.update(values)


def read() -> Any:
    return session.get("a")


def lives(browser: Browser) -> bool:
    """Whether the session is there; looked at with a copy of the cookie."""
    return browser.copy().does(read) == "1"


def live_session(browser: Browser) -> Browser:
    """Begin a session that was presented back, so that it has its full time."""
    browser.does(store(a=1))
    browser.does(read)
    return browser


class TestAnonymousTimeout:
    def test_ends_a_session_in_which_nobody_is_logged_in(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        app = make_app(SRVSESSION_ANONYMOUS_TIMEOUT=600)
        anonymous, user = live_session(Browser(app)), Browser(app)
        user.set(user_id=42)
        user.does(read)

        clock.advance(600)

        assert not lives(anonymous)
        assert user.does(lambda: session["user_id"]) == "42"

    def test_is_never_longer_than_the_idle_timeout(
        self, make_app: MakeApp, time_to_live: TimeToLive
    ) -> None:
        limits = {"SRVSESSION_IDLE_TIMEOUT": 600, "SRVSESSION_ANONYMOUS_TIMEOUT": 900}
        browser = live_session(Browser(make_app(**limits)))

        assert time_to_live(browser.key) == pytest.approx(600, abs=2)

    def test_begins_with_the_logout_that_keeps_the_session(
        self, make_app: MakeApp, time_to_live: TimeToLive
    ) -> None:
        browser = Browser(make_app())
        browser.set(user_id=42, theme="dark")
        browser.does(lambda: session.pop("user_id"))
        browser.does(read)

        assert time_to_live(browser.key) == pytest.approx(DAY, abs=2)


class TestIdleTimeout:
    def test_is_the_permanent_session_lifetime(
        self, make_app: MakeApp, clock: FakeClock, time_to_live: TimeToLive
    ) -> None:
        app = make_app(PERMANENT_SESSION_LIFETIME=timedelta(hours=5))
        browser = live_session(Browser(app))

        assert time_to_live(browser.key) == pytest.approx(5 * HOUR, abs=2)
        clock.advance(5 * HOUR - 1)
        assert lives(browser)
        clock.advance(5 * HOUR)
        assert not lives(browser)

    def test_of_the_configuration_goes_first(
        self, make_app: MakeApp, clock: FakeClock, time_to_live: TimeToLive
    ) -> None:
        app = make_app(
            PERMANENT_SESSION_LIFETIME=timedelta(days=31),
            SRVSESSION_IDLE_TIMEOUT=timedelta(minutes=30),
        )
        browser = live_session(Browser(app))

        assert time_to_live(browser.key) == pytest.approx(1800, abs=2)
        clock.advance(1800)
        assert not lives(browser)

    def test_is_31_days_by_default_and_one_where_nobody_is_logged_in(
        self, make_app: MakeApp, time_to_live: TimeToLive
    ) -> None:
        browser = live_session(Browser(make_app()))
        assert time_to_live(browser.key) == pytest.approx(DAY, abs=2)

        browser.set(logged_in=True)

        browser.does(read)
        assert time_to_live(browser.key) == pytest.approx(31 * DAY, abs=2)

    def test_ends_a_session_that_nobody_uses(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        """At the second, whatever the store says."""
        browser = live_session(Browser(make_app(SRVSESSION_IDLE_TIMEOUT=600)))

        clock.advance(600)

        assert browser.does(lambda: (session.get("a"), session.new)) == "(None, True)"

    @pytest.mark.parametrize("do", [read, store(b=1)], ids=["read", "write"])
    def test_begins_anew_with_each_use(
        self,
        make_app: MakeApp,
        clock: FakeClock,
        time_to_live: TimeToLive,
        do: Callable[[], Any],
    ) -> None:
        browser = live_session(Browser(make_app(SRVSESSION_IDLE_TIMEOUT=600)))

        for _ in range(5):
            clock.advance(400)
            browser.does(do)

        assert lives(browser)
        assert time_to_live(browser.key) == pytest.approx(600, abs=2)

    def test_does_not_begin_anew_where_nobody_touches_the_session(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        browser = live_session(Browser(make_app(SRVSESSION_IDLE_TIMEOUT=600)))

        for _ in range(2):
            clock.advance(400)
            browser.do()

        assert not lives(browser)

    def test_is_the_same_for_a_session_that_is_permanent(
        self, make_app: MakeApp, time_to_live: TimeToLive
    ) -> None:
        app = make_app(SRVSESSION_IDLE_TIMEOUT=1800)
        browser = Browser(app)
        browser.does(lambda: setattr(session, "permanent", True) or session.update(a=1))
        browser.does(read)

        assert time_to_live(browser.key) == pytest.approx(1800, abs=2)

    def test_is_a_real_ttl(
        self, backend: Backend, make_app: MakeApp, clock: FakeClock
    ) -> None:
        """The store forgets the session by itself, though our clock stands still."""
        browser = live_session(Browser(make_app(SRVSESSION_IDLE_TIMEOUT=2)))
        key = browser.key
        assert backend.get(key)

        if by_clock(backend):
            clock.advance(2)
        deadline = time.monotonic() + 5
        while backend.get(key) and time.monotonic() < deadline:
            time.sleep(0.05)

        assert backend.get(key) is None

    def test_moves_what_the_session_says_of_itself(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        browser = live_session(Browser(make_app(SRVSESSION_IDLE_TIMEOUT=600)))
        begin = clock()
        clock.advance(200)
        browser.does(store(b=1))

        def times() -> list[float | None]:
            found = (session.created_at, session.last_seen_at, session.expires_at)
            return [moment.timestamp() if moment else None for moment in found]

        assert browser.does(times) == str([begin, begin + 200, begin + 800])


class TestLifetimeChangedWhileRunning:
    """PERMANENT_SESSION_LIFETIME is read when it is needed."""

    def test_reaches_the_next_write(
        self, make_app: MakeApp, time_to_live: TimeToLive
    ) -> None:
        app = make_app(PERMANENT_SESSION_LIFETIME=timedelta(hours=5))
        browser = live_session(Browser(app))

        app.permanent_session_lifetime = timedelta(hours=9)
        browser.does(store(b=1))

        assert time_to_live(browser.key) == pytest.approx(9 * HOUR, abs=2)

    def test_shortens_the_life_of_what_is_stored_already(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        app = make_app(PERMANENT_SESSION_LIFETIME=timedelta(hours=5))
        browser = live_session(Browser(app))
        clock.advance(HOUR)

        app.config["PERMANENT_SESSION_LIFETIME"] = timedelta(minutes=30)

        assert not lives(browser)

    def test_does_not_matter_beside_an_idle_timeout(
        self, make_app: MakeApp, time_to_live: TimeToLive
    ) -> None:
        app = make_app(SRVSESSION_IDLE_TIMEOUT=1800)
        browser = live_session(Browser(app))

        app.permanent_session_lifetime = timedelta(hours=9)
        browser.does(store(b=1))

        assert time_to_live(browser.key) == pytest.approx(1800, abs=2)


class TestAbsoluteLifetime:
    def test_ends_a_session_whatever_its_use(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        app = make_app(SRVSESSION_IDLE_TIMEOUT=600, SRVSESSION_ABSOLUTE_LIFETIME=2000)
        browser = live_session(Browser(app))

        alive = []
        for use in (read, store(b=1), read, store(b=2), read):
            clock.advance(400)
            browser.does(use)
            alive.append(lives(browser))

        assert alive == [True, True, True, True, False]

    def test_limits_the_ttl_in_the_store(
        self, make_app: MakeApp, clock: FakeClock, time_to_live: TimeToLive
    ) -> None:
        app = make_app(SRVSESSION_IDLE_TIMEOUT=600, SRVSESSION_ABSOLUTE_LIFETIME=1000)
        browser = live_session(Browser(app))

        clock.advance(500)
        browser.does(read)
        clock.advance(400)
        browser.does(read)

        assert time_to_live(browser.key) == pytest.approx(100, abs=2)

    def test_is_90_days_by_default(self, make_app: MakeApp, clock: FakeClock) -> None:
        app = make_app(
            SRVSESSION_ROTATE_EVERY=None, SRVSESSION_ANONYMOUS_TIMEOUT=90 * DAY
        )
        browser = live_session(Browser(app))

        for _ in range(3):
            clock.advance(30 * DAY - 1)
            browser.does(read)

        assert lives(browser)
        clock.advance(3)
        assert not lives(browser)

    def test_costs_no_command_once_it_is_over(
        self, make_app: MakeApp, clock: FakeClock, counted: CountingBackend
    ) -> None:
        app = make_app(counted, SRVSESSION_ABSOLUTE_LIFETIME=1000)
        browser = live_session(Browser(app))
        clock.advance(1000)
        counted.taken()

        browser.does(read)

        assert counted.taken() == []

    def test_begins_anew_with_a_login(
        self, make_app: MakeApp, clock: FakeClock, time_to_live: TimeToLive
    ) -> None:
        app = make_app(SRVSESSION_ABSOLUTE_LIFETIME=1000)
        browser = live_session(Browser(app))
        clock.advance(800)

        browser.does(login)

        assert time_to_live(browser.key) == pytest.approx(1000, abs=2)
        clock.advance(800)
        assert lives(browser)

    def test_goes_on_through_a_rotation(
        self, make_app: MakeApp, clock: FakeClock, time_to_live: TimeToLive
    ) -> None:
        app = make_app(SRVSESSION_ABSOLUTE_LIFETIME=1000)
        browser = live_session(Browser(app))
        clock.advance(800)

        browser.does(lambda: session.rotate())
        browser.does(read)

        assert time_to_live(browser.key) == pytest.approx(200, abs=2)
        clock.advance(200)
        assert not lives(browser)


class TestTouchInterval:
    def test_limits_how_often_a_reader_writes(
        self, make_app: MakeApp, clock: FakeClock, counted: CountingBackend
    ) -> None:
        app = make_app(
            counted, SRVSESSION_TOUCH_INTERVAL=60, SRVSESSION_ROTATE_EVERY=None
        )
        browser = live_session(Browser(app))
        counted.taken()

        calls = []
        for _ in range(61):
            clock.advance(3)
            browser.does(read)
            calls += counted.taken()

        assert calls.count("get") == 61
        assert calls.count("swap") == 3
        assert len(calls) == 64

    @pytest.mark.every_storage("600-60")
    @pytest.mark.parametrize(
        ("idle", "interval"),
        [(600, 60), (5, 1), (HOUR, 300), (31 * DAY, 300), (1234, 123)],
    )
    def test_is_a_tenth_of_the_idle_timeout_between_a_second_and_five_minutes(
        self,
        make_app: MakeApp,
        clock: FakeClock,
        counted: CountingBackend,
        idle: int,
        interval: int,
    ) -> None:
        app = make_app(counted, SRVSESSION_IDLE_TIMEOUT=idle)
        browser = live_session(Browser(app))
        counted.taken()

        clock.advance(interval - 1)
        browser.does(read)
        before = counted.taken()
        clock.advance(1)
        browser.does(read)

        assert before == ["get"]
        assert counted.taken() == ["get", "swap"]

    def test_does_not_hold_back_a_change(
        self, make_app: MakeApp, counted: CountingBackend
    ) -> None:
        browser = live_session(Browser(make_app(counted)))
        counted.taken()

        browser.does(store(b=1))
        browser.does(store(b=2))

        assert counted.taken() == ["get", "swap", "get", "swap"]

    @pytest.mark.parametrize("before", [read, dict], ids=["looked at", "untouched"])
    def test_does_not_hold_back_who_sets_modified(
        self,
        make_app: MakeApp,
        counted: CountingBackend,
        before: Callable[[], Any],
    ) -> None:
        def save() -> None:
            before()
            session.modified = True

        browser = live_session(Browser(make_app(counted)))
        counted.taken()

        browser.does(save)

        assert counted.taken() == ["get", "swap"]

    def test_begins_with_a_change(
        self, make_app: MakeApp, clock: FakeClock, counted: CountingBackend
    ) -> None:
        """Whoever writes has renewed the session by that."""
        browser = live_session(Browser(make_app(counted)))
        clock.advance(299)
        browser.does(store(b=1))
        counted.taken()

        clock.advance(299)
        browser.does(read)

        assert counted.taken() == ["get"]

    def test_of_many_requests_at_once_costs_one_renewal_each_at_most(
        self, make_app: MakeApp, clock: FakeClock, counted: CountingBackend
    ) -> None:
        """One who comes second finds the renewal of the other as good as its own."""
        browser = live_session(Browser(make_app(counted)))
        other = browser.copy()
        clock.advance(300)
        counted.taken()

        browser.does(lambda: (read(), other.does(read)))

        assert counted.taken().count("swap") == 2
        browser.does(read)
        assert counted.taken() == ["get"]


class TestUnpresentedSession:
    """Bots and health checks never send their cookie back."""

    def test_lives_an_hour(
        self, make_app: MakeApp, clock: FakeClock, time_to_live: TimeToLive
    ) -> None:
        browser = Browser(make_app())

        browser.does(store(a=1))

        assert time_to_live(browser.key) == pytest.approx(HOUR, abs=2)
        clock.advance(HOUR)
        assert not lives(browser)

    def test_lives_no_longer_than_the_idle_timeout(
        self, make_app: MakeApp, time_to_live: TimeToLive
    ) -> None:
        browser = Browser(make_app(SRVSESSION_IDLE_TIMEOUT=600))

        browser.does(store(a=1))

        assert time_to_live(browser.key) == pytest.approx(600, abs=2)

    @pytest.mark.parametrize("do", [read, store(b=1)], ids=["read", "write"])
    def test_gets_its_full_time_when_it_is_presented(
        self,
        make_app: MakeApp,
        clock: FakeClock,
        time_to_live: TimeToLive,
        do: Callable[[], Any],
    ) -> None:
        browser = Browser(make_app(SRVSESSION_ANONYMOUS_TIMEOUT=90 * DAY))
        browser.does(store(a=1))
        clock.advance(HOUR - 1)

        browser.does(do)

        assert time_to_live(browser.key) == pytest.approx(31 * DAY, abs=2)
        clock.advance(30 * DAY)
        assert lives(browser)

    def test_of_somebody_logged_in_has_its_full_time(
        self, make_app: MakeApp, clock: FakeClock, time_to_live: TimeToLive
    ) -> None:
        browser = Browser(make_app())

        browser.does(lambda: (session.update(a=1), login()))

        assert time_to_live(browser.key) == pytest.approx(31 * DAY, abs=2)
        clock.advance(30 * DAY)
        assert lives(browser)

    def test_is_written_once_when_it_is_presented(
        self, make_app: MakeApp, counted: CountingBackend
    ) -> None:
        browser = Browser(make_app(counted))
        browser.does(store(a=1))
        counted.taken()

        calls = []
        for _ in range(3):
            browser.does(read)
            calls.append(counted.taken())

        assert calls == [["get", "swap"], ["get"], ["get"]]


class TestLongLife:
    """memcached takes a time beyond 30 days for a date."""

    def test_beyond_30_days_is_a_duration(
        self, make_app: MakeApp, clock: FakeClock, time_to_live: TimeToLive
    ) -> None:
        app = make_app(
            PERMANENT_SESSION_LIFETIME=timedelta(days=60),
            SRVSESSION_ANONYMOUS_TIMEOUT=90 * DAY,
        )
        browser = live_session(Browser(app))

        assert time_to_live(browser.key) == pytest.approx(60 * DAY, abs=2)
        clock.advance(59 * DAY)
        assert lives(browser)

    def test_of_somebody_logged_in_is_listed_as_long(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        app = make_app(
            PERMANENT_SESSION_LIFETIME=timedelta(days=60), SRVSESSION_FENCED_LOAD=True
        )
        browser = Browser(app)
        browser.does(lambda: (session.update(a=1), login()))

        clock.advance(59 * DAY)

        assert lives(browser)
