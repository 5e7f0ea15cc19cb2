"""A request waits for one timeout, whatever it asks a storage that hangs."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from flask_srvsession import BackendError, session
from tests.web import Browser

from .apps import (
    WatchedBackend,
    listed,
)
from .devices import (
    sessions,
    signed_in,
)

if TYPE_CHECKING:
    from flask import Flask

    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


class TestARequestWaitsForOneTimeout:
    def test_for_epoch_and_an_error_page_that_reads_the_session(
        self, make_app: MakeApp, watched: WatchedBackend
    ) -> None:
        app = make_app(watched, TESTING=False)
        app.register_error_handler(503, lambda error: (str(session.get("lang")), 503))
        [browser] = signed_in(app)
        watched.hang()

        response = browser.do(lambda: sessions.epoch(user_id=7))

        assert response.status_code == 503
        assert watched.timeouts == 1

    def test_for_each_way_to_ask_after_another(
        self, make_app: MakeApp, watched: WatchedBackend
    ) -> None:
        [browser] = signed_in(make_app(watched))
        watched.hang()

        def ask() -> None:
            methods = (sessions.epoch, sessions.find, sessions.revoke_all)
            for method in (*methods, sessions.epoch):
                with pytest.raises(BackendError):
                    method(user_id=7)
            with pytest.raises(BackendError):
                len(session)

        browser.do(ask)

        assert watched.timeouts == 1

    def test_for_a_search_and_a_renewal(
        self, make_app: MakeApp, clock: FakeClock, watched: WatchedBackend
    ) -> None:
        [browser] = signed_in(make_app(watched))
        clock.advance(3600)

        def read_and_find() -> None:
            assert len(session) == 1
            watched.hang()
            with pytest.raises(BackendError):
                sessions.find(user_id=7)

        browser.do(read_and_find)

        assert watched.timeouts == 1

    def test_for_a_logout_with_several_indexes(
        self, make_app: MakeApp, watched: WatchedBackend
    ) -> None:
        indexes = {name: (name,) for name in ("user_id", "tenant", "device")}
        app = make_app(watched, SRVSESSION_INDEXES=indexes)
        browser = Browser(app)
        browser.set(user_id=1, tenant=2, device=3)
        copy = browser.copy()
        watched.hang(at=lambda name: name == "index.remove")

        response = browser.do(lambda: session.destroy())

        assert response.status_code == 200
        assert watched.timeouts == 1
        watched.answer()
        assert copy.values() == {}

    def test_to_unlist_however_many_sessions_it_ends(
        self, make_app: MakeApp, watched: WatchedBackend
    ) -> None:
        """Each of them is in another list, too, which does not answer."""
        indexes = {name: (name,) for name in ("user_id", "device")}
        app = make_app(watched, SRVSESSION_INDEXES=indexes)
        browsers = [Browser(app) for _ in range(3)]
        for browser in browsers:
            browser.set(user_id=1, device=2)
        lists = count()
        watched.hang(at=lambda name: name == "index.remove" and next(lists) > 0)

        with app.app_context():
            ended = sessions.revoke_all(user_id=1)

        assert ended == 3
        assert watched.timeouts == 1
        assert listed(app, 1) == set()


def test_what_was_not_unlisted_for_one_is_unlisted_for_others(
    make_app: MakeApp, watched: WatchedBackend
) -> None:
    """Else who moves to another tenant would be ended with the former one."""
    indexes = {name: (name,) for name in ("user_id", "tenant")}
    app = make_app(watched, SRVSESSION_INDEXES=indexes)
    stranger, mover = Browser(app), Browser(app)
    stranger.set(user_id=1)
    mover.set(user_id=2, tenant="red")
    watched.hang(at=lambda name: name == "index.remove")
    stranger.do(lambda: session.destroy())
    watched.answer()

    mover.set(tenant="blue")
    with app.app_context():
        sessions.revoke_all(tenant="red")

    assert mover.values() == {"user_id": 2, "tenant": "blue"}


def test_an_error_page_that_fails_itself_is_a_503_and_is_logged(
    make_app: MakeApp, watched: WatchedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    def mistaken(error: BackendError) -> str:
        raise ZeroDivisionError

    app = make_app(watched, TESTING=False)
    app.register_error_handler(503, mistaken)
    browser = Browser(app)
    watched.lose(at_write=0)

    response = browser.set(a=1)

    assert response.status_code == 503
    assert "ZeroDivisionError" in caplog.text
