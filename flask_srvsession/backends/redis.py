"""Sessions in Redis or Valkey, through redis-py."""

from __future__ import annotations

import hashlib
import logging
import math
import re
import secrets
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import redis
from redis.exceptions import NoScriptError, RedisClusterException

from ..errors import ConfigurationError
from . import redis_health
from .base import EPOCH_ALONE, Added, Cell, Epoch, Token, new_epoch
from .health import Finding
from .redis_clients import (
    LazyCluster,
    client_from_url,
    is_cluster,
    refuse_text,
    timeout,
)
from .redis_deadline import deadline, left

log = logging.getLogger("flask_srvsession")

ASK_AGAIN = 10.0
"""Seconds after which a primary that did not answer is asked again if it evicts."""

_TOKEN = 8
_TAG = re.compile(r"[^{]*\{[^}]+\}")
_WAIT_SHARE = 0.5  # of the timeout, so that the answer of WAIT comes before it


class RedisBackend:
    """Keeps each cell as a string: 8 random bytes, its token, and the data.

    `client` is a ``redis.Redis`` (Sentinel's ``master_for`` too) or ``RedisCluster``
    that answers in bytes, asks no replicas, and better does not retry by itself.
    """

    errors: tuple[type[Exception], ...] = (redis.RedisError, RedisClusterException)
    shared = True
    max_bytes: int | None = 512 * 1024 * 1024 - _TOKEN

    def __init__(self, client: Any) -> None:
        if not isinstance(client, LazyCluster):
            _check_client(client)
        self._client = client
        self._swap = _Script(client, "swap")
        self._delete = _Script(client, "delete")
        self._evicts, self._ask_again = True, 0.0
        self.index = RedisIndex(client)

    @classmethod
    def from_url(cls, url: str) -> RedisBackend:
        """Build one with timeouts of a second and without retries.

        What the query of the URL says goes first (``?socket_timeout=0.5``).
        """
        return cls(client_from_url(url))

    @property
    def evicts(self) -> bool:
        """Whether the server may throw out keys that have not expired.

        True as well where the server does not want to tell, and of a cluster until all
        primaries have answered.
        """
        if time.monotonic() >= self._ask_again:
            self._evicts, final = redis_health.any_evicts(self._client)
            self._ask_again = math.inf if final else time.monotonic() + ASK_AGAIN
        return self._evicts

    def get(self, key: str) -> Cell | None:
        try:
            value = self._client.get(key)
        except redis.ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            # Something else lives under our key: it is there, but is no data of ours.
            return Cell(b"", b"")
        return _cell(value)

    def get_many(self, keys: Sequence[str]) -> dict[str, Cell | None]:
        if is_cluster(self._client):
            return self._get_many_of_cluster(keys)
        values = map(_cell, self._client.mget(keys))
        cells = dict(zip(keys, values, strict=True))
        absent = [key for key, cell in cells.items() if cell is None]
        if absent and self._client.exists(*absent):  # something of another type
            cells.update({key: self.get(key) for key in absent})
        return cells

    def add(self, key: str, data: bytes, ttl: int) -> Token | None:
        token = secrets.token_bytes(_TOKEN)
        done = self._client.set(key, token + data, nx=True, px=ttl * 1000)
        return token if done else None

    def swap(
        self, key: str, data: bytes, token: Token, ttl: int
    ) -> Token | Cell | None:
        new = secrets.token_bytes(_TOKEN)
        reply = self._swap(keys=[key], args=[token, new + data, ttl * 1000])
        if reply == 1:
            return new
        return _cell(reply)

    def delete(self, key: str, token: Token | None = None) -> bool:
        if token is None:
            return bool(self._client.delete(key))
        return bool(self._delete(keys=[key], args=[token]))

    def sweep(self) -> int:
        return 0  # the server removes what has expired

    def confirmed(self, keys: Collection[str], replicas: int) -> int:
        """See :class:`.base.Replicated`.

        A replica applies what its primary did in the same order, and ``WAIT`` tells
        how many have reached the last write of its own connection. So one more write
        to each primary vouches for all before it.
        """
        with deadline(timeout(self._client)):
            return min(
                _confirmed(primary, its_keys[0], replicas)
                for primary, its_keys in _by_primary(self._client, keys)
            )

    def _get_many_of_cluster(self, keys: Sequence[str]) -> dict[str, Cell | None]:
        """Ask each server for its keys at once, and anew for what it does not tell:
        that is of another type, or has moved, or the server is down."""
        cells = {}
        with deadline(timeout(self._client)):
            for primary, its_keys in _by_primary(self._client, keys):
                for key, value in _pipelined(primary, its_keys):
                    told = not isinstance(value, redis.RedisError)
                    cells[key] = _cell(value) if told else self.get(key)
        return cells

    def check(self) -> Iterable[Finding]:
        """Return what is wrong with server and client; asks INFO and CONFIG GET."""
        return redis_health.check(self._client)

    def stats(self) -> Mapping[str, int]:
        """Return what the server counts, for all who use it."""
        return redis_health.stats(self._client)

    def close(self) -> None:
        """Close the client's connections."""
        self._client.close()


class RedisIndex:
    """The epoch as a string, the members as a sorted set, both in one hash slot.

    The string is the epoch, followed by the members that the last fence spared. The
    set is ordered by when a member's time is over, by the clock of the server.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._epoch = _Script(client, "index_epoch")
        self._add = _Script(client, "index_add")
        self._fence = _Script(client, "index_fence")
        self._members = _Script(client, "index_members")

    def epoch(self, name: str) -> Epoch:
        args = [new_epoch(), EPOCH_ALONE * 1000]
        return cast(bytes, self._epoch(keys=_keys(name), args=args)).decode()

    def add(
        self,
        name: str,
        member: str,
        expect: Epoch,
        ttl: int,
        *,
        limit: int | None = None,
    ) -> Added:
        most = "" if limit is None else limit
        args = [member, expect, ttl * 1000, most]
        return Added(self._add(keys=_keys(name), args=args).decode())

    def fence(self, name: str, spare: Collection[str] = ()) -> tuple[Epoch, list[str]]:
        epoch = new_epoch()
        args = [" ".join((epoch, *spare)), EPOCH_ALONE * 1000]
        return epoch, _texts(self._fence(keys=_keys(name), args=args))

    def admits(self, name: str, epochs: Mapping[str, Epoch]) -> set[str]:
        head = self._client.get(_keys(name)[0])
        if head is None:
            return set()
        current, *spared = head.decode().split(" ")
        return {m for m, epoch in epochs.items() if epoch == current or m in spared}

    def remove(self, name: str, members: Collection[str]) -> None:
        if members:
            self._client.zrem(_keys(name)[1], *members)

    def members(self, name: str) -> list[str]:
        return _texts(self._members(keys=_keys(name)[1:]))


def _by_primary(client: Any, keys: Collection[str]) -> Iterable[tuple[Any, list[str]]]:
    """Return a client for each server that some of `keys` are on, with its keys."""
    if not is_cluster(client):
        return [(client, list(keys))]
    by_name: dict[str, tuple[Any, list[str]]] = {}
    for key in keys:
        node = client.get_node_from_key(_tagged(key))
        primary = client.get_redis_connection(node)
        by_name.setdefault(node.name, (primary, []))[1].append(key)
    return by_name.values()


def _pipelined(primary: Any, keys: Sequence[str]) -> Iterable[tuple[str, Any]]:
    """Return each key with what a server says about it, which may be an error."""
    with primary.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.get(key)
        try:
            values = pipeline.execute(raise_on_error=False)
        except redis.RedisError as error:
            values = [error] * len(keys)
    return zip(keys, values, strict=True)


def _confirmed(primary: Any, key: str, replicas: int) -> int:
    with primary.pipeline(transaction=False) as pipeline:
        pipeline.set(f"{_tagged(key)}:w", b"", px=1000)
        patience = max(1, int(left() * _WAIT_SHARE * 1000))  # 0 would be for ever
        pipeline.wait(replicas, patience)
        return cast(int, pipeline.execute()[1])


def _cell(value: bytes | None) -> Cell | None:
    return None if value is None else Cell(value[_TOKEN:], value[:_TOKEN])


def _keys(name: str) -> list[str]:
    return [f"{_tagged(name)}:e", f"{_tagged(name)}:m"]


def _tagged(key: str) -> str:
    """Return `key` with a hash tag: what is put behind it does not change the slot."""
    return key if _TAG.match(key) else f"{{{key}}}"


def _texts(members: list[bytes]) -> list[str]:
    return [member.decode() for member in members]


class _Script:
    """A script that the server knows after the first call, if not before.

    redis-py's own would load it into all nodes of a cluster, those that are down too.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._text = Path(__file__).with_name(f"{name}.lua").read_text(encoding="ascii")
        digest = hashlib.sha1(self._text.encode(), usedforsecurity=False)
        self._digest = digest.hexdigest()

    def __call__(self, keys: Sequence[str], args: Sequence[Any] = ()) -> Any:
        given = (len(keys), *keys, *args)
        try:
            return self._client.evalsha(self._digest, *given)
        except NoScriptError:
            return self._client.eval(self._text, *given)


def _check_client(client: Any) -> None:
    refuse_text(client)
    if _asks_replicas(client):
        raise ConfigurationError(
            "The Redis client reads from replicas, which may still have a session"
            " that was ended. Pass a client that asks the primary: a RedisCluster"
            " without read_from_replicas and load_balancing_strategy, or Sentinel's"
            " master_for."
        )
    for finding in redis_health.of_client(client):
        log.warning("%s %s", finding.problem, finding.remedy)


def _asks_replicas(client: Any) -> bool:
    pool = getattr(client, "connection_pool", None)
    return bool(
        getattr(client, "read_from_replicas", False)
        or getattr(client, "load_balancing_strategy", None)
        or not getattr(pool, "is_master", True)
    )
