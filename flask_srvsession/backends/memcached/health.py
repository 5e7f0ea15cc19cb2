"""Faults of the memcached servers that sessions are in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..health import Finding, clock, unencrypted

Facts = Mapping[str, Any]
"""The answer of a server to ``stats``."""

_LATE = 3.0
"""Seconds by which memcached's ``time`` may be late though its clock is right: it adds
two times in whole seconds, and the second one is of its last tick."""
_COUNTERS = {
    "items": "curr_items",
    "used_memory": "bytes",
    "maxmemory": "limit_maxbytes",
    "evicted_items": "evictions",
}


def check(
    servers: Sequence[tuple[str, int]], facts: Callable[[], Iterable[Facts]]
) -> Iterator[Finding]:
    """Yield the faults of the servers; `facts` asks `servers`, in the same order."""
    yield from unencrypted("memcached: host", [host for host, _ in servers])
    asked = time.time()
    for (host, port), counters in zip(servers, facts(), strict=True):
        yield from clock(f"{host}:{port}", int(counters["time"]), asked, _LATE)


def stats(counters: Iterable[Facts]) -> dict[str, int]:
    """Return the sums over all servers; they count the items of others, too.

    How many of them are sessions is not told: all keys would have to be listed.
    """
    facts = list(counters)
    return {
        name: sum(int(fact.get(counter, 0)) for fact in facts)
        for name, counter in _COUNTERS.items()
    }
