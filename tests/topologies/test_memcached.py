"""Three memcached servers, one of which goes away and comes back empty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from flask_srvsession import ServerSession, session
from flask_srvsession.backends import backend_from_url
from flask_srvsession.backends.memcached import MemcachedBackend
from tests.integration.apps import deletes_cookie, index_name, listed
from tests.integration.probes import MemcachedStats, hanging
from tests.servers import running_memcached
from tests.stopwatch import within
from tests.web import Browser

if TYPE_CHECKING:
    from flask import Flask

    from tests.conftest import MakeApp
    from tests.servers import Server

TIMEOUT = 0.5

sessions = ServerSession()


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    with ExitStack() as stack:
        yield [stack.enter_context(running_memcached()) for _ in range(3)]


@pytest.fixture
def backend(servers: list[Server]) -> Iterator[MemcachedBackend]:
    hosts = ",".join(f"{server.host}:{server.port}" for server in servers)
    backend: Any = backend_from_url(f"memcached://{hosts}?timeout={TIMEOUT}")
    yield backend
    backend.close()


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(TESTING=False)


@pytest.fixture
def browsers(app: Flask, servers: list[Server]) -> dict[int, list[Browser]]:
    """Browsers with sessions, by the port of the server that has them."""
    found: dict[int, list[Browser]] = {server.port: [] for server in servers}
    while min(map(len, found.values())) < 2:
        browser = Browser(app)
        browser.set(color="red")
        found[port_of(app, session_key(browser))].append(browser)
    return found


def session_key(browser: Browser) -> str:
    return f"{browser.app.config['SRVSESSION_KEY_PREFIX']}{browser.id}"


def list_key(app: Flask, user: str) -> str:
    """Return what says which of a user's sessions are valid."""
    return f"{index_name(app, user)}:e"


def port_of(app: Flask, key: str) -> int:
    backend: MemcachedBackend = app.extensions["srvsession"].backend
    return backend._client(key)._address[1]


def read() -> str:
    return str(session.get("color"))


def test_a_server_that_is_down_is_an_outage_for_its_sessions_only(
    servers: list[Server], browsers: dict[int, list[Browser]]
) -> None:
    down, *up = servers
    down.stop()

    lost = [browser.do(read) for browser in browsers[down.port]]
    served = [browser.do(read) for server in up for browser in browsers[server.port]]

    assert {response.status_code for response in lost} == {503}
    assert not any(deletes_cookie(response) for response in lost)
    assert {response.text for response in served} == {"red"}


def test_what_a_server_had_is_not_looked_for_nor_put_elsewhere(
    servers: list[Server], browsers: dict[int, list[Browser]]
) -> None:
    down, *up = servers
    down.stop()
    meters = [MemcachedStats(server) for server in up]

    for browser in browsers[down.port]:
        browser.do(read)
        browser.set(color="blue")
        browser.do(lambda: session.destroy())

    asked = [meter.taken() for meter in meters]
    for meter in meters:
        meter.close()
    assert asked == [{}, {}]


def test_a_server_that_comes_back_has_lost_its_sessions_and_nothing_else(
    servers: list[Server], browsers: dict[int, list[Browser]]
) -> None:
    down, *up = servers
    down.stop()
    for browser in browsers[down.port]:
        assert browser.do(read).status_code == 503

    down.start()

    for browser in browsers[down.port]:
        assert browser.values() == {}
        assert browser.set(color="green").status_code == 200
        assert browser.values() == {"color": "green"}
    for server in up:
        assert all(b.values() == {"color": "red"} for b in browsers[server.port])


@pytest.mark.parametrize("how", ["is down", "hangs"])
def test_a_logout_that_cannot_be_sent_is_not_reported_as_done(
    servers: list[Server], browsers: dict[int, list[Browser]], how: str
) -> None:
    server = servers[0]
    browser = browsers[server.port][0]

    with ExitStack() as stack:
        if how == "hangs":
            stack.enter_context(hanging(server))
        else:
            server.stop()
        with within(TIMEOUT + 1):
            response = browser.do(lambda: session.destroy())

    assert response.status_code == 503
    assert not deletes_cookie(response)


def test_a_logout_of_all_devices_without_their_list_is_a_503_and_ends_nobody(
    app: Flask, servers: list[Server]
) -> None:
    user, device = logged_in_apart_from_the_list(app)
    where = {server.port: server for server in servers}
    where[port_of(app, list_key(app, user))].stop()

    response = device.do(lambda: f"{sessions.revoke_all(user_id=user)}")
    seen = device.do(lambda: f"{session['user_id']}")

    assert response.status_code == 503
    assert seen.status_code == 503  # nobody knows whether it was revoked


def test_a_list_of_devices_one_of_whose_servers_is_down_is_a_503(
    app: Flask, servers: list[Server]
) -> None:
    user, device = logged_in_apart_from_the_list(app)
    server = next(s for s in servers if s.port == port_of(app, session_key(device)))
    server.stop()

    response = Browser(app).do(lambda: f"{len(sessions.find(user_id=user))}")

    assert response.status_code == 503
    assert listed(app, user) == {device.id}


def test_a_list_that_was_lost_ends_its_sessions(
    app: Flask, servers: list[Server]
) -> None:
    user, device = logged_in_apart_from_the_list(app)
    server = next(s for s in servers if s.port == port_of(app, list_key(app, user)))

    server.stop()
    server.start()

    assert device.values() == {}


def test_new_sessions_are_begun_while_a_server_is_down(
    app: Flask, servers: list[Server]
) -> None:
    servers[0].stop()

    answers = Counter(Browser(app).set(n=1).status_code for _ in range(30))

    assert answers[200] > answers[503]
    assert set(answers) <= {200, 503}


@pytest.mark.parametrize(
    ("key", "place"), [("a", 0), ("b", 2), ("app:session:00ff_66", 1)]
)
def test_where_a_key_is_does_not_depend_on_anything_else(key: str, place: int) -> None:
    backend = MemcachedBackend([("one", 1), ("two", 2), ("three", 3)])

    assert backend._client(key) is backend._clients[place]


def logged_in_apart_from_the_list(app: Flask) -> tuple[str, Browser]:
    """Return a user whose session is not where the list of their sessions is."""
    for number in range(100):
        user, device = f"user{number}", Browser(app)
        device.set(user_id=user)
        name = index_name(app, user)
        of_list = {port_of(app, f"{name}:{part}") for part in "em"}
        if port_of(app, session_key(device)) not in of_list:
            return user, device
    raise AssertionError("all is on one server")
