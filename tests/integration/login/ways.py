"""Ways to log in."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask_login import login_user

from flask_srvsession import (
    ServerSession,
    session,
)
from flask_srvsession.ids import CookieSigner, Credential, new_token
from tests.web import Browser, View

from ..apps import (
    User,
)

CART = {"cart": {"items": ["apple"]}}


def log_in_with_user_id() -> None:
    session["user_id"] = 42


def log_in_like_the_quickstart() -> None:
    session["username"] = "ada"


def log_in_like_the_tutorial() -> None:
    session.clear()
    session["user_id"] = 42


def log_in_with_flask_login() -> None:
    login_user(User("42"))


def log_in_with_compute() -> None:
    session.compute("user_id", lambda _: 42)


def log_in_with_a_dict() -> None:
    session["user"] = {"id": 42, "name": "ada", "roles": []}


def log_in_and_read_the_id() -> None:
    session["user_id"] = 42
    str(session.id)


def bind() -> None:
    session.bind(user_id=42)


def assign_and_bind() -> None:
    session["user_id"] = 42
    session.bind(user_id=42)


def bind_with_an_epoch() -> None:
    epoch = ServerSession().epoch(user_id=42)
    session.bind(user_id=42, epoch=epoch)


LOGINS: dict[str, View] = {
    "user_id": log_in_with_user_id,
    "username": log_in_like_the_quickstart,
    "clear first": log_in_like_the_tutorial,
    "Flask-Login": log_in_with_flask_login,
    "compute": log_in_with_compute,
    "a dict": log_in_with_a_dict,
    "reading the id": log_in_and_read_the_id,
    "bind": bind,
    "assign and bind": assign_and_bind,
    "bind with an epoch": bind_with_an_epoch,
}


LISTED = {
    name: LOGINS[name]
    for name in ("user_id", "clear first", "Flask-Login", "bind", "assign and bind")
}
"""Logins that are listed under user_id=42."""


by_any_login = pytest.mark.parametrize("log_in", LOGINS.values(), ids=LOGINS)


by_listed_login = pytest.mark.parametrize("log_in", LISTED.values(), ids=LISTED)


def shopper(app: Flask, **values: Any) -> Browser:
    """Return a browser with a cart and nobody logged in."""
    browser = Browser(app)
    browser.set(**CART, **values)
    browser.values()
    return browser


def who(browser: Browser) -> object:
    """Return who is logged in, by any key."""
    values = browser.values()
    keys = ("user_id", "_user_id", "username", "user")
    found = [str(values[key]) for key in keys if key in values]
    return found[0] if found else None


def is_logged_in(browser: Browser) -> bool:
    """Return whether one of the logins above is in force."""
    values = browser.values()
    done = {"user_id": 42, "_user_id": "42", "username": "ada"}
    return any(values.get(key) == done[key] for key in done) or "user" in values


# -- ids that somebody chose ----------------------------------------------------------


def cookie_of(app: Flask, session_id: str, generation: int = 1) -> str:
    """Return a cookie as only somebody who knows the SECRET_KEY can make it."""
    signer = CookieSigner([app.secret_key or ""], app.config["SRVSESSION_KEY_PREFIX"])
    return signer.dumps(Credential(session_id, generation, new_token()))


# -- requests in flight ---------------------------------------------------------------


def clear_and_write() -> None:
    session.clear()
    session["late"] = True
