"""AES-256-GCM in place of a record's seal: who reads the storage reads no record.

Each record has a key of its own, derived from a key of the app and from the key that it
is stored under: so the random nonces of one key never get too many (2^32 writes of one
record, NIST SP 800-38D section 8.3). The key that it is stored under is authenticated,
too: a record is worth nothing elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from .. import ids

ENCRYPTED = b"\x82"
"""The first byte of an encrypted record of format 2."""

NAME_LENGTH, SIZE_LENGTH, NONCE_LENGTH = 4, 4, 12
NAMED = len(ENCRYPTED) + NAME_LENGTH
HEAD = NAMED + SIZE_LENGTH + NONCE_LENGTH
"""Bytes before the encrypted ones: format, name of the key, length, nonce."""

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

    def encrypt(self, key: str, body: bytes) -> bytes:
        """Return the encrypted `body`, to be stored under `key`."""
        where, nonce = key.encode(), os.urandom(NONCE_LENGTH)
        size = len(body).to_bytes(SIZE_LENGTH, "big")
        aead, head = self._of_record(self.newest[1:], where), self.newest + size
        return head + nonce + aead.encrypt(nonce, body, head + where)

    def decrypt(self, key: str, data: bytes) -> bytes:
        """Return the body of the data under `key`; Unreadable if they are none."""
        name, size = data[1:NAMED], data[NAMED : NAMED + SIZE_LENGTH]
        nonce, where = data[NAMED + SIZE_LENGTH : HEAD], key.encode()
        if len(data) >= HEAD and name not in self._names:
            raise Unreadable(
                f"it is encrypted with the key {name.hex()}, which is not among"
                " SRVSESSION_ENCRYPTION_KEYS: it was taken out, or is newer"
            )
        if len(data) < HEAD + 16 + int.from_bytes(size, "big"):
            raise Unreadable("it is encrypted, and was cut")
        head = data[: NAMED + SIZE_LENGTH]
        try:
            return self._of_record(name, where).decrypt(
                nonce, data[HEAD:], head + where
            )
        except self._invalid:
            raise Unreadable(
                "it is encrypted, and was changed, or moved here from another session,"
                " or another serializer wrote it"
            ) from None


def _name(key: bytes) -> bytes:
    """Return how records name the key; it tells nothing of it."""
    return ids.derived(key, "flask_srvsession.encryption.v1.name", NAME_LENGTH)(b"")
