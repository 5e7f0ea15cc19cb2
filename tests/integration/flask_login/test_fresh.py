"""The recipe "sign in again before this" of the documentation, beside Flask-Login's
``fresh_login_required``."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_srvsession import ServerSession
from tests.web import Browser

from ..apps import User, use_flask_login

flask_login = pytest.importorskip("flask_login")

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "log-in-safely.md"
HOUR = 3600.0


def recipe() -> Any:
    """Return the decorator that the page shows."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    [block] = [b for b in blocks if "def signed_in_within" in b]
    names: dict[str, Any] = {}
    exec(block, names)
    return names["signed_in_within"]


class Site:
    """An app whose clock may be behind: so a login can be of some time ago."""

    def __init__(self) -> None:
        self.behind = 0.0
        self.app = Flask("testapp")
        self.app.config.update(SECRET_KEY="a secret key of these tests")
        ServerSession().init_app(self.app, clock=lambda: time.time() - self.behind)
        manager = use_flask_login(self.app)
        manager.refresh_view = "refresh"
        self.app.add_url_rule("/refresh", "refresh", lambda: "sign in again")
        guarded = recipe()(timedelta(minutes=10))(lambda: "paid")
        pay = flask_login.fresh_login_required(guarded)
        self.app.add_url_rule("/pay", "pay", pay)
        self.browser = Browser(self.app)

    def log_in(self, ago: float = 0.0, **how: Any) -> None:
        self.behind = ago
        self.browser.do(lambda: str(flask_login.login_user(User("ann"), **how)))
        self.behind = 0.0

    def pay(self) -> str:
        response = self.browser.client.get("/pay")
        return response.headers.get("Location", response.text).partition("?")[0]


def test_who_has_just_signed_in_passes_both() -> None:
    site = Site()
    site.log_in()

    assert site.pay() == "paid"


def test_who_has_signed_in_long_ago_passes_that_of_flask_login_alone() -> None:
    site = Site()
    site.log_in(ago=HOUR)

    assert site.pay() == "/login"  # the recipe's; Flask-Login's is /refresh

    site.log_in()
    assert site.pay() == "paid"


def test_to_confirm_is_no_login() -> None:
    site = Site()
    site.log_in(ago=HOUR)

    site.browser.do(lambda: str(flask_login.confirm_login()))

    assert site.pay() == "/login"


def test_who_comes_by_the_remember_cookie_passes_that_of_the_recipe_alone() -> None:
    site = Site()
    site.log_in(remember=True)
    site.browser.client.delete_cookie("session")

    assert site.pay() == "/refresh"
