"""Defaults, and what depends on Flask's own keys. Wrong values: integration tests."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from flask_srvsession.config import MAX_LIFETIME, PREFIX, Settings
from flask_srvsession.errors import ConfigurationError

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
    assert settings.indexes == {"user_id": ("user_id", "_user_id")}
    assert settings.login_keys == ("user_id", "_user_id", "username", "user")
    assert settings.drop_at_login == ("csrf_token",)
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

    [field] = [field for field in dataclasses.fields(Settings) if field.name == name]

    assert field.metadata["doc"].endswith((".", ":")), "a line of the documentation"
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
