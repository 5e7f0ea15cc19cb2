"""What is sealed comes back under its own key, and nothing else does."""

from __future__ import annotations

import pickle
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_srvsession.store import record
from flask_srvsession.store.encryption import EncryptionKeys, Unreadable
from flask_srvsession.store.record import (
    BOUND,
    DUE,
    FRONT,
    HEAD,
    INHERITED,
    MAC_LENGTH,
    OPERATION_LENGTH,
    PARTED,
    PERMANENT,
    PRESENTED,
    READ_FIRST,
    SHORT,
    SIZE_LENGTH,
    VERSION,
    Record,
    RecordCodec,
    Tombstone,
    inherited,
)
from tests.records import BLANK

KEY = "app:session:0123456789abcdef0123456789abcdef_684ee180"
SECRETS: list[str | bytes] = ["the oldest key", b"an older key \xff", "the key of now"]

RECORD = Record(
    generation=2,
    token_hash=b"h" * 16,
    chain=b"c" * 16,
    since=1_750_000_000,
    last_seen=1_750_000_300,
    pending=b"p" * 16,
    flags=DUE | PERMANENT | PRESENTED,
    places={b"n" * 16: ["e1", "m1"], b"o" * 16: ["e2", "m2"]},
    indexing=b"i1i2",
    operations=b"op01op02",
    replaces="0123456789ab",
    meta={"agent": "Firefox", "ip": "192.0.2.0"},
    values={"cart": b"\x93\x01\x02\x03", "\udfff": b"", "user_id": b"*"},
)
FORMER = BLANK._replace(
    generation=3, token_hash=b"h" * 16, chain=b"c" * 16, since=1, last_seen=1
)
STONE = Tombstone(FORMER, "0" * 32 + "_1")
LARGE = {"large": b"x" * 1000}
LONG = RECORD._replace(values={**RECORD.values, **LARGE})
LONG_STONE = STONE._replace(former=FORMER._replace(values=LARGE))
CONTENTS = pytest.mark.parametrize(
    "content",
    [RECORD, STONE, LONG, LONG_STONE],
    ids=["record", "tombstone", "long record", "long tombstone"],
)


def codec(
    *secrets: str | bytes, prefix: str = "app:session:", serializer: str = "msgpack"
) -> RecordCodec:
    return RecordCodec(secrets or [SECRETS[-1]], prefix, serializer)


def is_unreadable(
    data: bytes, key: str = KEY, reader: RecordCodec | None = None
) -> bool:
    try:
        (reader or codec()).open(key, data)
    except Unreadable:
        return True
    return False


@CONTENTS
def test_what_was_sealed_comes_back(content: Record | Tombstone) -> None:
    assert codec().open(KEY, codec().seal(KEY, content)) == content


records = st.builds(
    Record,
    generation=st.integers(1, 2**40),
    token_hash=st.binary(min_size=16, max_size=16),
    chain=st.binary(min_size=16, max_size=16),
    since=st.integers(0, 2**40),
    last_seen=st.integers(0, 2**40),
    pending=st.none() | st.binary(min_size=16, max_size=16),
    flags=st.integers(0, 63),
    era=st.integers(0, 2**40),
    device=st.none() | st.lists(st.binary() | st.integers(0, 2**40), max_size=3),
    places=st.dictionaries(
        st.binary(min_size=16, max_size=16), st.lists(st.text(), min_size=2, max_size=2)
    ),
    indexing=st.binary(min_size=4, max_size=4),
    operations=st.lists(
        st.binary(min_size=OPERATION_LENGTH, max_size=OPERATION_LENGTH), max_size=8
    ).map(b"".join),
    replaces=st.none() | st.text(),
    meta=st.none() | st.dictionaries(st.text(), st.text() | st.integers(0, 9)),
    values=st.dictionaries(st.text(), st.binary() | st.just(bytes(1000))),
)


@settings(max_examples=100)
@given(records)
def test_any_record_comes_back(record: Record) -> None:
    assert codec().open(KEY, codec().seal(KEY, record)) == record


@CONTENTS
def test_every_truncation_is_unreadable(content: Record | Tombstone) -> None:
    data = codec().seal(KEY, content)

    assert all(is_unreadable(data[:length]) for length in range(len(data)))
    assert is_unreadable(data + b"\x00")


@CONTENTS
def test_every_flipped_bit_is_unreadable(content: Record | Tombstone) -> None:
    data = codec().seal(KEY, content)

    for at in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        assert is_unreadable(bytes(flipped)), f"bit {at} is not sealed"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        VERSION,
        VERSION + bytes(MAC_LENGTH),
        VERSION + bytes(200),
        b"\x01" + bytes(200),
        b"\xff" + bytes(200),
        bytes(200),
        b'{"user_id": 42}',
        pickle.dumps({"user_id": 42}),
    ],
)
def test_what_we_did_not_seal_is_unreadable(data: bytes) -> None:
    assert is_unreadable(data)


@given(st.binary(max_size=300))
def test_chance_seals_nothing(data: bytes) -> None:
    assert is_unreadable(data)
    assert is_unreadable(VERSION + data)


of_others = pytest.mark.parametrize(
    ("key", "reader"),
    [
        pytest.param(KEY[:-1] + "1", codec(), id="moved to another key"),
        pytest.param(KEY, codec("some other key"), id="another secret"),
        pytest.param(KEY, codec(prefix="other:session:"), id="another prefix"),
        pytest.param(KEY, codec(serializer="json"), id="another serializer"),
    ],
)


@of_others
def test_what_belongs_to_others_is_unreadable(key: str, reader: RecordCodec) -> None:
    data = codec().seal(KEY, RECORD)

    assert not is_unreadable(data)
    assert is_unreadable(data, key, reader)


@pytest.mark.parametrize("moved", [b"", VERSION], ids=["key", "key and version"])
def test_a_key_and_a_body_cannot_shift_into_each_other(moved: bytes) -> None:
    data = codec().seal("kx", RECORD)
    seal, body = data[: 1 + MAC_LENGTH], data[1 + MAC_LENGTH :]

    with pytest.raises(Unreadable, match="seal does not fit"):
        codec().open("k", seal + b"x" + moved + body)


def test_fallback_keys_open_and_the_last_one_seals() -> None:
    present = codec(*SECRETS)

    for secret in SECRETS:
        assert present.open(KEY, codec(secret).seal(KEY, RECORD)) == RECORD
    sealed = present.seal(KEY, RECORD)
    assert codec(SECRETS[-1]).open(KEY, sealed) == RECORD
    assert all(is_unreadable(sealed, reader=codec(old)) for old in SECRETS[:-1])


@given(st.lists(st.integers(0, 30), max_size=20), st.data())
def test_a_record_that_reaches_back_remembers_every_write_since(
    gaps: list[int], data: st.DataObject
) -> None:
    history, now = [FORMER._replace(operations=b"born")], FORMER.last_seen
    for number, gap in enumerate(gaps):
        now += gap
        operations = history[-1].operations_with(b"%04d" % number, now)
        history.append(history[-1]._replace(last_seen=now, operations=operations))
    began = data.draw(st.integers(0, len(gaps)))

    if history[-1].reaches_back_to(history[began]):
        written = {b"%04d" % number for number in range(began, len(gaps))}
        assert all(map(history[-1].has_done, written))


def test_the_last_eight_writes_are_remembered_and_after_a_while_the_last_one() -> None:
    record = FORMER._replace(operations=b"born")

    for number in range(9):
        record = record._replace(
            operations=record.operations_with(b"op%02d" % number, 1)
        )
    later = record.operations_with(b"late", 60)

    assert record.operations == b"".join(b"op%02d" % number for number in range(1, 9))
    assert later == b"op08late"


def test_an_operation_is_found_at_its_place_only() -> None:
    record = FORMER._replace(operations=b"op01op02")

    assert record.has_done(b"op02")
    assert not record.has_done(b"01op")


def test_a_record_takes_over_the_places_that_were_there_before() -> None:
    one, other = {b"one": ["e", "m"]}, {b"other": ["e", "m"]}

    assert inherited({**one, **other}, one) == inherited(one, one) == INHERITED
    assert inherited(one, other) == inherited(one, {}) == inherited({}, one) == 0


def test_each_flag_is_read_by_itself() -> None:
    flags = (PERMANENT, PRESENTED, BOUND)

    for flag in flags:
        record = FORMER._replace(flags=flag)
        read = (record.permanent, record.presented, record.bound)
        assert read == tuple(each == flag for each in flags)


def test_a_small_record_is_small() -> None:
    """That of somebody logged in with one more key, without its store key."""
    small = RECORD._replace(
        pending=None,
        places={b"n" * 16: ["0123456789abcdef", "0123456"]},
        operations=b"op01",
        replaces=None,
        meta=None,
        values={"user_id": b"\x2a", "cart": b"\x93\x01\x02\x03"},
    )

    size = len(codec().seal(KEY, small))

    assert size <= 151
    assert len(codec().seal(KEY, STONE)) <= 106


@pytest.mark.parametrize("content", [RECORD, STONE], ids=["record", "tombstone"])
def test_no_secret_is_shown(content: Record | Tombstone) -> None:
    record = content if isinstance(content, Record) else content.former
    marked = record._replace(chain=b"SECRET", pending=b"SECRET", token_hash=b"SECRET")
    marked = marked._replace(values={"password": b"SECRET"})
    shown = marked if isinstance(content, Record) else content._replace(former=marked)

    assert "SECRET" not in repr(shown)
    assert "the key of now" not in repr(codec("the key of now"))


def record_with(field: str, value: Any) -> tuple[Any, ...]:
    at = Record._fields.index(field)
    return (*RECORD[:at], value, *RECORD[at + 1 :])


SHAPES: list[Any] = [
    *([], {}, "text", 42, None, [None] * 15, [RECORD], [RECORD[:-1], 42, {}]),
    *([[], "successor", {}], [42, "successor", {}], [RECORD, "successor", {}]),
    *(record_with(field, 4.2) for field in Record._fields),
    *(record_with(field, "text") for field in Record._fields if field != "replaces"),
    (*RECORD, None),
    RECORD[:-1],
]


@pytest.mark.parametrize("content", SHAPES, ids=repr)
def test_a_sealed_text_of_another_shape_is_no_record(content: Any) -> None:
    body, text = packed(content), record._HEAD % (len(KEY), KEY.encode(), VERSION)
    seal = codec()._macs[0](text, body)

    with pytest.raises(Unreadable, match="it is sealed, but no record"):
        codec().open(KEY, VERSION + seal + body)


def packed(content: Any) -> bytes:
    body: bytes = msgpack.packb(content, unicode_errors="surrogatepass")
    return body


def front_of(content: Record | Tombstone) -> Record | Tombstone:
    if isinstance(content, Record):
        return content._replace(values={})
    return content._replace(former=content.former._replace(values={}))


def opens(data: bytes, key: str = KEY, reader: RecordCodec | None = None) -> Any:
    """Return what a list sees; None if it is unreadable."""
    try:
        return (reader or codec()).open(key, data, whole=False)
    except Unreadable:
        return None


LONG_ONES = pytest.mark.parametrize(
    "content", [LONG, LONG_STONE], ids=["record", "tombstone"]
)
CODECS = pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])


def writer(encrypted: bool) -> RecordCodec:
    keys = EncryptionKeys([b"k" * 32], True) if encrypted else None
    return RecordCodec([SECRETS[-1]], "app:session:", "msgpack", keys)


@LONG_ONES
@CODECS
def test_a_front_needs_no_more_than_itself(
    content: Record | Tombstone, encrypted: bool
) -> None:
    codec = writer(encrypted)
    data = codec.seal(KEY, content)
    ends = [n for n in range(1, len(data) + 1) if codec.has_front(data[:n])]

    assert ends == [*range(ends[0], len(data) + 1)]
    assert ends[0] < len(data)
    assert all(opens(data[:n], reader=codec) == front_of(content) for n in ends)
    assert not any(opens(data[:n], reader=codec) for n in range(1, ends[0]))
    assert codec.open(KEY, data) == content


@CODECS
def test_a_record_that_a_list_reads_at_once_is_in_one_part(encrypted: bool) -> None:
    codec, empty = writer(encrypted), RECORD._replace(values={"a": bytes(256)})
    more = SHORT - len(packed(empty))
    at_most = empty._replace(values={"a": bytes(256 + more)})
    longer = empty._replace(values={"a": bytes(257 + more)})

    short, long = codec.seal(KEY, at_most), codec.seal(KEY, longer)

    assert len(packed(at_most)) == SHORT
    assert len(short) <= READ_FIRST
    assert opens(short, reader=codec) == at_most
    assert opens(long, reader=codec) == front_of(longer)


@CODECS
def test_one_part_is_none_of_two(encrypted: bool) -> None:
    """Nor two parts one, if somebody changes the first byte."""
    codec, other = writer(encrypted), (b"\x82\x83" if encrypted else b"\x02\x03")
    for content in (RECORD, LONG):
        data = codec.seal(KEY, content)
        assert data[0] in other
        for first in other.replace(data[:1], b""):
            changed = bytes([first]) + data[1:]
            for whole in (True, False):
                with pytest.raises(Unreadable, match=r"does not fit|was changed"):
                    codec.open(KEY, changed, whole=whole)


@CODECS
def test_a_front_is_changed_by_nobody(encrypted: bool) -> None:
    codec = writer(encrypted)
    data = codec.seal(KEY, LONG)
    end = next(n for n in range(1, len(data)) if codec.has_front(data[:n]))

    for at in range(end * 8):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        seen = opens(bytes(flipped), reader=codec)
        # A list does not look at the seal of the whole, nor at what it is for.
        assert seen in (None, front_of(LONG)), f"bit {at} is not sealed"
        assert is_unreadable(bytes(flipped), reader=codec), f"bit {at} is not sealed"


@CODECS
def test_a_front_and_values_of_two_records_are_none(encrypted: bool) -> None:
    """Of two sessions, and of two versions of one."""
    codec = writer(encrypted)
    richer = LONG._replace(values={**LONG.values, "is_admin": b"\xc3"}, since=1)
    former, later = codec.seal(KEY, richer), codec.seal(KEY, LONG)
    other = codec.seal(KEY[:-1] + "1", richer)
    end = next(n for n in range(1, len(later)) if codec.has_front(later[:n]))

    for theirs in (former, other):
        assert is_unreadable(later[:end] + theirs[end:], reader=codec)
        assert is_unreadable(theirs[:end] + later[end:], reader=codec)
        for at in (1, 1 + MAC_LENGTH):  # with either seal of theirs, too
            mixed = later[:at] + theirs[at : at + MAC_LENGTH] + later[at + MAC_LENGTH :]
            assert is_unreadable(mixed, reader=codec)
    assert opens(other, reader=codec) is None
    assert opens(later[:1] + later[1 + MAC_LENGTH :] + later, reader=codec) is None


@of_others
def test_a_front_of_others_is_unreadable(key: str, reader: RecordCodec) -> None:
    data = codec().seal(KEY, LONG)

    assert opens(data) == front_of(LONG)
    assert opens(data, key, reader) is None


def test_the_seal_of_one_part_is_none_of_the_other() -> None:
    """A record without values, and a front that would be all of one."""
    data = codec().seal(KEY, LONG)
    seal, front_seal, front = data[1:HEAD], data[HEAD:][:MAC_LENGTH], data[FRONT:]
    size = len(front).to_bytes(SIZE_LENGTH, "big")

    assert opens(PARTED + front_seal + seal + size + front) is None
    assert is_unreadable(PARTED + front_seal + data[HEAD:])
    assert is_unreadable(PARTED + front_seal + seal + data[HEAD + MAC_LENGTH :])


def test_fallback_keys_open_fronts() -> None:
    for secret in SECRETS:
        data = codec(secret).seal(KEY, LONG)
        assert opens(data, reader=codec(*SECRETS)) == front_of(LONG)


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (b"\x01", r"an older version of this package wrote it \(format 1\)"),
        (b"\x07", r"not ours, or of a newer version of this package \(format 7\)"),
    ],
)
def test_another_format_is_named(first: bytes, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        codec().open(KEY, first + codec().seal(KEY, RECORD)[1:])
