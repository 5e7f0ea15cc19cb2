"""Redis keeps the contract: one server, a cluster, and one that sentinels watch."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from flask_srvsession.backends.base import EPOCH_ALONE
from flask_srvsession.backends.redis import RedisBackend
from flask_srvsession.testing import BackendContract
from tests.servers import running_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.redis_topologies import Cluster, Watched
    from tests.servers import Server


MINUTE = 60


class TestRedis(BackendContract):
    @pytest.fixture
    def backend(self, redis_server: Server) -> Iterator[RedisBackend]:
        backend = RedisBackend.from_url(redis_server.url)
        yield backend
        backend.close()

    def test_an_epoch_lives_as_long_as_who_was_listed_under_it(
        self, backend: RedisBackend, name: str
    ) -> None:
        sixty_days = 60 * 24 * 60 * 60

        backend.index.add(name, "one", backend.index.epoch(name), sixty_days)
        after_add = backend._client.ttl(name)
        backend.index.add(name, "two", backend.index.epoch(name), MINUTE)
        backend.index.fence(name)
        after_fence = backend._client.ttl(name)

        assert after_add > sixty_days - MINUTE
        assert after_fence > sixty_days - MINUTE

    def test_an_epoch_that_nobody_binds_to_lives_for_minutes(
        self, backend: RedisBackend, name: str
    ) -> None:
        epoch = backend.index.epoch(name)
        begun = backend._client.ttl(name)
        backend._client.expire(name, MINUTE)
        backend.index.add(name, "one", epoch, 2 * MINUTE)
        added = backend._client.ttl(name)
        backend.index.fence(name)
        fenced = backend._client.ttl(name)
        backend._client.expire(name, MINUTE)
        assert backend.index.epoch(name) != epoch
        asked = backend._client.ttl(name)

        assert MINUTE < added <= 2 * MINUTE
        assert EPOCH_ALONE == 15 * MINUTE
        for ttl in (begun, fenced, asked):
            assert EPOCH_ALONE - MINUTE < ttl <= EPOCH_ALONE


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if shutil.which("valkey-server") is None:
        pytest.skip("valkey-server is not installed")
    directory = tmp_path_factory.mktemp("valkey")
    with running_redis(directory, program="valkey-server") as server:
        yield server


class TestValkey(BackendContract):
    @pytest.fixture
    def backend(self, valkey: Server) -> Iterator[RedisBackend]:
        backend = RedisBackend.from_url(f"valkey://{valkey.host}:{valkey.port}")
        yield backend
        backend.close()


class TestRedisCluster(BackendContract):
    @pytest.fixture
    def backend(self, redis_cluster: Cluster) -> Iterator[RedisBackend]:
        backend = RedisBackend.from_url(redis_cluster.url)
        yield backend
        backend.close()


class TestRedisClusterThatIsPassed(BackendContract):
    @pytest.fixture
    def backend(self, redis_cluster: Cluster) -> Iterator[RedisBackend]:
        node = redis_cluster.members[0]
        retry = Retry(NoBackoff(), 0)
        backend = RedisBackend(RedisCluster(node.host, node.port, retry=retry))
        yield backend
        backend.close()


class TestRedisBehindSentinel(BackendContract):
    @pytest.fixture
    def backend(self, redis_sentinel: Watched) -> Iterator[RedisBackend]:
        backend = RedisBackend.from_url(redis_sentinel.url)
        yield backend
        backend.close()
