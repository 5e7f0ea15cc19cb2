"""Clients whose changes the storage does not take."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, make_response, send_file

from flask_srvsession import BackendError, session
from tests.stopwatch import within
from tests.web import Browser

from ..probes import (
    CountingBackend,
    hanging,
    login,
    set_cookies,
    varies_by_cookie,
)
from .scene import (
    ONE_TIMEOUT,
    Closing,
    MakeBrowser,
    Outage,
    SetUp,
    begin,
    killed,
    logout,
    page_503,
    page_503_with_session,
    read,
    session_in_teardown,
    write,
)

if TYPE_CHECKING:
    from flask_srvsession.testing import FakeClock
    from tests.servers import Server


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


class TestWriteAtTheEnd:
    """The view has done its work already when the session cannot be saved."""

    def test_turns_the_response_into_a_503(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        browser = make_browser()
        before = browser.cookie

        with outage_after_the_view(outage, server) as work, within(ONE_TIMEOUT):
            response = browser.do(lambda: work(write))

        assert response.status_code == 503
        assert "session storage cannot be reached" in response.text
        assert varies_by_cookie(response)
        assert set_cookies(response) == []
        assert browser.cookie == before

    def test_shows_the_503_page_of_the_app(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        browser = make_browser(page_503)

        with outage_after_the_view(outage, server) as work, within(ONE_TIMEOUT):
            response = browser.do(lambda: work(write))

        assert response.status_code == 503
        assert response.text == "out of order: /do"
        assert response.headers["Retry-After"] == "7"
        assert response.headers["Content-Length"] == str(len(response.data))

    @pytest.mark.parametrize("kind", ["begin", "login", "emptied", "clear"])
    def test_fails_for_each_kind_of_write(
        self, make_browser: MakeBrowser, server: Server, outage: Outage, kind: str
    ) -> None:
        browser = make_browser()
        kinds: dict[str, Callable[[], Any]] = {
            "begin": begin,
            "login": login,
            "emptied": lambda: session.pop("a"),
            "clear": lambda: session.clear(),
        }
        if kind == "begin":
            browser = Browser(browser.app)
        before = browser.client.get_cookie("session")

        with outage_after_the_view(outage, server) as work, within(ONE_TIMEOUT):
            response = browser.do(lambda: work(kinds[kind]))

        assert response.status_code == 503
        assert set_cookies(response) == []
        assert browser.client.get_cookie("session") == before

    def test_leaves_nothing_of_the_failed_response(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser(page_503)

        def view() -> Response:
            write()
            response = make_response("a receipt", 201)
            response.set_cookie("paid", "yes")
            response.set_cookie("session_hint", "1")
            response.headers["Location"] = "/receipt"
            response.headers["Cache-Control"] = "public, max-age=600"
            response.headers["ETag"] = '"receipt"'
            response.headers["Content-Type"] = "application/pdf"
            return response

        with outage_after_the_view(killed, server) as work:
            response = browser.do(lambda: work(view))

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
        browser = make_browser(_headers_for_all, page_503)

        def view() -> Response:
            write()
            response = make_response("a receipt")
            response.headers["X-Receipt"] = "1"
            return response

        with outage_after_the_view(killed, server) as work:
            response = browser.do(lambda: work(view))

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
            response = browser.do(lambda: work(write))

        assert response.status_code == 503
        assert set_cookies(response) == []

    @pytest.mark.parametrize("kind", ["generator", "file", "static", "passthrough"])
    def test_turns_streamed_responses_too(
        self, make_browser: MakeBrowser, server: Server, outage: Outage, kind: str
    ) -> None:
        browser = make_browser(page_503)
        closed = []

        def stream() -> Iterator[str]:
            try:
                yield "streamed"
                yield "content"
            finally:
                closed.append(True)

        file = _ClosingFile(b"streamed content", closed)
        make: dict[str, Callable[[], Response]] = {
            "generator": lambda: Response(Closing(stream(), closed)),
            "file": lambda: send_file(file, mimetype="text/plain"),
            "static": lambda: send_file(__file__),
            "passthrough": lambda: Response(
                Closing(stream(), closed), direct_passthrough=True
            ),
        }

        told = []

        def view() -> Response:
            write()
            response = make[kind]()
            response.call_on_close(lambda: told.append("closed"))
            return response

        with outage_after_the_view(outage, server) as work, within(ONE_TIMEOUT):
            response = browser.do(lambda: work(view))

        assert response.status_code == 503
        assert response.text == "out of order: /do"
        assert response.headers["Content-Length"] == str(len(response.data))
        assert closed or kind == "static"
        response.close()
        assert told == ["closed"]

    def test_is_a_503_also_where_error_pages_use_the_session(
        self, make_browser: MakeBrowser, server: Server, error_page: list[SetUp]
    ) -> None:
        browser = make_browser(*error_page)

        with outage_after_the_view(killed, server) as work:
            response = browser.do(lambda: work(write))

        assert response.status_code == 503
        assert set_cookies(response) == []

    def test_waits_once_also_where_error_pages_use_the_session(
        self, make_browser: MakeBrowser, server: Server
    ) -> None:
        browser = make_browser(page_503_with_session, session_in_teardown)

        with outage_after_the_view(hanging, server) as work, within(ONE_TIMEOUT):
            response = browser.do(lambda: work(write))

        assert response.status_code == 503
        assert set_cookies(response) == []

    def test_is_a_503_also_where_the_view_failed_itself(
        self, make_browser: MakeBrowser, server: Server, outage: Outage
    ) -> None:
        """Its own error page had been a 500, and the session does not wait again."""
        browser = make_browser()

        def view() -> None:
            write()
            raise ValueError("a mistake in the view")

        with outage_after_the_view(outage, server) as work, within(ONE_TIMEOUT):
            response = browser.do(lambda: work(view))

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
            response = browser.do(lambda: work(read))

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
            response = browser.do(lambda: work(read))

        assert response.status_code == 200
        assert response.text == "1"
        assert set_cookies(response) == []
        assert f"session {browser.id} was not renewed" in caplog.text

    def test_says_so_in_the_log(
        self,
        make_browser: MakeBrowser,
        server: Server,
        outage: Outage,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        browser = make_browser()

        with outage_after_the_view(outage, server) as work:
            browser.do(lambda: work(write))

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
            response = browser.do(lambda: work(write))

        assert response.status_code == 503
        assert browser.does(read) in ("1", "2")


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
            response = browser.do(logout)

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

        response = browser.do(view)

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
            assert browser.do(logout).status_code == 503

        browser.does(logout)

        assert not browser.has_cookie
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
        response = browser.do(logout)

        assert response.status_code == 200
        assert not browser.has_cookie
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
            response = browser.do(lambda: work(login))

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
            assert browser.do(login).status_code == 503

        browser.does(login)

        assert browser.does(lambda: session["user_id"]) == "42"
        assert browser.does(read) == "1"
