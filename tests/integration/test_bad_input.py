"""Cookies, records, values and configurations that are not what they should be."""

from __future__ import annotations

import base64
import hashlib
import logging
import pickle
import re
import string
import uuid
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
import redis
from flask import Flask
from itsdangerous import Signer

from flask_srvsession import ConfigurationError, ServerSession, SessionTooLarge, session
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.config import Settings
from flask_srvsession.record import RecordCodec

from .apps import listed
from .devices import found
from .marks import ON_MEMORY
from .probes import KEY, Browser, CountingBackend, login, set_cookies
from .probes import signed as signed_for

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from flask_srvsession.backends import Backend
    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp
    from tests.servers import Server

PREFIX = "app:"
MEBIBYTE = 1024 * 1024
BASE64 = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


@pytest.fixture
def counted(backend: Backend) -> CountingBackend:
    return CountingBackend(backend)


@pytest.fixture
def browser(make_app: MakeApp, counted: CountingBackend) -> Browser:
    return Browser(make_app(counted))


def signed(payload: str, key: str = KEY, prefix: str = PREFIX) -> str:
    return signed_for(payload, key, prefix)


def read() -> Any:
    return session.get("a")


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


def _parts(cookie: str) -> tuple[str, str, str, str]:
    session_id, generation, token, signature = cookie.split(".")
    return session_id, generation, token, signature


def _with_last_character(cookie: str, character: str) -> str:
    return cookie[:-1] + character


def _payload(cookie: str, **changed: str) -> str:
    session_id, generation, token, _ = _parts(cookie)
    fields = {"id": session_id, "generation": generation, "token": token, **changed}
    return "{id}.{generation}.{token}".format(**fields)


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
        f"{_payload(c)}.{_parts(signed(_payload(c, token='0' * 32)))[3]}"
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
    "another token": lambda c: c.replace(_parts(c)[2], "0" * 32),
    "uppercase": str.upper,
    "another app": lambda c: signed(_payload(c), prefix="other:"),
    "another key": lambda c: signed(_payload(c), key="guessed"),
    "another salt": lambda c: Signer(KEY, salt="session").sign(_payload(c)).decode(),
}

MISSHAPEN: dict[str, Callable[[str], str]] = {
    "generation 0": lambda c: _payload(c, generation="0"),
    "leading zero": lambda c: _payload(c, generation="01"),
    "negative": lambda c: _payload(c, generation="-1"),
    "plus": lambda c: _payload(c, generation="+1"),
    "blank": lambda c: _payload(c, generation=" 1"),
    "no generation": lambda c: _payload(c, generation=""),
    "a huge generation": lambda c: _payload(c, generation="1" * 10),
    "another alphabet's digit": lambda c: _payload(c, generation="x1"),
    "uppercase id": lambda c: _payload(c, id=_parts(c)[0].upper()),
    "uppercase token": lambda c: _payload(c, token="ABCDEF" + _parts(c)[2][6:]),
    "short token": lambda c: _payload(c, token=_parts(c)[2][:-1]),
    "long token": lambda c: _payload(c, token=_parts(c)[2] + "0"),
    "no token": lambda c: _payload(c, token=""),
    "short id": lambda c: _payload(c, id=_parts(c)[0][1:]),
    "id without its time": lambda c: _payload(c, id=_parts(c)[0][:32]),
    "leading zero of the time": lambda c: _payload(
        c, id=_parts(c)[0].replace("_", "_0")
    ),
    "a huge time": lambda c: _payload(c, id=_parts(c)[0] + "f" * 20),
    "too few fields": lambda c: ".".join(_parts(c)[:2]),
    "too many fields": lambda c: _payload(c) + ".1",
    "long": lambda c: _payload(c) + "." + "0" * 512,
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
        assert browser.cookie is not None

        assert is_anonymous(browser, TAMPERED[kind](browser.cookie))
        assert counted.taken() == []

    @pytest.mark.parametrize("kind", MISSHAPEN)
    @ON_MEMORY
    def test_that_is_signed_but_spelled_otherwise_is_ignored(
        self, make_app: MakeApp, counted: CountingBackend, kind: str
    ) -> None:
        browser = _with_session(make_app, counted)
        assert browser.cookie is not None

        assert is_anonymous(browser, signed(MISSHAPEN[kind](browser.cookie)))
        assert counted.taken() == []

    @ON_MEMORY
    def test_is_signed_in_the_way_that_these_tests_use(
        self, make_app: MakeApp, counted: CountingBackend
    ) -> None:
        """Or all of them would prove nothing."""
        browser = _with_session(make_app, counted)
        assert browser.cookie is not None

        assert signed(_payload(browser.cookie)) == browser.cookie
        assert not is_anonymous(browser, browser.cookie)

    @ON_MEMORY
    def test_has_a_signature_with_one_spelling_only(
        self, make_app: MakeApp, counted: CountingBackend
    ) -> None:
        """43 characters have two bits to spare, which base64 ignores."""
        browser = _with_session(make_app, counted)
        cookie = browser.cookie or ""
        others = [_with_last_character(cookie, c) for c in BASE64 if c != cookie[-1]]
        decoded = base64.urlsafe_b64decode(_parts(cookie)[3] + "=")
        same = [
            other
            for other in others
            if base64.urlsafe_b64decode(_parts(other)[3] + "=") == decoded
        ]
        assert len(same) == 3

        assert all(is_anonymous(browser, other) for other in others)
        assert counted.taken() == []

    @ON_MEMORY
    def test_with_any_other_character_is_ignored(
        self, make_app: MakeApp, counted: CountingBackend
    ) -> None:
        browser = _with_session(make_app, counted)
        cookie = browser.cookie or ""

        for at, character in enumerate(cookie):
            other = "0" if character != "0" else "1"
            assert is_anonymous(browser, cookie[:at] + other + cookie[at + 1 :])
        assert counted.taken() == []

    @ON_MEMORY
    def test_of_any_other_length_is_ignored(
        self, make_app: MakeApp, counted: CountingBackend
    ) -> None:
        browser = _with_session(make_app, counted)
        cookie = browser.cookie or ""
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

        assert is_anonymous(ours, theirs.cookie or "")
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

        assert is_anonymous(browsers[1], browsers[0].cookie or "")
        assert browsers[0].does(read) == "1"

    def test_that_we_signed_but_whose_session_we_do_not_know_is_not_adopted(
        self, make_app: MakeApp, counted: CountingBackend, clock: FakeClock
    ) -> None:
        prefix = f"{uuid.uuid4().hex}:"
        browser = Browser(make_app(counted, SRVSESSION_KEY_PREFIX=prefix))
        chosen = f"{'0' * 32}_{int(clock()):x}"
        browser.cookie = signed(f"{chosen}.1.{'0' * 32}", prefix=prefix)

        browser.does(lambda: session.update(a=1))

        assert browser.session_id != chosen
        assert counted.get(prefix + chosen) is None

    @ON_MEMORY
    def test_next_to_a_bad_one_still_works(self, browser: Browser) -> None:
        browser.does(lambda: session.update(a=1))
        assert browser.cookie is not None

        response = with_cookie(browser, f"x; session={browser.cookie}; session=y")

        assert response.text == f"(1, False, '{browser.session_id}')"

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
        if {"-", "_"} <= set(_parts(browser.cookie or "")[3]):
            counted.taken()
            return browser
    raise AssertionError("no such signature")


class _Canary:
    """Writes a file if somebody unpickles it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return (Path.write_text, (self._path, "somebody ran me"))


def _put(backend: Backend, key: str, data: bytes) -> None:
    backend.delete(key)
    assert backend.add(key, data, 3600) is not None


def _sealed(key: str, prefix: str, body: bytes, secret: str = KEY) -> bytes:
    """Seal any bytes, as somebody could who knows the secret key."""
    return RecordCodec([secret], prefix, "msgpack")._sealed(key, body)


RECORDS: dict[str, bytes] = {
    "empty": b"",
    "one byte": b"\x01",
    "text": b"hello",
    "zeros": bytes(1000),
    "random bytes": hashlib.shake_256(b"random").digest(1000),
    "random bytes with our version": b"\x01" + hashlib.shake_256(b"x").digest(1000),
    "another version": b"\x02" + hashlib.shake_256(b"x").digest(1000),
    "JSON": b'{"user_id": 1}',
    "msgpack": msgpack.packb({"_permanent": True, "user_id": 1}),
    "nesting": b"\x01" * 17 + b"\x91" * (MEBIBYTE - 1024),
    "JSON nesting": b"[" * (MEBIBYTE - 1024),
}


class TestRecord:
    """What is stored, but was not stored by us: no session, a warning, no 500."""

    @pytest.mark.parametrize("kind", RECORDS)
    def test_that_is_not_ours_is_no_session(
        self,
        browser: Browser,
        backend: Backend,
        caplog: pytest.LogCaptureFixture,
        kind: str,
    ) -> None:
        browser.does(lambda: session.update(a=1))

        _put(backend, browser.key, RECORDS[kind])

        _is_ignored_with_a_warning(browser, caplog)

    @pytest.mark.parametrize("backend", ["memory", "redis"], indirect=True)
    def test_of_10_mb_of_nesting_is_no_session(
        self, browser: Browser, backend: Backend, caplog: pytest.LogCaptureFixture
    ) -> None:
        """memcached takes no more than 1 MiB, which RECORDS has."""
        browser.does(lambda: session.update(a=1))

        _put(backend, browser.key, b"\x01" * 17 + b"\x91" * (10 * MEBIBYTE))

        _is_ignored_with_a_warning(browser, caplog)

    def test_that_is_truncated_at_any_length_is_no_session(
        self, browser: Browser, backend: Backend, caplog: pytest.LogCaptureFixture
    ) -> None:
        browser.does(lambda: session.update(a=1, user_id=None))
        cell = backend.get(browser.key)
        assert cell is not None

        for length in range(len(cell.data)):
            _put(backend, browser.key, cell.data[:length])
            caplog.clear()
            assert browser.copy().does(lambda: (read(), session.id)) == "(None, None)"
            assert f"the record of session {browser.session_id}" in caplog.text

        _put(backend, browser.key, cell.data)
        assert browser.does(read) == "1"

    def test_with_any_byte_changed_is_no_session(
        self, browser: Browser, backend: Backend
    ) -> None:
        browser.does(lambda: session.update(a=1))
        cell = backend.get(browser.key)
        assert cell is not None

        for at in range(len(cell.data)):
            changed = bytearray(cell.data)
            changed[at] ^= 1
            _put(backend, browser.key, bytes(changed))
            assert browser.copy().does(read) == "None", at

    def test_with_something_behind_it_is_no_session(
        self, browser: Browser, backend: Backend, caplog: pytest.LogCaptureFixture
    ) -> None:
        browser.does(lambda: session.update(a=1))
        cell = backend.get(browser.key)
        assert cell is not None

        _put(backend, browser.key, cell.data + b"\0")

        _is_ignored_with_a_warning(browser, caplog)

    def test_that_is_a_pickle_is_not_run(
        self,
        browser: Browser,
        backend: Backend,
        caplog: pytest.LogCaptureFixture,
        tmp_path: Path,
    ) -> None:
        canary = tmp_path / "canary"
        browser.does(lambda: session.update(a=1))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            bait = pickle.dumps(_Canary(canary), protocol)
            for prefix in (b"", b"\x01", b"\x01" * 17):
                _put(backend, browser.key, prefix + bait)
                assert browser.copy().does(read) == "None"
        pickle.loads(bait)
        assert canary.read_text() == "somebody ran me", "the bait must be real"
        canary.unlink()

        _put(backend, browser.key, bait)

        _is_ignored_with_a_warning(browser, caplog)
        assert not canary.exists()

    def test_of_another_session_is_no_session(
        self, browser: Browser, backend: Backend, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Who can write the storage cannot give a client another's session."""
        victim = Browser(browser.app)
        victim.does(lambda: session.update(a="victim's"))
        browser.does(lambda: session.update(a="attacker's"))
        cell = backend.get(victim.key)
        assert cell is not None

        _put(backend, browser.key, cell.data)

        _is_ignored_with_a_warning(browser, caplog, "its seal does not fit")

    def test_sealed_with_another_key_is_no_session(
        self,
        make_app: MakeApp,
        browser: Browser,
        backend: Backend,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        browser.does(lambda: session.update(a=1))
        prefix = browser.app.config["SRVSESSION_KEY_PREFIX"]
        _put(backend, browser.key, _sealed(browser.key, prefix, b"\x80", "another"))

        _is_ignored_with_a_warning(browser, caplog)

    @pytest.mark.parametrize(
        ("written", "read_as"), [("msgpack", "json"), ("json", "msgpack")]
    )
    def test_of_another_serializer_is_no_session(
        self,
        make_app: MakeApp,
        caplog: pytest.LogCaptureFixture,
        written: str,
        read_as: str,
    ) -> None:
        prefix = f"{uuid.uuid4().hex}:"
        before, after = (
            Browser(
                make_app(SRVSESSION_KEY_PREFIX=prefix, SRVSESSION_SERIALIZER=serializer)
            )
            for serializer in (written, read_as)
        )
        before.does(lambda: session.update(a=1))
        after.cookie = before.cookie or ""

        _is_ignored_with_a_warning(after, caplog)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\xc1",
            b"\x80",
            b"\x90",
            b"\x01",
            msgpack.packb(["msgpack"]),
            msgpack.packb(["msgpack", 1, 2]),
            msgpack.packb(["msgpack", *range(11)]),
            msgpack.packb(["msgpack", *[None] * 11]),
            msgpack.packb(["msgpack", *range(20)]),
            b"\x91" * 5000,
            msgpack.packb(["msgpack", *range(11)])[:-1],
        ],
        ids=range(12),
    )
    def test_that_is_sealed_but_no_record_is_no_session(
        self,
        browser: Browser,
        backend: Backend,
        caplog: pytest.LogCaptureFixture,
        body: bytes,
    ) -> None:
        """For example one of a version to come that was rolled back."""
        browser.does(lambda: session.update(a=1))
        prefix = browser.app.config["SRVSESSION_KEY_PREFIX"]

        _put(backend, browser.key, _sealed(browser.key, prefix, body))

        _is_ignored_with_a_warning(browser, caplog)

    @pytest.mark.parametrize(
        "value", [b"", b"\xc1", b"\x91" * 100_000, b"\xc7\x01\x63x", b"\xda\xff\xff"]
    )
    def test_with_a_value_that_does_not_decode_is_no_session(
        self,
        browser: Browser,
        backend: Backend,
        caplog: pytest.LogCaptureFixture,
        value: bytes,
    ) -> None:
        browser.does(lambda: session.update(a="placeholder", b=2))
        cell = backend.get(browser.key)
        assert cell is not None
        fields = msgpack.unpackb(cell.data[17:], strict_map_key=False)
        fields[-1]["a"] = value
        prefix = browser.app.config["SRVSESSION_KEY_PREFIX"]
        body = msgpack.packb(fields)

        _put(backend, browser.key, _sealed(browser.key, prefix, body))

        assert browser.copy().does(lambda: (read(), session.get("b"))) == "(None, None)"
        assert browser.copy().does(lambda: dict(session)) == "{}"
        assert "cannot be decoded" in caplog.text
        browser.does(login)
        assert browser.does(lambda: session["user_id"]) == "42"


def _is_ignored_with_a_warning(
    browser: Browser, caplog: pytest.LogCaptureFixture, reason: str = ""
) -> None:
    """Look at the session, log in over it, and go on with that."""
    caplog.clear()
    seen = browser.copy().does(lambda: (read(), session.new, session.id))
    assert seen == "(None, True, None)"
    [warning] = [r for r in caplog.records if r.name == "flask_srvsession"]
    assert warning.levelno == logging.WARNING
    assert browser.session_id in warning.getMessage()
    assert reason in warning.getMessage()
    before = browser.session_id
    browser.does(login)
    assert browser.session_id != before
    assert browser.does(lambda: session["user_id"]) == "42"


class TestForeignRedisType:
    @pytest.mark.parametrize(
        "command",
        [
            ("RPUSH", "{}", "a", "b"),
            ("HSET", "{}", "a", "b"),
            ("SADD", "{}", "a"),
            ("ZADD", "{}", "1", "a"),
            ("XADD", "{}", "*", "a", "b"),
            ("SET", "{}", ""),
            ("SET", "{}", "short"),
            ("SET", "{}", "exactly8"),
            ("SETBIT", "{}", "80000", "1"),
        ],
        ids=lambda command: "-".join(command[::2][:2]),
    )
    @pytest.mark.parametrize("backend", ["redis"], indirect=True)
    def test_under_the_key_of_a_session_is_no_session(
        self,
        browser: Browser,
        redis_server: Server,
        caplog: pytest.LogCaptureFixture,
        command: tuple[str, ...],
    ) -> None:
        browser.does(lambda: session.update(a=1))
        with redis.Redis(redis_server.host, redis_server.port) as client:
            client.delete(browser.key)
            client.execute_command(*(arg.format(browser.key) for arg in command))

        _is_ignored_with_a_warning(browser, caplog)

    @pytest.mark.parametrize("command", [("RPUSH", "a"), ("SET", "")])
    @pytest.mark.parametrize("backend", ["redis"], indirect=True)
    def test_hides_no_other_session_of_its_user_and_stays_listed(
        self,
        make_app: MakeApp,
        redis_server: Server,
        command: tuple[str, ...],
    ) -> None:
        app = make_app()
        foreign, own = Browser(app), Browser(app)
        foreign.does(login)
        own.does(login)
        with redis.Redis(redis_server.host, redis_server.port) as client:
            client.delete(foreign.key)
            client.execute_command(command[0], foreign.key, *command[1:])

        for _ in range(2):
            assert [info.id for info in found(app)] == [own.session_id]

        assert listed(app, 42) == {foreign.session_id, own.session_id}


class _Thing:
    """What nobody can serialize."""


def _nested() -> dict[str, Any]:
    return {"items": [0, 1, 2, _Thing()]}


UNSERIALISABLE: dict[str, tuple[Callable[[], Any], str]] = {
    "object": (_Thing, "session['cart']"),
    "set": (lambda: {1, 2}, "session['cart']"),
    "function": (lambda: print, "session['cart']"),
    "in a dict": (lambda: {"a": {"b": _Thing()}}, "session['cart']['a']['b']"),
    "in a list": (_nested, "session['cart']['items'][3]"),
    "in a tuple": (lambda: (1, (2, {3})), "session['cart'][1][1]"),
    "deep": (lambda: [[[[[[_Thing()]]]]]], "session['cart'][0][0][0][0][0][0]"),
}


class TestUnserialisableValue:
    @pytest.mark.parametrize("kind", UNSERIALISABLE)
    @pytest.mark.parametrize("serializer", ["msgpack", "json"])
    def test_is_a_type_error_at_save_that_names_its_path(
        self, make_app: MakeApp, backend: Backend, kind: str, serializer: str
    ) -> None:
        make, path = UNSERIALISABLE[kind]
        browser = Browser(make_app(SRVSESSION_SERIALIZER=serializer))
        browser.does(lambda: session.update(a=1, cart="empty"))
        before = backend.get(browser.key)
        assert before is not None
        reached = []

        def view() -> None:
            session["a"] = 2
            session["cart"] = make()
            reached.append(True)

        with pytest.raises(TypeError, match=re.escape(f"{path} cannot be stored")):
            browser.visit(view)

        assert reached, "it is found when it is saved, not when it is set"
        after = backend.get(browser.key)
        assert after is not None
        assert after.data == before.data
        assert browser.does(lambda: (session["a"], session["cart"])) == "(1, 'empty')"

    @pytest.mark.parametrize("serializer", ["msgpack", "json"])
    def test_is_found_where_it_was_put_into_what_was_stored(
        self, make_app: MakeApp, serializer: str
    ) -> None:
        browser = Browser(make_app(SRVSESSION_SERIALIZER=serializer))
        browser.does(lambda: session.update(cart={"items": [0, 1, 2]}))

        path = "session['cart']['items'][3]"
        with pytest.raises(TypeError, match=re.escape(path)):
            browser.visit(lambda: session["cart"]["items"].append(_Thing()))

        assert browser.does(lambda: session["cart"]) == "{'items': [0, 1, 2]}"

    def test_names_its_type(self, browser: Browser) -> None:
        with pytest.raises(TypeError, match="it is a _Thing that does not survive"):
            browser.visit(lambda: session.update(cart=_nested()))

    @ON_MEMORY
    @pytest.mark.parametrize(
        "value", [Decimal("1.5"), timedelta(1), frozenset({1}), 1j, range(3)]
    )
    def test_is_refused_where_msgpack_would_lose_it(
        self, browser: Browser, value: object
    ) -> None:
        with pytest.raises(TypeError, match="cannot be stored"):
            browser.visit(lambda: session.update(x=value))

    @ON_MEMORY
    def test_that_contains_itself_is_a_type_error(self, browser: Browser) -> None:
        def view() -> None:
            loop: list[Any] = []
            loop.append(loop)
            session["loop"] = loop

        with pytest.raises(TypeError, match=re.escape("session['loop']")):
            browser.visit(view)

    def test_in_production_is_a_500_that_stores_nothing(
        self,
        make_app: MakeApp,
        counted: CountingBackend,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Flask saves again after its error page; that is not refused once more."""
        browser = Browser(make_app(counted, TESTING=False))

        response = browser.visit(lambda: session.update(cart=_nested()))

        assert response.status_code == 500
        assert set_cookies(response) == []
        assert counted.taken() == []
        assert "Request finalizing failed" not in caplog.text

    def test_leaves_the_old_session_at_a_login(self, browser: Browser) -> None:
        browser.does(lambda: session.update(a=1))
        before = browser.cookie

        with pytest.raises(TypeError, match="cannot be stored"):
            browser.visit(lambda: session.update(user_id=42, cart=_nested()))

        assert browser.cookie == before
        assert browser.does(lambda: dict(session)) == "{'a': 1}"

    @pytest.mark.parametrize("key", [1, None, b"a", ("a",)])
    @ON_MEMORY
    def test_a_key_that_is_no_str_is_refused_at_once(
        self, browser: Browser, key: Any
    ) -> None:
        def view() -> str:
            with pytest.raises(TypeError, match=re.escape(repr(key))):
                session[key] = 1
            return f"{dict(session)}"

        assert browser.does(view) == "{}"


class TestTooLargeSession:
    @pytest.mark.parametrize("testing", [True, False])
    def test_is_refused_and_the_record_is_as_it_was(
        self, make_app: MakeApp, backend: Backend, testing: bool
    ) -> None:
        browser = Browser(make_app(TESTING=testing, SRVSESSION_MAX_PAYLOAD=1000))
        browser.does(lambda: session.update(a=1))
        browser.does(read)
        before = backend.get(browser.key)
        assert before is not None

        def view() -> None:
            session.update(a=2, text="x" * 1000)

        if testing:
            with pytest.raises(SessionTooLarge, match="SRVSESSION_MAX_PAYLOAD") as info:
                browser.visit(view)
            assert info.value.limit == 1000
            assert info.value.size > 1000
        else:
            response = browser.visit(view)
            assert response.status_code == 500
            assert set_cookies(response) == []

        after = backend.get(browser.key)
        assert after is not None
        assert after.data == before.data
        assert browser.does(lambda: dict(session)) == "{'a': 1}"

    def test_is_never_begun(self, make_app: MakeApp, counted: CountingBackend) -> None:
        browser = Browser(make_app(counted, SRVSESSION_MAX_PAYLOAD=1000))

        with pytest.raises(SessionTooLarge):
            browser.visit(lambda: session.update(text="x" * 1000))

        assert browser.cookie is None
        assert counted.taken() == []

    def test_keeps_the_old_one_at_a_login(
        self, make_app: MakeApp, counted: CountingBackend
    ) -> None:
        browser = Browser(make_app(counted, SRVSESSION_MAX_PAYLOAD=1000))
        browser.does(lambda: session.update(a=1))
        before = browser.cookie

        with pytest.raises(SessionTooLarge):
            browser.visit(lambda: session.update(user_id=42, text="x" * 1000))

        assert browser.cookie == before
        assert browser.does(lambda: dict(session)) == "{'a': 1}"

    def test_may_have_up_to_256_kib_by_default(self, browser: Browser) -> None:
        browser.does(lambda: session.update(text="x" * (256 * 1024 - 100)))

        with pytest.raises(SessionTooLarge):
            browser.visit(lambda: session.update(text="x" * (256 * 1024)))

        size = 256 * 1024 - 100
        assert browser.does(lambda: len(session["text"])) == str(size)

    def test_may_have_exactly_as_many_bytes_as_configured(
        self, make_app: MakeApp
    ) -> None:
        browser = Browser(make_app(SRVSESSION_MAX_PAYLOAD=1000))
        with pytest.raises(SessionTooLarge) as refused:
            browser.visit(lambda: session.update(text="x" * 1000))
        most = 1000 - (refused.value.size - 1000)

        browser.does(lambda: session.update(text="x" * most))

        assert browser.does(lambda: len(session["text"])) == str(most)

    def test_is_refused_below_the_limit_where_the_storage_takes_less(
        self, make_app: MakeApp, backend: Backend
    ) -> None:
        """SessionTooLarge, not an outage: it would not be better later."""
        browser = Browser(make_app(SRVSESSION_MAX_PAYLOAD=4 * MEBIBYTE))
        text = "x" * (2 * MEBIBYTE)

        if backend.max_bytes is not None and backend.max_bytes < len(text):
            with pytest.raises(SessionTooLarge):
                browser.visit(lambda: session.update(text=text))
        else:
            browser.does(lambda: session.update(text=text))
            assert browser.does(lambda: len(session["text"])) == str(len(text))


class TestSecretKey:
    @ON_MEMORY
    def test_that_is_missing_is_said_in_flasks_own_words(
        self, make_app: MakeApp, counted: CountingBackend
    ) -> None:
        browser = Browser(make_app(counted, SECRET_KEY=None))

        assert browser.visit().status_code == 200
        assert browser.does(lambda: session.get("a")) == "None"
        with pytest.raises(RuntimeError, match="no secret key was set"):
            browser.visit(lambda: session.update(a=1))
        assert counted.taken() == []

    @ON_MEMORY
    def test_may_be_set_after_the_extension(self, make_app: MakeApp) -> None:
        app = make_app(SECRET_KEY=None)
        app.secret_key = "set later"
        browser = Browser(app)

        browser.does(lambda: session.update(a=1))

        assert browser.does(read) == "1"

    @pytest.mark.parametrize("fallbacks", [["older", "old"], ["old", "older"], ["old"]])
    def test_of_before_is_accepted_as_a_fallback(
        self, make_app: MakeApp, fallbacks: list[str]
    ) -> None:
        """Cookie and record, in whichever place of the list it is."""
        prefix = f"{uuid.uuid4().hex}:"
        browser = Browser(make_app(SECRET_KEY="old", SRVSESSION_KEY_PREFIX=prefix))
        browser.does(lambda: session.update(a=1))

        rotated = _moved_to(
            browser, make_app, prefix, SECRET_KEY="new", SECRET_KEY_FALLBACKS=fallbacks
        )

        assert rotated.does(read) == "1"

    @pytest.mark.parametrize("fallbacks", [None, [], ["another"]])
    def test_of_before_is_worth_nothing_without(
        self, make_app: MakeApp, counted: CountingBackend, fallbacks: list[str] | None
    ) -> None:
        prefix = f"{uuid.uuid4().hex}:"
        browser = Browser(
            make_app(counted, SECRET_KEY="old", SRVSESSION_KEY_PREFIX=prefix)
        )
        browser.does(lambda: session.update(a=1))
        rotated = _moved_to(
            browser, make_app, prefix, SECRET_KEY="new", SECRET_KEY_FALLBACKS=fallbacks
        )
        counted.taken()

        assert rotated.does(read) == "None"
        assert counted.taken() == []

    @ON_MEMORY
    @pytest.mark.parametrize("text", ["a former key", b"a former key"])
    def test_of_before_that_is_no_list_is_refused_and_not_shown(
        self, make_app: MakeApp, text: str | bytes
    ) -> None:
        """Each of its characters would be a key, which anybody can guess."""
        with pytest.raises(ConfigurationError, match="SECRET_KEY_FALLBACKS") as found:
            make_app(SECRET_KEY_FALLBACKS=text)
        assert "former" not in str(found.value)

        app = make_app()
        app.config["SECRET_KEY_FALLBACKS"] = text
        with pytest.raises(ConfigurationError, match="SECRET_KEY_FALLBACKS"):
            Browser(app).visit(lambda: session.update(a=1))

    @ON_MEMORY
    def test_of_now_is_the_only_one_that_signs(self, make_app: MakeApp) -> None:
        prefix = f"{uuid.uuid4().hex}:"
        app = make_app(
            SECRET_KEY="new",
            SECRET_KEY_FALLBACKS=["older", "old"],
            SRVSESSION_KEY_PREFIX=prefix,
        )
        browser = Browser(app)

        browser.does(lambda: session.update(a=1))

        cookie = browser.cookie or ""
        assert cookie == signed(_payload(cookie), key="new", prefix=prefix)

    def test_of_now_seals_what_is_written(self, make_app: MakeApp) -> None:
        """After a write and a rotation nothing needs the fallback any more."""
        prefix = f"{uuid.uuid4().hex}:"
        browser = Browser(make_app(SECRET_KEY="old", SRVSESSION_KEY_PREFIX=prefix))
        browser.does(lambda: session.update(a=1))
        both = _moved_to(
            browser, make_app, prefix, SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"]
        )
        both.does(lambda: session.rotate())

        new = _moved_to(both, make_app, prefix, SECRET_KEY="new")

        assert new.does(read) == "1"

    @ON_MEMORY
    def test_that_changes_while_the_app_runs_takes_effect_at_once(
        self, make_app: MakeApp
    ) -> None:
        app = make_app(SECRET_KEY="old")
        browser = Browser(app)
        browser.does(lambda: session.update(a=1))

        app.config.update(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"])
        with_fallback = browser.does(read)
        app.config.update(SECRET_KEY_FALLBACKS=[])

        assert with_fallback == "1"
        assert browser.does(read) == "None"


def _moved_to(
    browser: Browser, make_app: MakeApp, prefix: str, **config: Any
) -> Browser:
    """Take the cookie to an app on the same storage with another configuration."""
    other = Browser(make_app(SRVSESSION_KEY_PREFIX=prefix, **config))
    other.cookie = browser.cookie or ""
    return other


WRONG: list[tuple[str, Any]] = [
    ("BACKEND", 5),
    ("BACKEND", None),
    ("BACKEND", NotImplemented),
    ("BACKEND", b"redis://localhost"),
    ("KEY_PREFIX", 5),
    ("KEY_PREFIX", ""),
    ("KEY_PREFIX", "with blank:"),
    ("KEY_PREFIX", "umläut:"),
    ("KEY_PREFIX", "line\n"),
    ("KEY_PREFIX", "x" * 101),
    ("KEY_PREFIX", "{brace}:"),
    ("IDLE_TIMEOUT", "1 hour"),
    ("IDLE_TIMEOUT", 0),
    ("IDLE_TIMEOUT", -1),
    ("IDLE_TIMEOUT", True),
    ("IDLE_TIMEOUT", timedelta(0)),
    ("IDLE_TIMEOUT", timedelta(days=401)),
    ("IDLE_TIMEOUT", float("nan")),
    ("IDLE_TIMEOUT", float("inf")),
    ("ABSOLUTE_LIFETIME", None),
    ("ABSOLUTE_LIFETIME", 0),
    ("ABSOLUTE_LIFETIME", [90]),
    ("TOUCH_INTERVAL", 0),
    ("TOUCH_INTERVAL", "often"),
    ("INDEXES", None),
    ("INDEXES", "user_id"),
    ("INDEXES", ["user_id"]),
    ("INDEXES", {"user_id": "user_id"}),
    ("INDEXES", {"user_id": 5}),
    ("INDEXES", {"user_id": (5,)}),
    ("INDEXES", {"user id": ("user_id",)}),
    ("INDEXES", {"epoch": ("epoch",)}),
    ("INDEXES", {5: ("user_id",)}),
    ("LOGIN_KEYS", "user_id"),
    ("LOGIN_KEYS", 5),
    ("LOGIN_KEYS", (5,)),
    ("LOGIN_KEYS", None),
    ("DROP_AT_LOGIN", "csrf_token"),
    ("DROP_AT_LOGIN", 5),
    ("DROP_AT_LOGIN", None),
    ("ROTATE_EVERY", "never"),
    ("ROTATE_EVERY", 0),
    ("ROTATE_EVERY", 239),
    ("ROTATE_GRACE", None),
    ("ROTATE_GRACE", -5),
    ("ROTATE_GRACE", 451),
    ("ON_REPLAY", None),
    ("ON_REPLAY", "ignore"),
    ("ON_REPLAY", ["revoke"]),
    ("MAX_PER_KEY", 0),
    ("MAX_PER_KEY", "5"),
    ("MAX_PER_KEY", True),
    ("MAX_PER_KEY", 1.5),
    ("MAX_PER_KEY_POLICY", None),
    ("MAX_PER_KEY_POLICY", "evict"),
    ("SERIALIZER", None),
    ("SERIALIZER", "pickle"),
    ("SERIALIZER", NotImplemented),
    ("MAX_PAYLOAD", None),
    ("MAX_PAYLOAD", 0),
    ("MAX_PAYLOAD", "1 MB"),
    ("METADATA", None),
    ("METADATA", "yes"),
    ("METADATA", 1),
    ("SWEEP_EVERY", 0),
    ("SWEEP_EVERY", "hourly"),
    ("FENCED_LOAD", "no"),
    ("FENCED_LOAD", 1),
]
SECRET_URLS = [
    "redis://:hunter2@localhost:port/0",
    "redis://:hunter2@localhost:6379/0?socket_timeout=hunter2",
    "redis://user:hunter2@[::1/0",
    "redis://user:hunter2@localhost:99999999/0",
    "memcached://user:hunter2@localhost:11211",
    "memcached://localhost:11211?password=hunter2",
    "memcached://localhost:11211?timeout=hunter2",
    "postgres+x://user:hunter2@localhost/db",
    "user:hunter2@localhost:6379",
    "hunter2",
    "//:hunter2@localhost",
    ("redis://:hunter2@localhost:6379/0",),
    "",
]


class TestConfiguration:
    @pytest.mark.parametrize(("key", "value"), WRONG, ids=lambda x: repr(x)[:40])
    def test_that_is_wrong_is_refused_with_key_value_and_remedy(
        self, key: str, value: Any
    ) -> None:
        app = _app(**{f"SRVSESSION_{key}": value})

        with pytest.raises(ConfigurationError) as refused:
            ServerSession(app)

        message = str(refused.value)
        assert f"SRVSESSION_{key}" in message
        if key == "BACKEND":
            assert type(value).__name__ in message or repr(value) in message
        elif key not in ("ROTATE_EVERY", "ROTATE_GRACE"):
            assert repr(value) in message or repr(_blamed(value)) in message
        else:
            assert str(value) in message
        assert "must be" in message
        assert "srvsession" not in app.extensions

    def test_has_a_wrong_value_for_every_key_in_these_tests(self) -> None:
        declared = {name.upper() for name in Settings.__dataclass_fields__}

        assert declared == {key for key, _ in WRONG}

    @pytest.mark.parametrize(
        ("unknown", "nearest"),
        [
            ("SRVSESSION_BACKENDS", "SRVSESSION_BACKEND"),
            ("SRVSESSION_URL", "SRVSESSION_"),
            ("SRVSESSION_ROTATE_EVER", "SRVSESSION_ROTATE_EVERY"),
            ("SRVSESSION_IDLE_TIME", "SRVSESSION_IDLE_TIMEOUT"),
            ("SRVSESSION_idle_timeout", "SRVSESSION_"),
            ("SRVSESSION_KEYPREFIX", "SRVSESSION_KEY_PREFIX"),
            ("SRVSESSION_SERIALISER", "SRVSESSION_SERIALIZER"),
            ("SRVSESSION_", "SRVSESSION_"),
        ],
    )
    def test_with_an_unknown_key_names_the_nearest(
        self, unknown: str, nearest: str
    ) -> None:
        app = _app(**{unknown: 1})

        with pytest.raises(ConfigurationError) as refused:
            ServerSession(app)

        assert str(refused.value).startswith(f"{unknown} is not a key")
        assert f"did you mean {nearest}" in str(refused.value)

    @pytest.mark.parametrize("url", SECRET_URLS)
    def test_with_a_url_that_does_not_work_tells_no_secret(self, url: Any) -> None:
        app = _app(SRVSESSION_BACKEND=url)

        with pytest.raises(ConfigurationError) as refused:
            ServerSession(app)

        error: BaseException | None = refused.value
        assert "://" in str(error)
        while error is not None:
            assert "hunter2" not in str(error)
            error = error.__cause__

    def test_is_checked_where_a_backend_object_is_given(self) -> None:
        app = _app(SRVSESSION_IDLE_TIMEOUT=-1)

        with pytest.raises(ConfigurationError):
            ServerSession().init_app(app, MemoryBackend())

        assert "srvsession" not in app.extensions

    def test_is_a_value_error_too(self) -> None:
        with pytest.raises(ValueError, match="SRVSESSION_MAX_PAYLOAD"):
            ServerSession(_app(SRVSESSION_MAX_PAYLOAD=-1))

    def test_of_others_is_none_of_our_business(self) -> None:
        app = _app(SESSION_TYPE="redis", SRVSESSIONS_X=1, srvsession_backend="x")

        ServerSession(app)

        assert "srvsession" in app.extensions

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("BACKEND", "memory://"),
            ("BACKEND", MemoryBackend()),
            ("KEY_PREFIX", None),
            ("KEY_PREFIX", "my-app.v2:s_"),
            ("IDLE_TIMEOUT", None),
            ("IDLE_TIMEOUT", timedelta(days=400)),
            ("IDLE_TIMEOUT", 1.5),
            ("TOUCH_INTERVAL", None),
            ("INDEXES", {}),
            ("INDEXES", {"org": ["org_id"]}),
            ("LOGIN_KEYS", ()),
            ("LOGIN_KEYS", ["user_id"]),
            ("ROTATE_EVERY", None),
            ("ROTATE_EVERY", 240),
            ("ROTATE_GRACE", timedelta(seconds=450)),
            ("ON_REPLAY", "reject"),
            ("ON_REPLAY", print),
            ("MAX_PER_KEY", None),
            ("MAX_PER_KEY", 1),
            ("MAX_PER_KEY_POLICY", "reject"),
            ("SERIALIZER", "json"),
            ("METADATA", True),
            ("METADATA", lambda request: {"path": request.path}),
            ("FENCED_LOAD", None),
            ("FENCED_LOAD", True),
        ],
        ids=lambda x: repr(x)[:40],
    )
    def test_that_is_right_is_taken(self, key: str, value: Any) -> None:
        app = _app(**{f"SRVSESSION_{key}": value})

        ServerSession(app)

        browser = Browser(app)
        browser.does(lambda: session.update(a=1))
        assert browser.does(read) == "1"


def _app(**config: Any) -> Flask:
    app = Flask("testapp")
    app.config.update({"TESTING": True, "SECRET_KEY": KEY, **config})
    return app


def _blamed(value: Any) -> Any:
    """The part of a dict that the message is about."""
    return next(iter(value.values())) if isinstance(value, dict) else value
