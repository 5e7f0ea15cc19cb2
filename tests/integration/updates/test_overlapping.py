"""No update is lost where requests overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from flask_srvsession import session, session_destroyed

from ..apps import (
    cookie_headers,
    deletes_cookie,
    stored,
    together,
)
from .shopper import clear_and_write, shopper

if TYPE_CHECKING:
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage


# -- different keys -------------------------------------------------------------------


@pytest.mark.parametrize("user", [{}, {"user_id": 42}], ids=["anonymous", "logged in"])
def test_two_overlapping_requests_that_set_different_keys_both_survive(
    make_app: MakeApp, user: dict[str, Any]
) -> None:
    browser = shopper(make_app(), x=0, **user)

    with browser.in_flight(lambda: session.update(slow=1)) as late:
        browser.set(fast=2)

    assert browser.values() == {"x": 0, "slow": 1, "fast": 2, **user}
    assert cookie_headers(late.response) == []


def test_what_was_set_before_the_other_request_began_survives_too(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), x=0)

    with browser.in_flight(lambda: None, first=lambda: session.update(slow=1)):
        browser.set(fast=2)

    assert browser.values() == {"x": 0, "slow": 1, "fast": 2}


def test_twenty_requests_at_once_each_keep_their_own_key(make_app: MakeApp) -> None:
    browser = shopper(make_app(), x=0)
    copies = {f"key{n}": browser.copy() for n in range(20)}

    together(*(lambda k=k, c=c: c.set(**{k: True}) for k, c in copies.items()))

    assert browser.values() == {"x": 0, **dict.fromkeys(copies, True)}


def test_a_key_that_is_removed_and_one_that_is_set_do_not_meet(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), a=1, b=2)

    with browser.in_flight(lambda: str(session.pop("a"))):
        browser.set(c=3)

    assert browser.values() == {"b": 2, "c": 3}


def test_a_reader_does_not_bring_old_values_back(make_app: MakeApp) -> None:
    browser = shopper(make_app(), a=1, cart=[])

    with browser.in_flight(lambda: str(dict(session))) as late:
        browser.set(a=2, cart=["apple"])

    assert late.response.text == "{'a': 1, 'cart': []}"
    assert browser.values() == {"a": 2, "cart": ["apple"]}


def test_a_renewal_does_not_bring_old_values_back(
    make_app: MakeApp, clock: Any
) -> None:
    browser = shopper(make_app(), a=1)
    clock.advance(3600)

    with browser.in_flight(lambda: None):
        browser.set(a=2)

    assert browser.values() == {"a": 2}


# -- the same key ---------------------------------------------------------------------


def test_of_two_that_set_the_same_key_the_last_commit_wins(make_app: MakeApp) -> None:
    browser = shopper(make_app(), a=0)

    with browser.in_flight(lambda: session.update(a="slow")):
        browser.set(a="fast")
        assert browser.values() == {"a": "fast"}

    assert browser.values() == {"a": "slow"}


def test_a_removal_that_commits_last_wins_over_an_assignment(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), a=0, b=0)

    with browser.in_flight(lambda: str(session.pop("a"))):
        browser.set(a="fast")

    assert browser.values() == {"b": 0}


def test_an_assignment_that_commits_last_wins_over_a_removal(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), a=0, b=0)

    with browser.in_flight(lambda: session.update(a="slow")):
        browser.do(lambda: str(session.pop("a")))

    assert browser.values() == {"a": "slow", "b": 0}


def test_clear_wipes_what_is_there_when_it_commits(make_app: MakeApp) -> None:
    browser = shopper(make_app(), a=1)

    def clear_and_commit() -> str:
        clear_and_write()
        session.commit()
        return str(dict(session))

    with browser.in_flight(clear_and_commit) as late:
        browser.set(b=2)

    assert late.response.text == "{'mine': True}"


def test_clear_and_write_takes_effect_under_a_new_id(make_app: MakeApp) -> None:
    browser = shopper(make_app(), a=1)
    thief = browser.copy()

    browser.do(clear_and_write)

    assert browser.id != thief.id
    assert browser.values() == {"mine": True}
    assert thief.values() == {}


def test_who_wrote_in_flight_while_it_was_cleared_is_dropped(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), a=1)

    with browser.in_flight(lambda: session.update(late=True)) as late:
        browser.do(clear_and_write)

    assert cookie_headers(late.response) == []
    assert browser.values() == {"mine": True}


def test_a_session_whose_last_key_is_removed_ends(make_app: MakeApp) -> None:
    browser = shopper(app := make_app(), a=1)
    session_id, heard = browser.id, []

    def hear(sender: Flask, info: Any) -> None:
        heard.append(info.id)

    with session_destroyed.connected_to(hear):
        response = browser.do(lambda: str(session.pop("a")))

    assert deletes_cookie(response)
    assert stored(app, session_id) is None
    assert heard == [session_id]


def test_a_session_that_somebody_filled_while_it_was_emptied_goes_on(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), a=1)
    session_id = browser.id

    with browser.in_flight(lambda: str(session.pop("a"))) as late:
        browser.set(b=2)

    assert cookie_headers(late.response) == []
    assert browser.id == session_id
    assert browser.values() == {"b": 2}


def test_two_that_each_remove_one_of_two_keys_leave_nothing(
    make_app: MakeApp,
) -> None:
    browser = shopper(app := make_app(), a=1, b=2)
    session_id = browser.id

    with browser.in_flight(lambda: str(session.pop("a"))) as late:
        browser.do(lambda: str(session.pop("b")))

    assert browser.values() == {}
    assert stored(app, session_id) is None
    assert deletes_cookie(late.response)
