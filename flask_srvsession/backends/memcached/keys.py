"""The keys that a memcached server has, which its clients do not ask for."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from urllib.parse import unquote

_ATTEMPTS = 20
_PAUSE = 0.1


def of(address: tuple[str, int], timeout: float) -> Iterator[str]:
    """Yield the keys of the server, by ``lru_crawler metadump`` (since 1.4.31).

    An old server that does not know ``hash`` leaves out items that are being read.

    Raises NotImplementedError where the server does not tell them, and OSError where it
    cannot now.
    """
    way = b"hash"
    for _ in range(_ATTEMPTS):
        with socket.create_connection(address, timeout) as connection:
            connection.sendall(b"lru_crawler metadump %b\r\n" % way)
            answer = connection.makefile("rb")
            line = answer.readline()
            if line.startswith(b"BADCLASS"):
                way = b"all"
            elif not line.startswith(b"BUSY"):
                yield from _told(line, answer)
                return
        time.sleep(_PAUSE)  # one dump at a time
    raise TimeoutError("somebody else lists the keys of memcached")


def _told(line: bytes, rest: Iterator[bytes]) -> Iterator[str]:
    if line.startswith((b"ERROR", b"CLIENT_ERROR")):
        raise NotImplementedError("this memcached does not list its keys")
    while line.startswith(b"key="):
        yield unquote(line.split(b" ", 1)[0][len("key=") :].decode("ascii", "replace"))
        line = next(rest, b"")
    if line != b"END\r\n":
        raise ConnectionResetError("memcached has not listed all keys")
