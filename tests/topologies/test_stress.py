"""What many processes do at once breaks no promise on several servers either."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.concurrency.test_stress import stress

if TYPE_CHECKING:
    from tests.redis_topologies import Cluster, Watched


def test_many_processes_break_no_promise(servers: Cluster | Watched) -> None:
    figures = stress(servers.url, "--operations", "8000", "--seconds", "3")

    assert figures["violations"] == 0, figures["examples"]
    assert figures["operations"] > 200
