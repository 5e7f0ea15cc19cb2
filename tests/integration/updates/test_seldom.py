"""Others come between two steps of a request: seldom, but then the outcome is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Response
from flask.sessions import SecureCookieSession

from flask_srvsession import (
    BackendError,
    StaleLogin,
    TooManySessions,
    moves,
    session,
    session_changes_dropped,
)
from flask_srvsession.backends import Backend
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.draft import Changes
from flask_srvsession.serializers import MsgpackSerializer
from flask_srvsession.store import marker as marker_module
from flask_srvsession.store import rewriting
from flask_srvsession.store import room as room_module
from flask_srvsession.store.lists import Entry
from flask_srvsession.store.records import Live
from flask_srvsession.store.regeneration import regenerate, relist
from tests.web import Browser, View

from ..apps import LosingBackend, WatchedBackend, listed
from ..devices import (
    SteppingBackend,
    advance_token,
    assigning,
    found,
    revoke_all,
    sessions,
    signed_in,
    store_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from flask import Flask

    from flask_srvsession.store import SessionStore
    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp


@pytest.fixture
def stepping(backend: Backend, clock: FakeClock) -> SteppingBackend:
    return SteppingBackend(backend, clock)


def begun(app: Flask, user_id: int = 42) -> Live:
    """Return a session in which that user has just logged in."""
    return store_of(app).create(assigning(app, user_id=user_id))


def lives(store: SessionStore, live: Live | None) -> bool:
    return bool(live and store.peek(live.id))


def test_a_session_that_ends_while_its_place_is_taken_over_leaves_no_successor(
    make_app: MakeApp, stepping: SteppingBackend
) -> None:
    app = make_app(stepping, SRVSESSION_MAX_PER_KEY={"user_id": 2})
    store, refused = store_of(app), 0

    def end() -> None:
        store.destroy(old.id)

    for _ in stepping.positions(end):
        stepping.pause()
        old = begun(app)
        stepping.begin()

        outcome = regenerate(store, old, Changes(), login=False)
        stepping.finish()

        assert not lives(store, old)
        assert found(app) == []
        assert listed(app, 42) == set()
        refused += not isinstance(outcome, Live)
    assert refused


def test_a_successor_that_is_ended_before_it_takes_over_is_begun_anew(
    make_app: MakeApp, stepping: SteppingBackend
) -> None:
    """By somebody who found it in the list, while the session itself was changed."""
    app = make_app(stepping)
    store, ended = store_of(app), 0

    def end_the_new_one() -> None:
        nonlocal ended
        new = [info.id for info in found(app) if info.id != old.id]
        if isinstance(store.save(old, assigning(app, cart="tea")), Live) and new:
            ended += bool(store.destroy(new[0]))

    for _ in stepping.positions(end_the_new_one):
        stepping.pause()
        revoke_all(app)
        old = begun(app)
        stepping.begin()

        outcome = regenerate(store, old, Changes(), login=False)
        stepping.finish()

        assert isinstance(outcome, Live)
        assert [info.id for info in found(app)] == [outcome.id]
        assert not lives(store, old)
    assert ended


def test_a_session_that_is_written_anew_while_it_ends_is_ended(
    make_app: MakeApp, stepping: SteppingBackend
) -> None:
    key, outcomes = "1b" * 32, set()
    prefix = "app:"
    former = make_app(stepping, SRVSESSION_KEY_PREFIX=prefix)
    app = make_app(
        stepping, SRVSESSION_KEY_PREFIX=prefix, SRVSESSION_ENCRYPTION_KEYS=[key]
    )

    for _ in stepping.positions(lambda: revoke_all(app)):
        stepping.pause()
        old = begun(former)
        stepping.begin()

        outcomes.add(rewriting.rewrite(store_of(app), old.id))
        stepping.finish()

        assert not lives(store_of(app), old)
        assert listed(app, 42) == listed(former, 42) == set()
    assert outcomes == {True, False}


def test_the_oldest_leaves_for_a_login_whatever_it_is_changed_to(
    make_app: MakeApp, stepping: SteppingBackend
) -> None:
    app = make_app(stepping, SRVSESSION_MAX_PER_KEY={"user_id": 1})
    store = store_of(app)

    def change() -> None:
        store.save(old, assigning(app, cart="tea"))

    for _ in stepping.positions(change):
        stepping.pause()
        revoke_all(app)
        old = begun(app)
        stepping.begin()

        new = begun(app)
        stepping.finish()

        assert [info.id for info in found(app)] == [new.id]
        assert not lives(store, old)


def test_who_leaves_a_long_list_meanwhile_makes_room(
    make_app: MakeApp, stepping: SteppingBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place is counted once: nobody else has to leave for it, or is refused."""
    monkeypatch.setattr(room_module, "EXACT", 3)
    monkeypatch.setattr(room_module, "MOST_AT_ONCE", 2)
    app = make_app(
        stepping,
        SRVSESSION_MAX_PER_KEY={"user_id": 4},
        SRVSESSION_MAX_PER_KEY_POLICY="reject",
    )
    store, outcomes = store_of(app), set()

    def end() -> None:
        store.destroy(others[-1].id)

    for _ in stepping.positions(end):
        stepping.pause()
        revoke_all(app)
        others = [begun(app) for _ in range(4)]
        stepping.begin()

        try:
            begun(app)
            outcomes.add("logged in")
            expected = 4
        except TooManySessions:
            outcomes.add("refused")
            expected = 3
        stepping.finish()

        assert len(found(app)) == expected
        assert all(lives(store, other) for other in others[:-1])
    assert outcomes == {"logged in", "refused"}


def test_no_more_than_some_lists_are_remembered(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How far each long list was looked through."""
    monkeypatch.setattr(room_module, "EXACT", 1)
    monkeypatch.setattr(room_module, "MOST_AT_ONCE", 1)
    monkeypatch.setattr(room_module, "_MOST_LISTS", 2)
    app = make_app(SRVSESSION_MAX_PER_KEY={"user_id": 2})
    store = store_of(app)

    for user_id in range(5):
        for _ in range(4):
            begun(app, user_id)
        assert len(store.room._looked) <= 2
        assert len(found(app, user_id=user_id)) == 2


def test_a_change_that_may_be_done_is_not_said_to_be_dropped(
    make_app: MakeApp, backend: Backend
) -> None:
    """Its answer was lost, and the session moved before anybody could look."""
    losing = LosingBackend(backend)
    app = make_app(losing)
    other = make_app(backend, SRVSESSION_KEY_PREFIX=store_of(app).settings.key_prefix)
    old, get = begun(app), losing.get

    def moved_by_then(key: str) -> Any:
        if losing.has_failed:
            live = store_of(other).records.live(old.id)
            if live:
                regenerate(store_of(other), live, Changes(), login=False)
        return get(key)

    losing.get = moved_by_then  # type: ignore[method-assign]
    losing.lose(at_write=1, only_answer=True)

    with pytest.raises(BackendError) as caught:
        store_of(app).save(old, assigning(app, cart="tea"))

    assert caught.value.ambiguous
    [info] = found(other)
    assert info.id != old.id


@pytest.mark.parametrize("at", ["index.add", "swap"])
def test_a_storage_that_hangs_is_waited_for_once(
    make_app: MakeApp, watched: WatchedBackend, at: str
) -> None:
    """While a session gets a new id: that nobody knows is not deleted as well."""
    app = make_app(watched)
    store, old = store_of(app), begun(app)
    watched.hang(at=lambda name: name == at)

    with pytest.raises(BackendError):
        regenerate(store, old, Changes(), login=False)

    assert watched.timeouts == 1
    assert "delete" not in watched.calls
    watched.answer()
    assert lives(store, old)


def test_a_session_whose_user_cannot_be_read_is_nobodys(make_app: MakeApp) -> None:
    """Its values are not kept for a login that comes a second time."""
    app = make_app()
    store = store_of(app)
    visitor = store.create(assigning(app, cart="tea")).record

    assert store.is_anonymous(visitor)
    unreadable = visitor._replace(values={**visitor.values, "user_id": b"\xc1"})
    assert not store.is_anonymous(unreadable)


def test_a_session_that_others_change_is_not_written_anew_as_well(
    make_app: MakeApp, stepping: SteppingBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have written it as present ones are; to try for ever would be of no use."""
    monkeypatch.setattr(rewriting, "MAX_ATTEMPTS", 1)
    app, outcomes = make_app(stepping, SRVSESSION_ENCRYPTION_KEYS=["1b" * 32]), set()
    store = store_of(app)
    prefix = store.settings.key_prefix
    former = make_app(stepping, SRVSESSION_KEY_PREFIX=prefix)

    def change() -> None:
        store.save(old, assigning(app, cart="tea"))

    for _ in stepping.positions(change):
        stepping.pause()
        old = begun(former)
        stepping.begin()

        outcomes.add(rewriting.rewrite(store, old.id))
        stepping.finish()

        live = store.records.live(old.id)
        assert live
        assert set(live.record.values) == {"user_id", "cart"}
    assert outcomes == {True, False}


def test_a_place_that_another_one_has_renamed_stays_where_a_place_is_refused(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, keys = MemoryBackend(), {"SRVSESSION_KEY_PREFIX": "app:"}
    browser = Browser(make_app(backend, SECRET_KEY="old", **keys))
    browser.set(user_id=42)
    app = make_app(backend, SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"], **keys)
    store = store_of(app)
    add, live = store.lists.add, store.records.live(browser.id)
    assert live

    def listed_and_refused(entry: Entry, ttl: int) -> None:
        monkeypatch.setattr(store.lists, "add", add)
        add(entry, ttl)
        assert relist(store, live, live.record.values, {}, rename=True)
        raise StaleLogin  # all of another list were ended

    monkeypatch.setattr(store.lists, "add", listed_and_refused)
    with pytest.raises(StaleLogin):
        relist(store, live, live.record.values, {}, rename=True)

    with app.app_context():
        assert sessions.revoke_all(user_id=42) == 1


def test_an_end_of_all_that_another_overtakes_is_done_or_an_error(
    make_app: MakeApp,
    stepping: SteppingBackend,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(marker_module, "_ATTEMPTS", 1)
    app, outcomes = make_app(stepping), set()
    marker = store_of(app).marker
    other = make_app(stepping, SRVSESSION_KEY_PREFIX=store_of(app).settings.key_prefix)

    for _ in stepping.positions(store_of(other).marker.begin_era):
        stepping.pause()
        old = begun(app)
        stepping.begin()

        try:
            marker.begin_era()
            outcomes.add("done")
        except BackendError:
            outcomes.add("error")
        stepping.finish()
        clock.advance(10)
        marker.keep_up()

        assert not lives(store_of(app), old)
    assert outcomes == {"done", "error"}


def test_a_request_waits_for_the_marker_no_longer_than_for_a_timeout(
    make_app: MakeApp, watched: WatchedBackend, clock: FakeClock
) -> None:
    """And then for nothing else: it is an outage."""
    store = store_of(make_app(watched))
    clock.advance(60)
    watched.hang()

    with pytest.raises(BackendError) as caught:
        store.marker.keep_up()

    assert not caught.value.quick
    assert watched.timeouts == 1


class Bare:
    """A backend that can do no more than it must."""

    def __init__(self, backend: Backend) -> None:
        self.errors, self.evicts = backend.errors, backend.evicts
        self.shared, self.max_bytes = backend.shared, backend.max_bytes
        self.get, self.add, self.swap = backend.get, backend.add, backend.swap
        self.delete, self.sweep = backend.delete, backend.sweep
        self.index = backend.index


def test_a_storage_that_does_not_list_its_keys_after_all_names_no_other_prefix(
    make_app: MakeApp, clock: FakeClock
) -> None:
    class Closed(MemoryBackend):
        closed = False

        def keys(self, prefix: str) -> Iterator[str]:
            if self.closed:
                raise NotImplementedError
            yield from super().keys(prefix)

    backend = Closed(clock=clock)
    app, other = make_app(backend), make_app(backend)
    signed_in(other)
    theirs = store_of(other).settings.key_prefix

    assert store_of(app).marker.elsewhere() == [theirs]
    backend.closed = True
    assert store_of(app).marker.elsewhere() == []
    assert store_of(make_app(Bare(backend))).marker.elsewhere() == []


@pytest.mark.parametrize("end", [lambda: session.destroy(), lambda: session.clear()])
def test_of_more_than_three_cookies_none_is_tried_and_a_logout_ends_all(
    make_app: MakeApp, end: View
) -> None:
    browsers = signed_in(make_app(), count=4)
    cookies = "; ".join(f"session={browser.cookie}" for browser in browsers).encode()
    visitor = Browser(browsers[0].app)

    assert visitor.send(cookies, lambda: str(dict(session))).text == "{}"
    assert all(browser.values() for browser in browsers)

    visitor.send(cookies, end)
    assert not any(browser.values() for browser in browsers)


class Forgetful(MsgpackSerializer):
    """One that does not know any more how to read some of what it has written."""

    forgotten: Collection[object] = ()

    def loads(self, data: bytes) -> Any:
        value = super().loads(data)
        if value in self.forgotten:
            raise ValueError
        return value


@pytest.mark.parametrize(
    "view",
    [lambda: session["cart"], lambda: session.bind(user_id=7)],
    ids=["read", "bind"],
)
def test_values_that_cannot_be_read_are_no_session(
    make_app: MakeApp, view: View, caplog: pytest.LogCaptureFixture
) -> None:
    serializer = Forgetful()
    app = make_app(SRVSESSION_SERIALIZER=serializer)
    browser = Browser(app)
    browser.set(cart="tea", user_id=42)

    def act() -> str:
        assert len(session) == 2
        serializer.forgotten = ("tea", 42)
        with pytest.raises(KeyError):
            view()
        return str(dict(session))

    assert browser.does(act) == "{}"
    assert "is ignored" in caplog.text


@pytest.mark.parametrize("key", ["n", "user_id"], ids=["computed", "indexed"])
def test_a_value_of_others_that_cannot_be_read_ends_no_session_and_is_not_overwritten(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    serializer, dropped = Forgetful(), list[object]()
    app = make_app(SRVSESSION_SERIALIZER=serializer)
    browser = Browser(app)
    browser.set(n=1, user_id=42)

    def change() -> None:
        session.compute("n", lambda n: n + 1)
        session["profile"] = {"sub": 42}  # the index is looked at
        serializer.forgotten = (7,)

    def hear(sender: Flask, info: object) -> None:
        dropped.append(info)

    with (
        session_changes_dropped.connected_to(hear, app),
        browser.in_flight(change) as late,
    ):
        live = store_of(app).peek(browser.id)
        assert live
        store_of(app).save(live, assigning(app, **{key: 7}))
    serializer.forgotten = ()

    assert late.response.status_code == 200
    assert not late.response.headers.getlist("Set-Cookie")
    assert f"the value of {key!r} cannot be decoded" in caplog.text
    assert len(dropped) == 1
    assert browser.values() == {"n": 1, "user_id": 42, key: 7}


def test_whose_sessions_cannot_be_read_is_nobodys_the_same(make_app: MakeApp) -> None:
    store = store_of(make_app())
    known, strange = {"user_id": store.serializer.dumps(42)}, {"user_id": b"\xc1"}

    assert moves.have_same_user(store, known, known)
    assert not moves.have_same_user(store, known, strange)
    assert not moves.have_same_user(store, strange, strange)


def test_a_session_of_another_kind_is_left_alone(make_app: MakeApp) -> None:
    """An extension may hand any object to Flask as its session."""
    app, response = make_app(), Response()

    app.session_interface.save_session(app, SecureCookieSession({"a": 1}), response)

    assert "Set-Cookie" not in response.headers


def test_a_login_that_came_twice_counts_though_that_could_not_be_noted(
    make_app: MakeApp, watched: WatchedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    browser = Browser(make_app(watched))
    browser.set(cart="tea")
    first = browser.copy()
    first.set(user_id=42)

    def fail(name: str) -> None:
        if name == "swap":
            raise watched.errors[0]

    watched.before = fail
    assert browser.set(user_id=42).status_code == 200
    watched.answer()

    assert browser.values() == {"cart": "tea", "user_id": 42}
    assert "is not known to have moved" in caplog.text


def test_a_visitor_without_a_session_has_none_to_end(make_app: MakeApp) -> None:
    visitor = Browser(make_app())

    assert visitor.does(lambda: str(sessions.revoke(session.id))) == "False"


def test_a_change_does_not_follow_a_session_whose_user_cannot_be_read(
    make_app: MakeApp,
) -> None:
    serializer = Forgetful()
    browser = Browser(make_app(SRVSESSION_SERIALIZER=serializer))
    browser.set(user_id=42)

    with browser.in_flight(lambda: session.update(cart="tea")) as late:
        browser.set(username="ann")
        serializer.forgotten = ("ann",)
    serializer.forgotten = ()

    assert late.response.status_code == 200
    assert browser.values() == {"user_id": 42, "username": "ann"}


def test_a_logout_with_the_cookie_before_the_last_ends_the_session(
    make_app: MakeApp, clock: FakeClock
) -> None:
    """Also where it would leave something: a copy gets no cookie for that."""
    app = make_app()
    browser = Browser(app)
    browser.set(cart="tea", user_id=42)
    outdated = browser.copy()
    for _ in range(2):
        advance_token(browser, clock)

    response = outdated.do(lambda: session.pop("user_id"))

    assert response.status_code == 200
    assert browser.values() == {}
    assert listed(app, 42) == set()


def test_after_an_outage_a_request_asks_for_nothing_more(
    make_app: MakeApp, watched: WatchedBackend
) -> None:
    [browser] = signed_in(make_app(watched))

    def act() -> None:
        assert len(session) == 1
        watched.hang()
        for verb in (session.destroy, session.rotate, session.destroy):
            with pytest.raises(BackendError):
                verb()

    browser.do(act)

    assert watched.timeouts == 1


def test_what_is_not_modified_after_all_is_not_renewed(
    make_app: MakeApp, watched: WatchedBackend
) -> None:
    [browser] = signed_in(make_app(watched))
    browser.values()
    watched.calls.clear()

    def act() -> None:
        session.modified = True
        session.modified = False

    browser.do(act)

    assert watched.writes == []
