"""What is asked of the servers, and what is said about them."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.cluster import LoadBalancingStrategy, RedisCluster
from redis.retry import Retry

from flask_srvsession import ConfigurationError
from flask_srvsession.backends.base import Cell
from flask_srvsession.backends.redis import RedisBackend
from flask_srvsession.backends.redis import backend as module
from flask_srvsession.backends.redis.clients import PunctualCluster, SafeSentinel
from flask_srvsession.backends.redis.deadline import PunctualSSLConnection, _Punctual
from tests.integration.probes import hanging
from tests.redis_topologies import (
    SERVICE,
    Cluster,
    Watched,
    eventually,
    one_sentinel,
    slot_of,
)
from tests.servers import HOST, free_port, running_redis
from tests.web import Browser

if TYPE_CHECKING:
    from flask import Flask

    from tests.conftest import MakeApp
    from tests.servers import Server

MINUTE = 60
ON_CLUSTER = pytest.mark.parametrize("servers", ["cluster"], indirect=True)
SCRIPTS = sorted(Path(module.__file__).parent.glob("*.lua"))
OLDEST = (6, 2)
"""The oldest Redis that the scripts are for; Valkey has begun with 7.2."""


def sessions_command(app: Flask, *args: str) -> Any:
    result = app.test_cli_runner().invoke(args=["sessions", *args, "--json"])
    return json.loads(result.stdout)


def test_one_primary_that_may_evict_is_enough_for_fenced_load(
    servers: Cluster | Watched,
) -> None:
    with servers.evicting(servers.primaries()[-1]):
        careful = RedisBackend.from_url(servers.url)
        assert careful.evicts
    careless = RedisBackend.from_url(servers.url)
    assert not careless.evicts
    for backend in (careful, careless):
        backend.close()


@ON_CLUSTER
def test_a_fenced_load_asks_a_cluster_two_things(
    backend: RedisBackend, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the record and for the head of the list: they are in different slots."""
    browser = Browser(make_app(backend, SRVSESSION_FENCED_LOAD=True))
    browser.set(user_id=42)
    browser.values()
    asked: list[str] = []
    ask = PunctualCluster.execute_command

    def note(client: Any, *args: Any, **options: Any) -> Any:
        asked.append(args[0])
        return ask(client, *args, **options)

    monkeypatch.setattr(PunctualCluster, "execute_command", note)
    browser.values()

    assert asked == ["GET", "ZRANGEBYSCORE"]


def test_the_command_line_checks_and_counts_all_primaries(
    servers: Cluster | Watched, make_app: MakeApp, backend: RedisBackend
) -> None:
    app = make_app(backend)

    found = {finding["key"] for finding in sessions_command(app, "check")}
    counted = sessions_command(app, "stats")

    keys = sum(servers.ask(server).dbsize() for server in servers.primaries())
    assert not any(key.startswith(("redis client", "storage")) for key in found)
    assert counted["keys"] == keys


def test_servers_and_sentinels_are_shown_their_own_credentials(
    servers: Cluster | Watched,
) -> None:
    names = {id(server): "app" for server in servers.members}
    for server in servers.processes:
        rules = [names.get(id(server), "asker"), "on", ">pw", "~*", "+@all"]
        servers.ask(server).execute_command("ACL SETUSER", *rules)
    url = servers.url.replace("://", "://app:pw@")
    if isinstance(servers, Watched):
        url += "?sentinel_username=asker&sentinel_password=pw"
    backend = RedisBackend.from_url(url)

    backend.add(uuid.uuid4().hex, b"data", MINUTE)
    seen = {
        client["user"]
        for server in servers.processes
        for client in servers.ask(server).client_list()
    }

    backend.close()
    for server in servers.processes:
        servers.ask(server).execute_command("ACL DELUSER", "app", "asker")
    assert "app" in seen
    assert ("asker" in seen) is isinstance(servers, Watched)


@pytest.fixture
def tls(tmp_path: Path) -> tuple[list[str], str]:
    """Return what a server needs for TLS, and what a URL does."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2"]
    command += ["-subj", "/CN=tests", "-addext", f"subjectAltName=IP:{HOST}"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    options = ["--tls-auth-clients", "no", "--tls-key-file", str(key)]
    options += ["--tls-cert-file", str(certificate)]
    options += ["--tls-ca-cert-file", str(certificate)]
    return options, f"socket_timeout=5&ssl_ca_certs={certificate}"


def test_nothing_is_left_to_read_of_a_new_connection_by_tls(
    tmp_path: Path, tls: tuple[list[str], str]
) -> None:
    """A pool would take the session ticket for a forgotten reply, and give up."""
    options, query = tls
    port = free_port()
    with running_redis(tmp_path, "--tls-port", str(port), *options):
        backend: Any = RedisBackend.from_url(f"rediss://{HOST}:{port}?{query}")
        connection = backend._client.connection_pool.make_connection()

        connection.connect()

        assert isinstance(connection, PunctualSSLConnection)
        assert not connection.can_read(timeout=0.2)
        connection.disconnect()
        backend.close()


def test_a_cluster_is_reached_by_tls(
    tmp_path: Path, tls: tuple[list[str], str]
) -> None:
    options, query = tls
    port = free_port()
    options += ["--cluster-enabled", "yes", "--tls-cluster", "yes"]
    options += ["--cluster-port", str(free_port())]
    with running_redis(tmp_path, "--tls-port", str(port), *options) as server:
        with redis.Redis(server.host, server.port) as admin:
            admin.cluster("addslotsrange", 0, 16383)
            eventually(lambda: admin.cluster("info")["cluster_state"] == "ok")
        backend = RedisBackend.from_url(f"rediss+cluster://{HOST}:{port}?{query}")

        token = backend.add("key", b"data", MINUTE)

        assert backend.get("key") == Cell(b"data", token)
        backend.close()


def test_sentinels_and_their_primary_are_reached_by_tls(
    tmp_path: Path, tls: tuple[list[str], str]
) -> None:
    options, query = tls
    to_server, to_sentinel = free_port(), free_port()
    pairs = zip(options[::2], options[1::2], strict=True)
    by_tls = [f"{name[2:]} {value}" for name, value in pairs]
    by_tls += [f"tls-port {to_sentinel}", "tls-replication yes"]
    with (
        running_redis(tmp_path, "--tls-port", str(to_server), *options),
        one_sentinel(tmp_path, to_server, *by_tls),
    ):
        url = f"rediss+sentinel://{HOST}:{to_sentinel}/{SERVICE}?{query}"
        backend = RedisBackend.from_url(url)

        token = backend.add("key", b"data", MINUTE)

        assert backend.get("key") == Cell(b"data", token)
        backend.close()


@ON_CLUSTER
def test_each_call_touches_one_slot(
    servers: Cluster, backend: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots: list[set[int]] = []

    def noting(self: Any, *args: Any, **options: Any) -> Any:
        keys = args[3 : 3 + int(args[2])] if args[0].startswith("EVAL") else args[1:2]
        slots.append({slot_of(key) for key in keys})
        return execute(self, *args, **options)

    backend.get("connected")
    cluster = type(backend._client._client())
    execute = cluster.execute_command
    monkeypatch.setattr(cluster, "execute_command", noting)

    token = backend.add("slots:a", b"data", MINUTE)
    backend.swap("slots:a", b"more", token, MINUTE)
    backend.get("slots:a")
    backend.delete("slots:a", b"12345678")
    backend.delete("slots:a")
    epoch = backend.index.epoch("slots:index")
    backend.index.add("slots:index", "slots:a", epoch, MINUTE)
    backend.index.head("slots:index")
    backend.index.members("slots:index", 9)
    backend.index.fence("slots:index")
    backend.index.remove("slots:index", ["slots:a"])

    assert len(slots) >= 10
    assert all(len(touched) == 1 for touched in slots)
    assert slots[-1] == slots[-2]


def test_many_keys_are_asked_for_in_one_trip_to_each_server(
    servers: Cluster | Watched,
    backend: RedisBackend,
    stored: dict[str, Cell],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def noting(self: Any, *args: Any, **options: Any) -> None:
        asked.append(self.port)
        send(self, *args, **options)

    backend.get_many([*stored])  # the connections are open
    send = _Punctual.send_packed_command
    monkeypatch.setattr(_Punctual, "send_packed_command", noting)

    cells = backend.get_many([*stored])

    assert cells == stored
    if isinstance(servers, Cluster):  # else there is one server
        assert sorted(asked) == sorted(server.port for server in servers.primaries())


def test_what_is_of_another_type_is_there_and_hides_nothing(
    servers: Cluster | Watched, backend: RedisBackend, stored: dict[str, Cell]
) -> None:
    key = next(iter(stored))
    backend.delete(key)
    backend._client.rpush(key, "a")

    cells = backend.get_many([*stored])

    backend.delete(key)
    assert cells == {**stored, key: Cell(b"", b"")}


@ON_CLUSTER
@pytest.mark.parametrize("prefix", ["app:", "{app}:", "{app:"])
def test_replicas_confirm_what_the_server_of_a_key_has_done(
    servers: Cluster, backend: RedisBackend, prefix: str
) -> None:
    key, name = f"{prefix}{uuid.uuid4().hex}", f"{prefix}index:{uuid.uuid4().hex}"
    backend.add(key, b"data", MINUTE)
    epoch = backend.index.epoch(name)
    backend.index.add(name, "member", epoch, MINUTE)

    assert backend.confirmed([key], 1) == 1
    assert backend.confirmed([name], 1) == 1
    with hanging(servers.replica_of(servers.owner(key))):
        assert backend.confirmed([key, name], 1) == 0


@ON_CLUSTER
def test_a_backend_that_was_closed_connects_again(servers: Cluster) -> None:
    backend = RedisBackend.from_url(servers.url)
    key = uuid.uuid4().hex
    token = backend.add(key, b"data", MINUTE)

    backend.close()

    assert backend.get(key) == Cell(b"data", token)
    backend.close()


@ON_CLUSTER
def test_an_unknown_script_is_taken_to_its_own_server_only(
    servers: Cluster, backend: RedisBackend
) -> None:
    healthy, broken = servers.primaries()[:2]
    key = next(f"k{n}" for n in range(999) if servers.owner(f"k{n}") is healthy)
    token = backend.add(key, b"data", MINUTE)
    servers.ask(healthy).script_flush()

    with hanging(broken):
        swapped = backend.swap(key, b"new", token, MINUTE)

    assert backend.get(key) == Cell(b"new", swapped)
    backend.delete(key)


def test_a_replica_that_a_sentinel_takes_for_the_primary_is_not_asked(
    redis_sentinel: Watched, tmp_path: Path
) -> None:
    replica = redis_sentinel.replica_of(redis_sentinel.primary)

    with one_sentinel(tmp_path, replica.port) as sentinel:
        backend = RedisBackend.from_url(
            f"redis+sentinel://{HOST}:{sentinel.port}/{SERVICE}"
        )
        with pytest.raises(redis.ConnectionError, match="named a replica"):
            backend.get("key")
        backend.close()


def test_no_sentinel_gets_lost_where_threads_ask_them_at_once() -> None:
    class Asked(redis.Redis):
        def __init__(self, name: str, answers: bool) -> None:
            super().__init__()
            self.name, self._answers = name, answers

        def sentinel_masters(self) -> Any:
            if not self._answers:
                raise redis.ConnectionError
            both.wait(5)
            state = dict.fromkeys(("is_sdown", "is_odown"), False)
            return {"s": {**state, "is_master": True, "ip": "h", "port": 1,
                          "num-other-sentinels": 2}}  # fmt: skip

    both = threading.Barrier(2)
    sentinels = SafeSentinel([])
    asked = [Asked("a", False), Asked("b", True), Asked("c", True)]
    sentinels.sentinels = [*asked]

    threads = [
        threading.Thread(target=sentinels.discover_master, args=["s"]) for _ in "12"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)

    assert {*map(id, sentinels.sentinels)} == {*map(id, asked)}


def test_a_cluster_client_that_repeats_commands_is_warned_about(
    redis_cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    node = redis_cluster.members[0]

    RedisBackend(RedisCluster(node.host, node.port)).close()
    assert "repeats a command" in caplog.text
    caplog.clear()
    calm = RedisCluster(node.host, node.port, retry=Retry(NoBackoff(), 0))
    RedisBackend(calm).close()
    assert caplog.text == ""


def test_a_redis_py_that_is_too_old_for_a_cluster_is_said_to_be(
    redis_cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    node = redis_cluster.members[0]
    monkeypatch.setattr(redis, "__version__", "7.3.1")

    with pytest.raises(ConfigurationError, match=r"redis-py 7\.4 or newer"):
        RedisBackend.from_url(redis_cluster.url)
    RedisBackend(RedisCluster(node.host, node.port)).close()

    assert "redis-py 7.4 or newer" in caplog.text


def test_a_cluster_client_that_asks_replicas_is_refused(redis_cluster: Cluster) -> None:
    node = redis_cluster.members[0]
    client = RedisCluster(
        node.host,
        node.port,
        load_balancing_strategy=LoadBalancingStrategy.ROUND_ROBIN,
    )

    with pytest.raises(ConfigurationError, match="reads from replicas"):
        RedisBackend(client)

    client.close()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_need_nothing_that_redis_6_2_lacks(
    path: Path, redis_server: Server
) -> None:
    calls = re.split(r"redis\.p?call\(", path.read_text())[1:]

    with redis.Redis(port=redis_server.port, protocol=3) as client:
        for command, *words in (re.findall(r"'([A-Z]+)'", call) for call in calls):
            [facts] = client.execute_command("COMMAND DOCS", command).values()
            since = {command: facts[b"since"], **dict(options_of(facts))}
            for word in {command, *words} & since.keys():
                assert version(since[word]) <= OLDEST, f"{command} {word} is too new"

    assert calls


def options_of(facts: Any, since: bytes = b"0") -> Iterator[tuple[str, bytes]]:
    """Yield each option of a command with the version that brought it."""
    for argument in facts.get(b"arguments", ()):
        introduced = argument.get(b"since", since)
        if b"token" in argument:
            yield argument[b"token"].decode(), introduced
        yield from options_of(argument, introduced)


def version(text: bytes) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(b"."))[:2]
