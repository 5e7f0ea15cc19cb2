"""Signing out: here, elsewhere, and with a copied cookie."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from example_app import auth
from flask_srvsession import SessionInfo

from .visitor import FIREFOX, SAFARI, Visitor

on_every_backend = pytest.mark.parametrize(
    "backend_url", ["memory", "redis", "memcached"], indirect=True
)


# -- signing out ------------------------------------------------------------------


@on_every_backend
def test_after_signing_out_no_copy_of_the_cookie_works(
    browser: Visitor, other: Visitor
) -> None:
    browser.sign_in("ada")
    other.cookie = browser.cookie
    assert other.is_signed_in

    browser.sign_out()

    assert not other.is_signed_in
    assert not browser.is_signed_in


@on_every_backend
def test_signing_out_ends_this_session_only(browser: Visitor, other: Visitor) -> None:
    browser.sign_in("ada")
    other.sign_in("ada")

    browser.sign_out()

    assert other.is_signed_in


@on_every_backend
def test_signing_out_empties_the_cart_and_says_so_once(browser: Visitor) -> None:
    browser.sign_in("ada")
    browser.add("tea")

    browser.sign_out()

    assert "You have signed out." in browser.get("/").text
    assert "You have signed out." not in browser.get("/").text
    assert browser.cart() == {}


@on_every_backend
def test_the_cookie_from_before_signing_in_is_worth_nothing_afterwards(
    browser: Visitor, other: Visitor
) -> None:
    browser.add("tea")
    other.cookie = browser.cookie

    browser.sign_in("ada")
    browser.add("coffee")

    assert not other.is_signed_in
    assert "Coffee" not in other.cart()


# -- devices ------------------------------------------------------------------------


@on_every_backend
def test_the_devices_are_listed_by_browser_and_this_one_is_marked(app: Flask) -> None:
    laptop, phone = Visitor(app, FIREFOX), Visitor(app, SAFARI)
    laptop.sign_in("ada")
    phone.sign_in("ada")

    assert sorted(laptop.devices()) == [
        "Firefox on Windows (this)",
        "Mobile Safari on iOS",
    ]
    assert sorted(phone.devices()) == [
        "Firefox on Windows",
        "Mobile Safari on iOS (this)",
    ]


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Windows"),
        ("curl/8.14.1", "curl"),
        ("my-program", "my-program"),
        ("", "Unknown"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
    ],
)
def test_a_device_is_named_by_what_it_says_of_itself(
    app: Flask, agent: str, name: str
) -> None:
    browser = Visitor(app, agent)
    if not agent:
        del browser.client.environ_base["HTTP_USER_AGENT"]
    browser.sign_in("ada")

    assert browser.devices() == [f"{name} (this)"]


def test_what_a_browser_says_of_itself_is_shown_as_text(app: Flask) -> None:
    browser = Visitor(app, "<script>alert(1)</script>")
    browser.sign_in("ada")

    assert "<script" not in browser.get("/account/").text


@on_every_backend
def test_one_device_can_be_signed_out_by_another(app: Flask) -> None:
    here, phone, laptop = (Visitor(app, agent) for agent in ("here", SAFARI, FIREFOX))
    for device in (here, phone):
        device.sign_in("ada")
    [id_of_phone] = here.other_devices()
    laptop.sign_in("ada")

    answer = here.sign_out_of(id_of_phone)

    assert answer.status_code == 303
    assert not phone.is_signed_in
    assert sorted(here.devices()) == ["Firefox on Windows", "here (this)"]
    assert laptop.is_signed_in


@on_every_backend
def test_a_device_of_somebody_else_cannot_be_signed_out(app: Flask) -> None:
    ada, phone, grace = Visitor(app), Visitor(app), Visitor(app)
    ada.sign_in("ada")
    phone.sign_in("ada")
    grace.sign_in("grace")
    [id_of_phone] = ada.other_devices()

    answer = grace.sign_out_of(id_of_phone)

    assert answer.status_code == 303
    assert "Devices signed out: 0." in grace.get("/account/").text
    assert phone.is_signed_in


@on_every_backend
def test_signing_out_all_others_keeps_this_one(
    browser: Visitor, other: Visitor, app: Flask
) -> None:
    stranger = Visitor(app)
    stranger.sign_in("grace")
    other.sign_in("ada")
    browser.sign_in("ada")

    browser.sign_out_others()

    assert "Devices signed out: 1." in browser.get("/").text
    assert browser.is_signed_in
    assert not other.is_signed_in
    assert stranger.is_signed_in


@on_every_backend
def test_signing_out_everywhere_means_this_one_too(
    browser: Visitor, other: Visitor, app: Flask
) -> None:
    stranger = Visitor(app)
    stranger.sign_in("grace")
    other.sign_in("ada")
    browser.sign_in("ada")

    browser.sign_out_everywhere()

    assert not browser.is_signed_in
    assert not other.is_signed_in
    assert stranger.is_signed_in
    assert "Devices signed out: 2." in browser.get("/sign-in").text


@pytest.mark.parametrize("device", ["others", "all", "the phone"])
def test_without_the_password_no_device_is_signed_out(
    browser: Visitor, other: Visitor, device: str
) -> None:
    """Somebody at an unlocked computer cannot lock its owner out."""
    other.sign_in("ada")
    browser.sign_in("ada")
    [phone] = browser.other_devices()
    chosen = phone if device == "the phone" else device

    answer = browser.submit("/account/", device=chosen, password="wrong")

    assert answer.status_code == 422
    assert "That is not your password." in answer.text
    assert browser.is_signed_in
    assert other.is_signed_in


def test_a_device_that_the_session_is_bound_to_is_marked(
    browser: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.sign_in("ada")
    assert "Bound to it" not in browser.get("/account/").text
    found = auth.sessions.find

    def bound(**index: Any) -> list[SessionInfo]:
        return [replace(info, bound=True) for info in found(**index)]

    monkeypatch.setattr(auth.sessions, "find", bound)

    assert "Bound to it" in browser.get("/account/").text


# -- what a copied cookie gets ---------------------------------------------------------


@on_every_backend
def test_the_page_shows_that_a_copied_cookie_ends_with_the_session(
    browser: Visitor,
) -> None:
    browser.sign_in("ada")

    answer = browser.submit("/account/", "/account/replay")

    assert re.findall(r"<dd>(.+?):", answer.text) == ["200 OK", "303 SEE OTHER"]
    assert not browser.is_signed_in


# -- programs --------------------------------------------------------------------------


def test_programs_are_told_who_asks(browser: Visitor) -> None:
    before = browser.get("/me").get_json()
    browser.sign_in("ada")
    browser.add("tea")
    after = browser.get("/me").get_json()

    assert (before["name"], before["cart"]) == (None, {})
    assert (after["name"], after["cart"]) == ("ada", {"tea": 1})
