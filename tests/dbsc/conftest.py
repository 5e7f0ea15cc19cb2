"""An app with device-bound sessions."""

from __future__ import annotations

import pytest
from flask import Flask

from flask_srvsession.testing import FakeClock
from tests.conftest import MakeApp

from .device import DeviceBrowser

WINDOW = 600


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(SRVSESSION_DBSC=True)


@pytest.fixture
def browser(app: Flask, clock: FakeClock) -> DeviceBrowser:
    return DeviceBrowser(app, clock)


@pytest.fixture
def ann(browser: DeviceBrowser) -> DeviceBrowser:
    """A browser whose user is logged in, and whose session is bound."""
    browser.set(user_id="ann")
    assert browser.values() == {"user_id": "ann"}
    assert [*browser.bindings] == [browser.id]
    return browser
