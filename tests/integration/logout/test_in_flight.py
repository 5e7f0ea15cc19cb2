"""Requests that are in flight while their session is ended bring nothing back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, flash
from flask_login import current_user, login_user

from flask_srvsession import (
    session,
    session_changes_dropped,
)
from tests.web import Browser, View

from ..apps import (
    User,
    cookie_headers,
    listed,
    new_cookies,
    sets_cookie,
    stored,
    together,
    use_flask_login,
)
from ..devices import (
    Act,
    advance_token,
    log_out,
    log_out_and_in,
    rotate,
    signed_in,
    user_of,
)
from .ways import clear, destroy, ending, with_cart

if TYPE_CHECKING:
    from flask import Flask

    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp


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
    "compute": lambda: str(session.compute("n", lambda n: (n or 0) + 1)),
    "flash": flash_something,
    "permanent": switch_permanent,
    "modified": force_a_save,
    "commit": lambda: (session.update(late=True), session.commit())[1],
    "log in as somebody else": lambda: session.update(user_id=43),
    "log out": lambda: session.pop("user_id") and None,
    "clear": clear,
    "clear and write": clear_and_write,
    "rotate": lambda: session.rotate(),
    "destroy": destroy,
}


READS: dict[str, View] = {
    "nothing more": lambda: None,
    "a key": lambda: str(session.get("user_id")),
    "all": lambda: str(dict(session)),
    "id": lambda: str(session.id),
}


@ending
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_reader_in_flight_leaves_the_session_dead_and_sends_no_cookie(
    make_app: MakeApp, end: View, read: View
) -> None:
    browser = with_cart(app := make_app())
    thief, session_id = browser.copy(), browser.id

    with browser.in_flight(read) as late:
        browser.do(end)

    assert late.response.status_code == 200
    assert cookie_headers(late.response) == []
    assert stored(app, session_id) is None
    assert thief.values() == {}


@pytest.mark.every_storage(
    "assign-destroy", "log in as somebody else-pop", "rotate-clear"
)
@ending
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_writer_in_flight_leaves_the_session_dead_and_sends_no_cookie(
    make_app: MakeApp, end: View, write: View
) -> None:
    browser = with_cart(app := make_app())
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
    browser = with_cart(app := make_app())
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
    browser = with_cart(app := make_app())
    session_id = browser.id

    with browser.in_flight(lambda: None, first=WRITES[write]) as late:
        browser.do(destroy)

    assert not sets_cookie(late.response)
    assert stored(app, session_id) is None


def test_a_reader_in_flight_that_is_due_to_renew_the_session_leaves_it_dead(
    make_app: MakeApp, clock: Any
) -> None:
    browser = with_cart(app := make_app())
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
    browser = with_cart(app := make_app())
    session_id = browser.id

    with browser.in_flight(lambda: session.bind(user_id=43)) as late:
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
    browser = with_cart(make_app())
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
    browser = with_cart(make_app())

    with browser.in_flight(lambda: str(dict(session)), first=lambda: None) as late:
        browser.do(destroy)

    assert late.response.text == "{}"
    assert cookie_headers(late.response) == []


@pytest.mark.every_storage
def test_two_logouts_at_once_both_succeed(make_app: MakeApp) -> None:
    browser = with_cart(app := make_app())
    session_id, other = browser.id, browser.copy()

    responses = together(lambda: browser.do(destroy), lambda: other.do(destroy))

    assert [response.status_code for response in responses] == [200, 200]
    assert stored(app, session_id) is None


@pytest.mark.every_storage
def test_a_logout_wins_against_any_number_of_writers(make_app: MakeApp) -> None:
    app = make_app()
    for _ in range(5):
        browser = with_cart(app)
        session_id, writers = browser.id, [browser.copy() for _ in range(8)]

        def write(writer: Browser) -> list[int]:
            def add_one() -> None:
                session.compute("n", lambda n: (n or 0) + 1)

            return [writer.do(add_one).status_code for _ in range(3)]

        answers = together(
            lambda: browser.do(destroy),  # noqa: B023
            *(lambda w=writer: write(w) for writer in writers),
        )

        assert answers[0].status_code == 200
        assert {code for codes in answers[1:] for code in codes} == {200}
        assert stored(app, session_id) is None
        assert listed(app, 42) == set()


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


@pytest.mark.parametrize("meanwhile", [log_out, log_out_and_in, rotate])
def test_a_reader_whose_renewal_finds_it_gone_sends_no_cookie(
    make_app: MakeApp, clock: FakeClock, meanwhile: Act
) -> None:
    [browser] = signed_in(make_app(SRVSESSION_TOUCH_INTERVAL=300))
    assert user_of(browser) == 42
    advance_token(browser.copy(), clock)  # a successor that did not arrive
    clock.advance(301)  # a renewal is due once more

    with browser.in_flight(lambda: None) as late:
        meanwhile(browser)

    assert cookie_headers(late.response) == []
    assert user_of(browser) == (None if meanwhile is log_out else 42)
