"""``SRVSESSION_SWEEP_EVERY``: one of the processes sweeps; no request notices."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from flask import Flask

from flask_srvsession import (
    BackendError,
    ServerSession,
    sweeper,
)
from flask_srvsession.backends.guarded import Guarded
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.backends.sql import SQLBackend
from flask_srvsession.sweeper import THREAD_NAME, Sweeper, sweep_if_due
from tests.sql_servers import executed
from tests.web import Browser

from ..marks import ON_MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp


HOUR = 3600


PATIENCE = 10.0


REMOVED = "expired records were removed"


PROGRAM = """
import sys
from flask import Flask
from flask_srvsession import ServerSession

app = Flask("testapp")
app.config["SECRET_KEY"] = "a secret key that is only used by these tests"
app.config["SRVSESSION_BACKEND"] = sys.argv[1]
app.config["SRVSESSION_SWEEP_EVERY"] = 3600
ServerSession(app)
app.add_url_rule("/", view_func=lambda: "")
print(app.test_client().get("/").status_code)
"""


class Swept(MemoryBackend):
    """Counts the sweeps; fails some."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.sweeps = 0
        self.failures: list[Exception] = []

    def sweep(self) -> int:
        self.sweeps += 1
        if self.failures:
            raise self.failures.pop()
        return super().sweep()


@pytest.fixture
def swept(clock: FakeClock) -> Swept:
    return Swept(clock)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits up to a minute for the first look."""
    monkeypatch.setattr(sweeper, "SOON", 0.01)


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == THREAD_NAME}


def until(condition: Callable[[], Any]) -> bool:
    """Wait for a condition; return whether it came true."""
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


@pytest.mark.parametrize("backend", ["sqlite", "postgres", "mariadb"], indirect=True)
def test_what_has_expired_is_removed_while_the_app_serves(
    backend: Any, make_app: MakeApp, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="flask_srvsession")
    key = uuid.uuid4().hex
    backend.add(key, b"x", 1)
    clock.advance(HOUR)

    Browser(make_app(SRVSESSION_SWEEP_EVERY=HOUR)).do(lambda: "untouched")

    assert until(lambda: REMOVED in caplog.text)
    cells = backend._tables.cells
    assert executed(backend, sa.select(cells).where(cells.c.id == key)).all() == []


def test_nothing_is_swept_unless_it_is_wanted(swept: Swept, make_app: MakeApp) -> None:
    before = threads()

    Browser(make_app(swept)).set(a=1)

    assert threads() <= before


@ON_MEMORY
def test_a_thread_begins_with_the_first_request_and_is_the_only_one(
    swept: Swept, make_app: MakeApp
) -> None:
    before = threads()
    app = make_app(swept, SRVSESSION_SWEEP_EVERY=HOUR)
    app.test_cli_runner().invoke(args=["sessions", "check"])
    made = threads() - before

    browser = Browser(app)
    for _ in range(3):
        browser.do(lambda: "untouched")

    assert made == set()
    assert len(threads() - before) == 1


def test_one_of_many_sweeps_and_another_one_when_it_is_time_again(
    swept: Swept, clock: FakeClock
) -> None:
    workers = [Guarded(swept) for _ in range(3)]

    counts = []
    for _ in range(3):
        for worker in workers:
            sweep_if_due(worker, "app:sweep", HOUR)
        counts.append(swept.sweeps)
        clock.advance(HOUR)

    assert counts == [1, 2, 3]


@ON_MEMORY
@pytest.mark.parametrize("failure", [OSError("down"), ZeroDivisionError("a bug")])
def test_a_failure_is_logged_and_tried_again_and_no_request_notices(
    swept: Swept,
    make_app: MakeApp,
    clock: FakeClock,
    failure: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="flask_srvsession")
    swept.errors = (OSError,)
    swept.failures = [failure]
    browser = Browser(make_app(swept, SRVSESSION_SWEEP_EVERY=1))

    browser.set(a=1)
    failed = until(lambda: "ERROR" in caplog.text)
    clock.advance(2)

    assert failed
    assert until(lambda: REMOVED in caplog.text)
    assert browser.values() == {"a": 1}


def test_a_sweep_that_fails_says_so_to_who_calls_it(swept: Swept) -> None:
    swept.errors = (OSError,)
    swept.failures = [OSError("down")]

    with pytest.raises(BackendError):
        sweep_if_due(Guarded(swept), "app:sweep", HOUR)


def test_the_thread_ends_with_its_app(swept: Swept) -> None:
    before = threads()
    mine = Sweeper(swept, "app:sweep", HOUR)
    mine.begin()
    [thread] = threads() - before

    del mine
    gc.collect()
    thread.join(PATIENCE)

    assert not thread.is_alive()


def test_a_worker_that_was_forked_has_a_thread_of_its_own(swept: Swept) -> None:
    mine = Sweeper(swept, "app:sweep", HOUR)
    mine.begin()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        forked = len(threads())
        mine.begin()
        os._exit(0 if (forked, len(threads())) == (0, 1) else 1)

    _, status = os.waitpid(child, 0)

    assert status == 0


def test_a_process_with_it_ends_at_once_and_silently(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, f"sqlite:///{tmp_path}/sessions.db"]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}

    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n", "")


def test_a_thread_that_cannot_start_fails_no_request_and_is_tried_again(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    sweeper = Sweeper(Swept(clock), "claim", HOUR)
    before = threading.active_count()

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        sweeper.begin()
    assert "nobody sweeps in this process" in caplog.text

    sweeper.begin()
    assert threading.active_count() == before + 1


def app_with(**config: object) -> Flask:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="a long random text", TESTING=True, **config)
    return app


def test_a_sweep_that_does_not_reach_the_storage_is_a_backend_error() -> None:
    app = app_with()
    sessions = ServerSession(app, SQLBackend("sqlite:////nonexistent/sessions.db"))

    with app.app_context(), pytest.raises(BackendError) as raised:
        sessions.sweep()

    assert raised.value.operation == "sweep"
