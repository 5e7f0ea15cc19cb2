"""A session ends when it is ended: at once, and for every copy of its cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, flash, get_flashed_messages
from flask_login import current_user, login_user, logout_user

from flask_srvsession import (
    session,
    session_destroyed,
)
from flask_srvsession.serializers import MsgpackSerializer
from tests.web import Browser, View

from ..apps import (
    User,
    cookie_headers,
    deletes_cookie,
    listed,
    sets_cookie,
    stored,
    use_flask_login,
)
from .ways import destroy, ending, with_cart

if TYPE_CHECKING:
    from flask import Flask

    from tests.conftest import MakeApp


@ending
def test_a_copied_cookie_is_anonymous_after_the_logout(
    make_app: MakeApp, end: View
) -> None:
    browser = with_cart(make_app())
    thief = browser.copy()
    assert thief.values()["user_id"] == 42

    browser.do(end)

    assert thief.values() == {}
    assert browser.values() == {}


@ending
def test_nothing_of_it_is_left_in_the_store(make_app: MakeApp, end: View) -> None:
    browser = with_cart(app := make_app())
    session_id = browser.id
    assert stored(app, session_id)
    assert listed(app, 42) == {session_id}

    browser.do(end)

    assert stored(app, session_id) is None
    assert listed(app, 42) == set()


def test_the_record_is_gone_as_soon_as_destroy_returns(make_app: MakeApp) -> None:
    browser = with_cart(app := make_app())
    session_id, left = browser.id, []

    def log_out() -> None:
        session.destroy()
        left.append(stored(app, session_id))

    browser.do(log_out)

    assert left == [None]


def test_destroy_ends_a_session_that_this_request_has_not_looked_at_before(
    make_app: MakeApp,
) -> None:
    browser = with_cart(app := make_app())
    session_id = browser.id

    browser.do(destroy)

    assert stored(app, session_id) is None


@ending
def test_the_cookie_is_deleted(make_app: MakeApp, end: View) -> None:
    browser = with_cart(make_app())

    response = browser.do(end)

    assert deletes_cookie(response)
    assert not sets_cookie(response)
    assert not browser.has_cookie


@ending
def test_other_sessions_of_the_same_user_and_of_others_go_on(
    make_app: MakeApp, end: View
) -> None:
    app = make_app()
    browser, elsewhere = with_cart(app), with_cart(app, where="elsewhere")
    somebody = Browser(app)
    somebody.set(user_id=7)
    nobody = Browser(app)
    nobody.set(cart="pear")

    browser.do(end)

    assert elsewhere.values()["where"] == "elsewhere"
    assert listed(app, 42) == {elsewhere.id}
    assert somebody.values() == {"user_id": 7}
    assert nobody.values() == {"cart": "pear"}


def test_destroy_ends_an_anonymous_session_too(make_app: MakeApp) -> None:
    browser = Browser(app := make_app())
    browser.set(cart=["apple"])
    thief, session_id = browser.copy(), browser.id

    response = browser.do(destroy)

    assert stored(app, session_id) is None
    assert thief.values() == {}
    assert deletes_cookie(response)


def test_destroy_without_a_session_is_no_error_and_sends_no_cookie(
    make_app: MakeApp,
) -> None:
    response = Browser(make_app()).do(destroy)

    assert response.status_code == 200
    assert cookie_headers(response) == []


def test_destroy_also_drops_what_this_request_had_changed(make_app: MakeApp) -> None:
    browser = with_cart(make_app())

    def log_out() -> None:
        session["last words"] = "bye"
        session["cart"]["items"].append("pear")
        session.destroy()

    response = browser.do(log_out)

    assert deletes_cookie(response)
    assert browser.values() == {}


def test_destroy_twice_in_one_request_is_no_error(make_app: MakeApp) -> None:
    browser = with_cart(make_app())

    response = browser.do(lambda: (session.destroy(), destroy())[1])

    assert response.status_code == 200
    assert deletes_cookie(response)


def test_what_is_written_after_destroy_is_a_new_session(make_app: MakeApp) -> None:
    browser = with_cart(app := make_app())
    thief, session_id = browser.copy(), browser.id

    def log_out() -> None:
        session.destroy()
        assert dict(session) == {}
        flash("Bye")

    response = browser.do(log_out)

    assert sets_cookie(response)
    assert browser.id != session_id
    assert stored(app, session_id) is None
    assert thief.values() == {}
    assert browser.does(lambda: get_flashed_messages()) == "['Bye']"


def test_what_was_flashed_before_clear_is_shown_to_nobody(make_app: MakeApp) -> None:
    browser = with_cart(make_app())
    browser.does(lambda: flash("Dear Ann"))

    browser.does(lambda: (session.clear(), flash("Bye")))

    assert browser.does(lambda: get_flashed_messages()) == "['Bye']"


def test_a_session_that_was_created_and_destroyed_by_one_request_leaves_nothing(
    make_app: MakeApp,
) -> None:
    browser, ids = Browser(app := make_app()), []

    def create_and_destroy() -> None:
        session["user_id"] = 42
        session.commit()
        ids.append(session.id)
        session.destroy()

    response = browser.do(create_and_destroy)

    assert ids[0] is not None
    assert stored(app, ids[0]) is None
    assert not sets_cookie(response)


def test_the_end_is_announced_once_it_is_done(make_app: MakeApp) -> None:
    browser = with_cart(app := make_app())
    session_id, heard = browser.id, []

    def hear(sender: Flask, info: Any) -> None:
        heard.append((sender, info.id, stored(app, info.id)))

    with session_destroyed.connected_to(hear):
        browser.do(destroy)

    assert heard == [(app, session_id, None)]


def test_after_logout_user_and_destroy_a_copy_is_anonymous(make_app: MakeApp) -> None:
    use_flask_login(app := make_app())
    browser = Browser(app)
    browser.do(lambda: login_user(User("42")) and None)
    thief, session_id = browser.copy(), browser.id
    assert thief.do(lambda: str(current_user.get_id())).text == "42"

    browser.do(lambda: (logout_user(), destroy())[1])

    assert stored(app, session_id) is None
    assert thief.do(lambda: str(current_user.get_id())).text == "None"


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


@pytest.mark.parametrize("refused", [{"x": 1}, 42], ids=["thing", "user_id"])
def test_destroy_ends_a_session_with_a_value_that_does_not_decode(
    make_app: MakeApp, refused: object
) -> None:
    serializer = Choosy()
    app = make_app(SRVSESSION_SERIALIZER=serializer)
    browser = Browser(app)
    browser.set(user_id=42, thing={"x": 1})
    copy, session_id = browser.copy(), browser.id
    serializer.refused = refused

    def look_and_destroy() -> None:
        assert session.get("thing") is None
        session.destroy()

    response = browser.do(look_and_destroy)

    serializer.refused = None
    assert deletes_cookie(response)
    assert stored(app, session_id) is None
    assert copy.values() == {}


class Choosy(MsgpackSerializer):
    """A serializer that can be told not to know a value, as an older release."""

    refused: object = None

    def loads(self, data: bytes) -> Any:
        value = super().loads(data)
        if self.refused is not None and value == self.refused:
            raise ValueError("unknown")
        return value
