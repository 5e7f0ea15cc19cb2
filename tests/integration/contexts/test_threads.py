"""Threads that share the session of a request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from flask import (
    copy_current_request_context,
)

from flask_srvsession import session
from flask_srvsession.backends import Backend
from tests.web import PATIENCE, Browser

from ..apps import (
    LosingBackend,
    deletes_cookie,
    listed,
    sets_cookie,
    stored,
)

if TYPE_CHECKING:
    from tests.conftest import MakeApp


def run_threads(*functions: Callable[[], None]) -> None:
    """Run each function in a copy of this request's context; wait for all."""
    errors: list[BaseException] = []

    def run(function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=copy_current_request_context(run), args=(function,))
        for function in functions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert errors == []


def test_a_thread_with_a_copied_context_reads_and_writes_the_session(
    make_app: MakeApp,
) -> None:
    browser, seen = Browser(make_app()), []
    browser.set(a=1)

    def work() -> None:
        seen.append(session["a"])
        session["b"] = 2

    browser.do(lambda: run_threads(work))

    assert seen == [1]
    assert browser.values() == {"a": 1, "b": 2}


def test_a_thread_may_be_the_first_to_look_at_the_session(make_app: MakeApp) -> None:
    browser = Browser(make_app())

    response = browser.do(lambda: run_threads(lambda: session.update(a=1)))

    assert sets_cookie(response)
    assert browser.values() == {"a": 1}


def test_an_object_that_a_thread_shares_is_the_same_and_saved_once_changed_by_both(
    make_app: MakeApp,
) -> None:
    browser = Browser(make_app())
    browser.set(cart=["apple"])
    appended, same = threading.Event(), []

    def view() -> None:
        cart = session["cart"]

        @copy_current_request_context
        def work() -> None:
            same.append(session["cart"] is cart)
            session["cart"].append("from the thread")
            appended.set()

        thread = threading.Thread(target=work)
        thread.start()
        assert appended.wait(PATIENCE)
        cart.append("from the request")
        thread.join(PATIENCE)

    browser.do(view)

    assert same == [True]
    cart = browser.values()["cart"]
    assert cart == ["apple", "from the thread", "from the request"]


def test_what_a_thread_appends_after_the_response_is_saved_by_its_commit(
    make_app: MakeApp,
) -> None:
    browser, threads = Browser(make_app()), []
    browser.set(cart=["apple"])
    left = threading.Event()

    def view() -> None:
        cart = session["cart"]
        cart.append("before")

        @copy_current_request_context
        def work() -> None:
            assert left.wait(PATIENCE)
            cart.append("after")
            session.commit()

        threads.append(threading.Thread(target=work))
        threads[0].start()

    browser.do(view)
    assert browser.values() == {"cart": ["apple", "before"]}
    left.set()
    threads[0].join(PATIENCE)

    assert browser.values() == {"cart": ["apple", "before", "after"]}


def test_eight_threads_that_change_different_keys_lose_nothing(
    make_app: MakeApp,
) -> None:
    browser = Browser(make_app())
    browser.set(cart={f"thread{n}": [] for n in range(8)}, n=0)

    def work(n: int) -> None:
        for i in range(25):
            session[f"key{n}"] = i
            session["cart"][f"thread{n}"].append(i)
            session.compute("n", lambda n: n + 1)
            dict(session)
            if i % 10 == 0:
                session.commit()

    browser.do(lambda: run_threads(*(lambda n=n: work(n) for n in range(8))))

    values = browser.values()
    assert {key: values.pop(key) for key in list(values) if key.startswith("key")} == {
        f"key{n}": 24 for n in range(8)
    }
    assert values["n"] == 200
    assert values["cart"] == {f"thread{n}": list(range(25)) for n in range(8)}


@pytest.mark.parametrize("before", [{}, {"x": 0}], ids=["new", "stored"])
def test_eight_threads_that_look_first_at_the_same_time_load_once(
    make_app: MakeApp,
    backend: Backend,
    monkeypatch: pytest.MonkeyPatch,
    before: dict[str, Any],
) -> None:
    noting = LosingBackend(backend)
    app = make_app(noting)
    Browser(app).set(y=0)  # a process asks for the era when it begins
    browser = Browser(app)
    browser.set(**before)
    noting.calls.clear()
    start, get = threading.Barrier(8), noting.get

    def get_slowly(key: str) -> Any:
        time.sleep(0.01)  # the others go on meanwhile
        return get(key)

    monkeypatch.setattr(noting, "get", get_slowly)

    def work(n: int) -> None:
        start.wait(PATIENCE)
        session[f"key{n}"] = n

    browser.do(lambda: run_threads(*(lambda n=n: work(n) for n in range(8))))

    assert noting.calls == (["get", "swap"] if before else ["add"])
    assert browser.values() == {**before, **{f"key{n}": n for n in range(8)}}


def test_eight_threads_of_a_request_and_eight_other_requests_lose_nothing(
    make_app: MakeApp,
) -> None:
    browser = Browser(make_app())
    browser.set(n=0)

    def add_one_inside() -> None:
        session.compute("n", lambda n: n + 1)
        session.commit()

    def add_one_outside() -> None:
        other.copy().do(lambda: session.compute("n", lambda n: n + 1) and None)

    other = browser.copy()
    browser.do(lambda: run_threads(*[add_one_inside, add_one_outside] * 8))

    assert browser.values() == {"n": 16}


def test_a_destroy_in_a_thread_ends_the_session_of_the_request(
    make_app: MakeApp,
) -> None:
    browser = Browser(app := make_app())
    browser.set(user_id=42)
    session_id, thief = browser.id, browser.copy()

    response = browser.do(lambda: run_threads(lambda: session.destroy()))

    assert deletes_cookie(response)
    assert stored(app, session_id) is None
    assert thief.values() == {}


def test_a_thread_that_outlives_a_destroyed_session_brings_nothing_back(
    make_app: MakeApp,
) -> None:
    browser = Browser(app := make_app())
    browser.set(user_id=42)
    session_id, left, threads = browser.id, threading.Event(), []

    def view() -> None:
        @copy_current_request_context
        def work() -> None:
            assert left.wait(PATIENCE)
            session["late"] = True
            session.commit()

        assert session["user_id"] == 42
        threads.append(threading.Thread(target=work))
        threads[0].start()

    browser.do(view)
    browser.do(lambda: session.destroy())
    left.set()
    threads[0].join(PATIENCE)

    assert stored(app, session_id) is None
    assert listed(app, 42) == set()
