"""A command ends by its deadline, however many servers it has to wait for.

redis-py limits each wait by itself. But before a command is answered, sentinels may
be asked for the primary, or nodes of a cluster for who has a slot now; where several
of them hang, a request would wait for one after the other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import redis
from redis.connection import AbstractConnection
from redis.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

TIMEOUT = 1.0
"""Seconds that a command may take where nothing else is said."""

_SHARE = 0.75
"""The share of the time left that one wait may take: others can still be asked."""

ends: ContextVar[float] = ContextVar("flask_srvsession.redis_deadline")
"""When the command must have ended, if a deadline runs, by ``time.monotonic``."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Let all waits of the block end within `seconds`; an earlier end goes first."""
    version = ends.set(min(ends.get(math.inf), time.monotonic() + seconds))
    try:
        yield
    finally:
        ends.reset(version)


def left() -> float:
    """Return how many seconds are left; raise redis-py's TimeoutError if none are."""
    seconds = ends.get(math.inf) - time.monotonic()
    if seconds <= 0:
        raise redis.TimeoutError("The time for this command is over")
    return seconds


class _Punctual(AbstractConnection):
    """A connection that waits less and less while a deadline comes closer.

    It does not tell the server its name and version, nor ask for notifications of
    maintenance: that would be two or three more answers to wait for.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.driver_info = self.lib_name = self.lib_version = None
        self.maint_notifications_config = None
        self._longest = (self.socket_connect_timeout, self.socket_timeout)

    def _connect(self) -> Any:
        to_connect, to_answer = self._longest
        self.socket_connect_timeout = _at_most(to_connect)
        self.socket_timeout = _at_most(to_answer)
        return super()._connect()  # type: ignore[safe-super]  # mixed in before one

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if self._sock:
            self._sock.settimeout(_at_most(self._longest[1]))
        super().send_packed_command(command, check_health)


class PunctualConnection(_Punctual, redis.Connection):
    """To a server, in clear text."""


class _Encrypted(_Punctual):
    """Reads one reply when it has connected: before that comes the session ticket of
    TLS 1.3 (RFC 8446, section 4.6.1), which a pool would take for a forgotten reply."""

    def on_connect_check_health(self, check_health: bool = True) -> None:
        super().on_connect_check_health(check_health)
        with suppress(redis.ResponseError):  # PING may be forbidden
            self.send_command("PING", check_health=False)
            self.read_response()


class PunctualSSLConnection(_Encrypted, redis.SSLConnection):
    """To a server, by TLS."""


class PunctualUnixConnection(_Punctual, redis.UnixDomainSocketConnection):
    """To a server on this computer, by a socket in the file system."""


class PunctualSentinelConnection(_Punctual, SentinelManagedConnection):
    """To the primary that the sentinels name, in clear text."""


class PunctualSentinelSSLConnection(_Encrypted, SentinelManagedSSLConnection):
    """To the primary that the sentinels name, by TLS."""


def _at_most(seconds: float | None) -> float:
    return min(math.inf if seconds is None else seconds, left() * _SHARE)
