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

ENCRYPTED, ENCRYPTED_PARTED = b"\x82", b"\x83"
"""The first byte of an encrypted record of format 2, in one part or in two."""

NAME_LENGTH, SIZE_LENGTH, NONCE_LENGTH, TAG_LENGTH = 4, 4, 12, 16
NAMED = len(ENCRYPTED) + NAME_LENGTH
HEAD = NAMED + SIZE_LENGTH
"""Bytes before the first part of two: format, name of the key, length."""

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
        self._newest = _name(keys[-1])

    def is_newest(self, data: bytes) -> bool:
        """Return whether the newest key has encrypted `data`."""
        return data[:1] in _FORMS and data[1:NAMED] == self._newest

    def encrypt(self, key: str, body: bytes, cut: int) -> bytes:
        """Return the body of a record encrypted, to be stored under `key`; in two
        parts if there is a `cut`. The second is authenticated together with the
        first."""
        where, head = key.encode(), ENCRYPTED + self._newest
        aead = self._of_record(self._newest, where)
        if cut:
            head = ENCRYPTED_PARTED + self._newest + cut.to_bytes(SIZE_LENGTH, "big")
            nonce = os.urandom(NONCE_LENGTH)
            head += nonce + aead.encrypt(nonce, body[:cut], head + where)
        nonce = os.urandom(NONCE_LENGTH)
        return head + nonce + aead.encrypt(nonce, body[cut:], head + where)

    def decrypt(self, key: str, data: bytes, *, whole: bool = True) -> bytes:
        """Return the body of the data under `key`; Unreadable if there is none. Not
        `whole`: the first part of two, where `data` may end."""
        name, where, end = data[1:NAMED], key.encode(), NAMED
        if name not in self._names:
            raise Unreadable(
                f"it is encrypted with the key {name.hex()}, which is not among"
                " SRVSESSION_ENCRYPTION_KEYS: it was taken out, or is newer"
            )
        aead, front = self._of_record(name, where), b""

        def part(start: int, end: int | None = None) -> bytes:
            body = start + NONCE_LENGTH
            return aead.decrypt(data[start:body], data[body:end], data[:start] + where)

        try:
            if data[:1] == ENCRYPTED_PARTED:
                end = self.front_end(data)
                front = part(HEAD, end)
                if not whole:
                    return front
            return front + part(end)
        except (self._invalid, ValueError):  # of a nonce that was cut
            raise Unreadable(
                "it is encrypted, and was changed or cut, or moved here from another"
                " session, or another serializer wrote it"
            ) from None

    @staticmethod
    def front_end(data: bytes) -> int:
        """Return how long the first part of two is, with all before it."""
        size = int.from_bytes(data[NAMED:HEAD], "big")
        return HEAD + NONCE_LENGTH + size + TAG_LENGTH


_FORMS = frozenset({ENCRYPTED, ENCRYPTED_PARTED})


def _name(key: bytes) -> bytes:
    """Return how records name the key; it tells nothing of it."""
    return ids.derived(key, "flask_srvsession.encryption.v1.name", NAME_LENGTH)(b"")
