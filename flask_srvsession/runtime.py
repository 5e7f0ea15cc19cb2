"""The parts that the extension keeps for one app: in
``app.extensions["srvsession"]``."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgpack
from flask import Flask, Request

from . import audit
from .backends.base import Backend
from .config import Settings, check_flask_keys, check_unchanged, secret_keys
from .ending import LIMIT, LOGIN_REPEATED, End
from .keyring import Keyring
from .serializers import SERIALIZERS, Serializer
from .signals import session_revoked
from .store import SessionStore
from .store.records import Live

log = logging.getLogger("flask_srvsession")


class Runtime:
    """Settings and backend of an app, and the store that is built from its secret keys.

    Those may be set after the extension, and change while the app runs: the store is
    built when a session is first used, and again when they change.
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
        self.devices: Any = None
        """The :class:`.dbsc.gate.Gate`, where sessions are bound to devices."""
        self.serializer: Serializer
        chosen = settings.serializer
        if isinstance(chosen, str):
            self.serializer, self._format = SERIALIZERS[chosen](), str(chosen)
        else:
            self.serializer, self._format = chosen, type(chosen).__qualname__
        self._keyring = Keyring(settings.encryption_keys)
        self._built_for: tuple[object, ...] = ()
        self.take_over: Any = None
        """The :class:`.take_over.asking.TakeOver`, where the app has sources."""
        self.is_alone = not backend.shared
        """Whether no other process sees its sessions, and nobody was told so yet."""

    @property
    def store(self) -> SessionStore:
        """The sessions of the app under its present keys."""
        app, config = self.app, self.app.config
        fallbacks = config.get("SECRET_KEY_FALLBACKS") or ()
        try:
            present = (app.secret_key, *fallbacks, app.permanent_session_lifetime)
        except TypeError:
            check_flask_keys(config)
            raise
        if present != self._built_for:
            self._store = self._build()
            self._built_for = present
        return self._store

    def _build(self) -> SessionStore:
        config = self.app.config
        check_unchanged(self.settings, config, self.app.name)
        settings = self.settings.resolved(self.app.permanent_session_lifetime)
        field, known = config.get("WTF_CSRF_FIELD_NAME"), settings.drop_at_login
        if field and field not in known:
            settings = replace(settings, drop_at_login=(*known, field))
        return SessionStore(
            self.backend,
            secret_keys(self.app),
            self.serializer,
            settings,
            format_name=self._format,
            encryption=self._keyring.keys(),
            clock=self.clock,
            tell_ended=self._tell_ended,
            sender=self.app,
        )

    def _tell_ended(self, live: Live, end: End) -> None:
        """Write the audit line. Of a session that another login ended send the signal,
        too, in the middle of that login, which goes on."""
        if audit.log.isEnabledFor(logging.INFO):
            audit.tell(self.app, end, self.clock(), self._store.info(live))
        if end not in (LIMIT, LOGIN_REPEATED):
            return
        info = self._store.info(live, end=end)
        try:
            session_revoked.send(self.app, info=info)
        except Exception:
            log.exception("a receiver of session_revoked failed")

    def prove_device(self, visit: Any, within: float) -> bool:
        """Return whether the device of a request was proven within so many seconds;
        False where there is none. Raises DeviceNotProven to have it done."""
        return self.devices is not None and self.devices.prove(visit, within)

    def metadata(self, request: Request) -> Mapping[str, Any] | None:
        """Return the facts that are kept about the client of `request`."""
        wanted = self.settings.metadata
        if callable(wanted):
            return _storable(wanted(request))
        return _about(request) if wanted else None

    def warn_if_several(self, environ: Mapping[str, Any]) -> None:
        """Say once if several processes cannot see each other's sessions."""
        if environ.get("wsgi.multiprocess"):
            self.is_alone = False
            log.warning(
                "SRVSESSION_BACKEND keeps sessions in the memory of one process, but"
                " this server says that it runs several: users would seem logged out."
                " Use Redis, for example."
            )


def _storable(found: Any) -> Mapping[str, Any] | None:
    """Return the facts; TypeError for those that could not be read again."""
    if found is None:
        return None
    try:
        data = msgpack.packb(found, unicode_errors="surrogatepass")
        msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogatepass")
    except (TypeError, ValueError, OverflowError) as error:
        reason = str(error)
    else:
        if isinstance(found, dict):
            return found
        reason = f"it is a {type(found).__name__}"
    raise TypeError(
        "SRVSESSION_METADATA must return None, or a dict of values for MessagePack, but"
        f" its result cannot be kept: {reason}."
    )


def _about(request: Request) -> Mapping[str, Any]:
    """Return a shortened address, which still tells a city, and the user agent."""
    agent = request.user_agent.string[:200]
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return {"agent": agent}
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address  # as a socket for both calls it
    bits = 24 if address.version == 4 else 48
    network = ipaddress.ip_network((address, bits), strict=False)
    return {"ip": str(network.network_address), "agent": agent}
