"""Redis keeps the contract under fakeredis too, which runs the Lua scripts itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fakeredis
import pytest

from flask_srvsession.backends.redis import RedisBackend
from flask_srvsession.testing import BackendContract

if TYPE_CHECKING:
    from collections.abc import Iterator


class TestFakeRedis(BackendContract):
    @pytest.fixture
    def backend(self) -> Iterator[RedisBackend]:
        backend = RedisBackend(fakeredis.FakeRedis())
        yield backend
        backend.close()
