"""Redis keeps the contract on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flask_srvsession.backends.redis import RedisBackend
from flask_srvsession.testing import BackendContract

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Server


class TestRedis(BackendContract):
    @pytest.fixture
    def backend(self, redis_server: Server) -> Iterator[RedisBackend]:
        backend = RedisBackend.from_url(redis_server.url)
        yield backend
        backend.close()
