"""The example app as a real server with a real Redis, and browsers to visit it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from example_app import auth
from flask_srvsession.testing import FakeClock
from tests.example.conftest import app, database, shop
from tests.servers import Server

from .chromium import Chromium, running_chromium

__all__ = ["app", "database", "shop"]


@pytest.fixture
def clock() -> FakeClock:
    """The present, which is what the browser's own cookies live by."""
    return FakeClock(time.time())


@pytest.fixture
def backend_url(
    redis_server: Server, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The real Redis; the sessions live by the clock of the test."""
    on_this_clock = partial(auth.sessions.init_app, clock=clock)
    monkeypatch.setattr(auth.sessions, "init_app", on_this_clock)
    return redis_server.url


@pytest.fixture(scope="session")
def first_chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with running_chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture(scope="session")
def second_chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with running_chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def browser(first_chromium: Chrome, shop: str) -> Chromium:
    """A browser that has not been here before."""
    return Chromium(first_chromium, shop)


@pytest.fixture
def other(second_chromium: Chrome, shop: str) -> Chromium:
    """Another browser, of the same person."""
    return Chromium(second_chromium, shop)


@pytest.fixture
def without_javascript(tmp_path: Path, shop: str) -> Iterator[Chromium]:
    """A browser that runs no script of any page."""
    with running_chromium(tmp_path / "profile", javascript=False) as driver:
        yield Chromium(driver, shop)
