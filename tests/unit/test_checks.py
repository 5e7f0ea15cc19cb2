"""``flask sessions check`` finds what is wrong with a configuration, no more."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_srvsession import ServerSession
from flask_srvsession.backends.health import is_local, unencrypted
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.commands.checks import check_configuration
from flask_srvsession.config import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

SOUND: dict[str, Any] = {
    "SECRET_KEY": "0f8b1c6d2e7a4953b8c0d1e2f3a4b5c6",
    "SESSION_COOKIE_SECURE": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "SESSION_REFRESH_EACH_REQUEST": False,
}


def findings(**config: Any) -> dict[str, str]:
    """Return key -> severity of what is found in a sound configuration and these."""
    app = Flask("testapp")
    app.config.update({**SOUND, **config})
    settings = Settings.from_config(app.config, app.name)
    resolved = settings.resolved(app.permanent_session_lifetime)
    found = [
        finding
        for finding in check_configuration(app, resolved)
        if finding.key != "session_interface"  # it has no ServerSession
        and (finding.key, finding.severity) != ("SESSION_COOKIE_NAME", "info")
    ]
    assert all(finding.problem and finding.remedy for finding in found)
    keys = [finding.key for finding in found]
    assert len(keys) == len(set(keys))
    return {finding.key: finding.severity for finding in found}


def test_a_sound_configuration_has_no_findings() -> None:
    assert findings() == {}


def said(**config: Any) -> dict[str, str]:
    """Return key -> remedy of all that is found in a configuration."""
    app = Flask("testapp")
    app.config.update({**SOUND, **config})
    ServerSession(app)
    settings = app.extensions["srvsession"].settings
    return {f.key: f.remedy for f in check_configuration(app, settings)}


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("SESSION_TYPE", "SRVSESSION_BACKEND"),
        ("SESSION_REDIS", "SRVSESSION_BACKEND"),
        ("SESSION_KEY_PREFIX", "SRVSESSION_KEY_PREFIX"),
        ("SESSION_USE_SIGNER", None),
        ("SESSION_PERMANENT", None),
        ("SESSION_ID_LENGTH", None),
        ("SESSION_FILE_DIR", None),
        ("SRV_SESSION_BACKEND", "SRVSESSION_BACKEND"),
        ("SRV_SESSION_URL", "SRVSESSION_BACKEND"),
        ("SRVSESION_ROTATE_EVERY", "SRVSESSION_ROTATE_EVERY"),
        ("srvsession_backend", "SRVSESSION_BACKEND"),
        ("SESSION_IDLE_TIMEOUT", "SRVSESSION_IDLE_TIMEOUT"),
        ("SESSION_COOKIE_NAM", "SESSION_COOKIE_NAME"),
    ],
)
def test_a_key_that_nobody_reads_is_named_with_what_was_meant(
    key: str, meant: str | None
) -> None:
    remedy = said(**{key: "x"})[key]

    assert remedy == (
        f"Did you mean {meant}? Else take it out." if meant else "Take it out."
    )
    assert key not in said(**{key: None})


def test_keys_of_others_are_nobodys_business() -> None:
    others = {
        "SESSION_PROTECTION": "strong",
        "SERVER_NAME": "a.example",
        "REDIS_URL": "x",
    }

    assert said(**others) == said()


@pytest.mark.parametrize(
    ("config", "is_told"),
    [
        ({}, True),
        ({"SESSION_COOKIE_NAME": "__Host-session"}, False),
        ({"SESSION_COOKIE_DOMAIN": "a.example"}, False),
        ({"SESSION_COOKIE_PATH": "/shop"}, False),
        ({"APPLICATION_ROOT": "/shop"}, False),
        ({"SESSION_COOKIE_SECURE": False}, False),
    ],
)
def test_the_host_prefix_is_named_where_it_would_fit(
    config: dict[str, Any], is_told: bool
) -> None:
    assert (
        "__Host-session" in said(**config).get("SESSION_COOKIE_NAME", "")
    ) is is_told


def test_of_defaults_that_nobody_chose_no_line_is_said() -> None:
    """But of the cookie, which is Flask's."""
    app = Flask("testapp")
    app.config["SECRET_KEY"] = SOUND["SECRET_KEY"]
    ServerSession(app)
    settings = app.extensions["srvsession"].settings

    found = [(f.severity, f.key) for f in check_configuration(app, settings)]

    assert found == [
        ("warning", "SESSION_COOKIE_SECURE"),
        ("info", "SESSION_COOKIE_SAMESITE"),
    ]


@pytest.mark.parametrize(
    "name", ["session", "__Host-session", "__Secure-session", "__host-session"]
)
def test_a_sound_cookie_may_have_any_name(name: str) -> None:
    assert findings(SESSION_COOKIE_NAME=name) == {}


@pytest.mark.parametrize(
    ("config", "key", "severity"),
    [
        ({"SESSION_COOKIE_SECURE": False}, "SESSION_COOKIE_SECURE", "warning"),
        ({"SESSION_COOKIE_HTTPONLY": False}, "SESSION_COOKIE_HTTPONLY", "warning"),
        ({"SESSION_COOKIE_SAMESITE": None}, "SESSION_COOKIE_SAMESITE", "info"),
        ({"SESSION_COOKIE_DOMAIN": "a.example"}, "SESSION_COOKIE_DOMAIN", "warning"),
        (
            {
                "SESSION_COOKIE_NAME": "__Host-s",
                "SESSION_COOKIE_PATH": "/app",
            },
            "SESSION_COOKIE_NAME",
            "error",
        ),
        (
            {"SESSION_COOKIE_NAME": "__Host-s", "APPLICATION_ROOT": "/app"},
            "SESSION_COOKIE_NAME",
            "error",
        ),
        (
            {"PERMANENT_SESSION_LIFETIME": timedelta(days=401)},
            "PERMANENT_SESSION_LIFETIME",
            "warning",
        ),
        (
            {
                "SRVSESSION_IDLE_TIMEOUT": 86400 * 31,
                "SRVSESSION_ABSOLUTE_LIFETIME": 86400 * 30,
            },
            "SRVSESSION_IDLE_TIMEOUT",
            "warning",
        ),
        (
            {"SRVSESSION_IDLE_TIMEOUT": 86400 * 32},
            "PERMANENT_SESSION_LIFETIME",
            "info",
        ),
        (
            {"SRVSESSION_ABSOLUTE_LIFETIME": 900},
            "SRVSESSION_ROTATE_EVERY",
            "warning",
        ),
        ({"SRVSESSION_ROTATE_EVERY": None}, "SRVSESSION_ROTATE_EVERY", "info"),
        (
            {"SRVSESSION_MAX_PER_KEY": {}},
            "SRVSESSION_MAX_PER_KEY",
            "warning",
        ),
        ({"SRVSESSION_LOGIN_KEYS": ()}, "SRVSESSION_LOGIN_KEYS", "warning"),
        ({"SRVSESSION_LOGIN_KEYS": ("usernme",)}, "SRVSESSION_LOGIN_KEYS", "warning"),
        (
            {
                "SRVSESSION_INDEXES": {"who": ("member",)},
                "SRVSESSION_NOT_LOGIN_KEYS": ("member",),
            },
            "SRVSESSION_NOT_LOGIN_KEYS",
            "warning",
        ),
    ],
)
def test_one_thing_wrong_is_one_finding(
    config: dict[str, Any], key: str, severity: str
) -> None:
    assert findings(**config).get(key) == severity


@pytest.mark.parametrize("name", ["__Host-s", "__Secure-s"])
def test_a_name_that_promises_secure_needs_it(name: str) -> None:
    found = findings(SESSION_COOKIE_NAME=name, SESSION_COOKIE_SECURE=False)

    assert found["SESSION_COOKIE_NAME"] == "error"


def test_the_host_prefix_forbids_a_domain_and_the_secure_prefix_does_not() -> None:
    domain = {"SESSION_COOKIE_DOMAIN": "a.example"}

    host = findings(SESSION_COOKIE_NAME="__Host-s", **domain)
    secure = findings(SESSION_COOKIE_NAME="__Secure-s", **domain)

    assert host["SESSION_COOKIE_NAME"] == "error"
    assert "SESSION_COOKIE_NAME" not in secure


@pytest.mark.parametrize("same_site", ["None", "none"])
def test_same_site_none_needs_secure(same_site: str) -> None:
    assert findings(SESSION_COOKIE_SAMESITE=same_site) == {}
    found = findings(SESSION_COOKIE_SAMESITE=same_site, SESSION_COOKIE_SECURE=False)
    assert found["SESSION_COOKIE_SAMESITE"] == "error"


BAD_SECRETS: list[Any] = [
    None,
    "",
    "dev",
    "Change-Me",
    b"super secret key",
    "your_secret_key_here",
    "0123456789abcde",
    "a" * 64,
    '_5#y2L"F4Q8z\n\xec]/',
    b'_5#y2L"F4Q8z\n\xec]/',
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
]


@pytest.mark.parametrize("secret", BAD_SECRETS, ids=repr)
def test_a_secret_key_that_can_be_guessed_is_an_error(secret: Any) -> None:
    assert findings(SECRET_KEY=secret) == {"SECRET_KEY": "error"}


@pytest.mark.parametrize(
    "secret", ["0123456789abcdef", b"0123456789abcdef", "correct horse battery staple"]
)
def test_a_long_secret_key_is_none(secret: Any) -> None:
    assert findings(SECRET_KEY=secret) == {}


def test_fallback_keys_are_looked_at_too() -> None:
    found = findings(SECRET_KEY_FALLBACKS=[SOUND["SECRET_KEY"], "dev"])

    assert found == {"SECRET_KEY_FALLBACKS[1]": "error"}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1", "/s"])
def test_what_is_on_this_computer_needs_no_encryption(host: str) -> None:
    assert is_local(host)
    assert list(unencrypted("key", [host])) == []


@pytest.mark.parametrize("host", ["10.0.0.1", "redis", "localhost.example", "::2", ""])
def test_what_is_elsewhere_does(host: str) -> None:
    [finding] = unencrypted("key", ["localhost", host])

    assert (finding.severity, finding.key) == ("warning", "key")


@pytest.mark.parametrize(
    ("url", "finds"),
    [
        ("redis://redis.example/0", True),
        ("rediss://redis.example/0", False),
        ("redis://127.0.0.1/0", False),
        ("unix:///run/redis.sock", False),
    ],
)
def test_the_way_to_redis_is_looked_at_without_going_there(
    url: str, finds: bool
) -> None:
    from flask_srvsession.backends.redis import RedisBackend
    from flask_srvsession.backends.redis.health import _of_transport

    backend = RedisBackend.from_url(url)

    keys = {finding.key for finding in _of_transport(backend._client)}

    assert ("redis client: host" in keys) is finds
    backend.close()


@pytest.mark.parametrize(("host", "finds"), [("10.0.0.1", True), ("::1", False)])
def test_the_way_to_memcached_is_looked_at(host: str, finds: bool) -> None:
    from flask_srvsession.backends.memcached import health as memcached_health

    found = memcached_health.check([(host, 11211)], lambda: [{"time": time.time()}])

    assert ("memcached: host" in {finding.key for finding in found}) is finds


@pytest.mark.parametrize(
    ("apart", "finds"), [(-4.5, True), (-2.5, False), (0.0, False), (2.5, True)]
)
def test_memcached_may_tell_its_time_late(apart: float, finds: bool) -> None:
    """Up to three seconds: it rounds twice, and tells the time of its last tick."""
    from flask_srvsession.backends.memcached import health as memcached_health

    told = time.time() + apart
    found = memcached_health.check([("::1", 11211)], lambda: [{"time": told}])

    assert ("clocks" in {finding.key for finding in found}) is finds


def test_a_backend_that_cannot_check_or_count_is_no_failure() -> None:
    from flask_srvsession.backends import health

    class Plain:
        shared = True

    plain: Any = Plain()
    assert list(health.check(plain)) == []
    assert health.stats(plain) == {}
    assert health.stats(MemoryBackend()) == {"items": 0}


def test_a_secret_key_that_was_copied_from_the_documentation_is_found() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    keys = set(re.findall(r'SECRET_KEY(?:"\])? ?= ?"(.+?)"', text))

    assert len(keys) > 1
    for key in keys:
        assert findings(SECRET_KEY=key) == {"SECRET_KEY": "error"}, key
