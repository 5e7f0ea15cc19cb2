"""A proxy before a real server, which disturbs chosen commands."""

from __future__ import annotations

import enum
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field

from tests.servers import Server
from tests.sql_servers import SQLServer

_MOST = 1 << 20
_PATIENCE = 10.0

Socket = socket.socket


class Fault(enum.Enum):
    """What may happen to a command on its way."""

    REFUSED = "refused"  # the connection is closed before the server sees anything
    CUT = "cut"  # the server gets it, and the connection is closed
    REPLY_LOST = "reply lost"  # the server has answered, and the connection is closed
    SWALLOWED = "swallowed"  # the server never sees it, and nothing is closed
    REPLY_LATE = "reply late"  # the server has answered; the client hears it too late
    LATE = "late"  # the server gets it when the client has given up

    def __str__(self) -> str:
        return self.value

    @property
    def is_slow(self) -> bool:
        """Whether the client finds out by waiting for its timeout."""
        return self in (Fault.SWALLOWED, Fault.REPLY_LATE, Fault.LATE)


@dataclass
class Disturbance:
    """What is to happen to the command `at`, and to all after it if it is `lasting`."""

    fault: Fault | None
    at: int
    lasting: bool
    before: Callable[[], object] | None
    commands: int = 0
    """How many commands came."""
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
        hit = self.commands >= self.at if self.lasting else self.commands == self.at
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
                _answer(server, data)
            case Fault.SWALLOWED:
                self._park(client, server, lambda: None)
            case Fault.REPLY_LATE:
                reply = _answer(server, data)
                self._park(client, server, lambda: client.sendall(reply))
            case Fault.LATE:
                self._park(
                    client, server, lambda: client.sendall(_answer(server, data))
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


class Proxy:
    """Passes on what clients and `server` say, and disturbs it where it is told to.

    A command is what a client sends before it waits for a reply. Those of these tests
    are small: each is read in one piece, and so is its reply.
    """

    def __init__(self, server: Server | SQLServer) -> None:
        self.server = server
        self._listener = socket.create_server((server.host, 0))
        self._connections: list[Socket] = []
        self._disturbance = Disturbance(None, 0, False, None, is_over=True)
        self.port: int = self._listener.getsockname()[1]
        self.sends = 0
        """How many pieces clients have sent."""
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return self.server.url.replace(f":{self.server.port}", f":{self.port}")

    @contextmanager
    def disturbed(
        self,
        fault: Fault | None = None,
        *,
        at: int = 0,
        lasting: bool = False,
        before: Callable[[], object] | None = None,
    ) -> Iterator[Disturbance]:
        """Disturb the command `at` of those that come in the block, the first is 1.

        Without a fault, it is passed on after `before` is done. When the block ends,
        what was late has reached the server, and all is as usual again.
        """
        self._disturbance = Disturbance(fault, at, lasting, before)
        try:
            yield self._disturbance
        finally:
            self._disturbance.finish()

    def redirect(self, server: Server | SQLServer) -> None:
        """Lead all connections to another server: those that are open are closed."""
        self.server = server
        self._close(self._connections)

    def close(self) -> None:
        self._close([self._listener, *self._connections])

    def _close(self, sockets: list[Socket]) -> None:
        for sock in sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: Socket) -> None:
        address = (self.server.host, self.server.port)
        with suppress(OSError, ValueError), ExitStack() as ends:
            ends.enter_context(client)
            server = ends.enter_context(socket.create_connection(address, _PATIENCE))
            self._connections += [client, server]
            if self._relay(client, server):
                ends.pop_all()

    def _relay(self, client: Socket, server: Socket) -> bool:
        """Pass on until one of them ends it; return whether a fault keeps them."""
        is_new = True
        while True:
            for source in select.select([client, server], [], [])[0]:
                data = source.recv(_MOST)
                if not data:
                    return False
                disturbance, begins = self._disturbance, is_new
                is_new = source is server
                if source is server:
                    client.sendall(data)
                    continue
                self.sends += 1
                if not (begins and disturbance.meets()):
                    server.sendall(data)
                elif not disturbance.strike(data, client, server):
                    return bool(disturbance.fault and disturbance.fault.is_slow)


def _answer(server: Socket, data: bytes) -> bytes:
    server.sendall(data)
    return server.recv(_MOST)
