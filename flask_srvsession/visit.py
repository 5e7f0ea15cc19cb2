"""One request's session: how it begins, its changes, and how it ends.

:class:`~.session.ServerSideSession` is the mapping that the app sees. Everything that
happens to the stored session on behalf of a request is here, and is called with the
session's lock held.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from blinker import Signal
from flask import Request, g, has_app_context

from . import moves, signals
from .arrival import arrive, valid_cookies
from .backends.base import Epoch
from .draft import NO_CHANGES, Changes, Draft
from .ending import EMPTIED, LOGOUT, SEVERAL_COOKIES, End
from .errors import BackendError, DeviceNotProven, StaleCredential, StaleLogin
from .ids import Credential
from .login_keys import is_nobody
from .logins import Login, change_of_login, ends_login, was_anonymous
from .runtime import Runtime
from .serializers import Undecodable
from .store import regeneration
from .store.lists import Binding
from .store.record import PERMANENT
from .store.records import Live, Moved
from .store.rotation import OWN, Verdict

log = logging.getLogger("flask_srvsession")

MAX_RIVALS = 20
"""How many of those a login or a logout looks at, to end their sessions."""

OPENED = "flask_srvsession.opened"
ANSWERED = "flask_srvsession.answered"
"""There in the WSGI environ of a request whose response somebody waits for."""

FAILURE = "flask_srvsession.failure"
"""Where the WSGI environ has the first BackendError that a session met."""


class Intent(enum.IntEnum):
    """The wish of a request besides its changes; the higher one outweighs the lower."""

    NONE = 0
    SAVE = 1  # ``modified = True``
    LOGIN = 2  # Flask-Login has told of one, maybe of the user who was logged in


_NUMBERS = count()
Epochs = Mapping[bytes, Epoch]
"""Those that a login may rely on, by the names of lists."""


class Visit:
    """A request's view of its session; made with each request, loaded at first use.

    The time at which it began is kept in the WSGI environ: whoever opens the session
    again from the environ of a long-lived connection (Flask-SocketIO does) is judged by
    when that connection began.
    """

    loading = loaded = accessed = False
    asked = False  # while it was being loaded, by a receiver of a signal, say
    live: Live | None = None
    moved: Moved | None = None
    rivals: Collection[str] = ()
    untried: Collection[Credential] = ()
    presented = False  # any of these four: a cookie was ours
    intent = Intent.NONE
    logged_out = False  # where nobody was logged in: it may have moved
    permanent: bool | None = None
    """The value that the request has set, if any."""
    written = saved = False  # with changes, if it was saved
    told = False  # receivers of a signal may have made changes
    ended: frozenset[str] = frozenset()
    rivals_ended = delete_cookie = expiry_moved = response_left = False
    failure: BackendError | DeviceNotProven | None = None
    """The outage that this request has met, if any: it does not wait twice."""
    draft: Draft

    def __init__(self, runtime: Runtime, request: Request, cookie_name: str) -> None:
        self.runtime, self.request, self.cookie_name = runtime, request, cookie_name
        self.local: dict[str, Any] = {}
        self.opened: float = request.environ.setdefault(OPENED, runtime.clock())
        self.number = next(_NUMBERS)  # clocks may be set back

    # -- how it begins --------------------------------------------------------------

    def load(self) -> Draft:
        """Find the session that the request came with, and return its values;
        BackendError in an outage."""
        self.accessed = True
        if self.failure:
            raise self.failure
        if self.loading:  # a filter of log records asks, or a receiver of a signal
            self.draft, self.asked = Draft({}, self.runtime.serializer), True
            return self.draft
        self.loading = True
        try:
            # The same to the end, if keys change meanwhile.
            self.store = self.runtime.store
            request, name = self.request, self.cookie_name
            found = arrive(self.store, self.runtime, request, name, self.opened)
            live, moved, self.rivals, self.untried = found
            self.live, self.moved, self.presented = live, moved, any(found)
            held = moved.values if moved and moved.readable else {}
            values = live.record.values if live else held
            self.draft = Draft(values, self.store.serializer)
            if live and self.runtime.devices is not None:
                self.runtime.devices.admit(self, live)
        except BackendError as error:
            self.latch(error)
            raise
        finally:
            self.loading = False
        self.loaded = True
        if self.asked and has_app_context():
            g.pop("_login_user", None)  # Flask-Login keeps the answer there
        try:
            settings = self.store.settings
            known = values.keys() & settings.feeding
            self.draft.decode(known.union(settings.logins.among(values)))
        except Undecodable as undecodable:
            self.give_up(undecodable)
        if self.live and ANSWERED not in self.request.environ and self._is_event():
            self._renew(self.live)  # nobody saves at the end of one that only reads
        return self.draft

    def be_ready(self) -> None:
        """Have the session loaded; raise the failure that this request has met."""
        if not self.loaded:
            self.load()
        if self.failure:
            raise self.failure

    def _is_event(self) -> bool:
        """Return whether this is an event of Flask-SocketIO, which has no response."""
        return hasattr(self.request, "sid") and hasattr(self.request, "namespace")

    def latch(self, failure: BackendError | DeviceNotProven) -> None:
        """Remember that there was an outage, or no proof of the device."""
        if self.failure is None:
            self.failure = self.request.environ[FAILURE] = failure

    def give_up(self, undecodable: Undecodable) -> None:
        """Go on without the session: one of its values does not decode."""
        rivals = [self.live.id] if self.live else []
        self._become_new()
        self.rivals = rivals  # a logout or a login ends it
        text = "session %s is ignored: the value of %s cannot be decoded"
        log.warning(text, *(rivals or ["new"]), undecodable)

    # -- requests of the app ----------------------------------------------------------

    def destroy(self, durable: int = 0, end: End = LOGOUT) -> None:
        """Keep the promise of :meth:`ServerSideSession.destroy`."""
        self.store.backend.need(durable)
        if live := self.live:
            self._end(live.id, live, end)
        self._end_moved(end)
        self._end_rivals()
        self.was_ended()
        if live:
            self._send(signals.session_destroyed, live, end)
        if durable:  # a deleted session may still be on the replicas
            came, _ = valid_cookies(self.store, self.request, self.cookie_name)
            self.store.await_replicas(durable, self.ended | {c.id for c in came})

    def rotate(self) -> None:
        """Keep the promise of :meth:`ServerSideSession.rotate`."""
        self.runtime.prove_device(self, within=60)
        changes = self.pending()
        login = self._login(changes)
        if self.live is None or not self.draft:
            self.write(changes)
        elif self.live.verdict is Verdict.GRACE and login is not Login.IN:
            raise StaleCredential
        else:
            self._regenerate(self.live, changes, login is Login.IN)

    def bind(self, binding: Binding, value: object, epoch: Epoch | None) -> None:
        """Keep the promise of :meth:`ServerSideSession.bind`."""
        draft, lists = self.draft, self.store.lists
        keys = [*self.store.settings.indexes[binding.index]]
        if lists.named(binding.index, draft) != binding.value:
            draft[keys[0]] = value
        for key in keys:  # a value that is there already counts as a change
            if key in draft:
                draft[key] = draft[key]
        epochs: Epochs = {} if epoch is None else {binding.names[0]: epoch}
        self.drop_at_login()
        changes = self.pending()
        if self.live:
            self._regenerate(self.live, changes, True, epochs)
        else:
            self._create(changes, True, epochs)
        if self.live is None:
            raise StaleLogin

    def end_moved(self, durable: int) -> bool:
        """End the successor of this request's session, if it moved, as a logout does,
        and rivals; return whether one lived."""
        if self.live or not (self.moved or self.rivals or self.untried):
            return False
        before = self.ended
        self.destroy(durable)
        return self.ended != before

    def note_logout(self) -> None:
        """Take note that a logout was meant where there is no live session to remove
        it from: it may have moved, or it is not known which of several is meant."""
        self.logged_out = self.live is None

    def note_login(self) -> None:
        """Treat this request as a login, even if it names who was logged in before."""
        self.intent = Intent.LOGIN
        self.drop_at_login()

    def was_ended(self) -> None:
        """Take note that this session was just ended by this request."""
        self.delete_cookie = self.presented
        self._become_new()
        self.local["_remember"] = "clear"  # Flask-Login deletes its own cookie

    def was_kept(self, live: Live) -> None:
        """Go on with this session, which was kept when all others were ended.

        It gets a new id where a cookie can still be set: a copy of its cookie ends with
        the others.
        """
        if self.live and self.live.id == live.id:
            self.live = live
            self.draft.rebase(live.record.values)
            stays = live.verdict is Verdict.GRACE or live.record.bound
            if not (stays or self.response_left or self._is_event()):
                self._regenerate(live, self.pending(), False)

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
            self._send(signals.session_changes_dropped, live)
        else:
            self.draft.discard_changes()
            self.intent = Intent.NONE
            if has_app_context():
                g.pop("_login_user", None)  # nobody whose login was refused

    # -- how it ends ----------------------------------------------------------------

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
        if live is None or live.created or self.intent or live.record.pending:
            return False
        repeats = self.store.settings.rotate_every is None and live.record.permanent
        return not repeats and self.store.clock() < self.store.renewal_at(live)

    def write(self, changes: Changes) -> None:
        """Write the changes, and renew the session if that is due."""
        live = self.live
        if live and changes is NO_CHANGES and not self.intent:
            self._renew(live)
        elif self.failure and (live or self.draft or self.logged_out):
            raise self.failure
        elif live is None:
            self._write_new(changes)
        elif changes.cleared and not self.draft:
            self.destroy(end=EMPTIED)
        elif changes.removed and not self.draft:
            self._discard(live)
        else:
            login = self._login(changes)
            if changes.cleared or login is not Login.SAME:
                self._regenerate(live, changes, login is Login.IN)
            else:
                self._save(live, changes)

    def _write_new(self, changes: Changes) -> None:
        """Begin a session of the changes, if there are any. A logout ends those that
        were presented, though this request did not get to see them."""
        if changes is NO_CHANGES and not (self.intent or self.logged_out):
            return
        is_login = self._login(changes) is Login.IN
        if self.logged_out and not is_login:
            ended = self._end_moved()
            self.delete_cookie |= ended or bool(self.rivals or self.untried)
            self._end_rivals()
        begins = is_login or changes.has_content or not self.moved
        if self.draft and begins:
            self._create(changes, is_login)

    def _login(self, changes: Changes) -> Login:
        if self.intent is Intent.LOGIN:
            return Login.IN
        keys = self.store.settings.logins
        if changes.cleared or any(keys.among(changes.keys())):
            return change_of_login(self.draft, keys)
        return Login.SAME

    def _renew(self, live: Live) -> None:
        if self.failure or self.store.clock() < self.store.renewal_at(live):
            return
        try:
            found = self.store.renew(live, self.runtime.metadata(self.request))
            if isinstance(found, Live):
                self._accept(found, NO_CHANGES)
            else:
                self.live = live._replace(credential=None)  # it has ended: no cookie
        except BackendError as error:
            log.warning("session %s was not renewed: %s", live.id, error)

    def _save(self, live: Live, changes: Changes) -> None:
        found = self.store.save(live, changes)
        if isinstance(found, Moved):
            found = moves.follow(self.store, live, found, changes)
        if isinstance(found, Live):
            self._accept(found, changes)
            if not found.record.values:  # others removed the rest
                self._discard(found)
        else:
            self._go_on_without(live, found, changes, False)

    def _create(
        self, changes: Changes, is_login: bool, epochs: Epochs | None = None
    ) -> None:
        if self.moved and not is_login:
            self._drop_changes(None, self.moved)
            return
        if is_login or not self._is_event():  # an event may keep notes of its own
            self._need_response()
        if is_login:
            changes = self.draft.without(self.store.settings.drop_at_login, changes)
        store, meta = self.store, self.runtime.metadata(self.request)
        if self.moved and self.moved.readable:
            created = moves.create(store, self.moved, changes, epochs=epochs, meta=meta)
        else:
            created = store.create(changes, epochs=epochs, meta=meta)
        if is_login:
            store.marker.note()
        self._end_rivals()
        self._accept(created, changes)
        self._send(signals.session_created, created)

    def _regenerate(
        self, live: Live, changes: Changes, is_login: bool, epochs: Epochs | None = None
    ) -> None:
        self._need_response()
        if live.verdict is Verdict.GRACE:  # perhaps a copy: it carries nothing over
            changes = replace(self.draft.alone(), permanent=self.permanent)
            if not changes.has_content:
                self.destroy(end=EMPTIED)
                return
        if is_login:
            changes = self.draft.without(self.store.settings.drop_at_login, changes)
        is_logout = ends_login(self.draft, self.store.settings.logins)
        meta = self.runtime.metadata(self.request)
        found = regeneration.regenerate(
            self.store, live, changes, login=is_login, epochs=epochs, meta=meta
        )
        if isinstance(found, Live):
            self._accept(found, changes)
            if is_login:
                self.store.marker.note()
            if is_logout:
                self.store.tell_ended(live, LOGOUT)
            self._send(signals.session_rotated, found)
        else:
            self._go_on_without(live, found, changes, is_login)

    def _discard(self, live: Live) -> None:
        """Delete the emptied session, unless another request has filled it."""
        deleted, found = self.store.discard(live, EMPTIED)
        if isinstance(found, Live):
            self.live = found
            self.draft.rebase(found.record.values)
            self.write(self.pending())
        elif deleted:
            self.delete_cookie = self.presented
            self._become_new()
            self._send(signals.session_destroyed, live, EMPTIED)
        else:
            self._drop_changes(live, found)

    def _go_on_without(
        self, live: Live, found: Moved | None, changes: Changes, is_login: bool
    ) -> None:
        """The session was ended or moved while this request worked on it.

        The changes of somebody logged in are dropped with the session. Those of an
        anonymous request may begin a new one. After a move only a login may: any other
        cookie would overwrite the one that the move has just set.
        """
        keys = self.store.settings.logins
        anonymous = not live.record.places and was_anonymous(self.draft, keys)
        may_begin = anonymous and changes.has_content and not self.response_left
        if may_begin and (is_login or found is None):
            held = live.record.values if found and live.verdict in OWN else {}
            self.live = None
            self.moved = found and found._replace(values=held, readable=True)
            self.draft.rebase(held)
            self._create(self.pending(), is_login)
        else:
            self._drop_changes(live, found)

    def _drop_changes(self, live: Live | None, found: Moved | None) -> None:
        """Go on without a session, and begin none in this request: its cookie would
        overwrite a better one. A logout by removal means the successor as well."""
        logins, draft = self.store.settings.logins, self.draft
        if found and found.successor:
            was = [key for key in draft.held if not is_nobody(draft.stored(key))]
            left = [key for key in logins.among(was) if is_nobody(draft.get(key))]
            if left and change_of_login(draft, logins) is not Login.IN:
                self._end(found.id, keys=left)
        self._become_new()
        self.moved = found or (Moved(live.id, None) if live else None)
        self._send(signals.session_changes_dropped, live)

    # -- pieces -----------------------------------------------------------------------

    def _accept(self, found: Live, changes: Changes) -> None:
        """Go on with the stored session."""
        self.live = found
        self.draft.saved_as(found.record.values, changes)
        if found.record.flags & PERMANENT or changes.permanent is not None:
            self.expiry_moved = True
        self.written = True
        self.saved |= changes is not NO_CHANGES or bool(self.intent)
        self.intent = Intent.NONE

    def _become_new(self) -> None:
        self.live = self.moved = None
        self.rivals = self.untried = ()
        self.logged_out, self.intent = False, Intent.NONE
        self.draft = Draft({}, self.store.serializer)

    def _end_rivals(self) -> None:
        for credential in [*self.untried][:MAX_RIVALS]:
            found = self.store.load(credential, opened=self.opened)
            if isinstance(found, Live):
                self.rivals = [*self.rivals, found.id]
        end = SEVERAL_COOKIES if len(self.rivals) > 1 else LOGOUT
        for rival in self.rivals:
            self._end(rival, end=end)
        if self.rivals:
            self.rivals_ended = True
            log.warning(
                "%d sessions were presented at once and are ended: several cookies have"
                " the name %r, set by an app of a sibling domain, or before"
                " SESSION_COOKIE_DOMAIN or SESSION_COOKIE_PATH was changed",
                *(len(self.rivals), self.cookie_name),
            )
        self.rivals = self.untried = ()

    def _end_moved(self, end: End = LOGOUT) -> bool:
        moved = self.moved
        return bool(moved and moved.successor and self._end(moved.id, end=end))

    def _end(
        self,
        session_id: str,
        live: Live | None = None,
        end: End = LOGOUT,
        keys: Collection[str] = (),
    ) -> bool:
        """End the session, and its successor where that has the same user; return
        whether one lived."""
        ended = moves.end(self.store, session_id, live, end, keys)
        if ended:
            self.ended |= {session_id, ended.id}
        return ended is not None

    def _need_response(self) -> None:
        if self.response_left or self._is_event():
            raise RuntimeError(
                "No cookie can be set here: the response has left, or there is none, as"
                " in an event of Flask-SocketIO. Log in, rotate, sign out by removal"
                " or begin a session in a request, before its response is returned."
            )

    def _send(self, signal: Signal, live: Live | None, end: End | None = None) -> None:
        if signal.receivers:
            info = self.store.info(live, is_current=True, end=end) if live else None
            signal.send(self.runtime.app, info=info)
            self.told = self.moved is None
