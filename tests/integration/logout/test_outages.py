"""A logout that the storage does not confirm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flask_srvsession import session
from flask_srvsession.backends import Backend
from tests.web import Browser, View

from ..apps import (
    LosingBackend,
    cookie_headers,
    deletes_cookie,
    each_write,
    sets_cookie,
    stored,
)
from ..devices import sessions
from .ways import clear, destroy, ending, with_cart

if TYPE_CHECKING:
    from tests.conftest import MakeApp


@pytest.mark.every_storage
@ending
def test_a_logout_that_the_storage_cannot_confirm_is_a_503_and_no_logout(
    make_app: MakeApp, backend: Backend, end: View
) -> None:
    losing = LosingBackend(backend)
    browser = with_cart(make_app(losing))
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


@pytest.mark.every_storage
@ending
def test_a_logout_of_which_one_answer_is_lost_is_done(
    make_app: MakeApp, backend: Backend, end: View
) -> None:
    losing, tried = LosingBackend(backend), 0
    app = make_app(losing)

    for nth in each_write(losing):
        browser = with_cart(app)
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
    browser = with_cart(make_app(losing))

    losing.lose(at_write=1, only_answer=True)
    response = browser.do(end)

    assert losing.has_failed
    assert deletes_cookie(response)


@pytest.mark.every_storage
@pytest.mark.parametrize("nth", [0, 1])
@pytest.mark.parametrize("way", ["revoke", "revoke_all", "destroy"])
def test_an_end_of_which_the_answer_is_lost_is_told_as_one(
    make_app: MakeApp,
    backend: Backend,
    caplog: pytest.LogCaptureFixture,
    way: str,
    nth: int,
) -> None:
    losing = LosingBackend(backend)
    browser = with_cart(make_app(losing))
    caplog.set_level("INFO", logger="flask_srvsession.audit")

    def end() -> str:
        losing.lose(at_write=nth, only_answer=True)
        match way:
            case "revoke":
                ended = int(sessions.revoke(session.id, user_id=42))
            case "revoke_all":
                ended = sessions.revoke_all(user_id=42)
            case _:
                session.destroy()
                ended = 1
        losing.recover()
        return f"{ended} {session.get('user_id')}"

    assert browser.does(end) == "1 None"

    told = [r for r in caplog.records if r.name == "flask_srvsession.audit"]
    assert len(told) == 1
    assert browser.values() == {}
