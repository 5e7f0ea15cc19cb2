"""A device's key, and the JWTs that it signs: nothing of the package is used."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().strip("=")


class Key:
    """A private key on P-256, or on another curve."""

    def __init__(self, curve: ec.EllipticCurve | None = None) -> None:
        self._private = ec.generate_private_key(curve or ec.SECP256R1())
        self._size = (self._private.key_size + 7) // 8

    @property
    def jwk(self) -> dict[str, str]:
        """The public key, as Chromium 156 writes it."""
        numbers = self._private.public_key().public_numbers()
        x, y = (n.to_bytes(self._size, "big") for n in (numbers.x, numbers.y))
        return {"crv": "P-256", "kty": "EC", "x": b64(x), "y": b64(y)}

    def sign(self, header: Any, payload: Any) -> str:
        """Return the JWT of what is given, whatever it is."""
        parts = [b64(json.dumps(part).encode()) for part in (header, payload)]
        message = ".".join(parts)
        der = self._private.sign(message.encode(), ec.ECDSA(SHA256()))
        raw = b"".join(n.to_bytes(self._size, "big") for n in decode_dss_signature(der))
        return f"{message}.{b64(raw)}"

    def registers(self, challenge: str, **claims: Any) -> str:
        """Return the proof of a registration."""
        header = {"alg": "ES256", "jwk": self.jwk, "typ": "dbsc+jwt"}
        return self.sign(header, {"jti": challenge, **claims})

    def proves(self, challenge: str, **claims: Any) -> str:
        """Return the proof of a refresh."""
        header = {"alg": "ES256", "typ": "dbsc+jwt"}
        return self.sign(header, {"jti": challenge, **claims})
