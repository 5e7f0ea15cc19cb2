"""Session ids, tokens, and the signed cookie value that carries both."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from typing import NamedTuple, TypeGuard

from itsdangerous import Signer

MAX_CLOCK_SKEW = 60
"""Seconds by which the clocks of two servers may differ."""

_ID = r"[0-9a-f]{32}_[1-9a-f][0-9a-f]{0,11}"
_COOKIE = re.compile(
    rf"(({_ID})\.([1-9][0-9]{{0,8}})\.([0-9a-f]{{32}}))\.([0-9A-Za-z_-]{{43}})"
)
_BLOCK = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class Mac:
    """HMAC-SHA256 (RFC 2104) under one key, `length` bytes of it.

    Both halves are prepared once: ``hmac.new`` and its ``copy`` take twice the time of
    the two hashes.
    """

    def __init__(self, key: bytes, length: int = 32) -> None:
        self._length = length
        if len(key) > _BLOCK:
            key = hashlib.sha256(key).digest()
        key = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(key.translate(_INNER))
        self._outer = hashlib.sha256(key.translate(_OUTER))

    def __call__(self, message: bytes, more: bytes = b"") -> bytes:
        """Return the bytes that authenticate the message, and `more` behind it."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        if more:
            inner.update(more)
        outer.update(inner.digest())
        return outer.digest()[: self._length]


def derived(secret: str | bytes, label: str, length: int = 32) -> Mac:
    """Return the MAC whose key is derived from an app's secret key, for one purpose."""
    secret = secret.encode() if isinstance(secret, str) else secret
    return Mac(hmac.digest(secret, label.encode(), hashlib.sha256), length)


def new_id(born: float) -> str:
    """Return a never used id ``KEY_CREATED`` of a session born at `born` (unix time).

    KEY has 128 random bits. The id is not a secret: it may be shown and logged.
    """
    return f"{secrets.token_hex(16)}_{int(born):x}"


def is_id(value: object) -> TypeGuard[str]:
    """Return whether `value` has the form of an id."""
    return isinstance(value, str) and re.fullmatch(_ID, value) is not None


def born(session_id: str) -> int:
    """Return when the session was born, as unix time."""
    return int(session_id[33:], 16)


def pack(session_id: str) -> str:
    """Return the id in fewer characters, for lists that hold many of them."""
    key, _, created = session_id.partition("_")
    raw = bytes.fromhex(key) + int(created, 16).to_bytes(5, "big")
    return base64.urlsafe_b64encode(raw).decode("ascii")


def unpack(packed: str) -> str:
    """Return the id that was packed; ValueError for any other text."""
    raw = base64.b64decode(packed, altchars=b"-_", validate=True)
    session_id = f"{raw[:16].hex()}_{int.from_bytes(raw[16:], 'big'):x}"
    if len(raw) != 21 or not is_id(session_id):
        raise ValueError("this is no packed id")
    return session_id


def new_token() -> str:
    """Return 128 random bits, the secret half of a credential."""
    return secrets.token_hex(16)


def token_hash(token: str) -> bytes:
    """Return the hash of `token` that a record keeps. A token has too many bits to be
    guessed: 128 bits of SHA-256, as many as the token has."""
    return hashlib.sha256(token.encode("ascii")).digest()[:16]


class Credential(NamedTuple):
    """The content of a cookie: a session's id, and the proof that it is theirs."""

    id: str
    generation: int
    token: str

    def __repr__(self) -> str:  # without the token
        return f"<Credential {self.id}, generation {self.generation}>"


class CookieSigner:
    """Turns credentials into cookie values and back.

    `secret_keys` are oldest first, the one that signs last (the order of
    itsdangerous; Flask had it wrong once, CVE-2025-47278). The salt includes the
    `prefix`, so that two apps never accept each other's cookies. Keys are derived
    once, by HMAC, and not for each cookie.
    """

    def __init__(self, secret_keys: Sequence[str | bytes], prefix: str) -> None:
        signer = Signer(
            list(secret_keys),  # type: ignore[arg-type]  # Sequence[str | bytes]
            salt=f"flask_srvsession.cookie.v1:{prefix}",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )
        keys = reversed(signer.secret_keys)
        self._macs = [Mac(signer.derive_key(key)) for key in keys]

    def dumps(self, credential: Credential) -> str:
        """Return ``KEY_CREATED.GENERATION.TOKEN.SIGNATURE``."""
        payload = f"{credential.id}.{credential.generation}.{credential.token}"
        signature = base64.urlsafe_b64encode(self._macs[0](payload.encode("ascii")))
        return f"{payload}.{signature.rstrip(b'=').decode('ascii')}"

    def loads(self, value: str) -> Credential | None:
        """Return the credential if `value` is exactly as we would have sent it."""
        match = _COOKIE.fullmatch(value)
        if match is None:
            return None
        payload, session_id, generation, token, signature = match.groups()
        message, given = payload.encode("ascii"), signature.encode("ascii")
        for mac in self._macs:
            own = binascii.b2a_base64(mac(message), newline=False)
            if hmac.compare_digest(own.translate(_FOR_URLS, b"="), given):
                return Credential(session_id, int(generation), token)
        return None


_FOR_URLS = bytes.maketrans(b"+/", b"-_")
