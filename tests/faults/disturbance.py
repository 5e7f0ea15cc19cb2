"""What may happen to a command on its way to a server, and back."""

from __future__ import annotations

import enum
import socket
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field

_MOST = 1 << 20

Socket = socket.socket


class Fault(enum.Enum):
    """What may happen to a command on its way."""

    REFUSED = "refused"  # the connection is closed before the server sees anything
    CUT = "cut"  # the server gets it, and the connection is closed
    REPLY_LOST = "reply lost"  # the server has answered, and the connection is closed
    DELAYED = "delayed"  # the connection is closed, and the server gets it later
    SWALLOWED = "swallowed"  # the server never sees it, and nothing is closed
    REPLY_LATE = "reply late"  # the server has answered; the client hears it too late
    LATE = "late"  # the server gets it when the client has given up

    def __str__(self) -> str:
        return self.value

    @property
    def keeps_connections(self) -> bool:
        """Whether something still happens on a connection that it hit."""
        return self.is_slow or self is Fault.DELAYED

    @property
    def is_slow(self) -> bool:
        """Whether the client finds out by waiting for its timeout."""
        return self in (Fault.SWALLOWED, Fault.REPLY_LATE, Fault.LATE)


When = Callable[[int], bool]
"""Which commands: the first is 1."""


def never(number: int) -> bool:
    return False


def only(chosen: int) -> When:
    return lambda number: number == chosen


def since(first: int) -> When:
    return lambda number: number >= first


def every(step: int) -> When:
    return lambda number: number % step == 0


@dataclass
class Disturbance:
    """What is to happen to some of the commands that come."""

    fault: Fault | None
    when: When
    before: Callable[[], object] | None
    """What is done before a command is passed on, or not."""
    commands: int = 0
    """How many came."""
    hits: int = 0
    """How many of them were disturbed."""
    is_over: bool = False
    _parked: list[tuple[Socket, Socket, Callable[[], object]]] = field(
        default_factory=list
    )
    """Connections where a client waits, and what happens when it has given up."""

    def meets(self) -> bool:
        """Count a command; return whether it is one to disturb."""
        if self.is_over:
            return False
        self.commands += 1
        hit = self.when(self.commands)
        self.hits += hit
        return hit

    @property
    def waits(self) -> int:
        """For how many timeouts clients had to wait."""
        return self.hits if self.fault and self.fault.is_slow else 0

    def strike(self, data: bytes, client: Socket, server: Socket) -> bool:
        """Do to the command `data` what is to be done; return whether to go on."""
        if self.before:
            self.before()
        match self.fault:
            case None | Fault.CUT:
                server.sendall(data)
            case Fault.REPLY_LOST:
                _answered(server, data)
            case Fault.DELAYED:
                client.close()
                self._park(client, server, lambda: _answered(server, data))
            case Fault.SWALLOWED:
                self._park(client, server, lambda: None)
            case Fault.REPLY_LATE:
                reply = _answered(server, data)
                self._park(client, server, lambda: client.sendall(reply))
            case Fault.LATE:
                self._park(
                    client, server, lambda: client.sendall(_answered(server, data))
                )
        return self.fault is None

    def finish(self) -> None:
        """Disturb nothing from now on, and deliver what is late."""
        self.is_over = True
        for client, server, deliver in self._parked:
            with closing(client), closing(server), suppress(OSError):
                deliver()

    def _park(
        self, client: Socket, server: Socket, deliver: Callable[[], object]
    ) -> None:
        self._parked.append((client, server, deliver))


def _answered(server: Socket, data: bytes) -> bytes:
    server.sendall(data)
    return server.recv(_MOST)
