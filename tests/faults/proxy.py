"""A proxy before a real server, which disturbs chosen commands."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.servers import Server
from tests.sql_servers import SQLServer

from .disturbance import Disturbance, Fault, Socket, When, never

_MOST = 1 << 20
_PATIENCE = 10.0


class Proxy:
    """Passes on what clients and `server` say, and disturbs it where it is told to.

    A command is what a client sends before it waits for a reply. Those of these tests
    are small: each is read in one piece, and so is its reply.
    """

    def __init__(self, server: Server | SQLServer) -> None:
        self.server = server
        self._listener = socket.create_server((server.host, 0))
        self._connections: list[Socket] = []
        self._disturbance = Disturbance(None, never, None, is_over=True)
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
        when: When = never,
        *,
        before: Callable[[], object] | None = None,
    ) -> Iterator[Disturbance]:
        """Disturb some of the commands that come in the block.

        Without a fault they are passed on, after `before` is done. When the block
        ends, what was late has reached the server, and all is as usual again.
        """
        self._disturbance = Disturbance(fault, when, before)
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
                    fault = disturbance.fault
                    return fault is not None and fault.keeps_connections
