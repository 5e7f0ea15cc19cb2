"""Records that are not what they should be."""

from __future__ import annotations

import hashlib
import logging
import pickle
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
import redis

from flask_srvsession import session
from flask_srvsession.store.record import (
    _HEAD,
    HEAD,
    VERSION,
    Record,
    RecordCodec,
)
from tests.web import Browser

from ..apps import listed
from ..devices import found
from ..probes import KEY, login
from .forged import MEBIBYTE, read

if TYPE_CHECKING:
    from flask_srvsession.backends import Backend
    from tests.conftest import MakeApp
    from tests.servers import Server


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
    [mac] = RecordCodec([secret], prefix, "msgpack")._macs
    seal = mac(_HEAD % (len(key), key.encode(), VERSION), body)
    return VERSION + seal + body


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
            assert f"the record of session {browser.id}" in caplog.text

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
        after.cookie = before.cookie

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
        fields = msgpack.unpackb(cell.data[HEAD:], strict_map_key=False)
        fields[Record._fields.index("values")]["a"] = value
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
    assert browser.id in warning.getMessage()
    assert reason in warning.getMessage()
    before = browser.id
    browser.does(login)
    assert browser.id != before
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
            assert [info.id for info in found(app)] == [own.id]

        assert listed(app, 42) == {foreign.id, own.id}
