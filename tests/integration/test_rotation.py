"""The cookie of a living session changes, and whoever uses an outdated one is noticed.

On every backend, through Flask, with a clock that is wound.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response
from flask_login import LoginManager, UserMixin, login_user
from werkzeug.test import create_environ

from flask_srvsession import (
    ServerSideSession,
    SessionInfo,
    StaleCredential,
    session,
    session_replayed,
)
from flask_srvsession.backends import Backend
from flask_srvsession.backends.base import Cell
from flask_srvsession.ids import CookieSigner, Credential, new_token
from flask_srvsession.record import Record
from flask_srvsession.testing import FakeClock

from .probes import (
    Browser,
    CountingBackend,
    attributes,
    login,
    nothing,
    set_cookies,
)

if TYPE_CHECKING:
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_database


GRACE = 120
EVERY = 900
DAY = 24 * 60 * 60
LOGGER = "flask_srvsession"
SECRET = "a secret key that is only used by these tests"


def look() -> str:
    """Read the session: who is logged in?"""
    return f"{session.get('user_id')}"


def write() -> str:
    session["colour"] = "green"
    return look()


def whole() -> str:
    return f"{sorted(session.items())}"


def switch_permanent() -> str:
    session.permanent = not session.permanent
    return "switched"


@dataclass
class Alarms:
    """What was sent by session_replayed."""

    infos: list[SessionInfo] = field(default_factory=list)

    def __call__(self, app: Flask, info: SessionInfo) -> None:
        self.infos.append(info)

    @property
    def ids(self) -> list[str]:
        return [info.id for info in self.infos]


@pytest.fixture
def alarms() -> Any:
    heard = Alarms()
    with session_replayed.connected_to(heard):
        yield heard


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger=LOGGER)
    return caplog


@dataclass
class Stage:
    """An app with a browser that has logged in, and what came of it."""

    app: Flask
    clock: FakeClock
    owner: Browser

    @property
    def first(self) -> str:
        assert self.owner.cookie is not None
        return self.owner.cookie

    def rotate(self) -> None:
        """The owner gets a successor and presents it."""
        before = self.owner.cookie
        self.clock.advance(EVERY)
        self.owner.does(look)
        assert self.owner.cookie != before
        self.owner.does(look)

    def record(self) -> Record:
        found = self.app.extensions["srvsession"].keyed.store.peek(
            self.owner.session_id
        )
        assert found is not None, "the session is gone"
        record: Record = found.record
        return record

    @property
    def lives(self) -> bool:
        store = self.app.extensions["srvsession"].keyed.store
        return store.peek(self.owner.session_id) is not None


@pytest.fixture
def stage(make_app: MakeApp, clock: FakeClock) -> Stage:
    return make_stage(make_app(), clock)


def make_stage(app: Flask, clock: FakeClock) -> Stage:
    owner = Browser(app)
    owner.does(login)
    return Stage(app, clock, owner)


def signer_of(app: Flask, *keys: str) -> CookieSigner:
    return CookieSigner(list(keys) or [SECRET], app.config["SRVSESSION_KEY_PREFIX"])


def credential_in(app: Flask, cookie: str | None, *keys: str) -> Credential:
    credential = signer_of(app, *keys).loads(cookie or "")
    assert credential is not None, "the cookie is not valid"
    return credential


class TestRotation:
    def test_the_cookie_changes_and_the_session_stays(self, stage: Stage) -> None:
        seen = {stage.first}
        ids = {stage.owner.session_id}

        for _ in range(4):
            stage.rotate()
            seen.add(stage.first)
            ids.add(stage.owner.session_id)

        assert len(seen) == 5
        assert len(ids) == 1
        assert stage.owner.does(look) == "42"
        assert stage.record().generation == 5

    def test_a_young_cookie_stays(self, stage: Stage) -> None:
        before = stage.first
        stage.clock.advance(EVERY - 1)

        responses = [stage.owner.visit(do) for do in (look, write, look)]

        assert [set_cookies(response) for response in responses] == [[], [], []]
        assert stage.first == before

    def test_an_untouched_session_is_not_rotated(self, stage: Stage) -> None:
        stage.clock.advance(EVERY)

        assert not set_cookies(stage.owner.visit(nothing))

    def test_a_lost_response_is_repeated_with_the_same_successor(
        self, stage: Stage
    ) -> None:
        stage.clock.advance(EVERY)
        lost = [stage.owner.copy().visit(do) for do in (look, write, look)]

        arrived = stage.owner.visit(look)

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

        response = Browser(later).copy(late.cookie).visit(look)

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
        responses = [stage.owner.visit(public), stage.owner.visit(public)]

        assert [r.text for r in responses] == ["42", "42"]
        assert [set_cookies(r) for r in responses] == [[], []]
        assert stage.first == before
        assert set_cookies(stage.owner.visit(look))

    def test_a_response_with_the_successor_is_not_cached(self, stage: Stage) -> None:
        stage.clock.advance(EVERY)

        response = stage.owner.visit(look)

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

        assert not set_cookies(stage.owner.visit(slow))
        assert set_cookies(stage.owner.visit(look))

    def test_a_slow_write_hands_it_out(self, stage: Stage) -> None:
        stage.clock.advance(EVERY)

        def slow() -> str:
            seen = write()
            stage.clock.advance(60)
            return seen

        assert set_cookies(stage.owner.visit(slow))

    def test_a_response_whose_session_was_ended_meanwhile_hands_nothing_out(
        self, stage: Stage
    ) -> None:
        stage.clock.advance(EVERY)

        def ended_elsewhere() -> str:
            seen = write()
            stage.app.extensions["srvsession"].keyed.store.destroy(session.id)
            return seen

        assert not set_cookies(stage.owner.visit(ended_elsewhere))

    def test_two_that_are_both_due_hand_out_one_successor(self, stage: Stage) -> None:
        """The second request begins and ends while the first is under way."""
        stage.clock.advance(EVERY)
        other = stage.owner.copy()
        inner: list[str] = []

        def outer() -> str:
            seen = write()
            inner.extend(set_cookies(other.visit(look)))
            return seen

        response = stage.owner.visit(outer)

        cookies = [c.partition(";")[0] for c in (*inner, *set_cookies(response))]
        assert len(cookies) == 2
        assert len(set(cookies)) == 1

    def test_a_switch_to_permanent_hands_out_a_cookie_that_lasts(
        self, stage: Stage
    ) -> None:
        stage.owner.does(switch_permanent)

        [cookie] = set_cookies(stage.owner.visit(look))

        assert "expires" in attributes(cookie)
        assert stage.owner.does(look) == "42"

    def test_a_switch_back_hands_out_a_cookie_of_the_browser_session(
        self, stage: Stage
    ) -> None:
        stage.owner.does(switch_permanent)
        stage.owner.does(look)
        stage.owner.does(look)
        stage.clock.advance(GRACE + 1)
        stage.owner.does(switch_permanent)

        [cookie] = set_cookies(stage.owner.visit(look))

        assert "expires" not in attributes(cookie)

    def test_everything_else_is_as_before(self, stage: Stage) -> None:
        store = stage.app.extensions["srvsession"].keyed.store
        before = store.info(store.peek(stage.owner.session_id))
        bindings = stage.record().bindings
        stage.owner.does(write)

        for _ in range(3):
            stage.rotate()

        [binding] = bindings
        [found] = store.find(binding)
        after = store.info(found)
        assert stage.record().bindings == bindings
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
        session_id = stage.owner.session_id
        stage.rotate()
        stage.rotate()

        stage.app.extensions["srvsession"].keyed.store.destroy(session_id)

        assert stage.owner.does(look) == "None"


class TestGrace:
    @pytest.fixture
    def late(self, stage: Stage) -> Browser:
        """Somebody with the cookie of before the last rotation."""
        stage.rotate()
        copy = stage.owner.copy()
        stage.rotate()
        return copy

    def test_it_is_served_without_a_cookie(
        self, stage: Stage, late: Browser, alarms: Alarms
    ) -> None:
        before = late.cookie

        for do in (look, write, look):
            response = late.visit(do)
            assert response.text == "42"
            assert not set_cookies(response)

        assert late.cookie == before
        assert stage.owner.does(whole) == "[('colour', 'green'), ('user_id', 42)]"
        assert not alarms.infos

    def test_it_is_never_shorter_than_configured(
        self, make_app: MakeApp, clock: FakeClock, alarms: Alarms
    ) -> None:
        """Wherever in its second the successor was presented."""
        clock.advance(0.9)
        stage = make_stage(make_app(), clock)
        late = stage.owner.copy()
        stage.rotate()

        clock.advance(GRACE - 0.1)

        assert late.does(look) == "42"
        assert not alarms.infos

    def test_no_successor_is_handed_out_meanwhile(
        self, stage: Stage, late: Browser
    ) -> None:
        stage.owner.does(switch_permanent)
        stage.clock.advance(GRACE - 1)

        assert not set_cookies(stage.owner.visit(look))

        stage.clock.advance(2)
        assert set_cookies(stage.owner.visit(look))

    def test_rotate_is_refused(self, stage: Stage, late: Browser) -> None:
        def rotate() -> str:
            with pytest.raises(StaleCredential):
                session.rotate()
            return look()

        response = late.visit(rotate)

        assert response.text == "42"
        assert not set_cookies(response)
        assert stage.owner.does(look) == "42"

    def test_permanent_is_ignored(self, stage: Stage, late: Browser) -> None:
        response = late.visit(switch_permanent)

        assert not set_cookies(response)
        assert not stage.record().permanent
        assert not stage.record().due

    def test_a_login_begins_empty_with_what_this_request_does(
        self, stage: Stage, late: Browser
    ) -> None:
        stage.owner.does(write)

        def log_in() -> str:
            session["theme"] = "dark"
            return login(43)

        late.does(log_in)

        assert late.does(whole) == "[('theme', 'dark'), ('user_id', 43)]"
        assert stage.owner.does(look) == "None"

    def test_a_login_may_be_permanent(self, late: Browser) -> None:
        def log_in() -> str:
            session.permanent = True
            return login(43)

        late.does(log_in)

        assert late.does(lambda: f"{session.permanent}") == "True"

    def test_a_bind_of_the_same_user_is_a_login(
        self, stage: Stage, late: Browser
    ) -> None:
        stage.owner.does(write)

        def bind() -> str:
            session.bind(user_id=42)
            return look()

        assert late.does(bind) == "42"
        assert late.does(whole) == "[('user_id', 42)]"

    def test_flask_login_may_log_in_the_same_user(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        app = make_app()

        class User(UserMixin):
            id = "42"

        LoginManager(app).user_loader(lambda _: User())

        def log_in() -> str:
            return f"{login_user(User())}"

        def who() -> str:
            return f"{session.get('_user_id')}"

        owner = Browser(app)
        owner.does(log_in)
        late = owner.copy()
        clock.advance(EVERY)
        owner.does(who)
        owner.does(who)

        late.does(log_in)

        assert late.does(who) == "42"

    def test_a_logout_ends_the_session(self, stage: Stage, late: Browser) -> None:
        def log_out() -> str:
            session.destroy()
            return look()

        assert late.does(log_out) == "None"
        assert stage.owner.does(look) == "None"
        assert late.cookie is None

    def test_pop_of_the_login_key_ends_the_session(
        self, stage: Stage, late: Browser
    ) -> None:
        late.does(lambda: f"{session.pop('user_id')}")

        assert stage.owner.does(look) == "None"
        assert late.does(look) == "None"

    @pytest.mark.parametrize("is_first", [True, False])
    def test_a_good_cookie_beside_it_goes_first(
        self, stage: Stage, late: Browser, is_first: bool
    ) -> None:
        cookies = [stage.owner.cookie, late.cookie]
        first, second = cookies if is_first else reversed(cookies)
        header = f"session={first}; session={second}"

        with stage.app.test_request_context(headers={"Cookie": header}):
            session.rotate()

            assert look() == "42"


class TestReplay:
    @pytest.fixture(params=["one step behind", "several steps behind"])
    def behind(self, request: pytest.FixtureRequest) -> int:
        return 1 if request.param.startswith("one") else 4

    def test_it_ends_the_session_for_both(
        self, stage: Stage, behind: int, alarms: Alarms
    ) -> None:
        thief = stage.owner.copy()
        for _ in range(behind):
            stage.rotate()
        stage.clock.advance(GRACE + 1)

        response = thief.visit(look)

        assert response.text == "None"
        assert not set_cookies(response)
        assert alarms.ids == [stage.owner.session_id]
        assert not stage.lives
        assert stage.owner.does(look) == "None"
        assert thief.does(look) == "None"
        assert len(alarms.infos) == 1

    def test_it_is_logged_once_with_the_id_and_without_a_token(
        self, stage: Stage, logs: pytest.LogCaptureFixture
    ) -> None:
        thief = stage.owner.copy()
        stage.rotate()
        stage.clock.advance(GRACE + 1)

        thief.does(look)

        [line] = [r for r in logs.records if r.levelno >= logging.WARNING]
        assert line.levelno == logging.WARNING
        assert stage.owner.session_id in line.getMessage()
        assert "outdated" in line.getMessage()
        for cookie in (thief.cookie, stage.owner.cookie):
            assert credential_in(stage.app, cookie).token not in logs.text

    def test_reject_only_refuses(
        self, make_app: MakeApp, clock: FakeClock, alarms: Alarms
    ) -> None:
        stage = make_stage(make_app(SRVSESSION_ON_REPLAY="reject"), clock)
        thief = stage.owner.copy()
        stage.rotate()
        clock.advance(GRACE + 1)

        assert thief.does(look) == "None"

        assert alarms.ids == [stage.owner.session_id]
        assert stage.owner.does(look) == "42"

    def test_a_callable_gets_the_session_and_decides(
        self, make_app: MakeApp, clock: FakeClock, alarms: Alarms
    ) -> None:
        asked: list[SessionInfo] = []
        stage = make_stage(make_app(SRVSESSION_ON_REPLAY=asked.append), clock)
        thief = stage.owner.copy()
        stage.rotate()
        clock.advance(GRACE + 1)

        assert thief.does(look) == "None"

        assert [info.id for info in asked] == [stage.owner.session_id]
        assert alarms.infos == asked
        assert stage.owner.does(look) == "42"

    def test_a_callable_that_fails_admits_nobody_and_silences_nothing(
        self, make_app: MakeApp, clock: FakeClock, alarms: Alarms
    ) -> None:
        def fail(info: SessionInfo) -> None:
            raise RuntimeError("the app's own mistake")

        def look_again() -> str:
            with pytest.raises(RuntimeError, match="own mistake"):
                look()
            return look()

        stage = make_stage(make_app(SRVSESSION_ON_REPLAY=fail), clock)
        thief = stage.owner.copy()
        stage.rotate()
        clock.advance(GRACE + 1)

        assert thief.does(look_again) == "None"

        assert alarms.ids == [stage.owner.session_id]
        assert stage.owner.does(look) == "42"

    def test_the_alarm_is_sent_when_the_session_has_ended(self, stage: Stage) -> None:
        thief = stage.owner.copy()
        stage.rotate()
        stage.clock.advance(GRACE + 1)
        lived: list[bool] = []

        def receive(app: Flask, info: SessionInfo) -> None:
            lived.append(stage.lives)

        with session_replayed.connected_to(receive, sender=stage.app):
            thief.does(look)

        assert lived == [False]

    def test_an_untouched_session_raises_no_alarm(
        self, stage: Stage, alarms: Alarms
    ) -> None:
        thief = stage.owner.copy()
        stage.rotate()
        stage.clock.advance(GRACE + 1)

        thief.visit(nothing)

        assert not alarms.infos
        assert stage.owner.does(look) == "42"

    def test_no_alarm_if_a_good_cookie_comes_with_it(
        self, stage: Stage, alarms: Alarms
    ) -> None:
        """A cookie for another path or domain may be left over."""
        outdated = stage.first
        stage.rotate()
        stage.clock.advance(GRACE + 1)
        header = f"session={outdated}; session={stage.owner.cookie}"

        with stage.app.test_request_context(headers={"Cookie": header}):
            assert look() == "42"

        assert not alarms.infos


class TestLate:
    def test_a_request_that_was_overtaken_is_anonymous_without_an_alarm(
        self, stage: Stage, alarms: Alarms, logs: pytest.LogCaptureFixture
    ) -> None:
        """It was opened in time, and looks at its session after two rotations."""
        slow = stage.owner.copy()

        def view() -> str:
            stage.rotate()
            stage.rotate()
            return look()

        response = slow.visit(view)

        assert response.text == "None"
        assert not set_cookies(response)
        assert not alarms.infos
        assert stage.owner.does(look) == "42"
        assert warnings_in(logs) == [
            f"session {stage.owner.session_id}: the credential is late"
        ]

    def test_its_changes_do_not_replace_the_cookie_of_the_living_session(
        self, stage: Stage
    ) -> None:
        """The jar that its response comes to has a good one."""
        slow = stage.owner.copy()

        def view() -> str:
            stage.rotate()
            stage.rotate()
            return write()

        assert not set_cookies(slow.visit(view))

    def test_a_slow_upload_is_served(self, stage: Stage, alarms: Alarms) -> None:
        slow = stage.owner.copy()

        def view() -> str:
            stage.rotate()
            stage.clock.advance(GRACE - 1)
            return write()

        assert slow.does(view) == "42"
        assert not alarms.infos


class TestAheadAndForged:
    def roll_back(self, stage: Stage, backend: Backend, cell: Cell) -> None:
        """Put an older copy of the record back, as a failover may."""
        key = stage.owner.key
        backend.delete(key)
        assert backend.add(key, cell.data, DAY) is not None

    def test_after_the_storage_lost_writes_nobody_is_called_a_thief(
        self,
        stage: Stage,
        backend: Backend,
        alarms: Alarms,
        logs: pytest.LogCaptureFixture,
    ) -> None:
        copy = backend.get(stage.owner.key)
        assert copy is not None
        stage.rotate()
        self.roll_back(stage, backend, copy)

        assert stage.owner.does(look) == "None"

        assert not alarms.infos
        assert backend.get(stage.owner.key).data == copy.data  # type: ignore[union-attr]
        assert warnings_in(logs) == [
            f"session {stage.owner.session_id}: the credential is ahead"
        ]

    def test_who_is_ahead_logs_in_again(
        self, stage: Stage, backend: Backend, alarms: Alarms
    ) -> None:
        copy = backend.get(stage.owner.key)
        assert copy is not None
        lost = stage.owner.session_id
        stage.rotate()
        stage.rotate()
        self.roll_back(stage, backend, copy)

        stage.owner.does(login)

        assert stage.owner.session_id != lost
        assert stage.owner.does(look) == "42"
        assert not alarms.infos

    def test_a_promotion_that_was_lost_is_made_again(
        self, stage: Stage, backend: Backend, alarms: Alarms
    ) -> None:
        stage.clock.advance(EVERY)
        stage.owner.does(look)
        copy = backend.get(stage.owner.key)
        assert copy is not None
        stage.owner.does(look)
        self.roll_back(stage, backend, copy)

        assert stage.owner.does(look) == "42"
        assert not alarms.infos

    @pytest.mark.parametrize("generation", [1, 2, 3, 4])
    @pytest.mark.parametrize("pending", [True, False])
    def test_a_forged_cookie_neither_gets_in_nor_ends_the_session(
        self,
        stage: Stage,
        backend: Backend,
        alarms: Alarms,
        logs: pytest.LogCaptureFixture,
        generation: int,
        pending: bool,
    ) -> None:
        """Somebody knows the SECRET_KEY and the id, which is public."""
        stage.rotate()
        stage.rotate()
        stage.clock.advance(EVERY if pending else GRACE + 1)
        stage.owner.does(look)
        before = backend.get(stage.owner.key)
        forged = Credential(stage.owner.session_id, generation, new_token())
        forger = Browser(stage.app).copy(signer_of(stage.app).dumps(forged))

        response = forger.visit(look)

        ahead = generation == 4 and not pending
        assert response.text == "None"
        assert not set_cookies(response)
        assert not alarms.infos
        assert backend.get(stage.owner.key) == before
        assert stage.owner.does(look) == "42"
        assert warnings_in(logs) == [
            f"session {stage.owner.session_id}: the credential is "
            + ("ahead" if ahead else "forged")
        ]
        assert forged.token not in logs.text


class TestRegenerate:
    def test_the_cookie_of_before_the_login_is_dead_at_once(
        self, make_app: MakeApp, alarms: Alarms
    ) -> None:
        browser = Browser(make_app())
        browser.does(lambda: f"{session.setdefault('cart', 1)}")
        before = browser.copy()

        browser.does(login)

        assert before.does(whole) == "[]"
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

        assert alarms.ids == [stage.owner.session_id]


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
            assert set_cookies(stage.owner.copy().visit(look))

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

        response = stage.owner.visit(look)

        assert response.status_code == 200
        assert response.text == "42"
        assert not set_cookies(response)


class TestLongLived:
    """Whoever opens the session again from the environ of a connection."""

    def open_from(self, stage: Stage, environ: dict[str, Any]) -> ServerSideSession:
        app = stage.app
        opened = app.session_interface.open_session(app, app.request_class(environ))
        assert isinstance(opened, ServerSideSession)
        return opened

    def environ(self, stage: Stage) -> dict[str, Any]:
        environ: dict[str, Any] = create_environ()
        return {**environ, "HTTP_COOKIE": f"session={stage.owner.cookie}"}

    def test_it_is_served_for_hours_on_its_first_cookie(
        self, stage: Stage, alarms: Alarms
    ) -> None:
        environ = self.environ(stage)
        assert self.open_from(stage, environ)["user_id"] == 42

        for _ in range(12):
            stage.rotate()
            stage.clock.advance(EVERY)
            opened = self.open_from(stage, environ)
            opened["count"] = opened.get("count", 0) + 1
            response = Response()
            stage.app.session_interface.save_session(stage.app, opened, response)
            assert "Set-Cookie" not in response.headers

        assert stage.owner.does(whole) == "[('count', 12), ('user_id', 42)]"
        assert not alarms.infos

    def test_it_ends_with_the_session(self, stage: Stage) -> None:
        environ = self.environ(stage)
        assert self.open_from(stage, environ)["user_id"] == 42

        stage.owner.does(lambda: f"{session.destroy()}")

        assert "user_id" not in self.open_from(stage, environ)

    def test_it_does_not_admit_another_connection(
        self, stage: Stage, alarms: Alarms
    ) -> None:
        environ = self.environ(stage)
        copy = self.environ(stage)
        assert self.open_from(stage, environ)["user_id"] == 42
        stage.rotate()
        stage.clock.advance(GRACE + 1)

        assert "user_id" not in self.open_from(stage, copy)

        assert len(alarms.infos) == 1

    def test_if_it_first_looks_after_hours_nobody_is_called_a_thief(
        self, stage: Stage, alarms: Alarms
    ) -> None:
        environ = self.environ(stage)
        self.open_from(stage, environ)
        for _ in range(4):
            stage.rotate()
        stage.clock.advance(GRACE + 1)

        self.open_from(stage, environ).get("user_id")

        assert not alarms.infos
        assert stage.owner.does(look) == "42"

    def test_an_outdated_cookie_raises_one_alarm_however_often_it_is_opened(
        self, make_app: MakeApp, clock: FakeClock, alarms: Alarms
    ) -> None:
        """What it means is decided once."""
        stage = make_stage(make_app(SRVSESSION_ON_REPLAY="reject"), clock)
        environ = self.environ(stage)
        stage.rotate()
        clock.advance(GRACE + 1)

        for _ in range(3):
            assert "user_id" not in self.open_from(stage, environ)

        assert len(alarms.infos) == 1

    def test_flask_socketio_is_served_for_hours_on_its_first_cookie(
        self, stage: Stage, alarms: Alarms
    ) -> None:
        """With ``manage_session=False``, the real package and its own client."""
        flask_socketio = pytest.importorskip("flask_socketio")
        socketio = flask_socketio.SocketIO(
            stage.app, manage_session=False, async_mode="threading"
        )

        def count() -> list[Any]:
            session["count"] = session.get("count", 0) + 1
            return [session.get("user_id"), session["count"]]

        socketio.on_event("connect", lambda: bool(session.get("user_id")))
        socketio.on_event("count", count)
        cookie = f"session={stage.owner.cookie}"
        client = socketio.test_client(stage.app, headers={"Cookie": cookie})
        assert client.is_connected()

        for number in range(1, 13):
            stage.rotate()
            stage.clock.advance(EVERY)
            assert client.emit("count", callback=True) == [42, number]

        assert stage.owner.does(whole) == "[('count', 12), ('user_id', 42)]"
        assert not alarms.infos
        stage.owner.does(lambda: f"{session.destroy()}")
        assert client.emit("count", callback=True) == [None, 1]


def warnings_in(logs: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in logs.records if r.levelno >= logging.WARNING]
