"""A storage that throws out what it likes: people are logged out, and that is all."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import redis
from flask import Flask
from pymemcache.client.base import Client

from flask_srvsession import session
from flask_srvsession.backends import backend_from_url
from flask_srvsession.testing import FakeClock
from tests.integration.apps import stored
from tests.servers import Server, running_memcached, running_redis
from tests.web import Browser

from .flows import GONE, Values, sessions
from .stage import make_app, values

USERS = 4
ROUNDS = 60
BALLAST = "x" * 1000
FILLS = 150
SIZES = range(20, 1800)
"""Bytes of what others store: as much as sessions and their lists take."""
SMALL = range(20, 60)
"""As much as the heads of lists take."""


@pytest.fixture(scope="module")
def small_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = ["--maxmemory", "3mb", "--maxmemory-policy", "allkeys-random"]
    with running_redis(tmp_path_factory.mktemp("redis"), *options) as server:
        yield server


@pytest.fixture(scope="module")
def small_memcached() -> Iterator[Server]:
    """One that does not spare what was read a moment ago."""
    with running_memcached("-m", "2", "-f", "2", "-o", "no_lru_maintainer") as server:
        yield server


@pytest.fixture(params=["small_redis", "small_memcached"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def app(server: Server) -> Iterator[Flask]:
    backend: Any = backend_from_url(server.url)
    yield make_app(backend, f"{uuid.uuid4().hex}:", FakeClock())
    backend.close()


@dataclass
class User:
    """What somebody has done, as far as it was acknowledged."""

    id: int
    signed_in: dict[str, Values] = field(default_factory=dict)
    """What is to be seen with a cookie, unless that was thrown out."""
    ended: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)

    def sign_in_and_out(self, app: Flask) -> None:
        """Sign in many times; end some of these sessions, and at times all."""
        for number in range(ROUNDS):
            self._visit(app, number)

    def _visit(self, app: Flask, number: int) -> None:
        browser = Browser(app)
        held = {"user_id": self.id, "number": number, "ballast": BALLAST}
        if not self._is_done(browser, lambda: session.update(held)):
            return
        cookie, self.signed_in[browser.cookie] = browser.cookie, held
        if number % 3 == 0 and self._is_done(browser, lambda: session.destroy()):
            self.ended.add(cookie)
        elif number % 20 == 1 and self._is_done(
            browser, lambda: sessions.revoke_all(user_id=self.id)
        ):
            self.ended.update(self.signed_in)

    def _is_done(self, browser: Browser, do: Callable[[], Any]) -> bool:
        status = browser.do(do).status_code
        self.statuses[status] += 1
        return status == 200


def test_nothing_that_was_ended_lives_and_nothing_that_lives_is_wrong(
    server: Server, app: Flask
) -> None:
    users = [User(number) for number in range(USERS)]
    with ThreadPoolExecutor(USERS) as executor:
        work = [executor.submit(user.sign_in_and_out, app) for user in users]
        while not all(one.done() for one in work):
            _fill(server)

    assert _evictions(server) > 0
    for user in users:
        assert user.statuses.keys() <= {200, 409, 503}
        for cookie, held in user.signed_in.items():
            assert values(app, cookie) in (GONE, held)
        assert not any(values(app, cookie) for cookie in user.ended)

    for user in users:
        Browser(app).does(partial(sessions.revoke_all, user_id=user.id))
        assert not any(values(app, cookie) for cookie in user.signed_in)


def test_whoever_was_thrown_out_of_the_list_is_logged_out(
    server: Server, app: Flask
) -> None:
    """Else ``revoke_all`` would leave a session that it does not find."""
    users = [User(number) for number in range(USERS)]
    for user in users:
        user.sign_in_and_out(app)

    for _ in range(FILLS):
        _fill(server, SMALL)
    cookies = [cookie for user in users for cookie in user.signed_in]
    unlisted = [cookie for cookie in cookies if _is_unlisted(app, cookie)]

    assert unlisted
    for user in users:
        Browser(app).does(partial(sessions.revoke_all, user_id=user.id))
        assert not any(values(app, cookie) for cookie in user.signed_in)


def _is_unlisted(app: Flask, cookie: str) -> bool:
    """Return whether a session is stored, and not served."""
    return stored(app, cookie.partition(".")[0]) is not None and not values(app, cookie)


def _fill(server: Server, sizes: range = SIZES) -> None:
    """Store a lot, as another app would."""
    items = {f"other:{random.random()}": bytes(random.choice(sizes)) for _ in range(99)}
    if server.scheme == "redis":
        with closing(redis.Redis(port=server.port)) as client:
            client.mset(items)
    else:
        with closing(Client((server.host, server.port))) as client:
            client.set_many(items, noreply=True)


def _evictions(server: Server) -> int:
    if server.scheme == "redis":
        with closing(redis.Redis(port=server.port)) as client:
            return int(client.info("stats")["evicted_keys"])
    with closing(Client((server.host, server.port))) as client:
        return int(client.stats()[b"evictions"])
