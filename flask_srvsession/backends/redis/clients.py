"""redis-py's clients for the URLs of Redis and Valkey: one server, Sentinel, Cluster.

They repeat nothing by themselves, ask no replica, and contact nobody before they are
used.
"""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel

from ...errors import ConfigurationError
from .deadline import (
    TIMEOUT,
    PunctualConnection,
    PunctualSentinelConnection,
    PunctualSentinelSSLConnection,
    PunctualSSLConnection,
    PunctualUnixConnection,
    deadline,
    left,
)
from .lean import LeanRedis

UNLIMITED = 2**31
"""Connections: each thread needs one. redis-py 8 would fail from the 101st on."""
TOO_OLD_FOR_CLUSTER = (
    f"A cluster needs redis-py 7.4 or newer, and this is {redis.__version__}: when a"
    " server fails, its threads close the connections that others are using."
)
_ALIASES = {"valkey": "redis", "valkeys": "rediss"}
_PORT, _SENTINEL_PORT = 6379, 26379
_CONNECTIONS = {
    "redis": PunctualConnection,
    "rediss": PunctualSSLConnection,
    "unix": PunctualUnixConnection,
}
_BY_SENTINEL = {
    "redis": PunctualSentinelConnection,
    "rediss": PunctualSentinelSSLConnection,
}

_REFUSALS = (ValueError, TypeError, KeyError, redis.RedisError)

_Address = tuple[str, int]


def client_from_url(url: str) -> Any:
    """Return a client with timeouts of a second and without retries.

    The query of the URL goes first (``?socket_timeout=0.5``).
    """
    scheme, _, rest = url.partition("://")
    protocol, _, topology = scheme.lower().partition("+")
    build, example = _TOPOLOGIES[topology]
    url = f"{_ALIASES.get(protocol, protocol)}://{rest}"
    try:
        return build(url)
    except ConfigurationError:
        raise
    except _REFUSALS:
        # The reason may repeat a piece of the URL, and so of the password.
        if option := _wrong_option(build, *url.split("?", 1)):
            raise ConfigurationError(
                f"The option {option} of this {scheme.lower()}:// URL is none of"
                " redis-py's connections, or its value cannot be used."
            ) from None
        raise ConfigurationError(
            f"This {scheme.lower()}:// URL cannot be understood. It looks like"
            f" {scheme.lower()}://[user:password@]{example}, with special characters"
            " in the password percent-encoded, and options of redis-py's connections"
            " as its query."
        ) from None


def _wrong_option(build: Callable[[str], Any], address: str, query: str = "") -> str:
    """Return the name of the option that is refused even alone, or "".

    With an @ it may be no option, but a password whose ? is not encoded.
    """
    options = [] if "@" in query else [("", ""), *parse_qsl(query, True)]
    for name, value in options:
        try:
            build(f"{address}?{urlencode({name: value} if name else {})}")
        except _REFUSALS:
            return name  # none if the address alone is refused
    return ""


def is_cluster(client: Any) -> bool:
    return isinstance(client, (RedisCluster, LazyCluster))


def too_old_for_cluster() -> bool:
    """Return whether this redis-py makes bare errors of a server's failure."""
    return tuple(map(int, redis.__version__.split(".")[:2])) < (7, 4)


def timeout(client: Any) -> float:
    """Return how many seconds a command may take, a second where nothing is said."""
    return client.get_connection_kwargs().get("socket_timeout") or TIMEOUT


def refuse_text(client: Any) -> None:
    """Raise ConfigurationError if a client, or its pool, decodes the replies."""
    if client.get_encoder().decode_responses:
        raise ConfigurationError(
            "The Redis client has decode_responses=True, but sessions are bytes."
            " Use a client of its own, built without decode_responses."
        )


def primaries(client: Any) -> list[Any]:
    """Return a client for each server that sessions may be on now."""
    if not is_cluster(client):
        return [client]
    with deadline(timeout(client)):
        client.nodes_manager.initialize()  # it may remember those before a failover
    return [client.get_redis_connection(node) for node in client.get_primaries()]


class PunctualCluster(RedisCluster):
    """A client whose ``socket_timeout`` is for all that a command has to wait for, and
    that follows ASK to a node without slots."""

    def __init__(self, **options: Any) -> None:
        self._newcomers: dict[str, ClusterNode] = {}
        super().__init__(**options)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        with deadline(self.get_connection_kwargs()["socket_timeout"]):
            if args == ("COMMAND",):
                return self._answer_of_any(*args, **options)
            return super().execute_command(*args, **options)

    def _answer_of_any(self, *args: Any, **options: Any) -> Any:
        """Ask the next primary if one does not answer.

        redis-py asks for COMMAND while it is made, and only the primary of the first
        slot: while that is down, no new process could use the others.
        """
        *others, last = self.get_primaries()
        for node in others:
            with suppress(redis.ConnectionError, redis.TimeoutError):
                return super().execute_command(*args, target_nodes=node, **options)
        return super().execute_command(*args, target_nodes=last, **options)

    def get_node(
        self, host: Any = None, port: Any = None, node_name: Any = None
    ) -> Any:
        # redis-py knows the nodes that have slots; one that gets its first slot is
        # None to it, and it would ask that.
        known = super().get_node(host, port, node_name)
        if known or not node_name:
            return known
        name, _, number = node_name.rpartition(":")
        newcomer = ClusterNode(name, int(number), "primary")
        return self._newcomers.setdefault(node_name, newcomer)


class LazyCluster:
    """A cluster's client that is made at its first use: redis-py's asks the cluster.

    Each process makes its own: in one that was forked, a lock may be held for ever.
    """

    def __init__(
        self, make: Callable[[], RedisCluster], timeout: float, hosts: str = ""
    ) -> None:
        self.hosts = hosts
        self._make = make
        self._timeout = timeout
        self._made: dict[int, RedisCluster] = {}
        self._making: dict[int, threading.Lock] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client(), name)

    def close(self) -> None:
        """Close the connections; the next use makes another client."""
        if made := self._made.pop(os.getpid(), None):
            made.close()

    def _client(self) -> RedisCluster:
        process = os.getpid()
        if made := self._made.get(process):
            return made
        making = self._making.setdefault(process, threading.Lock())
        with deadline(self._timeout):
            if not making.acquire(timeout=left()):
                raise redis.TimeoutError("The cluster does not answer in time")
            try:
                made = self._made[process] = self._made.get(process) or self._make()
            finally:
                making.release()
        return made


class SafeSentinel(Sentinel):
    """Sentinels that several threads may ask at once."""

    def discover_master(self, service_name: str) -> _Address:
        # redis-py moves the one that answers to the front of the list that all read,
        # in two steps: one of the sentinels could get lost.
        own = copy.copy(self)
        own.sentinels = list(self.sentinels)
        address: _Address = Sentinel.discover_master(own, service_name)
        self.sentinels = own.sentinels
        return address


def _for_server(url: str) -> Any:
    client = LeanRedis.from_url(url, **_ours())
    pool = client.connection_pool
    pool.connection_class = _CONNECTIONS[url.partition(":")[0]]
    _try_options(pool)
    return client


def _for_sentinel(url: str) -> Any:
    parts = urlsplit(url)
    account, at, hosts = parts.netloc.rpartition("@")
    service, _, database = unquote(parts.path)[1:].partition("/")
    if not service:
        raise ValueError("no service")
    for_sentinels, for_primary = _divided(parts.query)
    sentinels = SafeSentinel([])
    for host in hosts.split(","):
        (name, port), options = _parse(f"{parts.scheme}://{host}?{for_sentinels}")
        pool = redis.ConnectionPool(
            connection_class=_CONNECTIONS[parts.scheme],
            host=name,
            port=port or _SENTINEL_PORT,
            **options,
        )
        _try_options(pool)
        sentinels.sentinels.append(LeanRedis(connection_pool=pool))
    _, options = _parse(f"{parts.scheme}://{account}{at}-?{for_primary}")
    if database:
        options["db"] = int(database)
    client = sentinels.master_for(
        service,
        redis_class=LeanRedis,
        connection_class=_BY_SENTINEL[parts.scheme],
        redis_connect_func=_demand_primary,
        **options,
    )
    _try_options(client.connection_pool)
    return client


def _for_cluster(url: str) -> Any:
    if too_old_for_cluster():
        raise ConfigurationError(TOO_OLD_FOR_CLUSTER)
    parts = urlsplit(url)
    connection_class = _CONNECTIONS[parts.scheme]
    account, at, hosts = parts.netloc.rpartition("@")
    if parts.path not in ("", "/", "/0"):
        raise ValueError("a cluster has no databases")
    nodes = []
    for host in hosts.split(","):
        address, options = _parse(f"{parts.scheme}://{account}{at}{host}?{parts.query}")
        nodes.append(address)
    _try_options(redis.ConnectionPool(connection_class=connection_class, **options))

    def make() -> RedisCluster:
        return PunctualCluster(
            # A URL, even without anything in it, lets redis-py take our connections.
            url=f"redis://{hosts.split(',')[0]}",
            startup_nodes=[ClusterNode(h, p or _PORT) for h, p in nodes[1:]],
            connection_class=connection_class,
            **options,
        )

    return LazyCluster(make, options["socket_timeout"], hosts)


_TOPOLOGIES: dict[str, tuple[Callable[[str], Any], str]] = {
    "": (_for_server, "host:port/database"),
    "sentinel": (_for_sentinel, "host:port,host:port/service/database"),
    "cluster": (_for_cluster, "host:port,host:port"),
}


def _ours() -> dict[str, Any]:
    return {
        "protocol": 2,  # a server need not be asked whether it speaks it
        "socket_timeout": TIMEOUT,
        "socket_connect_timeout": TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": UNLIMITED,
    }


def _parse(url: str) -> tuple[tuple[str, int | None], dict[str, Any]]:
    """Return host and port, and the options of a connection; ours where it has none."""
    options = {**_ours(), **parse_url(url)}
    options.pop("connection_class", None)
    return (options.pop("host"), options.pop("port", None)), options


def _divided(query: str) -> tuple[str, str]:
    """Return the options for sentinels and those for the primary.

    Timeouts and TLS are the same for both unless a ``sentinel_`` says otherwise.
    """
    given = parse_qsl(query, keep_blank_values=True)
    prefix = "sentinel_"
    special = [(n.removeprefix(prefix), v) for n, v in given if n.startswith(prefix)]
    common = [(n, v) for n, v in given if not n.startswith(prefix)]
    shared = [(n, v) for n, v in common if n.startswith(("socket_", "ssl_"))]
    return urlencode(special + shared), urlencode(common)


def _try_options(pool: redis.ConnectionPool) -> None:
    """Raise the error that a connection with these options would raise at first use."""
    refuse_text(pool)
    pool.connection_class(**pool.connection_kwargs)


def _demand_primary(connection: Any) -> None:
    """Greet the server that the sentinels have named, unless it is a replica by now."""
    connection.on_connect()
    connection.send_command("ROLE")
    try:
        role, *_ = connection.read_response()
    except redis.ResponseError:
        return  # it does not say
    if role not in (b"master", "master"):
        raise redis.ConnectionError("The sentinels have named a replica")
