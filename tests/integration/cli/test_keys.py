"""Commands and logins of an app whose key is not that of the sessions."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from flask_srvsession.backends import Backend
from flask_srvsession.testing import FakeClock
from tests.web import Browser

from ..probes import CountingBackend
from .run import SAFE, flask, printed

if TYPE_CHECKING:
    from tests.conftest import MakeApp

DAY = 24 * 60 * 60
OURS, OTHER = "k" * 8 + "0123456789abcdef", "x" * 8 + "fedcba9876543210"
TEXT = "This SECRET_KEY is not the one that sessions under"


def with_key(make_app: MakeApp, backend: Backend, key: str, **given: Any) -> Flask:
    prefix = given.pop("SRVSESSION_KEY_PREFIX", "shop:")
    return make_app(backend, SECRET_KEY=key, SRVSESSION_KEY_PREFIX=prefix, **given)


def log_in(app: Flask) -> Browser:
    browser = Browser(app)
    browser.set(user_id=42)
    return browser


COMMANDS = [
    ("list", "user_id=42"),
    ("show", "ID"),
    ("revoke", "ID", "--yes"),
    ("revoke-all", "user_id=42", "--yes"),
]


@pytest.mark.every_storage
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_with_another_key_a_command_does_nothing_and_ends_with_3(
    make_app: MakeApp, backend: Backend, command: tuple[str, ...]
) -> None:
    browser = log_in(with_key(make_app, backend, OURS))
    shell = with_key(make_app, backend, OTHER)

    result = flask(shell, *(browser.id if a == "ID" else a for a in command))

    assert result.exit_code == 3
    assert TEXT in result.stderr
    assert "'shop:'" in result.stderr
    assert result.stdout == ""
    assert browser.values() == {"user_id": 42}


@pytest.mark.parametrize(
    "given",
    [
        {"SECRET_KEY_FALLBACKS": [OURS]},
        {"SECRET_KEY_FALLBACKS": ["0" * 16, OURS]},
    ],
)
def test_with_the_key_among_the_fallbacks_a_command_works(
    make_app: MakeApp, backend: Backend, given: dict[str, Any]
) -> None:
    log_in(with_key(make_app, backend, OURS))

    assert (
        len(printed(with_key(make_app, backend, OTHER, **given), "list", "user_id=42"))
        == 1
    )


def test_a_login_under_a_newer_key_rewrites_the_marker(
    make_app: MakeApp, backend: Backend
) -> None:
    log_in(with_key(make_app, backend, OURS))
    log_in(with_key(make_app, backend, OTHER, SECRET_KEY_FALLBACKS=[OURS]))

    assert flask(with_key(make_app, backend, OURS), "list", "user_id=42").exit_code == 3
    result = flask(with_key(make_app, backend, OTHER), "list", "user_id=42")
    assert result.exit_code == 0
    assert "Another SECRET_KEY" not in result.stderr


@pytest.mark.every_storage
def test_a_login_under_another_key_is_warned_about_once(
    make_app: MakeApp, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    log_in(with_key(make_app, backend, OURS))
    assert not caplog.records
    other = with_key(make_app, backend, OTHER)

    for _ in range(2):
        log_in(other)

    [warning] = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "another SECRET_KEY keeps sessions under the key prefix 'shop:'" in warning
    for app in (with_key(make_app, backend, OURS), other):
        result = flask(app, "list", "user_id=42")
        assert result.exit_code == 0
        assert "Another SECRET_KEY keeps sessions under 'shop:', too." in result.stderr


def test_one_login_of_a_process_looks_at_the_marker(
    make_app: MakeApp, counted: CountingBackend, clock: FakeClock
) -> None:
    app = make_app(counted)
    log_in(app)
    first = counted.taken()
    log_in(app)
    second = counted.taken()
    clock.advance(DAY)
    log_in(app)

    assert first == [*second, "add"]
    assert counted.taken() == [*second, "swap"]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("backend", ["sqlite", "redis"], indirect=True)
def test_with_another_prefix_a_command_names_ours_and_ends_with_3(
    make_app: MakeApp, backend: Backend, command: tuple[str, ...]
) -> None:
    key, ours = uuid.uuid4().hex, f"{uuid.uuid4().hex}:"
    browser = log_in(with_key(make_app, backend, key, SRVSESSION_KEY_PREFIX=ours))
    log_in(with_key(make_app, backend, OTHER, SRVSESSION_KEY_PREFIX="theirs:"))
    shell = with_key(make_app, backend, key, SRVSESSION_KEY_PREFIX="other:")

    result = flask(shell, *(browser.id if a == "ID" else a for a in command))

    assert result.exit_code == 3
    assert "Nobody has logged in under 'other:' yet" in result.stderr
    assert f"with this SECRET_KEY under '{ours}'" in result.stderr
    assert "theirs:" not in result.stderr
    assert result.stdout == ""
    [finding] = [
        f for f in printed(shell, "check") if f["key"] == "SRVSESSION_KEY_PREFIX"
    ]
    assert finding["severity"] == "info"
    assert f"under '{ours}'" in finding["problem"]


@pytest.mark.parametrize("backend", ["sqlite", "memcached"], indirect=True)
def test_a_prefix_under_which_nobody_has_logged_in_is_named(
    make_app: MakeApp, backend: Backend
) -> None:
    log_in(with_key(make_app, backend, OTHER))

    key = uuid.uuid4().hex
    app = with_key(make_app, backend, key, SRVSESSION_KEY_PREFIX="other:")
    result = flask(app, "revoke-all", "user_id=42", "--yes")
    assert result.exit_code == 1
    assert "Nobody has logged in under 'other:' yet." in result.stderr


def test_check_tells_of_another_key(
    make_app: MakeApp, backend: Backend, clock: FakeClock
) -> None:
    ours = with_key(make_app, backend, OURS, **SAFE)
    other = with_key(make_app, backend, OTHER, **SAFE)
    plain = with_key(make_app, backend, OURS)
    log_in(plain)

    [finding] = [f for f in printed(other, "check") if f["key"] == "SECRET_KEY"]
    assert finding["severity"] == "error"
    assert "'shop:'" in finding["problem"]

    log_in(with_key(make_app, backend, OTHER))
    for app in (ours, other):
        found = [
            f for f in printed(app, "check") if f["key"] == "SRVSESSION_KEY_PREFIX"
        ]
        assert [f["severity"] for f in found] == ["warning"]


def test_a_key_that_was_replaced_is_forgotten_after_a_week(
    make_app: MakeApp, backend: Backend, clock: FakeClock
) -> None:
    log_in(with_key(make_app, backend, OURS))
    clock.advance(8 * DAY)
    new = with_key(make_app, backend, OTHER)
    log_in(new)

    assert flask(new, "list", "user_id=42").stderr.count("Another") == 0
    assert flask(with_key(make_app, backend, OURS), "list", "user_id=42").exit_code == 0


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x01", b"\x81\x01\x02"])
def test_a_marker_that_somebody_else_has_written_is_written_anew(
    make_app: MakeApp, backend: Backend, data: bytes
) -> None:
    backend.add("shop:secret-keys", data, 1000)

    app = with_key(make_app, backend, OURS)
    log_in(app)

    assert len(printed(app, "list", "user_id=42")) == 1
    assert (
        flask(with_key(make_app, backend, OTHER), "list", "user_id=42").exit_code == 3
    )
