"""Replicas of a Redis, for tests of what they have and have not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import redis

from tests.servers import Server, running_redis

_PATIENCE = 10.0
AT_ONCE = ["--repl-diskless-sync-delay", "0"]
"""For a primary: replicas do not have to wait for each other."""


@contextmanager
def running_replica(primary: Server, directory: Path) -> Iterator[Server]:
    """Run a replica that has all that `primary` has."""
    options = ["--replicaof", primary.host, str(primary.port)]
    with running_redis(directory, *options) as server:
        replicate(primary)
        yield server


def replicate(primary: Server) -> None:
    """Return when a replica has all that `primary` has now."""
    deadline = time.monotonic() + _PATIENCE
    with closing(redis.Redis(port=primary.port)) as client:
        while not (client.set("replicated", "") and client.wait(1, 100)):
            assert time.monotonic() < deadline, "the replica does not catch up"


def promote(replica: Server, primary: Server) -> None:
    """Let the replica go its own way, with all that `primary` had until now."""
    replicate(primary)
    with closing(redis.Redis(port=replica.port)) as client:
        client.replicaof("NO", "ONE")
