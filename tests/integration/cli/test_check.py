"""``flask sessions check``: its answer, and the storages that it finds sound."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Any

import pytest
from flask.sessions import SecureCookieSessionInterface
from flask_login import LoginManager

from flask_srvsession.backends import backend_from_url, health
from tests.servers import patient, running_redis

from ..apps import use_flask_login
from ..marks import ON_MEMORY
from .run import SAFE, flask, printed

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask

    from flask_srvsession.backends import Backend
    from tests.conftest import MakeApp
    from tests.servers import Server

pytestmark = pytest.mark.every_storage


class TestCheck:
    """What it makes of a configuration is in the unit tests of ``checks``."""

    @staticmethod
    def problems(app: Flask) -> dict[str, str]:
        findings = printed(app, "check")
        return {f["key"]: f["severity"] for f in findings if f["severity"] != "info"}

    def test_a_sound_app_ends_with_0(
        self, redis_server: Server, make_app: MakeApp
    ) -> None:
        backend: Any = backend_from_url(redis_server.url)
        app = make_app(backend, **SAFE)

        result = flask(app, "check")

        assert result.exit_code == 0, result.output
        backend.close()

    @ON_MEMORY
    def test_problems_end_with_1_and_say_what_to_do(self, make_app: MakeApp) -> None:
        app = make_app(SECRET_KEY="change-me", SESSION_COOKIE_NAME="__Host-x")

        result = flask(app, "check")

        assert result.exit_code == 1
        assert "error: SECRET_KEY\n" in result.stdout
        assert "-> Set SESSION_COOKIE_SECURE = True" in result.stdout
        assert "change-me" not in result.output
        assert self.problems(app) == {
            "SECRET_KEY": "error",
            "SESSION_COOKIE_NAME": "error",
            "SESSION_COOKIE_SECURE": "warning",
            "SRVSESSION_BACKEND": "warning",
        }

    @ON_MEMORY
    def test_what_is_ignored_does_not_count(self, make_app: MakeApp) -> None:
        result = flask(make_app(**SAFE), "check", "--ignore", "SRVSESSION_BACKEND")

        assert result.exit_code == 0

    @ON_MEMORY
    def test_an_app_without_a_secret_key_can_be_checked(
        self, make_app: MakeApp
    ) -> None:
        app = make_app(SECRET_KEY=None)

        assert self.problems(app)["SECRET_KEY"] == "error"
        assert flask(app, "list", "user_id=1").exit_code == 2

    @ON_MEMORY
    def test_the_remember_cookie_of_flask_login_is_named(
        self, make_app: MakeApp
    ) -> None:
        app = make_app(**SAFE)
        assert "REMEMBER_COOKIE_NAME" not in self.problems(app)

        use_flask_login(app)

        assert self.problems(app)["REMEMBER_COOKIE_NAME"] == "warning"
        assert isinstance(app.login_manager, LoginManager)  # type: ignore[attr-defined]

    def test_fenced_load_that_is_off_where_the_storage_evicts(
        self, make_app: MakeApp
    ) -> None:
        app = make_app(**SAFE, SRVSESSION_FENCED_LOAD=False)
        evicts = app.extensions["srvsession"].backend.evicts

        assert ("SRVSESSION_FENCED_LOAD" in self.problems(app)) is evicts

    @ON_MEMORY
    def test_a_redis_with_replicas_is_sound_and_a_replica_is_none(
        self, make_app: MakeApp, tmp_path: Path
    ) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        with running_redis(tmp_path / "a", "--repl-diskless-sync-delay", "0") as one:
            of = ["--replicaof", one.host, str(one.port)]
            with running_redis(tmp_path / "b", *of) as two:
                primary: Any = backend_from_url(patient(one.url))
                replica: Any = backend_from_url(patient(two.url))
                primary._client.set("written", "1")
                primary._client.wait(1, 5000)

                of_primary = self.problems(make_app(primary, **SAFE))
                of_replica = self.problems(make_app(replica, **SAFE))

                primary.close()
                replica.close()
        assert of_primary == {}
        assert of_replica == {"redis: role": "error"}

    @ON_MEMORY
    def test_a_client_that_repeats_commands_or_waits_for_ever(
        self, make_app: MakeApp, redis_server: Server
    ) -> None:
        import redis

        from flask_srvsession.backends.redis import RedisBackend

        host, port = redis_server.host, redis_server.port
        client = redis.Redis(host, port, socket_timeout=None)
        backend = RedisBackend(client)

        problems = self.problems(make_app(backend, **SAFE))

        backend.close()
        assert problems == {
            "redis client: retry": "warning",
            "redis client: socket_timeout": "warning",
        }

    @ON_MEMORY
    @pytest.mark.parametrize(
        "config",
        [
            {"PERMANENT_SESSION_LIFETIME": "3600"},
            {"PERMANENT_SESSION_LIFETIME": None},
            {"SESSION_COOKIE_SAMESITE": "bogus"},
            {"SESSION_COOKIE_SECURE": "False"},
            {"SESSION_COOKIE_NAME": None, "SESSION_COOKIE_PATH": 5},
            {"SECRET_KEY": 5, "SECRET_KEY_FALLBACKS": "hunter2"},
        ],
        ids=str,
    )
    def test_keys_of_flasks_that_cannot_work_are_errors_and_no_traceback(
        self, make_app: MakeApp, config: dict[str, Any]
    ) -> None:
        app = make_app(**SAFE)
        app.config.update(config)

        result = flask(app, "check", "--ignore", "SRVSESSION_BACKEND")
        found = self.problems(app)

        assert result.exit_code == 1
        assert "hunter2" not in result.output
        assert {key: found[key] for key in config} == dict.fromkeys(config, "error")

    @ON_MEMORY
    def test_the_key_that_flask_signs_with_is_judged(self, make_app: MakeApp) -> None:
        app = make_app(**SAFE)
        kind = type("Shop", (type(app),), {"secret_key": "dev"})
        app.__class__ = kind

        assert self.problems(app)["SECRET_KEY"] == "error"

    @ON_MEMORY
    def test_another_session_interface_is_an_error(self, make_app: MakeApp) -> None:
        app = make_app(**SAFE)
        app.session_interface = SecureCookieSessionInterface()

        assert self.problems(app)["session_interface"] == "error"

    @pytest.mark.parametrize(("seconds", "finds"), [(0, False), (5, True), (-5, True)])
    def test_a_clock_that_is_not_the_storages_is_found(
        self,
        make_app: MakeApp,
        backend: Backend,
        monkeypatch: pytest.MonkeyPatch,
        seconds: int,
        finds: bool,
    ) -> None:
        asks = type(backend).__name__ != "MemoryBackend" and not is_sqlite(backend)
        flask(app := make_app(**SAFE), "create-tables")

        class Wrong:
            @staticmethod
            def time() -> float:
                return time.time() + seconds

        for module in CLOCKS:
            monkeypatch.setattr(module, "time", Wrong)

        assert ("clocks" in self.problems(app)) is (finds and asks)


CLOCKS = (
    health,
    importlib.import_module("flask_srvsession.backends.redis.health"),
    importlib.import_module("flask_srvsession.backends.memcached.health"),
    importlib.import_module("flask_srvsession.backends.sql.health"),
)


def is_sqlite(backend: Any) -> bool:
    return hasattr(backend, "_database") and backend._database._is_sqlite
