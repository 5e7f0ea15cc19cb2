"""Lists that are read in parts: limits, lists and the end of all, at any length.

The parts are made short, so that a list of thirty is a long one.
"""

from __future__ import annotations

import secrets
from collections import Counter
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from flask_srvsession import session
from flask_srvsession.store import revocation, room
from flask_srvsession.store.revocation import revoke_all
from tests.web import Browser

from ..apps import listed, together
from ..devices import alive, found, rotate, signed_in, store_of, user
from ..probes import CountingBackend

if TYPE_CHECKING:
    from flask import Flask

    from flask_srvsession.backends import Backend
    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage

LIMIT = 12
PART = 3


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "EXACT", 8)
    monkeypatch.setattr(room, "MOST_AT_ONCE", PART)
    monkeypatch.setattr(revocation, "PAGE", PART)
    monkeypatch.setattr(revocation, "MOST_AT_ONCE", PART)
    monkeypatch.setattr(revocation, "UNLISTED", 2 * PART)


class Apps:
    """Apps with one prefix: without a limit, and with one."""

    def __init__(self, make_app: MakeApp) -> None:
        self._make_app = make_app
        self._prefix = f"long{secrets.token_hex(4)}:"

    def free(self) -> Flask:
        return self._make_app(SRVSESSION_KEY_PREFIX=self._prefix)

    def limited(self, policy: str = "evict-oldest", **more: Any) -> Flask:
        return self._make_app(
            SRVSESSION_KEY_PREFIX=self._prefix,
            SRVSESSION_MAX_PER_KEY={"user_id": LIMIT},
            SRVSESSION_MAX_PER_KEY_POLICY=policy,
            **more,
        )


@pytest.fixture
def apps(make_app: MakeApp) -> Apps:
    return Apps(make_app)


def in_turn(app: Flask, clock: FakeClock, count: int) -> list[Browser]:
    browsers = []
    for _ in range(count):
        browsers += signed_in(app)
        clock.advance(1)
    alive(browsers)  # so that they are no logins that nobody came back with
    return browsers


def remove_record(app: Flask, browser: Browser) -> None:
    store = store_of(app)
    assert store.records.delete(browser.id)


class TestLimit:
    def test_a_login_beyond_it_ends_the_oldest(
        self, apps: Apps, clock: FakeClock
    ) -> None:
        app = apps.limited()
        browsers = in_turn(app, clock, LIMIT + 3)

        assert alive(browsers) == [False] * 3 + [True] * LIMIT
        assert len(listed(app, 42)) == LIMIT

    @pytest.mark.parametrize("before", [LIMIT + 2, 4 * LIMIT])
    def test_that_is_lowered_ends_the_oldest_alone(
        self, apps: Apps, clock: FakeClock, before: int
    ) -> None:
        browsers = in_turn(apps.free(), clock, before)
        app = apps.limited()

        [newest] = signed_in(app)

        stay = LIMIT - 1
        assert alive(browsers) == [False] * (before - stay) + [True] * stay
        assert alive([newest]) == [True]

    def test_that_is_lowered_refuses_logins_until_enough_have_left(
        self, apps: Apps, clock: FakeClock
    ) -> None:
        browsers = in_turn(apps.free(), clock, LIMIT + 2)
        app = apps.limited("reject")

        assert Browser(app).set(user_id=42).status_code == 409
        for browser in browsers[5:8]:
            remove_record(app, browser)
        # Each attempt looks at some others, too.
        attempts = [Browser(app).set(user_id=42).status_code for _ in range(8)]

        assert Counter(attempts)[200] == 1
        assert len(found(app)) == LIMIT

    def test_a_session_that_joins_late_stays_and_the_oldest_leaves(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        app = make_app(
            SRVSESSION_INDEXES={"user_id": ("user_id",), "team": ("team",)},
            SRVSESSION_MAX_PER_KEY={"team": LIMIT},
        )
        early, *others = [Browser(app) for _ in range(LIMIT + 1)]
        early.set(user_id=0)
        for user_id, browser in enumerate(others, 1):
            clock.advance(100)
            browser.set(user_id=user_id, team=9)
            browser.values()

        assert early.set(team=9).status_code == 200

        assert alive([early, *others]) == [True, False] + [True] * (LIMIT - 1)

    def test_lets_the_oldest_leave_also_if_it_was_rotated(
        self, apps: Apps, clock: FakeClock
    ) -> None:
        app = apps.limited()
        browsers = in_turn(app, clock, LIMIT)
        clock.advance(100)
        rotate(browsers[0])

        [newest] = signed_in(app)

        assert alive([*browsers, newest]) == [False] + [True] * LIMIT

    def test_ends_no_newcomer_that_will_live_shorter_than_the_others(
        self, apps: Apps, clock: FakeClock
    ) -> None:
        browsers = in_turn(apps.free(), clock, LIMIT)
        app = apps.limited(
            PERMANENT_SESSION_LIFETIME=3600, SRVSESSION_ABSOLUTE_LIFETIME=86400
        )

        [newest] = signed_in(app)

        assert alive([*browsers, newest]) == [False] + [True] * LIMIT

    def test_the_dead_leave_before_the_oldest(
        self, apps: Apps, clock: FakeClock
    ) -> None:
        app = apps.limited()
        browsers = in_turn(app, clock, LIMIT)
        remove_record(app, browsers[1])

        [newest] = signed_in(app)

        assert alive([*browsers, newest]) == [n != 1 for n in range(LIMIT + 1)]
        assert len(listed(app, 42)) == LIMIT

    def test_leaves_entries_that_are_none_of_ours_where_they_are(
        self, apps: Apps
    ) -> None:
        app = apps.limited()
        lists = store_of(app).lists
        name = lists.name(lists.parse({"user_id": 42}).names[0])
        index = store_of(app).backend.backend.index
        epoch = index.epoch(name)
        for number in range(3 * LIMIT):
            index.add(name, f"foreign{number}", epoch, 1000)

        [browser] = signed_in(app, 42)

        assert browser.values()["user_id"] == 42

    @pytest.mark.parametrize("policy", ["evict-oldest", "reject"])
    def test_is_kept_by_8_logins_at_once(
        self, apps: Apps, clock: FakeClock, policy: str
    ) -> None:
        app = apps.limited(policy)
        in_turn(app, clock, LIMIT - 2)
        late = [Browser(app) for _ in range(8)]

        together(*(partial(each.set, user_id=42) for each in late))

        assert len(found(app)) <= LIMIT
        assert len(found(app)) == LIMIT or policy == "reject"

    def test_costs_as_much_in_a_list_of_any_length(
        self, make_app: MakeApp, backend: Backend, clock: FakeClock
    ) -> None:
        calls = []
        for count in (LIMIT, 4 * LIMIT):
            counting = CountingBackend(backend)
            app = make_app(
                counting,
                SRVSESSION_MAX_PER_KEY={"user_id": count},
                SRVSESSION_KEY_PREFIX=f"of{count}:",
            )
            in_turn(app, clock, count + 1)
            counting.calls.clear()
            signed_in(app)
            calls.append(Counter(counting.calls))

        assert calls[0] == calls[1]


class TestRevocation:
    def test_ends_all_in_a_list_of_several_parts(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        app = make_app()
        browsers = in_turn(app, clock, 10 * PART + 1)
        told = list[tuple[int, int]]()

        done = revoke_all(
            store_of(app), user(app), watch=lambda *seen: told.append(seen)
        )

        assert [live.id for live in done.ended] == [each.id for each in browsers]
        assert not any(alive(browsers))
        assert listed(app, 42) == set()
        assert told[-1] == (len(browsers), len(browsers))
        assert [seen for seen, _ in told] == sorted({seen for seen, _ in told})

    def test_leaves_who_has_logged_in_since_it_began(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        app = make_app()
        browsers = in_turn(app, clock, 4 * PART)
        late = list[Browser]()

        revoke_all(
            store_of(app), user(app), watch=lambda *_: late.extend(signed_in(app))
        )

        assert not any(alive(browsers))
        assert late
        assert all(alive(late))
        assert {info.id for info in found(app)} == {each.id for each in late}

    def test_leaves_who_has_logged_in_after_another_one_that_came_later(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        app = make_app()
        browsers = in_turn(app, clock, 4 * PART)
        late = list[Browser]()

        def revoke_once_more(*_: int) -> None:
            if not late:
                revoke_all(store_of(app), user(app))
                late.extend(signed_in(app))

        revoke_all(store_of(app), user(app), watch=revoke_once_more)

        assert not any(alive(browsers))
        assert alive(late) == [True]

    def test_does_not_pass_over_anybody_where_others_leave_meanwhile(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        app = make_app()
        browsers = in_turn(app, clock, 6 * PART)
        leaving = iter(browsers[PART - 1 :: PART])

        def leave(*_: int) -> None:
            for browser in islice(leaving, 2):
                browser.do(lambda: session.destroy())

        revoke_all(store_of(app), user(app), watch=leave)

        assert not any(alive(browsers))

    def test_whoever_an_earlier_one_was_to_end_cannot_keep_the_own_session(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        """The first one died after its fence, or is still under way."""
        app = make_app()
        [mine] = signed_in(app)
        store = store_of(app)
        store.lists.fence(user(app))

        done = revoke_all(store, user(app), keep=store.records.live(mine.id))

        assert done.kept is None
        assert alive([mine]) == [False]


class TestFind:
    def test_shows_each_once_where_some_leave_meanwhile(
        self, make_app: MakeApp, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app = make_app()
        browsers = in_turn(app, clock, 6 * PART)
        store, before = store_of(app), revocation._living
        gone = list[Browser]()

        def living(*args: Any) -> Any:
            if not gone:  # the one that the next part follows
                gone.append(browsers[2 * PART - 1])
                store.destroy(gone[0].id)
            return before(*args)

        monkeypatch.setattr(revocation, "_living", living)
        shown = [live.id for live in revocation.find(store, user(app))]

        assert shown == [each.id for each in browsers if each not in gone]
