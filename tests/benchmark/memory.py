"""How much of Redis a session takes, as ``MEMORY USAGE`` counts it, keys and all."""

from __future__ import annotations

from collections.abc import Iterable

import redis
from flask import Flask

from .contenders import OURS, PEER, SIZES, SMALL, Contender, Stores
from .runner import PRESENTED

SESSIONS = 100
STORED_ONCE = "stored once"
CHANGED = f"changed {PRESENTED} times in a row"
LOGGED_IN = "logged in, each as somebody else"
SAME_USER = f"logged in, {SESSIONS} times the same user"


def memory(
    contenders: Iterable[Contender], stores: Stores
) -> dict[tuple[str, str, str], float]:
    """Return bytes of a session by contender, state and size."""
    makers = {c.name: c.make for c in contenders if c.store == "Redis"}
    used = {}
    for size in SIZES:
        for name in (PEER, OURS):
            app = makers[name](size)

            def measured(*paths: str, app: Flask = app) -> float:
                return _per_session(app, stores, paths)

            fill = f"/fill/{size}"
            used[name, STORED_ONCE, size] = measured(fill)
            if size == SMALL:
                changes = ["/change"] * PRESENTED
                used[name, CHANGED, size] = measured(fill, *changes)
                used[name, LOGGED_IN, size] = measured(fill, "/login/{number}")
                used[name, SAME_USER, size] = measured(fill, "/login/1")
    return used


def _per_session(app: Flask, stores: Stores, paths: Iterable[str]) -> float:
    with redis.Redis.from_url(stores.redis.url) as server:
        server.flushdb()
        for number in range(SESSIONS):
            browser = app.test_client()
            for path in paths:
                answer = browser.get(path.format(number=number))
                assert answer.status_code == 200, path
        tombstones = [key for key in server.scan_iter() if server.pttl(key) < 11_000]
        if tombstones:
            server.delete(*tombstones)  # they are gone in ten seconds
        keys = server.scan_iter(count=1000)
        used: int = sum(server.memory_usage(key, samples=0) for key in keys)
        return used / SESSIONS
