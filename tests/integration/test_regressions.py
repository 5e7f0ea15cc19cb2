"""Small and easily broken: who is listed, late requests, logouts, timeouts."""

from __future__ import annotations

import enum
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask_login import current_user, login_user, logout_user

import flask_srvsession
from flask_srvsession import BackendError, StaleLogin, session
from flask_srvsession.serializers import MsgpackSerializer

from .apps import (
    Browser,
    LosingBackend,
    User,
    cookie_headers,
    deletes_cookie,
    index_name,
    listed,
    new_cookies,
    stored,
    use_flask_login,
)
from .devices import (
    alive,
    found,
    list_entries,
    result_of,
    revoke_all,
    sessions,
    signed_in,
)
from .marks import WITH_FLASK_LOGIN

if TYPE_CHECKING:
    from flask import Flask

    from flask_srvsession.backends import Backend
    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp

pytestmark = [
    pytest.mark.every_database,
    WITH_FLASK_LOGIN,
]

TIMEOUT = 0.3
"""Seconds that a call of a hanging storage takes: too long to be tried again."""

ROTATE_EVERY = 900
DEVICES = {"user_id": ("user_id",), "device": ("device",)}

Act = Callable[[Browser], Any]


class WatchedBackend(LosingBackend):
    """A backend that does something before each call, or waits and fails instead."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.before: Callable[[str], Any] = lambda name: None
        self.timeouts = 0

    def call(
        self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        self.before(name)
        return super().call(name, function, *args, **kwargs)

    def hang(self, at: Callable[[str], bool] = lambda name: True) -> None:
        """Time out from now on, at those calls."""

        def wait(name: str) -> None:
            if at(name):
                self.timeouts += 1
                time.sleep(TIMEOUT)
                raise self._backend.errors[0]("timed out")

        self.before = wait

    def answer(self) -> None:
        """Do not hang any more."""
        self.before = lambda name: None


@pytest.fixture
def watched(backend: Backend) -> WatchedBackend:
    return WatchedBackend(backend)


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


def rotate(browser: Browser) -> None:
    assert browser.do(lambda: session.rotate()).status_code == 200


def log_out(browser: Browser) -> None:
    assert browser.do(lambda: session.destroy()).status_code == 200


def log_out_and_in(browser: Browser) -> None:
    log_out(browser)
    browser.set(user_id=42)


def user_of(browser: Browser) -> Any:
    return browser.values().get("user_id")


class TestFind:
    @pytest.mark.parametrize(
        "config",
        [{"SECRET_KEY": "z" * 32}, {"SRVSESSION_IDLE_TIMEOUT": 60}],
        ids=["another secret key", "a shorter idle timeout"],
    )
    def test_does_not_unlist_what_it_cannot_read(
        self, make_app: MakeApp, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        app = make_app()
        prefix = app.config["SRVSESSION_KEY_PREFIX"]
        other = make_app(SRVSESSION_KEY_PREFIX=prefix, **config)
        [browser] = signed_in(app)
        assert user_of(browser) == 42
        clock.advance(90)

        assert found(other) == []

        assert [info.id for info in found(app)] == [browser.id]
        assert revoke_all(app) == 1
        assert browser.values() == {}

    @pytest.mark.parametrize("odd", ["garbage!", "AAAA.mark", "a.b.c"])
    def test_and_revoke_all_ignore_an_odd_entry(
        self, app: Flask, backend: Backend, odd: str
    ) -> None:
        browsers = signed_in(app, count=2)
        list_entries(backend, index_name(app, 42), [odd])
        assert odd in backend.index.members(index_name(app, 42))

        assert {info.id for info in found(app)} == {b.id for b in browsers}
        assert revoke_all(app) == 2
        assert alive(browsers) == [False, False]


class TestAfterItsChangesWereDropped:
    @staticmethod
    def late(browser: Browser, meanwhile: Act, then: Callable[[], Any]) -> Any:
        """Return the response of a request that finds its session moved or gone when
        it commits, and then does something more."""

        def commit_and_go_on() -> None:
            session["a"] = 1
            session.commit()
            then()

        with browser.in_flight(commit_and_go_on) as late:
            meanwhile(browser)
        return late.response

    @pytest.mark.parametrize(
        "meanwhile", [rotate, log_out, log_out_and_in, lambda b: b.set(user_id=7)]
    )
    def test_a_request_begins_no_session_and_sets_no_cookie(
        self, app: Flask, meanwhile: Act
    ) -> None:
        [browser] = signed_in(app)
        ids: list[str | None] = []

        def write_on() -> None:
            session["flash"] = "saved"
            session.commit()
            ids.append(session.id)

        response = self.late(browser, meanwhile, write_on)

        assert response.status_code == 200
        assert ids == [None]
        assert cookie_headers(response) == []
        expected = [browser.id] if browser.has_cookie else []
        assert [info.id for info in found(app) + found(app, user_id=7)] == expected
        assert "flash" not in browser.values()

    def test_destroy_ends_what_the_session_moved_to(self, app: Flask) -> None:
        [browser] = signed_in(app)

        response = self.late(browser, rotate, lambda: session.destroy())

        assert deletes_cookie(response)
        assert browser.values() == {}
        assert found(app) == []

    def test_a_login_begins_a_session(self, app: Flask) -> None:
        [browser] = signed_in(app)

        response = self.late(
            browser, log_out, lambda: session.__setitem__("user_id", 7)
        )

        [cookie] = new_cookies(response)
        assert Browser(app, cookie).values() == {"user_id": 7}

    def test_a_cookie_that_found_a_tombstone_begins_no_session_in_two_writes(
        self, app: Flask
    ) -> None:
        [browser] = signed_in(app)
        old = browser.copy()
        rotate(browser)

        def write_twice() -> None:
            session["a"] = 1
            session.commit()
            session["b"] = 2

        response = old.do(write_twice)

        assert response.status_code == 200
        assert cookie_headers(response) == []
        assert browser.values() == {"user_id": 42}


class TestIndexKeyAtTheLimit:
    @pytest.fixture
    def app(self, make_app: MakeApp, watched: WatchedBackend) -> Flask:
        """One session per user, and one per device; a device is no login."""
        return make_app(watched, SRVSESSION_INDEXES=DEVICES, SRVSESSION_MAX_PER_KEY=1)

    def test_two_requests_that_set_it_do_not_end_their_own_session(
        self, app: Flask, watched: WatchedBackend
    ) -> None:
        [browser] = signed_in(app)
        assert user_of(browser) == 42
        twin, statuses = browser.copy(), []

        def twin_first(name: str) -> None:
            if name == "swap":  # the session is listed, its record is not written
                watched.answer()
                statuses.append(twin.set(device="d1", seen=1).status_code)

        watched.before = twin_first
        statuses.append(browser.set(device="d1").status_code)

        assert statuses == [200, 200]
        assert browser.values() == {"user_id": 42, "device": "d1", "seen": 1}
        assert [info.id for info in found(app, device="d1")] == [browser.id]

    def test_a_timeout_in_between_does_not_keep_it_from_being_set_later(
        self, app: Flask, watched: WatchedBackend, clock: FakeClock
    ) -> None:
        [browser] = signed_in(app)
        assert user_of(browser) == 42
        watched.hang(at=lambda name: name == "swap")
        assert browser.set(device="d1").status_code == 503
        watched.answer()
        clock.advance(3600)

        assert browser.set(device="d1").status_code == 200

        assert browser.values() == {"user_id": 42, "device": "d1"}


def remove_user() -> None:
    assert session.pop("user_id") == 42


class TestLogoutThatMeetsARotation:
    def test_by_removal_of_the_user_ends_the_successor(self, app: Flask) -> None:
        [browser] = signed_in(app)
        browser.set(cart=[1])

        with browser.in_flight(remove_user):
            rotate(browser)

        assert browser.values() == {}
        assert found(app) == []

    def test_by_removal_of_the_only_key_ends_the_successor(self, app: Flask) -> None:
        [browser] = signed_in(app)

        with browser.in_flight(remove_user):
            rotate(browser)

        assert browser.values() == {}
        assert found(app) == []

    def test_by_removal_of_a_user_dict_that_has_changed_ends_the_successor(
        self, app: Flask
    ) -> None:
        browser = Browser(app)
        browser.set(user={"id": 42, "theme": "light"})

        with browser.in_flight(lambda: session.pop("user")):
            rotate(browser)
            browser.set(user={"id": 42, "theme": "dark"})

        assert browser.values() == {}

    def test_by_flask_login_ends_the_successor(self, app: Flask) -> None:
        use_flask_login(app)
        browser = Browser(app)
        browser.do(lambda: str(login_user(User("42"))))

        with browser.in_flight(lambda: str(logout_user())):
            rotate(browser)

        assert not result_of(browser, lambda: current_user.is_authenticated)
        assert found(app) == []

    @pytest.mark.parametrize("cart", [None, [1]])
    def test_does_not_end_the_login_of_somebody_else_meanwhile(
        self, app: Flask, cart: object
    ) -> None:
        [browser] = signed_in(app)
        browser.set(cart=cart)

        with browser.in_flight(remove_user) as late:
            browser.set(user_id=7)

        assert cookie_headers(late.response) == []
        assert user_of(browser) == 7

    def test_by_flask_login_does_not_end_the_login_of_somebody_else(
        self, app: Flask
    ) -> None:
        use_flask_login(app)
        browser = Browser(app)
        browser.do(lambda: str(login_user(User("42"))))

        with browser.in_flight(lambda: str(logout_user())):
            browser.do(lambda: str(login_user(User("7"))))

        assert result_of(browser, lambda: current_user.get_id()) == "7"


def log_in_anew(browser: Browser) -> None:
    browser.set(user_id=7)


class TestDestroyWithAnotherTokenOfTheSession:
    @pytest.fixture
    def former(self, app: Flask, clock: FakeClock) -> Browser:
        """One whose token has a successor, which `browser` has got."""
        [former] = signed_in(app)
        assert user_of(former) == 42
        return former

    @pytest.fixture
    def browser(self, former: Browser, clock: FakeClock) -> Browser:
        browser = former.copy()
        advance_token(browser, clock)
        assert browser.cookie != former.cookie
        return browser

    @pytest.mark.parametrize("move", [rotate, log_in_anew])
    def test_the_pending_successor_ends_what_it_moved_to(
        self, former: Browser, browser: Browser, move: Act
    ) -> None:
        move(former)

        log_out(browser)

        assert former.values() == {}

    @pytest.mark.parametrize("move", [rotate, log_in_anew])
    def test_the_predecessor_in_its_grace_ends_what_it_moved_to(
        self, former: Browser, browser: Browser, move: Act
    ) -> None:
        assert user_of(browser) == 42  # the successor is the current token now
        move(browser)

        log_out(former)

        assert browser.values() == {}

    @pytest.mark.parametrize("move", [rotate, log_in_anew])
    @pytest.mark.parametrize("late", ["presented", "predecessor"])
    def test_both_tokens_end_what_a_successor_moved_to_when_it_came_first(
        self, former: Browser, browser: Browser, late: str, move: Act
    ) -> None:
        presented = browser.copy()
        move(browser)

        log_out(presented if late == "presented" else former)

        assert browser.values() == {}

    @pytest.mark.parametrize("move", [lambda b: None, rotate, log_in_anew])
    def test_one_that_was_outdated_during_the_request_ends_it(
        self, browser: Browser, clock: FakeClock, move: Act
    ) -> None:
        assert user_of(browser) == 42

        def destroy_late() -> None:
            for _ in range(2):
                advance_token(browser, clock)
                assert user_of(browser) == 42
            move(browser)
            session.destroy()

        response = browser.copy().do(destroy_late)

        assert response.status_code == 200
        assert browser.values() == {}


def advance_token(browser: Browser, clock: FakeClock) -> None:
    clock.advance(ROTATE_EVERY + 1)
    browser.do(lambda: str(len(session)))


class TestARequestWaitsForOneTimeout:
    def test_for_epoch_and_an_error_page_that_reads_the_session(
        self, make_app: MakeApp, watched: WatchedBackend
    ) -> None:
        app = make_app(watched, TESTING=False)
        app.register_error_handler(503, lambda error: (str(session.get("lang")), 503))
        [browser] = signed_in(app)
        watched.hang()

        response = browser.do(lambda: sessions.epoch(user_id=7))

        assert response.status_code == 503
        assert watched.timeouts == 1

    def test_for_each_way_to_ask_after_another(
        self, make_app: MakeApp, watched: WatchedBackend
    ) -> None:
        [browser] = signed_in(make_app(watched))
        watched.hang()

        def ask() -> None:
            methods = (sessions.epoch, sessions.find, sessions.revoke_all)
            for method in (*methods, sessions.epoch):
                with pytest.raises(BackendError):
                    method(user_id=7)
            with pytest.raises(BackendError):
                len(session)

        browser.do(ask)

        assert watched.timeouts == 1

    def test_for_a_search_and_a_renewal(
        self, make_app: MakeApp, clock: FakeClock, watched: WatchedBackend
    ) -> None:
        [browser] = signed_in(make_app(watched))
        clock.advance(3600)

        def read_and_find() -> None:
            assert len(session) == 1
            watched.hang()
            with pytest.raises(BackendError):
                sessions.find(user_id=7)

        browser.do(read_and_find)

        assert watched.timeouts == 1

    def test_for_a_logout_with_several_indexes(
        self, make_app: MakeApp, watched: WatchedBackend
    ) -> None:
        indexes = {name: (name,) for name in ("user_id", "tenant", "device")}
        app = make_app(watched, SRVSESSION_INDEXES=indexes)
        browser = Browser(app)
        browser.set(user_id=1, tenant=2, device=3)
        copy = browser.copy()
        watched.hang(at=lambda name: name == "index.remove")

        response = browser.do(lambda: session.destroy())

        assert response.status_code == 200
        assert watched.timeouts == 1
        watched.answer()
        assert copy.values() == {}

    def test_to_unlist_however_many_sessions_it_ends(
        self, make_app: MakeApp, watched: WatchedBackend
    ) -> None:
        """Each of them is in another list, too, which does not answer."""
        indexes = {name: (name,) for name in ("user_id", "device")}
        app = make_app(watched, SRVSESSION_INDEXES=indexes)
        browsers = [Browser(app) for _ in range(3)]
        for browser in browsers:
            browser.set(user_id=1, device=2)
        lists = count()
        watched.hang(at=lambda name: name == "index.remove" and next(lists) > 0)

        with app.app_context():
            ended = sessions.revoke_all(user_id=1)

        assert ended == 3
        assert watched.timeouts == 1
        assert listed(app, 1) == set()


def test_what_was_not_unlisted_for_one_is_unlisted_for_others(
    make_app: MakeApp, watched: WatchedBackend
) -> None:
    """Else who moves to another tenant would be ended with the former one."""
    indexes = {name: (name,) for name in ("user_id", "tenant")}
    app = make_app(watched, SRVSESSION_INDEXES=indexes)
    stranger, mover = Browser(app), Browser(app)
    stranger.set(user_id=1)
    mover.set(user_id=2, tenant="red")
    watched.hang(at=lambda name: name == "index.remove")
    stranger.do(lambda: session.destroy())
    watched.answer()

    mover.set(tenant="blue")
    with app.app_context():
        sessions.revoke_all(tenant="red")

    assert mover.values() == {"user_id": 2, "tenant": "blue"}


class Name(str, enum.Enum):
    ANN = "ann"


class Number(enum.IntEnum):
    SEVEN = 7


class TestEnumInAnIndex:
    @pytest.mark.parametrize(
        ("member", "alike"),
        [(Name.ANN, "ann"), (Number.SEVEN, 7), (Number.SEVEN, "7")],
    )
    def test_is_found_and_ended_by_its_value(
        self, app: Flask, member: object, alike: object
    ) -> None:
        [browser] = signed_in(app, member)

        assert [info.id for info in found(app, user_id=member)] == [browser.id]
        assert [info.id for info in found(app, user_id=alike)] == [browser.id]
        assert revoke_all(app, user_id=member) == 1
        assert browser.values() == {}

    def test_is_known_to_bind_where_another_key_has_it(self, app: Flask) -> None:
        browser = Browser(app)

        def login() -> None:
            session["_user_id"] = Name.ANN
            session.bind(user_id="ann")

        browser.do(login)
        assert browser.values() == {"_user_id": "ann"}

    @pytest.mark.parametrize("member", [Name.ANN, Number.SEVEN])
    def test_is_refused_with_an_epoch_that_is_over(
        self, app: Flask, member: object
    ) -> None:
        browser = Browser(app)

        def login() -> None:
            epoch = sessions.epoch(user_id=member)
            sessions.revoke_all(user_id=member)
            with pytest.raises(StaleLogin):
                session.bind(user_id=member, epoch=epoch)

        assert browser.do(login).status_code == 200
        assert browser.values() == {}


def test_an_error_page_that_fails_itself_is_a_503_and_is_logged(
    make_app: MakeApp, watched: WatchedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    def mistaken(error: BackendError) -> str:
        raise ZeroDivisionError

    app = make_app(watched, TESTING=False)
    app.register_error_handler(503, mistaken)
    browser = Browser(app)
    watched.lose(at_write=0)

    response = browser.set(a=1)

    assert response.status_code == 503
    assert "ZeroDivisionError" in caplog.text


class TestSessionsThatEnd:
    def test_who_ends_all_of_their_own_loses_flask_logins_remember_cookie(
        self, app: Flask
    ) -> None:
        use_flask_login(app)
        browser = Browser(app)
        browser.do(lambda: str(login_user(User("42"), remember=True)))
        assert browser.client.get_cookie("remember_token")

        response = browser.do(lambda: str(sessions.revoke_all(user_id="42")))

        assert response.text == "1"
        assert deletes_cookie(response, "remember_token")
        assert not result_of(browser, lambda: current_user.is_authenticated)

    @pytest.mark.parametrize("meanwhile", [log_out, log_out_and_in, rotate])
    def test_a_reader_whose_renewal_finds_it_gone_sends_no_cookie(
        self, make_app: MakeApp, clock: FakeClock, meanwhile: Act
    ) -> None:
        [browser] = signed_in(make_app(SRVSESSION_TOUCH_INTERVAL=300))
        assert user_of(browser) == 42
        advance_token(browser.copy(), clock)  # a successor that did not arrive
        clock.advance(301)  # a renewal is due once more

        with browser.in_flight(lambda: None) as late:
            meanwhile(browser)

        assert cookie_headers(late.response) == []
        assert user_of(browser) == (None if meanwhile is log_out else 42)

    def test_one_is_revoked_by_its_former_id_just_after_a_rotation(
        self, app: Flask
    ) -> None:
        [browser] = signed_in(app)
        former = browser.id
        rotate(browser)

        with app.app_context():
            assert not sessions.revoke(former, user_id=7)
            assert user_of(browser) == 42
            assert sessions.revoke(former, user_id=42)

        assert browser.values() == {}
        assert found(app) == []

    @pytest.mark.parametrize("refused", [{"x": 1}, 42], ids=["thing", "user_id"])
    def test_destroy_ends_one_with_a_value_that_does_not_decode(
        self, make_app: MakeApp, refused: object
    ) -> None:
        serializer = Choosy()
        app = make_app(SRVSESSION_SERIALIZER=serializer)
        browser = Browser(app)
        browser.set(user_id=42, thing={"x": 1})
        copy, session_id = browser.copy(), browser.id
        serializer.refused = refused

        def look_and_destroy() -> None:
            assert session.get("thing") is None
            session.destroy()

        response = browser.do(look_and_destroy)

        serializer.refused = None
        assert deletes_cookie(response)
        assert stored(app, session_id) is None
        assert copy.values() == {}


class Choosy(MsgpackSerializer):
    """A serializer that can be told not to know a value, as an older release."""

    refused: object = None

    def loads(self, data: bytes) -> Any:
        value = super().loads(data)
        if self.refused is not None and value == self.refused:
            raise ValueError("unknown")
        return value


DEEP = """
import sys

from flask import Flask
from flask_srvsession import ServerSession, session

app = Flask("deep")
app.config.update(SECRET_KEY="k" * 32, SRVSESSION_BACKEND="memory://", TESTING=True)
app.config.update(SRVSESSION_SERIALIZER={serializer!r})
ServerSession(app)
sys.setrecursionlimit({limit})
value = ()
for _ in range(10_000):
    value = (value,)
with app.test_request_context():
    try:
        session["deep"] = value
        session.commit()
    except TypeError:
        print("TypeError")
"""


@pytest.mark.parametrize(
    ("serializer", "limit"), [("msgpack", 1000), ("msgpack", 1_000_000), ("json", 1000)]
)
def test_tuples_nested_deeply_are_refused_without_a_crash(
    serializer: str, limit: int
) -> None:
    """Also where no recursion limit comes before the end of the stack."""
    script = DEEP.format(serializer=serializer, limit=limit)
    root = Path(flask_srvsession.__file__).parents[1]

    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "TypeError\n"), done.stderr[-2000:]
