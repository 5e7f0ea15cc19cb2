"""What comes back of what is stored: the same, or a refusal that says where."""

from __future__ import annotations

import enum
import json
import math
import pickle
from collections import OrderedDict, UserDict, defaultdict, namedtuple
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgpack
import pytest
from flask.json.tag import TaggedJSONSerializer
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from flask_srvsession.serializers import (
    MAX_NESTED_TUPLES,
    SERIALIZERS,
    JSONSerializer,
    MsgpackSerializer,
    Serializer,
    encode,
)

MSGPACK, JSON = MsgpackSerializer(), JSONSerializer()
BOTH: list[Serializer] = [MSGPACK, JSON]

Point = namedtuple("Point", "x y")


class Colour(enum.IntEnum):
    RED = 1


class Name(str, enum.Enum):
    ADA = "ada"


class OwnDict(dict[str, Any]):
    pass


class OwnList(list[Any]):
    pass


class OwnTuple(tuple[Any, ...]):
    __slots__ = ()


class OwnStr(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


class OwnInt(int):
    def __int__(self) -> int:
        return 0


class OwnFloat(float):
    pass


class Rendered:
    def __html__(self) -> str:
        return "<b>bold</b>"


def back(value: Any, serializer: Serializer = MSGPACK) -> Any:
    return serializer.loads(serializer.dumps(value))


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one), list(other)) and same(
            list(one.values()), list(other.values())
        )
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, datetime):
        return bool(one == other) and one.utcoffset() == other.utcoffset()
    return bool(one == other)


PLAIN = [
    None,
    True,
    False,
    0,
    -1,
    2**31,
    2**63 - 1,
    -(2**63),
    0.0,
    -0.5,
    1e300,
    math.inf,
    -math.inf,
    math.nan,
    "",
    "text",
    "Ωμέγα 🎉",
    "NUL\x00",
    [],
    [1, [2, [3]]],
    {},
    {"a": {"b": [1, None]}},
]
TAGGED = [
    (),
    (1, (2, "x")),
    b"",
    bytes(range(256)),
    Markup("<b>&amp;</b>"),
    UUID("12345678-1234-5678-1234-567812345678"),
    {"nested": [(1, b"x"), {"m": Markup("m")}]},
]
OURS = [
    2**63,
    2**64 - 1,
    2**64,
    -(2**63) - 1,
    10**100,
    -(10**100),
    "lone \ud800 surrogate",
    {"\udfff": "\ud800"},
    {1: "one", None: "none", 2.5: "x", (1, 2): "pair", b"k": "v", False: "f"},
    datetime(2024, 2, 29, 12, 30, 59, 123456),  # noqa: DTZ001 - naive ones too
    datetime(2024, 2, 29, 12, 30, tzinfo=timezone.utc),
    datetime.min,  # noqa: DTZ901
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    datetime(2024, 1, 1, 1, 2, 3, 4, tzinfo=timezone(-timedelta(minutes=1, seconds=7))),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(seconds=1, microseconds=5))),
]


@pytest.mark.parametrize("serializer", BOTH, ids=list(SERIALIZERS))
@pytest.mark.parametrize("value", PLAIN + TAGGED, ids=repr)
def test_what_flask_keeps_comes_back_as_it_was(
    value: Any, serializer: Serializer
) -> None:
    assert same(back(value, serializer), value)


@pytest.mark.parametrize("value", OURS, ids=ascii)
def test_msgpack_keeps_what_json_would_lose(value: Any) -> None:
    assert same(back(value), value)


def test_json_is_flasks_own_format() -> None:
    value = {"t": (1, 2), "b": b"x", "d": datetime(2024, 1, 1, tzinfo=timezone.utc)}

    data = JSON.dumps(value)

    assert TaggedJSONSerializer().loads(data.decode()) == value
    assert json.loads(data)["t"] == {" t": [1, 2]}


@pytest.mark.parametrize(
    ("value", "base"),
    [
        (OwnDict(a=1), {"a": 1}),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (OwnList([1, 2]), [1, 2]),
        (OwnTuple((1, 2)), (1, 2)),
        (Point(1, [2]), (1, [2])),
        (OwnStr("as it is"), "as it is"),
        (Name.ADA, "ada"),
        (OwnInt(5), 5),
        (Colour.RED, 1),
        (OwnFloat(1.5), 1.5),
        (Rendered(), Markup("<b>bold</b>")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_subclasses_come_back_as_their_base(value: Any, base: Any) -> None:
    assert same(back(value), base)
    assert same(back({"in": [value]}), {"in": [base]})


def test_a_subclass_of_a_big_int_comes_back_as_int() -> None:
    assert same(back(OwnInt(2**80)), 2**80)


def test_a_datetime_keeps_both_times_of_a_repeated_hour() -> None:
    """PEP 495: `fold` cannot be written in ISO 8601; the offset tells them apart."""
    offset = timezone(timedelta(hours=1))
    second = datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=offset)

    assert back(second) == second
    assert back(second).utcoffset() == timedelta(hours=1)


def test_nesting_of_a_hundred_levels_survives() -> None:
    value: Any = "deep"
    for level in range(100):
        value = [value] if level % 2 else {"k": value}

    assert back(value) == value


def test_an_unchanged_value_has_equal_bytes() -> None:
    value = {"b": [1, (2,), 2**70], "a": Markup("x")}

    assert MSGPACK.dumps(back(value)) == MSGPACK.dumps(value)


@pytest.mark.parametrize("serializer", BOTH, ids=list(SERIALIZERS))
def test_what_comes_back_is_another_object(serializer: Serializer) -> None:
    data = serializer.dumps([1])

    assert serializer.loads(data) is not serializer.loads(data)


SECRET = "hunter2"


class Opaque:
    def __repr__(self) -> str:
        return SECRET


REFUSED = [
    {SECRET},
    frozenset({SECRET}),
    Decimal("1.5"),
    1j,
    Opaque(),
    Opaque,
    len,
    range(3),
    timedelta(1),
    date(2024, 1, 1),
    time(12, 30),
    UserDict(a=1),
    iter(()),
]


def nested(depth: int) -> Any:
    return (nested(depth - 1),) if depth else ()


REFUSED += [
    nested(MAX_NESTED_TUPLES),
    msgpack.ExtType(5, b"x"),
    [{"at": msgpack.Timestamp(1)}],
]


@pytest.mark.parametrize("value", REFUSED, ids=lambda v: type(v).__name__)
def test_what_would_not_survive_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        MSGPACK.dumps(value)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({SECRET}, "session['cart']"),
        ({"items": [1, 2, 3, {SECRET}]}, "session['cart']['items'][3]"),
        ({"a": ({"b": Opaque()},)}, "session['cart']['a'][0]['b']"),
        ([SECRET, OwnDict(x=Opaque())], "session['cart'][1]['x']"),
        ({7: Opaque()}, "session['cart'][7]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refusal_names_the_path_and_the_type_but_never_the_value(
    value: Any, path: str
) -> None:
    with pytest.raises(TypeError) as refused:
        encode(MSGPACK, "cart", value)

    message = str(refused.value)
    assert message.startswith(f"{path} cannot be stored: it is of the type ")
    assert ("set" in message) or ("Opaque" in message)
    assert SECRET not in message


def test_a_refusal_of_what_contains_itself_ends() -> None:
    loop: list[Any] = []
    loop.append(loop)

    with pytest.raises(TypeError, match=r"session\['loop'\]"):
        encode(MSGPACK, "loop", loop)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xc1", id="never used byte"),
        pytest.param(b"\x92\x01", id="truncated"),
        pytest.param(b"\x01\x01", id="something behind it"),
        pytest.param(b"\xc7\x00\x63", id="unknown extension"),
        pytest.param(msgpack.packb(msgpack.ExtType(5, pickle.dumps(1))), id="pickle"),
        pytest.param(b"\xd4\x03x", id="datetime"),
        pytest.param(b"\xd4\x02x", id="UUID"),
    ],
)
def test_bytes_that_are_no_value_are_an_error(data: bytes) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever msgpack raises
        MSGPACK.loads(data)


offsets = st.integers(-86399, 86399).map(lambda s: timezone(timedelta(seconds=s)))
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.text(st.characters(categories=["Cs"]), max_size=3)
    | st.binary()
    | st.uuids()
    | st.datetimes()
    | st.datetimes(timezones=offsets)
    | st.text().map(Markup)
)
hashable = st.none() | st.integers() | st.text() | st.binary() | st.tuples(st.text())
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(hashable, inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150)
@given(anything)
def test_msgpack_gives_back_whatever_it_takes(value: Any) -> None:
    assert same(back(value), value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json_values)
def test_json_gives_back_whatever_flask_keeps(value: Any) -> None:
    assert same(back(value, JSON), value)


@pytest.mark.parametrize(
    "foreign",
    [msgpack.ExtType(42, b"x"), msgpack.ExtType(1, b"x"), msgpack.Timestamp(1)],
)
@pytest.mark.parametrize(
    "around",
    [
        lambda x: x,
        lambda x: [x],
        lambda x: (1, x),
        lambda x: {"a": {"b": [x]}},
        lambda x: {"a": OrderedDict(b=x)},
        lambda x: UserDict(b=x),
    ],
)
def test_what_only_messagepack_knows_is_refused(around: Any, foreign: Any) -> None:
    """It would be stored, and the session that has it could not be read again."""
    with pytest.raises(TypeError, match="cannot be stored"):
        encode(MSGPACK, "a", around(foreign))
