"""What a request costs its storage: commands, and bytes on the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import redis
from pymemcache.client.base import Client

from tests.integration.probes import MemcachedStats, RedisMonitor
from tests.servers import Server

from .contenders import Stores
from .runner import Case, Results

REQUESTS = 20

Counters = Callable[[], tuple[int, int]]
"""Bytes to the server and from it, since it started."""


@dataclass(frozen=True)
class Cost:
    """Of one request: the commands, in order, and bytes."""

    commands: tuple[str, ...]
    sent: float
    received: float


def costs(results: Results, stores: Stores) -> dict[tuple[str, str, str], Cost]:
    """Count what each case with a server costs it."""
    in_redis = redis.Redis.from_url(stores.redis.url)
    in_memcached = Client((stores.memcached.host, stores.memcached.port))

    def through_redis() -> tuple[int, int]:
        info = in_redis.info("stats")
        return info["total_net_input_bytes"], info["total_net_output_bytes"]

    def through_memcached() -> tuple[int, int]:
        stats = in_memcached.stats()
        return stats[b"bytes_read"], stats[b"bytes_written"]

    found = {}
    for key, case in results.cases.items():
        if ", Redis" in case.contender:
            sent, received = _bytes(case, through_redis)
            commands = _of_redis(case, stores.redis)
        elif ", memcached" in case.contender:
            sent, received = _bytes(case, through_memcached)
            commands = _of_memcached(case, stores.memcached)
        else:
            continue
        found[key] = Cost(commands, sent, received)
    return found


def _bytes(case: Case, count: Counters) -> tuple[float, float]:
    """Count around the requests, and around nothing."""
    case.run(1)
    count()
    idle = _between(count(), count())
    before = count()
    case.run(REQUESTS)
    whole = _between(before, count())
    return (whole[0] - idle[0]) / REQUESTS, (whole[1] - idle[1]) / REQUESTS


def _between(before: tuple[int, int], after: tuple[int, int]) -> tuple[int, int]:
    return after[0] - before[0], after[1] - before[1]


def _of_redis(case: Case, server: Server) -> tuple[str, ...]:
    monitor = RedisMonitor(server)
    case.run(1)
    commands = monitor.taken()
    monitor.close()
    return tuple(commands)


def _of_memcached(case: Case, server: Server) -> tuple[str, ...]:
    stats = MemcachedStats(server)
    case.run(1)
    counted = {**stats.taken()}
    if "add" in counted:  # what sets in any way, without cas
        counted["set"] = counted.pop("add")
    return tuple(name for name, count in counted.items() for _ in range(count))
