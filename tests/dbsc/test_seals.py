"""What the server hands out, and knows again."""

from __future__ import annotations

import pytest

from flask_srvsession import ids
from flask_srvsession.dbsc.seals import (
    CHALLENGE,
    CHALLENGE_LIFE,
    COOKIE,
    LEEWAY,
    OFFER_LIFE,
    Seals,
)

NOW = 1_800_000_000
WINDOW = 600
ONE, OTHER = ids.new_id(NOW), ids.new_id(NOW)


@pytest.fixture
def seals() -> Seals:
    return Seals(["key"], "app:", WINDOW)


def test_each_says_what_it_was_made_for(seals: Seals) -> None:
    assert seals.known(COOKIE, ONE, seals.made(COOKIE, ONE, 3, NOW), NOW) == (3, NOW)
    assert seals.known(CHALLENGE, ONE, seals.made(CHALLENGE, ONE, 4, NOW), NOW) == (
        4,
        NOW,
    )
    assert seals.of_offer(seals.offer(ONE, NOW), NOW) == ONE


def test_they_are_good_for_one_session(seals: Seals) -> None:
    assert seals.known(COOKIE, OTHER, seals.made(COOKIE, ONE, 1, NOW), NOW) is None
    assert (
        seals.known(CHALLENGE, OTHER, seals.made(CHALLENGE, ONE, 1, NOW), NOW) is None
    )
    assert seals.of_offer(seals.offer(ONE, NOW).replace(ONE, OTHER), NOW) is None


def test_they_are_good_for_one_purpose(seals: Seals) -> None:
    assert seals.known(CHALLENGE, ONE, seals.made(COOKIE, ONE, 1, NOW), NOW) is None
    assert seals.known(COOKIE, ONE, seals.made(CHALLENGE, ONE, 1, NOW), NOW) is None
    offer = seals.offer(ONE, NOW).removeprefix(f"{ONE}.")
    assert seals.known(COOKIE, ONE, offer, NOW) is None


def test_each_ends(seals: Seals) -> None:
    cookie, challenge = (
        seals.made(COOKIE, ONE, 1, NOW),
        seals.made(CHALLENGE, ONE, 1, NOW),
    )
    offer = seals.offer(ONE, NOW)

    for last, known in [
        (WINDOW + LEEWAY, lambda at: seals.known(COOKIE, ONE, cookie, at)),
        (CHALLENGE_LIFE, lambda at: seals.known(CHALLENGE, ONE, challenge, at)),
        (OFFER_LIFE, lambda at: seals.of_offer(offer, at)),
    ]:
        assert known(NOW + last - 1)
        assert known(NOW + last) is None
        assert known(NOW - ids.MAX_CLOCK_SKEW)
        assert known(NOW - ids.MAX_CLOCK_SKEW - 1) is None


def test_every_change_is_noticed(seals: Seals) -> None:
    cookie = seals.made(COOKIE, ONE, 2, NOW)
    _, issued, mac = cookie.split(".")

    for bad in [
        f"1.{issued}.{mac}",
        f"2.{int(NOW) + 1:x}.{mac}",
        f"2.{issued}.{mac[:-1]}",
        f"2.{issued}.{mac[1:]}A",
        f"02.{issued}.{mac}",
        f"2.0{issued}.{mac}",
        *("", "2", f" {cookie}", f"{cookie}\n", f"{cookie}.", "é" * 9),
    ]:
        assert seals.known(COOKIE, ONE, bad, NOW) is None


def test_other_apps_and_keys_make_others(seals: Seals) -> None:
    for other in Seals(["key"], "b:", WINDOW), Seals(["other"], "app:", WINDOW):
        assert other.known(COOKIE, ONE, seals.made(COOKIE, ONE, 1, NOW), NOW) is None
        assert other.of_offer(seals.offer(ONE, NOW), NOW) is None


def test_a_former_key_is_good_and_the_present_one_makes(seals: Seals) -> None:
    both = Seals(["key", "new"], "app:", WINDOW)
    new = Seals(["new"], "app:", WINDOW)

    assert both.known(COOKIE, ONE, seals.made(COOKIE, ONE, 1, NOW), NOW)
    assert new.known(COOKIE, ONE, both.made(COOKIE, ONE, 1, NOW), NOW)
    assert seals.known(COOKIE, ONE, both.made(COOKIE, ONE, 1, NOW), NOW) is None
