"""memcached keeps the contract on a real server, and spread over three."""

from __future__ import annotations

import os
import socketserver
import threading
import uuid
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from flask_srvsession.backends.memcached import ItemTooLarge, MemcachedBackend
from flask_srvsession.backends.memcached.keys import of as keys_of
from flask_srvsession.testing import BackendContract
from tests.servers import HOST, running_memcached

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


def test_keys_that_are_being_read_are_listed(memcached_server: Server) -> None:
    """memcached leaves them out where it lists by its queues."""
    backend = MemcachedBackend.from_url(memcached_server.url)
    keys = [f"{uuid.uuid4().hex}:{n}" for n in range(5)]
    for key in keys:
        backend.add(key, b"x", 60)
    over = threading.Event()

    def use() -> None:
        own = MemcachedBackend.from_url(memcached_server.url)
        while not over.is_set():
            own.get_many(keys)
        own.close()

    readers = [threading.Thread(target=use) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        listed = [{*backend.keys("")} for _ in range(100)]
    finally:
        over.set()
        for reader in readers:
            reader.join()
    backend.close()

    assert all(found.issuperset(keys) for found in listed)


def test_an_old_server_lists_its_keys_the_old_way() -> None:
    asked = []

    class Old(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().split()[-1])
            known = asked[-1] == b"all"
            told = b"key=a%3Ab exp=1\r\nEND\r\n" if known else b"BADCLASS no\r\n"
            self.wfile.write(told)

    with socketserver.TCPServer((HOST, 0), Old) as server:
        answering = threading.Thread(target=server.serve_forever)
        answering.start()
        try:
            found = [*keys_of((HOST, server.server_address[1]), 10)]
        finally:
            server.shutdown()
            answering.join()

    assert found == ["a:b"]
    assert asked == [b"hash", b"all"]


def test_a_child_of_a_fork_has_connections_of_its_own(memcached_server: Server) -> None:
    backend = MemcachedBackend.from_url(memcached_server.url)
    for key in ("parent", "child"):
        backend.delete(key)
        backend.add(key, key.encode(), 60)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    own = "parent" if child else "child"
    right = all(reads(backend, own) for _ in range(200))
    if not child:
        os._exit(0 if right else 1)
    _, status = os.waitpid(child, 0)
    backend.close()

    assert right
    assert status == 0


def reads(backend: MemcachedBackend, key: str) -> bool:
    """Return whether a get returns what is there, and not another one's reply."""
    try:
        cell = backend.get(key)
    except Exception:
        return False
    return cell is not None and cell.data == key.encode()


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_an_item_may_have_just_max_bytes(
    memcached_server: Server, more: int, fits: bool
) -> None:
    backend = MemcachedBackend.from_url(memcached_server.url)
    assert backend.max_bytes is not None
    data = b"x" * (backend.max_bytes + more)

    if fits:
        assert backend.add("just-so-long", data, 60) is not None
        cell = backend.get("just-so-long")
        assert cell
        assert cell.data == data
    else:
        with pytest.raises(ItemTooLarge):
            backend.add("too-long", data, 60)
    backend.close()
