"""One request's session: what was found for it, what became of it, and the cookie.

:class:`~.session.ServerSideSession` is the mapping that the app sees; a :class:`Visit`
is all that is known of the request and its session. :mod:`.arrival` fills it, and
:mod:`.saving` and :mod:`.logout` go on with it. All is called with the session's lock
held.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from blinker import Signal
from flask import Request, g, has_app_context

from . import signals
from .draft import NO_CHANGES, Changes, Draft
from .ending import End
from .errors import BackendError, DeviceNotProven
from .ids import Credential
from .runtime import Runtime
from .serializers import Undecodable
from .store import SessionStore
from .store.record import PERMANENT
from .store.records import Live, Moved
from .store.rotation import Verdict

log = logging.getLogger("flask_srvsession")

OPENED = "flask_srvsession.opened"
FAILURE = "flask_srvsession.failure"
"""Where the WSGI environ has the first BackendError that a session met."""

_NUMBERS = count()


class Intent(enum.IntEnum):
    """The wish of a request besides its changes; the higher one outweighs the lower."""

    NONE = 0
    SAVE = 1  # ``modified = True``
    LOGIN = 2  # Flask-Login has told of one, maybe of the user who was logged in


class Visit:
    """A request's view of its session; made with each request, loaded at first use.

    The time at which it began is kept in the WSGI environ: whoever opens the session
    again from the environ of a long-lived connection (Flask-SocketIO does) is judged by
    when that connection began.
    """

    store: SessionStore
    draft: Draft
    loading = loaded = accessed = False
    asked = False  # while it was being loaded, by a receiver of a signal, say
    failure: BackendError | DeviceNotProven | None = None
    """The outage that this request has met, if any: it does not wait twice."""

    # Found by its cookies:
    credentials: Sequence[Credential] = ()
    live: Live | None = None
    moved: Moved | None = None
    rivals: Collection[str] = ()
    """The ids of several live sessions, of which none is used: a sibling domain can
    plant a cookie beside ours, and browsers do not tell which is whose."""
    untried: Collection[Credential] = ()
    """Valid cookies that are too many to be tried."""
    presented = False  # live, moved, rivals or untried: a cookie was ours

    # Wanted and done by the request:
    intent = Intent.NONE
    logout_meant = False  # where no live session was: it may have moved
    permanent: bool | None = None
    """The value that the request has set, if any."""
    written = saved = False  # with changes, if it was saved
    told = False  # receivers of a signal may have made changes
    rivals_ended = delete_cookie = expiry_moved = response_left = False

    def __init__(self, runtime: Runtime, request: Request, cookie_name: str) -> None:
        self.runtime, self.request, self.cookie_name = runtime, request, cookie_name
        self.local: dict[str, Any] = {}
        self.opened: float = request.environ.setdefault(OPENED, runtime.clock())
        self.number = next(_NUMBERS)  # clocks may be set back

    def is_event(self) -> bool:
        """Return whether this is an event of Flask-SocketIO, which has no response."""
        return hasattr(self.request, "sid") and hasattr(self.request, "namespace")

    def latch(self, failure: BackendError | DeviceNotProven) -> None:
        """Remember that there was an outage, or no proof of the device."""
        if self.failure is None:
            self.failure = self.request.environ[FAILURE] = failure

    def give_up(self, undecodable: Undecodable) -> None:
        """Go on without the session: one of its values does not decode."""
        rivals = [self.live.id] if self.live else []
        self.become_new()
        self.rivals = rivals  # a logout or a login ends it
        text = "session %s is ignored: the value of %s cannot be decoded"
        log.warning(text, *(rivals or ["new"]), undecodable)

    # -- asked for by the app ---------------------------------------------------------

    def note_logout(self) -> None:
        """Take note that a logout was meant where there is no live session to remove
        it from: it may have moved, or it is not known which of several is meant."""
        self.logout_meant = self.live is None

    def note_login(self) -> None:
        """Treat this request as a login, even if it names who was logged in before."""
        self.intent = Intent.LOGIN
        self.drop_at_login()

    def was_ended(self) -> None:
        """Take note that this session was just ended by this request."""
        self.delete_cookie = self.presented
        self.become_new()
        self.local["_remember"] = "clear"  # Flask-Login deletes its own cookie

    def drop_at_login(self) -> None:
        """Forget secrets that an attacker may have known before: CSRF tokens, mostly. A
        token that this very request has made stays."""
        dropped = self.draft.drop(self.store.settings.drop_at_login)
        if has_app_context():
            for key in dropped:
                g.pop(key, None)  # Flask-WTF keeps a copy there

    def refuse(self, error: Exception) -> None:
        """Let a refused change not be tried again at the end of the request."""
        if isinstance(error, BackendError):
            self.latch(error)
        elif isinstance(error, Undecodable):
            live = self.live
            self.give_up(error)
            self.send(signals.session_changes_dropped, live)
        else:
            self.draft.discard_changes()
            self.intent = Intent.NONE
            if has_app_context():
                g.pop("_login_user", None)  # nobody whose login was refused

    # -- to be saved ------------------------------------------------------------------

    def is_modified(self) -> bool:
        """Return whether there is something to save, or was."""
        changed = self.pending() is not NO_CHANGES and (self.live or self.draft)
        return bool(self.saved or changed or self.intent)

    def pending(self) -> Changes:
        """Return the changes of this request; TypeError for a value that cannot be
        stored."""
        changes, live, permanent = self.draft.changes(), self.live, self.permanent
        was = live and bool(live.record.flags & PERMANENT)
        if permanent in (None, was) or (live and live.verdict is Verdict.GRACE):
            return changes
        return replace(changes, permanent=permanent)

    def is_quiet(self) -> bool:
        """Return whether a request that has only read has nothing to write, and no
        cookie to send."""
        live = self.live
        if live is None or live.new or self.intent or live.record.pending:
            return False
        repeats = self.store.settings.rotate_every is None and live.record.permanent
        return not repeats and self.store.clock() < self.store.renewal_at(live)

    # -- became of it -----------------------------------------------------------------

    def accept(self, found: Live, changes: Changes) -> None:
        """Go on with the stored session."""
        self.live = found
        self.draft.saved_as(found.record.values, changes)
        if found.record.flags & PERMANENT or changes.permanent is not None:
            self.expiry_moved = True
        self.written = True
        self.saved |= changes is not NO_CHANGES or bool(self.intent)
        self.intent = Intent.NONE

    def become_new(self) -> None:
        self.live = self.moved = None
        self.rivals = self.untried = ()
        self.logout_meant, self.intent = False, Intent.NONE
        self.draft = Draft({}, self.store.serializer)

    def need_response(self) -> None:
        if self.response_left or self.is_event():
            raise RuntimeError(
                "No cookie can be set here: the response has left, or there is none, as"
                " in an event of Flask-SocketIO. Log in, rotate, sign out by removal"
                " or begin a session in a request, before its response is returned."
            )

    def send(self, signal: Signal, live: Live | None, end: End | None = None) -> None:
        if signal.receivers:
            info = self.store.info(live, is_current=True, end=end) if live else None
            signal.send(self.runtime.app, info=info)
            self.told = self.moved is None
