"""Faults of a Redis or Valkey server, and of the client that asks it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import redis
from redis.sentinel import SentinelConnectionPool

from ..health import Finding, a_warning, an_error, clock, unencrypted
from .clients import (
    TOO_OLD_FOR_CLUSTER,
    is_cluster,
    primaries,
    timeout,
    too_old_for_cluster,
)
from .deadline import deadline

_COUNTERS = ("used_memory", "maxmemory", "expired_keys", "evicted_keys")


def check(client: Any) -> list[Finding]:
    """Return the faults, those of all primaries of a cluster, each once."""
    found = [
        finding
        for node in primaries(client)
        for finding in (*_of_server(node), *_of_transport(node))
    ]
    return [*of_client(client), *dict.fromkeys(found)]


def stats(client: Any) -> dict[str, int]:
    """Return how many keys the database has, those of others too, and the figures of
    INFO.

    The keys of one prefix cannot be counted without looking at all of them.
    """
    total: dict[str, int] = {"keys": 0}
    for node in primaries(client):
        total["keys"] += node.dbsize()
        info = _info(node)
        for name in _COUNTERS:
            if name in info:
                total[name] = total.get(name, 0) + int(info[name])
    return total


def any_evicts(client: Any) -> tuple[bool, bool]:
    """Return whether a primary may throw out live keys, and whether all answered.

    True as well where one does not say, or not answer. Raises the error of a primary if
    none answers.
    """
    answers, failure = list[bool](), None
    with deadline(timeout(client)):
        for node in primaries(client):
            try:
                answers.append(_may_evict(_info(node, "memory")))
            except redis.RedisError as error:
                failure = error
    if failure and not answers:
        raise failure
    return any(answers) or failure is not None, failure is None


def of_client(client: Any) -> Iterator[Finding]:
    """Yield the faults of the client itself, without asking a server."""
    if is_cluster(client) and too_old_for_cluster():
        yield a_warning(
            "redis client: version",
            TOO_OLD_FOR_CLUSTER,
            'Install a newer one: pip install "redis>=7.4".',
        )
    retry = client.retry if is_cluster(client) else client.get_retry()
    if retry and (retries := retry.get_retries()) > 0:
        yield a_warning(
            "redis client: retry",
            f"The Redis client repeats a command up to {retries} times: a"
            " request may hang for long, and a command may be executed twice.",
            "Build it with retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0).",
        )


def _of_transport(node: Any) -> Iterator[Finding]:
    pool = node.connection_pool
    if pool.connection_kwargs.get("socket_timeout", 0) is None:
        yield a_warning(
            "redis client: socket_timeout",
            "The client waits for ever for a server that does not answer.",
            "Build it with socket_timeout=1 and socket_connect_timeout=1.",
        )
    safe = (redis.SSLConnection, redis.UnixDomainSocketConnection)
    if not issubclass(pool.connection_class, safe):
        yield from unencrypted("redis client: host", [_address(node)[0]])


def _of_server(node: Any) -> Iterator[Finding]:
    info = _info(node)
    if info.get("role") == "slave":
        yield an_error(
            "redis: role",
            "The server is a replica: it refuses changes, and may still have sessions"
            " that were ended.",
            "Connect to the primary, with Sentinel's master_for for example.",
        )
    asked = time.time()
    with suppress(redis.ResponseError):  # some script needs TIME, and will tell
        seconds, microseconds = node.time()
        told = seconds + microseconds / 1_000_000
        yield from clock(server(node), told, asked)


def server(client: Any) -> str:
    """Return where the server is, without asking anybody; as a service of Sentinel's
    before it is found. Of a cluster, the nodes that were named."""
    if is_cluster(client):
        return str(vars(client).get("hosts", ""))
    return ":".join(filter(None, _address(client)))


def _address(node: Any) -> tuple[str, str]:
    """Return host and port; of a socket the path, and no port."""
    pool = node.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        host, port = pool.master_address or (pool.service_name, "")
    else:
        options = pool.connection_kwargs
        host = options.get("path") or options.get("host", "localhost")
        port = options.get("port", "")
    return str(host), str(port)


def _info(node: Any, *sections: str) -> Mapping[str, Any]:
    """Return the answer to INFO, nothing where the server does not let us ask."""
    try:
        info: Mapping[str, Any] = node.info(*sections)
    except redis.ResponseError:
        return {}
    return info


def _may_evict(info: Mapping[str, Any]) -> bool:
    return info.get("maxmemory") != 0 and info.get("maxmemory_policy") != "noeviction"
