"""What is stored of a session, sealed against everybody who can write the storage."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack

VERSION = b"\x01"
MAC_LENGTH = 16
OPERATION_LENGTH = 4
REMEMBERED_OPERATIONS = 8


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


@dataclass(frozen=True, slots=True)
class Record:
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
    token_hash: bytes = field(repr=False)
    chain: bytes = field(repr=False)
    since: int
    last_seen: int
    pending: bytes | None = field(default=None, repr=False)
    due: bool = False
    permanent: bool = False
    presented: bool = False
    bindings: Mapping[Binding, str] = field(default_factory=dict)
    operations: tuple[bytes, ...] = ()
    replaces: str | None = None
    meta: Mapping[str, Any] | None = None
    values: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What a regenerated session leaves for a moment: where it went, no content."""

    former: Record
    """The record without its content: it knows which tokens were good."""
    successor: str


class RecordCodec:
    """Seals records under the key they are stored at, and opens them.

    The seal is HMAC-SHA256 (128 bits of it, RFC 2104 section 5) over store key and
    body. Its keys are derived from `secret_keys`: oldest first, the last one seals,
    all of them open. So a record cannot be edited, moved to another key or be some
    other client's reply without being noticed. `serializer` is the name of the
    format of the values: those of another one would only look alike.
    """

    def __init__(
        self, secret_keys: Sequence[str | bytes], prefix: str, serializer: str
    ) -> None:
        label = f"flask_srvsession.record.v1:{prefix}".encode()
        self._keys = [_derive(secret, label) for secret in reversed(secret_keys)]
        self._serializer = serializer

    def seal(self, key: str, content: Record | Tombstone) -> bytes:
        """Return the bytes to store under `key`."""
        fields = [self._serializer, *_FLATTEN[type(content)](content)]
        body: bytes = msgpack.packb(fields, unicode_errors="surrogatepass")
        return VERSION + _mac(self._keys[0], key, body) + body

    def open(self, key: str, data: bytes) -> Record | Tombstone:
        """Return what was sealed; :class:`Unreadable` if this was not."""
        if data[:1] != VERSION:
            raise Unreadable("it is empty, of another version, or not ours")
        seal, body = data[1 : 1 + MAC_LENGTH], data[1 + MAC_LENGTH :]
        if not any(hmac.compare_digest(seal, _mac(k, key, body)) for k in self._keys):
            raise Unreadable("its seal does not fit")
        try:
            return self._parsed(body)
        except (ValueError, TypeError) as error:
            raise Unreadable("it is sealed, but no record") from error

    def _parsed(self, body: bytes) -> Record | Tombstone:
        serializer, *fields = msgpack.unpackb(
            body, strict_map_key=False, unicode_errors="surrogatepass"
        )
        if serializer != self._serializer:
            raise Unreadable("its values were written by another serializer")
        return _entombed(fields) if len(fields) == 2 else _revived(fields)


def _derive(secret: str | bytes, label: bytes) -> bytes:
    secret = secret.encode() if isinstance(secret, str) else secret
    return hmac.digest(secret, label, hashlib.sha256)


def _mac(mac_key: bytes, key: str, body: bytes) -> bytes:
    name = key.encode("ascii")
    message = len(name).to_bytes(2, "big") + name + VERSION + body
    return hmac.digest(mac_key, message, "sha256")[:MAC_LENGTH]


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


def _revived(fields: list[Any]) -> Record:
    generation, token_hash, chain, since, last_seen, pending, flags, *rest = fields
    bindings, operations, replaces, meta, values = rest
    return Record(
        generation=generation,
        token_hash=token_hash,
        chain=chain,
        since=since,
        last_seen=last_seen,
        pending=pending,
        due=bool(flags & 1),
        permanent=bool(flags & 2),
        presented=bool(flags & 4),
        bindings={Binding(index, value): stamp for index, value, stamp in bindings},
        operations=tuple(
            operations[at : at + OPERATION_LENGTH]
            for at in range(0, len(operations), OPERATION_LENGTH)
        ),
        replaces=replaces,
        meta=meta,
        values=values,
    )


def _flatten_tombstone(tombstone: Tombstone) -> list[Any]:
    return [_flatten_record(tombstone.former), tombstone.successor]


def _entombed(fields: list[Any]) -> Tombstone:
    return Tombstone(_revived(fields[0]), fields[1])


_FLATTEN: dict[type, Any] = {Record: _flatten_record, Tombstone: _flatten_tombstone}
