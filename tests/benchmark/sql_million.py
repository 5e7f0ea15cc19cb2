"""What a request costs in a database with a million sessions, and how long a sweep
keeps others waiting. It takes some minutes for each database::

    python -m tests.benchmark.sql_million sqlite postgres mariadb
"""

from __future__ import annotations

import multiprocessing
import random
import secrets
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import sqlalchemy as sa
from flask import Flask
from werkzeug.test import create_environ

from flask_srvsession import ServerSession, session
from flask_srvsession.backends.sql import SQLBackend
from tests.sql_servers import running_mariadb, running_postgres

FEW, MANY, EXPIRED = 1_000, 1_000_000, 100_000
REQUESTS = 5_000
CHUNK = 5_000
HOUR = 3600
TIMEOUT = 60
"""Seconds; here, a machine that is busy is to be seen in the figures."""


class Site:
    """An app with `FEW` sessions that are used, among `number` that are stored."""

    def __init__(self, url: str, table: str, number: int) -> None:
        self.backend = SQLBackend(url, table=table, timeout=TIMEOUT)
        self.app = Flask("benchmark")
        self.app.config["SECRET_KEY"] = "only for measuring"
        self.app.config["SRVSESSION_ROTATE_EVERY"] = None
        ServerSession().init_app(self.app, self.backend)
        self.app.add_url_rule("/begin", "begin", _begin)
        self.app.add_url_rule("/read", "read", lambda: str(session["visits"]))
        self.app.add_url_rule("/change", "change", _change)
        self.cookies = [self._begin_session() for _ in range(FEW)]
        fill(url, table, number - FEW, ends_in=24 * HOUR)

    def cost(self, path: str) -> float:
        """Return the seconds of a request with any of the sessions in use."""
        cookie = random.choice(self.cookies)
        environ = create_environ(path, headers={"Cookie": cookie})
        began = time.perf_counter()
        b"".join(self.app(environ, _start_response))
        return time.perf_counter() - began

    def _begin_session(self) -> str:
        response = self.app.test_client().get("/begin")
        return response.headers["Set-Cookie"].partition(";")[0]


def _begin() -> str:
    session["visits"] = 0
    session["cart"] = [{"item": number, "price": "9.99"} for number in range(5)]
    return ""


def _change() -> str:
    session["visits"] += 1
    return ""


def _start_response(status: str, headers: object, error: object = None) -> Any:
    assert status == "200 OK", status


def fill(url: str, table: str, number: int, *, ends_in: int) -> None:
    """Store copies of a session under other ids, which end within an hour of then."""
    backend = SQLBackend(url, table=table, timeout=TIMEOUT)
    cells, database = backend._tables.cells, backend._database
    with closing(backend), database.engine.connect() as connection:
        template = connection.execute(sa.select(cells).limit(1)).one()._asdict()
        born = template["id"].rpartition("_")[2]
        for at in range(0, number, CHUNK):
            ends = [
                int((time.time() + ends_in - random.random() * HOUR) * 1000)
                for _ in range(min(CHUNK, number - at))
            ]
            rows = [
                {**template, "id": f"{secrets.token_hex(16)}_{born}", "expires": end}
                for end in ends
            ]
            connection.exec_driver_sql("BEGIN")
            connection.execute(sa.insert(cells), rows)
            connection.exec_driver_sql("COMMIT")


def list_expired(url: str, table: str, number: int, *, each: int = 5) -> None:
    """Add indexes with `each` members, all of whom expired a day ago."""
    backend = SQLBackend(url, table=table, timeout=TIMEOUT)
    tables, ended = backend._tables, int((time.time() - 24 * HOUR) * 1000)
    names = [f"user:{n}" for n in range(number // each)]
    epoch = {"epoch": "e", "kept": "", "expires": ended}
    epochs = [epoch | {"name": name} for name in names]
    members = [
        {"name": name, "member": f"m{n}", "expires": ended}
        for name in names
        for n in range(each)
    ]
    with closing(backend), backend._database.engine.connect() as connection:
        for into, rows in ((tables.epochs, epochs), (tables.members, members)):
            for at in range(0, len(rows), CHUNK):
                connection.exec_driver_sql("BEGIN")
                connection.execute(sa.insert(into), rows[at : at + CHUNK])
                connection.exec_driver_sql("COMMIT")


def requests(few: Site, many: Site) -> None:
    """Measure both in turns, so that whatever else the machine does hits both."""
    for path in ("/read", "/change"):
        costs: dict[Site, list[float]] = {few: [], many: []}
        for _ in range(REQUESTS):
            for site in random.sample([few, many], 2):
                costs[site].append(site.cost(path))
        one, other = (statistics.median(costs[site]) * 1e6 for site in (few, many))
        print(f"{path}: {one:.0f} us of {FEW}, {other:.0f} us of {MANY}", end="; ")
        print(f"ratio {other / one:.3f}")


def sweep(url: str, backend: SQLBackend) -> None:
    """Sweep while another process changes sessions all the time."""
    fill(url, "many", EXPIRED, ends_in=-HOUR)
    list_expired(url, "many", EXPIRED)
    context = multiprocessing.get_context("spawn")
    end, waits = context.Event(), context.Queue()
    other = context.Process(target=change_until, args=(url, end, waits))
    other.start()
    alone = waits.get()
    transactions = watch(backend)
    began = time.perf_counter()
    with housekeeping(backend):
        removed = backend.sweep()
    took = time.perf_counter() - began
    end.set()
    beside = waits.get()
    other.join()
    print(f"sweep: {removed} in {took:.1f} s, {len(transactions)} transactions")
    for name, times in (
        ("has its locks", transactions),
        ("a change without it", alone),
        ("a change beside it", beside),
    ):
        ordered = sorted(times)
        middle, most = (ordered[int(len(times) * part)] * 1000 for part in (0.5, 0.99))
        print(f"  {name}: median {middle:.1f} ms, 99 % {most:.1f}", end="")
        print(f", longest {ordered[-1] * 1000:.1f}")


def change_until(url: str, end: Any, waits: Any) -> None:
    """Change sessions for three seconds, and then until `end` is set."""
    backend = SQLBackend(url, table="many", timeout=TIMEOUT)
    leave_the_log(backend)
    keys = [f"busy:{number}" for number in range(100)]
    tokens = {key: backend.add(key, b"x" * 300, HOUR) for key in keys}

    def times(go_on: Callable[[], bool]) -> list[float]:
        taken = []
        while go_on():
            key = random.choice(keys)
            began = time.perf_counter()
            tokens[key] = backend.swap(key, b"y" * 300, tokens[key], HOUR)
            taken.append(time.perf_counter() - began)
            assert isinstance(tokens[key], int)
            time.sleep(0.005)
        return taken

    until = time.monotonic() + 3
    waits.put(times(lambda: time.monotonic() < until))
    waits.put(times(lambda: not end.is_set()))


@contextmanager
def housekeeping(backend: SQLBackend) -> Iterator[None]:
    """Let another connection move what is in SQLite's log to the file, not that which
    commits: it takes time, but nobody waits for it."""
    leave_the_log(backend)
    stop = threading.Event()

    def keep_house() -> None:
        file = backend._database.url.database
        with closing(sqlite3.connect(str(file), timeout=TIMEOUT)) as connection:
            while not stop.wait(0.1):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    thread = threading.Thread(target=keep_house)
    if is_sqlite(backend):
        thread.start()
    yield
    stop.set()
    if is_sqlite(backend):
        thread.join()


def leave_the_log(backend: SQLBackend) -> None:
    if is_sqlite(backend):
        with backend._database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_autocheckpoint = 0")


def is_sqlite(backend: SQLBackend) -> bool:
    return backend._database.engine.dialect.name == "sqlite"


def watch(backend: SQLBackend) -> list[float]:
    """Return a list that gets how long each transaction has its locks."""
    taken: list[float] = []
    begun = [0.0]

    def after(connection: Any, cursor: Any, text: str, *rest: Any) -> None:
        if text.startswith(("BEGIN", "START")):
            begun[0] = time.perf_counter()
        elif text == "COMMIT":
            taken.append(time.perf_counter() - begun[0])

    sa.event.listen(backend._database.engine, "after_cursor_execute", after)
    return taken


@contextmanager
def database(name: str) -> Iterator[str]:
    if name == "sqlite":
        with tempfile.TemporaryDirectory() as directory:
            yield f"sqlite:///{directory}/sessions.db"
        return
    running = {"postgres": running_postgres, "mariadb": running_mariadb}[name]
    with running() as server:
        yield server.url


def main(names: list[str]) -> None:
    for name in names:
        with database(name) as url:
            few, many = Site(url, "few", FEW), Site(url, "many", MANY)
            print(f"{name}: {many.backend.stats()}", flush=True)
            requests(few, many)
            sweep(url, many.backend)
            few.backend.close()
            many.backend.close()


if __name__ == "__main__":
    main(sys.argv[1:] or ["sqlite", "postgres", "mariadb"])
