"""What was encrypted comes back under its own key, with its own key, and not else."""

from __future__ import annotations

import pytest

from flask_srvsession.store.encryption import (
    ENCRYPTED,
    NAMED,
    EncryptionKeys,
    Unreadable,
)
from flask_srvsession.store.record import Record, RecordCodec, Tombstone

from .test_record import KEY, RECORD, STONE

OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32
PLANTED = (b"Firefox", b"192.0.2.0", b"user_id", b"cart", b"hhhhhhhh", b"nnnnnnnn")


def codec(
    *keys: bytes, encrypt: bool = True, serializer: str = "msgpack"
) -> RecordCodec:
    encryption = EncryptionKeys(keys or (NEW,), encrypt)
    return RecordCodec(["secret"], "app:session:", serializer, encryption)


def plain() -> RecordCodec:
    return RecordCodec(["secret"], "app:session:", "msgpack")


def why(reader: RecordCodec, data: bytes, key: str = KEY) -> str:
    with pytest.raises(Unreadable) as found:
        reader.open(key, data)
    return str(found.value)


@pytest.mark.parametrize("content", [RECORD, STONE], ids=["record", "tombstone"])
def test_what_was_encrypted_comes_back_and_shows_nothing(
    content: Record | Tombstone,
) -> None:
    data = codec().seal(KEY, content)

    assert codec().open(KEY, data) == content
    assert data[:1] == ENCRYPTED
    assert not any(each in data for each in PLANTED)
    assert codec().seal(KEY, content) != data


def test_a_plain_record_shows_what_the_others_hide() -> None:
    data = plain().seal(KEY, RECORD)

    assert all(each in data for each in PLANTED)


def test_every_key_decrypts_and_the_last_one_encrypts() -> None:
    old = codec(OLD).seal(KEY, RECORD)
    both = codec(OLD, NEW)

    assert both.open(KEY, old) == RECORD
    assert codec(NEW).open(KEY, both.seal(KEY, RECORD)) == RECORD
    assert not both.is_present(old)
    assert both.is_present(both.seal(KEY, RECORD))


def test_plain_records_are_read_on() -> None:
    data = plain().seal(KEY, RECORD)

    assert codec().open(KEY, data) == RECORD
    assert not codec().is_present(data)
    assert plain().is_present(data)


def test_keys_that_only_decrypt_leave_what_is_written_plain() -> None:
    data = codec(NEW).seal(KEY, RECORD)
    leaving = codec(NEW, encrypt=False)

    assert leaving.open(KEY, data) == RECORD
    assert leaving.seal(KEY, RECORD) == plain().seal(KEY, RECORD)
    assert not leaving.is_present(data)


def test_another_key_another_place_and_another_serializer_are_told_apart() -> None:
    data = codec().seal(KEY, RECORD)

    assert "not among SRVSESSION_ENCRYPTION_KEYS" in why(codec(OTHER), data)
    assert "moved here from another session" in why(codec(), data, KEY[:-1] + "1")
    assert "another serializer" in why(codec(serializer="json"), data)
    assert "SRVSESSION_ENCRYPTION_KEYS has no key" in why(plain(), data)


@pytest.mark.parametrize("content", [RECORD, STONE], ids=["record", "tombstone"])
def test_every_truncation_is_named(content: Record | Tombstone) -> None:
    data = codec().seal(KEY, content)

    for length in range(NAMED, len(data)):
        assert "was changed or cut" in why(codec(), data[:length])
    for length in range(NAMED):
        assert why(codec(), data[:length])
    assert "was changed" in why(codec(), data + b"\x00")


def test_every_flipped_bit_is_unreadable() -> None:
    data = codec().seal(KEY, STONE)

    for at in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        assert why(codec(), bytes(flipped)), f"bit {at} is not authenticated"


def test_a_message_tells_nothing_of_the_key_but_its_name() -> None:
    text = why(codec(OTHER), codec().seal(KEY, RECORD))

    assert NEW.hex()[:8] not in text
    assert "n" * 8 not in text
