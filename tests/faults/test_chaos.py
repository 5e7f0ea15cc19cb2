"""Many requests at once over connections that break all the time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from flask import Flask

from flask_srvsession import session
from flask_srvsession.backends import backend_from_url
from flask_srvsession.testing import FakeClock
from tests.servers import Server
from tests.sql_servers import SQLServer
from tests.web import Browser

from .disturbance import Fault, every
from .proxy import Proxy
from .stage import make_app, values

REQUESTS = 30
COMMANDS = 23
"""How many there are between two breaks; a prime number, so that each kind is met."""


@pytest.fixture(params=["redis", "memcached", "postgres"])
def proxy(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    server: Server | SQLServer = request.getfixturevalue(f"{request.param}_server")
    with closing(Proxy(server)) as proxy:
        yield proxy


@pytest.fixture
def app(proxy: Proxy) -> Iterator[Flask]:
    backend: Any = backend_from_url(proxy.url)
    yield make_app(backend, f"{uuid.uuid4().hex}:", FakeClock())
    backend.close()


breaking = pytest.mark.parametrize(
    "fault", [Fault.REFUSED, Fault.CUT, Fault.REPLY_LOST], ids=str
)


@breaking
def test_each_change_is_made_once_or_is_said_to_be_in_doubt(
    proxy: Proxy, app: Flask, fault: Fault
) -> None:
    first = Browser(app)
    first.does(lambda: session.update(n=0))

    def count(_: int) -> tuple[int, int]:
        """Return how often it was done, and how often it may have been."""
        browser, done, in_doubt = first.copy(), 0, 0
        for _ in range(REQUESTS):
            response = browser.do(lambda: session.compute("n", lambda n: (n or 0) + 1))
            assert response.status_code in (200, 503)
            done += response.status_code == 200
            in_doubt += response.headers.get("Ambiguous") == "True"
        return done, in_doubt

    with proxy.disturbed(fault, every(COMMANDS)), ThreadPoolExecutor(3) as executor:
        counts = list(executor.map(count, range(3)))

    done, in_doubt = (sum(each) for each in zip(*counts, strict=True))
    assert done > 0
    assert done <= values(app, first.cookie)["n"] <= done + in_doubt


@breaking
def test_no_session_that_was_ended_lives_and_no_other_is_lost(
    proxy: Proxy, app: Flask, fault: Fault
) -> None:
    def live(user: int) -> tuple[list[str], list[str]]:
        """Return the cookies of sessions that were ended, and of others."""
        ended, alive = [], []
        for number in range(REQUESTS):
            browser = Browser(app)
            if browser.do(lambda: session.update(user_id=user)).status_code != 200:
                continue
            cookie = browser.cookie
            if number % 2:
                alive.append(cookie)
            elif browser.do(lambda: session.destroy()).status_code == 200:
                ended.append(cookie)
        return ended, alive

    with proxy.disturbed(fault, every(COMMANDS)), ThreadPoolExecutor(3) as executor:
        lives = list(executor.map(live, range(3)))

    for user, (ended, alive) in enumerate(lives):
        assert ended
        assert alive
        assert not any(values(app, cookie) for cookie in ended)
        assert all(values(app, cookie) == {"user_id": user} for cookie in alive)
