"""A browser with a cart."""

from __future__ import annotations

from typing import Any

from flask import Flask

from flask_srvsession import session
from tests.web import Browser


def shopper(app: Flask, **values: Any) -> Browser:
    """Return a browser whose session has been presented once."""
    browser = Browser(app)
    browser.set(**(values or {"cart": {"items": ["apple"]}}))
    browser.values()
    return browser


def add_one() -> None:
    session.compute("n", lambda n: (n or 0) + 1)


def clear_and_write() -> None:
    session.clear()
    session["mine"] = True
