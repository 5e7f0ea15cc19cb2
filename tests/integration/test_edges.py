"""Small things at the edge of the public calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flask import Flask, render_template_string

from flask_srvsession import (
    BackendError,
    ConfigurationError,
    ServerSession,
    ServerSideSession,
    session,
)
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.backends.sql import SQLBackend

if TYPE_CHECKING:
    from collections.abc import Callable


class CountedBackend(MemoryBackend):
    """One that is false while it is empty, as any container is."""

    def __bool__(self) -> bool:
        return len(self) > 0


def app_with(**config: object) -> Flask:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="a long random text", TESTING=True, **config)
    return app


def test_an_empty_backend_that_is_passed_in_is_the_one_that_is_used() -> None:
    app, backend = app_with(), CountedBackend()
    ServerSession(app, backend)
    app.add_url_rule("/", "set", lambda: session.update(a=1) or "")

    app.test_client().get("/")

    assert len(backend) == 1


def test_a_user_may_be_called_none() -> None:
    app = app_with()
    sessions = ServerSession(app)
    app.add_url_rule("/", "in", lambda: session.bind(user_id="None") or "")

    app.test_client().get("/")

    with app.app_context():
        assert len(sessions.find(user_id="None")) == 1


@pytest.mark.parametrize("indexes", [{"user_id": ()}, {"self": ("user_id",)}])
def test_an_index_that_could_not_work_is_refused(indexes: object) -> None:
    with pytest.raises(ConfigurationError, match="SRVSESSION_INDEXES"):
        ServerSession(app_with(SRVSESSION_INDEXES=indexes))


def test_a_sweep_that_does_not_reach_the_storage_is_a_backend_error() -> None:
    app = app_with()
    sessions = ServerSession(app, SQLBackend("sqlite:////nonexistent/sessions.db"))

    with app.app_context(), pytest.raises(BackendError) as raised:
        sessions.sweep()

    assert raised.value.operation == "sweep"


def test_the_failure_of_a_search_is_not_ambiguous() -> None:
    app = app_with()
    sessions = ServerSession(app, SQLBackend("sqlite:////nonexistent/sessions.db"))

    with app.app_context(), pytest.raises(BackendError) as raised:
        sessions.find(user_id=1)

    assert not raised.value.ambiguous


def test_the_public_names_of_a_session_are_those_of_the_documentation() -> None:
    mapping = {"get", "items", "keys", "pop", "popitem", "setdefault", "update"}
    mapping |= {"clear", "values"}
    acting = {"bind", "commit", "compute", "destroy", "rotate"}
    telling = {"accessed", "created_at", "ends_at", "expires_at", "id", "last_seen_at"}
    telling |= {"modified", "new", "permanent"}

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
        (lambda: [session.update(a=1), session.commit()], False),
    ],
    ids=["nothing", "nested", "the same", "removed", "set", "saved"],
)
def test_modified_says_whether_there_is_something_to_save(
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


def test_commands_name_an_index_that_there_is() -> None:
    app = app_with(SRVSESSION_INDEXES={"tenant": ("tenant",)})
    ServerSession(app)

    result = app.test_cli_runner().invoke(args=["sessions", "list"])

    assert result.exit_code == 2
    assert "--tenant 42" in result.output


@pytest.mark.parametrize(("shared", "warnings"), [(False, 1), (True, 0)])
def test_several_processes_that_do_not_share_their_sessions_are_warned_of_once(
    caplog: pytest.LogCaptureFixture, shared: bool, warnings: int
) -> None:
    backend = MemoryBackend()
    backend.shared = shared
    ServerSession(app := app_with(), backend)
    client = app.test_client()

    client.get("/")
    assert caplog.messages == []
    for _ in range(2):
        client.get("/", environ_overrides={"wsgi.multiprocess": True})

    assert sum("runs several" in text for text in caplog.messages) == warnings
