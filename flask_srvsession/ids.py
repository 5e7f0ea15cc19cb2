"""Session ids, tokens, and the signed cookie value that carries both."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from itsdangerous import Signer
from itsdangerous.encoding import base64_encode

MAX_CLOCK_SKEW = 60
"""Seconds by which the clocks of two servers may differ."""

_ID = r"[0-9a-f]{32}_[1-9a-f][0-9a-f]{0,11}"
_COOKIE = re.compile(
    rf"(({_ID})\.([1-9][0-9]{{0,8}})\.([0-9a-f]{{32}}))\.([0-9A-Za-z_-]{{43}})"
)


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
    """Return the id that was packed."""
    raw = base64.urlsafe_b64decode(packed)
    return f"{raw[:16].hex()}_{int.from_bytes(raw[16:], 'big'):x}"


def new_token() -> str:
    """Return 128 random bits, the secret half of a credential."""
    return secrets.token_hex(16)


def token_hash(token: str) -> bytes:
    """Return what a record keeps of `token`, which has too many bits to be guessed:
    128 bits of SHA-256, as many as the token has."""
    return hashlib.sha256(token.encode("ascii")).digest()[:16]


@dataclass(frozen=True, slots=True)
class Credential:
    """What a client presents: which session, and the proof that it is theirs."""

    id: str
    generation: int
    token: str = field(repr=False)


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
        derived = [signer.derive_key(key) for key in reversed(signer.secret_keys)]
        self._macs = [hmac.new(key, digestmod=hashlib.sha256) for key in derived]

    def dumps(self, credential: Credential) -> str:
        """Return ``KEY_CREATED.GENERATION.TOKEN.SIGNATURE``."""
        payload = f"{credential.id}.{credential.generation}.{credential.token}"
        return f"{payload}.{_signature(self._macs[0], payload)}"

    def loads(self, value: str) -> Credential | None:
        """Return the credential if `value` is exactly what we would have sent."""
        match = _COOKIE.fullmatch(value)
        if match is None:
            return None
        payload, session_id, generation, token, signature = match.groups()
        for mac in self._macs:
            if hmac.compare_digest(_signature(mac, payload), signature):
                return Credential(session_id, int(generation), token)
        return None


def _signature(mac: hmac.HMAC, payload: str) -> str:
    mac = mac.copy()
    mac.update(payload.encode("ascii"))
    return base64_encode(mac.digest()).decode("ascii")
