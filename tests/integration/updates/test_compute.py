"""A computed value is exact, however many compute it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_srvsession import session
from tests.web import PATIENCE, Browser

from ..apps import (
    together,
)
from .shopper import add_one, shopper

if TYPE_CHECKING:
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage


@pytest.mark.parametrize("user", [{}, {"user_id": 42}], ids=["anonymous", "logged in"])
def test_twenty_increments_at_once_make_exactly_twenty(
    make_app: MakeApp, user: dict[str, Any]
) -> None:
    browser = shopper(make_app(), n=5, **user)
    copies = [browser.copy() for _ in range(20)]
    loaded = threading.Barrier(20)

    def load_and_add_one() -> None:
        assert session["n"] == 5
        loaded.wait(PATIENCE)
        add_one()

    responses = together(*(lambda c=c: c.do(load_and_add_one) for c in copies))

    assert {response.status_code for response in responses} == {200}
    assert browser.values()["n"] == 25


def test_increments_of_a_key_that_is_not_there_yet_are_exact(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), x=0)
    copies = [browser.copy() for _ in range(8)]

    together(*(lambda c=c: [c.do(add_one) for _ in range(5)] for c in copies))

    assert browser.values() == {"x": 0, "n": 40}


def test_compute_returns_the_value_of_this_request(make_app: MakeApp) -> None:
    browser = shopper(make_app(), n=1)

    response = browser.do(lambda: str(session.compute("n", lambda n: n + 1)))

    assert response.text == "2"


def test_compute_twice_in_a_request_counts_twice_in_a_conflict(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), n=0)

    with browser.in_flight(lambda: (add_one(), add_one())[1]):
        browser.do(add_one)

    assert browser.values() == {"n": 3}


def test_a_computed_list_loses_no_item(make_app: MakeApp) -> None:
    browser = shopper(make_app(), cart=[])

    def add(item: str) -> None:
        session.compute("cart", lambda cart: [*cart, item])

    with browser.in_flight(lambda: add("apple")):
        browser.do(lambda: add("pear"))

    assert sorted(browser.values()["cart"]) == ["apple", "pear"]


def test_compute_after_an_assignment_builds_on_it(make_app: MakeApp) -> None:
    browser = shopper(make_app(), n=1)

    def assign_and_add_one() -> None:
        session["n"] = 10
        add_one()

    with browser.in_flight(assign_and_add_one):
        browser.set(n=100)

    assert browser.values() == {"n": 11}


def test_an_assignment_after_compute_replaces_it(make_app: MakeApp) -> None:
    browser = shopper(make_app(), n=1)

    def add_one_and_assign() -> None:
        add_one()
        session["n"] = 10

    with browser.in_flight(add_one_and_assign):
        browser.do(add_one)

    assert browser.values() == {"n": 10}


def test_compute_after_clear_begins_with_none(make_app: MakeApp) -> None:
    browser = shopper(make_app(), n=41)

    browser.do(lambda: (session.clear(), add_one())[1])

    assert browser.values() == {"n": 1}


def test_a_computed_key_that_is_removed_is_gone(make_app: MakeApp) -> None:
    browser = shopper(make_app(), n=41, x=0)

    browser.do(lambda: (add_one(), session.pop("n"))[0])

    assert browser.values() == {"x": 0}


def test_compute_works_on_a_new_session(make_app: MakeApp) -> None:
    browser = Browser(make_app())

    browser.do(lambda: (add_one(), add_one())[1])

    assert browser.values() == {"n": 2}


@pytest.mark.parametrize("key", [5, b"n", ("n", 1)])
def test_a_key_that_is_no_text_is_refused(make_app: MakeApp, key: Any) -> None:
    browser = shopper(make_app(), n=5)

    with pytest.raises(TypeError, match="Session keys are str"):
        browser.do(lambda: session.compute(key, lambda n: 1))

    assert browser.values()["n"] == 5
