"""What a request does after its changes were dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from flask_srvsession import session
from tests.web import Browser

from ..apps import (
    cookie_headers,
    deletes_cookie,
    new_cookies,
)
from ..devices import (
    Act,
    found,
    log_out,
    log_out_and_in,
    rotate,
    signed_in,
)

if TYPE_CHECKING:
    from flask import Flask

    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


class TestAfterItsChangesWereDropped:
    @staticmethod
    def late(browser: Browser, meanwhile: Act, then: Callable[[], Any]) -> Any:
        """Return the response of a request that finds its session moved or gone when
        it commits, and then does something more."""

        def commit_and_go_on() -> None:
            session["a"] = 1
            session.commit()
            then()

        with browser.in_flight(commit_and_go_on) as late:
            meanwhile(browser)
        return late.response

    @pytest.mark.parametrize(
        "meanwhile", [log_out, log_out_and_in, lambda b: b.set(user_id=7)]
    )
    def test_a_request_begins_no_session_and_sets_no_cookie(
        self, app: Flask, meanwhile: Act
    ) -> None:
        [browser] = signed_in(app)
        ids: list[str | None] = []

        def write_on() -> None:
            session["flash"] = "saved"
            session.commit()
            ids.append(session.id)

        response = self.late(browser, meanwhile, write_on)

        assert response.status_code == 200
        assert ids == [None]
        assert cookie_headers(response) == []
        expected = [browser.id] if browser.has_cookie else []
        assert [info.id for info in found(app) + found(app, user_id=7)] == expected
        assert "flash" not in browser.values()

    def test_destroy_ends_what_the_session_moved_to(self, app: Flask) -> None:
        [browser] = signed_in(app)

        response = self.late(browser, rotate, lambda: session.destroy())

        assert deletes_cookie(response)
        assert browser.values() == {}
        assert found(app) == []

    def test_a_login_begins_a_session(self, app: Flask) -> None:
        [browser] = signed_in(app)

        response = self.late(
            browser, log_out, lambda: session.__setitem__("user_id", 7)
        )

        [cookie] = new_cookies(response)
        assert Browser(app, cookie).values() == {"user_id": 7}

    def test_a_cookie_that_found_a_tombstone_begins_no_session_in_two_writes(
        self, app: Flask
    ) -> None:
        [browser] = signed_in(app)
        old = browser.copy()
        rotate(browser)

        def write_twice() -> None:
            session["a"] = 1
            session.commit()
            session["b"] = 2

        response = old.do(write_twice)

        assert response.status_code == 200
        assert cookie_headers(response) == []
        assert browser.values() == {"user_id": 42}
