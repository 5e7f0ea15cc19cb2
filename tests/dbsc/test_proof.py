"""Which proofs of a device are believed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from flask_srvsession.dbsc.proof import MAX_LENGTH, Refused, verify

from .key import Key, b64

URL = "https://localhost/dbsc/refresh"
HEADER = {"alg": "ES256", "typ": "dbsc+jwt"}


@pytest.fixture(scope="module")
def key() -> Key:
    return Key()


@pytest.fixture(scope="module")
def public(key: Key) -> bytes:
    return verify(key.registers("c"), url=URL).key


def test_a_registration_brings_the_key_that_later_proofs_need(
    key: Key, public: bytes
) -> None:
    assert len(public) == 64
    assert verify(key.proves("c2"), url=URL, key=public) == (public, "c2")


def test_a_proof_for_this_address_is_believed(key: Key, public: bytes) -> None:
    assert verify(key.proves("c", aud=URL), url=URL, key=public).challenge == "c"


def test_a_proof_of_another_key_is_refused(public: bytes) -> None:
    with pytest.raises(Refused, match="signature"):
        verify(Key().proves("c"), url=URL, key=public)


@pytest.mark.parametrize(
    "header",
    [
        {**HEADER, "alg": "none"},
        {**HEADER, "alg": "RS256"},
        {**HEADER, "alg": "es256"},
        {**HEADER, "alg": None},
        {**HEADER, "typ": "JWT"},
        {**HEADER, "typ": "DBSC+JWT"},
        {"alg": "ES256"},
        {"typ": "dbsc+jwt"},
        {**HEADER, "crit": ["b64"], "b64": False},
        {**HEADER, "jwk": Key().jwk},
        [],
        "ES256",
    ],
)
def test_a_refresh_with_another_header_is_refused(
    key: Key, public: bytes, header: Any
) -> None:
    with pytest.raises(Refused):
        verify(key.sign(header, {"jti": "c"}), url=URL, key=public)


@pytest.mark.parametrize(
    "payload",
    [{}, {"jti": 7}, {"jti": None}, [], "c", {"jti": "c", "aud": "https://evil/"}],
)
def test_a_refresh_with_another_payload_is_refused(
    key: Key, public: bytes, payload: Any
) -> None:
    with pytest.raises(Refused):
        verify(key.sign(HEADER, payload), url=URL, key=public)


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "RSA"},
        {"crv": "P-384"},
        {"crv": None},
        {"x": None},
        {"x": 5},
        {"x": "AAAA"},
        {"x": b64(bytes(32)), "y": b64(bytes(32))},
        {"x": b64(b"\xff" * 32)},
        {"d": b64(bytes(32))},
    ],
)
def test_a_registration_with_another_key_is_refused(
    key: Key, change: dict[str, Any]
) -> None:
    header = {**HEADER, "jwk": {**key.jwk, **change}}

    with pytest.raises(Refused):
        verify(key.sign(header, {"jti": "c"}), url=URL)


@pytest.mark.parametrize("header", [HEADER, {**HEADER, "jwk": None}])
def test_a_registration_without_a_key_is_refused(key: Key, header: Any) -> None:
    with pytest.raises(Refused, match="no key"):
        verify(key.sign(header, {"jti": "c"}), url=URL)


def test_a_registration_signed_by_another_key_is_refused(key: Key) -> None:
    header = {**HEADER, "jwk": Key().jwk}

    with pytest.raises(Refused, match="signature"):
        verify(key.sign(header, {"jti": "c"}), url=URL)


def test_a_key_of_another_curve_is_refused() -> None:
    with pytest.raises(Refused):
        verify(Key(ec.SECP384R1()).registers("c"), url=URL)


def test_what_is_no_jwt_is_refused(key: Key, public: bytes) -> None:
    good = key.proves("c")
    head, body, signature = good.split(".")
    deep = b64(b"[" * 2000)
    for bad in [
        *("", "..", "a.b", good + ".x", good + "=", f" {good}", f"{good}\n"),
        *(f"{head}.{body}.", f"{head}.{body}.{signature[:-1]}", f"{head}.{signature}"),
        *(f"!.{body}.{signature}", f"x.{body}.{signature}"),
        f"{b64(b'no JSON')}.{body}.{signature}",
        f"{head}.{deep}.{signature}",
        f"{head}.{b64(bytes([255, 254]))}.{signature}",
    ]:
        with pytest.raises(Refused):
            verify(bad, url=URL, key=public)


def test_each_token_has_one_spelling(key: Key, public: bytes) -> None:
    """The last character of 64 bytes has four bits that say nothing."""
    good = key.proves("c")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = good[:-1] + alphabet[alphabet.index(good[-1]) + 1]

    with pytest.raises(Refused, match="signature"):
        verify(other, url=URL, key=public)


def test_a_long_token_is_refused_whatever_it_says(key: Key, public: bytes) -> None:
    padding = "x" * MAX_LENGTH

    with pytest.raises(Refused, match="long"):
        verify(key.proves("c", padding=padding), url=URL, key=public)


def test_a_changed_token_is_refused(key: Key, public: bytes) -> None:
    head, _, signature = key.proves("c").split(".")
    body = b64(json.dumps({"jti": "other"}).encode())

    with pytest.raises(Refused, match="signature"):
        verify(f"{head}.{body}.{signature}", url=URL, key=public)
