"""Who signs in, registers and changes a password in the example app."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.security import check_password_hash

from example_app import accounts, auth

from .visitor import NEW_PASSWORD, PASSWORDS, Visitor

on_every_backend = pytest.mark.parametrize(
    "backend_url", ["memory", "redis", "memcached"], indirect=True
)


# -- who is there -----------------------------------------------------------------


@on_every_backend
def test_the_right_password_signs_in_and_greets_by_name(browser: Visitor) -> None:
    answer = browser.sign_in("ada")

    assert (answer.status_code, answer.location) == (303, "/")
    assert "Hello, ada" in browser.get("/").text


def test_names_are_found_in_any_case(browser: Visitor) -> None:
    browser.submit("/sign-in", name="ADA", password=PASSWORDS["ada"])

    assert browser.is_signed_in


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", "wrong"),
        ("ada", ""),
        ("ada", PASSWORDS["grace"]),
        ("nobody", "wrong"),
        ("", ""),
        ("ada\0", PASSWORDS["ada"]),
        ("' OR 1=1 --", "wrong"),
    ],
)
def test_anything_else_is_refused_in_the_same_words(
    browser: Visitor, name: str, password: str
) -> None:
    answer = browser.submit("/sign-in", name=name, password=password)

    assert answer.status_code == 422
    assert "That is not a name and its password." in answer.text
    assert not browser.is_signed_in


def test_an_unknown_name_costs_as_much_hashing_as_a_known_one(
    browser: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods: list[str] = []
    check = check_password_hash

    def recorded(stored: str, password: str) -> bool:
        methods.append(stored.partition("$")[0])
        return check(stored, password)

    monkeypatch.setattr(accounts, "check_password_hash", recorded)

    browser.submit("/sign-in", name="ada", password="wrong")
    browser.submit("/sign-in", name="nobody", password="wrong")

    known, unknown = methods
    assert known == unknown
    shipped = Path(accounts.__file__).with_name("accounts.sql").read_text("utf-8")
    methods = re.findall(r", '([a-z]+:[^$']*)\$", shipped)
    assert len(methods) == 3
    assert len(set(methods)) == 1


def test_passwords_are_stored_as_hashes_only(browser: Visitor, app: Flask) -> None:
    browser.sign_in("grace")
    browser.change_password(PASSWORDS["grace"], NEW_PASSWORD)

    stored = Path(app.config["DATABASE"]).read_bytes()

    assert b"grace" in stored
    assert NEW_PASSWORD.encode() not in stored
    assert PASSWORDS["ada"].encode() not in stored


@on_every_backend
def test_a_login_that_began_before_all_sessions_were_ended_is_refused(
    browser: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = accounts.verify

    def while_it_is_checked(name: str, password: str) -> bool:
        auth.sessions.revoke_all(user_id=name)
        return verify(name, password)

    monkeypatch.setattr(accounts, "verify", while_it_is_checked)

    answer = browser.sign_in("ada")

    assert answer.status_code == 409
    assert "Please sign in again" in answer.text
    assert not browser.is_signed_in


@on_every_backend
@pytest.mark.parametrize("page", ["/sign-in", "/account/password"])
def test_the_password_is_read_after_the_epoch(
    browser: Visitor, app: Flask, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    """Otherwise a password that was just changed would still let somebody in."""
    if page != "/sign-in":
        browser.sign_in("ada")
    order: list[str] = []
    index = app.extensions["srvsession"].backend.index
    epoch, row = index.epoch, accounts._row

    def noted_epoch(name: str) -> str:
        order.append("epoch")
        answer: str = epoch(name)
        return answer

    def noted_row(sql: str, *arguments: object) -> object:
        if "SELECT password" in sql:
            order.append("password")
        return row(sql, *arguments)

    monkeypatch.setattr(index, "epoch", noted_epoch)
    monkeypatch.setattr(accounts, "_row", noted_row)

    answer = browser.submit(
        page,
        name="ada",
        password=PASSWORDS["ada"],
        present=PASSWORDS["ada"],
        new=NEW_PASSWORD,
    )

    assert answer.status_code == 303
    assert order[:2] == ["epoch", "password"]


def test_who_wants_to_stay_signed_in_gets_a_cookie_that_outlives_the_browser(
    browser: Visitor, other: Visitor
) -> None:
    password = PASSWORDS["ada"]

    once = browser.submit("/sign-in", name="ada", password=password)
    stays = other.submit("/sign-in", name="ada", password=password, stay="on")

    assert "Expires" not in once.headers["Set-Cookie"]
    assert "Expires" in stays.headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("page", "form", "field"),
    [
        ("/sign-in", {"name": "ada", "password": "wrong"}, "password"),
        ("/account/", {"device": "others", "password": "wrong"}, "password"),
        ("/account/password", {"present": "wrong", "new": NEW_PASSWORD}, "present"),
        ("/account/password", {"present": PASSWORDS["ada"], "new": "short"}, "new"),
    ],
)
def test_the_focus_goes_to_the_field_in_error(
    browser: Visitor, page: str, form: dict[str, str], field: str
) -> None:
    browser.sign_in("ada")

    answer = browser.submit(page, **form)

    fields = re.findall(r"<input[^>]+>", answer.text)
    [focused] = [field for field in fields if " autofocus" in field]
    assert f'id="{field}"' in focused
    assert 'aria-invalid="true"' in focused
    assert " autofocus" not in browser.get(page).text


# -- the password --------------------------------------------------------------------


@on_every_backend
def test_a_new_password_signs_out_all_other_devices_and_only_it_signs_in(
    browser: Visitor, other: Visitor
) -> None:
    other.sign_in("ada")
    browser.sign_in("ada")

    answer = browser.change_password(PASSWORDS["ada"], NEW_PASSWORD)

    assert answer.status_code == 303
    assert browser.is_signed_in
    assert not other.is_signed_in
    assert other.sign_in("ada").status_code == 422
    assert (
        other.submit("/sign-in", name="ada", password=NEW_PASSWORD).status_code == 303
    )


@on_every_backend
def test_the_cookie_from_before_a_new_password_is_worth_nothing(
    browser: Visitor, other: Visitor
) -> None:
    browser.sign_in("ada")
    other.cookie = browser.cookie

    browser.change_password(PASSWORDS["ada"], NEW_PASSWORD)

    assert not other.is_signed_in


@pytest.mark.parametrize(
    ("present", "new", "error"),
    [
        ("wrong", NEW_PASSWORD, "That is not your password."),
        (PASSWORDS["grace"], NEW_PASSWORD, "That is not your password."),
        (PASSWORDS["ada"], "short", "The new password is too short."),
    ],
)
def test_a_refused_change_of_password_changes_nothing(
    browser: Visitor, other: Visitor, present: str, new: str, error: str
) -> None:
    other.sign_in("ada")
    browser.sign_in("ada")

    answer = browser.change_password(present, new)

    assert answer.status_code == 422
    assert error in answer.text
    assert other.is_signed_in
    assert Visitor(browser.client.application).sign_in("ada").status_code == 303


@on_every_backend
def test_a_session_that_is_ended_meanwhile_does_not_change_the_password(
    browser: Visitor, other: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.sign_in("ada")
    verify = accounts.verify

    def while_it_is_checked(name: str, password: str) -> bool:
        auth.sessions.revoke_all(user_id=name)
        return verify(name, password)

    with monkeypatch.context() as patch:
        patch.setattr(accounts, "verify", while_it_is_checked)
        answer = browser.change_password(PASSWORDS["ada"], NEW_PASSWORD)

    assert answer.status_code == 409
    assert other.sign_in("ada").status_code == 303
