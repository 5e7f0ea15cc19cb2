"""Ids, tokens and the signed cookie value."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_srvsession import ids
from flask_srvsession.ids import CookieSigner, Credential

PREFIX = "app:session:"
OLD, NEW = "the key of last year", "the key of now"

hex_digits = st.text("0123456789abcdef", min_size=32, max_size=32)
births = st.integers(1, 2**40 - 1)
credentials = st.builds(
    lambda key, born, generation, token: Credential(
        f"{key}_{born:x}", generation, token
    ),
    hex_digits,
    births,
    st.integers(1, 10**9 - 1),
    hex_digits,
)


@pytest.fixture
def signer() -> CookieSigner:
    return CookieSigner([NEW], PREFIX)


@pytest.fixture
def credential() -> Credential:
    return Credential(ids.new_id(1_750_000_000), 3, ids.new_token())


@pytest.mark.parametrize("length", [1, 64, 65, 200])
def test_a_mac_is_hmac_for_a_key_of_any_length(length: int) -> None:
    key = bytes(range(length))

    assert ids.Mac(key)(b"one", b"two") == hmac.digest(key, b"onetwo", "sha256")
    assert ids.Mac(key, 16)(b"") == hmac.digest(key, b"", "sha256")[:16]


def test_an_id_says_when_its_session_was_born() -> None:
    session_id = ids.new_id(1_750_000_000.9)

    assert re.fullmatch(r"[0-9a-f]{32}_684ee180", session_id)
    assert ids.born(session_id) == 1_750_000_000
    assert ids.is_id(session_id)


def test_no_two_ids_and_no_two_tokens_are_alike() -> None:
    assert len({ids.new_id(1) for _ in range(1000)}) == 1000
    assert len({ids.new_token() for _ in range(1000)}) == 1000


@pytest.mark.parametrize("make", [ids.new_token, lambda: ids.new_id(1)[:32]])
def test_each_of_its_32_digits_is_left_to_chance(make: Callable[[], str]) -> None:
    made = [make() for _ in range(1000)]

    for digits in zip(*made, strict=True):
        assert set(digits) == set("0123456789abcdef")
    assert len(made[0]) == 32


def test_a_token_has_128_bits_and_so_has_its_hash() -> None:
    token = ids.new_token()

    assert len(bytes.fromhex(token)) == 16
    assert len(ids.token_hash(token)) == 16
    assert token.encode() not in ids.token_hash(token)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "0" * 32,
        "0" * 32 + "_",
        "0" * 32 + "_0",
        "0" * 32 + "_01",
        "0" * 31 + "_1",
        "0" * 33 + "_1",
        "A" * 32 + "_1",
        "0" * 32 + "_G",
        "0" * 32 + "_1\n",
        " " + "0" * 32 + "_1",
        "0" * 32 + "_" + "1" * 13,
        "\u0660" * 32 + "_1",
        "../" + "0" * 29 + "_1",
    ],
)
def test_what_is_no_id_is_not_taken_for_one(text: str) -> None:
    assert not ids.is_id(text)


@given(credentials)
def test_a_cookie_brings_back_its_credential(credential: Credential) -> None:
    signer = CookieSigner([NEW], PREFIX)

    cookie = signer.dumps(credential)

    assert signer.loads(cookie) == credential
    assert len(cookie) <= 200
    assert re.fullmatch(r"[\w.-]+", cookie, re.ASCII)


def test_a_changed_character_anywhere_makes_a_cookie_worthless(
    signer: CookieSigner, credential: Credential
) -> None:
    cookie = signer.dumps(credential)

    for at, character in enumerate(cookie):
        for other in "0aA_.-\x00é":
            if other != character:
                changed = cookie[:at] + other + cookie[at + 1 :]
                assert signer.loads(changed) is None, f"{other!r} at {at}"


def test_a_cookie_that_is_cut_or_longer_is_worthless(
    signer: CookieSigner, credential: Credential
) -> None:
    cookie = signer.dumps(credential)

    assert all(signer.loads(cookie[:length]) is None for length in range(len(cookie)))
    assert signer.loads(cookie + "=") is None
    assert signer.loads(cookie + "\n") is None
    assert signer.loads(" " + cookie) is None
    assert signer.loads(cookie + "." + cookie) is None
    assert signer.loads(cookie + "x" * 100_000) is None


@given(st.text() | st.text("0123456789abcdef_.-", max_size=140))
def test_text_that_was_not_signed_is_nobody(text: str) -> None:
    assert CookieSigner([NEW], PREFIX).loads(text) is None


@pytest.mark.parametrize(
    "other",
    [CookieSigner([OLD], PREFIX), CookieSigner([NEW], "other:session:")],
    ids=["key", "prefix"],
)
def test_another_key_or_prefix_makes_another_signature(
    signer: CookieSigner, credential: Credential, other: CookieSigner
) -> None:
    assert other.loads(signer.dumps(credential)) is None


def test_fallback_keys_are_accepted_but_do_not_sign(credential: Credential) -> None:
    before, now = CookieSigner([OLD], PREFIX), CookieSigner([OLD, NEW], PREFIX)

    assert now.loads(before.dumps(credential)) == credential
    assert before.loads(now.dumps(credential)) is None
    assert CookieSigner([NEW], PREFIX).loads(now.dumps(credential)) == credential


@pytest.mark.parametrize("key", [b"bytes \xff", "text", "ключ"])
def test_a_key_may_be_bytes_or_text(key: Any, credential: Credential) -> None:
    signer = CookieSigner([key], PREFIX)

    assert signer.loads(signer.dumps(credential)) == credential


def test_a_credential_does_not_show_its_token(credential: Credential) -> None:
    assert credential.token not in repr(credential)
    assert credential.id in repr(credential)
