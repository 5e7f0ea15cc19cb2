"""Sessions in memcached, through pymemcache."""

from __future__ import annotations

import hashlib
import os
import re
import time
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheError, MemcacheUnexpectedCloseError

from ...errors import ConfigurationError
from ..base import Cell, Head, Version
from ..cell_index import CellIndex, IndexContention, IndexFull, read_with_heads
from ..health import Finding
from ..options import checked
from . import health as memcached_health
from . import keys as memcached_keys

MAX_BYTES = 1024 * 1024 - 512
"""Bytes that an item of 1 MiB, the server's default, has beside its key and header."""
PORT = 11211
_TIMEOUT = 1.0
_OPTIONS = {"timeout": float, "max_bytes": int}
_LONGEST_RELATIVE = 30 * 24 * 60 * 60
_AT_ONCE = -1
_CLOSED = (ConnectionError, MemcacheUnexpectedCloseError)
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@/]+)(?::([0-9]{1,5}))?")


class ItemTooLarge(ValueError):
    """The data is longer than an item of the server may be; nothing was sent."""


class _Server:
    """One memcached server, and the idle clients of this process: each command takes
    one, or makes one."""

    def __init__(self, address: tuple[str, int], timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._idle: list[Any] = []
        self._pid = os.getpid()

    def ask(self, command: str, *args: Any, **options: Any) -> Any:
        """Return the server's answer; a client that failed is not used again."""
        client = self._client()
        try:
            answer = getattr(client, command)(*args, **options)
        except BaseException as error:
            client.close()  # a reply may be on its way, to nobody
            if isinstance(error, (OSError, MemcacheError)):
                error.server = "{}:{}".format(*self._address)  # type: ignore[union-attr]
            if isinstance(error, _CLOSED):
                self.close()  # a server that was restarted has closed those, too
            raise
        self._idle.append(client)
        return answer

    def close(self) -> None:
        """Close the idle connections; the next command opens one."""
        while self._idle:
            self._idle.pop().close()

    def _client(self) -> Any:
        if self._pid != os.getpid():
            # Two processes on one socket would read each other's replies.
            self._pid, self._idle = os.getpid(), []
        try:
            return self._idle.pop()
        except IndexError:
            return Client(
                self._address,
                connect_timeout=self._timeout,
                timeout=self._timeout,
                no_delay=True,
                default_noreply=False,
            )


class MemcachedBackend:
    """Keeps each cell as an item; a hash of the key says on which of the servers.

    Each process must be given the same servers in the same order. One that is down
    is an error, never a reason to look elsewhere: the others do not have its items,
    and when it came back, so would the sessions that were ended meanwhile.
    """

    errors: tuple[type[Exception], ...] = (
        OSError,
        MemcacheError,
        ItemTooLarge,
        IndexContention,
        IndexFull,
    )
    evicts = True
    shared = True
    system = "memcached"

    def __init__(
        self,
        servers: Sequence[tuple[str, int]],
        *,
        timeout: float = _TIMEOUT,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        if not servers:
            raise ConfigurationError("A memcached backend needs at least one server.")
        self.max_bytes: int | None = max_bytes
        self._servers = tuple(servers)
        self._timeout = timeout
        self.has_several_servers = len(self._servers) > 1
        self._clients = [_Server(server, timeout) for server in servers]
        self.index = CellIndex(self, read_in_order=self.get_many)

    @classmethod
    def from_url(cls, url: str) -> MemcachedBackend:
        """Build one for ``memcached://host:port,host:port``.

        The query may hold `timeout` (seconds) and `max_bytes` (with ``memcached -I``).
        """
        servers, _, query = url.partition("://")[2].partition("?")
        hosts = [_server(server) for server in servers.rstrip("/").split(",")]
        options = dict(parse_qsl(query, keep_blank_values=True))
        return cls(hosts, **checked("memcached", options, _OPTIONS))

    def get(self, key: str) -> Cell | None:
        """Return the cell that is stored under `key`, or None."""
        data, cas = self._call("gets", key)
        return None if cas is None else Cell(data, cas)

    def get_many(self, keys: Sequence[str]) -> dict[str, Cell]:
        """Return the cells under `keys`; absent ones are None or left out."""
        by_client: dict[_Server, list[str]] = {}
        for key in keys:
            by_client.setdefault(self._client(key), []).append(key)
        return {
            key: Cell(data, cas)
            for client, its_keys in by_client.items()
            for key, (data, cas) in client.ask("gets_many", its_keys).items()
        }

    def get_with_heads(
        self, key: str, names: Sequence[str]
    ) -> tuple[Cell | None, dict[str, Head]]:
        """Return the cell under `key`, and the heads that are there."""
        return read_with_heads(self.get_many, key, names)

    def add(self, key: str, data: bytes, ttl: int) -> Version | None:
        """Store `data` for `ttl` seconds; None if the key is taken."""
        self._check(data)
        added = self._call("add", key, data, expire=_expire(ttl), noreply=False)
        return _written(data) if added else None

    def swap(
        self, key: str, data: bytes, version: Version, ttl: int
    ) -> Version | Cell | None:
        """Store `data` for `ttl` seconds if the cell has this `version`; return
        the new version, the cell that is there instead, or None."""
        self._check(data)
        cas, other = self._cas_id(key, version)
        if cas is None:
            return other
        expire = _expire(ttl)
        # True for done, False for somebody else's, None for gone
        swapped = self._call("cas", key, data, cas, expire=expire, noreply=False)
        if swapped:
            return _written(data)
        return None if swapped is None else self.get(key)

    def delete(self, key: str, version: Version | None = None) -> bool:
        """Delete the cell under `key`, with `version` only if it still has that;
        return whether it was deleted."""
        if version is None:
            return bool(self._call("delete", key, noreply=False))
        cas, _ = self._cas_id(key, version)
        # The text protocol has no conditional delete, but items that end at once.
        return cas is not None and bool(
            self._call("cas", key, b"", cas, expire=_AT_ONCE, noreply=False)
        )

    def sweep(self) -> int:
        """Return 0: the server removes expired data itself."""
        return 0  # the server removes expired items

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with `prefix`, by ``lru_crawler metadump``."""
        for server in self._servers:
            keys = memcached_keys.of(server, self._timeout)
            yield from (key for key in keys if key.startswith(prefix))

    def erase(self, names: Collection[str]) -> None:
        """Remove these indexes, but for those with members."""
        for name in names:
            self.index.drop(name)

    def check(self) -> Iterable[Finding]:
        """Return the faults of the servers; asks ``stats`` of each."""
        return memcached_health.check(self._servers, self._facts)

    def stats(self) -> Mapping[str, int]:
        """Return the servers' own figures, for all who use them."""
        return memcached_health.stats(self._facts())

    def close(self) -> None:
        """Close the connections of this process; the next call opens new ones."""
        for client in self._clients:
            client.close()

    def _facts(self) -> list[dict[str, Any]]:
        """Return the answer of each server to ``stats``."""
        answers = [client.ask("stats") for client in self._clients]
        return [{name.decode(): v for name, v in a.items()} for a in answers]

    def _client(self, key: str) -> _Server:
        """Return the one server that `key` may be on."""
        return self._clients[zlib.crc32(key.encode()) % len(self._clients)]

    def _call(self, command: str, key: str, *args: Any, **options: Any) -> Any:
        return self._client(key).ask(command, key, *args, **options)

    def _cas_id(self, key: str, version: Version) -> tuple[bytes | None, Cell | None]:
        """Return the CAS id that `version` stands for, or the cell that is there
        instead."""
        if isinstance(version, bytes):
            return version, None
        cell = self.get(key)
        if cell is None or _written(cell.data) != version:
            return None, cell
        return cell.version, None

    def _check(self, data: bytes) -> None:
        if self.max_bytes is not None and len(data) > self.max_bytes:
            raise ItemTooLarge(
                f"{len(data)} bytes are too many for memcached, which takes"
                f" {self.max_bytes}"
            )


def _written(data: bytes) -> str:
    """Return the version of data that we wrote: memcached does not say which CAS id it
    got. Data that somebody else wrote and that is the same has the same version."""
    return hashlib.sha256(data).hexdigest()


def _expire(ttl: int) -> int:
    # Beyond 30 days the server takes the number for a date; 0 would mean for ever.
    return int(time.time()) + ttl if ttl > _LONGEST_RELATIVE else max(1, ttl)


def _server(text: str) -> tuple[str, int]:
    match = _SERVER.fullmatch(text)
    port = int(match[2] or PORT) if match else 0
    if match is None or not 0 < port < 65536:
        raise ConfigurationError(
            "This memcached:// URL cannot be understood. It looks like"
            " memcached://host:port,host:port (without user and password)."
        )
    return match[1].strip("[]"), port
