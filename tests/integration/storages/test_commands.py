"""What a request costs: commands at the server, and network sends to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import flask
import pytest
import sqlalchemy as sa
from flask import Flask
from flask_login import LoginManager

from flask_srvsession import ServerSession, session
from flask_srvsession.backends import backend_from_url
from flask_srvsession.backends.memory import MemoryBackend
from tests.faults.proxy import Proxy
from tests.web import Browser, nothing

from ..marks import ON_MEMORY
from ..probes import CountingBackend, MemcachedStats, RedisMonitor, login

if TYPE_CHECKING:
    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp
    from tests.servers import Server


class _AtServer:
    """Apps on a server of their own, and what their requests cost there."""

    def __init__(
        self,
        server: Server,
        make_app: MakeApp,
        meter: RedisMonitor | MemcachedStats | _Statements,
    ) -> None:
        self._proxy = Proxy(server)
        self._backend: Any = backend_from_url(self._proxy.url)
        self._meter = meter
        self._make_app = make_app

    def browser(
        self, set_up: Callable[[Flask], Any] = lambda _: None, **config: Any
    ) -> Browser:
        """Return a browser of a new app, whose connection is open already."""
        app = self._make_app(self._backend, **config)
        set_up(app)
        browser = Browser(app)
        warm = Browser(browser.app)
        for do in (_store, _read, _change, login, _logout, _store, login, _logout):
            warm.does(do)
        return browser

    def cost(
        self, browser: Browser, do: Callable[[], Any], sends: int | None = None
    ) -> Any:
        """Return the commands of a request, as the server counts them.

        Each went in one network send of its own, or all of them in so many.
        """
        before = self._proxy.sends
        self._meter.taken()
        browser.does(do)
        commands = self._meter.taken()
        expected = _number_of(commands) if sends is None else sends
        assert self._proxy.sends - before == expected
        return commands

    def lose(self, browser: Browser) -> None:
        """Remove the record of a session, and nothing else."""
        self._backend.delete(browser.key)

    def close(self) -> None:
        self._backend.close()
        self._proxy.close()
        self._meter.close()


def _number_of(commands: Any) -> int:
    return sum(commands.values()) if isinstance(commands, dict) else len(commands)


@pytest.fixture
def on_redis(own_redis: Server, make_app: MakeApp) -> Iterator[_AtServer]:
    at_server = _AtServer(own_redis, make_app, RedisMonitor(own_redis))
    yield at_server
    at_server.close()


@pytest.fixture
def on_memcached(own_memcached: Server, make_app: MakeApp) -> Iterator[_AtServer]:
    at_server = _AtServer(own_memcached, make_app, MemcachedStats(own_memcached))
    yield at_server
    at_server.close()


class _Statements:
    """Notes the kinds of the statements that go to a database."""

    def __init__(self) -> None:
        self._kinds: list[str] = []

    def watch(self, engine: sa.Engine) -> None:
        sa.event.listen(engine, "before_cursor_execute", self._note)

    def taken(self) -> list[str]:
        kinds, self._kinds = self._kinds, []
        return kinds

    def close(self) -> None:
        """Nothing is open."""

    def _note(self, _: Any, __: Any, statement: str, *___: Any) -> None:
        self._kinds.append(statement.split()[0].lower())


@pytest.fixture
def on_postgres(postgres_server: Any, make_app: MakeApp) -> Iterator[_AtServer]:
    """One that has prepared all statements: the fifth time, that is one send more."""
    meter = _Statements()
    at_server = _AtServer(postgres_server, make_app, meter)
    meter.watch(at_server._backend._database.engine)
    for _ in range(3):
        at_server.browser()
    yield at_server
    at_server.close()


sessions = ServerSession()

only_once = ON_MEMORY
"""For tests that have a storage of their own: the fixture is not asked."""


def _store() -> None:
    session["a"] = 1


def _make_permanent() -> None:
    session.permanent = True


def _change() -> None:
    session["a"] = session.get("a", 0) + 1


def _read() -> Any:
    return session.get("a")


def _logout() -> None:
    session.destroy()


def _use_it_a_lot() -> None:
    for _ in range(5):
        session["a"] = session.get("a", 0) + 1
        assert "a" in session
        assert len(session) > 0
        assert session.id
        assert session.expires_at


def _fill_a_cart() -> None:
    session.permanent = True
    session["cart"] = {"items": []}
    for item in range(5):
        session["cart"]["items"].append(item)
        session["total"] = session.get("total", 0) + item
    flask.flash("Added")


def _log_in_with_everything() -> None:
    session.clear()
    session["user_id"] = 42
    session["name"] = "Ada"
    flask.flash("Hello")


def _present(browser: Browser) -> Browser:
    """Begin a session and present it once, which renews it."""
    browser.does(_store)
    browser.does(_read)
    return browser


def _logged_in(browser: Browser) -> Browser:
    browser.does(login)
    browser.does(_read)
    return browser


def _with_devices(visitor: Browser, count: int) -> Browser:
    """Let somebody log in so often; return a browser without a session."""
    for _ in range(count):
        _logged_in(Browser(visitor.app))
    assert visitor.does(_find) == f"{count}"
    return visitor


def _find() -> int:
    return len(sessions.find(user_id=42))


@only_once
class TestRedis:
    def test_untouched_costs_nothing(self, on_redis: _AtServer) -> None:
        browser = _logged_in(on_redis.browser())

        assert on_redis.cost(browser, nothing) == []

    def test_permanent_costs_nothing(self, on_redis: _AtServer) -> None:
        browser = _logged_in(on_redis.browser())

        assert on_redis.cost(browser, _make_permanent) == []

    def test_a_visitor_without_a_cookie_costs_nothing(
        self, on_redis: _AtServer
    ) -> None:
        assert on_redis.cost(on_redis.browser(), _read) == []

    def test_a_read_costs_one(self, on_redis: _AtServer) -> None:
        browser = _present(on_redis.browser())

        assert on_redis.cost(browser, _read) == ["get"]

    def test_a_read_of_somebody_logged_in_costs_one(self, on_redis: _AtServer) -> None:
        browser = _logged_in(on_redis.browser())

        assert on_redis.cost(browser, _read) == ["get"]

    def test_a_fenced_load_asks_for_the_list_with_the_record(
        self, on_redis: _AtServer
    ) -> None:
        browser = _logged_in(on_redis.browser(SRVSESSION_FENCED_LOAD=True))

        asked = ["get", "zrangebyscore"]
        assert on_redis.cost(browser, _read, sends=1) == asked
        assert on_redis.cost(browser, _change, sends=2) == [*asked, "evalsha"]

    def test_a_change_costs_one_more(self, on_redis: _AtServer) -> None:
        browser = _present(on_redis.browser())

        assert on_redis.cost(browser, _change) == ["get", "evalsha"]

    def test_a_change_by_somebody_logged_in_costs_one_more(
        self, on_redis: _AtServer
    ) -> None:
        browser = _logged_in(on_redis.browser())

        assert on_redis.cost(browser, _change) == ["get", "evalsha"]

    def test_many_uses_cost_as_much_as_one(self, on_redis: _AtServer) -> None:
        browser = _present(on_redis.browser())

        assert on_redis.cost(browser, _use_it_a_lot) == ["get", "evalsha"]

    def test_a_value_that_is_set_to_what_it_is_costs_a_read(
        self, on_redis: _AtServer
    ) -> None:
        browser = _present(on_redis.browser())

        assert on_redis.cost(browser, _store) == ["get"]

    def test_a_new_session_costs_one(self, on_redis: _AtServer) -> None:
        assert on_redis.cost(on_redis.browser(), _store) == ["set"]

    def test_a_new_session_in_many_steps_costs_one(self, on_redis: _AtServer) -> None:
        assert on_redis.cost(on_redis.browser(), _fill_a_cart) == ["set"]

    def test_a_logout_costs_two(self, on_redis: _AtServer) -> None:
        browser = _present(on_redis.browser())

        assert on_redis.cost(browser, _logout) == ["get", "evalsha"]

    def test_a_logout_of_somebody_listed_costs_three(self, on_redis: _AtServer) -> None:
        browser = _logged_in(on_redis.browser())

        assert on_redis.cost(browser, _logout) == ["get", "evalsha", "zrem"]

    def test_a_login_without_an_old_session_costs_three(
        self, on_redis: _AtServer
    ) -> None:
        browser = on_redis.browser()

        assert on_redis.cost(browser, login) == ["evalsha", "set", "evalsha"]

    def test_a_login_in_an_old_session_costs_five(self, on_redis: _AtServer) -> None:
        browser = _present(on_redis.browser())

        expected = ["get", "evalsha", "set", "evalsha", "evalsha"]
        assert on_redis.cost(browser, login) == expected

    def test_a_login_that_writes_a_lot_costs_five(self, on_redis: _AtServer) -> None:
        browser = _present(on_redis.browser())

        expected = ["get", "evalsha", "set", "evalsha", "evalsha"]
        assert on_redis.cost(browser, _log_in_with_everything) == expected

    def test_a_login_as_somebody_else_also_unlists_the_old_session(
        self, on_redis: _AtServer
    ) -> None:
        browser = _logged_in(on_redis.browser())

        expected = ["get", "evalsha", "set", "evalsha", "evalsha", "zrem"]
        assert on_redis.cost(browser, lambda: login(43)) == expected

    def test_a_bind_costs_as_much_as_a_login(self, on_redis: _AtServer) -> None:
        browser = _present(on_redis.browser())

        cost = on_redis.cost(browser, lambda: session.bind(user_id=42))

        assert cost == ["get", "evalsha", "set", "evalsha", "evalsha"]

    def test_a_rotation_on_demand_costs_three(self, on_redis: _AtServer) -> None:
        browser = _present(on_redis.browser())

        cost = on_redis.cost(browser, lambda: session.rotate())

        assert cost == ["get", "set", "evalsha"]

    def test_a_rotation_of_somebody_logged_in_costs_two_more_for_the_list(
        self, on_redis: _AtServer
    ) -> None:
        browser = _logged_in(on_redis.browser())

        cost = on_redis.cost(browser, lambda: session.rotate())

        assert cost == ["get", "set", "evalsha", "evalsha", "zrem"]

    def test_a_renewal_costs_one_per_touch_interval(
        self, on_redis: _AtServer, clock: FakeClock
    ) -> None:
        browser = _present(on_redis.browser(SRVSESSION_ROTATE_EVERY=None))

        costs: Counter[str] = Counter()
        for _ in range(31):
            clock.advance(30)
            costs.update(on_redis.cost(browser, _read))

        assert costs == {"get": 31 + 31, "evalsha": 3}  # it asks for the marker, too

    @pytest.mark.parametrize("count", [1, 3, 20])
    def test_a_list_of_devices_costs_two_sends_however_many(
        self, on_redis: _AtServer, count: int
    ) -> None:
        visitor = _with_devices(on_redis.browser(), count)

        cost = on_redis.cost(visitor, _find, sends=2)

        assert cost == ["evalsha"] + ["getrange"] * count

    def test_a_list_of_devices_costs_one_send_for_each_hundred(
        self, on_redis: _AtServer
    ) -> None:
        visitor = _with_devices(on_redis.browser(), 201)

        cost = on_redis.cost(visitor, _find, sends=1 + 3)

        assert cost == ["evalsha"] + ["getrange"] * 201

    def test_a_list_with_what_has_expired_costs_two_more_to_unlist_it(
        self, on_redis: _AtServer
    ) -> None:
        visitor = _with_devices(on_redis.browser(), 3)
        expired = _logged_in(Browser(visitor.app))
        on_redis.lose(expired)

        cost = on_redis.cost(visitor, _find, sends=2 + 2)

        unlisting = ["get", "zrem"]
        assert cost == ["evalsha"] + ["getrange"] * 4 + unlisting

    def test_flask_login_costs_nothing_where_nobody_asks_who_it_is(
        self, on_redis: _AtServer
    ) -> None:
        browser = _logged_in(on_redis.browser(LoginManager().init_app))

        assert on_redis.cost(browser, nothing) == []


@only_once
class TestMemcached:
    """A load of somebody listed reads the list, too, since memcached may lose it: with
    the record. For a change of the list there is a get and a cas, where Redis has one
    command."""

    @pytest.mark.parametrize("do", [nothing, _make_permanent])
    def test_untouched_costs_nothing(
        self, on_memcached: _AtServer, do: Callable[[], Any]
    ) -> None:
        browser = _logged_in(on_memcached.browser(LoginManager().init_app))

        assert on_memcached.cost(browser, do) == {}

    def test_a_visitor_without_a_cookie_costs_nothing(
        self, on_memcached: _AtServer
    ) -> None:
        assert on_memcached.cost(on_memcached.browser(), _read) == {}

    def test_a_read_costs_one(self, on_memcached: _AtServer) -> None:
        browser = _present(on_memcached.browser())

        assert on_memcached.cost(browser, _read) == {"get": 1}

    def test_a_read_of_somebody_logged_in_is_one_send(
        self, on_memcached: _AtServer
    ) -> None:
        browser = _logged_in(on_memcached.browser())

        assert on_memcached.cost(browser, _read, sends=1) == {"get": 2}

    def test_a_change_costs_one_more(self, on_memcached: _AtServer) -> None:
        browser = _present(on_memcached.browser())

        assert on_memcached.cost(browser, _change) == {"get": 1, "cas": 1}

    def test_a_change_by_somebody_logged_in_costs_one_more(
        self, on_memcached: _AtServer
    ) -> None:
        browser = _logged_in(on_memcached.browser())

        assert on_memcached.cost(browser, _change, sends=2) == {"get": 2, "cas": 1}

    def test_a_new_session_costs_one(self, on_memcached: _AtServer) -> None:
        assert on_memcached.cost(on_memcached.browser(), _fill_a_cart) == {"add": 1}

    def test_a_logout_costs_two(self, on_memcached: _AtServer) -> None:
        browser = _present(on_memcached.browser())

        assert on_memcached.cost(browser, _logout) == {"get": 1, "cas": 1}

    def test_a_logout_of_somebody_listed_costs_get_and_cas_more_for_the_list(
        self, on_memcached: _AtServer
    ) -> None:
        browser = _logged_in(on_memcached.browser())

        cost = on_memcached.cost(browser, _logout, sends=4)
        assert cost == {"get": 3, "cas": 2}

    def test_a_login_without_an_old_session_is_four_sends(
        self, on_memcached: _AtServer
    ) -> None:
        """The list has two items, which are read together, and one of them changes."""
        cost = on_memcached.cost(on_memcached.browser(), login, sends=4)

        assert cost == {"get": 2 + 2, "add": 1, "cas": 1}

    def test_a_login_in_an_old_session_is_six_sends(
        self, on_memcached: _AtServer
    ) -> None:
        browser = _present(on_memcached.browser())

        cost = on_memcached.cost(browser, login, sends=6)

        assert cost == {"get": 1 + 2 + 2, "add": 1, "cas": 1 + 1}

    def test_the_first_login_of_a_user_also_begins_the_list(
        self, on_memcached: _AtServer
    ) -> None:
        browser = on_memcached.browser()

        cost = on_memcached.cost(browser, lambda: login(43), sends=7)

        assert cost == {"get": 2 + 2, "add": 2 + 1, "cas": 2}

    def test_a_rotation_on_demand_costs_three(self, on_memcached: _AtServer) -> None:
        browser = _present(on_memcached.browser())

        cost = on_memcached.cost(browser, lambda: session.rotate())

        assert cost == {"get": 1, "add": 1, "cas": 1}

    def test_a_renewal_costs_one_per_touch_interval(
        self, on_memcached: _AtServer, clock: FakeClock
    ) -> None:
        browser = _present(on_memcached.browser(SRVSESSION_ROTATE_EVERY=None))

        costs: Counter[str] = Counter()
        for _ in range(31):
            clock.advance(30)
            costs.update(on_memcached.cost(browser, _read))

        assert costs == {"get": 31 + 31, "cas": 3}  # it asks for the marker, too

    @pytest.mark.parametrize("count", [1, 3, 20])
    def test_a_list_of_devices_costs_three_sends_however_many(
        self, on_memcached: _AtServer, count: int
    ) -> None:
        """The list, all records at once, the epoch; the server counts each key."""
        visitor = _with_devices(on_memcached.browser(), count)

        cost = on_memcached.cost(visitor, _find, sends=3)

        assert cost == {"get": 1 + count + 1}


@only_once
class TestPostgreSQL:
    """Each statement is a transaction of its own: one round trip, and no more."""

    @pytest.mark.parametrize(
        ("prepared", "do", "statements"),
        [
            (True, nothing, ""),
            (True, _read, "select"),
            (True, _change, "select update"),
            (False, _store, "insert"),
            (True, _logout, "select delete"),
            (False, login, "select insert insert"),
            (True, login, "select select insert insert update"),
            (True, lambda: login(43), "select select insert insert insert update"),
        ],
        ids=[
            *("untouched", "read", "change", "new", "logout", "login"),
            *("login in an old session", "first login of a user in an old session"),
        ],
    )
    def test_a_request_costs(
        self,
        on_postgres: _AtServer,
        prepared: bool,
        do: Callable[[], Any],
        statements: str,
    ) -> None:
        browser = on_postgres.browser()
        if prepared:
            browser = _present(browser)

        assert on_postgres.cost(browser, do) == statements.split()


@only_once
class TestMemory:
    """Calls of the backend, which are what a storage of one's own is asked for."""

    @pytest.mark.parametrize(
        ("prepare", "do", "expected"),
        [
            pytest.param(*row, id=name)
            for name, *row in (
                ("untouched", _logged_in, nothing, ""),
                ("permanent", _logged_in, _make_permanent, ""),
                ("visitor", None, _read, ""),
                ("read", _present, _read, "get"),
                ("change", _present, _change, "get swap"),
                ("many changes", _present, _use_it_a_lot, "get swap"),
                ("same value", _present, _store, "get"),
                ("new", None, _store, "add"),
                ("filled", None, _fill_a_cart, "add"),
                ("logout", _present, _logout, "get delete"),
                ("clear", _present, lambda: session.clear(), "get delete"),
                ("logout, listed", _logged_in, _logout, "get delete index.remove"),
                ("login", None, login, "index.epoch add index.add"),
                (
                    "login in an old one",
                    _present,
                    login,
                    "get index.epoch add index.add swap",
                ),
                (
                    "login as somebody else",
                    _logged_in,
                    lambda: login(43),
                    "get index.epoch add index.add swap index.remove",
                ),
                ("rotate", _present, lambda: session.rotate(), "get add swap"),
            )
        ],
    )
    def test_each_kind_of_request_costs_what_it_should(
        self,
        make_app: MakeApp,
        clock: FakeClock,
        prepare: Callable[[Browser], Browser] | None,
        do: Callable[[], Any],
        expected: str,
    ) -> None:
        counted = CountingBackend(MemoryBackend(clock=clock))
        browser = Browser(app := make_app(counted))
        app.extensions["srvsession"].store.marker.note()  # as the first login does
        if prepare:
            prepare(browser)
        counted.taken()

        browser.does(do)

        assert counted.taken() == expected.split()

    def test_a_session_that_is_ended_costs_a_read(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        counted = CountingBackend(MemoryBackend(clock=clock))
        browser = _logged_in(Browser(make_app(counted)))
        stale = browser.copy()
        browser.does(_logout)
        counted.taken()

        stale.does(_read)

        assert counted.taken() == ["get"]
