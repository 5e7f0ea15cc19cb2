"""Where a session is listed: names that only the app can compute, entries, places."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_srvsession import ids
from flask_srvsession.backends.base import Head
from flask_srvsession.backends.guarded import QUICK, Guarded
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.config import Settings
from flask_srvsession.errors import StaleLogin
from flask_srvsession.serializers import MsgpackSerializer
from flask_srvsession.store.lists import (
    Binding,
    Entry,
    Lists,
    admits,
    gained,
    new_mark,
)
from flask_srvsession.store.records import Live
from tests.records import BLANK

SERIALIZER = MsgpackSerializer()
INDEXES = {"user_id": ("user_id", "_user_id"), "team": ("team",)}
OLD, NEW = "the key of last year", "the key of now"
HOUR = 3600


def settings(**given: Any) -> Settings:
    chosen = {"key_prefix": "app:session:", "indexes": INDEXES, **given}
    return Settings(**chosen).resolved(timedelta(days=31))


def lists(
    *secret_keys: str | bytes, backend: MemoryBackend | None = None, **given: Any
) -> Lists:
    guarded = Guarded(MemoryBackend() if backend is None else backend)
    return Lists(guarded, SERIALIZER, settings(**given), secret_keys or [NEW])


def values(**content: Any) -> dict[str, bytes]:
    return {key: SERIALIZER.dumps(value) for key, value in content.items()}


# -- names --------------------------------------------------------------------------


def test_a_binding_has_a_name_for_each_key_that_of_the_newest_first() -> None:
    both = lists(OLD, NEW).binding("user_id", "42")

    assert both.names == (
        *lists(NEW).binding("user_id", "42").names,
        *lists(OLD).binding("user_id", "42").names,
    )
    assert len(set(both.names)) == 2
    assert {len(name) for name in both.names} == {16}


@pytest.mark.parametrize(
    "other", [lists(OLD), lists(NEW, key_prefix="other:session:")], ids=["key", "app"]
)
def test_without_the_key_and_the_prefix_nobody_computes_a_name(other: Lists) -> None:
    names = {*lists().binding("user_id", "42").names}

    assert names.isdisjoint(other.binding("user_id", "42").names)
    assert not any(b"42" in name for name in names)


texts = st.text(st.characters(), max_size=8) | st.text("a:1", max_size=6)


@given(texts, texts, texts, texts)
def test_an_index_and_a_value_cannot_be_taken_for_others(
    index: str, value: str, other_index: str, other_value: str
) -> None:
    first = lists().binding(index, value)
    second = lists().binding(other_index, other_value)

    same = (index, value) == (other_index, other_value)
    assert (first.names == second.names) is same


def test_a_part_of_the_index_is_no_part_of_the_value() -> None:
    pairs = [("a", "b:c"), ("a:b", "c"), ("a", ":b:c"), ("1:a", "b"), ("1", "a:b")]

    names = {lists().binding(*pair).names for pair in pairs}

    assert len(names) == len(pairs)


def test_a_name_of_the_storage_begins_with_the_prefix_and_is_a_key() -> None:
    each = lists()
    [name] = each.binding("user_id", "ключ \udfff").names

    assert each.name(name) == f"app:session:index:{name.hex()}"


def test_the_value_is_not_shown() -> None:
    binding = lists().binding("user_id", "ann@example.org")

    assert "ann" not in repr(binding)
    assert repr(binding.names[0]) not in repr(binding)


# -- values -------------------------------------------------------------------------


@pytest.mark.parametrize("value", [42, "42"])
def test_a_number_and_its_text_are_one_binding(value: object) -> None:
    assert lists().parse({"user_id": value}) == lists().binding("user_id", "42")


def test_a_uuid_and_its_text_are_one_binding() -> None:
    value = UUID(int=42)

    assert lists().parse({"user_id": value}) == lists().parse({"user_id": str(value)})


@pytest.mark.parametrize("value", [True, 4.2, b"42", None, ["42"]], ids=repr)
def test_other_types_are_refused_with_their_name(value: object) -> None:
    with pytest.raises(TypeError, match=f"is a {type(value).__name__}"):
        lists().parse({"user_id": value})


@pytest.mark.parametrize("given", [{}, {"user_id": 1, "team": 1}, {"email": "a@b"}])
def test_exactly_one_known_index_is_asked_for(given: Mapping[str, Any]) -> None:
    with pytest.raises(
        TypeError, match=r"SRVSESSION_INDEXES has \['team', 'user_id'\]"
    ):
        lists().parse(given)


# -- entries ------------------------------------------------------------------------

session_ids = st.builds(
    lambda key, born: f"{key}_{born:x}",
    st.text("0123456789abcdef", min_size=32, max_size=32),
    st.integers(1, 2**40 - 1),
)
marks = st.text("abcXYZ019-_", min_size=1, max_size=7)


@given(session_ids, st.text(), marks)
def test_a_member_brings_back_its_session_and_its_mark(
    session_id: str, epoch: str, mark: str
) -> None:
    member = Entry(b"a", session_id, epoch, mark).member

    assert Entry.of_member(b"a", member) == Entry(b"a", session_id, "", mark)
    assert len(member) <= 40
    assert member.isascii()
    assert " " not in member


JUNK = ["", ".", "junk", "junk.mark", "a" * 27, "a" * 29 + ".m", "ä.m", "\x00.m"]


@pytest.mark.parametrize("member", JUNK, ids=repr)
def test_another_text_is_no_member(member: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Entry.of_member(b"a", member)


def test_a_member_that_is_junk_is_ignored_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = MemoryBackend()
    each = lists(backend=backend)
    binding = each.binding("user_id", "42")
    name, epoch = each.name(binding.names[0]), each.epoch(binding)
    good = Entry(binding.names[0], ids.new_id(1), epoch, "mark")
    for member in ("junk", good.member, "more.junk"):
        backend.index.add(name, member, epoch, HOUR)

    with caplog.at_level(logging.WARNING):
        found, whole = each.oldest(binding, 9)
        [page] = each.pages(binding, 9)

    assert whole
    assert found == page == [good._replace(epoch="")]
    assert len(caplog.records) == 4
    assert "junk" not in caplog.text


def test_the_first_key_of_an_index_has_to_name_something() -> None:
    of = lists(indexes={"team": {"team": None, "group": None, "club": len}})

    assert of.named("team", {"group": 1.5, "club": "four"}) == "4"
    with pytest.raises(TypeError, match=r"session\['team'\]"):
        of.named("team", {"team": 1.5, "group": "reds"})


def test_entries_of_one_mark_or_one_session_share_a_place() -> None:
    one, other = ids.new_id(1), ids.new_id(1)

    entry = Entry(b"a", one, "", "m")
    assert entry.shares_seat(Entry(b"a", other, "", "m"))
    assert entry.shares_seat(Entry(b"a", one, "e", "n"))
    assert not entry.shares_seat(Entry(b"a", other, "", "n"))


def test_marks_are_left_to_chance() -> None:
    assert len({new_mark(0.5) for _ in range(1000)}) == 1000


def test_marks_follow_the_time_within_a_second() -> None:
    marks = [new_mark(1_750_000_000 + part / 1000) for part in range(1000)]

    assert marks == sorted(marks)
    assert {len(mark) for mark in marks} == {8}


# -- several names ------------------------------------------------------------------


def test_both_names_are_read_and_fenced_and_cleared() -> None:
    backend = MemoryBackend()
    before, now = lists(OLD, backend=backend), lists(OLD, NEW, backend=backend)
    binding = now.binding("user_id", "42")
    newest, oldest = binding.names
    added = []
    for each, name in ((now, newest), (before, oldest)):
        listed = Entry(
            name,
            ids.new_id(1),
            each.epoch(each.binding("user_id", "42")),
            new_mark(0.5),
        )
        each.add(listed, HOUR)
        added.append(listed)
    present, former = [listed._replace(epoch="") for listed in added]

    entries, whole = now.oldest(binding, 9)
    assert entries == [former, present]
    assert [entry.name for entry in entries] == [oldest, newest]
    assert whole
    assert now.oldest(binding, 1) == ([former], False)
    assert [*now.pages(binding, 1)] == [[former], [present]]
    assert [*now.pages(binding, 1, former)] == [[present]]
    assert now.count(binding) == 2

    places = {newest: (added[0].epoch, added[0].mark)}
    keep = Live(added[0].session_id, BLANK._replace(places=places), None, 0)
    epochs, belongs = now.fence(binding, keep)
    assert belongs
    assert now.head(newest) == Head(epochs[newest], (present.member,))
    assert now.head(oldest) == Head(epochs[oldest])
    with pytest.raises(StaleLogin):
        now.add(added[0], HOUR)

    now.unlist(entries)
    assert now.oldest(binding, 9) == ([], True)


def test_of_several_names_the_newest_is_fenced_last() -> None:
    """A session that is renamed meanwhile is listed there under the epoch before."""
    backend = MemoryBackend()
    each, fenced = lists(OLD, NEW, backend=backend), list[str]()
    fence = backend.index.fence
    backend.index.fence = lambda name, keep=(): (  # type: ignore[method-assign]
        fenced.append(name) or fence(name, keep)
    )
    binding = each.binding("user_id", "42")

    each.fence(binding)

    assert fenced == [each.name(name) for name in reversed(binding.names)]


class Refusing(MemoryBackend):
    """Fails at unlisting, each time after some seconds on the clock of the guard."""

    errors = (OSError,)

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.now, self.seconds, self.calls = 0.0, seconds, 0
        self.index.remove = self.refuse  # type: ignore[method-assign]

    def refuse(self, name: str, members: object) -> None:
        self.calls += 1
        self.now += self.seconds
        raise OSError


@pytest.mark.parametrize(("seconds", "calls"), [(0.0, 4), (QUICK, 1)])
def test_what_could_not_be_unlisted_is_logged_and_waits_for_one_timeout(
    caplog: pytest.LogCaptureFixture, seconds: float, calls: int
) -> None:
    backend = Refusing(seconds)
    guarded = Guarded(backend, timer=lambda: backend.now)
    each = Lists(guarded, SERIALIZER, settings(), [NEW])
    session_id = ids.new_id(1)

    each.forget({session_id: {b"one": ["e", "m"], b"two": ["e", "n"]}})

    assert backend.calls == calls
    assert f"session {session_id} is still listed" in caplog.text


# -- where a session belongs ----------------------------------------------------------


def names(each: Lists, **index: Any) -> Sequence[bytes]:
    return each.parse(index).names


def test_a_new_place_begins_in_the_present_with_its_mark() -> None:
    each = lists()
    user, team = each.binding("user_id", "42"), each.binding("team", "9")

    found, indexing = each.places(
        values(_user_id="42", team=9, cart=[1]), {}, {}, "mark", rename=False
    )

    assert indexing == each.indexing
    assert found == {
        user.names[0]: (each.epoch(user), "mark"),
        team.names[0]: (each.epoch(team), "mark"),
    }


@pytest.mark.parametrize(
    ("content", "count"),
    [
        ({"user_id": 42, "_user_id": "42"}, 1),
        ({"user_id": 42, "_user_id": "7"}, 1),
        ({"user_id": None, "cart": 42}, 0),
    ],
)
def test_the_first_key_of_an_index_that_is_there_is_one_place(
    content: Mapping[str, Any], count: int
) -> None:
    found, _ = lists().places(values(**content), {}, {}, "mark", rename=False)

    assert len(found) == count


@pytest.mark.parametrize("rename", [False, True])
def test_a_place_that_is_carried_over_keeps_its_epoch_and_its_mark(
    rename: bool,
) -> None:
    """A revocation that ended the epoch meant this session, too."""
    each = lists()
    [user], [team] = names(each, user_id=42), names(each, team=9)
    carried = {user: ["a past epoch", "its mark"], team: ["another", "left"]}

    found, _ = each.places(values(user_id=42), carried, {}, "new", rename=rename)

    assert found == {user: ("a past epoch", "its mark")}


def test_an_epoch_that_is_given_outweighs_that_of_the_record() -> None:
    each = lists()
    [user], [team] = names(each, user_id=42), names(each, team=9)
    carried = {user: ["a past epoch", "its mark"]}
    given = {user: "the given", team: "the other"}

    found, _ = each.places(
        values(user_id=42, team=9), carried, given, "new", rename=False
    )

    assert found == {user: ("the given", "its mark"), team: ("the other", "new")}


def test_under_an_older_name_it_stays_there_unless_it_may_be_renamed() -> None:
    """A revocation that is under way may know the older name alone."""
    backend = MemoryBackend()
    before, each = lists(OLD, backend=backend), lists(OLD, NEW, backend=backend)
    binding = each.binding("user_id", "42")
    newest, oldest = binding.names
    epoch = before.epoch(before.binding("user_id", "42"))
    carried = {oldest: [epoch, "its mark"]}

    def places(rename: bool) -> object:
        return each.places(values(user_id=42), carried, {}, "new", rename=rename)

    stays, moves = places(rename=False), places(rename=True)

    assert stays == ({oldest: (epoch, "its mark")}, b"")
    assert moves == ({newest: (each.epoch(binding), "its mark")}, each.indexing)

    before.fence(before.binding("user_id", "42"))  # of both names the first

    assert places(rename=True) == stays
    assert gained(carried, stays[0]) == {}
    assert gained(carried, moves[0]) == moves[0]


def test_under_both_names_it_keeps_the_newest() -> None:
    each = lists(OLD, NEW)
    newest, oldest = each.binding("user_id", "42").names
    carried = {oldest: ["a past epoch", "its mark"], newest: ["e", "m"]}

    found = each.places(values(user_id=42), carried, {}, "new", rename=False)

    assert found == ({newest: ("e", "m")}, each.indexing)


def test_another_key_or_another_index_is_another_configuration() -> None:
    backwards = dict(reversed(INDEXES.items()))
    fewer = {"user_id": INDEXES["user_id"]}
    other_keys = {**INDEXES, "team": ("group",)}

    assert lists(OLD, NEW).indexing == lists(NEW, indexes=backwards).indexing
    others = {
        lists(NEW).indexing,
        lists(NEW, OLD).indexing,
        lists(NEW, indexes=fewer).indexing,
        lists(NEW, indexes=other_keys).indexing,
    }
    assert len(others) == 4


# -- who is admitted ------------------------------------------------------------------

SESSION = ids.new_id(1)
PLACES = {b"one": ["e1", "m1"], b"two": ["e2", "m2"]}
ONE, TWO = (Entry(name, SESSION, *PLACES[name]) for name in PLACES)


@pytest.mark.parametrize(
    ("heads", "admitted"),
    [
        ({b"one": Head("e1"), b"two": Head("e2")}, True),
        ({b"one": Head("e1"), b"two": Head("later")}, False),
        ({b"one": Head("later"), b"two": Head("e2")}, False),
        ({b"one": Head("e1"), b"two": Head("later", (TWO.member,))}, True),
        ({b"one": Head("e1"), b"two": Head("later", (ONE.member,))}, False),
        ({b"one": Head("e1"), b"two": None}, False),
        ({b"one": Head("e1")}, False),
        ({}, False),
    ],
)
def test_a_session_is_admitted_if_each_list_knows_its_epoch_or_kept_it(
    heads: Mapping[bytes, Head | None], admitted: bool
) -> None:
    assert admits(SESSION, PLACES, heads) is admitted
    assert admits(SESSION, {}, heads)


def test_a_binding_lists_a_record_under_any_of_its_names() -> None:
    record: Any = SimpleNamespace(places={b"old": ["e", "m"]})

    assert Binding("user_id", "42", (b"new", b"old")).lists(record)
    assert not Binding("user_id", "42", (b"new",)).lists(record)
