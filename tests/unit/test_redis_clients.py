"""The clients that we build for Redis, without a Redis."""

from __future__ import annotations

import subprocess
import sys

PATIENCE = 20
FORKED_WHILE_MAKING = """
import os, threading
from flask_srvsession.backends.redis.clients import LazyCluster

parent, making = os.getpid(), threading.Event()

def make():
    if os.getpid() == parent:
        making.set()
        threading.Event().wait()
    return {"key": b"data"}

client = LazyCluster(make, timeout=0.2)
threading.Thread(target=lambda: client.get("key"), daemon=True).start()
making.wait()
if child := os.fork():
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status))
assert client.get("key") == b"data"
"""


def test_a_process_forked_amid_the_making_of_a_client_makes_its_own() -> None:
    """A server that loads the app before it forks may have a thread that asks."""
    command = [sys.executable, "-c", FORKED_WHILE_MAKING]

    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False
    )

    assert ended.returncode == 0, ended.stderr
