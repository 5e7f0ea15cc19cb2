"""``flask.session``: a lazy mapping that records its own changes."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from flask.sessions import SessionMixin

from . import logout, saving
from .arrival import be_ready, load
from .backends.base import Epoch
from .draft import NO_CHANGES, Draft
from .ending import LOGOUT
from .errors import SessionRefused
from .info import SessionInfo, utc
from .login_keys import is_nobody
from .logins import is_login
from .serializers import Undecodable
from .signals import session_refused
from .store.records import Live
from .visit import Intent, Visit

LOCAL_KEYS = frozenset({"_remember", "_remember_seconds"})
"""Flask-Login's notes to itself within one request: neither loaded nor stored."""

_MISSING = object()

T = TypeVar("T")


class ServerSideSession(SessionMixin):
    """The session of a request: a mapping from str to any value that can be stored.

    Nothing is read before the first access, and nothing is written if nothing
    changed. Changes are found by comparison, nested ones too: ``modified = True`` is
    never needed. May be used from several threads. Everything that reaches the
    storage raises :class:`BackendError` (a 503) when it cannot be reached.

    ::

        session["cart"] = {"tea": 1}
        session["cart"]["tea"] += 1
        visits = session.compute("visits", lambda value: (value or 0) + 1)
        session.clear()

    The parts of the package reach a session by names that begin with an underscore:
    templates find attributes before keys, and ``{{ session.cookie }}`` is the app's.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._lock = threading.RLock()

    # -- the mapping ----------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        if key in LOCAL_KEYS:
            return self._visit.local[key]
        with self._lock:
            visit = self._visit
            try:
                draft = visit.draft if visit.loaded else load(visit)
                return draft[key]
            except Undecodable as undecodable:
                visit.give_up(undecodable)
                raise

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"Session keys are str, but {key!r} is not.")
        if key in LOCAL_KEYS:
            self._visit.local[key] = value
            return
        with self._lock:
            visit = self._visit
            draft = visit.draft if visit.loaded else load(visit)
            if visit.store.settings.logins[key]:
                if is_login(draft.get(key), value):
                    visit.drop_at_login()
                elif is_nobody(value):
                    visit.note_logout()
            draft[key] = value

    def __delitem__(self, key: str) -> None:
        if key in LOCAL_KEYS:
            del self._visit.local[key]
            return
        with self._lock:
            draft = self._draft()
            if self._visit.store.settings.logins[key]:
                self._visit.note_logout()
            del draft[key]

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Remove `key` and return its value; without one, return the default."""
        if key not in LOCAL_KEYS:
            with self._lock:
                draft = self._draft()
                if key not in draft and self._visit.store.settings.logins[key]:
                    self._visit.note_logout()  # the session may have moved
        return super().pop(key, *(() if default is _MISSING else (default,)))

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, or store the default and return that. None for a
        login key is no logout here: apps prepare each session so."""
        with self._lock:
            visit = self._visit
            meant = visit.logout_meant
            value = super().setdefault(key, default)
            visit.logout_meant = meant
        return value

    def __contains__(self, key: object) -> bool:
        if key in LOCAL_KEYS:
            return key in self._visit.local
        with self._lock:
            return key in self._draft()

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            with suppress(KeyError), self._opened() as visit:
                visit.draft.decode(visit.draft)
            return iter(self._visit.draft)

    def __len__(self) -> int:
        with self._lock:
            return len(self._draft())

    def __repr__(self) -> str:
        visit = self._visit
        state = "new" if visit.loaded else "not loaded"
        return f"<{type(self).__name__} {visit.live.id if visit.live else state}>"

    def __reversed__(self) -> Iterator[str]:
        return iter([*self][::-1])

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self, **other}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**other, **self}

    def __ior__(self, other: Mapping[str, Any]) -> ServerSideSession:
        self.update(other)
        return self

    def copy(self) -> dict[str, Any]:
        """Return the values as a dict: a session itself belongs to its request."""
        return dict(self)

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy(dict(self), memo)

    if not TYPE_CHECKING:  # to a type checker, each attribute would be there

        def __getattr__(self, name: str) -> Any:
            hint = " Its public id is session.id." if name == "sid" else ""
            raise AttributeError(f"A session has no attribute {name!r}.{hint}")

    def clear(self) -> None:
        """Empty the session; it is not permanent any more. If it stays empty, the end
        of the request destroys it; if it is filled again, it gets a new id."""
        with self._lock:
            draft = self._draft()
            self._visit.note_logout()
            self.permanent = False
            draft.clear()

    def compute(self, key: str, function: Callable[[Any], T]) -> T:
        """Set `key` to ``function(present value or None)`` and return it.

        ::

            left = session.compute("credit", lambda credit: (credit or 10) - 1)

        Exact under concurrency: if others change the value before this request
        commits, `function` runs again, on theirs. It should have no side effects.
        """
        with self._opened() as visit:
            if not isinstance(key, str):
                raise TypeError(f"Session keys are str, but {key!r} is not.")
            if key not in LOCAL_KEYS and not visit.store.settings.logins[key]:
                return visit.draft.compute(key, function)
            self[key] = value = function(self.get(key))
            return value

    # -- properties -----------------------------------------------------------------

    @property
    def id(self) -> str | None:
        """The public id ``KEY_CREATED``; None before the session is stored."""
        live = self._live()
        return live.id if live else None

    @property
    def created_at(self) -> datetime | None:
        """When this session began, at the latest login; aware, UTC. None, as the next
        three, before the session is stored."""
        return info.created_at if (info := self._info()) else None

    @property
    def last_seen_at(self) -> datetime | None:
        """When it was last written or renewed; aware, UTC."""
        return info.last_seen_at if (info := self._info()) else None

    @property
    def expires_at(self) -> datetime | None:
        """When it ends if it is not used again; aware, UTC."""
        return info.expires_at if (info := self._info()) else None

    @property
    def ends_at(self) -> datetime | None:
        """When it ends, used or not; aware, UTC."""
        live = self._live()
        return utc(self._visit.store.records.ends_at(live.id)) if live else None

    @property
    def bound(self) -> bool:
        """Whether this session is bound to a device: a copy of its cookie is worth
        nothing elsewhere."""
        live = self._live()
        return live is not None and live.record.bound

    @property
    def device_proved_at(self) -> datetime | None:
        """When the device made the proof that this request shows; aware, UTC. None
        without one."""
        live, devices = self._live(), self._visit.runtime.devices
        at = devices.proved_at(self._visit) if live and devices else None
        return None if at is None else utc(at)

    @property
    def new(self) -> bool:  # type: ignore[override]  # a class attribute in Flask
        """Whether this request came without a live session."""
        live = self._live()
        return live is None or live.new

    @property
    def permanent(self) -> bool:
        """Whether the cookie outlives the browser. Setting it neither loads nor
        stores by itself; the client of a live session gets a new cookie for it."""
        if self._visit.permanent is not None:
            return self._visit.permanent
        live = self._live()
        return live is not None and live.record.permanent

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self._visit.permanent = bool(value)

    @property
    def modified(self) -> bool:
        """Whether there is something to save, or was. Set it to True to save, and so
        renew, the session even if nothing changed."""
        with self._lock:
            return self._visit.loaded and self._visit.is_modified()

    @modified.setter
    def modified(self, value: bool) -> None:
        with self._lock:
            visit = self._visit
            if value:
                self._draft()
                visit.intent = max(visit.intent, Intent.SAVE)
            elif visit.intent is Intent.SAVE:
                visit.intent = Intent.NONE

    @property
    def accessed(self) -> bool:
        """Whether the app really looked at the session. Flask sets this as soon as the
        ``session`` proxy is touched, which says less and is ignored."""
        return self._visit.accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        pass

    # -- verbs ----------------------------------------------------------------------

    def destroy(
        self,
        *,
        durable: int = 0,
        actor: str | int | None = None,
        reason: str | None = None,
    ) -> None:
        """End this session now, for every copy of its cookie.

        ::

            session.destroy()
            flash("You are signed out.")

        Afterwards the mapping is a new, empty session: ``flash("Bye")`` still works.
        The response deletes the cookie. Raises BackendError if the storage could not
        confirm it; then the session may still live.

        With `durable`, so many replicas of a Redis have it as well; NotReplicated if
        all was done but that. ConfigurationError, and nothing is done, where the
        storage does not know its replicas. `actor` and `reason` are for the audit trail
        and the signal; without them "client" and "logout".
        """
        self._act(logout.destroy, durable, LOGOUT.said(actor, reason))

    def rotate(self) -> None:
        """Give this session a new id now; the old one is dead at once.

        ::

            session["is_admin"] = True
            session.rotate()

        For changes of privilege that are not a login. Content and absolute lifetime
        are carried over; pending changes are saved with it. A session that is not
        stored yet is stored, an empty one destroyed. Raises StaleCredential if the
        client's cookie has a successor already, DeviceNotProven where the device has
        to prove itself first, else as :meth:`commit`.
        """
        self._act(saving.rotate)

    def prove_device(self, *, within: float = 60) -> bool:
        """Make sure that this request comes from the device of the session.

        ::

            if not session.prove_device(within=60):
                return redirect(url_for("ask_for_password"))

        Returns True if that was proven within so many seconds; ``device_proved_at``
        says when. Otherwise raises :class:`DeviceNotProven`, which Flask turns into a
        redirect to this very request: the browser proves itself, and the view runs
        again. The changes of this request are discarded; call this first. Returns
        False for a session that is bound to no device: the app decides.
        """
        return self._act(self._visit.runtime.prove_device, within)

    def bind(self, *, epoch: Epoch | None = None, **index: Any) -> None:
        """Log in now.

        ::

            epoch = sessions.epoch(user_id=user.id)
            if check_password_hash(read_hash(user), password):
                session.bind(user_id=user.id, epoch=epoch)

        The session gets a new id, is listed under ``user_id=42``, and its key says
        so. With an `epoch` that ``sessions.epoch(user_id=42)`` returned *before* the
        stored password was read, a ``revoke_all`` since then refuses the login:
        StaleLogin. Raises TooManySessions at the limit, TypeError for an index that is
        unknown or would be fed something else, RuntimeError where the response has
        left, else as :meth:`commit`. A refusal leaves the stored session as it was and
        discards the changes of this request.
        """
        binding = self._visit.runtime.store.lists.parse(index)
        [value] = index.values()
        self._act(saving.bind, binding, value, epoch)

    def commit(self) -> None:
        """Write the changes now.

        ::

            session["progress"] = 0.5
            session.commit()  # other requests see it from here on

        A cookie can only be set by the response: in a stream, a websocket or a thread
        that outlives it, an existing session can be saved, but none can be created or
        get a new id (RuntimeError).

        Raises BackendError, SessionTooLarge, TypeError for a value that cannot be
        stored, and, where a login key has changed, StaleLogin and TooManySessions.
        """
        self._finish()

    # -- for the interface and the extension ----------------------------------------

    def _finish(self) -> bool:
        """Write the changes; return whether the response stays as it is."""
        visit = self._visit
        with self._lock:
            if not visit.loaded:
                return True
            try:
                changes = visit.pending()
                if changes is NO_CHANGES and visit.is_quiet():
                    return True
                saving.write(visit, changes)
                if visit.told and (changes := visit.pending()) is not NO_CHANGES:
                    saving.write(visit, changes)  # those of a receiver of a signal
            except Exception as error:
                self._refuse(error)
                raise
            return False

    # -- pieces -----------------------------------------------------------------------

    def _draft(self) -> Draft:
        """Return the values of the session, which is read if it was not yet."""
        visit = self._visit
        return visit.draft if visit.loaded else load(visit)

    @contextmanager
    def _opened(self) -> Iterator[Visit]:
        """Have the session loaded; a value that does not decode is no session."""
        with self._lock:
            try:
                self._draft()
                yield self._visit
            except Undecodable as undecodable:
                self._visit.give_up(undecodable)
                raise

    def _act(self, act: Callable[..., T], *args: Any) -> T:
        """Do something now; after an outage, nothing is tried again."""
        with self._lock:
            visit = self._visit
            try:
                be_ready(visit)
                return act(visit, *args)
            except Exception as error:
                self._refuse(error)
                raise

    def _refuse(self, error: Exception) -> None:
        self._visit.refuse(error)
        if isinstance(error, SessionRefused):
            session_refused.send(self._visit.runtime.app, error=error)

    def _live(self) -> Live | None:
        with self._lock:
            self._draft()
            return self._visit.live

    def _info(self) -> SessionInfo | None:
        live = self._live()
        return self._visit.store.info(live, is_current=True) if live else None
