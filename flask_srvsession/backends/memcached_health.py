"""What is wrong with the memcached servers that sessions are in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .health import Finding, unencrypted

Facts = Mapping[str, Any]
"""What a server answers to ``stats``, and to ``stats settings``."""

_COUNTERS = {
    "items": "curr_items",
    "used_memory": "bytes",
    "maxmemory": "limit_maxbytes",
    "evicted_items": "evictions",
}


def check(
    servers: Sequence[tuple[str, int]],
    max_bytes: int | None,
    figures: Iterable[tuple[Facts, Facts]],
) -> Iterator[Finding]:
    """Yield what is to be mended; `figures` are of `servers`, in the same order."""
    yield from unencrypted("memcached: host", [host for host, _ in servers])
    for (host, port), (counters, settings) in zip(servers, figures, strict=True):
        yield from _of_counters(f"{host}:{port}", counters)
        yield from _of_settings(f"{host}:{port}", settings, max_bytes)


def stats(counters: Iterable[Facts]) -> dict[str, int]:
    """Return the sums over all servers; they hold what others store there, too.

    memcached cannot list keys, so it cannot tell how many of them are sessions.
    """
    facts = list(counters)
    return {
        name: sum(int(fact.get(counter, 0)) for fact in facts)
        for name, counter in _COUNTERS.items()
    }


def _of_counters(server: str, counters: Facts) -> Iterator[Finding]:
    if evictions := int(counters.get("evictions", 0)):
        yield Finding(
            "warning",
            "memcached: evictions",
            f"{server} has thrown out {evictions} items since it started: people were"
            " logged out.",
            "Give it more memory (-m), or fewer other items.",
        )


def _of_settings(
    server: str, settings: Facts, max_bytes: int | None
) -> Iterator[Finding]:
    if settings.get("cas_enabled") == "no":
        yield Finding(
            "error",
            "memcached: cas_enabled",
            f"{server} runs without CAS (-C): sessions cannot be changed safely.",
            "Start it without -C.",
        )
    longest = int(settings.get("item_size_max", 0))
    if max_bytes and 0 < longest < max_bytes:
        yield Finding(
            "warning",
            "memcached: item_size_max",
            f"{server} takes items of {longest} bytes, but up to {max_bytes} are sent:"
            " a large session could not be saved.",
            f"Start it with -I {max_bytes}, or say so in the URL: ?max_bytes=...",
        )
