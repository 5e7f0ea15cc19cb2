"""Events of Flask-SocketIO, the real package: no cookie can be set in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from flask_login import login_user, logout_user

from flask_srvsession import BackendError, ServerSession, session
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.testing import FakeClock
from tests.web import Browser

from ..apps import LosingBackend, User, use_flask_login

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import MakeApp

flask_socketio = pytest.importorskip("flask_socketio")

MINUTE = 60
IN = {"user_id": 42, "cart": ["apple"]}
OUT: dict[str, Any] = {"cart": ["apple"]}


def client_of(app: Flask, browser: Browser, event: Callable[[], Any]) -> Any:
    socketio = flask_socketio.SocketIO(
        app, manage_session=False, async_mode="threading"
    )
    socketio.on_event("do", event)
    cookie = {"Cookie": f"session={browser.cookie}"}
    return socketio.test_client(app, headers=cookie)


def with_values(app: Flask, **values: Any) -> Browser:
    browser = Browser(app)
    browser.set(**values)
    browser.values()
    return browser


@pytest.mark.every_storage
@pytest.mark.parametrize(
    "read", [lambda: session.get("user_id"), lambda: dict(session)["user_id"]]
)
def test_that_only_read_keep_a_session_alive(
    make_app: MakeApp, clock: FakeClock, read: Callable[[], Any]
) -> None:
    app = make_app(SRVSESSION_IDLE_TIMEOUT=10 * MINUTE)
    browser = with_values(app, user_id=42)
    client = client_of(app, browser, read)

    for _ in range(8):
        clock.advance(2 * MINUTE)
        assert client.emit("do", callback=True) == 42

    assert browser.values() == {"user_id": 42}


def test_that_only_read_do_so_whichever_extension_came_first(clock: FakeClock) -> None:
    app = Flask("late")
    app.config.update(SECRET_KEY="secret", SRVSESSION_IDLE_TIMEOUT=10 * MINUTE)
    socketio = flask_socketio.SocketIO(
        app, manage_session=False, async_mode="threading", async_handlers=False
    )
    socketio.on_event("do", lambda: session.get("user_id"))
    ServerSession().init_app(app, clock=clock)
    browser = with_values(app, user_id=42)
    url = "/socket.io/?EIO=4&transport=polling"
    opened = json.loads(browser.client.get(url).text[1:])
    url += f"&sid={opened['sid']}"
    browser.client.post(url, data="40")

    for _ in range(8):
        clock.advance(2 * MINUTE)
        browser.client.post(url, data='42["do"]')

    assert browser.values() == {"user_id": 42}


MOVES: dict[str, tuple[dict[str, Any], Callable[[], object]]] = {
    "login": (OUT, lambda: session.update(user_id=42)),
    "login by bind": (OUT, lambda: session.bind(user_id=42)),
    "login by Flask-Login": (OUT, lambda: login_user(User("42"))),
    "login of another": (IN, lambda: session.update(user_id=7)),
    "logout by pop": (IN, lambda: session.pop("user_id")),
    "logout by del": (IN, lambda: session.__delitem__("user_id")),
    "logout by None": (IN, lambda: session.update(user_id=None)),
    "logout by Flask-Login": ({**OUT, "_user_id": "42"}, logout_user),
    "rotate": (IN, lambda: session.rotate()),
    "clear and fill": (IN, lambda: [session.clear(), session.update(a=1)]),
}


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize(("before", "act"), MOVES.values(), ids=MOVES.keys())
def test_that_would_need_a_cookie_are_refused_and_the_session_stays(
    make_app: MakeApp,
    before: dict[str, Any],
    act: Callable[[], object],
    commits: bool,
) -> None:
    app = make_app()
    use_flask_login(app)
    browser = with_values(app, **before)

    def event() -> None:
        session["note"] = "of the event"
        act()
        if commits:
            session.commit()

    client = client_of(app, browser, event)

    with pytest.raises(RuntimeError, match="No cookie can be set here"):
        client.emit("do", callback=True)

    assert browser.values() == before
    assert browser.does(lambda: session.id) == browser.id


def test_that_meet_an_outage_when_they_are_saved_raise_it(clock: FakeClock) -> None:
    backend = LosingBackend(MemoryBackend(clock))
    app = Flask("shop")
    app.secret_key = "secret"
    ServerSession(app, backend)
    browser = with_values(app, user_id=42)
    client = client_of(app, browser, lambda: session.update(note="of the event"))
    backend.lose(at_write=1)

    with pytest.raises(BackendError):
        client.emit("do", callback=True)


@pytest.mark.parametrize(
    "act",
    [
        lambda: session.destroy(),
        lambda: session.clear(),
        lambda: ServerSession().revoke_all(user_id=42),
        lambda: ServerSession().revoke(session.id),
    ],
    ids=["destroy", "clear", "revoke_all", "revoke"],
)
def test_that_end_the_session_do_so(
    make_app: MakeApp, act: Callable[[], object]
) -> None:
    app = make_app()
    browser = with_values(app, **IN)

    def event() -> str:
        act()
        return "ended"

    assert client_of(app, browser, event).emit("do", callback=True) == "ended"
    assert browser.values() == {}


def test_that_end_all_others_keep_this_one_as_it_is(make_app: MakeApp) -> None:
    app = make_app()
    browser, other = with_values(app, **IN), with_values(app, **IN)

    def event() -> int:
        return ServerSession().revoke_all(user_id=42, keep_current=True)

    assert client_of(app, browser, event).emit("do", callback=True) == 1
    assert browser.values() == IN
    assert other.values() == {}


def test_that_change_something_else_are_saved(make_app: MakeApp) -> None:
    app = make_app()
    browser = with_values(app, **IN)

    def event() -> str:
        session["cart"].append("pear")
        return "added"

    assert client_of(app, browser, event).emit("do", callback=True) == "added"
    assert browser.values() == {**IN, "cart": ["apple", "pear"]}
