"""Sessions in a Redis of several processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from flask_srvsession.backends.redis import RedisBackend

if TYPE_CHECKING:
    from tests.redis_topologies import Cluster, Watched


@pytest.fixture(scope="session", params=["cluster", "sentinel"])
def servers(request: pytest.FixtureRequest) -> Cluster | Watched:
    """A cluster, then a primary that sentinels watch."""
    found: Cluster | Watched = request.getfixturevalue(f"redis_{request.param}")
    return found


@pytest.fixture(scope="session")
def backend(servers: Cluster | Watched) -> Iterator[RedisBackend]:
    """A backend with the client that we build for their URL."""
    backend = RedisBackend.from_url(servers.url)
    yield backend
    backend.close()
