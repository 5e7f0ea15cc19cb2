"""What a view sees of its session object."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, render_template_string

from flask_srvsession import (
    ServerSession,
    ServerSideSession,
    session,
)
from tests.web import Browser

if TYPE_CHECKING:
    from collections.abc import Callable


def app_with(**config: object) -> Flask:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="a long random text", TESTING=True, **config)
    return app


def test_the_public_names_of_a_session_are_those_of_the_documentation() -> None:
    mapping = {"get", "items", "keys", "pop", "popitem", "setdefault", "update"}
    mapping |= {"clear", "copy", "values"}
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


@pytest.mark.parametrize("key", ["absent", "_remember", 1, None])
def test_a_key_that_is_not_there_is_popped_as_from_flasks_own(key: Any) -> None:
    def act() -> list[Any]:
        popped = [session.pop(key, 1), session.pop(key, default=2)]
        for remove in (lambda: session.pop(key), lambda: session.__delitem__(key)):
            with pytest.raises(KeyError):
                remove()
        return popped

    assert in_a_request(act, a=1) == [1, 2]


def test_an_app_written_for_flask_session_gives_it_a_new_id() -> None:
    app = app_with()
    ServerSession(app)
    browser = Browser(app)
    browser.set(sessions=["ann"])
    before = browser.id

    interface: Any = app.session_interface
    browser.do(lambda: interface.regenerate(session))

    assert browser.id != before
    assert browser.values() == {"sessions": ["ann"]}


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


def in_a_request(act: Callable[[], object], **before: object) -> object:
    """Return what `act` returns in a request to a session that holds `before`."""
    app = app_with()
    ServerSession(app)
    client = app.test_client()
    seen: list[object] = []
    app.add_url_rule("/begin", "begin", lambda: session.update(before) or "")
    app.add_url_rule("/act", "act", lambda: seen.append(act()) or "")
    client.get("/begin")
    client.get("/act")
    return seen[0]


def itself() -> Any:
    """Return the session behind Flask's proxy."""
    proxy: Any = session
    return proxy._get_current_object()


def added(other: Any) -> dict[str, Any]:
    present: Any = itself()
    same = present
    present |= other
    assert present is same
    return dict(session)


def changed(copied: dict[str, Any]) -> list[Any]:
    copied["a"].append(9)
    copied["new"] = 1
    return [type(copied) is dict, copied, dict(session)]


OPERATIONS: dict[str, tuple[Callable[[], object], object]] = {
    "or": (lambda: session | {"b": 2}, {"a": [1], "b": 2}),
    "or by a dict": (lambda: {"b": 2, "a": 0} | session, {"b": 2, "a": [1]}),
    "or nothing": (lambda: session | {}, {"a": [1]}),
    "or its own": (lambda: added({"b": 2}), {"a": [1], "b": 2}),
    "or its own pairs": (lambda: added([("b", 2)]), {"a": [1], "b": 2}),
    "or its own nothing": (lambda: added({}), {"a": [1]}),
    "reversed": (
        lambda: [session.update(b=2), list(reversed(session))][1],
        ["b", "a"],
    ),
    "equal": (lambda: session == {"a": [1]}, True),
    "a dict of it": (lambda: json.dumps(dict(session)), '{"a": [1]}'),
    "deep copy": (
        lambda: changed(copy.deepcopy(itself())),
        [True, {"a": [1, 9], "new": 1}, {"a": [1]}],
    ),
    "copy": (
        lambda: "new" in {**session.copy(), **copy.copy(itself())},
        False,
    ),
    "a copy is no alias": (
        lambda: [copy.copy(itself()).update(b=2), dict(session)],
        [None, {"a": [1]}],
    ),
}


@pytest.mark.parametrize(("act", "result"), OPERATIONS.values(), ids=OPERATIONS.keys())
def test_what_a_mutable_mapping_can_offer_is_offered(
    act: Callable[[], object], result: object
) -> None:
    assert in_a_request(act, a=[1]) == result


@pytest.mark.parametrize(
    ("name", "hint"),
    [("sid", "public id is session.id"), ("x", "'x'")],
)
def test_what_it_cannot_offer_is_said(name: str, hint: str) -> None:
    def ask() -> str:
        with pytest.raises(AttributeError, match=hint):
            getattr(session, name)
        assert not hasattr(session, name)
        return "asked"

    assert in_a_request(ask) == "asked"


def test_json_wants_a_dict_and_says_so() -> None:
    def ask() -> str:
        with pytest.raises(TypeError, match="ServerSideSession is not JSON"):
            json.dumps(itself())
        return "asked"

    assert in_a_request(ask) == "asked"


@pytest.mark.parametrize("when", ["teardown", "after the response"])
@pytest.mark.parametrize(
    ("act", "modified"),
    [
        (lambda: session.update(a=2), True),
        (lambda: session["a"].append(2), True),
        (lambda: session.get("a"), False),
        (lambda: session.update(user_id=42), True),
    ],
    ids=["set", "nested", "read", "login"],
)
def test_modified_stays_true_after_the_session_was_saved(
    act: Callable[[], object], modified: bool, when: str
) -> None:
    app = app_with()
    ServerSession(app)
    client = app.test_client()
    seen: list[bool] = []

    def view() -> Any:
        act()
        held = itself()
        response = Response("")
        if when == "after the response":
            response.call_on_close(lambda: seen.append(held.modified))
        return response

    app.add_url_rule("/begin", "begin", lambda: session.update(a=[1]) or "")
    app.add_url_rule("/act", "act", view)
    if when == "teardown":
        app.teardown_request(lambda error: seen.append(session.modified))
    client.get("/begin")
    seen.clear()
    client.get("/act").close()

    assert seen[:1] == [modified]
