"""Fixtures for all tests."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, settings

from flask_srvsession import ServerSession
from flask_srvsession.backends import Backend, backend_from_url
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.backends.sql import SQLBackend
from flask_srvsession.testing import FakeClock

from .redis_topologies import redis_cluster, redis_sentinel
from .servers import (
    PATIENCE,
    memcached_server,
    own_memcached,
    own_redis,
    patient,
    pytest_report_header,
    redis_server,
)
from .sql_servers import mariadb_server, postgres_server, sqlite_server

__all__ = [
    "mariadb_server",
    "memcached_server",
    "own_memcached",
    "own_redis",
    "postgres_server",
    "pytest_report_header",
    "redis_cluster",
    "redis_sentinel",
    "redis_server",
    "sqlite_server",
]

settings.register_profile(  # on a busy computer, too
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

MakeApp = Callable[..., Flask]


@pytest.fixture
def clock() -> FakeClock:
    """The time that the sessions of this test live by."""
    return FakeClock()


LONG_FOLDERS = tuple(
    f"tests/{name}/" for name in ("topologies", "browser", "concurrency", "faults")
)
LONG = os.environ.get("SRVSESSION_TEST_LONG") == "1"
STORAGES = ["memory", "redis", "memcached", "sqlite", "postgres", "mariadb"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "every_storage(*cases): run on each storage, not in memory only; the cases"
        " whose ids have none of these words, if there are any, in memory only",
    )


@pytest.hookimpl(tryfirst=True)
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: tests wait for servers a third of their time."""
    return (os.cpu_count() or 1) + 1


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that is marked ``every_storage`` each of them, if it names none.

    A test with `servers` has a `backend` of its own directory, on these.
    """
    test, fixtures = metafunc.definition, metafunc.fixturenames
    named = [mark.args[0] for mark in test.iter_markers("parametrize")]
    if "backend" not in fixtures or "servers" in fixtures or "backend" in named:
        return
    if test.get_closest_marker("every_storage"):
        test.add_marker(pytest.mark.parametrize("backend", STORAGES, indirect=True))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if _is_wanted(item)]
    # No worker is to begin a long file when the others have nothing left to do.
    items.sort(key=lambda item: not item.nodeid.startswith(LONG_FOLDERS))


def _is_wanted(item: Any) -> bool:
    """Whether the storage of a test may have something to do with its outcome."""
    mark = item.get_closest_marker("every_storage")
    if mark is None or not mark.args or LONG:
        return True
    in_memory = item.callspec.params.get("backend") == "memory"
    return in_memory or any(words in item.callspec.id for words in mark.args)


@pytest.fixture(scope="session")
def connected() -> Iterator[dict[str, Any]]:
    """A backend of each storage: to connect takes longer than most tests."""
    backends: dict[str, Any] = {}
    yield backends
    for each in backends.values():
        each.close()


@pytest.fixture
def backend(
    request: pytest.FixtureRequest, clock: FakeClock, connected: dict[str, Any]
) -> Backend:
    """The memory, or the storage that the test is parametrized with: a real server."""
    storage = getattr(request, "param", "memory")
    if storage == "memory":
        return MemoryBackend(clock=clock)
    server = request.getfixturevalue(f"{storage}_server")
    if storage not in connected:
        connected[storage] = (
            backend_from_url(patient(server.url))
            if storage in ("redis", "memcached")
            else SQLBackend(server.url, timeout=PATIENCE)
        )
    chosen = connected[storage]
    if isinstance(chosen, SQLBackend):
        chosen._clock = chosen.index._clock = clock
    return chosen  # type: ignore[no-any-return]


@pytest.fixture
def make_app(backend: Backend, clock: FakeClock) -> MakeApp:
    """Make an app whose sessions are in `backend`, under a prefix of its own."""

    def make(backend: Backend = backend, **config: Any) -> Flask:
        app = Flask("testapp")
        app.config.update(
            TESTING=True,
            SECRET_KEY="a secret key that is only used by these tests",
            SRVSESSION_KEY_PREFIX=f"{uuid.uuid4().hex}:",
        )
        app.config.update(config)
        ServerSession().init_app(app, backend, clock=clock)
        return app

    return make
