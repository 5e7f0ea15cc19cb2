"""What a view sees of its session object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flask import Flask, render_template_string

from flask_srvsession import (
    ServerSession,
    ServerSideSession,
    session,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def app_with(**config: object) -> Flask:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="a long random text", TESTING=True, **config)
    return app


def test_the_public_names_of_a_session_are_those_of_the_documentation() -> None:
    mapping = {"get", "items", "keys", "pop", "popitem", "setdefault", "update"}
    mapping |= {"clear", "values"}
    acting = {"bind", "commit", "compute", "destroy", "prove_device", "rotate"}
    telling = {"accessed", "created_at", "ends_at", "expires_at", "id", "last_seen_at"}
    telling |= {"modified", "new", "permanent", "bound", "device_proved_at"}

    public = {name for name in dir(ServerSideSession) if not name.startswith("_")}

    assert public == mapping | acting | telling


def test_a_template_sees_the_keys_that_an_app_has_set() -> None:
    app = app_with()
    ServerSession(app)

    def page() -> str:
        session.update(cookie="oatmeal", failure="none", held="breath")
        keys = "{{ session.cookie }} {{ session.failure }} {{ session.held }}"
        return render_template_string(keys)

    app.add_url_rule("/", "page", page)

    assert app.test_client().get("/").text == "oatmeal none breath"


@pytest.mark.parametrize(
    ("act", "modified"),
    [
        (dict, False),
        (lambda: session["items"].append(2), True),
        (lambda: session.update(items=[1]), False),
        (lambda: session.pop("items"), True),
        (lambda: setattr(session, "modified", True), True),
        (lambda: [session.update(a=1), session.commit()], True),
    ],
    ids=["nothing", "nested", "the same", "removed", "set", "saved"],
)
def test_modified_says_whether_there_is_something_to_save_or_was(
    act: Callable[[], object], modified: bool
) -> None:
    app = app_with()
    ServerSession(app)
    client = app.test_client()
    app.add_url_rule("/begin", "begin", lambda: session.update(items=[1]) or "")
    app.add_url_rule("/act", "act", lambda: [dict(session), act(), session.modified])
    client.get("/begin")

    assert client.get("/act").get_json()[-1] is modified


def test_a_session_is_new_in_the_whole_request_that_began_it() -> None:
    app = app_with()
    ServerSession(app)
    client = app.test_client()

    def visit() -> list[bool]:
        before = session.new
        session["a"] = 1
        session.commit()
        return [before, session.new]

    app.add_url_rule("/", "visit", visit)

    assert client.get("/").get_json() == [True, True]
    assert client.get("/").get_json() == [False, False]
