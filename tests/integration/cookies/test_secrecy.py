"""Tokens and values are shown nowhere."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import pytest

from flask_srvsession import session
from flask_srvsession.testing import FakeClock
from tests.web import Browser

from ..probes import (
    KEY,
    login,
    signed,
)

if TYPE_CHECKING:
    from flask_srvsession.backends import Backend


class TestNothingSecretIsShown:
    def test_the_cookie_is_short_and_consists_of_id_generation_token_and_signature(
        self, browser: Browser
    ) -> None:
        browser.does(lambda: session.update(a="x" * 1000, user_id="ada" * 50))

        assert len(browser.cookie) < 200
        assert re.fullmatch(
            r"[0-9a-f]{32}_[0-9a-f]+\.1\.[0-9a-f]{32}\.[\w-]{43}", browser.cookie
        )

    def test_the_store_holds_no_token(self, browser: Browser, backend: Backend) -> None:
        browser.does(login)

        cell = backend.get(browser.key)

        assert cell is not None
        _, _, token, signature = browser.cookie.split(".")
        halves = [token[:16], token[16:]]
        clear = [half.encode() for half in (*halves, signature)]
        for secret in (*clear, *map(bytes.fromhex, halves)):
            assert secret not in cell.data

    def test_repr_tells_the_public_id_at_most(self, browser: Browser) -> None:
        browser.does(lambda: session.update(a="classified"))
        secrets = [*browser.cookie.split(".")[2:], "classified"]

        untouched = browser.does(lambda: repr(session))
        read = browser.does(lambda: session["a"] and repr(session))

        assert browser.id in read
        assert browser.id not in untouched
        assert not [s for s in secrets if s in untouched + read]

    def test_logs_tell_the_public_id_at_most(
        self, browser: Browser, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Through creation, login, rotation, replay and forgery."""
        caplog.set_level(logging.DEBUG)
        cookies = []
        for do in (lambda: session.update(a="classified"), login, lambda: session["a"]):
            browser.does(do)
            cookies.append(browser.cookie)
        clock.advance(15 * 60)
        browser.does(lambda: session["a"])
        browser.does(lambda: session["a"])
        clock.advance(15 * 60)
        Browser(browser.app, cookies[-1]).does(lambda: session.get("a"))
        Browser(browser.app, cookies[0]).does(lambda: session.get("a"))
        browser.does(lambda: session.get("a"))
        cookies.append(browser.cookie)
        browser.does(lambda: session.update(a="classified"))
        forged = f"{browser.id}.1.{'f' * 32}"
        cookies.append(signed(forged, KEY, browser.app.config["SRVSESSION_KEY_PREFIX"]))
        Browser(browser.app, cookies[-1]).does(lambda: session.get("a"))

        assert "the credential is forged" in caplog.text
        assert "an outdated cookie was used" in caplog.text
        secrets = {part for cookie in cookies for part in cookie.split(".")[2:]}
        secrets |= {"classified", browser.app.config["SECRET_KEY"]}
        assert not [secret for secret in secrets if secret and secret in caplog.text]
