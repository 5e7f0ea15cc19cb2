"""``SRVSESSION_MAX_PER_KEY``: never more sessions of one user, never fewer."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from flask_srvsession import TooManySessions, session
from flask_srvsession.backends.memory import MemoryBackend
from tests.web import Browser

from ..apps import (
    WatchedBackend,
    listed,
    together,
)
from ..devices import (
    alive,
    found,
    result_of,
    sessions,
    signed_in,
    user_of,
)

if TYPE_CHECKING:
    from flask import Flask, Response
    from werkzeug.test import TestResponse

    from flask_srvsession.backends import Backend
    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp


pytestmark = pytest.mark.every_storage


LIMIT = 3


POLICIES = ["evict-oldest", "reject"]


@pytest.fixture
def evicting(make_app: MakeApp) -> Flask:
    return make_app(SRVSESSION_MAX_PER_KEY={"user_id": LIMIT})


@pytest.fixture
def rejecting(make_app: MakeApp) -> Flask:
    return make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": LIMIT},
        SRVSESSION_MAX_PER_KEY_POLICY="reject",
    )


@pytest.fixture(params=POLICIES)
def app(request: pytest.FixtureRequest, make_app: MakeApp) -> Flask:
    """An app with either policy."""
    policy = request.param
    return make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": LIMIT}, SRVSESSION_MAX_PER_KEY_POLICY=policy
    )


def in_turn(
    app: Flask, clock: FakeClock, count: int, pause: float = 1.0
) -> list[Browser]:
    """Log in with `count` browsers, `pause` seconds apart."""
    browsers = []
    for _ in range(count):
        browsers += signed_in(app)
        clock.advance(pause)
    return browsers


def log_in(browser: Browser, user_id: int = 42) -> TestResponse:
    return browser.set(user_id=user_id)


def test_a_login_at_the_limit_ends_the_oldest(
    evicting: Flask, clock: FakeClock
) -> None:
    browsers, others = in_turn(evicting, clock, LIMIT + 2), signed_in(evicting, 7)

    assert alive(browsers) == [False, False, True, True, True]
    assert alive(others) == [True]
    assert [i.id for i in found(evicting)] == [b.id for b in browsers[2:]]
    assert len(listed(evicting, 42)) == LIMIT


def test_the_oldest_leaves_even_if_it_was_used_last(
    evicting: Flask, clock: FakeClock
) -> None:
    browsers = in_turn(evicting, clock, LIMIT)
    assert alive(browsers) == [True] * LIMIT
    clock.advance(600)  # long enough that a use is noted
    assert alive(browsers[:1]) == [True]

    assert alive(browsers + signed_in(evicting)) == [False, True, True, True]


def test_of_logins_within_a_second_the_first_is_ended_first(
    evicting: Flask, clock: FakeClock
) -> None:
    browsers = in_turn(evicting, clock, LIMIT + 3, pause=0.01)

    assert alive(browsers) == [False, False, False, True, True, True]
    assert [i.id for i in found(evicting)] == [b.id for b in browsers[3:]]


def test_a_login_at_the_limit_is_refused_and_leaves_nothing(
    rejecting: Flask, clock: FakeClock
) -> None:
    browsers, late = in_turn(rejecting, clock, LIMIT), Browser(rejecting)

    def login() -> None:
        with pytest.raises(TooManySessions):
            session.bind(user_id=42)

    late.do(lambda: login() or "")

    assert not late.has_cookie
    assert alive(browsers) == [True] * LIMIT
    assert len(listed(rejecting, 42)) == LIMIT


def test_a_refused_login_leaves_no_record(make_app: MakeApp) -> None:
    backend = MemoryBackend()
    app = make_app(
        backend,
        SRVSESSION_MAX_PER_KEY={"user_id": 1},
        SRVSESSION_MAX_PER_KEY_POLICY="reject",
    )
    signed_in(app)
    before = len(backend)

    assert log_in(Browser(app)).status_code == 409

    assert len(backend) == before


def test_a_refusal_is_a_409_also_where_what_is_done_for_all_responses_fails(
    rejecting: Flask,
) -> None:
    @rejecting.after_request
    def fail(response: Response) -> Response:
        if response.status_code >= 400:
            raise LookupError("a mistake in the app")
        return response

    rejecting.config["PROPAGATE_EXCEPTIONS"] = False
    signed_in(rejecting, count=LIMIT)

    assert log_in(Browser(rejecting)).status_code == 409


def test_a_refused_login_at_the_end_of_a_request_is_a_409(
    rejecting: Flask, clock: FakeClock
) -> None:
    in_turn(rejecting, clock, LIMIT)
    late = Browser(rejecting)
    late.set(cart=1)
    before = late.id

    assert late.set(user_id=42).status_code == 409
    assert late.id == before
    assert late.values() == {"cart": 1}


def test_a_logout_makes_room(rejecting: Flask, clock: FakeClock) -> None:
    browsers, late = in_turn(rejecting, clock, LIMIT), Browser(rejecting)

    browsers[1].do(lambda: session.destroy())

    assert late.set(user_id=42).status_code == 200
    assert alive([late]) == [True]


@pytest.mark.every_storage("rotate", "login")
@pytest.mark.parametrize("how", ["rotate", "bind", "login"])
def test_a_session_does_not_count_itself_when_it_is_renewed(
    app: Flask, clock: FakeClock, how: str
) -> None:
    browsers = in_turn(app, clock, LIMIT)
    renewed = browsers[1]
    before = renewed.id

    def renew() -> str:
        match how:
            case "rotate":
                session.rotate()
            case "bind":
                session.bind(user_id=42)
            case _:
                session.clear()
                session["user_id"] = 42
        return ""

    assert renewed.do(renew).status_code == 200

    assert renewed.id != before
    assert alive(browsers) == [True] * LIMIT
    assert len(found(app)) == LIMIT


def test_what_has_expired_does_not_count(rejecting: Flask, clock: FakeClock) -> None:
    """Its record is gone, but the list does not know yet."""
    browsers, late = in_turn(rejecting, clock, LIMIT), Browser(rejecting)
    backend = rejecting.extensions["srvsession"].backend
    backend.delete(rejecting.config["SRVSESSION_KEY_PREFIX"] + browsers[0].id)

    assert late.set(user_id=42).status_code == 200

    assert alive([*browsers, late]) == [False, True, True, True]
    assert len(listed(rejecting, 42)) == LIMIT


def test_a_login_that_nobody_came_back_with_makes_room_after_a_minute(
    rejecting: Flask, clock: FakeClock
) -> None:
    signed_in(rejecting, count=LIMIT)
    late = Browser(rejecting)

    clock.advance(59)
    within_a_minute = log_in(late)
    clock.advance(1)
    after_a_minute = log_in(late)

    assert within_a_minute.status_code == 409
    assert after_a_minute.status_code == 200


def test_evicting_prefers_what_has_expired_to_the_oldest(
    evicting: Flask, clock: FakeClock
) -> None:
    browsers = in_turn(evicting, clock, LIMIT)
    backend = evicting.extensions["srvsession"].backend
    backend.delete(evicting.config["SRVSESSION_KEY_PREFIX"] + browsers[2].id)

    late = signed_in(evicting)

    assert alive([*browsers, *late]) == [True, True, False, True]


def test_the_limit_is_per_value_and_index(make_app: MakeApp, clock: FakeClock) -> None:
    app = make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": 2},
        SRVSESSION_INDEXES={"user_id": ("user_id",), "tenant": ("tenant",)},
    )
    browsers = []
    for user_id, tenant in [(1, "a"), (2, "a"), (1, "b"), (3, "a"), (1, "a")]:
        browser = Browser(app)
        browser.set(user_id=user_id, tenant=tenant)
        browsers.append(browser)
        clock.advance(1)

    assert alive(browsers) == [False, True, True, True, True]
    assert len(found(app, tenant="a")) == 3
    assert [i.id for i in found(app, user_id=1)] == [browsers[2].id, browsers[4].id]


def test_of_8_logins_at_once_exactly_the_limit_lives(app: Flask) -> None:
    for user_id in range(6):
        browsers = [Browser(app) for _ in range(8)]

        responses = together(
            *(partial(log_in, browser, user_id) for browser in browsers)
        )

        statuses = {response.status_code for response in responses}
        live = {
            b.id for b, lives in zip(browsers, alive(browsers), strict=True) if lives
        }
        assert statuses <= {200, 409}
        assert len(live) == LIMIT
        assert {info.id for info in found(app, user_id=user_id)} == live
        assert listed(app, user_id) == live


def test_the_limit_holds_once_8_have_logged_in_at_once(
    evicting: Flask,
) -> None:
    """Though a ninth looks again and again meanwhile."""
    browsers = [Browser(evicting) for _ in range(8)]
    counts: list[int] = []

    def look() -> None:
        with evicting.app_context():
            counts.extend(len(sessions.find(user_id=42)) for _ in range(20))

    together(look, *(partial(log_in, browser) for browser in browsers))

    assert max(counts) <= LIMIT + len(browsers)  # those whose login has not returned
    assert len(found(evicting)) == LIMIT


def test_a_rotation_at_the_limit_and_logins_at_once_stay_within_it(
    evicting: Flask, clock: FakeClock
) -> None:
    [kept] = signed_in(evicting)
    browsers = [Browser(evicting) for _ in range(4)]

    together(
        lambda: kept.do(lambda: session.rotate() or ""),
        *(partial(log_in, browser) for browser in browsers),
    )

    live = sum(alive([kept, *browsers]))
    assert live == LIMIT
    assert len(found(evicting)) == LIMIT


def test_a_login_shows_its_own_session_and_no_more_than_the_limit(
    evicting: Flask, clock: FakeClock
) -> None:
    browsers = in_turn(evicting, clock, LIMIT)
    late = Browser(evicting)

    def login() -> int:
        session.bind(user_id=42)
        return len(sessions.find(user_id=42))

    assert result_of(late, login) == LIMIT
    assert alive([browsers[0], late]) == [False, True]


DEVICES = {"user_id": ("user_id",), "device": ("device",)}


class TestIndexKeyAtTheLimit:
    @pytest.fixture
    def app(self, make_app: MakeApp, watched: WatchedBackend) -> Flask:
        """One session per user, and one per device; a device is no login."""
        return make_app(
            watched,
            SRVSESSION_INDEXES=DEVICES,
            SRVSESSION_NOT_LOGIN_KEYS=("device",),
            SRVSESSION_MAX_PER_KEY={"device": 1},
        )

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


@pytest.mark.parametrize("nobody", [None, False, "", {}, ()], ids=repr)
@pytest.mark.parametrize("key", ["user_id", "username"])
def test_the_limit_does_not_count_whom_nobody_is_logged_in_with(
    make_app: MakeApp, nobody: object, key: str
) -> None:
    """Apps set an empty text at a logout, too: that must not be a user of its own."""
    app = make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": 1}, SRVSESSION_MAX_PER_KEY_POLICY="reject"
    )
    for name in ("ann", "bob"):
        browser = Browser(app)
        browser.set(**{key: name})
        copy = browser.copy()

        assert browser.set(**{key: nobody}).status_code == 200

        assert browser.values() == {key: nobody}
        assert copy.values() == {}


def test_a_session_that_joins_a_list_after_a_login_counts_it(
    make_app: MakeApp, clock: FakeClock
) -> None:
    """Though it began before, so that it ends before."""
    app = make_app(
        SRVSESSION_INDEXES={"user_id": ("user_id",), "team": ("team",)},
        SRVSESSION_MAX_PER_KEY={"team": 1},
    )
    early, late = Browser(app), Browser(app)
    early.set(user_id=1)
    early.values()
    clock.advance(1000)
    late.set(user_id=2, team=9)  # nobody has come back with it yet

    assert early.set(team=9).status_code == 200

    assert alive([early, late]) == [True, False]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_user_who_signed_out_softly_has_no_place_and_keeps_the_cart(
    make_app: MakeApp, policy: str
) -> None:
    """Also within the seconds in which the former id still leads to the session."""
    app = make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": 1}, SRVSESSION_MAX_PER_KEY_POLICY=policy
    )
    shopper, other = Browser(app), Browser(app)
    shopper.set(user_id=42, cart=["book"])
    shopper.do(lambda: session.pop("user_id") and "")

    assert log_in(other).status_code == 200

    assert shopper.values() == {"cart": ["book"]}
    assert user_of(other) == 42
    assert log_in(shopper).status_code == (200 if policy == "evict-oldest" else 409)


class TestIntroduced:
    """A limit that is set, or lowered, while users are logged in."""

    @pytest.mark.parametrize("policy", ["evict-oldest", "reject"])
    def test_ends_only_the_oldest_of_the_devices_that_were_in_use(
        self, make_app: MakeApp, backend: Backend, clock: FakeClock, policy: str
    ) -> None:
        prefix = f"limits{secrets.token_hex(4)}:"  # a server may be used again
        before = make_app(backend, SRVSESSION_KEY_PREFIX=prefix)
        browsers = []
        for _ in range(5):
            browsers += signed_in(before)
            clock.advance(1)
        assert all(alive(browsers))
        clock.advance(3600)

        limits: Any = {"SRVSESSION_MAX_PER_KEY": {"user_id": 5}}
        app = make_app(
            backend,
            SRVSESSION_KEY_PREFIX=prefix,
            SRVSESSION_MAX_PER_KEY_POLICY=policy,
            **limits,
        )
        newest = Browser(app)
        response = newest.set(user_id=42)

        if policy == "reject":
            assert response.status_code == 409
            assert alive(browsers) == [True] * 5
        else:
            assert response.status_code == 200
            assert alive(browsers) == [False] + [True] * 4

    @pytest.mark.parametrize("policy", POLICIES)
    def test_refuses_and_ends_nothing_at_a_change_of_who_was_in_before(
        self, make_app: MakeApp, backend: Backend, policy: str
    ) -> None:
        """With an index that is new as well, a change lists the session."""
        config = {"SRVSESSION_KEY_PREFIX": f"limits{secrets.token_hex(4)}:"}
        before = make_app(backend, **config)
        users = [Browser(before) for _ in range(2)]
        for user_id, browser in enumerate(users):
            browser.set(user_id=user_id, tenant="acme")
        app = make_app(
            backend,
            **config,
            SRVSESSION_INDEXES={"user_id": ("user_id",), "tenant": ("tenant",)},
            SRVSESSION_MAX_PER_KEY={"tenant": 1},
            SRVSESSION_MAX_PER_KEY_POLICY=policy,
        )
        present = [Browser(app, browser.cookie) for browser in users]

        assert [each.set(a=1).status_code for each in present] == [200, 200]

        assert alive(present) == [True, True]
        assert len(found(app, tenant="acme")) == 2
        response = Browser(app).set(user_id=3, tenant="acme")
        assert response.status_code == (409 if policy == "reject" else 200)
        assert len(found(app, tenant="acme")) == (2 if policy == "reject" else 1)

    def test_ends_more_than_a_hundred_if_it_has_to(
        self, make_app: MakeApp, backend: Backend, clock: FakeClock
    ) -> None:
        prefix = f"limits{secrets.token_hex(4)}:"  # a server may be used again
        before = make_app(backend, SRVSESSION_KEY_PREFIX=prefix)
        signed_in(before, count=130)
        assert len(found(before, user_id=42)) == 130
        clock.advance(3600)

        app = make_app(
            backend,
            SRVSESSION_KEY_PREFIX=prefix,
            SRVSESSION_MAX_PER_KEY={"user_id": 2},
        )
        assert Browser(app).set(user_id=42).status_code == 200

        assert len(found(app, user_id=42)) == 2


def test_a_limit_of_users_leaves_other_indexes_alone(make_app: MakeApp) -> None:
    app = make_app(
        SRVSESSION_INDEXES={"user_id": ("user_id",), "tenant": ("tenant",)},
        SRVSESSION_MAX_PER_KEY={"user_id": 1},
    )
    browsers = [Browser(app) for _ in range(3)]
    for number, browser in enumerate(browsers):
        browser.set(user_id=number, tenant="acme")

    assert len(found(app, tenant="acme")) == 3
    browsers[0].copy().set(user_id=1)
    assert len(found(app, user_id=1)) == 1
