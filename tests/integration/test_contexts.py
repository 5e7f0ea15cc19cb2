"""Several apps, nested and copied contexts, threads, async views, streams."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import flask
import pytest
from flask import (
    Flask,
    Response,
    after_this_request,
    copy_current_request_context,
    flash,
    stream_with_context,
)
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

from flask_srvsession import BackendError, ServerSession, TooManySessions, session
from flask_srvsession.backends import Backend, backend_from_url
from flask_srvsession.backends.memory import MemoryBackend

from ..servers import free_port
from .apps import (
    PATIENCE,
    Browser,
    LosingBackend,
    cookie_headers,
    deletes_cookie,
    listed,
    sets_cookie,
    stored,
)

if TYPE_CHECKING:
    from tests.conftest import MakeApp


KEY = "a secret key that is only used by these tests"


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


# -- several apps ---------------------------------------------------------------------


@pytest.mark.parametrize("same", [True, False], ids=["same store", "other store"])
def test_the_cookie_of_one_app_is_worth_nothing_in_another(
    make_app: MakeApp, clock: Any, same: bool
) -> None:
    one = make_app()
    two = make_app() if same else make_app(MemoryBackend(clock=clock))
    browser = Browser(one)
    browser.set(user_id=42)
    stranger = Browser(two, browser.cookie)

    assert stranger.values() == {}
    stranger.do(lambda: session.destroy())
    stranger.set(user_id=42, where="two")

    assert stranger.id != browser.id
    assert stranger.values() == {"user_id": 42, "where": "two"}
    assert browser.values() == {"user_id": 42}


def test_a_cookie_of_another_app_costs_no_store_command(
    make_app: MakeApp, backend: Backend
) -> None:
    browser = Browser(make_app())
    browser.set(user_id=42)
    noting = LosingBackend(backend)

    Browser(make_app(noting), browser.cookie).values()

    assert noting.calls == []


def test_apps_that_share_a_store_do_not_share_their_users(make_app: MakeApp) -> None:
    one, two = make_app(), make_app()
    in_one, in_two = Browser(one), Browser(two)

    in_one.set(user_id=42)
    in_two.set(user_id=42)

    assert listed(one, 42) == {in_one.id}
    assert listed(two, 42) == {in_two.id}


def test_a_limit_counts_the_sessions_of_one_app_only(make_app: MakeApp) -> None:
    limits = {"SRVSESSION_MAX_PER_KEY": 1, "SRVSESSION_MAX_PER_KEY_POLICY": "reject"}
    in_one, in_two = Browser(make_app(**limits)), Browser(make_app(**limits))

    answers = [in_one.set(user_id=42), in_two.set(user_id=42)]

    assert [answer.status_code for answer in answers] == [200, 200]


def test_two_instances_of_one_app_share_their_sessions(make_app: MakeApp) -> None:
    one = make_app()
    prefix = one.config["SRVSESSION_KEY_PREFIX"]
    two = make_app(SRVSESSION_KEY_PREFIX=prefix)
    browser = Browser(one)
    browser.set(cart=["apple"])
    at_two = Browser(two, browser.cookie)

    at_two.do(lambda: session["cart"].append("pear"))
    assert browser.values() == {"cart": ["apple", "pear"]}
    at_two.do(lambda: session.destroy())

    assert browser.values() == {}


def test_instances_with_other_secret_keys_do_not(make_app: MakeApp) -> None:
    one = make_app()
    prefix = one.config["SRVSESSION_KEY_PREFIX"]
    two = make_app(SRVSESSION_KEY_PREFIX=prefix, SECRET_KEY="another")
    browser = Browser(one)
    browser.set(cart=["apple"])

    assert Browser(two, browser.cookie).values() == {}
    assert browser.values() == {"cart": ["apple"]}


def configured(prefix: str) -> Flask:
    app = Flask("testapp")
    app.config.update(TESTING=True, SECRET_KEY=KEY, SRVSESSION_KEY_PREFIX=prefix)
    return app


def test_one_extension_object_serves_several_apps(
    backend: Backend, clock: Any, make_app: MakeApp
) -> None:
    sessions = ServerSession()
    prefix = make_app().config["SRVSESSION_KEY_PREFIX"]
    one, two = configured(f"{prefix}one:"), configured(f"{prefix}two:")
    sessions.init_app(one, backend, clock=clock)
    sessions.init_app(two, MemoryBackend(clock=clock), clock=clock)
    in_one, in_two = Browser(one), Browser(two)

    in_one.set(where="one", user_id=42)
    in_two.set(where="two", user_id=42)

    assert in_one.values() == {"where": "one", "user_id": 42}
    assert in_two.values() == {"where": "two", "user_id": 42}
    assert Browser(two, in_one.cookie).values() == {}
    assert vars(sessions) == {}
    with one.app_context():
        epoch_of_one = sessions.epoch(user_id=42)
    with two.app_context():
        assert sessions.epoch(user_id=42) != epoch_of_one


def test_an_app_factory_makes_as_many_apps_as_one_likes(
    backend: Backend, clock: Any, make_app: MakeApp
) -> None:
    sessions = ServerSession()
    prefix = make_app().config["SRVSESSION_KEY_PREFIX"]

    def create_app() -> Flask:
        app = configured(prefix)
        sessions.init_app(app, backend, clock=clock)
        return app

    browser = Browser(create_app())
    browser.set(n=1)

    again = Browser(create_app(), browser.cookie)

    assert again.values() == {"n": 1}


def test_without_init_app_the_extension_says_what_is_missing() -> None:
    app = Flask("testapp")

    with app.app_context(), pytest.raises(RuntimeError, match="init_app"):
        ServerSession().epoch(user_id=42)


def counting(app: Flask) -> Flask:
    @app.get("/")
    def count() -> str:
        return str(session.compute("n", lambda n: (n or 0) + 1))

    @app.get("/out")
    def out() -> str:
        session.destroy()
        return "bye"

    return app


def test_mounted_apps_with_cookies_of_their_own_paths_keep_apart(
    make_app: MakeApp,
) -> None:
    front = counting(make_app())
    shop = counting(make_app(SESSION_COOKIE_PATH="/shop"))
    client = Client(DispatcherMiddleware(front, {"/shop": shop}))

    answers = [client.get(url).text for url in ["/", "/shop/", "/shop/", "/"]]
    assert answers == ["1", "1", "2", "2"]
    client.get("/shop/out")

    assert client.get("/").text == "3"
    assert client.get("/shop/").text == "1"


def test_mounted_apps_with_cookies_of_their_own_names_keep_apart(
    make_app: MakeApp,
) -> None:
    front = counting(make_app())
    shop = counting(make_app(SESSION_COOKIE_NAME="shop"))
    client = Client(DispatcherMiddleware(front, {"/shop": shop}))

    answers = [client.get(url).text for url in ["/", "/shop/", "/shop/", "/"]]
    assert answers == ["1", "1", "2", "2"]
    client.get("/out")

    assert client.get("/shop/").text == "3"
    assert client.get("/").text == "1"


# -- nested contexts ------------------------------------------------------------------


def test_a_request_to_another_app_in_the_middle_of_one_keeps_apart(
    make_app: MakeApp,
) -> None:
    outer, inner = Browser(make_app()), Browser(make_app())

    def outer_view() -> None:
        session["where"] = "outer"
        inner.set(where="inner", user_id=1)
        assert dict(session) == {"where": "outer"}
        session["after"] = True

    outer.do(outer_view)

    assert outer.values() == {"where": "outer", "after": True}
    assert inner.values() == {"where": "inner", "user_id": 1}


def test_a_request_to_the_same_app_in_the_middle_of_one_loses_nothing(
    make_app: MakeApp,
) -> None:
    browser = Browser(make_app())
    browser.set(x=0)

    def outer_view() -> None:
        session["outer"] = 1
        browser.copy().set(inner=2)

    browser.do(outer_view)

    assert browser.values() == {"x": 0, "outer": 1, "inner": 2}


def test_an_app_context_in_a_request_does_not_change_the_session(
    make_app: MakeApp,
) -> None:
    app, other = make_app(), make_app()
    browser = Browser(app)

    def view() -> None:
        with app.app_context():
            session["a"] = 1
        with other.app_context():
            session["b"] = 2

    browser.do(view)

    assert browser.values() == {"a": 1, "b": 2}


def test_a_test_request_context_has_an_empty_session_that_can_be_committed(
    make_app: MakeApp,
) -> None:
    app = make_app()

    with app.test_request_context():
        assert dict(session) == {}
        assert session.id is None
        session["a"] = 1
        session.commit()
        session_id = session.id

    assert session_id is not None
    assert stored(app, session_id) is not None


def test_a_test_request_context_finds_the_session_of_its_cookie(
    make_app: MakeApp,
) -> None:
    browser = Browser(app := make_app())
    browser.set(a=1)

    with app.test_request_context(headers={"Cookie": f"session={browser.cookie}"}):
        assert session["a"] == 1
        assert session.id == browser.id
        with app.test_request_context():
            assert dict(session) == {}
        assert session["a"] == 1


def test_without_a_request_context_the_session_says_so(make_app: MakeApp) -> None:
    app = make_app()

    with app.app_context(), pytest.raises(RuntimeError, match="request context"):
        session["a"] = 1


def test_the_session_of_a_finished_request_can_be_looked_at_in_a_with_block(
    make_app: MakeApp,
) -> None:
    browser = Browser(make_app())

    with browser.client:
        browser.set(a=1)
        assert flask.session["a"] == 1
        assert session.id == browser.id


# -- copied contexts and threads ------------------------------------------------------


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
    make_app: MakeApp, backend: Backend, before: dict[str, Any]
) -> None:
    noting = LosingBackend(backend)
    browser = Browser(make_app(noting))
    browser.set(**before)
    noting.calls.clear()
    start = threading.Barrier(8)

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


# -- session_transaction --------------------------------------------------------------


def test_session_transaction_prepares_a_session_for_the_next_request(
    make_app: MakeApp,
) -> None:
    browser = Browser(make_app())

    with browser.client.session_transaction() as prepared:
        prepared["cart"] = ["apple"]

    assert browser.values() == {"cart": ["apple"]}


def test_session_transaction_sees_and_changes_what_requests_stored(
    make_app: MakeApp,
) -> None:
    browser = Browser(make_app())
    browser.set(cart=["apple"])
    cookie = browser.cookie

    with browser.client.session_transaction() as found:
        assert found["cart"] == ["apple"]
        found["cart"].append("pear")

    assert browser.cookie == cookie
    assert browser.values() == {"cart": ["apple", "pear"]}


def test_session_transaction_can_log_in(make_app: MakeApp) -> None:
    browser = Browser(app := make_app())
    browser.set(cart=["apple"])
    before = browser.copy()

    with browser.client.session_transaction() as found:
        found["user_id"] = 42

    assert before.values() == {}
    assert browser.values() == {"cart": ["apple"], "user_id": 42}
    assert listed(app, 42) == {browser.id}


def test_session_transaction_can_log_out(make_app: MakeApp) -> None:
    browser = Browser(app := make_app())
    browser.set(user_id=42)
    session_id = browser.id

    with browser.client.session_transaction() as found:
        found.clear()

    assert not browser.has_cookie
    assert stored(app, session_id) is None


def test_session_transaction_raises_an_outage(make_app: MakeApp) -> None:
    nobody_listens = backend_from_url(f"redis://127.0.0.1:{free_port()}")
    browser = Browser(make_app(nobody_listens))

    with pytest.raises(BackendError), browser.client.session_transaction() as prepared:
        prepared["cart"] = ["apple"]

    assert not browser.has_cookie


def test_an_event_of_flask_socketio_raises_an_outage(make_app: MakeApp) -> None:
    """What it returns would tell the client that all was saved."""
    flask_socketio = pytest.importorskip("flask_socketio")
    storage = LosingBackend(MemoryBackend())
    app = make_app(storage)
    socketio = flask_socketio.SocketIO(
        app, manage_session=False, async_mode="threading"
    )
    socketio.on_event("add", lambda: session.update(cart=[1]))
    browser = Browser(app)
    browser.set(lang="de")
    cookie = {"Cookie": f"session={browser.cookie}"}
    client = socketio.test_client(app, headers=cookie)

    storage.lose(at_write=1)
    with pytest.raises(BackendError):
        client.emit("add", callback=True)


def test_session_transaction_raises_what_refuses_a_login(make_app: MakeApp) -> None:
    app = make_app(SRVSESSION_MAX_PER_KEY=1, SRVSESSION_MAX_PER_KEY_POLICY="reject")
    Browser(app).set(user_id=42)
    browser = Browser(app)

    with (
        pytest.raises(TooManySessions),
        browser.client.session_transaction() as prepared,
    ):
        prepared["user_id"] = 42

    assert not browser.has_cookie


def test_session_transaction_that_only_looks_stores_nothing(make_app: MakeApp) -> None:
    browser = Browser(make_app())

    with browser.client.session_transaction() as found:
        assert "user_id" not in found

    assert not browser.has_cookie


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


def test_a_stream_that_never_looks_at_the_session_costs_nothing(
    make_app: MakeApp, backend: Backend
) -> None:
    noting = LosingBackend(backend)
    browser = Browser(make_app(noting))
    browser.set(a=1)
    noting.calls.clear()

    response = browser.do(lambda: Response(stream_with_context(iter(["a", "b"]))))

    assert response.text == "ab"
    assert noting.calls == []
    assert "Cookie" not in response.headers.get("Vary", "")


# -- before, after, teardown, errors --------------------------------------------------


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
