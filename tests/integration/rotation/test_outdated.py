"""Whoever uses an outdated cookie is noticed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from flask import Flask
from flask_login import LoginManager, UserMixin, login_user

from flask_srvsession import (
    SessionInfo,
    StaleCredential,
    session,
    session_replayed,
)
from flask_srvsession.backends import Backend
from flask_srvsession.backends.base import Cell
from flask_srvsession.ids import Credential, new_token
from flask_srvsession.store.record import DUE
from flask_srvsession.testing import FakeClock
from tests.web import Browser, nothing

from ..probes import login, set_cookies
from .stage import (
    DAY,
    EVERY,
    GRACE,
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


LOGGER = "flask_srvsession"


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger=LOGGER)
    return caplog


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
            response = late.do(do)
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

        for method in ("GET", "POST"):
            response = late.do(look, environ_overrides={"REQUEST_METHOD": method})
            assert response.text == "42"
        assert not alarms.infos

    def test_no_successor_is_handed_out_meanwhile(
        self, stage: Stage, late: Browser
    ) -> None:
        stage.owner.does(switch_permanent)
        stage.clock.advance(GRACE - 1)

        assert not set_cookies(stage.owner.do(look))

        stage.clock.advance(2)
        assert set_cookies(stage.owner.do(look))

    def test_rotate_is_refused(self, stage: Stage, late: Browser) -> None:
        def rotate() -> str:
            with pytest.raises(StaleCredential):
                session.rotate()
            return look()

        response = late.do(rotate)

        assert response.text == "42"
        assert not set_cookies(response)
        assert stage.owner.does(look) == "42"

    def test_permanent_is_ignored(self, stage: Stage, late: Browser) -> None:
        response = late.do(switch_permanent)

        assert not set_cookies(response)
        assert not stage.record().permanent
        assert not stage.record().flags & DUE

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
        assert not late.has_cookie

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

        response = thief.do(look)

        assert response.text == "None"
        assert not set_cookies(response)
        assert alarms.ids == [stage.owner.id]
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
        assert stage.owner.id in line.getMessage()
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

        assert alarms.ids == [stage.owner.id]
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

        assert [info.id for info in asked] == [stage.owner.id]
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

        assert alarms.ids == [stage.owner.id]
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

        thief.do(nothing)

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

        response = slow.do(view)

        assert response.text == "None"
        assert not set_cookies(response)
        assert not alarms.infos
        assert stage.owner.does(look) == "42"
        assert warnings_in(logs) == [
            f"session {stage.owner.id}: the credential is late"
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

        assert not set_cookies(slow.do(view))

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
            f"session {stage.owner.id}: the credential is ahead"
        ]

    def test_who_is_ahead_logs_in_again(
        self, stage: Stage, backend: Backend, alarms: Alarms
    ) -> None:
        copy = backend.get(stage.owner.key)
        assert copy is not None
        lost = stage.owner.id
        stage.rotate()
        stage.rotate()
        self.roll_back(stage, backend, copy)

        stage.owner.does(login)

        assert stage.owner.id != lost
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

    @pytest.mark.every_storage("True-2", "False-4")
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
        forged = Credential(stage.owner.id, generation, new_token())
        forger = Browser(stage.app, signer_of(stage.app).dumps(forged))

        response = forger.do(look)

        ahead = generation == 4 and not pending
        assert response.text == "None"
        assert not set_cookies(response)
        assert not alarms.infos
        assert backend.get(stage.owner.key) == before
        assert stage.owner.does(look) == "42"
        assert warnings_in(logs) == [
            f"session {stage.owner.id}: the credential is "
            + ("ahead" if ahead else "forged")
        ]
        assert forged.token not in logs.text


def warnings_in(logs: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in logs.records if r.levelno >= logging.WARNING]
