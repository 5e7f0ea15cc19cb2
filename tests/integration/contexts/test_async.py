"""Async views and streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from flask import (
    Flask,
    Response,
    stream_with_context,
)
from werkzeug.test import TestResponse

from flask_srvsession import session
from flask_srvsession.backends import Backend
from tests.web import Browser

from ..apps import (
    LosingBackend,
    stored,
)

if TYPE_CHECKING:
    from tests.conftest import MakeApp


# -- async views ----------------------------------------------------------------------


def ask_async(app: Flask, view: Callable[[], Any], browser: Browser) -> TestResponse:
    return browser.do(lambda: app.ensure_sync(view)())


def test_an_async_view_reads_and_writes_the_session(make_app: MakeApp) -> None:
    browser = Browser(app := make_app())

    async def view() -> str:
        await asyncio.sleep(0)
        return str(session.compute("n", lambda n: (n or 0) + 1))

    assert [ask_async(app, view, browser).text for _ in range(3)] == ["1", "2", "3"]


def test_a_route_may_be_async(make_app: MakeApp) -> None:
    app = make_app()

    @app.get("/count")
    async def count() -> str:
        await asyncio.sleep(0)
        session["n"] = session.get("n", 0) + 1
        await asyncio.sleep(0)
        return str(session["n"])

    client = app.test_client()

    assert [client.get("/count").text for _ in range(3)] == ["1", "2", "3"]


def test_tasks_of_an_async_view_that_set_different_keys_lose_nothing(
    make_app: MakeApp,
) -> None:
    browser = Browser(app := make_app())
    browser.set(cart=[])

    async def task(n: int) -> None:
        await asyncio.sleep(0)
        session[f"key{n}"] = n
        await asyncio.sleep(0)
        session["cart"].append(n)

    async def view() -> str:
        await asyncio.gather(*(task(n) for n in range(8)))
        return ""

    ask_async(app, view, browser)

    values = browser.values()
    assert sorted(values.pop("cart")) == list(range(8))
    assert values == {f"key{n}": n for n in range(8)}


def test_an_async_view_can_log_in_and_out(make_app: MakeApp) -> None:
    browser = Browser(app := make_app())

    async def log_in() -> str:
        session.bind(user_id=42)
        return ""

    async def log_out() -> str:
        session.destroy()
        return ""

    ask_async(app, log_in, browser)
    thief, session_id = browser.copy(), browser.id
    assert thief.values() == {"user_id": 42}
    ask_async(app, log_out, browser)

    assert stored(app, session_id) is None
    assert thief.values() == {}


def test_work_that_an_async_view_gives_to_a_thread_sees_the_session(
    make_app: MakeApp,
) -> None:
    browser = Browser(app := make_app())
    browser.set(a=1)

    async def view() -> str:
        await asyncio.to_thread(session.update, b=2)
        return str(dict(session))

    assert ask_async(app, view, browser).text == "{'a': 1, 'b': 2}"
    assert browser.values() == {"a": 1, "b": 2}


# -- streams --------------------------------------------------------------------------


def test_a_stream_reads_the_session_with_its_context(make_app: MakeApp) -> None:
    browser = Browser(make_app())
    browser.set(a=1, b=2)

    def stream() -> Response:
        def steps() -> Iterator[str]:
            yield str(session["a"])
            yield str(session["b"])

        return Response(stream_with_context(steps()))

    assert browser.do(stream).text == "12"


def test_what_was_set_before_a_stream_is_saved_before_it_runs(
    make_app: MakeApp,
) -> None:
    browser = Browser(make_app())

    def stream() -> Response:
        session["a"] = 1

        def steps() -> Iterator[str]:
            yield str(session["a"])
            yield str(session.id)

        return Response(stream_with_context(steps()))

    response = browser.do(stream)

    assert response.text == f"1{browser.id}"


def test_a_stream_that_never_looks_at_the_session_asks_no_storage(
    make_app: MakeApp, backend: Backend
) -> None:
    noting = LosingBackend(backend)
    browser = Browser(make_app(noting))
    browser.set(a=1)
    noting.calls.clear()

    response = browser.do(lambda: Response(stream_with_context(iter(["a", "b"]))))

    assert response.text == "ab"
    assert noting.calls == []
    assert "Cookie" in response.headers.get("Vary", "")  # it might have looked
