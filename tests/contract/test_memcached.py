"""memcached keeps the contract on a real server, and spread over three."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from flask_srvsession.backends.memcached import MemcachedBackend
from flask_srvsession.testing import BackendContract
from tests.servers import running_memcached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Server


@pytest.fixture(scope="module")
def three_servers() -> Iterator[list[Server]]:
    with ExitStack() as stack:
        yield [stack.enter_context(running_memcached()) for _ in range(3)]


class TestMemcached(BackendContract):
    shortest_ttl = 2  # it counts the seconds of its own clock

    @pytest.fixture
    def backend(self, memcached_server: Server) -> Iterator[MemcachedBackend]:
        backend = MemcachedBackend.from_url(memcached_server.url)
        yield backend
        backend.close()


class TestThreeMemcached(TestMemcached):
    @pytest.fixture
    def backend(self, three_servers: list[Server]) -> Iterator[MemcachedBackend]:
        backend = MemcachedBackend([(s.host, s.port) for s in three_servers])
        yield backend
        backend.close()
