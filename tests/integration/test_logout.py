"""A session ends when it is ended: at once, for every copy, whoever is in flight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, flash, get_flashed_messages, session
from flask_login import current_user, login_user, logout_user

from flask_srvsession import session as typed_session
from flask_srvsession import session_changes_dropped, session_destroyed
from flask_srvsession.backends import Backend

from .apps import (
    Browser,
    LosingBackend,
    User,
    View,
    cookie_headers,
    deletes_cookie,
    each_write,
    listed,
    new_cookies,
    sets_cookie,
    stored,
    together,
    use_flask_login,
)
from .marks import ON_MEMORY

if TYPE_CHECKING:
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_database


def destroy() -> None:
    typed_session.destroy()


def clear() -> None:
    session.clear()


def pop_everything() -> None:
    for key in list(session):
        session.pop(key)


ENDINGS: dict[str, View] = {
    "destroy": destroy,
    "clear": clear,
    "pop": pop_everything,
}


def append_nested() -> None:
    session["cart"]["items"].append("late")


def switch_permanent() -> None:
    session.permanent = True


def force_a_save() -> None:
    session.modified = True


def clear_and_write() -> None:
    session.clear()
    session["late"] = True


def flash_something() -> None:
    flash("late")


WRITES: dict[str, View] = {
    "assign": lambda: session.update(late=True),
    "nested": append_nested,
    "remove": lambda: session.pop("cart"),
    "compute": lambda: str(typed_session.compute("n", lambda n: (n or 0) + 1)),
    "flash": flash_something,
    "permanent": switch_permanent,
    "modified": force_a_save,
    "commit": lambda: (session.update(late=True), typed_session.commit())[1],
    "log in as somebody else": lambda: session.update(user_id=43),
    "log out": lambda: session.pop("user_id") and None,
    "clear": clear,
    "clear and write": clear_and_write,
    "rotate": lambda: typed_session.rotate(),
    "destroy": destroy,
}
READS: dict[str, View] = {
    "nothing more": lambda: None,
    "a key": lambda: str(session.get("user_id")),
    "all": lambda: str(dict(session)),
    "id": lambda: str(typed_session.id),
}

ending = pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)


def signed_in(app: Flask, **values: Any) -> Browser:
    browser = Browser(app)
    browser.set(user_id=42, cart={"items": ["apple"]}, **values)
    return browser


@ending
def test_a_copied_cookie_is_anonymous_after_the_logout(
    make_app: MakeApp, end: View
) -> None:
    browser = signed_in(make_app())
    thief = browser.copy()
    assert thief.values()["user_id"] == 42

    browser.do(end)

    assert thief.values() == {}
    assert browser.values() == {}


@ending
def test_nothing_of_it_is_left_in_the_store(make_app: MakeApp, end: View) -> None:
    browser = signed_in(app := make_app())
    session_id = browser.id
    assert stored(app, session_id)
    assert listed(app, 42) == {session_id}

    browser.do(end)

    assert stored(app, session_id) is None
    assert listed(app, 42) == set()


def test_the_record_is_gone_as_soon_as_destroy_returns(make_app: MakeApp) -> None:
    browser = signed_in(app := make_app())
    session_id, left = browser.id, []

    def log_out() -> None:
        typed_session.destroy()
        left.append(stored(app, session_id))

    browser.do(log_out)

    assert left == [None]


def test_destroy_ends_a_session_that_this_request_has_not_looked_at_before(
    make_app: MakeApp,
) -> None:
    browser = signed_in(app := make_app())
    session_id = browser.id

    browser.do(destroy)

    assert stored(app, session_id) is None


@ending
def test_the_cookie_is_deleted(make_app: MakeApp, end: View) -> None:
    browser = signed_in(make_app())

    response = browser.do(end)

    assert deletes_cookie(response)
    assert not sets_cookie(response)
    assert not browser.has_cookie


@ending
def test_other_sessions_of_the_same_user_and_of_others_go_on(
    make_app: MakeApp, end: View
) -> None:
    app = make_app()
    browser, elsewhere = signed_in(app), signed_in(app, where="elsewhere")
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
    browser = signed_in(make_app())

    def log_out() -> None:
        session["last words"] = "bye"
        session["cart"]["items"].append("pear")
        typed_session.destroy()

    response = browser.do(log_out)

    assert deletes_cookie(response)
    assert browser.values() == {}


def test_destroy_twice_in_one_request_is_no_error(make_app: MakeApp) -> None:
    browser = signed_in(make_app())

    response = browser.do(lambda: (typed_session.destroy(), destroy())[1])

    assert response.status_code == 200
    assert deletes_cookie(response)


def test_what_is_written_after_destroy_is_a_new_session(make_app: MakeApp) -> None:
    browser = signed_in(app := make_app())
    thief, session_id = browser.copy(), browser.id

    def log_out() -> None:
        typed_session.destroy()
        assert dict(session) == {}
        flash("Bye")

    response = browser.do(log_out)

    assert sets_cookie(response)
    assert browser.id != session_id
    assert stored(app, session_id) is None
    assert thief.values() == {}
    messages = browser.do(lambda: get_flashed_messages())
    assert messages.get_json() == ["Bye"]


def test_a_session_that_was_created_and_destroyed_by_one_request_leaves_nothing(
    make_app: MakeApp,
) -> None:
    browser, ids = Browser(app := make_app()), []

    def create_and_destroy() -> None:
        session["user_id"] = 42
        typed_session.commit()
        ids.append(typed_session.id)
        typed_session.destroy()

    response = browser.do(create_and_destroy)

    assert ids[0] is not None
    assert stored(app, ids[0]) is None
    assert not sets_cookie(response)


def test_the_end_is_announced_once_it_is_done(make_app: MakeApp) -> None:
    browser = signed_in(app := make_app())
    session_id, heard = browser.id, []

    def hear(sender: Flask, info: Any) -> None:
        heard.append((sender, info.id, stored(app, info.id)))

    with session_destroyed.connected_to(hear):
        browser.do(destroy)

    assert heard == [(app, session_id, None)]


# -- requests in flight ---------------------------------------------------------------


@ending
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_reader_in_flight_leaves_the_session_dead_and_sends_no_cookie(
    make_app: MakeApp, end: View, read: View
) -> None:
    browser = signed_in(app := make_app())
    thief, session_id = browser.copy(), browser.id

    with browser.in_flight(read) as late:
        browser.do(end)

    assert late.response.status_code == 200
    assert cookie_headers(late.response) == []
    assert stored(app, session_id) is None
    assert thief.values() == {}


@ending
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_writer_in_flight_leaves_the_session_dead_and_sends_no_cookie(
    make_app: MakeApp, end: View, write: View
) -> None:
    browser = signed_in(app := make_app())
    thief, session_id = browser.copy(), browser.id

    with browser.in_flight(write) as late:
        browser.do(end)

    assert late.response.status_code == 200
    assert not sets_cookie(late.response)
    assert stored(app, session_id) is None
    assert listed(app, 42) == listed(app, 43) == set()
    assert thief.values() == {}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_request_that_had_written_before_the_logout_leaves_it_dead(
    make_app: MakeApp, write: View
) -> None:
    browser = signed_in(app := make_app())
    thief = browser.copy()

    with browser.in_flight(lambda: None, first=write) as late:
        browser.do(destroy)

    assert late.response.status_code == 200
    assert listed(app, 42) == listed(app, 43) == set()
    assert thief.values() == {}
    for sent in new_cookies(late.response):  # of what rotate() had begun
        assert stored(app, sent.partition(".")[0]) is None
        assert Browser(app, sent).values() == {}


@pytest.mark.parametrize("write", sorted(WRITES.keys() - {"rotate"}))
def test_what_had_not_begun_a_new_session_before_the_logout_sends_no_cookie(
    make_app: MakeApp, write: str
) -> None:
    browser = signed_in(app := make_app())
    session_id = browser.id

    with browser.in_flight(lambda: None, first=WRITES[write]) as late:
        browser.do(destroy)

    assert not sets_cookie(late.response)
    assert stored(app, session_id) is None


def test_a_reader_in_flight_that_is_due_to_renew_the_session_leaves_it_dead(
    make_app: MakeApp, clock: Any
) -> None:
    browser = signed_in(app := make_app())
    thief, session_id = browser.copy(), browser.id
    clock.advance(3600)

    with browser.in_flight(lambda: None) as late:
        browser.do(destroy)

    assert cookie_headers(late.response) == []
    assert stored(app, session_id) is None
    assert thief.values() == {}


def test_bind_in_flight_is_refused_where_somebody_was_logged_in(
    make_app: MakeApp,
) -> None:
    browser = signed_in(app := make_app())
    session_id = browser.id

    with browser.in_flight(lambda: typed_session.bind(user_id=43)) as late:
        browser.do(destroy)

    assert late.response.status_code == 409
    assert cookie_headers(late.response) == []
    assert stored(app, session_id) is None
    assert listed(app, 43) == set()


@pytest.mark.parametrize("key", ["username", "user", "_user_id"])
def test_any_login_key_makes_a_session_one_that_nobody_goes_on_with(
    make_app: MakeApp, key: str
) -> None:
    browser = Browser(app := make_app())
    browser.set(**{key: "ada"})
    session_id = browser.id

    with browser.in_flight(lambda: session.update(late=True)) as late:
        browser.do(destroy)

    assert cookie_headers(late.response) == []
    assert stored(app, session_id) is None


def test_who_dropped_changes_says_so(make_app: MakeApp) -> None:
    browser = signed_in(make_app())
    session_id, heard = browser.id, []

    def hear(sender: Flask, info: Any) -> None:
        heard.append(info.id)

    with (
        session_changes_dropped.connected_to(hear),
        browser.in_flight(lambda: session.update(late=True)),
    ):
        browser.do(destroy)

    assert heard == [session_id]


def test_an_anonymous_writer_in_flight_begins_a_new_session_with_its_own_change(
    make_app: MakeApp,
) -> None:
    browser = Browser(app := make_app())
    browser.set(cart=["apple"], seen=1)
    thief, session_id = browser.copy(), browser.id

    with browser.in_flight(lambda: session.update(late=True)) as late:
        browser.do(destroy)

    assert stored(app, session_id) is None
    assert thief.values() == {}
    [sent] = new_cookies(late.response)
    fresh = Browser(app, sent)
    assert fresh.id != session_id
    assert fresh.values() == {"late": True}


def test_an_anonymous_request_in_flight_that_only_removes_begins_nothing(
    make_app: MakeApp,
) -> None:
    browser = Browser(app := make_app())
    browser.set(cart=["apple"], seen=1)
    session_id = browser.id

    with browser.in_flight(lambda: str(session.pop("seen"))) as late:
        browser.do(destroy)

    assert late.response.text == "1"
    assert cookie_headers(late.response) == []
    assert stored(app, session_id) is None


def test_an_anonymous_reader_in_flight_begins_nothing(make_app: MakeApp) -> None:
    browser = Browser(app := make_app())
    browser.set(cart=["apple"])
    session_id = browser.id

    with browser.in_flight(lambda: str(session["cart"])) as late:
        browser.do(destroy)

    assert late.response.text == "['apple']"
    assert cookie_headers(late.response) == []
    assert stored(app, session_id) is None


def test_a_request_that_loads_after_the_logout_finds_nothing(
    make_app: MakeApp,
) -> None:
    browser = signed_in(make_app())

    with browser.in_flight(lambda: str(dict(session)), first=lambda: None) as late:
        browser.do(destroy)

    assert late.response.text == "{}"
    assert cookie_headers(late.response) == []


def test_two_logouts_at_once_both_succeed(make_app: MakeApp) -> None:
    browser = signed_in(app := make_app())
    session_id, other = browser.id, browser.copy()

    responses = together(lambda: browser.do(destroy), lambda: other.do(destroy))

    assert [response.status_code for response in responses] == [200, 200]
    assert stored(app, session_id) is None


def test_a_logout_wins_against_any_number_of_writers(make_app: MakeApp) -> None:
    app = make_app()
    for _ in range(5):
        browser = signed_in(app)
        session_id, writers = browser.id, [browser.copy() for _ in range(8)]

        def write(writer: Browser) -> list[int]:
            def add_one() -> None:
                typed_session.compute("n", lambda n: (n or 0) + 1)

            return [writer.do(add_one).status_code for _ in range(3)]

        answers = together(
            lambda: browser.do(destroy),  # noqa: B023
            *(lambda w=writer: write(w) for writer in writers),
        )

        assert answers[0].status_code == 200
        assert {code for codes in answers[1:] for code in codes} == {200}
        assert stored(app, session_id) is None
        assert listed(app, 42) == set()


# -- a storage that fails -------------------------------------------------------------


@ending
def test_a_logout_that_the_storage_cannot_confirm_is_a_503_and_no_logout(
    make_app: MakeApp, backend: Backend, end: View
) -> None:
    losing = LosingBackend(backend)
    browser = signed_in(make_app(losing))
    cookie = browser.cookie

    losing.lose(at_write=1)
    response = browser.do(end)
    losing.recover()

    assert response.status_code == 503
    assert cookie_headers(response) == []
    assert browser.cookie == cookie
    assert browser.values()["user_id"] == 42
    browser.do(end)
    assert Browser(browser.app, cookie).values() == {}


@ending
def test_a_logout_of_which_one_answer_is_lost_is_done(
    make_app: MakeApp, backend: Backend, end: View
) -> None:
    losing, tried = LosingBackend(backend), 0
    app = make_app(losing)

    for nth in each_write(losing):
        browser = signed_in(app)
        thief, session_id = browser.copy(), browser.id
        losing.lose(at_write=nth, only_answer=True)
        response = browser.do(end)
        losing.recover()

        tried += 1
        assert response.status_code == 200
        assert not sets_cookie(response)
        assert stored(app, session_id) is None
        assert thief.values() == {}

    assert tried >= 2


@pytest.mark.parametrize("end", [destroy, clear])
def test_the_cookie_is_deleted_also_where_the_answer_to_a_destroy_is_lost(
    make_app: MakeApp, backend: Backend, end: View
) -> None:
    losing = LosingBackend(backend)
    browser = signed_in(make_app(losing))

    losing.lose(at_write=1, only_answer=True)
    response = browser.do(end)

    assert losing.has_failed
    assert deletes_cookie(response)


# -- Flask-Login ----------------------------------------------------------------------


def test_after_logout_user_and_destroy_a_copy_is_anonymous(make_app: MakeApp) -> None:
    use_flask_login(app := make_app())
    browser = Browser(app)
    browser.do(lambda: login_user(User("42")) and None)
    thief, session_id = browser.copy(), browser.id
    assert thief.do(lambda: str(current_user.get_id())).text == "42"

    browser.do(lambda: (logout_user(), destroy())[1])

    assert stored(app, session_id) is None
    assert thief.do(lambda: str(current_user.get_id())).text == "None"


def test_a_view_of_flask_login_in_flight_leaves_the_session_dead(
    make_app: MakeApp,
) -> None:
    use_flask_login(app := make_app())
    browser = Browser(app)
    browser.do(lambda: login_user(User("42")) and None)
    thief, session_id = browser.copy(), browser.id

    def write() -> None:
        session["late"] = current_user.get_id()

    with browser.in_flight(write, first=lambda: current_user.get_id()) as late:
        browser.do(destroy)

    assert cookie_headers(late.response) == []
    assert stored(app, session_id) is None
    assert thief.values() == {}


@ON_MEMORY
def test_a_logout_follows_any_number_of_rotations(make_app: MakeApp) -> None:
    def rotate_often() -> None:
        for _ in range(1200):
            typed_session.rotate()

    browser = Browser(make_app())
    browser.set(user_id=42)
    before = browser.copy()
    browser.do(rotate_often)

    assert before.do(destroy).status_code == 200
    assert browser.values() == {}
