"""Redis in several processes: a cluster, and a primary that sentinels watch over."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
import redis
from redis.crc import key_slot

from .servers import HOST, REDIS, Server, binary, free_port

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = "sessions"
PATIENCE = 30.0
"""Seconds; what has not come about by then is stuck."""

FAILED_AFTER = 1000
"""Milliseconds of silence after which a primary is replaced."""
PATIENT = 15000
"""The same while nothing is to fail: a computer may be too busy to answer."""
_SLOTS = 16384
_REDIS = ["--bind", HOST, "--save", "", "--appendonly", "no"]
_REDIS += ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]


@dataclass
class Servers:
    """Servers that keep the same data; each can be stopped, and is healed again."""

    members: list[Server]
    _clients: dict[int, redis.Redis] = field(default_factory=dict, repr=False)

    def ask(self, server: Server) -> redis.Redis:
        """Return a client of that very server."""
        known = self._clients.get(server.port)
        if known is None:
            known = redis.Redis(server.host, server.port, protocol=2, socket_timeout=5)
            self._clients[server.port] = known
        return known

    def running(self) -> list[Server]:
        return [server for server in self.members if server.process]

    def primaries(self) -> list[Server]:
        """Return those that run and take changes."""
        return [s for s in self.running() if self.ask(s).info()["role"] == "master"]

    @property
    def processes(self) -> list[Server]:
        """All that there is to them."""
        return self.members

    def replica_of(self, primary: Server) -> Server:
        """Return its only replica."""
        replica: Any = self.ask(primary).info("replication")["slave0"]
        return self.at(replica["port"])

    def at(self, port: int) -> Server:
        return next(server for server in self.members if server.port == port)

    @contextmanager
    def evicting(self, *servers: Server) -> Iterator[None]:
        """Let those throw out keys when they are full."""
        self._configure(servers, "100mb", "allkeys-lru")
        try:
            yield
        finally:
            self._configure(servers, "0", "noeviction")

    def _configure(self, servers: Iterable[Server], memory: str, policy: str) -> None:
        for client in map(self.ask, servers):
            client.config_set("maxmemory", memory)
            client.config_set("maxmemory-policy", policy)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        for server in self.members:
            server.stop()

    def _is_replicated(self, primary: Server, replicas: int = 1) -> bool:
        info = self.ask(primary).info("replication")
        online = [v for k, v in info.items() if k.startswith("slave") and "state" in v]
        return [replica["state"] for replica in online] == ["online"] * replicas


@dataclass
class Cluster(Servers):
    """A cluster, which begins with three primaries and a replica of each."""

    @property
    def url(self) -> str:
        hosts = ",".join(f"{server.host}:{server.port}" for server in self.members)
        return f"redis+cluster://{hosts}"

    def owner(self, key: str) -> Server:
        """Return the primary that has `key`, once all that are up agree."""
        slot = slot_of(key)
        eventually(lambda: len(self._owners(slot)) == 1)
        return self.at(self._owners(slot).pop())

    def heal(self) -> None:
        """Start what was stopped; return when all shards are whole.

        A primary that came back before it was replaced would have forgotten all.
        """
        eventually(self._is_replaced)
        for server in self.members:
            if not server.process:
                server.start()
        eventually(self.is_whole)
        self.replace_after(PATIENT)

    def replace_after(self, milliseconds: int) -> None:
        """From now on replace a primary that has been silent for so long."""
        for server in self.members:
            self.ask(server).config_set("cluster-node-timeout", milliseconds)

    def _is_replaced(self) -> bool:
        views = {self._view(server) for server in self.running()}
        return len(views) == 1 and all(self.at(p).process for *_, p in views.pop())

    def is_whole(self) -> bool:
        return (
            all(map(self._is_ok, self.members))
            and len({self._view(server) for server in self.members}) == 1
            and all(map(self._is_replicated, self.primaries()))
        )

    def create(self) -> None:
        """Make one cluster of the servers, which know nothing of each other yet."""
        primaries, replicas = self.members[::2], self.members[1::2]
        for number, primary in enumerate(primaries):
            share = [_SLOTS * n // len(primaries) for n in (number, number + 1)]
            self.ask(primary).cluster("addslotsrange", share[0], share[1] - 1)
            self.ask(primary).cluster("set-config-epoch", number + 1)
        for one, other in permutations(self.members, 2):
            self.ask(one).cluster("meet", other.host, other.port, bus_port(other))
        for primary, replica in zip(primaries, replicas, strict=True):
            eventually(partial(self._replicates, replica, primary))
        eventually(self.is_whole)

    def begin_to_move(self, slot: int, source: Server, target: Server) -> None:
        """Let `target` take what `source` does not have of the slot any more."""
        self.ask(target).cluster("setslot", slot, "importing", self._id(source))
        self.ask(source).cluster("setslot", slot, "migrating", self._id(target))

    def move_keys(self, slot: int, source: Server, target: Server) -> None:
        while keys := self.ask(source).cluster("getkeysinslot", slot, 100):
            self.ask(source).migrate(target.host, target.port, keys, 0, 5000)

    def end_move(self, slot: int, source: Server, target: Server) -> None:
        """Tell everybody that the slot is the target's."""
        for server in (target, source, *self.primaries()):
            self.ask(server).cluster("setslot", slot, "node", self._id(target))

    @contextmanager
    def with_one_more(self, directory: Path) -> Iterator[Server]:
        """Let a primary without slots join for the block."""
        newcomer = _cluster_node(directory)
        self.members.append(newcomer)
        newcomer.start()
        try:
            for member in self.members[:-1]:
                address = (member.host, member.port, bus_port(member))
                self.ask(newcomer).cluster("meet", *address)
            eventually(lambda: len({self._view(s) for s in self.members}) == 1)
            eventually(
                lambda: self.ask(newcomer).cluster("info")["cluster_state"] == "ok"
            )
            yield newcomer
            for first, last, port in self._view(newcomer):
                for slot in range(first, last + 1) if port == newcomer.port else ():
                    self._move(slot, newcomer, self.primaries()[0])
            its_id = self._id(newcomer)
        finally:
            self.members.remove(newcomer)
            newcomer.stop()
        for member in self.members:
            self.ask(member).cluster("forget", its_id)

    def _move(self, slot: int, source: Server, target: Server) -> None:
        self.begin_to_move(slot, source, target)
        self.move_keys(slot, source, target)
        self.end_move(slot, source, target)

    def _replicates(self, replica: Server, primary: Server) -> bool:
        try:
            self.ask(replica).cluster("replicate", self._id(primary))
        except redis.ResponseError:  # it does not know that node yet
            return False
        return True

    def _is_ok(self, server: Server) -> bool:
        """Return whether it sees all others, and nothing wrong with them."""
        info = self.ask(server).cluster("info")
        return info["cluster_state"] == "ok" and all(
            info[f"cluster_slots_{wrong}"] == "0" for wrong in ("fail", "pfail")
        )

    def _id(self, server: Server) -> str:
        known: bytes = self.ask(server).execute_command("CLUSTER MYID")
        return known.decode()

    def _owners(self, slot: int) -> set[int]:
        views = [self._view(server) for server in self.running()]
        return {port for v in views for a, b, port in v if a <= slot <= b}

    def _view(self, server: Server) -> frozenset[tuple[int, int, int]]:
        """Return first slot, last slot and port of whose they are."""
        slots = self.ask(server).cluster("slots")
        return frozenset((a, b, primary[1]) for a, b, primary, *_ in slots)


@dataclass
class Watched(Servers):
    """A primary and a replica; sentinels let the one take over from the other."""

    sentinels: list[Server] = field(default_factory=list)

    @property
    def url(self) -> str:
        hosts = ",".join(f"{server.host}:{server.port}" for server in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    @property
    def primary(self) -> Server:
        """The one that all sentinels name."""
        named = {self._named_by(sentinel) for sentinel in self.sentinels}
        assert len(named) == 1, "the sentinels do not agree"
        return self.at(named.pop())

    @property
    def processes(self) -> list[Server]:
        return [*self.sentinels, *self.members]

    def heal(self) -> None:
        """Start what was stopped; return when the sentinels see all that there is.

        A primary that came back before it was replaced would have forgotten all. One
        that comes back later would be told by sentinels, too, but after seconds.
        """
        eventually(self._is_replaced)
        primary = self.primary
        for server in self.members:
            if not server.process:
                server.start()
            if server is not primary:
                self.ask(server).replicaof(HOST, primary.port)
        eventually(self.is_whole)
        self.replace_after(PATIENT)

    def replace_after(self, milliseconds: int) -> None:
        """From now on replace a primary that has been silent for so long."""
        for sentinel in self.sentinels:
            change = ("SENTINEL", "SET", SERVICE, "down-after-milliseconds")
            self.ask(sentinel).execute_command(*change, milliseconds)

    def _is_replaced(self) -> bool:
        named = {self._named_by(sentinel) for sentinel in self.sentinels}
        return len(named) == 1 and bool(self.at(named.pop()).process)

    def is_whole(self) -> bool:
        named = {self._named_by(sentinel) for sentinel in self.sentinels}
        if len(named) > 1 or not self._is_replicated(self.at(named.pop())):
            return False
        return all(self._sees_all(sentinel) for sentinel in self.sentinels)

    def close(self) -> None:
        for sentinel in self.sentinels:
            sentinel.stop()
        super().close()

    def _named_by(self, sentinel: Server) -> int:
        ask = self.ask(sentinel).execute_command
        _, port = ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return int(port)

    def _sees_all(self, sentinel: Server) -> bool:
        primary = self._facts(sentinel, "MASTER")
        replica = self._facts(sentinel, "REPLICAS")
        return (
            primary["flags"] == "master"
            and primary["num-other-sentinels"] == str(len(self.sentinels) - 1)
            and replica["flags"] == "slave"
        )

    def _facts(self, sentinel: Server, about: str) -> dict[str, str]:
        """Return what the sentinel knows of the primary, or of its only replica."""
        facts: Any = self.ask(sentinel).execute_command("SENTINEL", about, SERVICE)
        if about == "REPLICAS":
            [facts] = facts
        texts = [fact.decode() for fact in facts]
        return dict(zip(texts[::2], texts[1::2], strict=True))


@contextmanager
def running_cluster(directory: Path, *options: str) -> Iterator[Cluster]:
    """Run a cluster of three primaries and three replicas."""
    with ExitStack() as stack:
        cluster = Cluster([_cluster_node(directory, *options) for _ in range(6)])
        stack.callback(cluster.close)
        for server in cluster.members:
            server.start()
        cluster.create()
        cluster.replace_after(PATIENT)
        yield cluster


@contextmanager
def running_sentinel(directory: Path, *options: str) -> Iterator[Watched]:
    """Run a primary and a replica of it, and three sentinels."""
    with ExitStack() as stack:
        primary, replica = (_server(directory, free_port(), *options) for _ in range(2))
        watched = Watched([primary, replica])
        stack.callback(watched.close)
        primary.start()
        replica.start()
        watched.ask(replica).replicaof(HOST, primary.port)
        eventually(lambda: watched._is_replicated(primary))
        watched.sentinels = _sentinels(directory, primary, replica)
        for sentinel in watched.sentinels:
            sentinel.start()
        eventually(watched.is_whole)
        watched.replace_after(PATIENT)
        yield watched


@contextmanager
def one_sentinel(directory: Path, port: int, *options: str) -> Iterator[Server]:
    """Run a sentinel that takes what is at `port` for a primary that never fails."""
    lines = [
        *options,
        f"sentinel monitor {SERVICE} {HOST} {port} 1",
        f"sentinel down-after-milliseconds {SERVICE} 60000",
    ]
    sentinel = _sentinel(directory, free_port(), lines)
    try:
        sentinel.start()
        yield sentinel
    finally:
        sentinel.stop()


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster for all tests; who breaks it heals it."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def redis_sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A primary, a replica and sentinels for all tests; who breaks them heals them."""
    with running_sentinel(tmp_path_factory.mktemp("sentinel")) as watched:
        yield watched


def eventually(holds: Callable[[], Any], patience: float = PATIENCE) -> None:
    """Wait until `holds()` is true; while servers change, it may raise RedisError."""
    ends = time.monotonic() + patience
    while True:
        try:
            if holds():
                return
        except redis.RedisError:
            pass
        assert time.monotonic() < ends, "it does not come about"
        time.sleep(0.05)


def slot_of(key: str) -> int:
    slot: int = key_slot(key.encode())
    return slot


def bus_port(server: Server) -> int:
    """Return the port at which the other servers of its cluster reach it."""
    return int(server.command[server.command.index("--cluster-port") + 1])


def _server(directory: Path, port: int, *options: str) -> Server:
    home = directory / f"{port}"
    home.mkdir()
    command = [binary(REDIS), *_REDIS, "--port", str(port)]
    return Server("redis", port, [*command, "--dir", str(home), *options])


def _cluster_node(directory: Path, *options: str) -> Server:
    cluster = ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    cluster += ["--cluster-node-timeout", str(FAILED_AFTER)]
    cluster += ["--cluster-replica-validity-factor", "0"]
    cluster += ["--cluster-allow-replica-migration", "no"]
    return _server(directory, free_port(), *cluster, *options)


def _sentinels(directory: Path, primary: Server, replica: Server) -> list[Server]:
    """Return sentinels that know each other already: to meet takes them seconds."""
    ids = {free_port(): secrets.token_hex(20) for _ in range(3)}
    servers = []
    for port, myid in ids.items():
        others = [f"{p} {i}" for p, i in ids.items() if p != port]
        lines = [
            f"sentinel myid {myid}",
            f"sentinel monitor {SERVICE} {HOST} {primary.port} 2",
            f"sentinel down-after-milliseconds {SERVICE} {FAILED_AFTER}",
            f"sentinel failover-timeout {SERVICE} 1500",
            f"sentinel known-replica {SERVICE} {HOST} {replica.port}",
            *(f"sentinel known-sentinel {SERVICE} {HOST} {other}" for other in others),
        ]
        servers.append(_sentinel(directory, port, lines))
    return servers


def _sentinel(directory: Path, port: int, lines: list[str]) -> Server:
    path = directory / f"sentinel-{port}.conf"
    path.write_text("\n".join([f"bind {HOST}", f"port {port}", *lines, ""]))
    return Server("redis", port, [binary(REDIS), str(path), "--sentinel"])
