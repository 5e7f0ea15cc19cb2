"""A session as it is stored, sealed against everybody who can write the storage."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgpack

from .. import ids
from .encryption import ENCRYPTED, ENCRYPTED_PARTED, Cipher, EncryptionKeys, Unreadable

VERSION, PARTED = b"\x02", b"\x03"
"""Of the format: any change of it gets another one, and decides about this one. The
second is that of long records, which are in two parts."""

READ_FIRST = 1000
"""Bytes of a record that a list reads."""

SHORT = READ_FIRST - 40
"""Bytes of content up to which a record is in one part: behind its head, encrypted or
not, all of it is read first."""

MAC_LENGTH, SIZE_LENGTH = 16, 3
HEAD = len(VERSION) + MAC_LENGTH
FRONT = HEAD + MAC_LENGTH + SIZE_LENGTH
"""Where the front of a long record begins, behind its own seal and its length."""

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
`OPEN`, of a tombstone's: a request that read the session before it moved may still
change it, under its new id."""

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
_NO_VALUES = b"\x80"
"""An empty map, as msgpack writes it."""


class RecordCodec:
    """Seals records under the key they are stored at, and opens them.

    The seal is HMAC-SHA256 (128 bits of it, RFC 2104 section 5) over store key and
    body. Its keys are derived from `secret_keys`: oldest first, the last one seals,
    all of them open. So a record cannot be edited, moved to another key or be some
    other client's reply without being noticed. The name of the `serializer` of the
    values goes into the keys: data of another one would only look alike.

    The values come last. The *front* of a long record, which is all before them, has a
    seal of its own, so that lists need not read the values; the seal of the whole
    covers both.

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
        fields: tuple[Any, ...] = content
        if isinstance(content, Tombstone):
            former, successor = content
            fields = former[:-1], successor, former.values
        body, cut = pack(fields), 0
        if len(body) > SHORT:
            cut = len(pack(fields[:-1]))
        if self._encrypts and self._cipher:
            return self._cipher.encrypt(key, body, cut)
        form, head = (PARTED if cut else VERSION), b""
        text = _HEAD % (len(key), key.encode(), form)
        if cut:
            seal = self._fronts[0](text, body[:cut])
            head = seal + cut.to_bytes(SIZE_LENGTH, "big")
        return form + self._macs[0](text + head, body) + head + body

    def open(self, key: str, data: bytes, *, whole: bool = True) -> Record | Tombstone:
        """Return the sealed content; :class:`Unreadable` if this was not sealed.

        Not `whole`: perhaps without its values, of data that may end where its front
        does.
        """
        form, macs = data[:1], self._macs
        only_front = form in _PARTED and not whole
        if form in (VERSION, PARTED):
            text, seal = _HEAD % (len(key), key.encode(), form), data[1:HEAD]
            if form == VERSION:
                body = data[HEAD:]
            elif whole:
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
        elif form in (ENCRYPTED, ENCRYPTED_PARTED) and self._cipher:
            body = self._cipher.decrypt(key, data, whole=whole)
        else:
            raise Unreadable(_foreign(data))
        try:
            fields = msgpack.unpackb(
                body + _NO_VALUES if only_front else body,
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
        if data[:1] not in _PARTED:
            return True
        end = _front_end if data[:1] == PARTED else Cipher.front_end
        return len(data) >= end(data)

    def is_present(self, data: bytes) -> bool:
        """Return whether `data` is encrypted, or not, as new records are."""
        if self._encrypts and self._cipher:
            return self._cipher.is_newest(data)
        return data[:1] in (VERSION, PARTED)


_HEAD = b"%d:%b%b"
"""The text that is sealed before the rest: key and format."""

_PARTED = frozenset({PARTED, ENCRYPTED_PARTED})


def _foreign(data: bytes) -> str:
    if not data:
        return "it is empty"
    if data[:1] in (ENCRYPTED, ENCRYPTED_PARTED):
        return "it is encrypted, and SRVSESSION_ENCRYPTION_KEYS has no key"
    if data < VERSION:
        return f"an older version of this package wrote it (format {data[0]})"
    return f"it is not ours, or of a newer version of this package (format {data[0]})"


def _front_end(data: bytes) -> int:
    return FRONT + int.from_bytes(data[FRONT - SIZE_LENGTH : FRONT], "big")


def _split(operations: bytes) -> Collection[bytes]:
    starts = range(0, len(operations), OPERATION_LENGTH)
    return [operations[at : at + OPERATION_LENGTH] for at in starts]
