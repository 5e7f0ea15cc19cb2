"""With keys, what is stored tells who reads it nothing, and gets lost for nobody."""

from __future__ import annotations

import secrets
import threading
import uuid
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from flask_srvsession import ConfigurationError, ids, session
from flask_srvsession.backends import Backend
from flask_srvsession.store.encryption import ENCRYPTED
from flask_srvsession.store.record import VERSION
from tests.web import Browser

from ..apps import LosingBackend, listed, remove_stored, stored, together
from ..devices import sessions
from ..marks import ON_MEMORY
from .dump import dump

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp

OLD, NEW = "0a" * 32, "1b" * 32
USER = "user-4711@example.com"
PLANTED = (USER, "planted-value", "planted-key", "planted-agent", "user_id")

Make = Any


@pytest.fixture
def prefix() -> str:
    return f"{uuid.uuid4().hex}:"


@pytest.fixture
def make(make_app: MakeApp, prefix: str) -> Make:
    """Make an app with these encryption keys, on the sessions of the others."""

    def app(*keys: Any, **config: Any) -> Flask:
        if keys:
            config["SRVSESSION_ENCRYPTION_KEYS"] = list(keys)
        return make_app(
            SRVSESSION_KEY_PREFIX=prefix, SRVSESSION_METADATA=True, **config
        )

    return app


def fill(app: Flask) -> Browser:
    browser = Browser(app, headers={"User-Agent": "planted-agent"})
    browser.set(**{"user_id": USER, "planted-key": "planted-value"})
    browser.set(more=1)
    return browser


def first_byte(browser: Browser) -> bytes:
    cell = stored(browser.app, browser.id)
    assert cell is not None
    return cell.data[:1]


def in_other(app: Flask, browser: Browser) -> Browser:
    return Browser(app, browser.cookie)


def overwrite(app: Flask, key: str, data: bytes) -> None:
    """Write past the extension, as who can write to the storage."""
    backend: Backend = app.extensions["srvsession"].backend
    cell = backend.get(key)
    assert cell is not None
    assert backend.swap(key, data, cell.version, 1000) is not None


def all_of(app: Flask) -> bytes:
    backend: Backend = app.extensions["srvsession"].backend
    found = dump(backend, app.config["SRVSESSION_KEY_PREFIX"])
    assert found
    text = b"\n".join(key + b" " + data for key, data in found.items())
    return text + b"".join(map(_unpacked, found.values()))


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompress(data.partition(b"\n")[2])
    except zlib.error:
        return b""


@pytest.mark.every_storage
def test_a_dump_shows_nothing_of_what_is_kept_and_of_whom(make: Make) -> None:
    plain, keyed = make(), make(NEW)
    fill(plain)
    with plain.app_context():
        assert any(each.encode() in all_of(plain) for each in PLANTED)
        assert sessions.revoke_all(user_id=USER) == 1

    browser = fill(keyed)
    browser.do(lambda: session.rotate())  # a tombstone
    shown = all_of(keyed)

    assert browser.values()["planted-key"] == "planted-value"
    assert ids.pack(browser.id).encode() in shown
    assert [each for each in PLANTED if each.encode() in shown] == []


@ON_MEMORY
def test_who_has_the_secret_key_and_a_dump_cannot_tell_who_is_listed(
    make: Make,
) -> None:
    fill(make(NEW))

    assert listed(make(), USER) == set()
    assert len(listed(make(NEW), USER)) == 1


@pytest.mark.every_storage
def test_plain_sessions_go_on_and_are_encrypted_when_they_are_written(
    make: Make,
) -> None:
    before = fill(make())
    assert first_byte(before) == VERSION

    after = in_other(make(NEW), before)

    assert after.values()["planted-key"] == "planted-value"
    assert first_byte(after) == VERSION
    with after.app.app_context():
        assert [each.id for each in sessions.find(user_id=USER)] == [after.id]
    after.set(more=2)
    assert first_byte(after) == ENCRYPTED
    assert listed(after.app, USER) == {after.id}
    assert USER.encode() not in all_of(after.app)
    with after.app.app_context():
        assert sessions.revoke_all(user_id=USER) == 1
    assert after.values() == {}


@pytest.mark.every_storage
def test_keys_are_exchanged_and_nobody_is_logged_out(make: Make) -> None:
    """All processes know a key before one of them writes with it."""
    steps: list[list[Any]] = [
        [],
        [NEW, None],
        [NEW],
        [OLD, NEW],
        [NEW, OLD],
        [OLD],
        [OLD, None],
        [],
    ]
    browser = fill(make())

    for count, keys in enumerate(steps, 1):
        for app in (make(*steps[max(0, count - 2)]), make(*keys)):
            browser = in_other(app, browser)
            assert browser.values()["user_id"] == USER
            browser.set(more=count)
            with app.app_context():
                found = sessions.find(user_id=USER)
            assert [each.id for each in found] == [browser.id]
    assert first_byte(browser) == VERSION


@pytest.mark.every_storage
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("swapped", "moved here from another session"),
        ("cut", "changed or cut"),
        ("lost key", "not among SRVSESSION_ENCRYPTION_KEYS"),
        ("no keys", "SRVSESSION_ENCRYPTION_KEYS has no key"),
        ("older keys", "not among SRVSESSION_ENCRYPTION_KEYS"),
    ],
)
def test_a_damaged_record_is_no_session_and_nothing_else_is_lost(
    make: Make, caplog: pytest.LogCaptureFixture, damage: str, reason: str
) -> None:
    app = make(OLD, NEW)
    victim, other = fill(app), fill(app)
    mine, theirs = stored(app, victim.id), stored(app, other.id)
    assert mine
    assert theirs
    session_id, key = victim.id, victim.key
    if damage == "swapped":
        overwrite(app, key, theirs.data)
    elif damage == "cut":
        overwrite(app, key, mine.data[: len(mine.data) // 2])
    else:
        keys = {"lost key": ["2c" * 32], "no keys": [], "older keys": [OLD]}[damage]
        victim = in_other(make(*keys), victim)

    assert victim.values() == {}

    [said] = {r.getMessage() for r in caplog.records if "ignored" in r.getMessage()}
    assert session_id in said
    assert reason in said
    assert not any(secret in said for secret in (OLD, NEW, USER, "planted"))
    assert other.values()["planted-key"] == "planted-value"
    left = app.extensions["srvsession"].backend.get(key)
    assert left is not None
    if damage in ("lost key", "no keys", "older keys"):
        assert in_other(app, victim).values()["user_id"] == USER  # it is back
    with app.app_context():
        assert sessions.revoke_all(user_id=USER) >= 1
    assert not remove_stored(app, session_id)


class Service:
    """A key management service that counts who asks, and may be down."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_down = False
        self._lock = threading.Lock()

    def key(self, name: str) -> Callable[[], bytes]:
        def ask() -> bytes:
            with self._lock:
                self.asked.append(name)
            if self.is_down:
                raise OSError("the text of this may hold a key")
            return bytes.fromhex(name)

        return ask


@ON_MEMORY
def test_a_service_is_asked_once_for_each_key(make: Make) -> None:
    service = Service()
    app = make(service.key(OLD), service.key(NEW))
    assert service.asked == []

    together(*[lambda: fill(app)] * 4)
    app.secret_key = secrets.token_hex()
    browser = fill(app)

    assert sorted(service.asked) == [OLD, NEW]
    assert first_byte(browser) == ENCRYPTED
    assert in_other(make(NEW, SECRET_KEY=app.secret_key), browser).values()


@ON_MEMORY
def test_a_callable_may_return_all_keys(make_app: MakeApp) -> None:
    service = Service()

    def keys() -> list[Any]:
        service.asked.append("all")
        return [service.key(OLD), NEW]

    app = make_app(SRVSESSION_ENCRYPTION_KEYS=keys)
    for _ in range(2):
        assert first_byte(fill(app)) == ENCRYPTED

    assert sorted(service.asked) == [OLD, "all"]


@ON_MEMORY
def test_a_service_that_is_down_is_an_outage_and_no_logout(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service()
    browser = fill(make(NEW))
    app = make(service.key(NEW))
    late = in_other(app, browser)
    service.is_down = True

    responses = [late.do(lambda: str(len(session))) for _ in range(2)]

    assert [each.status_code for each in responses] == [503, 503]
    assert not any("Set-Cookie" in each.headers for each in responses)
    assert late.do().status_code == 200  # the session is not touched
    assert "may hold a key" not in caplog.text
    service.is_down = False
    assert late.values()["user_id"] == USER
    assert service.asked == [NEW] * 3


@ON_MEMORY
@pytest.mark.parametrize(
    "keys",
    [
        "a" * 64,
        [],
        [None],
        [NEW[:-2]],
        [b"short-key"],
        [None, NEW],
        [NEW, 7],
        {"key": NEW},
        ["zz" * 32],
    ],
)
def test_keys_that_cannot_be_are_refused_and_not_shown(
    make_app: MakeApp, keys: Any
) -> None:
    with pytest.raises(ConfigurationError, match="SRVSESSION_ENCRYPTION_KEYS") as found:
        make_app(SRVSESSION_ENCRYPTION_KEYS=keys)

    assert not any(text in str(found.value) for text in (NEW[:8], "short-key", "zz"))


@ON_MEMORY
def test_keys_are_in_no_repr(make: Make) -> None:
    app = make(NEW)

    assert NEW not in repr(app.extensions["srvsession"].settings)


@ON_MEMORY
def test_a_change_costs_no_more_commands(
    make_app: MakeApp, backend: Backend, clock: FakeClock
) -> None:
    counts = []
    for config in ({}, {"SRVSESSION_ENCRYPTION_KEYS": [NEW]}):
        losing = LosingBackend(backend)
        browser = Browser(make_app(losing, **config))
        browser.set(user_id=1)
        browser.set(user_id=2)
        browser.values()
        browser.set(more=1)
        browser.do(lambda: session.destroy())
        counts.append(losing.calls)

    assert counts[0] == counts[1]
    assert counts[0]
