"""Requests of the example app per second of CPU time of gunicorn's two workers.

Each client is a user of its own: of two changes of one session, one is done again.

python -m tests.benchmark.serving  # these figures alone
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from itertools import cycle
from pathlib import Path
from socket import create_connection
from urllib.parse import urlencode

from tests.servers import HOST, free_port, running_redis

from .contenders import COOKIE, OURS, PEER

WORKERS, CLIENTS = 2, 4
SECONDS = 1.0
FACTORIES = {COOKIE: "with_cookie", PEER: "with_peer", OURS: "with_ours"}
KINDS = {
    "threads": ("--worker-class=gthread", "--threads=4"),
    "gevent": ("-k", "gevent"),
}
STATIC, HOME, CART = "a static file", "the shop, signed in", "a change of the cart"


@dataclass(frozen=True)
class Page:
    """Requests as they are on the wire, by turns, and what each answer begins with."""

    requests: tuple[bytes, ...]
    answer: bytes = b"HTTP/1.1 200"


Rates = Mapping[tuple[str, str], Sequence[float]]
"""Requests per second in each round, by contender and by page and kind of worker."""


def requests_per_second(rounds: int, tell: Callable[[str], None]) -> Rates:
    """Ask for all pages in `rounds` rounds."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(running_redis(directory))
        apps = {
            (name, kind): stack.enter_context(
                _gunicorn(factory, redis.url, directory, *options)
            )
            for name, factory in FACTORIES.items()
            for kind, options in KINDS.items()
        }
        pages = {
            app: [_pages(port) for _ in range(CLIENTS)]
            for app, (port, _) in apps.items()
        }
        seen: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        for number in range(rounds):
            tell(f"gunicorn, round {number + 1} of {rounds}")
            for page in (STATIC, HOME, CART):
                for (name, kind), (port, pid) in apps.items():
                    before = _cpu_seconds(pid)
                    answered = _ask(port, [each[page] for each in pages[name, kind]])
                    rate = answered / (_cpu_seconds(pid) - before)
                    seen[name, f"{page}, {kind}"].append(rate)
    return seen


def ratio(rates: Rates, page: str, to: str) -> float:
    """Return how much longer a request takes with us, by the median of the rounds."""
    pairs = zip(rates[to, page], rates[OURS, page], strict=True)
    return statistics.median(theirs / ours for theirs, ours in pairs)


@contextmanager
def _gunicorn(
    factory: str, url: str, directory: Path, *options: str
) -> Iterator[tuple[int, int]]:
    port = free_port()
    environment = {
        **os.environ,
        "SECRET_KEY": "secret",
        "SRVSESSION_BACKEND": url,
        "FLASK_DATABASE": str(directory / f"{factory}.sqlite3"),
    }
    app = f"tests.benchmark.shop:{factory}()"
    bind, workers = f"--bind={HOST}:{port}", f"--workers={WORKERS}"
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        bind,
        workers,
        *options,
        "--log-level=error",
        app,
    ]
    process = subprocess.Popen(command, env=environment)
    try:
        wait_for(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when somebody listens; AssertionError if the process has ended."""
    for _ in range(200):
        assert process.poll() is None, "gunicorn ended at once"
        try:
            create_connection((HOST, port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("gunicorn does not answer")


def _pages(port: int) -> dict[str, Page]:
    """Sign in, and return the requests of who is."""
    cookies = SimpleCookie()

    def get(path: str) -> bytes:
        connection = http.client.HTTPConnection(HOST, port, timeout=10)
        connection.request("GET", path, headers={"Cookie": _header(cookies)})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        assert response.status == 200, (path, response.status)
        for value in response.headers.get_all("Set-Cookie", []):
            cookies.load(value)
        return body

    get("/sign-in-at-once")
    token = json.loads(get("/me"))["csrf_token"]
    more, less = (
        urlencode({"ware": "biscuits", "by": by, "csrf_token": token}) for by in (1, -1)
    )
    head = (
        f" HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nCookie: {_header(cookies)}"
    )

    def post(form: str) -> bytes:
        about = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length:"
        return f"POST /cart{head}\r\n{about} {len(form)}\r\n\r\n{form}".encode()

    return {
        STATIC: Page((f"GET /static/style.css{head}\r\n\r\n".encode(),)),
        HOME: Page((f"GET /{head}\r\n\r\n".encode(),)),
        CART: Page((post(more), post(less)), b"HTTP/1.1 303"),
    }


def _header(cookies: SimpleCookie) -> str:
    return "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of the children of a process until now."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    stats = [Path(f"/proc/{child}/stat").read_text().split() for child in children]
    ticks = sum(int(stat[13]) + int(stat[14]) for stat in stats)
    return ticks / os.sysconf("SC_CLK_TCK")


def _ask(port: int, pages: Sequence[Page]) -> int:
    """Let each client ask for its page, for a second; return the number of answers."""
    deadline = time.perf_counter() + SECONDS

    def ask(page: Page) -> int:
        answered = 0
        for request in cycle(page.requests):
            if time.perf_counter() > deadline:
                break
            with create_connection((HOST, port), 10) as connection:
                connection.sendall(request)
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            assert answer.startswith(page.answer), answer[:200]
            answered += 1
        return answered

    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(ask, pages))


if __name__ == "__main__":
    rates = requests_per_second(7, lambda text: None)
    for page in dict.fromkeys(page for _, page in rates):
        ours = statistics.median(rates[OURS, page])
        print(
            f"{page}: {ours:.0f} a second; time / {PEER} {ratio(rates, page, PEER):.2f}"
        )
