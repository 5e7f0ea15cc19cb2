"""The cookie of a living session changes; each rotation is confirmed by its client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Response

from flask_srvsession import (
    session,
)
from flask_srvsession.backends import Backend
from flask_srvsession.store import revocation
from flask_srvsession.testing import FakeClock
from tests.web import Browser, nothing

from ..probes import CountingBackend, attributes, login, set_cookies
from .stage import (
    DAY,
    EVERY,
    GRACE,
    SECRET,
    Alarms,
    Stage,
    credential_in,
    look,
    make_stage,
    signer_of,
    switch_permanent,
    whole,
    write,
)

if TYPE_CHECKING:
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage


class TestRotation:
    def test_the_cookie_changes_and_the_session_stays(self, stage: Stage) -> None:
        seen = {stage.first}
        ids = {stage.owner.id}

        for _ in range(4):
            stage.rotate()
            seen.add(stage.first)
            ids.add(stage.owner.id)

        assert len(seen) == 5
        assert len(ids) == 1
        assert stage.owner.does(look) == "42"
        assert stage.record().generation == 5

    def test_a_young_cookie_stays(self, stage: Stage) -> None:
        before = stage.first
        stage.clock.advance(EVERY - 1)

        responses = [stage.owner.do(do) for do in (look, write, look)]

        assert [set_cookies(response) for response in responses] == [[], [], []]
        assert stage.first == before

    def test_an_untouched_session_is_not_rotated(self, stage: Stage) -> None:
        stage.clock.advance(EVERY)

        assert not set_cookies(stage.owner.do(nothing))

    def test_a_lost_response_is_repeated_with_the_same_successor(
        self, stage: Stage
    ) -> None:
        stage.clock.advance(EVERY)
        lost = [stage.owner.copy().do(do) for do in (look, write, look)]

        arrived = stage.owner.do(look)

        cookies = {c.partition(";")[0] for r in lost for c in set_cookies(r)}
        assert cookies == {set_cookies(arrived)[0].partition(";")[0]}
        assert stage.owner.does(look) == "42"

    def test_an_hour_of_lost_responses_does_no_harm(
        self, stage: Stage, alarms: Alarms
    ) -> None:
        before = stage.first
        for _ in range(8):
            stage.clock.advance(EVERY)
            stage.owner.copy().does(look)
        assert stage.first == before

        assert stage.owner.does(look) == "42"
        assert stage.owner.does(look) == "42"
        assert not alarms.infos

    def test_none_turns_it_off(self, make_app: MakeApp, clock: FakeClock) -> None:
        stage = make_stage(make_app(SRVSESSION_ROTATE_EVERY=None), clock)
        before = stage.first
        for _ in range(50):
            clock.advance(DAY)
            assert stage.owner.does(write) == "42"

        assert stage.first == before
        assert stage.record().generation == 1

    def test_turned_off_later_the_outdated_cookie_is_not_sent_again(
        self, make_app: MakeApp, clock: FakeClock, alarms: Alarms
    ) -> None:
        """A response with it would put it back into the jar."""
        app = make_app()
        stage = make_stage(app, clock)
        stage.owner.does(switch_permanent)
        stage.owner.does(look)
        stage.owner.does(look)
        late = stage.owner.copy()
        stage.rotate()
        prefix = app.config["SRVSESSION_KEY_PREFIX"]
        later = make_app(SRVSESSION_ROTATE_EVERY=None, SRVSESSION_KEY_PREFIX=prefix)

        response = Browser(later, late.cookie).do(look)

        assert response.text == "42"
        assert not alarms.infos
        assert not set_cookies(response)

    @pytest.mark.parametrize("says", [["max-age=60, public"], ["max-age=60", "Public"]])
    def test_the_successor_is_withheld_from_a_response_that_is_public(
        self, stage: Stage, says: list[str]
    ) -> None:
        """A shared cache would give it to everybody."""
        before = stage.first

        def public() -> Response:
            return Response(look(), headers=[("Cache-Control", each) for each in says])

        stage.clock.advance(EVERY)
        responses = [stage.owner.do(public), stage.owner.do(public)]

        assert [r.text for r in responses] == ["42", "42"]
        assert [set_cookies(r) for r in responses] == [[], []]
        assert stage.first == before
        assert set_cookies(stage.owner.do(look))

    def test_a_response_with_the_successor_is_not_cached(self, stage: Stage) -> None:
        stage.clock.advance(EVERY)

        response = stage.owner.do(look)

        assert response.cache_control.no_store
        assert "cookie" in response.vary

    def test_a_read_that_is_a_second_old_hands_nothing_out(self, stage: Stage) -> None:
        """By then the session may have been ended by somebody else."""
        stage.clock.advance(EVERY)
        stage.owner.copy().does(look)

        def slow() -> str:
            seen = look()
            stage.clock.advance(1)
            return seen

        assert not set_cookies(stage.owner.do(slow))
        assert set_cookies(stage.owner.do(look))

    def test_a_slow_write_hands_it_out(self, stage: Stage) -> None:
        stage.clock.advance(EVERY)

        def slow() -> str:
            seen = write()
            stage.clock.advance(60)
            return seen

        assert set_cookies(stage.owner.do(slow))

    def test_a_response_whose_session_was_ended_meanwhile_hands_nothing_out(
        self, stage: Stage
    ) -> None:
        stage.clock.advance(EVERY)

        def ended_elsewhere() -> str:
            seen = write()
            stage.app.extensions["srvsession"].store.destroy(session.id)
            return seen

        assert not set_cookies(stage.owner.do(ended_elsewhere))

    def test_two_that_are_both_due_hand_out_one_successor(self, stage: Stage) -> None:
        """The second request begins and ends while the first is under way."""
        stage.clock.advance(EVERY)
        other = stage.owner.copy()
        inner: list[str] = []

        def outer() -> str:
            seen = write()
            inner.extend(set_cookies(other.do(look)))
            return seen

        response = stage.owner.do(outer)

        cookies = [c.partition(";")[0] for c in (*inner, *set_cookies(response))]
        assert len(cookies) == 2
        assert len(set(cookies)) == 1

    def test_a_switch_to_permanent_hands_out_a_cookie_that_lasts(
        self, stage: Stage
    ) -> None:
        """With this very response: the browser may be closed after it."""
        [cookie] = set_cookies(stage.owner.do(switch_permanent))

        assert "expires" in attributes(cookie)
        assert stage.owner.does(look) == "42"

    def test_a_switch_back_hands_out_a_cookie_of_the_browser_session(
        self, stage: Stage
    ) -> None:
        stage.owner.does(switch_permanent)
        stage.owner.does(look)
        stage.owner.does(look)
        stage.clock.advance(GRACE + 1)

        [cookie] = set_cookies(stage.owner.do(switch_permanent))

        assert "expires" not in attributes(cookie)

    def test_everything_else_is_as_before(self, stage: Stage) -> None:
        store = stage.app.extensions["srvsession"].store
        before = store.info(store.peek(stage.owner.id))
        places = stage.record().places
        stage.owner.does(write)

        for _ in range(3):
            stage.rotate()

        [found] = revocation.find(store, store.lists.binding("user_id", "42"))
        after = store.info(found)
        assert stage.record().places == places
        assert (after.id, after.created_at) == (before.id, before.created_at)
        assert after.expires_at > before.expires_at
        assert stage.owner.does(whole) == "[('colour', 'green'), ('user_id', 42)]"

    def test_the_absolute_lifetime_goes_on(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        stage = make_stage(make_app(SRVSESSION_ABSOLUTE_LIFETIME=3 * EVERY), clock)
        stage.rotate()
        stage.rotate()
        clock.advance(EVERY - 1)
        assert stage.owner.does(look) == "42"

        clock.advance(1)

        assert stage.owner.does(look) == "None"

    def test_a_rotated_session_is_ended_by_its_id(self, stage: Stage) -> None:
        session_id = stage.owner.id
        stage.rotate()
        stage.rotate()

        stage.app.extensions["srvsession"].store.destroy(session_id)

        assert stage.owner.does(look) == "None"


class TestRegenerate:
    def test_the_cookie_of_before_the_login_reads_nothing_new(
        self, make_app: MakeApp, alarms: Alarms
    ) -> None:
        browser = Browser(make_app())
        browser.does(lambda: f"{session.setdefault('cart', 1)}")
        before = browser.copy()

        browser.does(login)

        assert before.does(whole) == "[('cart', 1)]"
        assert browser.does(whole) == "[('cart', 1), ('user_id', 42)]"
        assert not alarms.infos

    def test_rotate_has_no_grace(self, stage: Stage) -> None:
        before = stage.owner.copy()

        stage.owner.does(lambda: f"{session.rotate()}")

        assert before.does(look) == "None"
        assert stage.owner.does(look) == "42"

    def test_rotate_by_a_successor_leaves_no_other_cookie_alive(
        self, stage: Stage
    ) -> None:
        old = stage.owner.copy()
        stage.clock.advance(EVERY)
        stage.owner.does(look)
        new = stage.owner.copy()

        stage.owner.does(lambda: f"{session.rotate()}")

        assert [old.does(look), new.does(look)] == ["None", "None"]
        assert stage.owner.does(look) == "42"

    def test_a_logout_that_was_overtaken_by_rotate_ends_the_new_session(
        self, stage: Stage
    ) -> None:
        """Also if the cookie of both had been presented for the first time."""
        stage.clock.advance(EVERY)
        stage.owner.does(look)
        late = stage.owner.copy()
        stage.owner.does(lambda: f"{session.rotate()}")

        late.does(lambda: f"{session.destroy()}")

        assert stage.owner.does(look) == "None"


class TestSecretKeys:
    def test_an_old_key_opens_and_the_new_one_signs(self, stage: Stage) -> None:
        stage.app.config.update(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[SECRET])

        assert stage.owner.does(look) == "42"
        stage.rotate()

        assert credential_in(stage.app, stage.owner.cookie, "new").generation == 2
        assert signer_of(stage.app).loads(stage.first) is None
        stage.app.config.update(SECRET_KEY_FALLBACKS=[])
        assert stage.owner.does(look) == "42"

    def test_a_key_that_is_no_fallback_any_more_opens_nothing(
        self, stage: Stage, alarms: Alarms
    ) -> None:
        stage.app.config.update(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[])

        assert stage.owner.does(look) == "None"
        assert not alarms.infos

    def test_a_thief_is_found_over_a_change_of_keys(
        self, stage: Stage, alarms: Alarms
    ) -> None:
        thief = stage.owner.copy()
        stage.rotate()
        stage.app.config.update(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[SECRET])
        stage.rotate()
        stage.clock.advance(GRACE + 1)

        thief.does(look)

        assert alarms.ids == [stage.owner.id]


class TestCost:
    @pytest.fixture
    def counting(self, backend: Backend) -> CountingBackend:
        return CountingBackend(backend)

    @pytest.fixture
    def stage(
        self, make_app: MakeApp, clock: FakeClock, counting: CountingBackend
    ) -> Stage:
        """Renewals are out of the way: a reader writes only what rotation needs."""
        app = make_app(backend=counting, SRVSESSION_TOUCH_INTERVAL=DAY)
        stage = make_stage(app, clock)
        stage.owner.does(look)
        counting.taken()
        return stage

    def commands(self, counting: CountingBackend) -> list[str]:
        return [call for call in counting.taken() if not call.startswith("index.")]

    def test_each_rotation_costs_two_swaps(
        self, stage: Stage, counting: CountingBackend
    ) -> None:
        for _ in range(3):
            taken = []
            stage.clock.advance(EVERY)
            for _ in range(5):
                stage.owner.does(look)
                taken.append(self.commands(counting))

            assert taken == [["get", "swap"], ["get", "swap"], *[["get"]] * 3]

    def test_a_write_carries_it_along(
        self, stage: Stage, counting: CountingBackend
    ) -> None:
        stage.clock.advance(EVERY)
        for _ in range(5):
            stage.owner.does(lambda: f"{session.compute('n', lambda n: (n or 0) + 1)}")

            assert self.commands(counting) == ["get", "swap"]

        assert stage.record().generation == 2

    def test_an_unpresented_successor_costs_nothing_more(
        self, stage: Stage, counting: CountingBackend
    ) -> None:
        stage.clock.advance(EVERY)
        stage.owner.copy().does(look)
        counting.taken()
        for _ in range(5):
            assert set_cookies(stage.owner.copy().do(look))

            assert self.commands(counting) == ["get"]

    def test_the_grace_costs_nothing_more(
        self, stage: Stage, counting: CountingBackend
    ) -> None:
        late = stage.owner.copy()
        stage.rotate()
        counting.taken()

        late.does(look)

        assert self.commands(counting) == ["get"]

    def test_a_rotation_that_fails_does_not_fail_the_request(
        self, stage: Stage, counting: CountingBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lost(*_: Any) -> None:
            raise counting.errors[0]("lost")

        stage.clock.advance(EVERY)
        monkeypatch.setattr(counting, "swap", lost)

        response = stage.owner.do(look)

        assert response.status_code == 200
        assert response.text == "42"
        assert not set_cookies(response)
