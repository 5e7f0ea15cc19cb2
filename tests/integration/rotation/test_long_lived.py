"""Connections that live longer than the cookie that they began with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Response
from werkzeug.test import create_environ

from flask_srvsession import (
    ServerSideSession,
    session,
)
from flask_srvsession.testing import FakeClock

from .stage import EVERY, GRACE, Alarms, Stage, look, make_stage, whole

if TYPE_CHECKING:
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage


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
