"""A change is found wherever it is made, and nothing else is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flask_srvsession import session
from flask_srvsession.backends import Backend
from tests.web import Browser, View

from ..apps import (
    LosingBackend,
    cookie_headers,
)
from .shopper import shopper

if TYPE_CHECKING:
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage


# -- nested changes -------------------------------------------------------------------


def append() -> None:
    session["cart"]["items"].append("pear")


def append_through_get() -> None:
    session.get("cart", {})["items"].append("pear")


def append_through_setdefault() -> None:
    session.setdefault("cart", {})["items"].append("pear")


def append_through_values() -> None:
    for value in session.values():
        value["items"].append("pear")


def append_through_items() -> None:
    dict(session.items())["cart"]["items"].append("pear")


def append_through_a_copy_of_the_dict() -> None:
    dict(session)["cart"]["items"].append("pear")


def append_after_commit() -> None:
    cart = session["cart"]
    session["seen"] = True
    session.commit()
    cart["items"].append("pear")
    del session["seen"]


@pytest.mark.every_storage("append_after_commit")
@pytest.mark.parametrize(
    "change",
    [
        append,
        append_through_get,
        append_through_setdefault,
        append_through_values,
        append_through_items,
        append_through_a_copy_of_the_dict,
        append_after_commit,
    ],
)
def test_a_nested_change_is_saved_without_modified(
    make_app: MakeApp, change: View
) -> None:
    browser = shopper(make_app())

    browser.do(change)

    assert browser.values() == {"cart": {"items": ["apple", "pear"]}}


def test_an_object_that_was_assigned_may_change_afterwards(make_app: MakeApp) -> None:
    browser = Browser(make_app())

    def assign_first() -> None:
        items: list[str] = []
        session["cart"] = {"items": items}
        items.append("apple")

    browser.do(assign_first)

    assert browser.values() == {"cart": {"items": ["apple"]}}


def test_nested_changes_of_different_keys_overlap(make_app: MakeApp) -> None:
    browser = shopper(make_app(), cart={"items": []}, wishes={"items": []})

    with browser.in_flight(lambda: session["cart"]["items"].append("apple")):
        browser.do(lambda: session["wishes"]["items"].append("pear"))

    assert browser.values() == {
        "cart": {"items": ["apple"]},
        "wishes": {"items": ["pear"]},
    }


def test_who_only_looked_at_a_nested_value_does_not_overwrite_it(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app())

    def look_and_write() -> None:
        assert session["cart"]["items"] == ["apple"]
        session["other"] = 1

    with browser.in_flight(look_and_write, first=lambda: str(session["cart"])):
        browser.do(append)

    assert browser.values() == {"cart": {"items": ["apple", "pear"]}, "other": 1}


# -- what writes nothing --------------------------------------------------------------


def assign_identical() -> None:
    session["cart"] = {"items": ["apple"]}


def change_and_change_back() -> None:
    session["cart"]["items"].append("pear")
    session["cart"]["items"].pop()


def set_and_remove() -> None:
    session["new"] = 1
    del session["new"]


def read_everything() -> None:
    dict(session)


@pytest.mark.every_storage("logged in-change_and_change_back")
@pytest.mark.parametrize(
    "view",
    [
        assign_identical,
        change_and_change_back,
        set_and_remove,
        read_everything,
    ],
)
@pytest.mark.parametrize("user", [{}, {"user_id": 42}], ids=["anonymous", "logged in"])
def test_what_is_as_it_was_is_not_written(
    make_app: MakeApp, backend: Backend, view: View, user: dict[str, Any]
) -> None:
    noting = LosingBackend(backend)
    browser = shopper(make_app(noting), cart={"items": ["apple"]}, **user)
    browser.values()
    noting.calls.clear()

    response = browser.do(view)

    assert noting.calls.count("get") == 1
    assert noting.writes == []
    assert cookie_headers(response) == []


def test_a_change_is_one_write(make_app: MakeApp, backend: Backend) -> None:
    noting = LosingBackend(backend)
    browser = shopper(make_app(noting))
    noting.calls.clear()

    browser.do(append)

    assert noting.calls == ["get", "swap"]
