"""A primary fails: 503s until another one has taken over, and nobody is logged out."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import pytest
import redis

from flask_srvsession import ServerSession, session
from flask_srvsession.backends.redis import RedisBackend
from flask_srvsession.backends.redis import backend as redis_module
from tests.integration.apps import together
from tests.integration.probes import hanging
from tests.redis_topologies import FAILED_AFTER, PATIENT, Cluster, Watched, eventually
from tests.topologies.conftest import FORGETS_NODES
from tests.topologies.load import User, under_load
from tests.web import Browser

if TYPE_CHECKING:
    from flask import Flask

    from flask_srvsession.backends.base import Cell
    from tests.conftest import MakeApp
    from tests.servers import Server

pytestmark = FORGETS_NODES

sessions = ServerSession()

TIMEOUT = 0.5
FIRST_SLOT = "3560"
"""A key in slot 0, whose primary is the one that redis-py prefers to ask."""
LONG_TIMEOUT = 8.0
"""Of which a quarter is left to a busy computer when one server has not answered."""
PUNCTUAL = TIMEOUT + 2
"""Seconds that a request takes at most, on a computer that is busy."""


@pytest.fixture(autouse=True)
def healed(servers: Cluster | Watched) -> Iterator[None]:
    """A primary that fails is replaced soon; the servers are whole after each test."""
    servers.replace_after(FAILED_AFTER)
    yield
    servers.heal()
    gc.collect()


@pytest.fixture
def impatient(servers: Cluster | Watched) -> Iterator[RedisBackend]:
    """A backend with a short timeout."""
    backend = RedisBackend.from_url(f"{servers.url}?socket_timeout={TIMEOUT}")
    yield backend
    backend.close()


@pytest.fixture
def app(impatient: RedisBackend, make_app: MakeApp) -> Flask:
    return make_app(impatient, TESTING=False)


@pytest.fixture
def users(app: Flask, impatient: RedisBackend) -> list[User]:
    """Return users with sessions that replicas have, too."""
    users = [User.logged_in(app, f"user{number}") for number in range(8)]
    keys = [user.session_key for user in users]
    eventually(lambda: impatient.confirmed(keys, 1) == 1)
    return users


def test_a_primary_that_is_killed_means_503s_and_no_logouts(
    servers: Cluster | Watched, users: list[User], impatient: RedisBackend
) -> None:
    victim = primary_of(servers, users[0].session_key)

    with under_load(users):
        eventually(lambda: all(user.counted > 10 for user in users))
        replicated = {user.name: user.counted for user in users}
        assert impatient.confirmed([user.session_key for user in users], 1) == 1
        victim.stop()
        goes_on_after_an_outage(users[0])

    assert_nothing_is_wrong(users)
    for user in users:
        assert user.stored() >= replicated[user.name]


def test_a_primary_that_hangs_is_replaced_and_no_request_waits_for_that(
    servers: Cluster | Watched, users: list[User]
) -> None:
    with under_load(users), hanging(primary_of(servers, users[0].session_key)):
        goes_on_after_an_outage(users[0])

    assert_nothing_is_wrong(users)


@pytest.mark.parametrize("how", ["is killed", "hangs"])
def test_who_only_lists_sessions_meets_503s_and_then_finds_them_all(
    servers: Cluster | Watched, app: Flask, impatient: RedisBackend, how: str
) -> None:
    users = [User.logged_in(app, "somebody") for _ in range(8)]
    known = {user.id for user in users}
    keys = [users[0].index_name, *(user.session_key for user in users)]
    eventually(lambda: impatient.confirmed(keys, 1) == 1)
    of_list, *of_sessions = (primary_of(servers, key) for key in keys)
    victim = next((s for s in of_sessions if s is not of_list), of_list)
    lister, lists = User(Browser(app), "nobody"), list[set[str]]()

    def lists_all() -> bool:
        return lister.timed(find).status_code == 200

    def find() -> None:
        lists.append({info.id for info in sessions.find(user_id="somebody")})

    with hanging(victim) if how == "hangs" else nullcontext(victim.stop()):
        eventually(lambda: not lists_all())
        eventually(lists_all)

    assert set(lister.statuses) == {200, 503}
    assert lister.slowest < PUNCTUAL
    assert all(found == known for found in lists)


@pytest.mark.parametrize("servers", ["cluster"], indirect=True)
def test_a_failover_that_nobody_has_noticed_hides_no_session(
    servers: Cluster, impatient: RedisBackend, stored: dict[str, Cell]
) -> None:
    """Who reads many keys asks each server for its own: one may be gone."""
    keys, found = [*stored], list[Any]()
    victim = servers.owner(keys[0])
    eventually(lambda: impatient.confirmed(keys, 1) == 1)

    def is_answered() -> bool:
        with suppress(redis.RedisError):
            found.append(impatient.get_many(keys))
        return bool(found)

    victim.stop()
    eventually(lambda: servers.owner(keys[0]) is not victim)
    eventually(is_answered)

    assert found == [stored]


def test_where_everything_hangs_nobody_waits_for_more_than_one_timeout(
    servers: Cluster | Watched, users: list[User], app: Flask, make_app: MakeApp
) -> None:
    fresh = RedisBackend.from_url(f"{servers.url}?socket_timeout={TIMEOUT}")
    new_app = make_app(fresh, TESTING=False)
    strangers = [User(Browser(new_app), "nobody") for _ in users]

    with ExitStack() as stack:
        for server in servers.processes:
            stack.enter_context(hanging(server))
        together(*(user.count for user in users), *(s.write for s in strangers))
        untouched = users[0].browser.do(lambda: "untouched")

    for user in (*users, *strangers):
        assert user.last_status == 503
        assert user.slowest < PUNCTUAL
    assert untouched.status_code == 200
    for user in (*users, *strangers):
        eventually(user.is_served)
        assert user.lost == []
    fresh.close()


@pytest.mark.parametrize("servers", ["cluster"], indirect=True)
def test_a_new_process_serves_what_is_on_the_primaries_that_answer(
    servers: Cluster, app: Flask, make_app: MakeApp
) -> None:
    """Though it still has to find out who they are, and whether they may evict: its
    first request may be late for that."""
    servers.replace_after(PATIENT)
    fresh = RedisBackend.from_url(f"{servers.url}?socket_timeout={LONG_TIMEOUT}")
    new_app = make_app(
        fresh,
        TESTING=False,
        SRVSESSION_KEY_PREFIX=app.config["SRVSESSION_KEY_PREFIX"],
    )
    victim = servers.owner(FIRST_SLOT)
    known = logged_in_away_from(victim, servers, app)
    newcomer = User(Browser(new_app, known.browser.cookie), known.name)

    with hanging(victim):
        for _ in range(3):
            newcomer.count()
            if newcomer.last_status == 200:
                break

    assert newcomer.last_status == 200
    assert newcomer.lost == []
    assert newcomer.slowest < 2 * LONG_TIMEOUT, "each of two commands is in time"
    fresh.close()


@pytest.mark.parametrize("servers", ["cluster"], indirect=True)
def test_a_primary_may_evict_until_it_has_answered_that_it_does_not(
    servers: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_module, "ASK_AGAIN", 0)
    servers.replace_after(PATIENT)
    fresh = RedisBackend.from_url(f"{servers.url}?socket_timeout={LONG_TIMEOUT}")
    silent = servers.primaries()[-1]

    with hanging(silent):
        may_evict_meanwhile = fresh.evicts
    eventually(lambda: not fresh.evicts)

    assert may_evict_meanwhile
    fresh.close()


@pytest.mark.parametrize("everywhere", [False, True], ids=["here", "everywhere"])
def test_a_durable_logout_survives_the_primary(
    servers: Cluster | Watched,
    make_app: MakeApp,
    backend: RedisBackend,
    everywhere: bool,
) -> None:
    def log_out() -> None:
        if everywhere:
            sessions.revoke_all(user_id="leaving", durable=1)
        else:
            session.destroy(durable=1)

    leaving = User.logged_in(make_app(TESTING=False), "leaving")
    copied = leaving.browser.copy()
    victim = primary_of(servers, leaving.session_key)
    keys = [leaving.session_key, leaving.index_name]
    eventually(lambda: backend.confirmed(keys, 1) == 1)

    response = leaving.browser.do(log_out)
    victim.stop()

    assert response.status_code == 200
    eventually(User(copied, "a copy").is_served)
    assert copied.values() == {}


def test_a_logout_that_the_replica_does_not_have_is_a_503(
    servers: Cluster | Watched, users: list[User]
) -> None:
    leaving = users[0].browser
    copied = leaving.copy()
    victim = primary_of(servers, users[0].session_key)

    with hanging(servers.replica_of(victim)):
        response = leaving.do(lambda: session.destroy(durable=1))

    assert response.status_code == 503
    assert copied.values() == {}


def test_what_is_not_answered_is_not_sent_again(
    servers: Cluster | Watched, impatient: RedisBackend
) -> None:
    client, key = impatient._client, uuid.uuid4().hex
    client.incr(key)

    with hanging(primary_of(servers, key)), pytest.raises(redis.TimeoutError):
        client.incr(key)

    eventually(lambda: client.get(key) == b"2")
    assert client.incr(key) == 3


def test_replicas_are_not_asked(servers: Cluster | Watched, users: list[User]) -> None:
    replicas = [s for s in servers.members if s not in servers.primaries()]
    for replica in replicas:
        servers.ask(replica).config_resetstat()

    for user in users * 5:
        user.count()

    assert replicas
    for replica in replicas:
        assert "cmdstat_get" not in servers.ask(replica).info("commandstats")
    assert_nothing_is_wrong(users)


def primary_of(servers: Cluster | Watched, key: str) -> Server:
    return servers.owner(key) if isinstance(servers, Cluster) else servers.primary


def logged_in_away_from(victim: Server, servers: Cluster, app: Flask) -> User:
    """Return a user of whom neither session nor list is on that server."""
    for number in range(100):
        user = User.logged_in(app, f"elsewhere{number}")
        keys = (user.session_key, user.index_name)
        if victim not in [servers.owner(key) for key in keys]:
            return user
    raise AssertionError("all is on one server")


def goes_on_after_an_outage(user: User) -> None:
    """Wait until the user has met an outage, and has been served again."""
    eventually(lambda: user.statuses[503])
    before = user.counted
    eventually(lambda: user.counted > before + 5)


def assert_nothing_is_wrong(users: list[User]) -> None:
    """All were served or met a 503 in time, and everything that was done counts."""
    for user in users:
        assert set(user.statuses) <= {200, 503}
        assert user.slowest < PUNCTUAL
        assert user.stored() <= user.counted + user.perhaps
        assert user.lost == []
