"""``flask sessions check`` names what keeps browsers from binding sessions."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Flask

from flask_srvsession import binding_failed
from flask_srvsession.testing import FakeClock
from tests.conftest import MakeApp
from tests.integration.cli.run import printed

from .device import ORIGIN, DeviceBrowser
from .key import Key

DAY = 86400


def problems(app: Flask) -> str:
    """Return the problems with DBSC, in one text."""
    found = printed(app, "check")
    return " ".join(f["problem"] for f in found if f["key"].startswith("SRVSESSION_D"))


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({}, "with HTTPS only"),
        ({"SESSION_COOKIE_PATH": "/shop"}, "below /shop"),
        ({"APPLICATION_ROOT": "/shop/"}, "/shop/dbsc only if SCRIPT_NAME is /shop"),
        ({"SRVSESSION_DBSC_PATH": "/static"}, "'/static/<path:filename>'"),
    ],
)
def test_the_configuration_is_looked_at(
    make_app: MakeApp, config: dict[str, Any], problem: str
) -> None:
    sound = {"SESSION_COOKIE_SECURE": True, "SRVSESSION_DBSC": True}

    assert problem in problems(make_app(SRVSESSION_DBSC=True, **config))
    assert problem not in problems(make_app(**sound))
    assert problem not in problems(make_app(**config))


def test_the_name_is_looked_at(make_app: MakeApp) -> None:
    app = make_app(SESSION_COOKIE_SECURE=True, SRVSESSION_DBSC=True)
    assert "__Host-session" in str(printed(app, "check"))


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("/dbsc/register", "Secure-Session-Response"),
        ("/dbsc/refresh", "Sec-Secure-Session-Id"),
    ],
)
def test_a_header_that_a_proxy_took_away_is_named_for_a_day(
    app: Flask,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    path: str,
    header: str,
) -> None:
    assert "came without" not in problems(app)

    for _ in range(3):
        app.test_client().post(path, base_url=ORIGIN)

    assert caplog.text.count(f"came without {header}") == 1
    assert f"came without {header}" in problems(app)
    clock.advance(DAY)
    assert "came without" not in problems(app)


def test_who_sends_all_headers_tells_of_no_proxy(
    ann: DeviceBrowser, clock: FakeClock
) -> None:
    clock.advance(700)
    assert ann.values() == {"user_id": "ann"}

    assert "came without" not in problems(ann.app)


@pytest.mark.parametrize("what", ["another device", "another session"])
def test_a_refused_registration_is_told(
    app: Flask, browser: DeviceBrowser, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    told: list[tuple[str, str]] = []

    def failed(sender: Flask, info: Any, reason: str) -> None:
        told.append((info.id, reason))

    caplog.set_level(logging.WARNING)
    browser.registers = False
    offer = browser.set(user_id="ann").headers["Secure-Session-Registration"]
    thief = DeviceBrowser(app, browser.clock)
    if what == "another session":
        thief.set(user_id="eve")
    else:
        assert browser.register(offer).status_code == 200
    with binding_failed.connected_to(failed, app):
        assert thief.register(offer, Key()).status_code == 403

    assert told == [(browser.id, "registration")]
    assert f"{what}" in caplog.text
