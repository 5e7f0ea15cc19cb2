"""The proof of a device: a JWT that its key has signed (RFC 7515; DBSC, section 9.10).

ES256 alone: P-256 and SHA-256. Nothing of the token is believed before the signature
fits, except the key of a registration, which signs for itself.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

MAX_LENGTH = 4096
"""Characters of a proof; those of Chromium have about 400."""

_JWT = re.compile(r"([\w-]+)\.([\w-]+)\.([\w-]{86})", re.ASCII)
_COORDINATE = re.compile(r"[\w-]{43}", re.ASCII)


class Refused(Exception):
    """This proves nothing; the message says why, without any part of it."""


class Proof(NamedTuple):
    """The content that a device has signed."""

    key: bytes
    """The public key: x and y, 32 bytes each."""
    challenge: str


def verify(token: str, *, url: str, key: bytes | None = None) -> Proof:
    """Return the content of `token`, which must be signed by `key`.

    Without a key this is a registration: it brings its own, by which it is signed.
    `url` is the address that was asked, which the token may name as its audience.
    Raises :class:`Refused`.
    """
    if len(token) > MAX_LENGTH:
        raise Refused("it is too long")
    match = _JWT.fullmatch(token)
    if match is None:
        raise Refused("it is no JWT with a signature of 64 bytes")
    head, body, signature = match.groups()
    header, claims = _json(head), _json(body)
    if header.get("typ") != "dbsc+jwt" or header.get("alg") != "ES256":
        raise Refused("its typ is not dbsc+jwt, or its alg not ES256")
    if "crit" in header:
        raise Refused("it demands an extension")
    if key is None:
        key = _own_key(header)
    elif "jwk" in header:
        raise Refused("it brings a key, but one is registered")
    _check_signature(key, f"{head}.{body}".encode("ascii"), _bytes(signature))
    challenge = claims.get("jti")
    if not isinstance(challenge, str):
        raise Refused("it answers no challenge")
    if "aud" in claims and claims["aud"] != url:
        raise Refused("it was made for another address")
    return Proof(key, challenge)


def _check_signature(key: bytes, message: bytes, signature: bytes) -> None:
    x, y, r, s = map(_number, (key[:32], key[32:], signature[:32], signature[32:]))
    try:
        public = EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()
        public.verify(encode_dss_signature(r, s), message, ECDSA(SHA256()))
    except InvalidSignature:
        raise Refused("its signature does not fit") from None
    except ValueError:
        raise Refused("its key is not on the curve P-256") from None


def _own_key(header: dict[str, Any]) -> bytes:
    jwk = header.get("jwk")
    if not isinstance(jwk, dict):
        raise Refused("it brings no key")
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256" or "d" in jwk:
        raise Refused("its key is no public one of the curve P-256")
    coordinates = jwk.get("x"), jwk.get("y")
    for each in coordinates:
        if not isinstance(each, str) or not _COORDINATE.fullmatch(each):
            raise Refused("its key has no two coordinates of 32 bytes")
    return b"".join(map(_bytes, map(str, coordinates)))


def _json(part: str) -> dict[str, Any]:
    try:
        value = json.loads(_bytes(part))
    except (ValueError, RecursionError):
        raise Refused("it holds no JSON") from None
    if not isinstance(value, dict):
        raise Refused("it holds no JSON object")
    return value


def _bytes(part: str) -> bytes:
    """Return the bytes of `part` in base64url, of which each text has one spelling."""
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise Refused("it is no base64url") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != part:
        raise Refused("it is no canonical base64url")
    return data


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
