"""How operators find it: under gunicorn, while much is asked or a server is away.

python -m tests.benchmark.production                    # of this checkout
python -m tests.benchmark.production /another/checkout  # of that one
"""

from __future__ import annotations

import http.client
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import psycopg

from tests.servers import HOST, free_port, running_redis
from tests.sql_servers import running_pgbouncer, running_postgres

from .serving import wait_for

APP = """
from flask import Flask
from flask_srvsession import ServerSession, session

app = Flask(__name__)
app.config.from_prefixed_env()
ServerSession(app)

@app.get("/")
def home():
    session["n"] = session.get("n", 0) + 1
    return str(session["n"])

@app.get("/plain")
def plain():
    return "plain"
"""
GEVENT = ("--worker-class=gevent",)
THREADS = ("--worker-class=gthread", "--threads=4")


@contextmanager
def gunicorn(package: Path, url: str, *options: str) -> Iterator[tuple[int, Path]]:
    """Serve the app with one worker; give its port and its log."""
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(package),
        "FLASK_SECRET_KEY": "a long random text",
        "FLASK_SRVSESSION_BACKEND": url,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "visits.py").write_text(APP)
        command = [sys.executable, "-m", "gunicorn", f"--bind={HOST}:{port}"]
        command += [*options, "--keep-alive=30", "--log-level=error", "visits:app"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, cwd=folder, stderr=log)
        try:
            wait_for(port, process)
            yield port, folder / "log"
        finally:
            process.terminate()
            process.wait(10)


def ask(
    port: int, clients: int, seconds: float, path: str = "/"
) -> list[tuple[int, float]]:
    """Let `clients`, each with a cookie, ask for a page again and again.

    Returns the status and the seconds of each answer.
    """
    end = time.monotonic() + seconds

    def client(_: int) -> list[tuple[int, float]]:
        answers, cookie = [], ""
        connection = http.client.HTTPConnection(HOST, port, timeout=30)
        while (began := time.monotonic()) < end:
            connection.request("GET", path, headers={"Cookie": cookie})
            response = connection.getresponse()
            response.read()
            answers.append((response.status, time.monotonic() - began))
            cookie = (response.headers["Set-Cookie"] or cookie).partition(";")[0]
        connection.close()
        return answers

    with ThreadPoolExecutor(clients) as pool:
        return [*chain.from_iterable(pool.map(client, range(clients)))]


def told(answers: list[tuple[int, float]], seconds: float) -> str:
    """Return how many of each status there were, and how many good ones a second."""
    statuses = Counter(status for status, _ in answers)
    return f"{dict(statuses)}, {statuses[200] / seconds:.0f} good a second"


def many_clients(package: Path) -> str:
    """gevent, 150 clients, PostgreSQL."""
    with (
        running_postgres() as server,
        gunicorn(package, server.url, *GEVENT) as (port, _),
    ):
        ask(port, 1, 1)
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(ask, port, 150, 5)
            time.sleep(3)
            opened = _connections(server.url)
            return f"{told(asking.result(), 5)}, {opened} connections"


def _connections(url: str) -> str:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    )
    try:
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            row = connection.execute(query).fetchone()
    except psycopg.OperationalError:
        return "all: psql is refused;"
    return str(row[0] - 1 if row else 0)


def pooled(package: Path) -> str:
    """Threads, 8 clients, PgBouncer in transaction mode."""
    with (
        running_postgres() as server,
        running_pgbouncer(server, "default_pool_size = 3") as bouncer,
        gunicorn(package, bouncer.url, *THREADS) as (port, _),
    ):
        ask(port, 1, 1)
        return told(ask(port, 8, 4), 4)


def log_of_an_outage(package: Path) -> str:
    """Threads, 8 clients, Redis is not there for 3 s."""
    with (
        tempfile.TemporaryDirectory() as name,
        running_redis(Path(name)) as server,
        gunicorn(package, server.url, *THREADS) as (port, log),
    ):
        ask(port, 8, 1)
        before = len(log.read_text().splitlines())
        server.stop()
        answers = ask(port, 8, 3)
        server.start()
        ask(port, 8, 2)
        lines = len(log.read_text().splitlines()) - before
        return f"{lines / 3:.1f} lines a second; {told(answers, 3)}"


def hanging(package: Path) -> str:
    """Threads, 6 clients with sessions and one without, Redis hangs for 5 s."""
    with (
        tempfile.TemporaryDirectory() as name,
        running_redis(Path(name)) as server,
        gunicorn(package, server.url, *THREADS) as (port, _),
        ThreadPoolExecutor(2) as pool,
    ):
        ask(port, 6, 1)
        os.kill(server.pid, signal.SIGSTOP)
        plain = pool.submit(ask, port, 1, 5, "/plain")
        with_session = ask(port, 6, 5)
        os.kill(server.pid, signal.SIGCONT)
        began = time.monotonic()
        while ask(port, 1, 0.01)[0][0] != 200 and time.monotonic() - began < 10:
            time.sleep(0.02)
        again = time.monotonic() - began
        return (
            f"without: {_seconds(plain.result())}; with: {_seconds(with_session)};"
            f" good again after {again:.1f} s"
        )


def _seconds(answers: list[tuple[int, float]]) -> str:
    took = sorted(seconds for _, seconds in answers)
    median, late = statistics.median(took), took[int(len(took) * 0.99)]
    return (
        f"median {median * 1000:.0f} ms, 99 % within {late * 1000:.0f} ms, longest"
        f" {took[-1] * 1000:.0f} ms of {len(took)}"
    )


MEASURED: tuple[Callable[[Path], str], ...] = (
    many_clients,
    pooled,
    log_of_an_outage,
    hanging,
)

if __name__ == "__main__":
    checkout = Path(sys.argv[1] if sys.argv[1:] else ".").resolve()
    for measure in MEASURED:
        print(f"{measure.__doc__} {measure(checkout)}", flush=True)
