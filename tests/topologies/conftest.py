"""Sessions in a Redis of several processes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from flask_srvsession.backends.base import Cell
from flask_srvsession.backends.redis import RedisBackend
from tests.integration.conftest import quick, watched
from tests.servers import patient

if TYPE_CHECKING:
    from tests.redis_topologies import Cluster, Watched

__all__ = ["quick", "watched"]

FORGETS_NODES = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""redis-py leaves the connections to what has left a cluster to the garbage collector:
tests in which that happens collect it themselves."""


@pytest.fixture(scope="session", params=["cluster", "sentinel"])
def servers(request: pytest.FixtureRequest) -> Cluster | Watched:
    """A cluster, then a primary that sentinels watch."""
    found: Cluster | Watched = request.getfixturevalue(f"redis_{request.param}")
    return found


@pytest.fixture(scope="session")
def backend(servers: Cluster | Watched) -> Iterator[RedisBackend]:
    """A backend with the client that we build for their URL."""
    backend = RedisBackend.from_url(patient(servers.url))
    yield backend
    backend.close()


@pytest.fixture
def stored(backend: RedisBackend) -> dict[str, Cell]:
    """Cells by their keys: so many that each server of a cluster has some."""
    keys = [uuid.uuid4().hex for _ in range(50)]
    return {key: Cell(b"data", backend.add(key, b"data", 60)) for key in keys}
