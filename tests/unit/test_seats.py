"""Who leaves a list where there are too many: the rule alone, without a storage."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_srvsession.store.lists import Entry
from flask_srvsession.store.record import INHERITED, PRESENTED, Record
from flask_srvsession.store.room import DELIVERY, leaving, may_be_used
from tests.records import BLANK

NOW = 1_750_000_000


def listed(name: str, mark: str = "", born: int = 1) -> Entry:
    """Return the entry of a session that is called by one digit."""
    return Entry(b"", f"{name * 32}_{born:x}", "", mark or name)


class Counting:
    """Says which sessions count, by the digit of each, and notes how it was asked."""

    def __init__(self, *alive: str) -> None:
        self.alive = alive
        self.asked: dict[str, bool] = {}

    def __call__(self, session_id: str, later: bool) -> bool:
        self.asked[session_id[0]] = later
        return session_id[0] in self.alive


A, B, C, D = (listed(name) for name in "abcd")


def test_nobody_is_asked_while_there_is_room() -> None:
    counts = Counting("a", "b")

    assert leaving([A, B, C], C, 3, counts) == ([], [])
    assert counts.asked == {}


def test_the_oldest_leaves_where_all_seats_are_taken() -> None:
    old, older = listed("a", born=20), listed("b", born=10)

    assert leaving([old, older, C], C, 2, Counting("a", "b")) == ([], [older])


def test_of_one_second_the_mark_tells_who_leaves() -> None:
    assert leaving([B, A, C], C, 2, Counting("a", "b")) == ([], [A])


def test_as_many_leave_as_are_too_many() -> None:
    assert leaving([A, B, C, D], D, 1, Counting("a", "b", "c")) == ([], [A, B, C])


def test_the_dead_leave_first_and_maybe_nobody_else() -> None:
    assert leaving([A, B, C], C, 2, Counting("b")) == ([A], [])
    assert leaving([A, B, C], C, 1, Counting("b")) == ([A], [B])


def test_a_session_and_what_it_is_regenerated_to_leave_together() -> None:
    was, became = listed("a", "m"), listed("b", "m")

    for alive in ("a", "b", "ab"):
        dead, surplus = leaving([was, became, C], C, 1, Counting(*alive))
        assert (dead, surplus) == ([], [was, became])
    assert leaving([was, became, C], C, 1, Counting()) == ([was, became], [])


def test_they_have_one_seat_among_several() -> None:
    was, became = listed("a", "m"), listed("b", "m")

    assert leaving([was, became, D, C], C, 3, Counting("a", "b", "d")) == ([], [])


def test_a_seat_is_as_old_as_the_oldest_of_it() -> None:
    was, became = listed("a", "m", born=5), listed("b", "m", born=50)
    other = listed("d", born=10)

    found = leaving([other, was, became, C], C, 2, Counting("b", "d"))

    assert found == ([], [was, became])


def test_a_session_does_not_make_room_for_what_it_is_regenerated_to() -> None:
    was, own = listed("a", "m"), listed("c", "m")

    assert leaving([was, own], own, 1, Counting("a")) == ([], [])
    assert leaving([B, was, own], own, 2, Counting("a", "b")) == ([], [])


def test_nor_for_itself_where_it_is_listed_anew() -> None:
    former, own = listed("c", "former"), listed("c", "present")

    assert leaving([former, own], own, 1, Counting("c")) == ([], [])


def test_a_later_one_is_asked_for_as_such_and_does_not_leave_as_one_of_the_dead() -> (
    None
):
    counts = Counting("a")

    assert leaving([A, C, B], C, 1, counts) == ([], [A])
    assert counts.asked == {"a": False, "b": True}


def test_the_seat_that_is_taken_over_tells_who_is_later() -> None:
    """It was there before: whoever was listed since has seen it."""
    was, own, counts = listed("a", "m"), listed("c", "m"), Counting()

    leaving([was, B, own], own, 1, counts)

    assert counts.asked == {"b": True}


def test_nobody_leaves_for_a_session_that_a_later_login_has_ended() -> None:
    counts = Counting("a", "b")

    assert leaving([A, B], C, 1, counts) == ([], [])
    assert counts.asked == {}


def record(*, presented: bool, age: int) -> Record:
    return BLANK._replace(
        since=NOW - age, last_seen=NOW - age, flags=PRESENTED if presented else 0
    )


@pytest.mark.parametrize(
    ("presented", "age", "later", "counted"),
    [
        (True, 0, False, True),
        (True, 10 * DELIVERY, False, True),
        (True, 0, True, True),
        (False, 0, False, True),
        (False, DELIVERY - 1, False, True),
        (False, DELIVERY, False, False),
        (False, 0, True, False),
    ],
)
def test_a_session_counts_that_somebody_has_or_may_still_get(
    presented: bool, age: int, later: bool, counted: bool
) -> None:
    this = record(presented=presented, age=age)

    assert may_be_used(this, NOW, later=later) is counted


@pytest.mark.parametrize(("age", "counted"), [(0, True), (DELIVERY, False)])
def test_a_seat_that_was_taken_over_counts_although_it_is_listed_later(
    age: int, counted: bool
) -> None:
    """It was there before, and did not wait for the newcomer."""
    this = record(presented=False, age=age)._replace(flags=INHERITED)

    assert may_be_used(this, NOW, later=True) is counted


digits = st.sampled_from("abcdef")
entries = st.lists(
    st.builds(listed, digits, st.sampled_from("uvwxyz"), st.integers(1, 3)),
    max_size=8,
    unique=True,
)


@given(entries, st.integers(1, 4), st.sets(digits))
def test_whoever_is_listed_and_lives_no_more_than_the_limit_are_left(
    others: list[Entry], limit: int, alive: set[str]
) -> None:
    own = listed("0", "own")
    counts = Counting(*alive)

    dead, surplus = leaving([*others, own], own, limit, counts)

    gone = {*dead, *surplus}
    left: Mapping[str, list[Entry]] = {}
    left = {
        entry.mark: [e for e in others if e.mark == entry.mark]
        for entry in others
        if entry not in gone
    }
    living = [
        m for m, seat in left.items() if any(e.session_id[0] in alive for e in seat)
    ]
    assert len(living) < limit
    assert own not in gone
    assert len(gone) == len(dead) + len(surplus)
    assert not any(entry.session_id[0] in alive for entry in dead)
    if surplus:
        assert len(living) == limit - 1
