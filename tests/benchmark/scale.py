"""Whether it stays as fast with a million sessions in Redis."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import redis
from flask import Flask

from flask_srvsession import ServerSession

from .contenders import FLOOR, OURS, SMALL, Contender, Stores
from .runner import measure, prepare

TOTALS = (1_000, 100_000, 1_000_000)
DEVICES = 3
_BATCH = 10_000


@dataclass(frozen=True)
class Scale:
    """With so many sessions: us for a raw read, a read, a change, and a search."""

    total: int
    raw: float
    read: float
    change: float
    find: float


def scale(
    contenders: Iterable[Contender], stores: Stores, tell: Callable[[str], None]
) -> list[Scale]:
    """Fill Redis step by step, and measure at each."""
    wanted = [c for c in contenders if c.store == "Redis" and c.name in (FLOOR, OURS)]
    server = redis.Redis.from_url(stores.redis.url)
    server.flushdb()
    app = next(c for c in wanted if c.name == OURS).make(SMALL)
    for _ in range(DEVICES):
        app.test_client().get(f"/fill/{SMALL}")
        app.test_client().get("/login/1")
    found = []
    for total in TOTALS:
        tell(f"{total} sessions")
        _fill(server, total)
        results = prepare(
            [Contender(c.name, c.store, c.make, c.kinds, (SMALL,)) for c in wanted]
        )
        measure(results, 15, lambda _: None)
        floor, ours = f"{FLOOR}, Redis", f"{OURS}, Redis"
        found.append(
            Scale(
                total,
                results.wall(floor, "read", SMALL),
                results.wall(ours, "read", SMALL),
                results.wall(ours, "change", SMALL),
                _find(app),
            )
        )
    server.flushdb()
    return found


def _fill(server: redis.Redis, total: int) -> None:
    """Copy a session, with the list it is in, until there are so many."""
    [sample] = list(server.scan_iter("shop:session:[0-9a-f]*", count=total))[:1]
    data, missing = server.get(sample), total - server.dbsize()
    for start in range(0, missing, _BATCH):
        with server.pipeline(transaction=False) as pipeline:
            for _ in range(min(_BATCH, missing - start)):
                key = f"shop:session:{secrets.token_hex(16)}_6b000000"
                pipeline.set(key, data, ex=86400)
            pipeline.execute()


def _find(app: Flask) -> float:
    """Return us for listing a user's sessions."""
    sessions = ServerSession()
    with app.app_context():
        assert len(sessions.find(user_id=1)) == DEVICES
        times = []
        for _ in range(300):
            began = time.perf_counter()
            sessions.find(user_id=1)
            times.append((time.perf_counter() - began) * 1e6)
    return statistics.median(times)
