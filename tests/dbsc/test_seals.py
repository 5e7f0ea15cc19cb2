"""What the server hands out, and knows again."""

from __future__ import annotations

import pytest

from flask_srvsession import ids
from flask_srvsession.dbsc.seals import CHALLENGE_LIFE, LEEWAY, OFFER_LIFE, Seals

NOW = 1_800_000_000
WINDOW = 600
ONE, OTHER = ids.new_id(NOW), ids.new_id(NOW)


@pytest.fixture
def seals() -> Seals:
    return Seals(["key"], "app:", WINDOW)


def test_each_says_what_it_was_made_for(seals: Seals) -> None:
    assert seals.of_cookie(seals.cookie(ONE, 3, NOW), ONE, NOW) == (3, NOW)
    assert seals.of_challenge(seals.challenge(ONE, 4, NOW), ONE, NOW) == (4, NOW)
    assert seals.of_offer(seals.offer(ONE, NOW), NOW) == ONE


def test_they_are_good_for_one_session(seals: Seals) -> None:
    assert seals.of_cookie(seals.cookie(ONE, 1, NOW), OTHER, NOW) is None
    assert seals.of_challenge(seals.challenge(ONE, 1, NOW), OTHER, NOW) is None
    assert seals.of_offer(seals.offer(ONE, NOW).replace(ONE, OTHER), NOW) is None


def test_they_are_good_for_one_purpose(seals: Seals) -> None:
    assert seals.of_challenge(seals.cookie(ONE, 1, NOW), ONE, NOW) is None
    assert seals.of_cookie(seals.challenge(ONE, 1, NOW), ONE, NOW) is None
    offer = seals.offer(ONE, NOW).removeprefix(ONE)
    assert seals.of_cookie(f"1{offer}", ONE, NOW) is None


def test_each_ends(seals: Seals) -> None:
    cookie, challenge = seals.cookie(ONE, 1, NOW), seals.challenge(ONE, 1, NOW)
    offer = seals.offer(ONE, NOW)

    for last, known in [
        (WINDOW + LEEWAY, lambda at: seals.of_cookie(cookie, ONE, at)),
        (CHALLENGE_LIFE, lambda at: seals.of_challenge(challenge, ONE, at)),
        (OFFER_LIFE, lambda at: seals.of_offer(offer, at)),
    ]:
        assert known(NOW + last - 1)
        assert known(NOW + last) is None
        assert known(NOW - ids.MAX_CLOCK_SKEW)
        assert known(NOW - ids.MAX_CLOCK_SKEW - 1) is None


def test_every_change_is_noticed(seals: Seals) -> None:
    cookie = seals.cookie(ONE, 2, NOW)
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
        assert seals.of_cookie(bad, ONE, NOW) is None


def test_other_apps_and_keys_make_others(seals: Seals) -> None:
    for other in Seals(["key"], "b:", WINDOW), Seals(["other"], "app:", WINDOW):
        assert other.of_cookie(seals.cookie(ONE, 1, NOW), ONE, NOW) is None
        assert other.of_offer(seals.offer(ONE, NOW), NOW) is None


def test_a_former_key_is_good_and_the_present_one_makes(seals: Seals) -> None:
    both = Seals(["key", "new"], "app:", WINDOW)
    new = Seals(["new"], "app:", WINDOW)

    assert both.of_cookie(seals.cookie(ONE, 1, NOW), ONE, NOW)
    assert new.of_cookie(both.cookie(ONE, 1, NOW), ONE, NOW)
    assert seals.of_cookie(both.cookie(ONE, 1, NOW), ONE, NOW) is None
