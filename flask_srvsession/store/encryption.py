"""AES-256-GCM in place of a record's seal: who reads the storage reads no record.

Each record has a key of its own, derived from a key of the app and from the key that it
is stored under: so the random nonces of one key never get too many (2^32 writes of one
record, NIST SP 800-38D section 8.3). The key that it is stored under is authenticated,
too: a record is worth nothing elsewhere.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from .. import ids

ENCRYPTED = b"\x82"
"""The first byte of an encrypted record of format 2."""

NAME_LENGTH, SIZE_LENGTH, NONCE_LENGTH = 4, 4, 12
NAMED = len(ENCRYPTED) + NAME_LENGTH
NONCES = NAMED + 2 * SIZE_LENGTH
HEAD = NONCES + 2 * NONCE_LENGTH
"""Bytes before the encrypted ones: format, name of the key, two lengths, two nonces."""

TAG_LENGTH = 16

FEW = 64
"""Records whose keys are kept at hand: a change reads one, and then writes it."""


class Unreadable(Exception):
    """The stored bytes are not a record of ours under this key; the text says why."""


class EncryptionKeys(NamedTuple):
    """The keys of ``SRVSESSION_ENCRYPTION_KEYS``: 32 bytes each, oldest first."""

    keys: Sequence[bytes]
    encrypt: bool
    """Whether the last one encrypts new records; else they only decrypt."""

    def for_names(self, secret_keys: Sequence[str | bytes]) -> list[str | bytes]:
        """Return the keys that the names of lists are made with, oldest first: those
        that are read, and last the one that what is written has."""
        if self.encrypt:
            return [*secret_keys, *self.keys]
        return [*self.keys, *secret_keys]


class Cipher:
    """Encrypts the bodies of records with the last of `keys`, and decrypts with all.

    Needs the extra ``encryption``.
    """

    def __init__(self, keys: Sequence[bytes], prefix: str, serializer: str) -> None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        label = f"flask_srvsession.encryption.v1:{prefix}:{serializer}"
        derive = {_name(key): ids.derived(key, label) for key in keys}
        self._names, self._invalid = derive.keys(), InvalidTag

        @lru_cache(maxsize=FEW)
        def of_record(name: bytes, where: bytes) -> AESGCM:
            return AESGCM(derive[name](where))

        self._of_record = of_record
        self.newest = ENCRYPTED + _name(keys[-1])
        """How a record begins that the newest key has encrypted."""

    def encrypt(self, key: str, front: bytes, values: bytes) -> bytes:
        """Return both parts of a record encrypted, to be stored under `key`: the second
        is authenticated together with the first."""
        where, nonces = key.encode(), os.urandom(2 * NONCE_LENGTH)
        sizes = _SIZES.pack(len(front), len(values))
        aead, head = self._of_record(self.newest[1:], where), self.newest + sizes
        front = aead.encrypt(nonces[:NONCE_LENGTH], front, head + where)
        head += nonces + front
        return head + aead.encrypt(nonces[NONCE_LENGTH:], values, head + where)

    def decrypt(self, key: str, data: bytes) -> bytes:
        """Return both parts of the data under `key`; Unreadable if they are none."""
        end = self.front_end(data)
        front, values = self.decrypt_front(key, data), data[end:]
        [_, size] = _SIZES.unpack_from(data, NAMED)
        if len(values) < size + TAG_LENGTH:
            raise Unreadable(_CUT)
        nonce = data[HEAD - NONCE_LENGTH : HEAD]
        return front + self._decrypted(key, data, nonce, values, data[:end])

    def decrypt_front(self, key: str, data: bytes) -> bytes:
        """Return the first part; Unreadable if it is none. `data` may end with it."""
        name, end = data[1:NAMED], self.front_end(data)
        if len(data) >= HEAD and name not in self._names:
            raise Unreadable(
                f"it is encrypted with the key {name.hex()}, which is not among"
                " SRVSESSION_ENCRYPTION_KEYS: it was taken out, or is newer"
            )
        if len(data) < end:
            raise Unreadable(_CUT)
        nonce = data[NONCES : HEAD - NONCE_LENGTH]
        return self._decrypted(key, data, nonce, data[HEAD:end], data[:NONCES])

    @staticmethod
    def front_end(data: bytes) -> int:
        """Return how long the first part of `data` is, with all before it."""
        size = int.from_bytes(data[NAMED : NAMED + SIZE_LENGTH], "big")
        return HEAD + size + TAG_LENGTH

    def _decrypted(
        self, key: str, data: bytes, nonce: bytes, part: bytes, with_it: bytes
    ) -> bytes:
        where = key.encode()
        aead = self._of_record(data[1:NAMED], where)
        try:
            return aead.decrypt(nonce, part, with_it + where)
        except self._invalid:
            raise Unreadable(
                "it is encrypted, and was changed, or moved here from another session,"
                " or another serializer wrote it"
            ) from None


_CUT = "it is encrypted, and was cut"
_SIZES = struct.Struct(">II")


def _name(key: bytes) -> bytes:
    """Return how records name the key; it tells nothing of it."""
    return ids.derived(key, "flask_srvsession.encryption.v1.name", NAME_LENGTH)(b"")
