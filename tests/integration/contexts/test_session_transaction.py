"""Sessions that are opened by hand: in tests, and by Flask-SocketIO."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flask_srvsession import BackendError, TooManySessions, session
from flask_srvsession.backends import backend_from_url
from flask_srvsession.backends.memory import MemoryBackend
from tests.servers import free_port
from tests.web import Browser

from ..apps import (
    LosingBackend,
    listed,
    stored,
)

if TYPE_CHECKING:
    from tests.conftest import MakeApp


def test_session_transaction_prepares_a_session_for_the_next_request(
    make_app: MakeApp,
) -> None:
    browser = Browser(make_app())

    with browser.client.session_transaction() as prepared:
        prepared["cart"] = ["apple"]

    assert browser.values() == {"cart": ["apple"]}


def test_session_transaction_sees_and_changes_what_requests_stored(
    make_app: MakeApp,
) -> None:
    browser = Browser(make_app())
    browser.set(cart=["apple"])
    cookie = browser.cookie

    with browser.client.session_transaction() as found:
        assert found["cart"] == ["apple"]
        found["cart"].append("pear")

    assert browser.cookie == cookie
    assert browser.values() == {"cart": ["apple", "pear"]}


def test_session_transaction_can_log_in(make_app: MakeApp) -> None:
    browser = Browser(app := make_app())
    browser.set(cart=["apple"])
    before = browser.copy()

    with browser.client.session_transaction() as found:
        found["user_id"] = 42

    assert before.values() == {"cart": ["apple"]}  # for a moment, and only to be read
    assert browser.values() == {"cart": ["apple"], "user_id": 42}
    assert listed(app, 42) == {browser.id}


def test_session_transaction_can_log_out(make_app: MakeApp) -> None:
    browser = Browser(app := make_app())
    browser.set(user_id=42)
    session_id = browser.id

    with browser.client.session_transaction() as found:
        found.clear()

    assert not browser.has_cookie
    assert stored(app, session_id) is None


def test_session_transaction_raises_an_outage(make_app: MakeApp) -> None:
    nobody_listens = backend_from_url(f"redis://127.0.0.1:{free_port()}")
    browser = Browser(make_app(nobody_listens))

    with pytest.raises(BackendError), browser.client.session_transaction() as prepared:
        prepared["cart"] = ["apple"]

    assert not browser.has_cookie


def test_an_event_of_flask_socketio_raises_an_outage(make_app: MakeApp) -> None:
    """What it returns would tell the client that all was saved."""
    flask_socketio = pytest.importorskip("flask_socketio")
    storage = LosingBackend(MemoryBackend())
    app = make_app(storage)
    socketio = flask_socketio.SocketIO(
        app, manage_session=False, async_mode="threading"
    )
    socketio.on_event("add", lambda: session.update(cart=[1]))
    browser = Browser(app)
    browser.set(lang="de")
    cookie = {"Cookie": f"session={browser.cookie}"}
    client = socketio.test_client(app, headers=cookie)

    storage.lose(at_write=1)
    with pytest.raises(BackendError):
        client.emit("add", callback=True)


def test_session_transaction_raises_what_refuses_a_login(make_app: MakeApp) -> None:
    app = make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": 1}, SRVSESSION_MAX_PER_KEY_POLICY="reject"
    )
    Browser(app).set(user_id=42)
    browser = Browser(app)

    with (
        pytest.raises(TooManySessions),
        browser.client.session_transaction() as prepared,
    ):
        prepared["user_id"] = 42

    assert not browser.has_cookie


def test_session_transaction_that_only_looks_stores_nothing(make_app: MakeApp) -> None:
    browser = Browser(make_app())

    with browser.client.session_transaction() as found:
        assert "user_id" not in found

    assert not browser.has_cookie
