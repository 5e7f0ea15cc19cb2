"""Which session keys say who is logged in."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from flask_srvsession.draft import Draft
from flask_srvsession.login_keys import (
    IDENTITY_KEYS,
    LOGIN_KEYS,
    LoginKeys,
    default_index,
    name_of,
)
from flask_srvsession.logins import is_same_user
from flask_srvsession.serializers import MsgpackSerializer

IDENTITY_LIKE = (
    "userId userID User user-id usr memberId member student student_id employee_no "
    "admin admin_id client patient_id player login login_id isLoggedIn signed_in "
    "is_authed mail email_address current_user_id session_user principal google_token "
    "github_access_token jwt google_userinfo user_profile sub admin_logged_in "
    "customerLoggedIn dashboard_logged_in user_authenticated logged_user login_user"
)
ORDINARY = (
    "cart csrf_token _csrf_token reset_token form_token lang theme next _flashes "
    "user_agent user_theme last_users tf_user_id login_attempts _fresh permanent "
    "oauth_state _google_authlib_state_x author title admin_theme timezone"
)


@pytest.mark.parametrize("key", IDENTITY_LIKE.split())
def test_a_key_that_looks_like_an_identity_is_warned_about_once(
    key: str, caplog: pytest.LogCaptureFixture
) -> None:
    keys = LoginKeys(("user_id",), (), ())

    with caplog.at_level(logging.WARNING, "flask_srvsession"):
        assert not keys[key]
        assert not keys[key]

    [warning] = caplog.messages
    assert repr(key) in warning
    assert "SRVSESSION_LOGIN_KEYS" in warning
    assert "SRVSESSION_NOT_LOGIN_KEYS" in warning


@pytest.mark.parametrize("key", ORDINARY.split())
def test_an_ordinary_key_is_not(key: str, caplog: pytest.LogCaptureFixture) -> None:
    assert not LoginKeys(LOGIN_KEYS, (), ())[key]
    assert caplog.messages == []


def test_a_key_that_is_said_to_be_none_is_neither_one_nor_warned_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    keys = LoginKeys(LOGIN_KEYS, ("email",), ("email", "student", "a_oauth_token"))

    told = keys.among(["email", "student", "a_oauth_token", "user_id"])
    assert [*told] == ["user_id"]
    assert caplog.messages == []


def test_a_pattern_stands_for_all_keys_that_fit() -> None:
    keys = LoginKeys(LOGIN_KEYS, (), ())

    assert keys["github_oauth_token"]
    assert not keys["github_oauth_token_x"]


def test_not_every_key_that_somebody_chooses_is_remembered() -> None:
    keys = LoginKeys(LOGIN_KEYS, (), ())

    assert not any(keys[f"page-{number}"] for number in range(10_000))
    assert len(keys) < 5000


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (42, "42"),
        ("42", "42"),
        ({"sub": "ann", "email": "a@example.org"}, "ann"),
        ({"access_token": "x", "userinfo": {"sub": 7}}, "7"),
        ({"id": None, "username": "ann"}, "ann"),
        ({"id": "", "username": "ann"}, "ann"),
        ({"access_token": "x"}, None),
        ("", None),
        (True, None),
        ([1], None),
        (1.5, None),
    ],
)
def test_a_value_names_the_user(value: Any, name: str | None) -> None:
    assert name_of(value) == name


def test_a_token_and_a_flag_name_nobody() -> None:
    keys = LoginKeys(LOGIN_KEYS, (), ())

    assert keys.name("username", "ann") == "ann"
    assert keys.name("profile", {"sub": "ann"}) == "ann"
    assert keys.name("profile", "dark") is None
    assert keys.name("access_token", "a secret") is None
    assert keys.name("github_oauth_token", "a secret") is None
    assert keys.name("github_oauth_token", {"userinfo": {"sub": "ann"}}) == "ann"


def test_the_index_is_fed_by_those_that_name_somebody() -> None:
    assert [*default_index(LOGIN_KEYS)] == [*IDENTITY_KEYS]
    assert [*default_index(("member", "*_id", "logged_in"))] == ["member"]
    assert [*default_index(("logged_in",))] == ["user_id"]


def test_a_changed_dict_that_names_nobody_is_warned_about_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    keys = LoginKeys(LOGIN_KEYS, (), ())

    for value in ({"name": "Ann", "seen": 1}, {"name": "Ann", "seen": 2}):
        keys.warn_of_unnamed("user", value)
        keys.warn_of_unnamed("profile", value)
        keys.warn_of_unnamed("github_oauth_token", value)
    keys.warn_of_unnamed("account", {"id": 1})
    keys.warn_of_unnamed("account", 1)

    [warning] = caplog.messages
    assert warning.startswith("session['user'] is a dict that does not name the user")
    assert "SRVSESSION_NOT_LOGIN_KEYS" in warning


def draft(values: dict[str, Any]) -> Draft:
    serializer = MsgpackSerializer()
    return Draft({k: serializer.dumps(v) for k, v in values.items()}, serializer)


GITHUB = "github_oauth_token"


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ({"user_id": 1}, {"user_id": 1, "logged_in": True}, True),
        ({"user_id": 1, "logged_in": True}, {"user_id": 2, "logged_in": True}, False),
        ({"logged_in": True}, {"logged_in": True}, True),
        ({"logged_in": True}, {"logged_in": False}, False),
        ({"logged_in": True}, {}, False),
        ({"logged_in": False}, {"logged_in": False}, False),
        ({"logged_in": True, GITHUB: "a"}, {"logged_in": True, GITHUB: "a"}, True),
        ({"logged_in": True, GITHUB: "a"}, {"logged_in": True, GITHUB: "b"}, False),
        ({}, {}, False),
    ],
)
def test_the_user_is_the_same_if_one_name_is_or_else_all_that_is_said(
    ours: dict[str, Any], theirs: dict[str, Any], same: bool
) -> None:
    logins = LoginKeys(LOGIN_KEYS, (), ())

    assert is_same_user(draft(ours), draft(theirs), logins) is same
