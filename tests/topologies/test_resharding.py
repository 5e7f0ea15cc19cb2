"""Slots move to other servers while they are used, and nothing is lost by that."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest

from flask_srvsession import ServerSession, session
from tests.integration.apps import index_name, listed
from tests.redis_topologies import Cluster, eventually, slot_of
from tests.topologies.conftest import FORGETS_NODES
from tests.topologies.load import User, under_load
from tests.web import Browser

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask

    from flask_srvsession.backends.base import Cell
    from flask_srvsession.backends.redis import RedisBackend
    from tests.conftest import MakeApp
    from tests.servers import Server

sessions = ServerSession()

pytestmark = [
    pytest.mark.parametrize("servers", ["cluster"], indirect=True),
    FORGETS_NODES,
]


@pytest.fixture(autouse=True)
def healed(servers: Cluster) -> Iterator[None]:
    """The servers agree again after each test."""
    yield
    servers.heal()
    gc.collect()


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(TESTING=False)


def another(servers: Cluster, source: Server) -> Server:
    return next(server for server in servers.primaries() if server is not source)


@contextmanager
def targets(
    servers: Cluster, directory: Path, newcomer: bool
) -> Iterator[Server | None]:
    """Give the server that slots are to go to, None for another that has slots."""
    with servers.with_one_more(directory) if newcomer else nullcontext() as target:
        yield target


@pytest.mark.parametrize("newcomer", [False, True], ids=["to a known", "to a new one"])
def test_a_slot_that_moves_under_load_loses_nothing(
    servers: Cluster, app: Flask, tmp_path: Path, newcomer: bool
) -> None:
    users = [User.logged_in(app, f"user{number}") for number in range(6)]

    with targets(servers, tmp_path, newcomer) as target, under_load(users):
        for user in users[:2]:
            for key in (user.session_key, user.index_name):
                slot, source = slot_of(key), servers.owner(key)
                way = slot, source, target or another(servers, source)
                for step in (
                    servers.begin_to_move,
                    servers.move_keys,
                    servers.end_move,
                ):
                    step(*way)
                    served_again(user)

    for user in users:
        assert set(user.statuses) <= {200, 503}
        assert user.lost == []
        assert user.counted <= user.stored() <= user.counted + user.perhaps


@pytest.mark.parametrize("newcomer", [False, True], ids=["to a known", "to a new one"])
def test_of_many_keys_one_that_moves_is_read_where_it_is(
    servers: Cluster,
    backend: RedisBackend,
    stored: dict[str, Cell],
    tmp_path: Path,
    newcomer: bool,
) -> None:
    key = next(iter(stored))
    slot, source = slot_of(key), servers.owner(key)

    with targets(servers, tmp_path, newcomer) as target:
        way = slot, source, target or another(servers, source)
        servers.begin_to_move(*way)
        servers.move_keys(*way)
        between = backend.get_many([*stored])
        servers.end_move(*way)
        afterwards = backend.get_many([*stored])

    assert between == stored
    assert afterwards == stored


@pytest.mark.parametrize("newcomer", [False, True], ids=["to a known", "to a new one"])
def test_logins_and_logouts_go_on_where_the_list_has_moved_but_not_its_slot(
    servers: Cluster, app: Flask, tmp_path: Path, newcomer: bool
) -> None:
    one, other = (User.logged_in(app, "somebody") for _ in range(2))
    slot, source = slot_of(one.index_name), servers.owner(one.index_name)

    with targets(servers, tmp_path, newcomer) as target:
        way = slot, source, target or another(servers, source)
        servers.begin_to_move(*way)
        servers.move_keys(*way)
        third = User.logged_in(app, "somebody")
        known, users = listed(app, "somebody"), [one, other, third]
        ids = {user.id for user in users}
        left = one.browser.do(lambda: session.destroy())
        revoked = other.browser.do(lambda: f"{sessions.revoke_all(user_id='somebody')}")
        servers.end_move(*way)

    assert known == ids
    assert left.status_code == 200
    assert revoked.text == "2"
    assert [user.browser.values() for user in users] == [{}, {}, {}]


def test_a_first_login_works_while_the_slot_of_its_list_moves(
    servers: Cluster, app: Flask
) -> None:
    key = index_name(app, "newcomer")
    slot, source = slot_of(key), servers.owner(key)
    way = slot, source, another(servers, source)
    browser = Browser(app)

    servers.begin_to_move(*way)
    done = browser.set(user_id="newcomer")
    servers.end_move(*way)

    assert done.status_code == 200
    assert len(listed(app, "newcomer")) == 1


def served_again(user: User) -> None:
    """Wait until the user was served some more times."""
    before = user.counted
    eventually(lambda: user.counted > before + 2)
