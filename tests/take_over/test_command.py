"""``flask sessions take-over``, the counts in ``stats`` and the line in ``check``."""

from __future__ import annotations

import pickle
from datetime import date, datetime, timedelta, timezone

import pytest

from flask_srvsession import ConfigurationError, ServerSession
from flask_srvsession.store.marker import Keeper
from flask_srvsession.take_over import CookieSource, FlaskSessionSource
from flask_srvsession.testing import FakeClock
from tests.integration.cli.run import SAFE, flask, printed
from tests.web import Browser

from .conftest import TakingApp
from .former import FormerApp

LISTABLE = ("redis", "sqlite", "postgres", "kvsession")


@pytest.mark.parametrize("former", LISTABLE, indirect=True)
def test_takes_over_what_is_there_and_may_be_run_again(
    former: FormerApp, taking_app: TakingApp
) -> None:
    cookies = {user: former.sign_in(user) for user in range(5)}
    app = taking_app(former.make_source())
    Browser(app, cookies[0]).values()

    assert printed(app, "take-over") == {"taken_over": 4, "refused": 0}
    assert printed(app, "take-over") == {"taken_over": 0, "refused": 0}

    for user, cookie in cookies.items():
        assert former.values(cookie) == {}
        with app.app_context():
            [info] = ServerSession().find(user_id=user)
        assert Browser(app, cookie).values() == {"user_id": user}
        with app.app_context():
            assert [i.id for i in ServerSession().find(user_id=user)] == [info.id]


@pytest.mark.parametrize("former", ["sqlite"], indirect=True)
def test_afterwards_the_commands_know_whose_key_keeps_sessions(
    former: FormerApp, taking_app: TakingApp
) -> None:
    """They said that nobody had logged in yet, above the list of those who had."""
    cookie = former.sign_in()
    app = taking_app(former.make_source())
    store = app.extensions["srvsession"].store
    assert store.marker.keeper() is Keeper.NOBODY

    Browser(app, cookie).values()

    assert store.marker.keeper() is Keeper.OURS


@pytest.mark.parametrize("former", ["kvsession"], indirect=True)
def test_only_from_the_source_that_is_named(
    former: FormerApp, taking_app: TakingApp
) -> None:
    former.sign_in()
    app = taking_app(former.make_source(), CookieSource())

    wrong = flask(app, "take-over", "--from", "nowhere")
    cookies = flask(app, "take-over", "--from", "cookie")
    done = flask(app, "take-over", "--from", "kvsession")

    assert wrong.exit_code == 2
    assert "there are ['cookie', 'kvsession']" in wrong.stderr
    assert cookies.exit_code == 2
    assert "one by one" in cookies.stderr
    assert done.stdout == "Took over 1 session(s), refused 0.\n"


def test_without_a_source_the_command_says_so(taking_app: TakingApp) -> None:
    result = flask(taking_app(), "take-over")

    assert result.exit_code == 2
    assert "take_over=[...]" in result.stderr


def test_counts_what_was_taken_over_and_what_was_refused_and_why(
    taking_app: TakingApp,
) -> None:
    records = {f"session:{'a' * 31}{n}": pickle.dumps({"user_id": n}) for n in (1, 2)}
    records[f"session:{'b' * 32}"] = b'{"user_id": 3}'
    app = taking_app(_source_of(records), SRVSESSION_INDEXES={})

    result = flask(app, "take-over")

    assert result.exit_code == 1
    assert result.stdout == "Took over 1 session(s), refused 2.\n"
    counted = printed(app, "stats")
    assert counted["taken over, flask-session"] == 1
    [(reason, number)] = [(k, v) for k, v in counted.items() if k.startswith("refused")]
    assert number == 2
    assert "pickled" in reason
    assert sorted(records) == [f"session:{'a' * 31}{n}" for n in (1, 2)]


def _source_of(records: dict[str, bytes]) -> FlaskSessionSource:
    return FlaskSessionSource(
        records.get, lambda key: records.pop(key, None), lambda prefix: [*records]
    )


def test_check_says_when_a_source_is_over(
    taking_app: TakingApp, clock: FakeClock
) -> None:
    end = datetime.fromtimestamp(clock(), timezone.utc) + timedelta(days=9, hours=1)
    app = taking_app(CookieSource(until=end), **SAFE)

    before = [f for f in printed(app, "check") if f["key"] == "take_over"]
    clock.advance(10 * 86400)
    after = [f for f in printed(app, "check") if f["key"] == "take_over"]

    assert [f["severity"] for f in before] == ["info"]
    assert f"until {end:%Y-%m-%d %H:%M}Z" in before[0]["problem"]
    assert "9 day(s)" in before[0]["remedy"]
    assert [f["severity"] for f in after] == ["warning"]
    assert "is over since" in after[0]["problem"]


@pytest.mark.parametrize("backend", ["memcached"], indirect=True)
def test_check_warns_where_the_storage_may_forget(taking_app: TakingApp) -> None:
    app = taking_app(CookieSource(), **SAFE)

    found = [f for f in printed(app, "check") if f["key"] == "take_over"]

    assert [f["severity"] for f in found] == ["info", "warning"]


@pytest.mark.parametrize("former", ["cookie", "kvsession"], indirect=True)
def test_from_its_end_on_a_source_is_not_asked(
    former: FormerApp, taking_app: TakingApp, clock: FakeClock
) -> None:
    end = datetime.fromtimestamp(clock(), timezone.utc) + timedelta(hours=1)
    app = taking_app(former.make_source(until=end))
    cookies = former.sign_in(), former.sign_in()
    assert Browser(app, cookies[0]).values() == {"user_id": 42}

    clock.advance(3601)

    assert Browser(app, cookies[1]).values() == {}


def test_an_end_is_a_date_or_knows_its_time_zone() -> None:
    source = CookieSource(until=date(2030, 1, 31))

    assert source.until == datetime(2030, 1, 31, tzinfo=timezone.utc)
    with pytest.raises(ConfigurationError, match="has no time zone"):
        CookieSource(until=datetime(2030, 1, 31))  # noqa: DTZ001
    with pytest.raises(ConfigurationError, match="must be a date"):
        CookieSource(until="2030-01-31")  # type: ignore[arg-type]
