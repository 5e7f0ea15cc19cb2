"""A session as it is stored, sealed against everybody who can write the storage."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgpack

from .. import ids
from .encryption import ENCRYPTED, Cipher, EncryptionKeys, Unreadable

VERSION = b"\x02"
"""Of the format: any change of it gets another one, and decides about this one."""

MAC_LENGTH, SIZE_LENGTH = 16, 3
HEAD = len(VERSION) + MAC_LENGTH
FRONT = HEAD + MAC_LENGTH + SIZE_LENGTH
"""Where the front begins, behind its own seal and its length."""

OPERATION_LENGTH = 4
REMEMBERED_OPERATIONS = 8
MEMORY_OF_OPERATIONS = 10
"""Seconds after which only the last write is remembered; nobody waits for an answer
that long."""

TRACE_LENGTH = 12
"""Digits of its predecessor's id that a regenerated session remembers."""

DUE, PERMANENT, PRESENTED, INHERITED, BOUND, UNLIMITED, OPEN = 1, 2, 4, 8, 16, 32, 64
"""The flags of a record. `DUE`: its client is to get a successor of its cookie at any
age. `INHERITED`: it has a place in a list that its predecessor had before. `UNLIMITED`:
it was listed while nothing was limited, so its first use may not have been noted.
`OPEN`, of a tombstone's: the changes of requests that had read the session may follow
it."""

Pack: TypeAlias = Callable[[object], bytes]
Places: TypeAlias = Mapping[bytes, Sequence[str]]
"""Where a session is listed: the name of each index, a digest, with the epoch that it
was listed under there and the mark of its entry."""


class Record(NamedTuple):
    """A session as it is stored, field by field.

    Times are unix time in whole seconds. Of the current token and of its successor
    (`pending`, None before one is handed out) only hashes are kept; the current one
    is current `since` then, and `chain` derives the next. `operations` are the ids of
    the last writes, oldest first: a write whose answer was lost is found there.
    `replaces` is how the id of the session begins that this one was regenerated from.
    `indexing` tells which configuration of indexes and keys `places` follow. `values`
    maps each session key to its encoded value. `era` is the one that it began in: all
    sessions of a former era have ended.
    """

    generation: int
    token_hash: bytes
    chain: bytes
    since: int
    last_seen: int
    pending: bytes | None
    flags: int
    places: Places
    indexing: bytes
    operations: bytes
    replaces: str | None
    meta: Mapping[str, Any] | None
    device: Sequence[Any] | None = None
    era: int = 0
    values: Mapping[str, bytes] = {}

    @property
    def permanent(self) -> bool:
        """Whether the cookie outlives the browser."""
        return self.flags & PERMANENT != 0

    @property
    def presented(self) -> bool:
        """Whether a client has come back with the cookie."""
        return self.flags & PRESENTED != 0

    @property
    def bound(self) -> bool:
        """Whether only its device may use it."""
        return self.flags & BOUND != 0

    def has_done(self, operation: bytes) -> bool:
        """Return whether that write is one of those that are remembered."""
        return operation in _split(self.operations)

    def reaches_back_to(self, began: Record) -> bool:
        """Return whether every write since `began` is still remembered."""
        last = began.operations[-OPERATION_LENGTH:]
        return bool(last) and last in _split(self.operations)

    def operations_with(self, operation: bytes, now: float) -> bytes:
        """Return the operations to remember when `operation` is made `now`."""
        quiet = now - self.last_seen > MEMORY_OF_OPERATIONS
        kept = 1 if quiet else REMEMBERED_OPERATIONS - 1
        return self.operations[-kept * OPERATION_LENGTH :] + operation

    def __repr__(self) -> str:  # without secrets
        return f"<Record generation {self.generation}, last seen {self.last_seen}>"


def begun(token: str, now: int, **fields: Any) -> Record:
    """Return the first record of a session whose cookie has this token."""
    fields |= {"generation": 1, "token_hash": ids.token_hash(token), "pending": None}
    fields |= {"chain": secrets.token_bytes(16), "since": now, "last_seen": now}
    return Record(operations=secrets.token_bytes(OPERATION_LENGTH), **fields)


def inherited(places: Places, former: Places) -> int:
    """Return the flag of a record that has some of the `former` places."""
    return INHERITED if places.keys() & former.keys() else 0


class Tombstone(NamedTuple):
    """A regenerated session leaves this for a moment: its `former` record, which knows
    the tokens that were good, and the id of its `successor`."""

    former: Record
    successor: str


_TYPES: tuple[type | tuple[type, ...], ...] = (
    *(int, bytes, bytes, int, int, (bytes, type(None)), int),
    *(dict, bytes, bytes, (str, type(None)), (dict, type(None))),
    *((list, type(None)), int, dict),
)
_RECORD, _TOMBSTONE, _NO_VALUES = b"\x9f", b"\x93", b"\x80"
"""How msgpack begins a list of 15 and one of 3, the front of which has one less, and
writes an empty map."""


class RecordCodec:
    """Seals records under the key they are stored at, and opens them.

    The seal is HMAC-SHA256 (128 bits of it, RFC 2104 section 5) over store key and
    body. Its keys are derived from `secret_keys`: oldest first, the last one seals,
    all of them open. So a record cannot be edited, moved to another key or be some
    other client's reply without being noticed. The name of the `serializer` of the
    values goes into the keys: data of another one would only look alike.

    The values come last. The *front*, which is all before them, has a seal of its own,
    so that lists need not read the values; the seal of the whole covers both.

    With `encryption`, records are encrypted in place of that, and sealed ones are still
    read.
    """

    def __init__(
        self,
        secret_keys: Sequence[str | bytes],
        prefix: str,
        serializer: str,
        encryption: EncryptionKeys | None = None,
    ) -> None:
        label = f"flask_srvsession.record.v2:{prefix}:{serializer}"
        self._macs, self._fronts = (
            [ids.derived(key, purpose, MAC_LENGTH) for key in reversed(secret_keys)]
            for purpose in (label, f"{label}:front")
        )
        keys = encryption.keys if encryption else ()
        self._cipher = Cipher(keys, prefix, serializer) if keys else None
        self._encrypts = bool(keys and encryption and encryption.encrypt)

    def seal(self, key: str, content: Record | Tombstone) -> bytes:
        """Return the bytes to store under `key`."""
        pack: Pack = msgpack.Packer(unicode_errors="surrogatepass").pack
        if isinstance(content, Record):
            front, values = _RECORD + pack(content[:-1])[1:], pack(content.values)
        else:
            former, after = content
            front = _TOMBSTONE + pack((former[:-1], after))[1:]
            values = pack(former.values)
        if self._encrypts and self._cipher:
            return self._cipher.encrypt(key, front, values)
        text, size = _HEAD % (len(key), key.encode()), len(front)
        front = self._fronts[0](text, front) + size.to_bytes(SIZE_LENGTH, "big") + front
        return VERSION + self._macs[0](text + front, values) + front + values

    def open(self, key: str, data: bytes, *, whole: bool = True) -> Record | Tombstone:
        """Return the sealed content; :class:`Unreadable` if this was not sealed.

        Not `whole`: without its values, of data that may end where the front does.
        """
        if data[:1] == VERSION:
            text, macs, seal = (
                _HEAD % (len(key), key.encode()),
                self._macs,
                data[1:HEAD],
            )
            if whole:
                text, body = text + data[HEAD:FRONT], data[FRONT:]
            else:
                macs, seal = self._fronts, data[HEAD : HEAD + MAC_LENGTH]
                body = data[FRONT : _front_end(data)]
            for mac in macs:
                if hmac.compare_digest(seal, mac(text, body)):
                    break
            else:
                raise Unreadable(
                    "its seal does not fit, or another serializer wrote it"
                )
        elif data[:1] == ENCRYPTED and self._cipher:
            decrypt = self._cipher.decrypt if whole else self._cipher.decrypt_front
            body = decrypt(key, data)
        else:
            raise Unreadable(_foreign(data))
        try:
            fields = msgpack.unpackb(
                body if whole else body + _NO_VALUES,
                strict_map_key=False,
                unicode_errors="surrogatepass",
            )
            if len(fields) == len(_TYPES) and all(map(isinstance, fields, _TYPES)):
                return Record._make(fields)
            former, successor, values = fields
            former.append(values)
            if all(map(isinstance, former, _TYPES)) and isinstance(successor, str):
                return Tombstone(Record._make(former), successor)
        except (ValueError, TypeError, AttributeError) as error:
            raise Unreadable("it is sealed, but no record") from error
        raise Unreadable("it is sealed, but no record")

    def has_front(self, data: bytes) -> bool:
        """Return whether `data`, of which the end may be missing, hold the front."""
        end = Cipher.front_end if data[:1] == ENCRYPTED else _front_end
        return len(data) >= end(data)

    def is_present(self, data: bytes) -> bool:
        """Return whether `data` is encrypted, or not, as new records are."""
        if self._encrypts and self._cipher:
            return data.startswith(self._cipher.newest)
        return data[:1] == VERSION


_HEAD = b"%d:%b" + VERSION
"""The text that is sealed before the rest: key and format."""


def _foreign(data: bytes) -> str:
    if not data:
        return "it is empty"
    if data[:1] == ENCRYPTED:
        return "it is encrypted, and SRVSESSION_ENCRYPTION_KEYS has no key"
    if data < VERSION:
        return f"an older version of this package wrote it (format {data[0]})"
    return f"it is not ours, or of a newer version of this package (format {data[0]})"


def _front_end(data: bytes) -> int:
    return FRONT + int.from_bytes(data[FRONT - SIZE_LENGTH : FRONT], "big")


def _split(operations: bytes) -> Collection[bytes]:
    starts = range(0, len(operations), OPERATION_LENGTH)
    return [operations[at : at + OPERATION_LENGTH] for at in starts]
