"""What a login, a list and the end of all cost where one index value has very many
members. A name with a slash, or that ends in ``-server``, is a program of Redis::

    python -m tests.benchmark.lists 500000 redis-server postgres mariadb sqlite
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import redis
import sqlalchemy as sa
from flask import Flask

from flask_srvsession import ServerSession, ids
from flask_srvsession.draft import Changes
from flask_srvsession.errors import TooManySessions
from flask_srvsession.store.lists import Entry, new_mark
from flask_srvsession.store.record import PRESENTED, Record
from flask_srvsession.store.revocation import find, revoke_all
from tests.servers import running_redis
from tests.sql_servers import running_mariadb, running_postgres

USER = "42"
CHUNK, TIMES = 2_000, 15
MONTH = 31 * 24 * 3600


def store_of(url: str, **config: Any) -> Any:
    app = Flask("benchmark")
    app.config.update(SECRET_KEY="only for measuring", SRVSESSION_BACKEND=url, **config)
    ServerSession(app)
    return app.extensions["srvsession"].store


def rows(store: Any, number: int) -> Iterator[tuple[str, bytes, str]]:
    """List so many sessions of the user: yield key, record and member of each."""
    uid, now = store.serializer.dumps(USER), int(time.time())
    name = store.lists.binding("user_id", USER).names[0]
    epoch = store.lists.epoch(store.lists.binding("user_id", USER))
    for at in range(number):
        born = now - (number - at) // 100 - 60
        session_id, mark = ids.new_id(born), new_mark(born + at % 100 / 100)
        record = Record(
            generation=1,
            token_hash=b"h" * 16,
            chain=b"c" * 16,
            since=born,
            last_seen=now,
            pending=None,
            flags=PRESENTED,
            places={name: [epoch, mark]},
            indexing=store.lists.indexing,
            operations=b"op01",
            replaces=None,
            meta=None,
            era=store.marker.era,
            values={"user_id": uid},
        )
        key = store.records.key(session_id)
        sealed = store.records.codec.seal(key, record)
        yield key, sealed, Entry(name, session_id, epoch, mark).member


def fill(store: Any, number: int) -> None:
    """Store and list so many, each expiring 2 ms after the one before."""
    backend, until = store.backend.backend, int((time.time() + MONTH) * 1000)
    name = store.lists.name(store.lists.binding("user_id", USER).names[0])
    left = ((until + 2 * at, *row) for at, row in enumerate(rows(store, number)))
    while chunk := [*islice(left, CHUNK)]:
        if backend.system == "redis":
            pipe = backend._client.pipeline(transaction=False)
            for ends, key, data, member in chunk:
                pipe.set(key, b"version!" + data, px=MONTH * 1000)
                pipe.zadd(name, {member: ends * 1000})
            pipe.pexpire(name, 2 * MONTH * 1000).execute()
            continue
        cells = [
            {"id": k, "version": 1, "data": d, "expires": e} for e, k, d, _ in chunk
        ]
        listed = [{"name": name, "member": m, "expires": e} for e, *_, m in chunk]
        with backend._database.patient() as connection:
            connection.execute(sa.insert(backend._tables.cells), cells)
            connection.execute(sa.insert(backend._tables.members), listed)


def measure(url: str, number: int) -> None:
    limited = {"SRVSESSION_MAX_PER_KEY": {"user_id": number}}
    free, full = store_of(url), store_of(url, **limited)
    strict = store_of(url, SRVSESSION_MAX_PER_KEY_POLICY="reject", **limited)
    backend, binding = free.backend.backend, free.lists.binding("user_id", USER)
    fill(free, number)
    if hasattr(backend, "_database"):
        settle(backend._database.engine)
    watched = redis.Redis.from_url(url) if backend.system == "redis" else None
    if watched:
        watched.config_set("slowlog-log-slower-than", 1000)
        watched.config_set("slowlog-max-len", 1000)
        watched.slowlog_reset()

    def login(store: Any) -> Callable[[], object]:
        uid = store.serializer.dumps(USER)
        return lambda: store.create(Changes(assigned={"user_id": uid}))

    last = find(free, binding, limit=50)[-1].id
    took("login, no limit", login(free))
    took("login at the limit", login(full))
    took("login, refused", login(strict))
    took("find(limit=50)", lambda: find(free, binding, limit=50))
    took("find(limit=50, after=)", lambda: find(free, binding, limit=50, after=last))
    took("fence", lambda: free.lists.fence(binding))
    began, used = time.perf_counter(), time.process_time()
    ended = len(revoke_all(free, binding).ended)
    each = (time.perf_counter() - began) / ended * 1000
    used = (time.process_time() - used) / ended * 1000
    print(f"  revoke_all: {ended}, {each:.3f} ms each, {used:.3f} on the CPU here")
    if watched:
        slow: Any = watched.slowlog_get(1000)
        longest = sorted((e["duration"], e["command"][:40]) for e in slow)[-3:]
        print("  longest commands, us:", longest[::-1] or "none of 1000")


def settle(engine: sa.Engine) -> None:
    """Let the planner know the tables, as a running database does by itself."""
    statement = {"postgresql": "VACUUM ANALYZE", "sqlite": "ANALYZE"}
    with engine.connect() as connection:
        tables = ", ".join(sa.inspect(connection).get_table_names())
        connection.exec_driver_sql(
            statement.get(engine.dialect.name, f"ANALYZE TABLE {tables}")
        )


def took(what: str, call: Callable[[], object]) -> None:
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        with suppress(TooManySessions):
            call()
        times.append((time.perf_counter() - began) * 1000)
    print(f"  {what}: median {statistics.median(times):.2f} ms, max {max(times):.2f}")


@contextmanager
def server(name: str, directory: str) -> Iterator[str]:
    running: Any = nullcontext(None)
    if name.endswith("-server"):
        running = running_redis(Path(directory), program=name)
    elif name != "sqlite":
        running = {"postgres": running_postgres, "mariadb": running_mariadb}[name]()
    with running as started:
        yield started.url if started else f"sqlite:///{directory}/sessions.db"


if __name__ == "__main__":
    for name in sys.argv[2:]:
        with tempfile.TemporaryDirectory() as directory, server(name, directory) as url:
            print(name, flush=True)
            patience = "socket" if url.startswith("redis") else "srvsession"
            measure(f"{url}?{patience}_timeout=60", int(sys.argv[1]))
