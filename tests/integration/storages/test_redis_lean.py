"""The client that Redis URLs get: nobody reads an answer that was meant for another."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from flask_srvsession.backends.guarded import Guarded
from flask_srvsession.backends.redis import RedisBackend
from flask_srvsession.backends.redis.lean import LeanRedis
from tests.faults.disturbance import every
from tests.faults.proxy import Proxy
from tests.servers import Server, running_redis
from tests.stopwatch import within

THREADS = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    client = LeanRedis.from_url(server.url, socket_timeout=0.5)
    client.flushdb()
    yield client
    client.close()


def connections(client: Any) -> int:
    return sum(1 for each in client.client_list() if each["name"] != "observer")


def use_many(client: Any) -> None:
    """Have as many connections open as there are threads."""
    meeting = threading.Barrier(THREADS)

    def ask(_: int) -> None:
        meeting.wait(5)
        client.blpop("nothing", 0.1)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(ask, range(THREADS)))


def test_threads_get_their_own_answers(client: Any) -> None:
    for number in range(THREADS):
        client.set(f"key {number}", number)

    def ask(number: int) -> set[bytes]:
        return {client.get(f"key {number}") for _ in range(300)}

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(ask, range(THREADS)))

    assert answers == [{b"%d" % number} for number in range(THREADS)]
    assert connections(client) <= THREADS


def test_a_connection_is_used_again(client: Any) -> None:
    for _ in range(20):
        client.get("key")

    assert connections(client) == 1


def test_an_error_that_the_server_answers_costs_no_connection(client: Any) -> None:
    before = client.client_id()

    with pytest.raises(redis.ResponseError):
        client.execute_command("NO SUCH COMMAND")

    assert client.client_id() == before


def test_a_late_answer_is_not_taken_for_the_next(client: Any, server: Server) -> None:
    client.mset({"first": "1", "second": "2"})
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(redis.TimeoutError):
        client.get("first")
    os.kill(server.pid, signal.SIGCONT)

    assert client.get("second") == b"2"


def test_a_command_that_was_interrupted_leaves_no_answer_behind(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client: Any = LeanRedis.from_url(server.url)
    client.mset({"first": "1", "second": "2"})

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(redis.Connection, "read_response", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.get("first")

    assert client.get("second") == b"2"
    client.close()


def test_where_the_server_closed_all_idle_connections_only_one_command_fails(
    client: Any, server: Server
) -> None:
    use_many(client)
    other = redis.Redis.from_url(server.url, client_name="observer")
    for each in other.client_list(_type="normal"):
        if each["name"] != "observer":
            other.client_kill_filter(_id=each["id"])
    other.close()

    with pytest.raises(redis.ConnectionError):
        client.get("key")

    use_many(client)


def test_sessions_survive_that_the_server_closes_idle_connections(
    server: Server,
) -> None:
    backend = RedisBackend.from_url(server.url)
    use_many(backend._client)
    guarded = Guarded(backend)
    guarded.add("cell", b"data", 60)
    backend._client.client_kill_filter(_type="normal", skipme=True)
    backend._client.client_kill_filter(_id=backend._client.client_id())

    cell = guarded.get("cell")

    assert cell is not None
    assert cell.data == b"data"
    backend.close()


def test_a_forked_child_has_connections_of_its_own(client: Any) -> None:
    parent = client.client_id()
    reading, writing = os.pipe()

    if (child := os.fork()) == 0:
        os.write(writing, b"%d" % client.client_id())
        os._exit(0)
    os.waitpid(child, 0)

    assert int(os.read(reading, 20)) != parent
    assert client.client_id() == parent


def test_after_close_it_connects_anew(client: Any) -> None:
    before = client.client_id()

    client.close()

    assert client.client_id() != before


class Contested(list[Any]):
    """Seems to have one, but somebody else has always just taken it."""

    def __len__(self) -> int:
        return 1


def test_a_failure_is_told_also_where_others_take_the_connections(client: Any) -> None:
    client._idle = Contested()

    with pytest.raises((redis.DataError, TypeError)):
        client.get(object())


def test_a_limit_of_connections_outlives_failures(server: Server) -> None:
    limited = LeanRedis.from_url(server.url, max_connections=2, socket_timeout=0.05)
    for _ in range(5):
        with pytest.raises(redis.TimeoutError):
            limited.blpop("nothing", 0.5)

    assert limited.get("key") is None
    limited.close()


@pytest.mark.parametrize("path", ["?protocol=3", "?client_name=app"])
def test_all_that_greets_a_server_and_the_command_end_within_one_timeout(
    server: Server, path: str
) -> None:
    proxy = Proxy(server)
    url = f"{proxy.url}{path}&socket_timeout=1.5"
    client = RedisBackend.from_url(url)._client

    with (
        proxy.disturbed(when=every(1), before=lambda: time.sleep(0.9)) as slowness,
        within(1.5 + 1),
        pytest.raises(redis.TimeoutError),
    ):
        client.get("key")

    assert slowness.commands > 1, "it was not greeted"
    assert client.get("key") is None
    client.close()
    proxy.close()


def test_a_connection_to_what_became_a_replica_is_not_kept(
    tmp_path: Path, server: Server
) -> None:
    with running_redis(tmp_path) as demoted:
        client: Any = LeanRedis.from_url(demoted.url)
        before = client.client_id()
        client.replicaof(server.host, server.port)

        with pytest.raises(redis.ReadOnlyError):
            client.set("key", "1")

        assert client.client_id() != before
        client.close()
