"""Defaults, and what depends on Flask's own keys. Wrong values: integration tests."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from docs.conf_table import meanings
from flask_srvsession import ServerSession
from flask_srvsession.config import (
    PREFIX,
    Settings,
    check_flask_keys,
    wrong_flask_keys,
)
from flask_srvsession.errors import ConfigurationError
from flask_srvsession.login_keys import IDENTITY_KEYS, LOGIN_KEYS
from flask_srvsession.values import MAX_LIFETIME

FIELDS = [field.name for field in dataclasses.fields(Settings)]
A_MONTH = timedelta(days=31)

WITHOUT_A_VALUE = {
    "KEY_PREFIX",
    "IDLE_TIMEOUT",
    "TOUCH_INTERVAL",
    "ROTATE_EVERY",
    "MAX_PER_KEY",
    "SWEEP_EVERY",
    "FENCED_LOAD",
    "ENCRYPTION_KEYS",
}
"""The keys that may be None."""


def configured(**given: Any) -> Settings:
    config = {PREFIX + key: value for key, value in given.items()}
    return Settings.from_config(config, "shop")


def test_the_defaults_are_the_documented_ones() -> None:
    settings = configured()

    assert settings.backend == "memory://"
    assert settings.key_prefix == "shop:session:"
    assert settings.absolute_lifetime == 90 * 86400
    assert [*settings.indexes] == ["user_id"]
    assert [*settings.indexes["user_id"]] == [*IDENTITY_KEYS]
    assert settings.login_keys == LOGIN_KEYS
    assert settings.drop_at_login[0] == "csrf_token"
    assert "_csrf_token" in settings.drop_at_login
    assert (settings.rotate_every, settings.rotate_grace) == (900, 120)
    assert settings.on_replay == "revoke"
    assert settings.max_per_key is None
    assert settings.max_per_key_policy == "evict-oldest"
    assert settings.serializer == "msgpack"
    assert settings.max_payload == 256 * 1024
    assert settings.metadata is False
    assert settings.fenced_load is None


@pytest.mark.parametrize("name", FIELDS)
def test_every_key_is_documented_and_checked(name: str) -> None:
    class Wrong:
        pass

    assert meanings()[name].endswith((".", ":")), "a line of the documentation"
    with pytest.raises(ConfigurationError, match=PREFIX + name.upper()):
        configured(**{name.upper(): Wrong()})


@pytest.mark.parametrize("name", FIELDS)
def test_none_is_taken_only_where_it_means_something(name: str) -> None:
    key = name.upper()

    if key in WITHOUT_A_VALUE:
        settings = configured()
        if key == "ROTATE_EVERY":
            settings = dataclasses.replace(settings, rotate_every=None)
        assert configured(**{key: None}) == settings
    else:
        with pytest.raises(ConfigurationError, match=PREFIX + key):
            configured(**{key: None})


def test_settings_cannot_be_changed_and_share_nothing() -> None:
    one, other = configured(), configured()

    with pytest.raises(dataclasses.FrozenInstanceError):
        one.max_payload = 1  # type: ignore[misc]
    assert one == other


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(90, 90), (90.9, 90), (timedelta(minutes=2), 120), (MAX_LIFETIME, MAX_LIFETIME)],
)
def test_a_duration_is_seconds_or_a_timedelta(given: Any, seconds: int) -> None:
    assert configured(ABSOLUTE_LIFETIME=given).absolute_lifetime == seconds


@pytest.mark.parametrize(
    ("lifetime", "idle", "touch"),
    [
        (timedelta(days=31), 31 * 86400, 300),
        (timedelta(minutes=30), 1800, 180),
        (timedelta(seconds=15), 15, 1),
        (timedelta(seconds=1), 1, 1),
        (timedelta(0), 1, 1),
    ],
)
def test_the_idle_timeout_follows_flask_and_the_touch_interval_follows_it(
    lifetime: timedelta, idle: int, touch: int
) -> None:
    settings = configured().resolved(lifetime)

    assert (settings.idle_timeout, settings.touch_interval) == (idle, touch)


def test_what_is_given_goes_before_flasks_own() -> None:
    settings = configured(IDLE_TIMEOUT=1000, TOUCH_INTERVAL=7).resolved(A_MONTH)

    assert (settings.idle_timeout, settings.touch_interval) == (1000, 7)


def test_a_session_that_is_read_is_renewed_before_it_is_idle_too_long() -> None:
    settings = configured(IDLE_TIMEOUT=60, TOUCH_INTERVAL=300).resolved(A_MONTH)

    assert settings.touch_interval < 60


@pytest.mark.parametrize(
    ("app_name", "prefix"),
    [
        ("shop", "shop:session:"),
        ("my.app-2", "my.app-2:session:"),
        ("läden und co", "l_den_und_co:session:"),
        ("x" * 200, "x" * 80 + ":session:"),
    ],
)
def test_a_prefix_is_made_of_the_apps_name(app_name: str, prefix: str) -> None:
    assert Settings.from_config({}, app_name).key_prefix == prefix


def test_the_text_of_settings_does_not_show_the_password_of_the_storage() -> None:
    settings = configured(BACKEND="redis://user:hunter2@localhost/0")

    assert "hunter2" not in repr(settings)
    assert "key_prefix" in repr(settings)


@pytest.mark.parametrize(
    "name", ["REDIS", "TYPE", "URL", "URI", "REDIS_URL", "DATABASE_URI", "BACKENDS"]
)
def test_what_names_a_storage_is_taken_for_the_backend(name: str) -> None:
    with pytest.raises(ConfigurationError, match="did you mean SRVSESSION_BACKEND"):
        configured(**{name: "redis://localhost"})


class TestFlasksOwnKeys:
    WRONG: tuple[tuple[str, Any], ...] = (
        ("SECRET_KEY", 5),
        ("SECRET_KEY", ["hunter2"]),
        ("SECRET_KEY_FALLBACKS", "hunter2"),
        ("SECRET_KEY_FALLBACKS", b"hunter2"),
        ("SECRET_KEY_FALLBACKS", {"hunter2"}),
        ("SECRET_KEY_FALLBACKS", [None]),
        ("PERMANENT_SESSION_LIFETIME", "3600"),
        ("PERMANENT_SESSION_LIFETIME", None),
        ("PERMANENT_SESSION_LIFETIME", True),
        ("PERMANENT_SESSION_LIFETIME", -1),
        ("PERMANENT_SESSION_LIFETIME", float("nan")),
        ("PERMANENT_SESSION_LIFETIME", timedelta.max),
        ("SESSION_COOKIE_NAME", None),
        ("SESSION_COOKIE_NAME", ""),
        ("SESSION_COOKIE_NAME", b"session"),
        ("SESSION_COOKIE_NAME", "my session"),
        ("SESSION_COOKIE_NAME", "a=b"),
        ("SESSION_COOKIE_NAME", "a\r\nb"),
        ("SESSION_COOKIE_DOMAIN", True),
        ("SESSION_COOKIE_DOMAIN", ["example.com"]),
        ("SESSION_COOKIE_PATH", 5),
        ("SESSION_COOKIE_SECURE", "False"),
        ("SESSION_COOKIE_HTTPONLY", "0"),
        ("SESSION_COOKIE_PARTITIONED", "no"),
        ("SESSION_COOKIE_SAMESITE", "bogus"),
        ("SESSION_COOKIE_SAMESITE", False),
        ("SESSION_REFRESH_EACH_REQUEST", "False"),
    )
    RIGHT: tuple[tuple[str, Any], ...] = (
        ("SECRET_KEY", None),
        ("SECRET_KEY", b"hunter2"),
        ("SECRET_KEY_FALLBACKS", None),
        ("SECRET_KEY_FALLBACKS", ("one", b"another")),
        ("PERMANENT_SESSION_LIFETIME", 3600),
        ("PERMANENT_SESSION_LIFETIME", 0.5),
        ("PERMANENT_SESSION_LIFETIME", timedelta(days=3650)),
        ("SESSION_COOKIE_NAME", "__Host-session"),
        ("SESSION_COOKIE_DOMAIN", False),
        ("SESSION_COOKIE_PATH", "/shop"),
        ("SESSION_COOKIE_SECURE", 1),
        ("SESSION_COOKIE_SECURE", None),
        ("SESSION_COOKIE_SAMESITE", None),
        ("SESSION_COOKIE_SAMESITE", "none"),
    )

    @pytest.mark.parametrize(("key", "value"), WRONG, ids=repr)
    def test_that_cannot_work_are_refused_when_the_app_starts(
        self, key: str, value: Any
    ) -> None:
        app = Flask("shop")
        app.config[key] = value

        with pytest.raises(ConfigurationError, match=key) as refused:
            ServerSession(app)

        assert "must be" in str(refused.value)
        if "SECRET" in key:
            assert "hunter2" not in str(refused.value)
        else:
            assert repr(value) in str(refused.value)

    @pytest.mark.parametrize(("key", "value"), RIGHT, ids=repr)
    def test_that_flask_can_work_with_are_taken(self, key: str, value: Any) -> None:
        check_flask_keys({**Flask.default_config, key: value})

    def test_are_all_named_where_several_are_wrong(self) -> None:
        found = dict(wrong_flask_keys({"SECRET_KEY": 5, "SESSION_COOKIE_PATH": 5}))

        assert list(found) == ["SECRET_KEY", "SESSION_COOKIE_PATH"]


@pytest.mark.parametrize("feed", ["len", 3])
def test_an_index_is_fed_by_a_key_and_a_callable_or_none(feed: Any) -> None:
    with pytest.raises(ConfigurationError, match="callables or None"):
        configured(INDEXES={"team": {"team": feed}})


def test_encryption_without_its_package_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(ConfigurationError, match=r"flask-srvsession\[encryption\]"):
        configured(ENCRYPTION_KEYS=[b"k" * 32])
