"""The requests that a browser makes by itself: registrations and refreshes.

Answered before everything that the app does for its own requests: a login wall, a check
for CSRF, a rate limit or a redirect would end the binding. A session is found by the id
that the browser names, never by a cookie: it sends none after a restart, or when a
link from another site made it come. A refresh is answered by 200, by 403 with a
challenge, or by 503.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response, request

from .. import ids, signals
from ..arrival import cookies
from ..errors import BackendError
from ..store.records import Live
from . import binding, pages, proxies, wire
from .gate import Gate
from .proof import Refused, verify
from .seals import CHALLENGE, COOKIE

log = logging.getLogger("flask_srvsession")


class Routes:
    """The two addresses of DBSC, and a third for a browser that has lost its key."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._runtime = gate.runtime
        self._path = path = gate.path
        self._views: dict[str, Callable[[Request], Response]] = {
            f"{path}/register": self._register,
            f"{path}/refresh": self._refresh,
            f"{path}/forget": self._forget,
        }

    def install(self, app: Flask) -> None:
        """Answer before the app does; within its middleware."""
        dispatch = app.full_dispatch_request

        def answer(*args: Any, **kwargs: Any) -> Response:
            view = self._views.get(request.environ.get("PATH_INFO", ""))
            if view is None or request.method != "POST":
                return dispatch(*args, **kwargs)
            try:
                response = view(request)
            except BackendError as error:
                log.warning("a device was not answered: %s", error)
                response = Response(status=503, headers={"Retry-After": "1"})
            return pages.without_caches(response)

        app.full_dispatch_request = answer  # type: ignore[method-assign]

    # -- registration --------------------------------------------------------------

    def _register(self, request: Request) -> Response:
        token, store = wire.said(request.environ, wire.PROOF), self._runtime.store
        if token is None:
            proxies.note_missing(store, "Secure-Session-Response")
        try:
            proof = verify(token or "", url=request.base_url)
        except Refused as reason:
            return self._refused(str(reason))
        session_id = self._gate.seals(store).of_offer(proof.challenge, store.clock())
        live = store.peek(session_id) if session_id else None
        if live is None:
            return self._refused("nothing was offered to it, or that is over")
        if not self._comes_from(request, live.id):
            return self._refused("it comes with the cookie of another session", live)
        found = binding.register(store, live, proof.key)
        if not isinstance(found, Live):
            return self._refused("its session has ended")
        device = binding.device_of(found.record)
        if not device or device.key != proof.key or found.record.bound:
            return self._refused("its session has another device", found)
        response = self._with_cookie(found)
        response.set_data(json.dumps(self._instructions(request, found.id)))
        response.content_type = "application/json"
        signals.session_bound.send(self._runtime.app, info=store.info(found))
        return response

    def _refused(self, why: str, live: Live | None = None) -> Response:
        log.warning("a registration was refused: %s", why)
        if live:
            self._gate.tell_failed(self._runtime.store, live, "registration")
        return Response(status=403)

    def _comes_from(self, request: Request, session_id: str) -> bool:
        """Whether the client has this session, as far as it says: none of its cookies
        is of another one."""
        name = self._gate.interface.get_cookie_name(self._runtime.app)
        loads = self._runtime.store.signer.loads
        shown = {c.id for value in cookies(request, name) if (c := loads(value))}
        return not shown or session_id in shown

    def _instructions(self, request: Request, session_id: str) -> dict[str, Any]:
        app, settings = self._runtime.app, self._runtime.settings
        paths = [*settings.dbsc_exclude, f"{self._path}/"]
        if app.has_static_folder and app.static_url_path:
            paths.append(f"{app.static_url_path.rstrip('/')}/")
        root = request.script_root
        return wire.instructions(
            session_id,
            refresh=f"{root}{self._path}/refresh",
            cookie=self._gate.cookie,
            excluded=[root + path for path in paths],
            initiators=settings.dbsc_initiators,
        )

    # -- refresh -------------------------------------------------------------------

    def _refresh(self, request: Request) -> Response:
        environ, store = request.environ, self._runtime.store
        session_id = wire.said(environ, wire.SESSION) or ""
        if not session_id:
            proxies.note_missing(store, "Sec-Secure-Session-Id")
        live = store.peek(session_id) if ids.is_id(session_id) else None
        device = binding.device_of(live.record) if live else None
        if live is None or device is None:
            return _forgotten(session_id)
        token = wire.said(environ, wire.PROOF)
        if token is None:
            return self._challenged(live)
        try:
            proof = verify(token, url=request.base_url, key=device.key)
        except Refused as reason:
            log.warning("session %s: a proof was refused: %s", live.id, reason)
            self._gate.tell_failed(store, live, "proof")
            return self._challenged(live)
        known = self._gate.seals(store).known
        stamp = known(CHALLENGE, live.id, proof.challenge, store.clock())
        if stamp is None or stamp.generation != device.generation:
            return self._challenged(live)
        done, found = binding.refresh(store, live, device)
        if not isinstance(found, Live):
            return _forgotten(session_id)
        if not done:
            return self._challenged(found)
        return self._with_cookie(found)

    def _with_cookie(self, live: Live) -> Response:
        """Return the answer to a proof: the cookie that it is worth, and the challenge
        of the next."""
        response = self._challenged(live, 200)
        window = self._runtime.settings.dbsc_window
        self._gate.cookie.set(response, self._made(COOKIE, live), window)
        return response

    def _challenged(self, live: Live, status: int = 403) -> Response:
        response = Response(status=status)
        challenge = wire.challenge(self._made(CHALLENGE, live), live.id)
        response.headers[wire.CHALLENGE] = challenge
        return response

    def _made(self, purpose: str, live: Live) -> str:
        store, device = self._runtime.store, binding.device_of(live.record)
        generation = device.generation if device else 0
        seals = self._gate.seals(store)
        return seals.made(purpose, live.id, generation, store.clock())

    # -- a browser that has lost its key -------------------------------------------

    def _forget(self, request: Request) -> Response:
        """Remove the cookies of this browser; the session stays as it is."""
        if request.headers.get("Sec-Fetch-Site") != "same-origin":
            return Response(status=403)
        app, interface = self._runtime.app, self._gate.interface
        to = {"Location": f"{request.script_root}/"}
        response = Response(status=303, headers=to)
        attributes = interface.cookie_attributes(app)
        response.delete_cookie(interface.get_cookie_name(app), **attributes)
        self._gate.cookie.remove(response)
        return response


def _forgotten(session_id: str) -> Response:
    """Return the answer for a session that is bound no more, or never was: it makes
    the browser forget the binding, without a word."""
    text = json.dumps({"session_identifier": session_id[:100], "continue": False})
    return Response(text, 200, content_type="application/json")
