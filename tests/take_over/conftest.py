"""Fixtures for what is taken over."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_srvsession import ServerSession
from flask_srvsession.backends import Backend
from flask_srvsession.testing import FakeClock

from .former import KINDS, SECRET, FormerApp, former_app

TakingApp = Callable[..., Flask]


@pytest.fixture(params=KINDS)
def former(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FormerApp]:
    """An app of each kind that sessions are taken over from."""
    app = former_app(request.param, request, tmp_path)
    yield app
    app.close()


@pytest.fixture
def clock() -> FakeClock:
    """The present, which real cookies carry as well; it can be moved on."""
    return FakeClock(time.time())


@pytest.fixture
def taking_app(backend: Backend, clock: FakeClock) -> TakingApp:
    """Make an app that takes sessions over from the given sources."""

    def make(*sources: Any, backend: Backend = backend, **config: Any) -> Flask:
        app = Flask("after")
        app.config.update(
            TESTING=True,
            SECRET_KEY=SECRET,
            SRVSESSION_KEY_PREFIX=f"{uuid.uuid4().hex}:",
        )
        app.config.update(config)
        ServerSession().init_app(app, backend, take_over=sources, clock=clock)
        return app

    return make
