"""Cookies that are not what they should be."""

from __future__ import annotations

import base64
import pickle
import string
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from flask import Flask
from itsdangerous import Signer

from flask_srvsession import ServerSession, session
from flask_srvsession.backends.memory import MemoryBackend
from tests.web import Browser

from ..marks import ON_MEMORY
from ..probes import KEY, CountingBackend, login, set_cookies
from .forged import MEBIBYTE, PREFIX, parts, payload, read, signed

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp


BASE64 = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def with_cookie(browser: Browser, cookie: str | bytes) -> TestResponse:
    """Look for a session with this value of the cookie, as it is."""
    raw = cookie if isinstance(cookie, bytes) else cookie.encode()
    return browser.send(b"session=" + raw, lambda: (read(), session.new, session.id))


def is_anonymous(browser: Browser, cookie: str | bytes) -> bool:
    """Whether a request with this Cookie header finds an empty session."""
    response = with_cookie(browser, cookie)
    assert response.status_code == 200, response.text
    assert set_cookies(response) == []
    return response.text == "(None, True, None)"


def _with_last_character(cookie: str, character: str) -> str:
    return cookie[:-1] + character


UNSIGNED: dict[str, str | bytes] = {
    "empty": "",
    "dots": "...",
    "random bytes": bytes(range(0x80, 0x100)) * 2,
    "random hex": uuid.uuid5(uuid.NAMESPACE_DNS, "x").hex * 4,
    "1 MB": "a" * MEBIBYTE,
    "1 MB of dots": "." * MEBIBYTE,
    "unicode": "schlüssel-\N{SNOWMAN}-\N{GRINNING FACE}".encode(),
    "lone surrogate": b"\xed\xa0\x80",
    "NUL": "\0",
    "NUL in the middle": "a\0b.1.c.d",
    "quoted": '"' + "\\000" * 8 + '"',
    "a Flask cookie": "eyJ1c2VyX2lkIjoxfQ.aFGvnQ.lWbXvD0CMRjAVJoQnVW0YYbXqBI",
    "an UUID": "3c0b4a2e-55a2-4a53-9d5a-0a36a2f2e3a1",
    "a store key": "app:session:" + "0" * 32,
    "a path": "../../etc/passwd",
    "a script": "return redis.call('FLUSHALL')",
    "a memcached command": "x%0d%0aflush_all%0d%0a",
    "a pickle": base64.b64encode(pickle.dumps({"user_id": 1})).decode(),
}


TAMPERED: dict[str, Callable[[str], str]] = {
    "no signature": lambda c: c.rpartition(".")[0],
    "empty signature": lambda c: c.rpartition(".")[0] + ".",
    "other signature": lambda c: c.rpartition(".")[0] + "." + "A" * 43,
    "signature of another": lambda c: (
        f"{payload(c)}.{parts(signed(payload(c, token='0' * 32)))[3]}"
    ),
    "cut": lambda c: c[:-1],
    "first half": lambda c: c[: len(c) // 2],
    "doubled": lambda c: c + c,
    "padding": lambda c: c + "=",
    "more padding": lambda c: c + "==",
    "blank at the end": lambda c: f'"{c} "',
    "blank in the signature": lambda c: f'"{c[:-5]} {c[-5:]}"',
    "newline at the end": lambda c: f'"{c}\\012"',
    "NUL at the end": lambda c: f'"{c}\\000"',
    "standard base64": lambda c: c[:-43] + c[-43:].replace("-", "+").replace("_", "/"),
    "another id": lambda c: f"{'0' * 32}_1{c[33:]}",
    "another generation": lambda c: c.replace(".1.", ".2."),
    "another token": lambda c: c.replace(parts(c)[2], "0" * 32),
    "uppercase": str.upper,
    "another app": lambda c: signed(payload(c), prefix="other:"),
    "another key": lambda c: signed(payload(c), key="guessed"),
    "another salt": lambda c: Signer(KEY, salt="session").sign(payload(c)).decode(),
}


MISSHAPEN: dict[str, Callable[[str], str]] = {
    "generation 0": lambda c: payload(c, generation="0"),
    "leading zero": lambda c: payload(c, generation="01"),
    "negative": lambda c: payload(c, generation="-1"),
    "plus": lambda c: payload(c, generation="+1"),
    "blank": lambda c: payload(c, generation=" 1"),
    "no generation": lambda c: payload(c, generation=""),
    "a huge generation": lambda c: payload(c, generation="1" * 10),
    "another alphabet's digit": lambda c: payload(c, generation="x1"),
    "uppercase id": lambda c: payload(c, id=parts(c)[0].upper()),
    "uppercase token": lambda c: payload(c, token="ABCDEF" + parts(c)[2][6:]),
    "short token": lambda c: payload(c, token=parts(c)[2][:-1]),
    "long token": lambda c: payload(c, token=parts(c)[2] + "0"),
    "no token": lambda c: payload(c, token=""),
    "short id": lambda c: payload(c, id=parts(c)[0][1:]),
    "id without its time": lambda c: payload(c, id=parts(c)[0][:32]),
    "leading zero of the time": lambda c: payload(c, id=parts(c)[0].replace("_", "_0")),
    "a huge time": lambda c: payload(c, id=parts(c)[0] + "f" * 20),
    "too few fields": lambda c: ".".join(parts(c)[:2]),
    "too many fields": lambda c: payload(c) + ".1",
    "long": lambda c: payload(c) + "." + "0" * 512,
    "empty": lambda c: "",
}


class TestCookie:
    """What is no cookie of ours is no session, and costs no store command."""

    @pytest.mark.parametrize("kind", UNSIGNED)
    @ON_MEMORY
    def test_that_is_not_ours_is_ignored(
        self, browser: Browser, counted: CountingBackend, kind: str
    ) -> None:
        assert is_anonymous(browser, UNSIGNED[kind])
        assert counted.taken() == []

    @pytest.mark.parametrize("kind", TAMPERED)
    @ON_MEMORY
    def test_that_was_tampered_with_is_ignored(
        self, make_app: MakeApp, counted: CountingBackend, kind: str
    ) -> None:
        browser = _with_session(make_app, counted)

        assert is_anonymous(browser, TAMPERED[kind](browser.cookie))
        assert counted.taken() == []

    @pytest.mark.parametrize("kind", MISSHAPEN)
    @ON_MEMORY
    def test_that_is_signed_but_spelled_otherwise_is_ignored(
        self, make_app: MakeApp, counted: CountingBackend, kind: str
    ) -> None:
        browser = _with_session(make_app, counted)

        assert is_anonymous(browser, signed(MISSHAPEN[kind](browser.cookie)))
        assert counted.taken() == []

    @ON_MEMORY
    def test_is_signed_in_the_way_that_these_tests_use(
        self, make_app: MakeApp, counted: CountingBackend
    ) -> None:
        """Or all of them would prove nothing."""
        browser = _with_session(make_app, counted)

        assert signed(payload(browser.cookie)) == browser.cookie
        assert not is_anonymous(browser, browser.cookie)

    @ON_MEMORY
    def test_has_a_signature_with_one_spelling_only(
        self, make_app: MakeApp, counted: CountingBackend
    ) -> None:
        """43 characters have two bits to spare, which base64 ignores."""
        browser = _with_session(make_app, counted)
        cookie = browser.cookie
        others = [_with_last_character(cookie, c) for c in BASE64 if c != cookie[-1]]
        decoded = base64.urlsafe_b64decode(parts(cookie)[3] + "=")
        same = [
            other
            for other in others
            if base64.urlsafe_b64decode(parts(other)[3] + "=") == decoded
        ]
        assert len(same) == 3

        assert all(is_anonymous(browser, other) for other in others)
        assert counted.taken() == []

    @ON_MEMORY
    def test_with_any_other_character_is_ignored(
        self, make_app: MakeApp, counted: CountingBackend
    ) -> None:
        browser = _with_session(make_app, counted)
        cookie = browser.cookie

        for at, character in enumerate(cookie):
            other = "0" if character != "0" else "1"
            assert is_anonymous(browser, cookie[:at] + other + cookie[at + 1 :])
        assert counted.taken() == []

    @ON_MEMORY
    def test_of_any_other_length_is_ignored(
        self, make_app: MakeApp, counted: CountingBackend
    ) -> None:
        browser = _with_session(make_app, counted)
        cookie = browser.cookie
        cut = [cookie[:length] for length in range(len(cookie))]
        longer = [cookie + "A" * length for length in range(1, 10)]

        assert all(is_anonymous(browser, other) for other in cut + longer)
        assert counted.taken() == []

    @pytest.mark.parametrize(
        ("seconds", "asked"),
        [(-1000, []), (-999, ["get"]), (60, ["get"]), (61, []), (10**9, [])],
    )
    @ON_MEMORY
    def test_of_another_time_is_ignored(
        self,
        make_app: MakeApp,
        counted: CountingBackend,
        clock: FakeClock,
        seconds: int,
        asked: list[str],
    ) -> None:
        """Past the absolute lifetime, or from the future by more than a minute."""
        app = make_app(
            counted, SRVSESSION_KEY_PREFIX=PREFIX, SRVSESSION_ABSOLUTE_LIFETIME=1000
        )
        born = int(clock()) + seconds
        cookie = signed(f"{'0' * 32}_{born:x}.1.{'0' * 32}")

        assert is_anonymous(Browser(app), cookie)
        assert counted.taken() == asked

    def test_of_another_app_is_ignored(
        self, make_app: MakeApp, counted: CountingBackend
    ) -> None:
        """With the same SECRET_KEY on the same storage, but another prefix."""
        ours = Browser(make_app(counted, SRVSESSION_KEY_PREFIX="ours:"))
        theirs = Browser(make_app(counted, SRVSESSION_KEY_PREFIX="theirs:"))
        theirs.does(lambda: session.update(a=1))
        counted.taken()

        assert is_anonymous(ours, theirs.cookie)
        assert counted.taken() == []

    def test_of_an_app_of_another_name_is_ignored(self, clock: FakeClock) -> None:
        """The prefix is the app's name where none is configured."""
        backend = MemoryBackend(clock=clock)
        browsers = []
        for name in ("one", "two"):
            app = Flask(name)
            app.config.update(TESTING=True, SECRET_KEY=KEY)
            ServerSession().init_app(app, backend, clock=clock)
            browsers.append(Browser(app))
        browsers[0].does(lambda: session.update(a=1))

        assert is_anonymous(browsers[1], browsers[0].cookie)
        assert browsers[0].does(read) == "1"

    def test_that_we_signed_but_whose_session_we_do_not_know_is_not_adopted(
        self, make_app: MakeApp, counted: CountingBackend, clock: FakeClock
    ) -> None:
        prefix = f"{uuid.uuid4().hex}:"
        browser = Browser(make_app(counted, SRVSESSION_KEY_PREFIX=prefix))
        chosen = f"{'0' * 32}_{int(clock()):x}"
        browser.cookie = signed(f"{chosen}.1.{'0' * 32}", prefix=prefix)

        browser.does(lambda: session.update(a=1))

        assert browser.id != chosen
        assert counted.get(prefix + chosen) is None

    @ON_MEMORY
    def test_next_to_a_bad_one_still_works(self, browser: Browser) -> None:
        browser.does(lambda: session.update(a=1))

        response = with_cookie(browser, f"x; session={browser.cookie}; session=y")

        assert response.text == f"(1, False, '{browser.id}')"

    def test_that_is_bad_does_not_keep_anybody_from_logging_in(
        self, browser: Browser
    ) -> None:
        browser.cookie = "nonsense"

        browser.does(login)

        assert browser.cookie != "nonsense"
        assert browser.does(lambda: session["user_id"]) == "42"


def _with_session(make_app: MakeApp, counted: CountingBackend) -> Browser:
    """Begin a session with a signature that has what base64 spells in two ways."""
    app = make_app(counted, SRVSESSION_KEY_PREFIX=PREFIX)
    for _ in range(1000):
        browser = Browser(app)
        browser.does(lambda: session.update(a=1))
        if {"-", "_"} <= set(parts(browser.cookie)[3]):
            counted.taken()
            return browser
    raise AssertionError("no such signature")
