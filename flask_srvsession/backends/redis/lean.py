"""A Redis client that does little around each command."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import redis

from .deadline import TIMEOUT, deadline, ends, left

_Command = tuple[Any, ...]

pack_command: Callable[[_Command], bytes] | None
try:
    from hiredis import pack_command
except ImportError:  # redis-py does it, too, but not as fast
    pack_command = None

MOST_IDLE = 64
"""Connections that are kept open while nobody uses them."""


class LeanRedis(redis.Redis):
    """Keeps its connections at hand, instead of asking a pool for one each time.

    Around a command, ``redis.Redis`` takes longer than the command itself: it checks
    whether the connection was closed meanwhile, counts, measures, and prepares to try
    again. Here a connection that the server has closed fails. Nothing is retried, and
    the hooks of redis-py's own metrics are not called.

    A command, with all that connects and greets for it, ends within the
    ``socket_timeout``. Where it does not, its connection is closed. Where the server
    has closed one, or turns out to be a replica, all others are closed as well: they
    lead to the same server, which may go on to answer with sessions that were ended
    elsewhere.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._idle: list[Any] = []
        self._closed: list[Any] = []
        self._pid = os.getpid()
        super().__init__(*args, **options)
        self._timeout = self.get_connection_kwargs().get("socket_timeout") or TIMEOUT

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Return the answer to a command, as ``redis.Redis`` does."""
        [answer] = self.execute_commands(args)
        if isinstance(answer, redis.ResponseError):
            raise answer
        options.pop("keys", None)  # it is for redis-py's cache
        callback = dict.get(self.response_callbacks, args[0])
        return callback(answer, **options) if callback else answer

    def execute_commands(self, *commands: _Command) -> list[Any]:
        """Send commands at once; return the answers, errors among them, unparsed."""
        idle = self._idle if self._pid == os.getpid() else self._begun_anew()
        try:
            connection, hurried = idle.pop(), ends.get(None)
        except IndexError:
            connection, hurried = self._unconnected(), True
        try:
            if hurried:
                answers = self._ask_in_time(connection, commands)
            else:
                answers = _ask(connection, commands)
        except BaseException as error:
            self._drop(connection)
            if isinstance(error, redis.ConnectionError):
                self._drop_idle()
            raise
        for answer in answers:
            if isinstance(answer, redis.ReadOnlyError):
                self._drop_idle()
        if idle is self._idle and len(idle) < MOST_IDLE:
            idle.append(connection)
        else:
            self._drop(connection)
        return answers

    def close(self) -> None:
        """Close the connections; the next command opens new ones."""
        self._drop_idle()
        super().close()

    def _unconnected(self) -> Any:
        try:
            return self._closed.pop()
        except IndexError:
            return self.connection_pool.make_connection()

    def _ask_in_time(
        self, connection: Any, commands: tuple[_Command, ...]
    ) -> list[Any]:
        """Ask where the connection is still to be opened, or while a deadline runs."""
        with deadline(self._timeout):
            if connection._sock is None:
                self._connect(connection)
            connection._sock.settimeout(left())
            answers = _ask(connection, commands)
        connection._sock.settimeout(self._timeout)
        return answers

    def _connect(self, connection: Any) -> None:
        before = getattr(self.connection_pool, "master_address", None)
        connection.connect()
        if before not in (None, getattr(self.connection_pool, "master_address", None)):
            self._drop_idle()  # the sentinels name another primary by now

    def _begun_anew(self) -> list[Any]:
        """Two processes on one socket would read each other's replies."""
        self._idle, self._closed, self._pid = [], [], os.getpid()
        self.connection_pool.reset()
        return self._idle

    def _drop(self, connection: Any) -> None:
        connection.disconnect()
        self._closed.append(connection)

    def _drop_idle(self) -> None:
        """Close all connections: those that are in use when they are given back."""
        dropped, self._idle = self._idle, []
        with suppress(IndexError):  # nobody needs to count: others take them, too
            while True:
                self._drop(dropped.pop())


def _ask(connection: Any, commands: tuple[_Command, ...]) -> list[Any]:
    packed = b""
    for command in commands:
        if pack_command and " " not in command[0]:  # as there is in "CONFIG GET"
            packed += pack_command(command)
        else:
            packed += b"".join(connection.pack_command(*command))
    try:
        connection._sock.sendall(packed)
    except TimeoutError as error:
        raise redis.TimeoutError("The server does not read in time") from error
    except OSError as error:
        raise redis.ConnectionError("The server has closed a connection") from error
    answers = list[Any]()
    for _ in commands:
        try:
            answers.append(connection.read_response())
        except redis.ResponseError as error:
            answers.append(error)
    return answers
