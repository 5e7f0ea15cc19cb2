"""What finding and ending sessions costs, and what a lost or huge index does."""

from __future__ import annotations

import random
import secrets
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from flask_srvsession import BackendError
from flask_srvsession.backends import backend_from_url
from flask_srvsession.backends.cell_index import IndexFull
from flask_srvsession.backends.memcached import MemcachedBackend
from flask_srvsession.backends.redis import backend as redis_backend
from flask_srvsession.backends.sql import SQLBackend
from flask_srvsession.store import revocation
from flask_srvsession.store.lists import Entry, new_mark
from tests.servers import running_redis

from ..apps import (
    index_name,
    listed,
)
from ..devices import (
    SteppingBackend,
    alive,
    assigning,
    by_clock,
    found,
    list_entries,
    lose_index,
    revoke_all,
    sessions,
    signed_in,
    store_of,
    user,
    user_of,
)
from ..marks import ON_MEMORY
from ..probes import RedisMonitor

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask

    from flask_srvsession.backends import Backend
    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp
    from tests.servers import Server


pytestmark = pytest.mark.every_storage


MANY = 10_000


MANY_IN_A_FILE = 1_000
"""In SQLite, each session that is ended waits for the disk."""


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


ON_REDIS = pytest.mark.parametrize("backend", ["redis"], indirect=True)


ON_CELLS = pytest.mark.parametrize("backend", ["memory", "memcached"], indirect=True)


ON_MEMCACHED = pytest.mark.parametrize("backend", ["memcached"], indirect=True)


def add_members(app: Flask, count: int) -> list[str]:
    """List `count` more live sessions of user 42, who has one, faster than logins."""
    store, backend = store_of(app), app.extensions["srvsession"].backend
    [template] = revocation.find(store, user(app))
    born = template.id.partition("_")[2]
    more = [f"{secrets.token_hex(16)}_{born}" for _ in range(count)]
    for member in more:
        store.records.add(member, template.record)
    list_entries(backend, index_name(app, 42), [_entry(member) for member in more])
    return more


def reads(app: Flask) -> int:
    """Return how many keys the memcached server was asked for so far."""
    backend = app.extensions["srvsession"].backend
    return int(backend._facts()[0]["cmd_get"])


def refusal(app: Flask) -> BackendError | None:
    """Log user 42 in once more; return why that was refused."""
    try:
        store_of(app).create(assigning(app, user_id=42))
    except BackendError as error:
        return error
    return None


def _entry(session_id: str) -> str:
    return Entry(b"", session_id, "epoch", new_mark(random.random())).member


class TestCost:
    @pytest.mark.parametrize("count", [1, 5])
    @ON_REDIS
    def test_redis_finds_n_sessions_in_two_sends_whatever_the_total(
        self, app: Flask, redis_server: Server, count: int
    ) -> None:
        signed_in(app, 42, count)
        signed_in(app, 7, 20)
        found(app)
        monitor = RedisMonitor(redis_server)

        infos = found(app)

        commands = monitor.taken()
        monitor.close()
        assert len(infos) == count
        assert commands == ["evalsha", *["getrange"] * count]  # all at once

    @ON_MEMCACHED
    @pytest.mark.parametrize("count", [1, 5])
    def test_memcached_finds_n_sessions_in_n_reads_and_two_whatever_the_total(
        self, app: Flask, count: int
    ) -> None:
        signed_in(app, 42, count)
        signed_in(app, 7, 20)
        before = reads(app)

        infos = found(app)

        assert len(infos) == count
        assert reads(app) - before == count + 2  # the list, and the epoch

    @ON_REDIS
    def test_redis_revokes_n_sessions_in_two_n_and_4_commands(
        self, app: Flask, redis_server: Server
    ) -> None:
        """A fence; the list; a read each, in one round trip, and the epoch; a delete
        each, in another; one unlisting of all."""
        signed_in(app, 42, 3)
        revoke_all(app)
        signed_in(app, 42, 3)
        monitor = RedisMonitor(redis_server)

        assert revoke_all(app) == 3

        commands = monitor.taken()
        monitor.close()
        assert len(commands) == 2 * 3 + 4

    @ON_REDIS
    @pytest.mark.parametrize(("count", "most"), [(5, 130), (100, 130), (1000, 150)])
    def test_an_index_costs_little_memory_per_session_in_redis(
        self, app: Flask, count: int, most: int
    ) -> None:
        """Redis keeps more than 128 members in another, larger form."""
        signed_in(app, 42)
        add_members(app, count - 1)
        client = app.extensions["srvsession"].backend._client
        size = client.memory_usage(index_name(app, 42), samples=0)

        assert size / count <= most


class TestMany:
    @pytest.fixture
    def many(self, backend: Backend) -> int:
        return MANY_IN_A_FILE if isinstance(backend, SQLBackend) else MANY

    def test_revoke_all_writes_the_member_list_a_few_times_whatever_its_length(
        self, make_app: MakeApp, backend: Backend, clock: FakeClock
    ) -> None:
        """A list that is written for each of its members takes minutes for 10 000."""
        stepping = SteppingBackend(backend, clock)
        app = make_app(stepping)
        written = []
        for count in (2, 20):
            signed_in(app, 42, count)
            stepping.unlistings = 0
            assert revoke_all(app) == count
            written.append(stepping.unlistings)

        assert written[0] == written[1]

    def test_thousands_of_sessions_of_one_user_are_found_and_ended(
        self, app: Flask, many: int
    ) -> None:
        [browser] = signed_in(app, 42)
        others = signed_in(app, 7)
        add_members(app, many - 1)

        assert len(found(app)) == many
        assert alive([browser]) == [True]
        assert revoke_all(app) == many
        assert found(app) == []
        assert listed(app, 42) == set()
        assert alive([browser, *others]) == [False, True]

    def test_a_login_and_a_logout_work_among_thousands(
        self, app: Flask, many: int
    ) -> None:
        signed_in(app, 42)
        add_members(app, many - 1)

        [browser] = signed_in(app, 42)
        assert len(listed(app, 42)) == many + 1
        with app.app_context():
            assert sessions.revoke(browser.id, user_id=42)

        assert alive([browser]) == [False]
        assert len(listed(app, 42)) == many

    @ON_MEMCACHED
    def test_a_load_reads_no_member_list(self, app: Flask) -> None:
        """Of a bound session memcached reads the record and a small epoch item."""
        [browser] = signed_in(app, 42)
        more = add_members(app, MANY - 1)
        backend = app.extensions["srvsession"].backend
        name = index_name(app, 42)
        before = reads(app)

        assert alive([browser]) == [True]

        assert reads(app) - before == 2
        assert len(backend.get(f"{name}:e").data) < 200
        members = len(backend.get(f"{name}:m").data)
        assert members / len(more) <= 26
        assert members < backend.max_bytes

    @ON_MEMCACHED
    def test_memcached_refuses_a_list_that_is_too_long_and_says_so(
        self, memcached_server: Server, make_app: MakeApp
    ) -> None:
        backend = MemcachedBackend.from_url(f"{memcached_server.url}?max_bytes=15000")
        app = make_app(backend, SRVSESSION_MAX_PAYLOAD=1000)
        [browser], others = signed_in(app, 42), signed_in(app, 7)
        add_members(app, 590)

        attempts = (refusal(app) for _ in range(60))
        refused = next(filter(None, attempts), None)

        assert isinstance(refused, BackendError)
        assert isinstance(refused.__cause__, IndexFull)
        assert "15000" in str(refused.__cause__)
        assert alive([browser, *others]) == [True, True]
        assert revoke_all(app) >= 591
        assert alive(signed_in(app, 42)) == [True]
        backend.close()


class TestLoss:
    """What memcached does when it is full or restarted."""

    @pytest.mark.parametrize("parts", ["em", "e"])
    def test_without_its_epoch_a_session_is_dead(
        self, make_app: MakeApp, parts: str
    ) -> None:
        app = make_app(SRVSESSION_FENCED_LOAD=True)
        browsers, others = signed_in(app, 42, 3), signed_in(app, 7)

        lose_index(app, parts=parts)
        assert alive(browsers) == [False, False, False]
        late = signed_in(app, 42)

        assert alive([*browsers, *late]) == [False, False, False, True]
        assert alive(others) == [True]
        assert [info.id for info in found(app)] == [late[0].id]

    def test_without_its_epoch_a_session_is_not_shown_by_its_id(
        self, make_app: MakeApp
    ) -> None:
        app = make_app(SRVSESSION_FENCED_LOAD=True)
        [browser] = signed_in(app)

        lose_index(app)

        with app.app_context():
            assert sessions.get(browser.id) is None

    @ON_MEMCACHED
    def test_memcached_logs_out_at_once_and_lets_in_again(self, app: Flask) -> None:
        """With what is the default there."""
        browsers, others = signed_in(app, 42, 3), signed_in(app, 7)

        lose_index(app)

        assert alive(browsers) == [False, False, False]
        assert found(app) == []
        assert alive(others) == [True]
        again = signed_in(app, 42)
        assert alive([*browsers, *again]) == [False, False, False, True]
        assert [info.id for info in found(app)] == [again[0].id]

    @ON_REDIS
    def test_redis_that_may_evict_does_the_same(
        self, tmp_path: Path, make_app: MakeApp
    ) -> None:
        options = ["--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru"]
        with running_redis(tmp_path, *options) as server:
            backend: Any = backend_from_url(server.url)
            app = make_app(backend)
            browsers, others = signed_in(app, 42, 3), signed_in(app, 7)
            assert alive(browsers) == [True, True, True]

            lose_index(app)

            assert alive(browsers) == [False, False, False]
            assert found(app) == []
            again = signed_in(app, 42)
            assert alive([*browsers, *again]) == [False, False, False, True]
            assert alive(others) == [True]
            backend.close()

    @ON_REDIS
    def test_redis_that_may_evict_later_is_noticed(
        self, tmp_path: Path, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """CONFIG SET tells no client."""
        passed = 0.0
        later = SimpleNamespace(monotonic=lambda: time.monotonic() + passed)
        monkeypatch.setattr(redis_backend, "time", later)
        with running_redis(tmp_path, "--maxmemory", "100mb") as server:
            backend: Any = backend_from_url(server.url)
            app = make_app(backend)
            browsers = signed_in(app, 42, 2)
            assert alive(browsers) == [True, True]
            backend._client.config_set("maxmemory-policy", "volatile-lru")
            lose_index(app)
            assert alive(browsers[:1]) == [True]

            passed = 61.0

            assert alive(browsers) == [False, False]
            backend.close()

    def test_a_lost_member_list_leaves_nobody_out_of_reach_of_revoke_all(
        self, make_app: MakeApp
    ) -> None:
        app = make_app(SRVSESSION_FENCED_LOAD=True)
        browsers = signed_in(app, 42, 3)

        lose_index(app, parts="m")
        revoke_all(app)

        assert alive(browsers) == [False, False, False]

    @ON_CELLS
    def test_after_a_lost_member_list_nobody_lives_on_unlisted(
        self, make_app: MakeApp
    ) -> None:
        app = make_app(SRVSESSION_FENCED_LOAD=True)
        before = signed_in(app, 42, 2)

        lose_index(app, parts="m")
        after = signed_in(app, 42)

        assert alive([*before, *after]) == [False, False, True]

    def test_what_was_revoked_before_the_loss_stays_dead(
        self, make_app: MakeApp
    ) -> None:
        app = make_app(SRVSESSION_FENCED_LOAD=True)
        browsers = signed_in(app, 42, 2)
        revoke_all(app)

        lose_index(app, parts="e")
        late = signed_in(app, 42)

        assert alive([*browsers, *late]) == [False, False, True]

    def test_an_epoch_from_before_the_loss_is_stale(self, make_app: MakeApp) -> None:
        app = make_app(SRVSESSION_FENCED_LOAD=True)
        signed_in(app, 42)
        with app.app_context():
            before = sessions.epoch(user_id=42)

        lose_index(app)

        with app.app_context():
            assert sessions.epoch(user_id=42) != before


class TestExpiry:
    @ON_MEMORY
    def test_who_is_active_stays_listed_beyond_the_idle_timeout(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        app = make_app(SRVSESSION_IDLE_TIMEOUT=1000)
        [browser] = signed_in(app)

        for _ in range(3):
            clock.advance(600)
            browser.values()

        assert [info.id for info in found(app)] == [browser.id]

    def test_members_are_gone_after_the_absolute_lifetime(
        self, make_app: MakeApp, backend: Backend, clock: FakeClock
    ) -> None:
        app = make_app(
            SRVSESSION_ABSOLUTE_LIFETIME=1,
            SRVSESSION_IDLE_TIMEOUT=1,
            SRVSESSION_TOUCH_INTERVAL=1,
        )
        signed_in(app, 42)
        assert len(listed(app, 42)) == 1

        clock.advance(1.3)
        if not by_clock(backend):
            time.sleep(1.3)

        assert listed(app, 42) == set()
        assert found(app) == []

    @ON_REDIS
    def test_a_login_removes_what_is_over_from_the_list(
        self, app: Flask, redis_server: Server
    ) -> None:
        signed_in(app, 42)
        client = app.extensions["srvsession"].backend._client
        members = index_name(app, 42)
        before = client.zcard(members)
        client.zadd(members, {"f" * 32 + "_1": 1})

        signed_in(app, 42)

        assert client.zcard(members) == before + 1


class TestWhatCannotBeRead:
    @pytest.mark.parametrize(
        "config",
        [{"SECRET_KEY": "z" * 32}, {"SRVSESSION_IDLE_TIMEOUT": 60}],
        ids=["another secret key", "a shorter idle timeout"],
    )
    def test_is_not_unlisted_by_a_search(
        self, make_app: MakeApp, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        app = make_app()
        prefix = app.config["SRVSESSION_KEY_PREFIX"]
        other = make_app(SRVSESSION_KEY_PREFIX=prefix, **config)
        [browser] = signed_in(app)
        assert user_of(browser) == 42
        clock.advance(90)

        assert found(other) == []

        assert [info.id for info in found(app)] == [browser.id]
        assert revoke_all(app) == 1
        assert browser.values() == {}

    @pytest.mark.parametrize("odd", ["garbage!", "AAAA.mark", "a.b.c"])
    def test_is_passed_over_as_an_odd_entry(
        self, app: Flask, backend: Backend, odd: str
    ) -> None:
        browsers = signed_in(app, count=2)
        list_entries(backend, index_name(app, 42), [odd])
        assert odd in (backend.index.members(index_name(app, 42), 9) or ())

        assert {info.id for info in found(app)} == {b.id for b in browsers}
        assert revoke_all(app) == 2
        assert alive(browsers) == [False, False]
