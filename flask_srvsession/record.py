"""What is stored of a session, sealed against everybody who can write the storage."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import msgpack

VERSION = b"\x01"
MAC_LENGTH = 16
HEAD = len(VERSION) + MAC_LENGTH
OPERATION_LENGTH = 4
REMEMBERED_OPERATIONS = 8
MEMORY_OF_OPERATIONS = 10
"""Seconds after which only the last write is remembered; nobody waits for an answer
that long."""

TRACE_LENGTH = 12
"""Digits of its predecessor's id that a regenerated session remembers."""


class Unreadable(Exception):
    """The stored bytes are not a record that we sealed under this key."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A session is listed in `index` under `value`."""

    index: str
    value: str

    def digest(self) -> str:
        """Return 128 bits of SHA-256 in hex: a store key tells no user's name."""
        text = f"{len(self.index)}:{self.index}:{self.value}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Record(NamedTuple):
    """A live session.

    Times are unix time in whole seconds. Of the current token and of its successor
    (`pending`, None before one is handed out) only hashes are kept; the current one
    is current `since` then, and `chain` derives the next. `values` maps each session
    key to its encoded value. `bindings` maps where the session is listed to the stamp
    of its entry there. `operations` are the ids of the last writes, oldest first: a
    write whose answer was lost is found there. `replaces` is how the id
    begins of the session that it was regenerated from.
    """

    generation: int
    token_hash: bytes
    chain: bytes
    since: int
    last_seen: int
    pending: bytes | None = None
    due: bool = False
    permanent: bool = False
    presented: bool = False
    bindings: Mapping[Binding, str] = MappingProxyType({})
    operations: tuple[bytes, ...] = ()
    replaces: str | None = None
    meta: Mapping[str, Any] | None = None
    values: Mapping[str, bytes] = MappingProxyType({})

    def operations_with(self, operation: bytes, now: float) -> tuple[bytes, ...]:
        """Return the operations to remember when `operation` is made `now`."""
        quiet = now - self.last_seen > MEMORY_OF_OPERATIONS
        kept = self.operations[-1:] if quiet else self.operations
        return (*kept, operation)[-REMEMBERED_OPERATIONS:]

    def reaches_back_to(self, began: Record) -> bool:
        """Return whether every write since `began` is still remembered."""
        return bool(began.operations) and began.operations[-1] in self.operations

    def __repr__(self) -> str:  # without secrets
        return f"<Record generation {self.generation}, last seen {self.last_seen}>"


class Tombstone(NamedTuple):
    """What a regenerated session leaves for a moment: where it went, no content."""

    former: Record
    """The record without its content: it knows which tokens were good."""
    successor: str


class RecordCodec:
    """Seals records under the key they are stored at, and opens them.

    The seal is HMAC-SHA256 (128 bits of it, RFC 2104 section 5) over store key and
    body. Its keys are derived from `secret_keys`: oldest first, the last one seals,
    all of them open. So a record cannot be edited, moved to another key or be some
    other client's reply without being noticed. The name of the `serializer` of the
    values goes into the keys: what another one wrote would only look alike.
    """

    def __init__(
        self, secret_keys: Sequence[str | bytes], prefix: str, serializer: str
    ) -> None:
        label = f"flask_srvsession.record.v1:{prefix}:{serializer}".encode()
        self._macs = [_derived(secret, label) for secret in reversed(secret_keys)]

    def seal(self, key: str, content: Record | Tombstone) -> bytes:
        """Return the bytes to store under `key`."""
        fields = _FLATTEN[type(content)](content)
        body: bytes = msgpack.packb(fields, unicode_errors="surrogatepass")
        return self._sealed(key, body)

    def open(self, key: str, data: bytes) -> Record | Tombstone:
        """Return what was sealed; :class:`Unreadable` if this was not."""
        if data[:1] != VERSION:
            raise Unreadable("it is empty, of another version, or not ours")
        seal, body = data[1:HEAD], memoryview(data)[HEAD:]
        for mac in self._macs:
            if hmac.compare_digest(seal, _seal(mac, key, body)):
                return _parsed(body)
        raise Unreadable("its seal does not fit, or another serializer wrote it")

    def _sealed(self, key: str, body: bytes) -> bytes:
        return VERSION + _seal(self._macs[0], key, body) + body


def _derived(secret: str | bytes, label: bytes) -> hmac.HMAC:
    secret = secret.encode() if isinstance(secret, str) else secret
    key = hmac.digest(secret, label, hashlib.sha256)
    return hmac.new(key, digestmod=hashlib.sha256)


def _seal(mac: hmac.HMAC, key: str, body: bytes | memoryview) -> bytes:
    name = key.encode("ascii")
    mac = mac.copy()
    mac.update(len(name).to_bytes(2, "big") + name + VERSION)
    mac.update(body)
    return mac.digest()[:MAC_LENGTH]


def _parsed(body: memoryview) -> Record | Tombstone:
    try:
        fields = msgpack.unpackb(
            body, strict_map_key=False, unicode_errors="surrogatepass"
        )
        return _entombed(*fields) if len(fields) == 2 else _revived(*fields)
    except (ValueError, TypeError) as error:
        raise Unreadable("it is sealed, but no record") from error


def _flatten_record(record: Record) -> list[Any]:
    return [
        record.generation,
        record.token_hash,
        record.chain,
        record.since,
        record.last_seen,
        record.pending,
        record.due | record.permanent << 1 | record.presented << 2,
        [[b.index, b.value, stamp] for b, stamp in record.bindings.items()],
        b"".join(record.operations),
        record.replaces,
        record.meta,
        dict(record.values),
    ]


def _revived(
    generation: int,
    token_hash: bytes,
    chain: bytes,
    since: int,
    last_seen: int,
    pending: bytes | None,
    flags: int,
    bindings: list[tuple[str, str, str]],
    operations: bytes,
    replaces: str | None,
    meta: Mapping[str, Any] | None,
    values: Mapping[str, bytes],
) -> Record:
    return Record(
        generation,
        token_hash,
        chain,
        since,
        last_seen,
        pending,
        flags & 1 != 0,
        flags & 2 != 0,
        flags & 4 != 0,
        {Binding(index, value): stamp for index, value, stamp in bindings},
        tuple(
            [
                operations[at : at + OPERATION_LENGTH]
                for at in range(0, len(operations), OPERATION_LENGTH)
            ]
        ),
        replaces,
        meta,
        values,
    )


def _flatten_tombstone(tombstone: Tombstone) -> list[Any]:
    return [_flatten_record(tombstone.former), tombstone.successor]


def _entombed(former: list[Any], successor: str) -> Tombstone:
    return Tombstone(_revived(*former), successor)


_FLATTEN: dict[type, Any] = {Record: _flatten_record, Tombstone: _flatten_tombstone}
