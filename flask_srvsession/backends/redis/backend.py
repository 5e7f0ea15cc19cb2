"""Sessions in Redis or Valkey, through redis-py."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import redis
from redis.exceptions import NoScriptError, RedisClusterException

from ...errors import ConfigurationError
from ..base import EPOCH_ALONE, Cell, Epoch, Head, Version, new_epoch, sound_head
from ..health import Finding
from . import health as redis_health
from .clients import LazyCluster, client_from_url, is_cluster, refuse_text, timeout
from .deadline import deadline, left
from .lean import LeanRedis

log = logging.getLogger("flask_srvsession")

ASK_AGAIN_IF_KNOWN = 60.0
"""Seconds after which they are asked again all the same: CONFIG SET may change it."""

ASK_AGAIN = 10.0
"""Seconds after which a primary that did not answer is asked again if it evicts."""

T = TypeVar("T")

_VERSION = 8
_SCANNED = 500
_WRONG_TYPE = "WRONGTYPE"
_REMOVED = 500
"""Members that one command unlists: others wait for it."""
_TAG = re.compile(r"[^{]*\{[^}]+\}")
_WAIT_SHARE = 0.5  # of the timeout, so that the answer of WAIT comes before it


class RedisBackend:
    """Keeps each cell as a string: 8 random bytes, its version, and the data.

    `client` is a ``redis.Redis`` (Sentinel's ``master_for`` too) or ``RedisCluster``
    that answers in bytes, asks no replicas, and better does not retry by itself.
    """

    errors: tuple[type[Exception], ...] = (redis.RedisError, RedisClusterException)
    shared = True
    system = "redis"
    max_bytes: int | None = 512 * 1024 * 1024 - _VERSION

    def __init__(self, client: Any) -> None:
        if not isinstance(client, LazyCluster):
            _check_client(client)
        self._client = client
        self._swap = _Script(client, "swap")
        self._delete = _Script(client, "delete")
        self._evicts, self._ask_again = True, 0.0
        self.has_several_servers = is_cluster(client)
        self.index: RedisIndex = RedisIndex(client)

    @classmethod
    def from_url(cls, url: str) -> RedisBackend:
        """Build one with timeouts of a second and without retries.

        The query of the URL goes first (``?socket_timeout=0.5``).
        """
        return cls(client_from_url(url))

    @property
    def server(self) -> str:
        """Where the server is, as far as that is known without asking."""
        return redis_health.server(self._client)

    @property
    def evicts(self) -> bool:
        """Whether the server may throw out keys that have not expired.

        True as well where the server does not want to tell, and of a cluster until all
        primaries have answered.
        """
        if time.monotonic() >= self._ask_again:
            self._evicts, final = redis_health.any_evicts(self._client)
            pause = ASK_AGAIN_IF_KNOWN if final else ASK_AGAIN
            self._ask_again = time.monotonic() + pause
        return self._evicts

    def get(self, key: str) -> Cell | None:
        """Return the cell that is stored under `key`, or None."""
        try:
            value = self._client.execute_command("GET", key)
        except redis.ResponseError as error:
            if _WRONG_TYPE not in str(error):
                raise
            return Cell(b"", b"")  # no data of ours
        return None if value is None else Cell(value[_VERSION:], value[:_VERSION])

    def get_many(self, keys: Sequence[str]) -> dict[str, Cell | None]:
        """Return the cells under `keys`; absent ones are None or left out."""
        return self._ask_all({key: ("GET", key) for key in keys}, _cell, self.get)

    def get_starts(self, keys: Sequence[str], length: int) -> dict[str, Cell | None]:
        """Return the same, but of the data the first `length` bytes alone."""
        last = _VERSION + length - 1
        commands = {key: ("GETRANGE", key, 0, last) for key in keys}
        cells = self._ask_all(commands, _cell, self.get)
        # Nothing is there, or nothing of ours.
        empty = [k for k, cell in cells.items() if cell and not cell.version]
        return cells | self.get_many(empty) if empty else cells

    def get_with_heads(
        self, key: str, names: Sequence[str]
    ) -> tuple[Cell | None, dict[str, Head]]:
        """Return the cell under `key`, and the heads that are there."""
        if is_cluster(self._client):  # they are in other slots
            cell = self.get(key)
            heads = {name: self.index.head(name) for name in names}
        else:
            commands = [("GET", key), *map(_get_head, names)]
            value, *found = _answers(self._client, commands)
            told = not isinstance(value, redis.RedisError)
            cell = _cell(value) if told else self.get(key)
            heads = {
                name: self.index.head(name)
                if isinstance(answer, redis.RedisError)
                else _head(answer)
                for name, answer in zip(names, found, strict=True)
            }
        return cell, {name: head for name, head in heads.items() if head}

    def add(self, key: str, data: bytes, ttl: int) -> Version | None:
        """Store `data` for `ttl` seconds; None if the key is taken."""
        version = secrets.token_bytes(_VERSION)
        done = self._client.set(key, version + data, nx=True, px=ttl * 1000)
        return version if done else None

    def swap(
        self, key: str, data: bytes, version: Version, ttl: int
    ) -> Version | Cell | None:
        """Store `data` for `ttl` seconds if the cell has this `version`; return
        the new version, the cell that is there instead, or None."""
        new = secrets.token_bytes(_VERSION)
        reply = self._swap(key, version, new + data, ttl * 1000)
        return new if reply == 1 else _cell(reply)

    def delete(self, key: str, version: Version | None = None) -> bool:
        """Delete the cell under `key`, with `version` only if it still has that;
        return whether it was deleted."""
        if version is None:
            return bool(self._client.delete(key))
        return bool(self._delete(key, version))

    def delete_many(self, cells: Mapping[str, Version]) -> set[str]:
        """Delete the cells under these keys that still have these versions, in one
        round trip for each server; return the keys of those that were deleted."""
        commands = {key: self._delete.command(key, cells[key]) for key in cells}
        deleted = self._ask_all(
            commands, bool, lambda key: self.delete(key, cells[key])
        )
        return {key for key in cells if deleted[key]}

    def sweep(self) -> int:
        """Return 0: the server removes expired data itself."""
        return 0

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with `prefix`, by SCAN."""
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", prefix) + "*"
        for key in self._client.scan_iter(match=pattern, count=_SCANNED):
            yield key.decode("utf-8", "replace")

    def erase(self, names: Collection[str]) -> None:
        """Remove these indexes, but for those with members."""
        for name in names:
            self.index.drop(name)

    def confirmed(self, keys: Collection[str], replicas: int) -> int:
        """See :class:`.base.Replicated`.

        A replica applies the commands of its primary in the same order, and ``WAIT``
        tells how many have reached the last write of its own connection. So one more
        write to each primary vouches for all before it.
        """
        with deadline(timeout(self._client)):
            return min(
                _confirmed(primary, its_keys[0], replicas)
                for primary, its_keys in _by_primary(self._client, keys)
            )

    def _ask_all(
        self,
        commands: Mapping[str, tuple[Any, ...]],
        parse: Callable[[Any], T],
        ask: Callable[[str], T],
    ) -> dict[str, T]:
        """Return the answers by key: each server is sent its commands at once, and
        asked anew for a key that it does not tell. That is of another type, or has
        moved, or one server of a cluster is down."""
        found = dict[str, T]()
        with deadline(timeout(self._client)):
            for primary, keys in _by_primary(self._client, commands):
                try:
                    answers = _answers(primary, [commands[key] for key in keys])
                except redis.RedisError as error:
                    if not self.has_several_servers:
                        raise
                    answers = [error] * len(keys)
                for key, answer in zip(keys, answers, strict=True):
                    told = not isinstance(answer, redis.RedisError)
                    found[key] = parse(answer) if told else ask(key)
        return found

    def check(self) -> Iterable[Finding]:
        """Return the faults of server and client; asks INFO, CONFIG GET and TIME."""
        return redis_health.check(self._client)

    def stats(self) -> Mapping[str, int]:
        """Return the server's own figures, for all who use it."""
        return redis_health.stats(self._client)

    def close(self) -> None:
        """Close the client's connections."""
        self._client.close()


class RedisIndex:
    """Each index is one sorted set, under its name.

    Members are scored by when they expire, in microseconds of the server's clock. One
    more element, with the score 0, is the head: the epoch, a space, and the members
    that the last fence kept, separated by spaces.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._epoch = _Script(client, "index_epoch")
        self._add = _Script(client, "index_add")
        self._fence = _Script(client, "index_fence")
        self._members = _Script(client, "index_members")
        self._count = _Script(client, "index_count")
        self._drop = _Script(client, "index_drop")

    def epoch(self, name: str) -> Epoch:
        """Return the current epoch of the list; begin one where there is none."""
        epoch: bytes
        epoch = self._repaired(self._epoch, name, new_epoch(), EPOCH_ALONE * 1000)
        return epoch.decode("ascii")

    def add(self, name: str, member: str, expect: Epoch, ttl: int) -> bool:
        """List `member` for `ttl` seconds, if `expect` is still the current epoch;
        return whether it is. One that is listed already keeps the later expiry."""
        return bool(self._repaired(self._add, name, member, expect, ttl * 1000))

    def fence(self, name: str, keep: Collection[str] = ()) -> tuple[Epoch, Head | None]:
        """Begin a new epoch; return it, and the head before it. The new head names
        those in `keep`; nobody is removed."""
        epoch, kept = new_epoch(), " ".join(keep)
        former = self._repaired(self._fence, name, epoch, kept, EPOCH_ALONE * 1000)
        return epoch, _head(former)

    def head(self, name: str) -> Head | None:
        """Return the epoch and the members that the last fence kept, or None."""
        return _head(self._repaired(self._read_head, name))

    def remove(self, name: str, members: Collection[str]) -> None:
        """Unlist `members`; those that are not listed are no error."""
        leaving = [*members]
        for start in range(0, len(leaving), _REMOVED):
            part = leaving[start : start + _REMOVED]
            self._repaired(self._client.zrem, name, *part)

    def members(
        self, name: str, most: int, after: str | None = None
    ) -> list[str] | None:
        """Return the first `most` members that have not expired, the soonest expiry
        first; of those that follow `after`, or None if that is not listed."""
        found = self._repaired(self._members, name, most, after or "")
        return None if found is None else _texts(found)

    def count(self, name: str) -> int:
        """Return how many members have not expired."""
        return int(self._repaired(self._count, name))

    def drop(self, name: str) -> None:
        """Delete the index, its epoch too, unless it has members."""
        self._repaired(self._drop, name)

    def _read_head(self, name: str) -> Any:
        return self._client.execute_command(*_get_head(name))

    def _repaired(self, ask: Callable[..., Any], name: str, *args: Any) -> Any:
        """Return the answer. Delete what is no sorted set under the name of an index,
        and ask again: somebody else has written it."""
        try:
            return ask(name, *args)
        except redis.ResponseError as error:
            if _WRONG_TYPE not in str(error):
                raise
            log.warning("an index is deleted: it is not one of ours")
            self._client.delete(name)
            return ask(name, *args)


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


def _answers(client: Any, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return a server's answers to commands that are sent at once, errors too."""
    if isinstance(client, LeanRedis):
        return client.execute_commands(*commands)
    with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        return answers


def _confirmed(primary: Any, key: str, replicas: int) -> int:
    write = ("SET", f"{_tagged(key)}:w", b"", "PX", 1000)
    patience = max(1, int(left() * _WAIT_SHARE * 1000))  # 0 would be for ever
    for answer in (answers := _answers(primary, [write, ("WAIT", replicas, patience)])):
        if isinstance(answer, redis.RedisError):
            raise answer
    return cast(int, answers[1])


def _cell(value: bytes | None) -> Cell | None:
    return None if value is None else Cell(value[_VERSION:], value[:_VERSION])


def _get_head(name: str) -> tuple[str, str, int, int]:
    """Return the command that reads the head of an index."""
    return "ZRANGEBYSCORE", name, 0, 0


def _head(found: Sequence[bytes]) -> Head | None:
    for text in _texts(found):
        epoch, _, kept = text.partition(" ")
        if head := sound_head(epoch, kept):
            return head
    return None


def _tagged(key: str) -> str:
    """Return `key` with a hash tag: a text behind it does not change the slot."""
    return key if _TAG.match(key) else f"{{{key}}}"


def _texts(members: Sequence[bytes]) -> list[str]:
    return [member.decode("utf-8", "replace") for member in members]


class _Script:
    """A script that the server knows after the first call, if not before.

    redis-py's own would load it into all nodes of a cluster, those that are down too.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._text = Path(__file__).with_name(f"{name}.lua").read_text(encoding="ascii")
        digest = hashlib.sha1(self._text.encode(), usedforsecurity=False)
        self._digest = digest.hexdigest()

    def __call__(self, key: str, *args: str | bytes | int) -> Any:
        ask = self._client.execute_command
        try:
            return ask("EVALSHA", self._digest, 1, key, *args)
        except NoScriptError:
            return ask("EVAL", self._text, 1, key, *args)

    def command(self, key: str, *args: str | bytes | int) -> tuple[Any, ...]:
        """Return the command that runs it where it is known."""
        return "EVALSHA", self._digest, 1, key, *args


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
