"""Hooks around the view, and error handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flask
from flask import (
    Response,
    after_this_request,
    flash,
)

from flask_srvsession import session
from tests.web import Browser

from ..apps import (
    cookie_headers,
    deletes_cookie,
    stored,
)

if TYPE_CHECKING:
    from tests.conftest import MakeApp


def test_hooks_around_the_view_read_and_write_the_session(make_app: MakeApp) -> None:
    app = make_app()

    @app.before_request
    def before() -> None:
        session["before"] = True

    @app.after_request
    def after(response: Response) -> Response:
        session["after"] = True
        return response

    browser = Browser(app)
    browser.set(view=True)

    assert browser.values() == {"before": True, "view": True, "after": True}


def test_after_this_request_writes_the_session(make_app: MakeApp) -> None:
    browser = Browser(make_app())

    def view() -> None:
        @after_this_request
        def after(response: Response) -> Response:
            session["after"] = True
            return response

    browser.do(view)

    assert browser.values() == {"after": True}


def test_an_error_handler_reads_and_writes_the_session(make_app: MakeApp) -> None:
    app = make_app(PROPAGATE_EXCEPTIONS=False)

    @app.errorhandler(404)
    def missing(error: Exception) -> tuple[str, int]:
        flash("missing")
        return str(session.get("name")), 404

    @app.errorhandler(ZeroDivisionError)
    def zero(error: Exception) -> tuple[str, int]:
        session["zero"] = True
        return "handled", 400

    @app.errorhandler(500)
    def failed(error: Exception) -> tuple[str, int]:
        session["failed"] = True
        return "failed", 500

    browser = Browser(app)
    browser.set(name="ada")

    def fail() -> None:
        raise KeyError

    assert browser.client.get("/nowhere").text == "ada"
    assert browser.do(lambda: str(1 // 0)).status_code == 400
    assert browser.do(fail).status_code == 500
    values = browser.values()
    assert values.pop("_flashes") == [("message", "missing")]
    assert values == {"name": "ada", "zero": True, "failed": True}


def test_what_a_view_had_changed_before_it_failed_is_saved_as_flask_does(
    make_app: MakeApp,
) -> None:
    browser = Browser(make_app(PROPAGATE_EXCEPTIONS=False))
    browser.set(a=1)

    def fail() -> None:
        session["a"] = 2
        raise KeyError

    assert browser.do(fail).status_code == 500

    assert browser.values() == {"a": 2}


def test_a_destroy_before_an_error_stays_done_and_deletes_the_cookie(
    make_app: MakeApp,
) -> None:
    browser = Browser(app := make_app(PROPAGATE_EXCEPTIONS=False))
    browser.set(user_id=42)
    session_id = browser.id

    def fail() -> None:
        session.destroy()
        raise KeyError

    response = browser.do(fail)

    assert response.status_code == 500
    assert deletes_cookie(response)
    assert stored(app, session_id) is None


def test_teardown_reads_the_session(make_app: MakeApp) -> None:
    app, seen = make_app(), []

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        seen.append(dict(session))

    browser = Browser(app)
    browser.set(a=1)
    browser.do(lambda: None)

    assert seen == [{"a": 1}, {"a": 1}]


def test_teardown_can_save_an_existing_session(make_app: MakeApp) -> None:
    app = make_app()

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        if "a" in session and "torn" not in session:
            session["torn"] = True
            session.commit()

    browser = Browser(app)
    browser.set(a=1)

    assert browser.values() == {"a": 1, "torn": True}


def test_teardown_that_reads_an_ended_session_does_not_bring_it_back(
    make_app: MakeApp,
) -> None:
    app, seen = make_app(), []

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        seen.append(dict(session))
        session.commit()

    browser = Browser(app)
    browser.set(user_id=42)
    session_id, thief = browser.id, browser.copy()

    browser.do(lambda: session.destroy())

    assert seen[-1] == {}
    assert stored(app, session_id) is None
    assert thief.values() == {}


def test_a_session_that_is_saved_twice_is_saved_once(make_app: MakeApp) -> None:
    """Flask saves again where the first time raised; others do so by mistake."""
    browser = Browser(app := make_app())

    def view() -> Any:
        session["n"] = 1
        response = app.make_response("done")
        app.session_interface.save_session(app, flask.session, response)
        return response

    response = browser.do(view)

    assert len(set(cookie_headers(response))) == 1
    assert browser.values() == {"n": 1}
