"""Ways to end a session, and what requests in flight do."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from flask_srvsession import session
from tests.web import Browser, View


def destroy() -> None:
    session.destroy()


def clear() -> None:
    session.clear()


def pop_everything() -> None:
    for key in list(session):
        session.pop(key)


ENDINGS: dict[str, View] = {
    "destroy": destroy,
    "clear": clear,
    "pop": pop_everything,
}


ending = pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)


def with_cart(app: Flask, **values: Any) -> Browser:
    browser = Browser(app)
    browser.set(user_id=42, cart={"items": ["apple"]}, **values)
    return browser
