"""Clients that read a session while the storage is down or hangs, and afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from flask import (
    Flask,
    Response,
)
from flask_login import current_user

from flask_srvsession import (
    BackendError,
    ServerSession,
    session,
)
from flask_srvsession.backends import backend_from_url
from flask_srvsession.backends.sql import SQLBackend
from tests.stopwatch import within
from tests.web import Browser, nothing

from ..probes import (
    CountingBackend,
    hanging,
    login,
    set_cookies,
    varies_by_cookie,
    visits,
)
from .scene import (
    ONE_TIMEOUT,
    Closing,
    MakeBrowser,
    Outage,
    SetUp,
    User,
    begin,
    killed,
    logout,
    page_503,
    page_503_with_session,
    read,
    session_in_teardown,
    with_flask_login,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import MakeApp
    from tests.servers import Server


class TestUntouchedView:
    def test_answers(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        browser = make_browser()

        with outage(server):
            response = browser.do()

        assert response.status_code == 200
        assert set_cookies(response) == []

    @pytest.mark.parametrize("logged_in", [True, False])
    def test_answers_under_flask_login(
        self,
        make_browser: MakeBrowser,
        server: Server,
        outage: Outage,
        logged_in: bool,
    ) -> None:
        browser = make_browser(with_flask_login)
        if logged_in:
            browser.does(lambda: flask_login_as("7"))
            assert browser.does(lambda: current_user.get_id()) == "7"

        with outage(server):
            response = browser.do()

        assert response.status_code == 200
        assert set_cookies(response) == []

    def test_answers_where_the_app_makes_sessions_permanent(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        browser = make_browser(always_permanent)

        with outage(server):
            response = browser.do()

        assert response.status_code == 200

    def test_answers_to_a_visitor_whose_session_is_read_but_has_no_cookie(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        browser = Browser(make_browser().app)

        with outage(server):
            response = browser.do(read)

        assert response.status_code == 200
        assert response.text == "None"


def flask_login_as(user_id: str) -> None:
    from flask_login import login_user

    login_user(User(user_id))


def always_permanent(app: Flask) -> None:
    @app.before_request
    def make_permanent() -> None:
        session.permanent = True


def session_in_after_request(app: Flask) -> None:
    @app.after_request
    def note(response: Response) -> Response:
        response.headers["X-Visits"] = str(session.get("visits"))
        return response


class TestRead:
    def test_answers_503_within_one_timeout(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        browser = make_browser()

        with outage(server), within(ONE_TIMEOUT):
            response = browser.do(read)

        assert response.status_code == 503
        assert "session storage cannot be reached" in response.text
        assert set_cookies(response) == []
        assert varies_by_cookie(response)

    def test_answers_with_the_503_page_of_the_app(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        browser = make_browser(page_503)

        with outage(server), within(ONE_TIMEOUT):
            response = browser.do(read)

        assert response.status_code == 503
        assert response.text == "out of order: /do"
        assert response.headers["Retry-After"] == "7"

    def test_answers_503_also_where_error_pages_use_the_session(
        self, make_browser: MakeBrowser, server: Server, error_page: list[SetUp]
    ) -> None:
        browser = make_browser(*error_page)

        with killed(server):
            response = browser.do(read)

        assert response.status_code == 503
        assert set_cookies(response) == []

    def test_waits_once_also_where_error_pages_use_the_session(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser(page_503_with_session, session_in_teardown)

        with hanging(server), within(ONE_TIMEOUT):
            response = browser.do(read)

        assert response.status_code == 503
        assert set_cookies(response) == []

    def test_hides_no_other_failure_where_exceptions_are_let_through(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser(PROPAGATE_EXCEPTIONS=True)

        def view() -> None:
            with suppress(BackendError):
                read()
            raise LookupError("a mistake in the view")

        with killed(server), pytest.raises(LookupError, match="a mistake"):
            browser.do(view)

    def test_closes_the_page_that_it_answers_503_instead_of(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser()
        closed: list[bool] = []

        def view() -> Response:
            with suppress(BackendError):
                read()
            return Response(Closing(iter(["a page"]), closed), status=500)

        with killed(server):
            response = browser.do(view)

        assert response.status_code == 503
        assert closed == [True]

    @pytest.mark.parametrize("do", [nothing, read], ids=["untouched", "read"])
    def test_answers_503_also_where_every_response_uses_the_session(
        self, make_browser: MakeBrowser, server: Server, do: Callable[[], Any]
    ) -> None:
        browser = make_browser(session_in_after_request)

        with killed(server):
            response = browser.do(do)

        assert response.status_code == 503

    def test_waits_once_however_often_the_view_tries(
        self,
        make_browser: MakeBrowser,
        server: Server,
        outage: Outage,
        backend: CountingBackend,
    ) -> None:
        browser = make_browser()
        backend.taken()

        def insist() -> str:
            refused = 0
            for do in (read, write, logout, begin, session.commit, read) * 3:
                try:
                    do()
                except BackendError:
                    refused += 1
            return f"{refused}"

        with outage(server), within(ONE_TIMEOUT):
            response = browser.do(insist)

        assert int(response.text) >= 15
        calls = backend.taken()
        assert calls == (["get"] if outage is hanging else ["get", "get"])

    def test_is_not_taken_for_a_logout(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        """The cookie stays, and the session with it."""
        browser = make_browser()
        browser.does(login)
        before = browser.cookie

        with hanging(server):
            response = browser.do(read)

        assert response.status_code == 503
        assert browser.cookie == before
        assert browser.does(lambda: session["user_id"]) == "42"

    def test_is_never_an_answer_about_the_session(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        """Nothing of it says "not found" where nobody could look."""
        browser = make_browser()
        asked: list[Callable[[], Any]] = [
            lambda: "a" in session,
            lambda: session.get("a"),
            lambda: session["a"],
            lambda: len(session),
            lambda: list(session),
            lambda: bool(session),
            lambda: session == {},
            lambda: session.id,
            lambda: session.new,
            lambda: session.permanent,
            lambda: session.expires_at,
            lambda: session.pop("a", None),
            lambda: session.setdefault("a", 2),
            lambda: session.clear(),
            lambda: session.rotate(),
            lambda: session.bind(user_id=42),
            lambda: session.compute("a", lambda n: (n or 0) + 1),
        ]

        def ask() -> str:
            answers = []
            for question in asked:
                try:
                    answers.append(question())
                except BackendError:
                    continue
            return f"{answers}"

        with outage(server), within(ONE_TIMEOUT):
            response = browser.do(ask)

        assert response.text == "[]"

    def test_fails_where_nobody_has_connected_before(
        self, make_app: MakeApp, server: Server, outage: Outage
    ) -> None:
        """The first connection, with all that a client says at its beginning.

        Of a client that is built without any options, which waits for a second.
        """
        app = make_app(TESTING=False)
        browser = Browser(app)
        browser.does(begin)
        fresh: Any = backend_from_url(server.url)
        other = make_app(
            fresh,
            TESTING=False,
            SRVSESSION_KEY_PREFIX=app.config["SRVSESSION_KEY_PREFIX"],
        )
        newcomer = Browser(other)
        newcomer.cookie = browser.cookie

        with outage(server), within(1.9):
            response = newcomer.do(read)

        assert response.status_code == 503
        if outage is hanging:
            assert newcomer.does(read) == "1"
        fresh.close()


class TestAfterwards:
    """When the server is back, all works again with the first request."""

    def test_after_it_hung_nobody_was_logged_out(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser()
        counted = visits(browser)
        with hanging(server):
            assert browser.do(read).status_code == 503

        assert visits(browser) == counted + 1

    @pytest.mark.parametrize(
        "do",
        [begin, login, lambda: session.bind(user_id=42), read],
        ids=["begin", "login", "bind", "read"],
    )
    def test_after_a_restart_the_first_request_works(
        self, make_browser: MakeBrowser, server: Server, do: Callable[[], Any]
    ) -> None:
        """Though the connections in the pool are all dead, and nobody has noticed."""
        browser = make_browser()
        _open_connections(browser, 4)

        server.stop()
        server.start()

        assert Browser(browser.app).do(do).status_code == 200

    def test_after_a_restart_a_session_that_is_lost_is_a_new_one(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        """An old cookie is not adopted: the new session has an id of its own."""
        browser = make_browser()
        before = browser.id
        _open_connections(browser, 4)

        server.stop()
        server.start()

        assert visits(browser) == 1
        assert visits(browser) == 2
        assert browser.id != before

    @pytest.mark.parametrize("do", [write, logout, login], ids=lambda do: do.__name__)
    def test_after_a_restart_in_the_middle_of_a_request_it_ends_well(
        self, make_browser: MakeBrowser, server: Server, do: Callable[[], Any]
    ) -> None:
        """The session that was read is gone by then, and stays so."""
        browser = make_browser()
        _open_connections(browser, 4)

        def view() -> None:
            assert session["a"] == 1
            server.stop()
            server.start()
            do()

        response = browser.do(view)

        assert response.status_code == 200
        assert browser.copy().does(nothing) == "untouched"

    def test_after_an_outage_with_requests_the_next_one_works(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser()
        _open_connections(browser, 4)

        with killed(server):
            failed = [browser.do(read).status_code for _ in range(3)]

        assert failed == [503] * 3
        assert visits(browser) == 1


def _open_connections(browser: Browser, number: int) -> None:
    """Use several connections at once, by requests within a request."""

    def descend(left: int) -> Callable[[], None]:
        def view() -> None:
            backend: Any = browser.app.extensions["srvsession"].backend
            with _holding_a_connection(backend):
                if left:
                    browser.copy().does(descend(left - 1))

        return view

    browser.does(descend(number - 1))


@contextmanager
def _holding_a_connection(backend: Any) -> Iterator[None]:
    """Take a connection out of the client's pool for a while."""
    inner = backend._backend
    if hasattr(inner, "_clients"):
        client = inner._clients[0]._client()
        client.version()
        yield
        inner._clients[0]._idle.append(client)
        return
    pool = inner._client.connection_pool
    connection = pool.get_connection()
    try:
        yield
    finally:
        pool.release(connection)


def app_with(**config: object) -> Flask:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="a long random text", TESTING=True, **config)
    return app


def test_the_failure_of_a_search_is_not_ambiguous() -> None:
    app = app_with()
    sessions = ServerSession(app, SQLBackend("sqlite:////nonexistent/sessions.db"))

    with app.app_context(), pytest.raises(BackendError) as raised:
        sessions.find(user_id=1)

    assert not raised.value.ambiguous
