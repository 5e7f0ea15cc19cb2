"""No update is lost: overlapping requests, nested changes, exact counters."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, copy_current_request_context, stream_with_context

from flask_srvsession import session, session_destroyed
from flask_srvsession.backends import Backend

from .apps import (
    PATIENCE,
    Browser,
    LosingBackend,
    View,
    cookie_headers,
    deletes_cookie,
    each_write,
    sets_cookie,
    stored,
    together,
)

if TYPE_CHECKING:
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_database


def shopper(app: Flask, **values: Any) -> Browser:
    """Return a browser whose session has been presented once."""
    browser = Browser(app)
    browser.set(**(values or {"cart": {"items": ["apple"]}}))
    browser.values()
    return browser


def add_one() -> None:
    session.compute("n", lambda n: (n or 0) + 1)


# -- different keys -------------------------------------------------------------------


@pytest.mark.parametrize("user", [{}, {"user_id": 42}], ids=["anonymous", "logged in"])
def test_two_overlapping_requests_that_set_different_keys_both_survive(
    make_app: MakeApp, user: dict[str, Any]
) -> None:
    browser = shopper(make_app(), x=0, **user)

    with browser.in_flight(lambda: session.update(slow=1)) as late:
        browser.set(fast=2)

    assert browser.values() == {"x": 0, "slow": 1, "fast": 2, **user}
    assert cookie_headers(late.response) == []


def test_what_was_set_before_the_other_request_began_survives_too(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), x=0)

    with browser.in_flight(lambda: None, first=lambda: session.update(slow=1)):
        browser.set(fast=2)

    assert browser.values() == {"x": 0, "slow": 1, "fast": 2}


def test_twenty_requests_at_once_each_keep_their_own_key(make_app: MakeApp) -> None:
    browser = shopper(make_app(), x=0)
    copies = {f"key{n}": browser.copy() for n in range(20)}

    together(*(lambda k=k, c=c: c.set(**{k: True}) for k, c in copies.items()))

    assert browser.values() == {"x": 0, **dict.fromkeys(copies, True)}


def test_a_key_that_is_removed_and_one_that_is_set_do_not_meet(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), a=1, b=2)

    with browser.in_flight(lambda: str(session.pop("a"))):
        browser.set(c=3)

    assert browser.values() == {"b": 2, "c": 3}


def test_a_reader_does_not_bring_old_values_back(make_app: MakeApp) -> None:
    browser = shopper(make_app(), a=1, cart=[])

    with browser.in_flight(lambda: str(dict(session))) as late:
        browser.set(a=2, cart=["apple"])

    assert late.response.text == "{'a': 1, 'cart': []}"
    assert browser.values() == {"a": 2, "cart": ["apple"]}


def test_a_renewal_does_not_bring_old_values_back(
    make_app: MakeApp, clock: Any
) -> None:
    browser = shopper(make_app(), a=1)
    clock.advance(3600)

    with browser.in_flight(lambda: None):
        browser.set(a=2)

    assert browser.values() == {"a": 2}


# -- nested changes -------------------------------------------------------------------


def append() -> None:
    session["cart"]["items"].append("pear")


def append_through_get() -> None:
    session.get("cart", {})["items"].append("pear")


def append_through_setdefault() -> None:
    session.setdefault("cart", {})["items"].append("pear")


def append_through_values() -> None:
    for value in session.values():
        value["items"].append("pear")


def append_through_items() -> None:
    dict(session.items())["cart"]["items"].append("pear")


def append_through_a_copy_of_the_dict() -> None:
    dict(session)["cart"]["items"].append("pear")


def append_after_commit() -> None:
    cart = session["cart"]
    session["seen"] = True
    session.commit()
    cart["items"].append("pear")
    del session["seen"]


@pytest.mark.parametrize(
    "change",
    [
        append,
        append_through_get,
        append_through_setdefault,
        append_through_values,
        append_through_items,
        append_through_a_copy_of_the_dict,
        append_after_commit,
    ],
)
def test_a_nested_change_is_saved_without_modified(
    make_app: MakeApp, change: View
) -> None:
    browser = shopper(make_app())

    browser.do(change)

    assert browser.values() == {"cart": {"items": ["apple", "pear"]}}


def test_an_object_that_was_assigned_may_change_afterwards(make_app: MakeApp) -> None:
    browser = Browser(make_app())

    def assign_first() -> None:
        items: list[str] = []
        session["cart"] = {"items": items}
        items.append("apple")

    browser.do(assign_first)

    assert browser.values() == {"cart": {"items": ["apple"]}}


def test_nested_changes_of_different_keys_overlap(make_app: MakeApp) -> None:
    browser = shopper(make_app(), cart={"items": []}, wishes={"items": []})

    with browser.in_flight(lambda: session["cart"]["items"].append("apple")):
        browser.do(lambda: session["wishes"]["items"].append("pear"))

    assert browser.values() == {
        "cart": {"items": ["apple"]},
        "wishes": {"items": ["pear"]},
    }


def test_who_only_looked_at_a_nested_value_does_not_overwrite_it(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app())

    def look_and_write() -> None:
        assert session["cart"]["items"] == ["apple"]
        session["other"] = 1

    with browser.in_flight(look_and_write, first=lambda: str(session["cart"])):
        browser.do(append)

    assert browser.values() == {"cart": {"items": ["apple", "pear"]}, "other": 1}


# -- the same key ---------------------------------------------------------------------


def test_of_two_that_set_the_same_key_the_last_commit_wins(make_app: MakeApp) -> None:
    browser = shopper(make_app(), a=0)

    with browser.in_flight(lambda: session.update(a="slow")):
        browser.set(a="fast")
        assert browser.values() == {"a": "fast"}

    assert browser.values() == {"a": "slow"}


def test_a_removal_that_commits_last_wins_over_an_assignment(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), a=0, b=0)

    with browser.in_flight(lambda: str(session.pop("a"))):
        browser.set(a="fast")

    assert browser.values() == {"b": 0}


def test_an_assignment_that_commits_last_wins_over_a_removal(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), a=0, b=0)

    with browser.in_flight(lambda: session.update(a="slow")):
        browser.do(lambda: str(session.pop("a")))

    assert browser.values() == {"a": "slow", "b": 0}


# -- clear, and sessions that get empty -----------------------------------------------


def clear_and_write() -> None:
    session.clear()
    session["mine"] = True


def test_clear_wipes_what_is_there_when_it_commits(make_app: MakeApp) -> None:
    browser = shopper(make_app(), a=1)

    def clear_and_commit() -> str:
        clear_and_write()
        session.commit()
        return str(dict(session))

    with browser.in_flight(clear_and_commit) as late:
        browser.set(b=2)

    assert late.response.text == "{'mine': True}"


def test_clear_and_write_takes_effect_under_a_new_id(make_app: MakeApp) -> None:
    browser = shopper(make_app(), a=1)
    thief = browser.copy()

    browser.do(clear_and_write)

    assert browser.id != thief.id
    assert browser.values() == {"mine": True}
    assert thief.values() == {}


def test_who_wrote_in_flight_while_it_was_cleared_is_dropped(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), a=1)

    with browser.in_flight(lambda: session.update(late=True)) as late:
        browser.do(clear_and_write)

    assert cookie_headers(late.response) == []
    assert browser.values() == {"mine": True}


def test_a_session_whose_last_key_is_removed_ends(make_app: MakeApp) -> None:
    browser = shopper(app := make_app(), a=1)
    session_id, heard = browser.id, []

    def hear(sender: Flask, info: Any) -> None:
        heard.append(info.id)

    with session_destroyed.connected_to(hear):
        response = browser.do(lambda: str(session.pop("a")))

    assert deletes_cookie(response)
    assert stored(app, session_id) is None
    assert heard == [session_id]


def test_a_session_that_somebody_filled_while_it_was_emptied_goes_on(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), a=1)
    session_id = browser.id

    with browser.in_flight(lambda: str(session.pop("a"))) as late:
        browser.set(b=2)

    assert cookie_headers(late.response) == []
    assert browser.id == session_id
    assert browser.values() == {"b": 2}


def test_two_that_each_remove_one_of_two_keys_leave_nothing(
    make_app: MakeApp,
) -> None:
    browser = shopper(app := make_app(), a=1, b=2)
    session_id = browser.id

    with browser.in_flight(lambda: str(session.pop("a"))) as late:
        browser.do(lambda: str(session.pop("b")))

    assert browser.values() == {}
    assert stored(app, session_id) is None
    assert deletes_cookie(late.response)


# -- compute --------------------------------------------------------------------------


@pytest.mark.parametrize("user", [{}, {"user_id": 42}], ids=["anonymous", "logged in"])
def test_twenty_increments_at_once_make_exactly_twenty(
    make_app: MakeApp, user: dict[str, Any]
) -> None:
    browser = shopper(make_app(), n=5, **user)
    copies = [browser.copy() for _ in range(20)]
    loaded = threading.Barrier(20)

    def load_and_add_one() -> None:
        assert session["n"] == 5
        loaded.wait(PATIENCE)
        add_one()

    responses = together(*(lambda c=c: c.do(load_and_add_one) for c in copies))

    assert {response.status_code for response in responses} == {200}
    assert browser.values()["n"] == 25


def test_increments_of_a_key_that_is_not_there_yet_are_exact(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), x=0)
    copies = [browser.copy() for _ in range(8)]

    together(*(lambda c=c: [c.do(add_one) for _ in range(5)] for c in copies))

    assert browser.values() == {"x": 0, "n": 40}


def test_compute_returns_the_value_of_this_request(make_app: MakeApp) -> None:
    browser = shopper(make_app(), n=1)

    response = browser.do(lambda: str(session.compute("n", lambda n: n + 1)))

    assert response.text == "2"


def test_compute_twice_in_a_request_counts_twice_in_a_conflict(
    make_app: MakeApp,
) -> None:
    browser = shopper(make_app(), n=0)

    with browser.in_flight(lambda: (add_one(), add_one())[1]):
        browser.do(add_one)

    assert browser.values() == {"n": 3}


def test_a_computed_list_loses_no_item(make_app: MakeApp) -> None:
    browser = shopper(make_app(), cart=[])

    def add(item: str) -> None:
        session.compute("cart", lambda cart: [*cart, item])

    with browser.in_flight(lambda: add("apple")):
        browser.do(lambda: add("pear"))

    assert sorted(browser.values()["cart"]) == ["apple", "pear"]


def test_compute_after_an_assignment_builds_on_it(make_app: MakeApp) -> None:
    browser = shopper(make_app(), n=1)

    def assign_and_add_one() -> None:
        session["n"] = 10
        add_one()

    with browser.in_flight(assign_and_add_one):
        browser.set(n=100)

    assert browser.values() == {"n": 11}


def test_an_assignment_after_compute_replaces_it(make_app: MakeApp) -> None:
    browser = shopper(make_app(), n=1)

    def add_one_and_assign() -> None:
        add_one()
        session["n"] = 10

    with browser.in_flight(add_one_and_assign):
        browser.do(add_one)

    assert browser.values() == {"n": 10}


def test_compute_after_clear_begins_with_none(make_app: MakeApp) -> None:
    browser = shopper(make_app(), n=41)

    browser.do(lambda: (session.clear(), add_one())[1])

    assert browser.values() == {"n": 1}


def test_a_computed_key_that_is_removed_is_gone(make_app: MakeApp) -> None:
    browser = shopper(make_app(), n=41, x=0)

    browser.do(lambda: (add_one(), session.pop("n"))[0])

    assert browser.values() == {"x": 0}


def test_compute_works_on_a_new_session(make_app: MakeApp) -> None:
    browser = Browser(make_app())

    browser.do(lambda: (add_one(), add_one())[1])

    assert browser.values() == {"n": 2}


# -- what writes nothing --------------------------------------------------------------


def assign_identical() -> None:
    session["cart"] = {"items": ["apple"]}


def change_and_change_back() -> None:
    session["cart"]["items"].append("pear")
    session["cart"]["items"].pop()


def set_and_remove() -> None:
    session["new"] = 1
    del session["new"]


def read_everything() -> None:
    dict(session)


@pytest.mark.parametrize(
    "view",
    [
        assign_identical,
        change_and_change_back,
        set_and_remove,
        read_everything,
    ],
)
@pytest.mark.parametrize("user", [{}, {"user_id": 42}], ids=["anonymous", "logged in"])
def test_what_is_as_it_was_is_not_written(
    make_app: MakeApp, backend: Backend, view: View, user: dict[str, Any]
) -> None:
    noting = LosingBackend(backend)
    browser = shopper(make_app(noting), cart={"items": ["apple"]}, **user)
    browser.values()
    noting.calls.clear()

    response = browser.do(view)

    assert noting.calls.count("get") == 1
    assert noting.writes == []
    assert cookie_headers(response) == []


def test_a_change_is_one_write(make_app: MakeApp, backend: Backend) -> None:
    noting = LosingBackend(backend)
    browser = shopper(make_app(noting))
    noting.calls.clear()

    browser.do(append)

    assert noting.calls == ["get", "swap"]


# -- a storage that fails -------------------------------------------------------------


def test_a_change_of_which_the_answer_is_lost_is_made_exactly_once(
    make_app: MakeApp, backend: Backend
) -> None:
    losing, tried = LosingBackend(backend), 0
    browser = shopper(make_app(losing), n=0)

    for nth in each_write(losing):
        losing.lose(at_write=nth, only_answer=True)
        tried += 1
        assert browser.do(add_one).status_code == 200
        losing.recover()

    assert tried >= 2
    assert browser.values() == {"n": tried}


class Overtaken(LosingBackend):
    """Others write after an answer was lost, and before anybody looks what became
    of the change."""

    others: Callable[[], object] | None = None

    def get(self, key: str) -> Any:
        if self.has_failed and self.others:
            others, self.others = self.others, None
            others()
        return super().get(key)


@pytest.mark.parametrize(("writes", "status"), [(7, 200), (8, 503)])
def test_a_change_that_may_have_been_forgotten_is_not_made_again(
    make_app: MakeApp, backend: Backend, writes: int, status: int
) -> None:
    """A session remembers its last eight writes."""
    overtaken = Overtaken(backend)
    browser = shopper(make_app(overtaken), n=0)
    other = browser.copy()

    overtaken.others = lambda: [other.set(written=n) for n in range(writes)]
    overtaken.lose(at_write=1, only_answer=True)
    response = browser.do(add_one)

    assert response.status_code == status
    assert browser.values() == {"n": 1, "written": writes - 1}


def test_a_change_that_loses_the_storage_is_a_503_and_not_made(
    make_app: MakeApp, backend: Backend
) -> None:
    losing = LosingBackend(backend)
    browser = shopper(make_app(losing), n=0)

    losing.lose(at_write=1)
    response = browser.do(add_one)
    losing.recover()

    assert response.status_code == 503
    assert cookie_headers(response) == []
    assert browser.values() == {"n": 0}


# -- commit ---------------------------------------------------------------------------


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
