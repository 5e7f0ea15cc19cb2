"""The rule of a request: who shows no bound cookie is not the user.

Nor is the user logged out: record and cookies stay as they are, since the owner may
only have followed a link from another site.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from flask import Request, Response

from .. import signals
from ..arrival import cookies
from ..config import secret_keys
from ..ending import NOT_BOUND
from ..errors import BackendError, DeviceNotProven
from ..ids import Credential
from ..interface import Cookie, ServerSessionInterface
from ..logins import was_anonymous
from ..runtime import Runtime
from ..store import SessionStore
from ..store.records import Live
from ..visit import Visit
from . import binding, pages, wire
from .seals import COOKIE, Seals, Stamp
from .wire import BoundCookie

log = logging.getLogger("flask_srvsession")

SUFFIX = "-b"
"""The end of the name of the bound cookie, behind the name of the session's."""

TIME_TO_REGISTER = 60
"""Seconds after a login, where every session is to be bound; browsers take one."""

PROVEN = "flask_srvsession.proven"
"""Where the WSGI environ has the proofs that this very request has shown before, by
the id of the session: an event of a long connection is judged by when that began."""


class Gate:
    """Lets requests of bound sessions in, or not, and offers registrations."""

    def __init__(self, runtime: Runtime, interface: ServerSessionInterface) -> None:
        settings = runtime.settings
        self.runtime = runtime
        self.interface = interface
        self.path = settings.dbsc_path
        self._is_required = settings.dbsc == "required"

        @lru_cache(maxsize=1)
        def seals(_: SessionStore) -> Seals:
            keys = secret_keys(runtime.app)
            return Seals(keys, settings.key_prefix, settings.dbsc_window)

        self.seals = seals
        """Returns the maker of values under the keys that a store was built for."""

    @property
    def cookie(self) -> BoundCookie:
        """The cookie that proofs are worth."""
        app = self.runtime.app
        name = self.interface.get_cookie_name(app) + SUFFIX
        return BoundCookie(name, self.interface.cookie_attributes(app))

    # -- a request comes in -----------------------------------------------------------

    def admit(self, visit: Visit, live: Live) -> None:
        """Let the session be used, or raise DeviceNotProven."""
        record = live.record
        if record.device and self._shows_proof(visit, live, record.device[1]):
            if not record.bound:
                visit.live = binding.bind(visit.store, live)
        elif record.bound:
            self._refuse(visit, live)
        elif self._is_required:
            self._end_overdue(visit, live)

    def _shows_proof(self, visit: Visit, live: Live, generation: int) -> bool:
        """Whether the request shows a proof; the last but one is good, too."""
        proofs: dict[str, Stamp] = visit.request.environ.setdefault(PROVEN, {})
        if live.id in proofs:
            return True
        known, at = self.seals(visit.store).known, visit.opened
        for value in cookies(visit.request, visit.cookie_name + SUFFIX):
            stamp = known(COOKIE, live.id, value, at)
            if stamp and stamp.generation >= generation - 1:
                proofs[live.id] = stamp
                return True
        return False

    def _refuse(self, visit: Visit, live: Live) -> None:
        request = visit.request
        forget = request.script_root + self.path + "/forget"
        refusal = DeviceNotProven(pages.unproven(request, forget=forget))
        visit.latch(refusal)
        if not pages.comes_again(request):
            log.warning("session %s: its device was not proven", live.id)
            self.tell_failed(visit.store, live, "cookie")
        raise refusal

    def _end_overdue(self, visit: Visit, live: Live) -> None:
        """End a login that no device was registered for in time."""
        store = visit.store
        overdue = store.clock() >= live.record.since + TIME_TO_REGISTER
        keys = store.settings.logins
        if not overdue or was_anonymous(visit.draft, keys):
            return
        try:
            store.destroy(live.id, live, NOT_BOUND)
        except BackendError as error:
            visit.latch(error)
            raise
        log.warning("session %s ended: no device was registered for it", live.id)
        visit.was_ended()
        self.tell_failed(store, live, "registration")

    def tell_failed(self, store: SessionStore, live: Live, reason: str) -> None:
        """Send ``binding_failed``."""
        info = store.info(live)
        signals.binding_failed.send(self.runtime.app, info=info, reason=reason)

    # -- the app asks -----------------------------------------------------------------

    def prove(self, visit: Visit, within: float) -> bool:
        """Return whether the device has proven itself `within` these seconds; False for
        a session that is bound to none. Raise DeviceNotProven to have it done."""
        live = visit.live
        if live is None or not live.record.bound:
            return False
        proved = self.proved_at(visit)
        if proved is not None and visit.opened < proved + within:
            return True
        if visit.response_left:
            raise RuntimeError("No device can be asked: the response has left.")
        raise DeviceNotProven(self._ask_again(visit.request))

    def proved_at(self, visit: Visit) -> int | None:
        """Return when its device made the proof that a request shows."""
        proofs: dict[str, Stamp] = visit.request.environ.get(PROVEN, {})
        stamp = proofs.get(visit.live.id) if visit.live else None
        return stamp.issued if stamp else None

    def _ask_again(self, request: Request) -> Response:
        """Return a redirect to this very request, without the bound cookie: the
        browser proves itself before it follows."""
        target = request.script_root + request.path
        target = wire.quoted(f"/.{target}" if target.startswith("//") else target)
        if request.query_string:
            target += f"?{wire.quoted(request.query_string)}"
        response = Response(status=307, headers={"Location": target})
        self.cookie.remove(response)
        return pages.without_caches(response)

    # -- the response leaves ----------------------------------------------------------

    def finish(
        self, visit: Visit, change: Credential | Cookie, response: Response
    ) -> bool:
        """Offer a registration with the cookie of a login, and remove the bound cookie
        with that of the session; return whether the response is for this client."""
        if change is Cookie.DELETE:
            if cookies(visit.request, visit.cookie_name + SUFFIX):
                self.cookie.remove(response)
            return True
        if not self._may_offer(visit, change):
            return False
        live: Any = visit.live
        challenge = self.seals(visit.store).offer(live.id, visit.store.clock())
        path = visit.request.script_root + self.path + "/register"
        response.headers[wire.REGISTRATION] = wire.registration(path, challenge)
        return True

    def _may_offer(self, visit: Visit, change: Credential | Cookie) -> bool:
        live, store = visit.live, visit.store
        if live is None or live.record.bound or not visit.request.is_secure:
            return False
        keeps_token = store.settings.rotate_every is None
        if change is Cookie.KEEP and not (keeps_token and visit.written):
            return False
        keys = store.settings.logins
        free = binding.is_free(live.record, store.clock())
        return free and not was_anonymous(visit.draft, keys)
