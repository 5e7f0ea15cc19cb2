"""Nobody is logged out by the switch, and what is ended afterwards is ended."""

from __future__ import annotations

import json
import logging
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from flask import Flask
from pymemcache import PooledClient

from flask_srvsession import ServerSession, session, session_created
from flask_srvsession.take_over import FlaskSessionSource
from flask_srvsession.testing import FakeClock
from tests.integration.apps import cookie_headers, listed, sets_cookie, together
from tests.servers import Server
from tests.web import Browser

from .conftest import TakingApp
from .former import QUICK, FormerApp


def sessions_of(app: Flask, user_id: object = 42) -> list[str]:
    with app.app_context():
        return [info.id for info in ServerSession().find(user_id=user_id)]


def test_a_session_goes_on_with_all_that_it_holds(
    former: FormerApp, taking_app: TakingApp
) -> None:
    cookie = former.sign_in(cart=["apple", {"n": 3}], name="ann", none=None)
    app = taking_app(former.make_source())
    browser = Browser(app, cookie)

    first = browser.values()

    assert first == {
        "user_id": 42,
        "cart": ["apple", {"n": 3}],
        "name": "ann",
        "none": None,
    }
    assert browser.cookie.count(".") == 3
    assert browser.values() == first
    assert sessions_of(app) == [browser.id]


def test_a_session_that_was_taken_over_is_not_in_its_source_any_more(
    former: FormerApp, taking_app: TakingApp
) -> None:
    cookie = former.sign_in()
    assert former.values(cookie) == {"user_id": 42}

    Browser(taking_app(former.make_source()), cookie).values()

    assert former.values(cookie) == ({} if former.keeps_records else {"user_id": 42})


def test_memcached_confirms_that_a_session_is_not_in_it_any_more(
    memcached_server: Server,
) -> None:
    """Its client would wait for no answer, and hear of no failure."""
    with closing(PooledClient(("127.0.0.1", memcached_server.port))) as client:
        delete = FlaskSessionSource.memcached(client)._delete
        client.set("there", b"", noreply=False)

        assert [delete("there"), delete("there")] == [True, False]


@pytest.mark.parametrize("permanent", [True, False])
def test_permanent_stays_what_it_was(
    former: FormerApp, taking_app: TakingApp, permanent: bool
) -> None:
    cookie = former.sign_in(_permanent=permanent)
    browser = Browser(taking_app(former.make_source()), cookie)

    response = browser.do(lambda: session.permanent)

    assert response.text == str(permanent)
    [header] = cookie_headers(response)
    assert ("Expires" in header) is permanent


def test_the_requests_of_one_page_find_one_session_and_lose_no_change(
    former: FormerApp, taking_app: TakingApp
) -> None:
    """30 page loads of 6 requests at once, every second of which writes."""
    load_pages(former, taking_app(former.make_source()), 30)


@pytest.mark.every_storage
@pytest.mark.parametrize("former", ["cookie"], indirect=True)
def test_so_they_do_on_each_storage_of_ours(
    former: FormerApp, taking_app: TakingApp
) -> None:
    load_pages(former, taking_app(former.make_source()), 30)


def load_pages(former: FormerApp, app: Flask, count: int) -> None:
    Browser(app).do()
    for user in range(100, 100 + count):
        cookie = former.sign_in(user)
        page = [Browser(app, cookie) for _ in range(6)]
        views = [_view(number) for number in range(6)]

        answers = together(
            *[partial(b.do, view) for b, view in zip(page, views, strict=True)]
        )

        assert [answer.text for answer in answers] == [str(user)] * 6
        assert {browser.id for browser in page} == {*sessions_of(app, user)}
        assert listed(app, user) == {page[0].id}
        written = {f"key{number}": number for number in (0, 2, 4)}
        assert page[0].values() == {"user_id": user, **written}


def _view(number: int) -> Any:
    def view() -> str:
        if number % 2 == 0:
            session[f"key{number}"] = number
        return str(session.get("user_id"))

    return view


def test_a_logout_ends_the_old_credential_at_once(
    former: FormerApp, taking_app: TakingApp
) -> None:
    cookie = former.sign_in()
    app = taking_app(former.make_source())
    browser = Browser(app, cookie)
    browser.values()

    browser.do(lambda: session.destroy())

    assert Browser(app, cookie).values() == {}
    assert not browser.has_cookie


def test_a_logout_by_the_old_cookie_itself_ends_it(
    former: FormerApp, taking_app: TakingApp
) -> None:
    cookie = former.sign_in()
    app = taking_app(former.make_source())

    Browser(app, cookie).do(lambda: session.destroy())

    assert Browser(app, cookie).values() == {}
    assert sessions_of(app) == []


def test_a_logout_after_the_grace_ends_it(
    former: FormerApp, taking_app: TakingApp, clock: FakeClock
) -> None:
    cookie = former.sign_in()
    app = taking_app(former.make_source())
    browser = Browser(app, cookie)
    browser.values()
    browser.values()
    clock.advance(121)

    browser.do(lambda: session.destroy())

    assert Browser(app, cookie).values() == {}


@pytest.mark.parametrize("end", ["revoke", "revoke_all"])
def test_a_revocation_ends_the_old_credential(
    former: FormerApp, taking_app: TakingApp, end: str
) -> None:
    cookie = former.sign_in()
    app = taking_app(former.make_source())
    browser = Browser(app, cookie)
    browser.values()

    with app.app_context():
        if end == "revoke":
            assert ServerSession().revoke(browser.id)
        else:
            assert ServerSession().revoke_all(user_id=42) == 1

    assert Browser(app, cookie).values() == {}


def test_an_old_cookie_that_is_replayed_after_the_grace_ends_the_session(
    former: FormerApp,
    taking_app: TakingApp,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is an outdated token, as any other: somebody has copied it."""
    cookie = former.sign_in()
    app = taking_app(former.make_source())
    browser = Browser(app, cookie)
    browser.values()
    assert browser.values() == {"user_id": 42}
    assert Browser(app, cookie).values() == {"user_id": 42}, "within the grace"
    clock.advance(121)

    assert Browser(app, cookie).values() == {}

    assert "outdated cookie" in caplog.text
    assert browser.values() == {}


def test_a_response_that_was_lost_hurts_nobody(
    former: FormerApp, taking_app: TakingApp, clock: FakeClock
) -> None:
    """The old cookie is good until the client has shown the new one."""
    cookie = former.sign_in()
    app = taking_app(former.make_source())
    Browser(app, cookie).values()
    clock.advance(3600)

    browser = Browser(app, cookie)

    assert browser.values() == {"user_id": 42}
    assert browser.values() == {"user_id": 42}


def test_the_old_credential_stays_dead_for_as_long_as_it_would_have_lived(
    former: FormerApp, taking_app: TakingApp, clock: FakeClock
) -> None:
    cookie = former.sign_in()
    app = taking_app(former.make_source())
    Browser(app, cookie).do(lambda: session.destroy())

    for _ in range(4):
        clock.advance(8 * 86400 - 60)

        assert Browser(app, cookie).values() == {}


def test_a_login_during_the_take_over_goes_first(
    former: FormerApp, taking_app: TakingApp
) -> None:
    cookie = former.sign_in()
    app = taking_app(former.make_source())
    browser = Browser(app, cookie)
    browser.do()

    with browser.in_flight(lambda: session.update(cart=["late"])) as late:
        browser.set(user_id=7)

    assert not sets_cookie(late.response)
    assert browser.values() == {"user_id": 7}
    assert Browser(app, cookie).values() == {}


def test_without_rotation_the_cookie_is_set_as_well(
    former: FormerApp, taking_app: TakingApp
) -> None:
    app = taking_app(former.make_source(), SRVSESSION_ROTATE_EVERY=None)
    cookie = former.sign_in()
    browser = Browser(app, cookie)

    assert browser.values() == {"user_id": 42}
    assert browser.cookie.count(".") == 3
    browser.do(lambda: session.destroy())
    assert Browser(app, cookie).values() == {}


@pytest.mark.every_storage
@pytest.mark.parametrize("former", ["cookie"], indirect=True)
def test_it_is_told_once_that_it_began_and_once_that_it_ended(
    former: FormerApp, taking_app: TakingApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flask_srvsession.audit")
    app = taking_app(former.make_source())
    began: list[tuple[str, bool]] = []

    def note(sender: Flask, info: Any) -> None:
        began.append((info.id, info.is_current))

    with session_created.connected_to(note, app):
        browser = Browser(app, former.sign_in())
        late = browser.copy()
        browser.values()
        late.values()
        ended = browser.id
        browser.do(lambda: session.destroy())
        late.do(lambda: session.destroy())

    assert began == [(ended, True)]
    [line] = [json.loads(r.getMessage()) for r in caplog.records if "audit" in r.name]
    assert (line["session"], line["reason"]) == (ended, "logout")


def test_sessions_under_a_limit_are_not_ended_by_the_requests_of_their_own_page(
    former: FormerApp, taking_app: TakingApp
) -> None:
    """A request that loses the race has listed nothing, and so ends nobody."""
    app = taking_app(former.make_source(), SRVSESSION_MAX_PER_KEY={"user_id": 1})
    Browser(app).do()

    for user in range(5):
        cookie = former.sign_in(user)
        page = [Browser(app, cookie) for _ in range(6)]

        together(*[browser.values for browser in page])

        assert page[0].values() == {"user_id": user}


@pytest.mark.parametrize("former", QUICK, indirect=True)
def test_the_cookie_of_another_name_is_deleted_with_the_take_over(
    former: FormerApp, taking_app: TakingApp
) -> None:
    cookie = former.sign_in()
    source = former.make_source(cookie_name="session")
    app = taking_app(source, SESSION_COOKIE_NAME="ours")
    browser = Browser(app, cookie)

    assert browser.values() == {"user_id": 42}

    assert not browser.has_cookie
    assert browser.client.get_cookie("ours") is not None
    assert browser.values() == {"user_id": 42}


def test_the_log_has_nothing_of_a_credential(
    former: FormerApp, taking_app: TakingApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    cookie = former.sign_in(secret="swordfish")
    app = taking_app(former.make_source())
    Browser(app, cookie).do(lambda: session.destroy())
    Browser(app, cookie).values()

    assert cookie.partition(".")[0] not in caplog.text
    assert "swordfish" not in caplog.text
