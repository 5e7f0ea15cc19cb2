"""A Redis client that does little around each command."""

from __future__ import annotations

import math
import os
from contextlib import nullcontext, suppress
from typing import Any, cast

import redis

from .redis_deadline import deadline

_OPEN = nullcontext()
"""A connection that is open waits for the answer alone; a new one is also greeted."""


class LeanRedis(redis.Redis):
    """Keeps its connections at hand, instead of asking a pool for one each time.

    Around a command, ``redis.Redis`` takes longer than the command itself: it checks
    whether the connection was closed meanwhile, counts, measures, and prepares to try
    again. Here a connection that the server has closed fails; all idle ones are
    renewed then, so that whoever tries again gets a good one. Nothing is retried, and
    the hooks of redis-py's own metrics are not called.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._idle: list[Any] = []
        self._pid = os.getpid()
        super().__init__(*args, **options)
        self._timeout = self.get_connection_kwargs().get("socket_timeout") or math.inf

    def execute_command(self, *args: Any, **options: Any) -> Any:
        connection, parse = self._take(), cast(Any, self.parse_response)
        try:
            with _OPEN if connection._sock else deadline(self._timeout):
                connection.send_command(*args)
                return parse(connection, args[0], **options)
        except redis.ReadOnlyError:
            connection.disconnect()  # a replica by now; the name may lead elsewhere
            raise
        except redis.ResponseError:
            raise  # an answer like any other
        except BaseException:
            connection.disconnect()  # a late answer would be taken for the next one
            self._disconnect_idle()
            raise
        finally:
            self._idle.append(connection)

    def close(self) -> None:
        """Close the connections; the next command opens new ones."""
        self._disconnect_idle()
        super().close()

    def _take(self) -> Any:
        if self._pid != os.getpid():
            # Two processes on one socket would read each other's replies.
            self._idle, self._pid = [], os.getpid()
            self.connection_pool.reset()
        try:
            return self._idle.pop()
        except IndexError:
            return self.connection_pool.make_connection()

    def _disconnect_idle(self) -> None:
        """Renewed ones come to the end, where the next one is taken from."""
        with suppress(IndexError):  # somebody else has taken the rest
            for _ in range(len(self._idle)):
                oldest = self._idle.pop(0)  # nobody may use it while it is closed
                oldest.disconnect()
                self._idle.append(oldest)
