"""What the methods on other sessions make of ids and owners that nobody has."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from flask import Flask

from flask_srvsession import (
    ServerSession,
    StaleLogin,
    session,
)
from tests.web import Browser

from ..apps import (
    listed,
)
from ..devices import (
    alive,
    found,
    revoke_all,
    sessions,
    signed_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from tests.conftest import MakeApp


UNKNOWN_IDS = [
    None,
    "",
    "42",
    "f" * 32 + "_65f00000",
    "F" * 32 + "_65F00000",
    "f" * 32 + "_65f00000\r\nflush_all",
    "f" * 32 + "_65f00000\n",
    "f" * 32 + "_65f00000 ",
    "f" * 32,
    "*",
    "index:",
    "../../etc/passwd",
    "\x00",
    "é" * 32 + "_65f00000",
    "\u0661" * 32 + "_1",
    "f" * 100_000,
]


VALUES = [
    " ",
    "a b\r\nc\x00",
    "}{*?",
    "Ünïcödé \N{PILE OF POO}",
    "\ud800",
    "x" * 100_000,
    0,
    -1,
    10**40,
    UUID(int=7),
]


@pytest.fixture
def app(make_app: MakeApp) -> Iterator[Flask]:
    app = make_app()
    with app.app_context():
        yield app


@pytest.mark.parametrize("session_id", UNKNOWN_IDS)
def test_an_id_that_nobody_has_is_no_session(
    app: Flask, session_id: str | None
) -> None:
    browsers = signed_in(app)

    assert sessions.get(session_id) is None
    assert sessions.revoke(session_id) is False
    assert sessions.revoke(session_id, user_id=42) is False
    assert alive(browsers) == [True]


def test_the_key_of_an_index_or_of_another_app_is_no_session(
    app: Flask, make_app: MakeApp
) -> None:
    other = make_app()
    [stranger] = signed_in(other)

    assert sessions.get(stranger.id) is None
    assert sessions.revoke(stranger.id) is False
    assert alive([stranger]) == [True]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_any_str_int_or_uuid_can_own_sessions(app: Flask, value: object) -> None:
    browser = Browser(app)
    browser.do(lambda: session.bind(user_id=value) or "")
    others = signed_in(app, 42)

    assert [info.id for info in sessions.find(user_id=value)] == [browser.id]
    assert sessions.revoke(browser.id, user_id=f"{value}x") is False
    assert sessions.revoke_all(user_id=value) == 1
    assert alive([browser, *others]) == [False, True]
    assert sessions.find(user_id=value) == []


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        (42, "42"),
        ("42", 42),
        (UUID(int=7), str(UUID(int=7))),
        (str(UUID(int=7)), UUID(int=7)),
    ],
)
def test_a_value_and_its_str_are_the_same(
    app: Flask, stored: object, asked: object
) -> None:
    browsers = signed_in(app, stored)

    assert [info.id for info in sessions.find(user_id=asked)] == [browsers[0].id]
    assert sessions.epoch(user_id=asked) == sessions.epoch(user_id=stored)
    assert sessions.revoke(browsers[0].id, user_id=asked) is True


def test_values_that_only_look_alike_are_different(app: Flask) -> None:
    signed_in(app, 42)

    for value in ("042", " 42", "42 ", "4 2", "\uff14\uff12", -42, "42.0"):
        assert sessions.find(user_id=value) == []
        assert sessions.revoke_all(user_id=value) == 0


def test_one_user_cannot_pose_as_a_value_of_another_index(make_app: MakeApp) -> None:
    app = make_app(SRVSESSION_INDEXES={"a": ("a",), "ab": ("ab",)})
    browser = Browser(app)
    browser.set(a="b:c")

    assert found(app, ab=":c") == []
    assert found(app, ab="c") == []
    assert [info.id for info in found(app, a="b:c")] == [browser.id]


def test_the_same_value_in_two_indexes_is_two(make_app: MakeApp) -> None:
    indexes = {"user_id": ("user_id",), "tenant": ("tenant",)}
    app = make_app(SRVSESSION_INDEXES=indexes)
    user, tenant = Browser(app), Browser(app)
    user.set(user_id=7)
    tenant.set(tenant=7)

    assert revoke_all(app, tenant=7) == 1

    assert alive([user, tenant]) == [True, False]


CALLS: list[Callable[..., Any]] = [
    lambda **index: sessions.find(**index),
    lambda **index: sessions.revoke_all(**index),
    lambda **index: sessions.epoch(**index),
    lambda **index: session.bind(**index),
    lambda **index: sessions.revoke("f" * 32 + "_65f00000", **(index or {"who": 1})),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "index",
    [
        {},
        {"user": 42},
        {"USER_ID": 42},
        {"user_id": 42, "tenant": 1},
        {"user_id": None},
        {"user_id": True},
        {"user_id": 42.0},
        {"user_id": b"42"},
        {"user_id": ["42"]},
    ],
    ids=repr,
)
def test_an_unknown_index_or_an_impossible_value_is_a_type_error(
    app: Flask, call: Callable[..., Any], index: dict[str, Any]
) -> None:
    """To find nothing quietly would leave sessions alive that somebody meant."""
    with app.test_request_context(), pytest.raises(TypeError):
        call(**index)


def test_only_the_name_that_somebody_types_may_be_empty(app: Flask) -> None:
    with app.test_request_context():
        epoch = sessions.epoch(user_id="")
        for call in (sessions.find, sessions.revoke_all, session.bind):
            with pytest.raises(TypeError, match="but is empty"):
                call(user_id="")

        assert epoch
        assert session.id is None


@pytest.mark.parametrize("value", [None, ""])
def test_a_session_whose_key_is_empty_belongs_to_nobody(app: Flask, value: Any) -> None:
    browser = Browser(app)
    browser.set(user_id=value, theme="dark")

    assert listed(app, str(value)) == set()
    assert found(app, user_id="None") == []
    assert browser.values() == {"user_id": value, "theme": "dark"}


def test_the_first_key_of_an_index_says_whose_the_session_is(app: Flask) -> None:
    browser = Browser(app)
    browser.set(_user_id="2")
    assert [i.id for i in found(app, user_id=2)] == [browser.id]

    browser.set(user_id=1)

    assert found(app, user_id=2) == []
    assert [i.id for i in found(app, user_id=1)] == [browser.id]


def test_a_callable_says_what_a_key_feeds_its_index(make_app: MakeApp) -> None:
    def user_of(get_id: str) -> str | None:
        return get_id.partition(":")[0] or None

    app = make_app(SRVSESSION_INDEXES={"user_id": {"_user_id": user_of, "uid": None}})
    browser, other = Browser(app), Browser(app)
    browser.set(_user_id="42:3")
    other.set(_user_id=":", uid=7)

    assert [i.id for i in found(app, user_id=42)] == [browser.id]
    assert [i.id for i in found(app, user_id=7)] == [other.id]
    assert revoke_all(app, user_id=42) == 1
    assert browser.values() == {}


def test_without_an_app_that_has_sessions_there_is_a_clear_error() -> None:
    from flask import Flask

    with Flask("other").app_context(), pytest.raises(RuntimeError, match="init_app"):
        sessions.find(user_id=42)


class Name(str, enum.Enum):
    ANN = "ann"


class Number(enum.IntEnum):
    SEVEN = 7


class TestEnumInAnIndex:
    @pytest.mark.parametrize(
        ("member", "alike"),
        [(Name.ANN, "ann"), (Number.SEVEN, 7), (Number.SEVEN, "7")],
    )
    def test_is_found_and_ended_by_its_value(
        self, app: Flask, member: object, alike: object
    ) -> None:
        [browser] = signed_in(app, member)

        assert [info.id for info in found(app, user_id=member)] == [browser.id]
        assert [info.id for info in found(app, user_id=alike)] == [browser.id]
        assert revoke_all(app, user_id=member) == 1
        assert browser.values() == {}

    def test_is_known_to_bind_where_another_key_has_it(self, app: Flask) -> None:
        browser = Browser(app)

        def login() -> None:
            session["_user_id"] = Name.ANN
            session.bind(user_id="ann")

        browser.do(login)
        assert browser.values() == {"_user_id": "ann"}

    @pytest.mark.parametrize("member", [Name.ANN, Number.SEVEN])
    def test_is_refused_with_an_epoch_that_is_over(
        self, app: Flask, member: object
    ) -> None:
        browser = Browser(app)

        def login() -> None:
            epoch = sessions.epoch(user_id=member)
            sessions.revoke_all(user_id=member)
            with pytest.raises(StaleLogin):
                session.bind(user_id=member, epoch=epoch)

        assert browser.do(login).status_code == 200
        assert browser.values() == {}


def app_with(**config: object) -> Flask:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="a long random text", TESTING=True, **config)
    return app


def test_a_user_may_be_called_none() -> None:
    app = app_with()
    sessions = ServerSession(app)
    app.add_url_rule("/", "in", lambda: session.bind(user_id="None") or "")

    app.test_client().get("/")

    with app.app_context():
        assert len(sessions.find(user_id="None")) == 1


def test_an_index_that_is_configured_later_lists_a_session_at_its_next_change(
    make_app: MakeApp,
) -> None:
    indexes = {"user_id": ("user_id",), "team": ("team",)}
    before = make_app(SRVSESSION_KEY_PREFIX="shop:")
    later = make_app(SRVSESSION_KEY_PREFIX="shop:", SRVSESSION_INDEXES=indexes)
    old = Browser(before)
    old.set(user_id=42, team="blue")
    browser = Browser(later, old.cookie)
    assert found(later, team="blue") == []

    browser.set(theme="dark")

    assert [info.id for info in found(later, team="blue")] == [browser.id]
    assert revoke_all(later, team="blue") == 1
    assert browser.values() == {}
