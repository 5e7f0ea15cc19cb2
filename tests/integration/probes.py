"""What the tests of cookies, lifetimes, commands, outages and bad input share."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from itsdangerous import Signer

from flask_srvsession import session
from flask_srvsession.backends.base import Backend, Cell, Epoch, Head, Version
from tests.web import Browser

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from tests.servers import Server


KEY = "a secret key that is only used by these tests"
"""The SECRET_KEY of the apps that ``make_app`` makes."""

_PATIENCE = 10.0
_COUNTER = re.compile("(get|cmd|cas|delete)_[a-z]+$")


def login(user_id: int = 42) -> str:
    session["user_id"] = user_id
    return f"{session.get('user_id')}"


def visits(browser: Browser) -> int:
    """Count a visit in the session and return which one it was."""

    def count() -> int:
        session["visits"] = session.get("visits", 0) + 1
        return int(session["visits"])

    return int(browser.does(count))


def set_cookies(response: TestResponse) -> list[str]:
    """Return the Set-Cookie headers of a response."""
    return response.headers.getlist("Set-Cookie")


def varies_by_cookie(response: TestResponse) -> bool:
    return "cookie" in response.vary


def attributes(set_cookie: str) -> dict[str, str]:
    """Return the attributes of a Set-Cookie header, names in lower case."""
    _, *rest = set_cookie.split("; ")
    pairs = [part.partition("=") for part in rest]
    return {name.lower(): value for name, _, value in pairs}


def signed(payload: str, key: str, prefix: str) -> str:
    """Sign as the documentation says it is done, with nothing of the package."""
    signer = Signer(
        key,
        salt=f"flask_srvsession.cookie.v1:{prefix}",
        key_derivation="hmac",
        digest_method=hashlib.sha256,
    )
    return signer.sign(payload).decode("ascii")


class CountingIndex:
    """Passes everything on to an index and notes each call."""

    def __init__(self, backend: Backend, calls: list[str]) -> None:
        self._index = backend.index
        self._calls = calls

    def epoch(self, name: str) -> Epoch:
        self._calls.append("index.epoch")
        return self._index.epoch(name)

    def add(self, name: str, member: str, expect: Epoch, ttl: int) -> bool:
        self._calls.append("index.add")
        return self._index.add(name, member, expect, ttl)

    def fence(self, name: str, keep: Collection[str] = ()) -> tuple[Epoch, Head | None]:
        self._calls.append("index.fence")
        return self._index.fence(name, keep)

    def head(self, name: str) -> Head | None:
        self._calls.append("index.head")
        return self._index.head(name)

    def remove(self, name: str, members: Collection[str]) -> None:
        self._calls.append("index.remove")
        self._index.remove(name, members)

    def members(
        self, name: str, most: int, after: str | None = None
    ) -> list[str] | None:
        self._calls.append("index.members")
        return self._index.members(name, most, after)

    def count(self, name: str) -> int:
        self._calls.append("index.count")
        return self._index.count(name)


class CountingBackend:
    """Passes everything on to a backend and notes each call; but of the questions for
    the marker of the prefix, one every few seconds, only their number."""

    def __init__(self, backend: Backend) -> None:
        self.asked_for_marker = 0
        self.calls: list[str] = []
        self.errors = backend.errors
        self.evicts = backend.evicts
        self.shared = backend.shared
        self.max_bytes = backend.max_bytes
        self.server = getattr(backend, "server", "")
        self.index = CountingIndex(backend, self.calls)
        self._backend = backend

    def taken(self) -> list[str]:
        """Return the calls since the last time this was asked."""
        calls = self.calls[:]
        self.calls.clear()
        return calls

    def get(self, key: str) -> Cell | None:
        if key.endswith("secret-keys"):
            self.asked_for_marker += 1
        else:
            self.calls.append("get")
        return self._backend.get(key)

    def add(self, key: str, data: bytes, ttl: int) -> Version | None:
        self.calls.append("add")
        return self._backend.add(key, data, ttl)

    def swap(
        self, key: str, data: bytes, version: Version, ttl: int
    ) -> Version | Cell | None:
        self.calls.append("swap")
        return self._backend.swap(key, data, version, ttl)

    def delete(self, key: str, version: Version | None = None) -> bool:
        self.calls.append("delete")
        return self._backend.delete(key, version)

    def sweep(self) -> int:
        return self._backend.sweep()


class RedisMonitor:
    """Reads what the server says it was asked for (MONITOR)."""

    def __init__(self, server: Server) -> None:
        self._address = (server.host, server.port)
        self._sock = socket.create_connection(self._address, timeout=_PATIENCE)
        self._sock.sendall(b"MONITOR\r\n")
        self._lines = self._sock.makefile("rb")
        assert self._lines.readline() == b"+OK\r\n"

    def taken(self) -> list[str]:
        """Return the names of the commands since the last time this was asked.

        Those that a script calls inside the server are not counted.
        """
        marker = uuid.uuid4().hex.encode()
        ask(self._address, b"ECHO " + marker + b"\r\n")
        names: list[str] = []
        for line in self._lines:
            if marker in line:
                return names
            found = re.search(rb'\[\d+ ([^\]]+)\] "([^"]+)"', line)
            assert found, line
            if found[1] != b"lua":
                names.append(found[2].decode().lower())
        raise AssertionError("the server has closed the connection")

    def close(self) -> None:
        self._lines.close()
        self._sock.close()


class MemcachedStats:
    """Reads how much the server says it has done (``stats``)."""

    def __init__(self, server: Server) -> None:
        self._address = (server.host, server.port)
        self._last = self._read()

    def taken(self) -> dict[str, int]:
        """Return how many of which commands came since the last time this was asked."""
        before, self._last = self._last, self._read()
        moved = {name: count - before[name] for name, count in self._last.items()}
        taken = {
            "get": moved["get_hits"] + moved["get_misses"],
            "cas": moved["cas_hits"] + moved["cas_misses"] + moved["cas_badval"],
            "add": moved["cmd_set"] - moved["cas_hits"],
            "delete": moved["delete_hits"] + moved["delete_misses"],
            "touch": moved["cmd_touch"],
        }
        return {name: count for name, count in taken.items() if count}

    def close(self) -> None:
        """Nothing is open; here for symmetry with :class:`RedisMonitor`."""

    def _read(self) -> dict[str, int]:
        text = ask(self._address, b"stats\r\n", until=b"END\r\n").decode()
        lines = [line.split() for line in text.splitlines()]
        counters = {line[1]: line[2] for line in lines if len(line) == 3}
        return {name: int(n) for name, n in counters.items() if _COUNTER.match(name)}


def ask(address: tuple[str, int], command: bytes, until: bytes = b"\r\n") -> bytes:
    """Send a command of the text protocol; return the answer."""
    with socket.create_connection(address, timeout=_PATIENCE) as sock:
        sock.sendall(command)
        answer = b""
        while not answer.endswith(until):
            data = sock.recv(1 << 16)
            assert data, "the server has closed the connection"
            answer += data
        return answer


@contextmanager
def hanging(server: Server) -> Iterator[None]:
    """Let the server take connections and commands, but answer nothing."""
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        _wait_until_stopped(pid)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _wait_until_stopped(pid: int) -> None:
    """Wait for all threads: the signal reaches them one after the other."""
    deadline = time.monotonic() + _PATIENCE
    states = {""}
    while states != {"T"}:
        assert time.monotonic() < deadline, f"process {pid} does not stop"
        time.sleep(0.002)
        stats = Path(f"/proc/{pid}/task").glob("*/stat")
        states = {stat.read_text().rpartition(")")[2].split()[0] for stat in stats}
