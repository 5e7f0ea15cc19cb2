"""Changes that are written at once: commits, streams, threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from flask import Response, copy_current_request_context, stream_with_context

from flask_srvsession import session
from tests.web import PATIENCE, Browser, View

from ..apps import (
    sets_cookie,
    stored,
)
from .shopper import clear_and_write, shopper

if TYPE_CHECKING:
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage


def test_commit_writes_now(make_app: MakeApp) -> None:
    browser = shopper(make_app(), x=0)

    def write_early() -> None:
        session["early"] = True
        session.commit()

    with browser.in_flight(lambda: None, first=write_early):
        assert browser.values() == {"x": 0, "early": True}


def test_what_follows_a_commit_is_saved_at_the_end(make_app: MakeApp) -> None:
    browser = shopper(make_app(), x=0)

    def write_twice() -> None:
        session["a"] = 1
        session.commit()
        session["b"] = 2

    browser.do(write_twice)

    assert browser.values() == {"x": 0, "a": 1, "b": 2}


def test_commit_of_a_new_session_still_sends_its_cookie(make_app: MakeApp) -> None:
    browser = Browser(make_app())

    def begin() -> None:
        session["a"] = 1
        session.commit()
        assert session.id is not None

    response = browser.do(begin)

    assert sets_cookie(response)
    assert browser.values() == {"a": 1}


def test_a_stream_can_save_while_it_runs(make_app: MakeApp) -> None:
    browser = shopper(make_app(), progress=0)
    seen: list[Any] = []

    def stream() -> Response:
        def steps() -> Iterator[str]:
            for step in (1, 2):
                session["progress"] = step
                session.commit()
                seen.append(browser.copy().values()["progress"])
                yield str(step)

        return Response(stream_with_context(steps()))

    response = browser.do(stream)

    assert response.text == "12"
    assert seen == [1, 2]
    assert browser.values() == {"progress": 2}


def test_a_stream_loses_nothing_that_others_write_meanwhile(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), x=0)

    def stream() -> Response:
        def steps() -> Iterator[str]:
            session["stream"] = 1
            yield "begun"
            session.commit()

        return Response(stream_with_context(steps()))

    response = browser.do(stream, buffered=False)
    browser.copy().set(other=2)

    assert response.text == "begun"
    assert browser.values() == {"x": 0, "stream": 1, "other": 2}


def test_a_stream_cannot_begin_a_session_and_says_so(make_app: MakeApp) -> None:
    browser, refusals = Browser(make_app()), []

    def stream() -> Response:
        def steps() -> Iterator[str]:
            yield "begun"
            session["late"] = True
            try:
                session.commit()
            except RuntimeError as error:
                refusals.append(str(error))

        return Response(stream_with_context(steps()))

    assert browser.do(stream).text == "begun"
    assert len(refusals) == 1
    assert "cookie" in refusals[0]
    assert not browser.has_cookie


@pytest.mark.parametrize(
    "act",
    [
        lambda: session.update(user_id=42),
        lambda: session.bind(user_id=42),
        lambda: session.rotate(),
        lambda: clear_and_write(),
    ],
    ids=["log in", "bind", "rotate", "clear and write"],
)
def test_a_stream_cannot_change_the_id_and_the_session_stays_as_it_was(
    make_app: MakeApp, act: View
) -> None:
    browser, refusals = shopper(make_app(), cart=["apple"]), []

    def stream() -> Response:
        def steps() -> Iterator[str]:
            yield "begun"
            try:
                act()
                session.commit()
            except RuntimeError as error:
                refusals.append(str(error))

        return Response(stream_with_context(steps()))

    assert browser.do(stream).text == "begun"
    assert len(refusals) == 1
    assert browser.values() == {"cart": ["apple"]}


def test_a_stream_can_end_the_session(make_app: MakeApp) -> None:
    browser = shopper(app := make_app(), cart=["apple"])
    session_id = browser.id

    def stream() -> Response:
        def steps() -> Iterator[str]:
            yield "begun"
            session.destroy()

        return Response(stream_with_context(steps()))

    assert browser.do(stream).text == "begun"
    assert stored(app, session_id) is None


def test_a_stream_of_a_session_that_was_ended_brings_nothing_back(
    make_app: MakeApp,
) -> None:
    browser = shopper(app := make_app(), cart=["apple"])
    session_id = browser.id

    def stream() -> Response:
        def steps() -> Iterator[str]:
            session["begun"] = True
            yield "begun"
            session.commit()

        return Response(stream_with_context(steps()))

    response = browser.do(stream, buffered=False)
    browser.copy().do(lambda: session.destroy())

    assert response.text == "begun"
    assert stored(app, session_id) is None


def test_a_background_thread_can_save_after_the_response(make_app: MakeApp) -> None:
    browser = shopper(make_app(), progress=0)
    may_go_on, threads = threading.Event(), []

    def start() -> None:
        @copy_current_request_context
        def work() -> None:
            assert may_go_on.wait(PATIENCE)
            session["progress"] += 1
            session.commit()

        threads.append(threading.Thread(target=work))
        threads[0].start()

    browser.do(start)
    browser.set(other=True)
    may_go_on.set()
    threads[0].join(PATIENCE)

    assert browser.values() == {"progress": 1, "other": True}
