"""Whatever bytes arrive, nobody sees more than "no session"; whatever is stored, it
comes back as it was or is refused.

``SRVSESSION_TEST_FUZZ=30000`` sets how many cases each of the tests tries that look for
the odd ones, and by that how many those try that only damage what is good, much faster.
"""

from __future__ import annotations

import functools
import math
import os
import subprocess
import sys
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable, Collection, Iterator
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from random import Random
from typing import Any
from uuid import UUID

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from flask_srvsession.draft import Draft
from flask_srvsession.ids import CookieSigner, Credential, new_id, new_token
from flask_srvsession.serializers import MsgpackSerializer, Undecodable, encode
from flask_srvsession.store import record as stored
from flask_srvsession.store.encryption import Unreadable
from flask_srvsession.store.record import (
    HEAD,
    VERSION,
    Record,
    RecordCodec,
    Tombstone,
)
from tests.concurrency.tally import TRIED

CASES = int(os.environ.get("SRVSESSION_TEST_FUZZ", "200"))
Test = Callable[..., None]


def fuzz(*strategies: st.SearchStrategy[Any]) -> Callable[[Test], Test]:
    """Try a test with many values, and count them."""

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def counted(**drawn: Any) -> None:
            test(**drawn)
            TRIED["cases"] += 1

        chosen = settings(max_examples=CASES, database=None)
        return chosen(given(*strategies)(counted))

    return decorate


SIGNER = CookieSigner(["an older secret key", "a secret key"], "t:")
CODEC = RecordCodec(["an older secret key", "a secret key"], "t:", "msgpack")
KEY = "t:0123456789abcdef0123456789abcdef_64"
SERIALIZER = MsgpackSerializer()

# -- what arrives in a cookie ---------------------------------------------------

credentials = st.builds(
    Credential,
    id=st.from_regex(r"[0-9a-f]{32}_[1-9a-f][0-9a-f]{0,11}", fullmatch=True),
    generation=st.integers(1, 999_999_999),
    token=st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
)
odd_credentials = st.builds(
    Credential,
    id=st.text("0123456789abcdefABCDEF_. \n\0", max_size=46),
    generation=st.integers(-9, 10**12),
    token=st.text("0123456789abcdef.\n", max_size=34),
)
any_text = st.text(
    st.characters(exclude_categories=()) | st.sampled_from("0123456789abcdef._-="),
    max_size=600,
)


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """Return `good` with a few bytes changed, added, removed or moved."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["change", "add", "cut", "move", "end"])):
            case "change":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "add":
                data[at:at] = draw(st.binary(min_size=1, max_size=9))
            case "cut":
                del data[at : at + draw(st.integers(1, 40))]
            case "move":
                data = data[at:] + data[:at]
            case "end":
                del data[at:]
    return bytes(data)


@fuzz(any_text)
def test_a_text_that_was_not_signed_is_no_cookie(text: str) -> None:
    assert SIGNER.loads(text) is None


@fuzz(st.data(), credentials)
def test_a_damaged_cookie_is_none_or_the_one_that_was_signed(
    data: st.DataObject, credential: Credential
) -> None:
    cookie = SIGNER.dumps(credential)
    arrived = data.draw(damaged(cookie.encode())).decode("latin-1")

    loaded = SIGNER.loads(arrived)

    assert loaded == (credential if arrived == cookie else None)


@fuzz(credentials)
def test_a_signed_cookie_is_read_back(credential: Credential) -> None:
    assert SIGNER.loads(SIGNER.dumps(credential)) == credential


@fuzz(odd_credentials)
def test_a_signed_cookie_of_another_form_is_none(credential: Credential) -> None:
    loaded = SIGNER.loads(SIGNER.dumps(credential))

    assert loaded is None or SIGNER.dumps(loaded) == SIGNER.dumps(credential)


# -- what the storage returns ---------------------------------------------------

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=14)
        | st.dictionaries(st.text(max_size=5) | st.integers(-9, 9), inner, max_size=4)
        | st.lists(inner, min_size=3, max_size=3)
    ),
    max_leaves=24,
)
hashes = st.binary(min_size=16, max_size=16)
times = st.integers(0, 2**40)
records = st.builds(
    Record,
    generation=st.integers(1, 999_999_999),
    token_hash=hashes,
    chain=st.binary(min_size=16, max_size=16),
    since=times,
    last_seen=times,
    pending=st.none() | hashes,
    flags=st.integers(0, 63),
    places=st.dictionaries(
        hashes, st.lists(st.text(max_size=20), min_size=2, max_size=2), max_size=3
    ),
    indexing=st.binary(max_size=4),
    operations=st.lists(st.binary(min_size=4, max_size=4), max_size=8).map(b"".join),
    replaces=st.none() | st.text(max_size=46),
    meta=st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
    values=st.dictionaries(
        st.text(max_size=9), st.binary(max_size=30) | st.just(bytes(1000)), max_size=5
    ),
    device=st.none()
    | st.tuples(st.binary(max_size=70), st.integers(1, 999), times).map(list),
    era=times,
)
tombstones = st.builds(Tombstone, records, st.text(max_size=46))


def sealed(body: bytes) -> bytes:
    """Return `body` under a seal that fits, as whoever has the secret key makes it."""
    head = stored._HEAD % (len(KEY), KEY.encode(), VERSION)
    return VERSION + CODEC._macs[0](head, body) + body


def test_that_seal_is_the_one_of_a_record() -> None:
    good = CODEC.seal(KEY, RECORD)

    assert sealed(good[HEAD:]) == good


@fuzz(records | tombstones)
def test_a_record_is_opened_as_it_was_sealed(content: Record | Tombstone) -> None:
    assert CODEC.open(KEY, CODEC.seal(KEY, content)) == content


@fuzz(st.binary(max_size=200) | st.binary(max_size=200).map(VERSION.__add__))
def test_bytes_that_were_not_sealed_are_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable):
        CODEC.open(KEY, data)


@fuzz(st.data(), records | tombstones)
def test_a_damaged_record_is_unreadable(
    data: st.DataObject, content: Record | Tombstone
) -> None:
    good = CODEC.seal(KEY, content)
    arrived = data.draw(damaged(good).filter(lambda damage: damage != good))

    with pytest.raises(Unreadable):
        CODEC.open(KEY, arrived)


@fuzz(records, st.text("0123456789abcdef_:", max_size=50).filter(KEY.__ne__))
def test_a_record_under_another_key_is_unreadable(record: Record, key: str) -> None:
    with pytest.raises(Unreadable):
        CODEC.open(key, CODEC.seal(KEY, record))


@fuzz(
    st.binary(max_size=60)
    | plain.map(msgpack.packb)
    | st.lists(plain, max_size=14).map(msgpack.packb)
)
def test_sealed_nonsense_is_unreadable_or_a_record(body: bytes) -> None:
    try:
        content = CODEC.open(KEY, sealed(body))
    except Unreadable:
        return

    assert isinstance(content, (Record, Tombstone))


@fuzz(st.integers(0, len(Record._fields) - 1), records, plain)
def test_a_sealed_record_with_one_strange_field_is_unreadable_or_a_record(
    at: int, record: Record, strange: Any
) -> None:
    fields = [*record]
    fields[at] = strange

    try:
        content = CODEC.open(KEY, CODEC.seal(KEY, Record._make(fields)))
    except Unreadable:
        return

    assert isinstance(content, Record)


# -- values ---------------------------------------------------------------------


class Color(IntEnum):
    RED = 1
    HUGE = 2**70


class Text(str):
    __slots__ = ()


class Name(str, Enum):
    FIRST = "first"


Point = namedtuple("Point", "x y")

zones = st.none() | st.integers(-86_399, 86_399).map(
    lambda seconds: timezone(timedelta(seconds=seconds))
)
atoms = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64 - 1, 2**64])
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20)
    | st.binary(max_size=20)
    | st.uuids()
    | st.datetimes(timezones=zones)
    | st.text(max_size=9).map(Markup)
    | st.text(max_size=9).map(Text)
    | st.sampled_from([*Color, *Name])
)
keys = atoms.filter(lambda key: key == key)  # a NaN is found under no key


def containers(inner: Any) -> Any:
    items = st.lists(inner, max_size=5)
    pairs = st.dictionaries(keys | st.tuples(keys, keys), inner, max_size=5)
    return (
        items
        | items.map(tuple)
        | st.builds(Point, inner, inner)
        | pairs
        | pairs.map(OrderedDict)
        | pairs.map(lambda made: defaultdict(list, made))
    )


values = st.recursive(atoms, containers, max_leaves=20)
refused = (
    st.sets(st.integers(), max_size=3)
    | st.frozensets(st.integers(), max_size=3)
    | st.decimals(allow_nan=False)
    | st.complex_numbers()
    | st.timedeltas()
    | st.just(object())
    | st.just(len)
)


def as_stored(value: Any) -> Any:
    """Return `value` as it is promised to come back."""
    match value:
        case None | bool() | UUID() | datetime() | bytes() | Markup():
            return value
        case str():
            return str.__str__(value)
        case int():
            return int(value)
        case tuple():
            return tuple(as_stored(part) for part in value)
        case list():
            return [as_stored(part) for part in value]
        case dict():
            return {as_stored(key): as_stored(part) for key, part in value.items()}
    return value


def same(one: Any, other: Any) -> bool:
    """Whether both are equal and of the same types, inside too."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, datetime):
        return bool(one == other) and one.utcoffset() == other.utcoffset()
    if isinstance(one, (list, tuple)):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(same(a, b) for a, b in pairs)
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    return bool(one == other)


@fuzz(values)
def test_what_can_be_stored_comes_back_as_it_was(value: Any) -> None:
    back = SERIALIZER.loads(encode(SERIALIZER, "k", value))

    assert same(back, as_stored(value))


@fuzz(values)
def test_an_unchanged_value_has_the_same_bytes_when_it_is_stored_again(
    value: Any,
) -> None:
    once = encode(SERIALIZER, "k", value)

    assert encode(SERIALIZER, "k", SERIALIZER.loads(once)) == once


@fuzz(
    st.recursive(
        refused,
        lambda inner: st.lists(inner, min_size=1, max_size=3) | st.tuples(inner),
        max_leaves=5,
    )
)
def test_what_cannot_be_stored_is_a_type_error_that_names_the_place(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^session\['k'\]"):
        encode(SERIALIZER, "k", value)


@pytest.mark.parametrize(
    "value", [10**5000, -(10**5000), Decimal(1)], ids=["large", "low", "decimal"]
)
def test_a_number_that_cannot_be_stored_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^session\['k'\]\[0\]"):
        encode(SERIALIZER, "k", [value])


@pytest.mark.parametrize("container", [list, tuple, dict.fromkeys])
def test_a_value_that_contains_itself_is_a_type_error(container: Any) -> None:
    value: list[Any] = [container(["x"])]
    value.append(value)

    with pytest.raises(TypeError, match=r"^session\['k'\]"):
        encode(SERIALIZER, "k", value)


def nested(depth: int) -> bytes:
    """Return a tuple in a tuple in a tuple, the innermost cut off."""
    data = b"\x91"
    for _ in range(depth):
        data = b"\xc8" + len(data).to_bytes(2, "big") + b"\x00" + data
    return data


@fuzz(st.data())
def test_stored_bytes_are_a_value_or_undecodable(data: st.DataObject) -> None:
    good = data.draw(values.map(lambda value: encode(SERIALIZER, "k", value)))
    deep = st.integers(1, 60).map(nested)
    stored = data.draw(st.binary(max_size=80) | damaged(good) | deep)
    draft = Draft({"k": stored}, SERIALIZER)

    with suppress(Undecodable):
        draft["k"]


# -- a great many damages ---------------------------------------------------------

CREDENTIALS = {
    SIGNER.dumps(each): each
    for each in (
        Credential(new_id(1_750_000_000), generation, new_token())
        for generation in (1, 2, 9, 10, 999_999_999)
    )
}
VALUE = {
    "list": [None, True, -1, 2**70, 1.5, "text", b"bytes", Markup("<b>")],
    "keys": {1: (2, (3,)), "when": datetime(2025, 6, 1, 12, tzinfo=timezone.utc)},
    "id": UUID(int=2**100),
}
RECORD = Record(
    generation=3,
    token_hash=bytes(16),
    chain=bytes(16),
    since=1_750_000_000,
    last_seen=1_750_000_100,
    pending=bytes(16),
    flags=7,
    places={bytes(16): ["epoch", "mark"]},
    indexing=b"here",
    operations=bytes(4) + b"1234",
    replaces=None,
    meta={"agent": "Mozilla"},
    values={"k": encode(SERIALIZER, "k", VALUE), "user_id": b"*"},
)
RECORDS = [CODEC.seal(KEY, each) for each in (RECORD, Tombstone(RECORD, "successor"))]


def damages(goods: Collection[bytes]) -> Iterator[bytes]:
    """Yield copies with a few bytes changed, added, removed, or from elsewhere."""
    dice, known = Random(), list(goods)
    for _ in range(10 * CASES):
        data = bytearray(dice.choice(known))
        for _ in range(dice.randint(1, 4)):
            at, length = dice.randint(0, len(data)), dice.randint(1, 12)
            match dice.randrange(4):
                case 0:
                    data[at : at + 1] = dice.randbytes(1)
                case 1:
                    data[at:at] = dice.randbytes(length)
                case 2:
                    del data[at : at + length]
                case 3:
                    other = dice.choice(known)
                    data[at : at + length] = other[at : at + dice.randint(0, 40)]
        yield bytes(data)
        TRIED["cases"] += 1


def test_many_damaged_cookies_are_none() -> None:
    for data in damages([cookie.encode() for cookie in CREDENTIALS]):
        arrived = data.decode("latin-1")

        assert SIGNER.loads(arrived) == CREDENTIALS.get(arrived)


def test_many_damaged_records_are_unreadable() -> None:
    for data in damages(RECORDS):
        with pytest.raises(Unreadable) if data not in RECORDS else nullcontext():
            CODEC.open(KEY, data)


def test_many_records_that_are_damaged_and_then_sealed_are_unreadable_or_records() -> (
    None
):
    for body in damages([record[HEAD:] for record in RECORDS]):
        with suppress(Unreadable):
            assert isinstance(CODEC.open(KEY, sealed(body)), (Record, Tombstone))


def test_many_damaged_values_are_values_or_undecodable() -> None:
    for data in damages([encode(SERIALIZER, "k", VALUE)]):
        with suppress(Undecodable):
            Draft({"k": data}, SERIALIZER)["k"]


NESTED = """
import sys, threading
from flask_srvsession.draft import Draft
from flask_srvsession.serializers import Undecodable
from flask_srvsession.serializers import MsgpackSerializer, encode

def use(depth):
    serializer, value = MsgpackSerializer(), 1
    for _ in range(depth):
        value = (value,) if kind == "tuple" else [value]
    try:
        stored = encode(serializer, "k", value)
    except TypeError:
        return
    try:
        assert Draft({"k": stored}, serializer)["k"] == value
    except Undecodable:
        sys.exit("stored, but never to be read again")

kind = sys.argv[1]
threading.stack_size(1024 * 1024)
for depth in range(1, 800, 13):
    thread = threading.Thread(target=use, args=(depth,))
    thread.start()
    thread.join()
"""


@pytest.mark.parametrize("kind", ["list", "tuple"])
def test_a_deeply_nested_value_is_refused_or_comes_back(kind: str) -> None:
    """In a process of its own, whose threads have 1 MiB of stack, as with musl."""
    done = subprocess.run(
        [sys.executable, "-c", NESTED, kind],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr}"
    assert not done.stderr
