"""What the extension keeps of one app: in ``app.extensions["srvsession"]``."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask, Request

from .backends.base import Backend
from .cells import Held
from .config import Settings, secret_keys
from .ids import CookieSigner
from .record import RecordCodec
from .serializers import SERIALIZERS, Serializer
from .signals import session_revoked
from .store import SessionStore

log = logging.getLogger("flask_srvsession")


@dataclass(frozen=True, slots=True)
class Keyed:
    """What depends on the app's secret keys."""

    signer: CookieSigner
    store: SessionStore


class Runtime:
    """Settings and backend of an app, and what is built from its secret keys.

    Those may be set after the extension, and change while the app runs: what they
    go into is built when a session is first used, and again when they change.
    """

    def __init__(
        self,
        app: Flask,
        settings: Settings,
        backend: Backend,
        clock: Callable[[], float],
    ) -> None:
        self.app = app
        self.settings = settings
        self.backend = backend
        self.clock = clock
        self.serializer: Serializer
        chosen = settings.serializer
        if isinstance(chosen, str):
            self.serializer, self._format = SERIALIZERS[chosen](), str(chosen)
        else:
            self.serializer, self._format = chosen, type(chosen).__qualname__
        self._built_for: tuple[object, ...] = ()
        self._warned = False

    @property
    def keyed(self) -> Keyed:
        """What fits the app's present keys."""
        config = self.app.config
        keys = secret_keys(config)
        present = (keys, config["PERMANENT_SESSION_LIFETIME"])
        if present != self._built_for:
            self._keyed = self._build(keys)
            self._built_for = present
        return self._keyed

    def _build(self, secret_keys: list[Any]) -> Keyed:
        settings = self.settings.resolved(self.app.permanent_session_lifetime)
        prefix = settings.key_prefix
        codec = RecordCodec(secret_keys, prefix, self._format)
        store = SessionStore(
            self.backend,
            codec,
            self.serializer,
            settings,
            clock=self.clock,
            on_evicted=self._tell_evicted,
        )
        return Keyed(CookieSigner(secret_keys, prefix), store)

    def _tell_evicted(self, held: Held) -> None:
        """Send the signal in the middle of somebody else's login, which goes on."""
        info = self.keyed.store.info(held)
        try:
            session_revoked.send(self.app, info=info)
        except Exception:
            log.exception("a receiver of session_revoked failed")

    def metadata(self, request: Request) -> Mapping[str, Any] | None:
        """Return what is kept about the client of `request`."""
        wanted = self.settings.metadata
        if callable(wanted):
            return wanted(request)
        return _about(request) if wanted else None

    def warn_if_not_shared(self, environ: Mapping[str, Any]) -> None:
        """Say once if several processes cannot see each other's sessions."""
        if self._warned or self.backend.shared or not environ.get("wsgi.multiprocess"):
            return
        self._warned = True
        log.warning(
            "SRVSESSION_BACKEND keeps sessions in the memory of one process, but this "
            "server runs several: users will seem to be logged out. Use Redis, for "
            "example."
        )


def _about(request: Request) -> Mapping[str, Any]:
    """Return a shortened address, which still tells a city, and the user agent."""
    agent = request.user_agent.string[:200]
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return {"agent": agent}
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address  # what a socket for both calls it
    bits = 24 if address.version == 4 else 48
    network = ipaddress.ip_network((address, bits), strict=False)
    return {"ip": str(network.network_address), "agent": agent}
