"""A server that hangs, crashes or forgets in the middle of a request."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial

import pytest
import redis

from tests.integration.probes import hanging
from tests.servers import Server, running_redis
from tests.sql_servers import SQLServer, running_mariadb, running_postgres

from .disturbance import Disturbance, only, since
from .flows import (
    BIND,
    CHANGE,
    DESTROY,
    FLOWS,
    GONE,
    LOGIN,
    REMOVAL,
    REVOKE_ALL,
    ROTATE,
    Flow,
)
from .proxy import Proxy
from .stage import SHORT, Outcome, Stage, broken_promises

Directories = pytest.TempPathFactory
AnyServer = Server | SQLServer


@pytest.fixture(scope="module")
def lasting_redis(tmp_path_factory: Directories) -> Iterator[Server]:
    """One that has on disk what it has acknowledged."""
    options = ["--appendonly", "yes", "--appendfsync", "always"]
    with running_redis(tmp_path_factory.mktemp("redis"), *options) as server:
        yield server


@pytest.fixture(scope="module")
def lasting_postgres() -> Iterator[SQLServer]:
    with running_postgres() as server:
        server.end = signal.SIGQUIT  # at once, without a checkpoint
        yield server


@pytest.fixture(scope="module")
def lasting_mariadb() -> Iterator[SQLServer]:
    with running_mariadb() as server:
        server.end = signal.SIGKILL
        yield server


def _on(servers: dict[str, list[Flow]]) -> pytest.MarkDecorator:
    """Run a test with these flows, on the server of this fixture."""
    pairs = [(server, flow) for server, flows in servers.items() for flow in flows]
    return pytest.mark.parametrize(
        ("server", "flow"), pairs, indirect=["server"], ids=str
    )


@pytest.fixture
def server(request: pytest.FixtureRequest) -> AnyServer:
    found: AnyServer = request.getfixturevalue(request.param)
    return found


@_on({"own_redis": FLOWS})
def test_scripts_may_be_flushed_before_each_command(server: Server, flow: Flow) -> None:
    client = redis.Redis(port=server.port)

    def flushing(proxy: Proxy) -> AbstractContextManager[Disturbance]:
        return proxy.disturbed(None, since(1), before=client.script_flush)

    with closing(client), closing(Stage(server)) as stage:
        outcome = stage.play(flow, flushing)

    assert [outcome.status, *broken_promises(flow, outcome)] == [200]


@_on(
    {
        "own_redis": [CHANGE, LOGIN, DESTROY],
        "own_memcached": [CHANGE, DESTROY],
        "lasting_postgres": [CHANGE, DESTROY],
        "lasting_mariadb": [CHANGE, DESTROY],
    }
)
def test_it_may_hang_from_any_command_on_and_go_on_later(
    server: AnyServer, flow: Flow
) -> None:
    """Then it does what clients have given up; a restart of them is not needed."""

    def hang(ends: ExitStack) -> None:
        pausing = server.paused() if isinstance(server, SQLServer) else hanging(server)
        ends.enter_context(pausing)

    with closing(Stage(server, SHORT)) as stage:
        for outcome in _at_each_command(stage, flow, hang):
            assert broken_promises(flow, outcome) == []


@_on(
    {
        "lasting_redis": [CHANGE, LOGIN, DESTROY, ROTATE, REVOKE_ALL],
        "lasting_postgres": [CHANGE, DESTROY],
        "lasting_mariadb": [CHANGE, DESTROY],
    }
)
def test_it_may_crash_before_any_command_and_come_back_with_all_it_had(
    server: AnyServer, flow: Flow
) -> None:
    with closing(Stage(server)) as stage:
        for outcome in _at_each_command(stage, flow, lambda _: _restart(server)):
            assert broken_promises(flow, outcome) == []


WRITING = [CHANGE, LOGIN, BIND, DESTROY, REMOVAL, ROTATE, REVOKE_ALL]


@_on({"own_redis": WRITING, "own_memcached": WRITING})
def test_it_may_forget_all_before_any_command(server: Server, flow: Flow) -> None:
    """Nothing of that comes back, and nobody is signed in who does not sign in now."""
    with closing(Stage(server)) as stage:
        for outcome in _at_each_command(stage, flow, lambda _: _restart(server)):
            assert outcome.status in (200, 409, 503)
            assert outcome.is_in_time
            assert (outcome.old, outcome.other) == (GONE, GONE)
            assert "user_id" not in outcome.new or flow in (LOGIN, BIND)
            assert not any("user_id" in left for left in outcome.left)


def _restart(server: AnyServer) -> None:
    server.stop()
    server.start()


def _at_each_command(
    stage: Stage, flow: Flow, happens: Callable[[ExitStack], object]
) -> Iterator[Outcome]:
    """Play a flow so that something `happens` before the first command, then before
    the second, and so on; what the stack is given ends with the request."""

    @contextmanager
    def trouble(at: int, proxy: Proxy) -> Iterator[Disturbance]:
        with ExitStack() as ends:
            disturbed = proxy.disturbed(None, only(at), before=lambda: happens(ends))
            yield ends.enter_context(disturbed)

    for at in range(1, stage.commands(flow) + 1):
        yield stage.play(flow, partial(trouble, at))
