"""What clients see while the storage is down, hangs or comes back."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import flask
import pytest
from flask import Flask, Response, make_response, request, send_file
from flask_login import LoginManager, UserMixin, current_user
from werkzeug.exceptions import HTTPException

from flask_srvsession import BackendError, session
from flask_srvsession.backends import backend_from_url

from .probes import (
    Browser,
    CountingBackend,
    hanging,
    login,
    nothing,
    set_cookies,
    varies_by_cookie,
    visits,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp
    from tests.servers import Server

TIMEOUT = 0.6
"""Seconds for which the clients of these tests wait for an answer."""
ONE_TIMEOUT = 1.9 * TIMEOUT
"""Seconds; more than one timeout, less than two."""
OPTIONS = {
    "redis": f"?socket_timeout={TIMEOUT}&socket_connect_timeout={TIMEOUT}",
    "memcached": f"?timeout={TIMEOUT}",
}

Outage = Callable[["Server"], AbstractContextManager[None]]
SetUp = Callable[[Flask], Any]
MakeBrowser = Callable[..., Browser]


@contextmanager
def killed(server: Server) -> Generator[None]:
    """The server is gone: connections are refused. It comes back with nothing."""
    server.stop()
    try:
        yield
    finally:
        server.start()


@pytest.fixture(params=["own_redis", "own_memcached"])
def server(request: pytest.FixtureRequest) -> Server:
    """A server that this test may stop."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=[killed, hanging], ids=["killed", "hanging"])
def outage(request: pytest.FixtureRequest) -> Outage:
    """The ways in which a storage fails: at once, or by a timeout."""
    found: Outage = request.param
    return found


@pytest.fixture
def backend(server: Server) -> Iterator[CountingBackend]:
    chosen: Any = backend_from_url(server.url + OPTIONS[server.scheme])
    yield CountingBackend(chosen)
    chosen.close()


@pytest.fixture
def make_browser(make_app: MakeApp) -> MakeBrowser:
    """Make a browser of an app as in production, whose connection is open."""

    def make(*set_ups: SetUp, **config: Any) -> Browser:
        app = make_app(TESTING=False, **config)
        for set_up in set_ups:
            set_up(app)
        browser = Browser(app)
        browser.does(_begin)
        browser.does(_read)
        return browser

    return make


def _begin() -> None:
    session["a"] = 1


def _read() -> Any:
    return session.get("a")


def _write() -> None:
    session["a"] = session.get("a", 0) + 1


def _logout() -> None:
    session.destroy()


class TestUntouchedView:
    def test_answers(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        browser = make_browser()

        with outage(server):
            response = browser.visit()

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
        browser = make_browser(_with_flask_login)
        if logged_in:
            browser.does(lambda: flask_login_as("7"))
            assert browser.does(lambda: current_user.get_id()) == "7"

        with outage(server):
            response = browser.visit()

        assert response.status_code == 200
        assert set_cookies(response) == []

    def test_answers_where_the_app_makes_sessions_permanent(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        browser = make_browser(_always_permanent)

        with outage(server):
            response = browser.visit()

        assert response.status_code == 200

    def test_answers_to_a_visitor_whose_session_is_read_but_has_no_cookie(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        browser = Browser(make_browser().app)

        with outage(server):
            response = browser.visit(_read)

        assert response.status_code == 200
        assert response.text == "None"


def flask_login_as(user_id: str) -> None:
    from flask_login import login_user

    login_user(_User(user_id))


class _User(UserMixin):
    def __init__(self, user_id: str) -> None:
        self.id = user_id


def _with_flask_login(app: Flask) -> None:
    manager = LoginManager(app)
    manager.user_loader(_User)


def _always_permanent(app: Flask) -> None:
    @app.before_request
    def make_permanent() -> None:
        session.permanent = True


def _flash_error_page(_: Exception) -> tuple[str, int]:
    flask.flash("Sorry")
    return f"out of order, {session.get('a')}", 503


def _page_503(app: Flask) -> None:
    @app.errorhandler(503)
    def out_of_order(error: HTTPException) -> tuple[str, int, dict[str, str]]:
        return f"out of order: {request.path}", 503, {"Retry-After": "7"}


def _page_503_with_session(app: Flask) -> None:
    app.register_error_handler(503, _flash_error_page)


def _page_500_with_session(app: Flask) -> None:
    app.register_error_handler(500, _flash_error_page)


def _page_of_http_errors_with_session(app: Flask) -> None:
    app.register_error_handler(HTTPException, _flash_error_page)


def _page_of_all_errors_with_session(app: Flask) -> None:
    app.register_error_handler(Exception, _flash_error_page)


def _session_in_after_request(app: Flask) -> None:
    @app.after_request
    def note(response: Response) -> Response:
        response.headers["X-Visits"] = str(session.get("visits"))
        return response


def _headers_for_all(app: Flask) -> None:
    @app.after_request
    def add(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = "https://shop.example"
        response.headers.setdefault("Cache-Control", "private")
        return response


def _after_request_that_fails_for_errors(app: Flask) -> None:
    @app.after_request
    def fail(response: Response) -> Response:
        if response.status_code >= 400:
            raise LookupError("a mistake in the app")
        return response


def _session_in_teardown(app: Flask) -> None:
    @app.teardown_request
    def note(_: BaseException | None) -> None:
        try:
            session.get("visits")
        except BackendError:
            app.logger.warning("no visits")


SESSION_IN_ERROR_PAGES: dict[str, list[SetUp]] = {
    "503": [_page_503_with_session],
    "500": [_page_500_with_session],
    "503 and 500": [_page_503_with_session, _page_500_with_session],
    "HTTPException": [_page_of_http_errors_with_session],
    "Exception": [_page_of_all_errors_with_session],
    "teardown": [_session_in_teardown],
    "503 and teardown": [_page_503_with_session, _session_in_teardown],
    "Flask-Login's user": [
        _with_flask_login,
        lambda app: app.register_error_handler(
            503, lambda _: (f"sorry, {current_user.is_authenticated}", 503)
        ),
    ],
}


@pytest.fixture(params=SESSION_IN_ERROR_PAGES)
def error_page(request: pytest.FixtureRequest) -> list[SetUp]:
    return SESSION_IN_ERROR_PAGES[request.param]


class TestRead:
    def test_answers_503_within_one_timeout(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        browser = make_browser()

        with outage(server), within(ONE_TIMEOUT):
            response = browser.visit(_read)

        assert response.status_code == 503
        assert "session storage cannot be reached" in response.text
        assert set_cookies(response) == []
        assert varies_by_cookie(response)

    def test_answers_with_the_503_page_of_the_app(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        browser = make_browser(_page_503)

        with outage(server), within(ONE_TIMEOUT):
            response = browser.visit(_read)

        assert response.status_code == 503
        assert response.text == "out of order: /"
        assert response.headers["Retry-After"] == "7"

    def test_answers_503_also_where_error_pages_use_the_session(
        self, make_browser: MakeBrowser, server: Server, error_page: list[SetUp]
    ) -> None:
        browser = make_browser(*error_page)

        with killed(server):
            response = browser.visit(_read)

        assert response.status_code == 503
        assert set_cookies(response) == []

    def test_waits_once_also_where_error_pages_use_the_session(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser(_page_503_with_session, _session_in_teardown)

        with hanging(server), within(ONE_TIMEOUT):
            response = browser.visit(_read)

        assert response.status_code == 503
        assert set_cookies(response) == []

    def test_hides_no_other_failure_where_exceptions_are_let_through(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser(PROPAGATE_EXCEPTIONS=True)

        def view() -> None:
            with suppress(BackendError):
                _read()
            raise LookupError("a mistake in the view")

        with killed(server), pytest.raises(LookupError, match="a mistake"):
            browser.visit(view)

    def test_closes_the_page_that_it_answers_503_instead_of(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser()
        closed: list[bool] = []

        def view() -> Response:
            with suppress(BackendError):
                _read()
            return Response(_Closing(iter(["a page"]), closed), status=500)

        with killed(server):
            response = browser.visit(view)

        assert response.status_code == 503
        assert closed == [True]

    @pytest.mark.parametrize("do", [nothing, _read], ids=["untouched", "read"])
    def test_answers_503_also_where_every_response_uses_the_session(
        self, make_browser: MakeBrowser, server: Server, do: Callable[[], Any]
    ) -> None:
        browser = make_browser(_session_in_after_request)

        with killed(server):
            response = browser.visit(do)

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
            for do in (_read, _write, _logout, _begin, session.commit, _read) * 3:
                try:
                    do()
                except BackendError:
                    refused += 1
            return f"{refused}"

        with outage(server), within(ONE_TIMEOUT):
            response = browser.visit(insist)

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
            response = browser.visit(_read)

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
            response = browser.visit(ask)

        assert response.text == "[]"

    def test_fails_where_nobody_has_connected_before(
        self, make_app: MakeApp, server: Server, outage: Outage
    ) -> None:
        """The first connection, with all that a client says at its beginning.

        Of a client that is built without any options, which waits for a second.
        """
        app = make_app(TESTING=False)
        browser = Browser(app)
        browser.does(_begin)
        fresh: Any = backend_from_url(server.url)
        other = make_app(
            fresh,
            TESTING=False,
            SRVSESSION_KEY_PREFIX=app.config["SRVSESSION_KEY_PREFIX"],
        )
        newcomer = Browser(other)
        newcomer.cookie = browser.cookie or ""

        with outage(server), within(1.9):
            response = newcomer.visit(_read)

        assert response.status_code == 503
        if outage is hanging:
            assert newcomer.does(_read) == "1"
        fresh.close()


class TestWriteAtTheEnd:
    """The view has done its work already when the session cannot be saved."""

    def test_turns_the_response_into_a_503(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        browser = make_browser()
        before = browser.cookie

        with outage_after_the_view(outage, server) as work, within(ONE_TIMEOUT):
            response = browser.visit(lambda: work(_write))

        assert response.status_code == 503
        assert "session storage cannot be reached" in response.text
        assert varies_by_cookie(response)
        assert set_cookies(response) == []
        assert browser.cookie == before

    def test_shows_the_503_page_of_the_app(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        browser = make_browser(_page_503)

        with outage_after_the_view(outage, server) as work, within(ONE_TIMEOUT):
            response = browser.visit(lambda: work(_write))

        assert response.status_code == 503
        assert response.text == "out of order: /"
        assert response.headers["Retry-After"] == "7"
        assert response.headers["Content-Length"] == str(len(response.data))

    @pytest.mark.parametrize("kind", ["begin", "login", "emptied", "clear"])
    def test_fails_for_each_kind_of_write(
        self, make_browser: MakeBrowser, server: Server, outage: Outage, kind: str
    ) -> None:
        browser = make_browser()
        before = browser.cookie
        kinds: dict[str, Callable[[], Any]] = {
            "begin": _begin,
            "login": login,
            "emptied": lambda: session.pop("a"),
            "clear": lambda: session.clear(),
        }
        if kind == "begin":
            browser = Browser(browser.app)
            before = None

        with outage_after_the_view(outage, server) as work, within(ONE_TIMEOUT):
            response = browser.visit(lambda: work(kinds[kind]))

        assert response.status_code == 503
        assert set_cookies(response) == []
        assert browser.cookie == before

    def test_leaves_nothing_of_the_failed_response(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser(_page_503)

        def view() -> Response:
            _write()
            response = make_response("a receipt", 201)
            response.set_cookie("paid", "yes")
            response.set_cookie("session_hint", "1")
            response.headers["Location"] = "/receipt"
            response.headers["Cache-Control"] = "public, max-age=600"
            response.headers["ETag"] = '"receipt"'
            response.headers["Content-Type"] = "application/pdf"
            return response

        with outage_after_the_view(killed, server) as work:
            response = browser.visit(lambda: work(view))

        assert response.status_code == 503
        assert set_cookies(response) == []
        assert "receipt" not in response.text
        for name in ("Location", "ETag", "Cache-Control"):
            assert name not in response.headers
        assert response.mimetype == "text/html"

    def test_has_the_headers_that_all_responses_have(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        """A script of another origin could not even read that it is a 503."""
        browser = make_browser(_headers_for_all, _page_503)

        def view() -> Response:
            _write()
            response = make_response("a receipt")
            response.headers["X-Receipt"] = "1"
            return response

        with outage_after_the_view(killed, server) as work:
            response = browser.visit(lambda: work(view))

        assert response.status_code == 503
        origins = response.headers.getlist("Access-Control-Allow-Origin")
        assert origins == ["https://shop.example"]
        assert response.headers["Cache-Control"] == "private"
        assert "X-Receipt" not in response.headers
        assert varies_by_cookie(response)

    def test_is_a_503_also_where_what_is_done_for_all_responses_fails(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser(_after_request_that_fails_for_errors)

        with outage_after_the_view(killed, server) as work:
            response = browser.visit(lambda: work(_write))

        assert response.status_code == 503
        assert set_cookies(response) == []

    @pytest.mark.parametrize("kind", ["generator", "file", "static", "passthrough"])
    def test_turns_streamed_responses_too(
        self, make_browser: MakeBrowser, server: Server, outage: Outage, kind: str
    ) -> None:
        browser = make_browser(_page_503)
        closed = []

        def stream() -> Iterator[str]:
            try:
                yield "streamed"
                yield "content"
            finally:
                closed.append(True)

        file = _ClosingFile(b"streamed content", closed)
        make: dict[str, Callable[[], Response]] = {
            "generator": lambda: Response(_Closing(stream(), closed)),
            "file": lambda: send_file(file, mimetype="text/plain"),
            "static": lambda: send_file(__file__),
            "passthrough": lambda: Response(
                _Closing(stream(), closed), direct_passthrough=True
            ),
        }

        told = []

        def view() -> Response:
            _write()
            response = make[kind]()
            response.call_on_close(lambda: told.append("closed"))
            return response

        with outage_after_the_view(outage, server) as work, within(ONE_TIMEOUT):
            response = browser.visit(lambda: work(view))

        assert response.status_code == 503
        assert response.text == "out of order: /"
        assert response.headers["Content-Length"] == str(len(response.data))
        assert closed or kind == "static"
        response.close()
        assert told == ["closed"]

    def test_is_a_503_also_where_error_pages_use_the_session(
        self, make_browser: MakeBrowser, server: Server, error_page: list[SetUp]
    ) -> None:
        browser = make_browser(*error_page)

        with outage_after_the_view(killed, server) as work:
            response = browser.visit(lambda: work(_write))

        assert response.status_code == 503
        assert set_cookies(response) == []

    def test_waits_once_also_where_error_pages_use_the_session(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser(_page_503_with_session, _session_in_teardown)

        with outage_after_the_view(hanging, server) as work, within(ONE_TIMEOUT):
            response = browser.visit(lambda: work(_write))

        assert response.status_code == 503
        assert set_cookies(response) == []

    def test_is_a_503_also_where_the_view_failed_itself(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        """Its own error page had been a 500, and the session does not wait again."""
        browser = make_browser()

        def view() -> None:
            _write()
            raise ValueError("a mistake in the view")

        with outage_after_the_view(outage, server) as work, within(ONE_TIMEOUT):
            response = browser.visit(lambda: work(view))

        assert response.status_code in (500, 503)
        assert set_cookies(response) == []

    def test_is_not_tried_by_a_request_that_only_read(
        self,
        make_browser: MakeBrowser,
        server: Server,
        outage: Outage,
        backend: CountingBackend,
    ) -> None:
        browser = make_browser()
        backend.taken()

        with outage_after_the_view(outage, server) as work:
            response = browser.visit(lambda: work(_read))

        assert backend.taken() == ["get"]

        assert response.status_code == 200
        assert response.text == "1"

    def test_that_is_a_renewal_is_swallowed(
        self,
        make_browser: MakeBrowser,
        server: Server,
        outage: Outage,
        clock: FakeClock,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        browser = make_browser()
        clock.advance(3600)

        with outage_after_the_view(outage, server) as work, within(ONE_TIMEOUT):
            response = browser.visit(lambda: work(_read))

        assert response.status_code == 200
        assert response.text == "1"
        assert set_cookies(response) == []
        assert f"session {browser.session_id} was not renewed" in caplog.text

    def test_says_so_in_the_log(
        self,
        make_browser: MakeBrowser,
        server: Server,
        outage: Outage,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        browser = make_browser()

        with outage_after_the_view(outage, server) as work:
            browser.visit(lambda: work(_write))

        failures = [
            r.getMessage()
            for r in caplog.records
            if r.name == "flask_srvsession" and r.levelno >= logging.ERROR
        ]
        assert failures
        assert "storage failed at save" in failures[0]

    def test_that_timed_out_is_done_once_or_not_at_all(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        """The server gets it when it goes on; the client may ask again."""
        browser = make_browser()

        with outage_after_the_view(hanging, server) as work:
            response = browser.visit(lambda: work(_write))

        assert response.status_code == 503
        assert browser.does(_read) in ("1", "2")


class _Closing:
    """An iterable that notes when it is closed."""

    def __init__(self, items: Iterator[str], closed: list[bool]) -> None:
        self._items = items
        self._closed = closed

    def __iter__(self) -> Iterator[str]:
        return self._items

    def close(self) -> None:
        self._closed.append(True)


class _ClosingFile(io.BytesIO):
    def __init__(self, data: bytes, closed: list[bool]) -> None:
        super().__init__(data)
        self._closed = closed

    def close(self) -> None:
        self._closed.append(True)
        super().close()


@contextmanager
def outage_after_the_view(
    outage: Outage, server: Server
) -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Give a function that runs a view; the storage fails when the view has ended."""
    begun: list[AbstractContextManager[None]] = []

    def work(view: Callable[[], Any]) -> Any:
        try:
            return view()
        finally:
            begun.append(outage(server))
            begun[0].__enter__()

    try:
        yield work
    finally:
        for context in begun:
            context.__exit__(None, None, None)


class TestDestroy:
    def test_that_cannot_be_confirmed_raises_and_leaves_the_cookie(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        browser = make_browser()
        browser.does(login)
        before = browser.cookie

        with outage(server), within(ONE_TIMEOUT):
            response = browser.visit(_logout)

        assert response.status_code == 503
        assert set_cookies(response) == []
        assert browser.cookie == before

    def test_raises_where_the_session_was_read_before_the_outage(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        browser = make_browser()
        browser.does(login)
        before = browser.cookie

        def view() -> str:
            assert session["user_id"] == 42
            context = outage(server)
            context.__enter__()
            try:
                with within(ONE_TIMEOUT), pytest.raises(BackendError) as refused:
                    session.destroy()
            finally:
                context.__exit__(None, None, None)
            return f"{refused.value.ambiguous}, {refused.value.operation}"

        response = browser.visit(view)

        assert response.text == "True, destroy"
        assert set_cookies(response) == []
        assert browser.cookie == before

    def test_may_be_done_again_in_the_next_request(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser()
        browser.does(login)
        stale = browser.copy()
        with hanging(server):
            assert browser.visit(_logout).status_code == 503

        browser.does(_logout)

        assert browser.cookie is None
        assert stale.does(lambda: session.get("user_id")) == "None"

    def test_is_done_where_only_the_list_could_not_be_told(
        self,
        make_browser: MakeBrowser,
        backend: CountingBackend,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The record is gone, and whoever reads the list finds that out."""
        browser = make_browser()
        browser.does(login)
        stale = browser.copy()

        def refuse(*_: Any) -> None:
            raise backend.errors[0]

        monkeypatch.setattr(backend.index, "remove", refuse)
        response = browser.visit(_logout)

        assert response.status_code == 200
        assert browser.cookie is None
        assert stale.does(lambda: session.get("user_id")) == "None"
        assert "is still listed" in caplog.text


class TestLogin:
    def test_that_fails_leaves_the_old_session_as_it_was(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser()
        browser.does(lambda: session.update(cart=["a book"]))
        before = browser.cookie

        with outage_after_the_view(hanging, server) as work, within(ONE_TIMEOUT):
            response = browser.visit(lambda: work(login))

        assert response.status_code == 503
        assert set_cookies(response) == []
        assert browser.cookie == before
        assert browser.does(lambda: session["cart"]) == "['a book']"
        assert browser.does(lambda: session.get("user_id")) == "None"

    def test_works_again_afterwards(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser()
        with hanging(server):
            assert browser.visit(login).status_code == 503

        browser.does(login)

        assert browser.does(lambda: session["user_id"]) == "42"
        assert browser.does(_read) == "1"


class TestAfterwards:
    """When the server is back, all works again with the first request."""

    def test_after_it_hung_nobody_was_logged_out(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser()
        counted = visits(browser)
        with hanging(server):
            assert browser.visit(_read).status_code == 503

        assert visits(browser) == counted + 1

    @pytest.mark.parametrize(
        "do",
        [_begin, login, lambda: session.bind(user_id=42), _read],
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

        assert Browser(browser.app).visit(do).status_code == 200

    def test_after_a_restart_a_session_that_is_lost_is_a_new_one(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        """An old cookie is not adopted: the new session has an id of its own."""
        browser = make_browser()
        before = browser.session_id
        _open_connections(browser, 4)

        server.stop()
        server.start()

        assert visits(browser) == 1
        assert visits(browser) == 2
        assert browser.session_id != before

    @pytest.mark.parametrize("do", [_write, _logout, login], ids=lambda do: do.__name__)
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

        response = browser.visit(view)

        assert response.status_code == 200
        assert browser.copy().does(nothing) == "untouched"

    def test_after_an_outage_with_requests_the_next_one_works(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser()
        _open_connections(browser, 4)

        with killed(server):
            failed = [browser.visit(_read).status_code for _ in range(3)]

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
        with inner._clients[0].client_pool.get_and_release() as client:
            client.version()
            yield
        return
    pool = inner._client.connection_pool
    connection = pool.get_connection()
    try:
        yield
    finally:
        pool.release(connection)
