"""The proof of a device: a JWT that its key has signed (RFC 7515; DBSC, section 9.10).

ES256 alone: P-256 and SHA-256. Nothing of the token is believed before the signature
fits, except the key of a registration, which signs for itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry, extract_compact, validate_compact

MAX_LENGTH = 4096
"""Characters of a proof; those of Chromium have about 400."""

_ES256 = JWSRegistry(algorithms=["ES256"], strict_check_header=False)


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
    try:
        return _verified(token, url, key)
    except JoseError as error:
        raise Refused(error.error.replace("_", " ")) from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise Refused("it is no JWT, or its key no point of P-256") from None


def _verified(token: str, url: str, key: bytes | None) -> Proof:
    signed = extract_compact(token.encode(), registry=_ES256)
    header = signed.headers()
    if header.get("typ") != "dbsc+jwt":
        raise Refused("its typ is not dbsc+jwt")
    if key and "jwk" in header:
        raise Refused("it brings a key, but one is registered")
    point = b"\x04" + key if key else _own_key(header.get("jwk"))
    public = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    if not validate_compact(signed, ECKey(public, public), registry=_ES256):
        raise Refused("its signature does not fit")
    claims = json.loads(signed.payload)
    challenge = claims.get("jti")
    if not isinstance(challenge, str):
        raise Refused("it answers no challenge")
    if claims.get("aud", url) != url:
        raise Refused("it was made for another address")
    return Proof(point[1:], challenge)


def _own_key(jwk: Any) -> bytes:
    """Return the key that a registration brings, as a point of the curve."""
    if not isinstance(jwk, Mapping):
        raise Refused("it brings no key")
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256" or "d" in jwk:
        raise Refused("its key is no public one of the curve P-256")
    key: EllipticCurvePublicKey = ECKey.import_key({**jwk}).public_key
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
