"""Private redis and memcached servers for the tests, from the system's binaries."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOST = "127.0.0.1"
PATIENCE = 20
"""Seconds; a computer that is busy answers by then."""
REQUIRED = "SRVSESSION_TEST_REQUIRE"
_START = 30.0
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_PORTS = range(10_000 + _WORKER, 32_000, _WORKERS)
"""Below those that Linux gives to outgoing connections; no two workers share one."""
_GIVEN: set[int] = set()
REDIS = os.environ.get("SRVSESSION_TEST_REDIS", "redis-server")
"""The program that all tests with Redis run; ``valkey-server`` will do as well."""
_PROGRAMS = (REDIS, "memcached")


@dataclass
class Server:
    """A server process of our own; it can be stopped and started again."""

    scheme: str
    port: int
    command: list[str]
    host: str = HOST
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        path = "/0" if self.scheme == "redis" else ""
        return f"{self.scheme}://{self.host}:{self.port}{path}"

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server is not running"
        return self.process.pid

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until_it_answers(self.process, self._answers, _START)

    def stop(self) -> None:
        """End the process; what it kept is lost."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        ping = b"PING\r\n" if self.scheme == "redis" else b"version\r\n"
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as sock:
                sock.sendall(ping)
                return sock.recv(64).startswith((b"+PONG", b"VERSION"))
        except OSError:
            return False


def patient(url: str) -> str:
    """Return the URL of servers with a timeout that a busy computer keeps."""
    option = "timeout" if url.startswith("memcached") else "socket_timeout"
    return f"{url}?{option}={PATIENCE}"


def until_it_answers(
    process: subprocess.Popen[bytes], answers: Callable[[], bool], seconds: float
) -> None:
    """Return when a server that was just started `answers`; fail if it does not."""
    deadline = time.monotonic() + seconds
    while not answers():
        assert process.poll() is None, f"{process.args!r} ended at once"
        assert time.monotonic() < deadline, f"{process.args!r} does not answer"
        time.sleep(0.02)


@contextmanager
def running_redis(
    directory: Path, *options: str, program: str = REDIS
) -> Iterator[Server]:
    """Run a redis-server that keeps nothing on disk; `options` are its own."""
    port = free_port()
    command = [binary(program), "--bind", HOST, "--port", str(port)]
    command += ["--dir", str(directory), "--save", "", "--appendonly", "no", *options]
    yield from _running(Server("redis", port, command))


@contextmanager
def running_memcached(*options: str) -> Iterator[Server]:
    """Run a memcached; `options` are its own."""
    port = free_port()
    command = [binary("memcached"), "-l", HOST, "-p", str(port), "-U", "0", *options]
    if os.geteuid() == 0:
        command += ["-u", "nobody"]
    yield from _running(Server("memcached", port, command))


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A redis-server for all tests: they use keys of their own."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def memcached_server() -> Iterator[Server]:
    """A memcached for all tests: they use keys of their own."""
    with running_memcached() as server:
        yield server


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A redis-server for the tests of one module, which may stop it."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def own_memcached() -> Iterator[Server]:
    """A memcached for the tests of one module, which may stop it."""
    with running_memcached() as server:
        yield server


def pytest_report_header() -> list[str]:
    """Say which servers the tests of this run have."""
    return [f"{name}: {_version(name)}" for name in _PROGRAMS]


def _running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def binary(name: str, package: str = "", *, path: str | None = None) -> str:
    """Return where a program is; without it, the test is skipped, or fails.

    It is looked for on `path`, in place of PATH.
    """
    found = shutil.which(name, path=path)
    if found is None:
        reason = f"{name} is missing: sudo apt-get install {package or name}"
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _version(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        return f"missing (sudo apt-get install {name})"
    done = subprocess.run([path, "--version"], capture_output=True, text=True)
    return f"{path}, {done.stdout.strip()[:40]}"


def free_port() -> int:
    """Return a port that no outgoing connection takes before its server starts, and
    that this process was not given before: a server may need several."""
    for _ in range(100):
        port = secrets.choice(_PORTS)
        if port in _GIVEN:
            continue
        _GIVEN.add(port)
        with socket.socket() as sock, suppress(OSError):
            sock.bind((HOST, port))
            return port
    raise AssertionError("no port is free")
