"""Whether it stays as fast with a million sessions in Redis."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import redis
from flask import Flask

from flask_srvsession import ServerSession

from .contenders import FLOOR, OURS, SMALL, Contender, Stores
from .runner import measure, prepare

TOTALS = (1_000, 100_000, 1_000_000)
DEVICES = 3
ROUNDS = 15
_BATCH = 10_000


@dataclass(frozen=True)
class Scale:
    """With so many sessions: us for a raw read in a request; how many times longer a
    read and a change take; and us for the list of a user's sessions."""

    total: int
    raw: float
    read: float
    change: float
    find: float


def scale(
    contenders: Iterable[Contender], stores: Stores, tell: Callable[[str], None]
) -> list[Scale]:
    """Fill Redis step by step, and measure at each."""
    floor, ours = (
        replace(contender, sizes=(SMALL,))
        for contender in contenders
        if contender.store == "Redis" and contender.name in (FLOOR, OURS)
    )
    server = redis.Redis.from_url(stores.redis.url)
    app = ours.make(SMALL)
    for _ in range(DEVICES):
        assert app.test_client().get("/login/1").status_code == 200
    found = []
    for total in TOTALS:
        tell(f"{total} sessions")
        _fill(server, total)
        results = prepare([floor, ours])
        measure(results, ROUNDS, lambda _: None)
        raw = (str(floor), "read", SMALL)
        read, change = (
            results.ratio((str(ours), kind, SMALL), raw) for kind in ("read", "change")
        )
        found.append(Scale(total, results.wall(*raw), read, change, _find(app)))
    return found


def _fill(server: redis.Redis, total: int) -> None:
    """Copy a session until there are so many."""
    sample = next(server.scan_iter("shop:session:*_*", count=total))
    data: Any = server.get(sample)
    missing = total - server.dbsize()
    for start in range(0, missing, _BATCH):
        with server.pipeline(transaction=False) as pipeline:
            for _ in range(min(_BATCH, missing - start)):
                key = f"shop:session:{secrets.token_hex(16)}_6b000000"
                pipeline.set(key, data, ex=86400)
            pipeline.execute()


def _find(app: Flask) -> float:
    """Return us for listing a user's sessions."""
    sessions, times = ServerSession(), []
    with app.app_context():
        for _ in range(300):
            began = time.perf_counter()
            found = sessions.find(user_id=1)
            times.append((time.perf_counter() - began) * 1e6)
            assert len(found) == DEVICES
    return statistics.median(times)
