"""``flask.session``: a lazy mapping that records its own changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeVar

from blinker import Signal
from flask import g, has_app_context
from flask.sessions import SessionMixin

from . import rotation, signals
from .arrival import Opening, arrive
from .backends.base import Epoch
from .cells import Found, Held, Superseded
from .changes import Changes
from .config import Settings
from .draft import Draft, Undecodable
from .errors import BackendError, StaleCredential, StaleLogin
from .ids import Credential
from .info import SessionInfo, utc
from .listing import fed, parse_index
from .logins import Login, change_of_login, is_login, is_same_user, was_anonymous
from .record import Binding
from .rotation import Standing
from .states import Cookie, State
from .store import SessionStore

log = logging.getLogger("flask_srvsession")

LOCAL_KEYS = frozenset({"_remember", "_remember_seconds"})
"""Flask-Login's notes to itself within one request: neither loaded nor stored."""

T = TypeVar("T")


class ServerSideSession(SessionMixin):
    """The session of a request: a mapping from str to whatever can be stored.

    Nothing is read before the first access, and nothing is written if nothing
    changed. Changes are found by comparison, nested ones too: ``modified = True`` is
    never needed. May be used from several threads. Everything that reaches the
    storage raises :class:`BackendError` (a 503) when it cannot be reached.

    What the extension and its interface tell a session begins with an underscore:
    templates find attributes before keys, and ``{{ session.cookie }}`` is the app's.
    """

    _loaded = _accessed = _came_with_one = _delete_cookie = _response_left = False
    _forced_save = _forced_login = _expiry_moved = False
    _permanent: bool | None = None
    _held: Held | None = None
    _superseded: Superseded | None = None
    _rivals: Collection[str] = ()
    _ended: frozenset[str] = frozenset()
    _failure: BackendError | None = None
    """The outage that this request has met, if any: it does not wait twice."""
    # There from when the session is loaded:
    _store: SessionStore
    _settings: Settings
    _draft: Draft

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._lock = threading.RLock()
        self._local: dict[str, Any] = {}

    # -- the mapping ----------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        if key in LOCAL_KEYS:
            return self._local[key]
        with self._lock:
            try:
                return self._load()[key]
            except Undecodable as undecodable:
                self._give_up(undecodable)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"Session keys are str, but {key!r} is not.")
        if key in LOCAL_KEYS:
            self._local[key] = value
            return
        with self._lock:
            draft = self._load()
            if key in self._settings.login_keys and is_login(draft.get(key), value):
                self._drop_at_login()
            draft[key] = value

    def __delitem__(self, key: str) -> None:
        if key in LOCAL_KEYS:
            del self._local[key]
            return
        with self._lock:
            del self._load()[key]

    def __contains__(self, key: object) -> bool:
        if key in LOCAL_KEYS:
            return key in self._local
        with self._lock:
            return key in self._load()

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            with suppress(KeyError), self._opened() as draft:
                draft.decode(draft)
            return iter(self._draft)

    def __len__(self) -> int:
        with self._lock:
            return len(self._load())

    def __repr__(self) -> str:
        state = self._held.id if self._held else "new" if self._loaded else "not loaded"
        return f"<{type(self).__name__} {state}>"

    def clear(self) -> None:
        """Empty the session. If it stays empty, the end of the request destroys it;
        if it is filled again, it gets a new id."""
        with self._lock:
            self._load().clear()

    def compute(self, key: str, function: Callable[[Any], T]) -> T:
        """Set `key` to ``function(present value or None)`` and return it.

        Exact under concurrency: if others change the value before this request
        commits, `function` runs again, on theirs. It should have no side effects.
        """
        with self._opened() as draft:
            if key not in LOCAL_KEYS and key not in self._settings.login_keys:
                return draft.compute(key, function)
            self[key] = value = function(self.get(key))
            return value

    # -- what it is -----------------------------------------------------------------

    @property
    def id(self) -> str | None:
        """The public id ``KEY_CREATED``; None before the session is stored."""
        held = self._live()
        return held.id if held else None

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
        held = self._live()
        return utc(self._store.ends_at(held.id)) if held else None

    @property
    def new(self) -> bool:  # type: ignore[override]  # a class attribute in Flask
        """Whether this request came without a live session."""
        held = self._live()
        return held is None or held.created

    @property
    def permanent(self) -> bool:
        """Whether the cookie outlives the browser. Setting it neither loads nor
        stores by itself; the client of a live session gets a new cookie for it."""
        if self._permanent is not None:
            return self._permanent
        held = self._live()
        return held is not None and held.record.permanent

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self._permanent = bool(value)

    @property
    def modified(self) -> bool:
        """Whether there is something to save. Set it to True to save, and so renew,
        the session even if nothing changed."""
        with self._lock:
            state = self._state(self._pending()) if self._loaded else State.UNTOUCHED
            return state not in (State.UNTOUCHED, State.READ)

    @modified.setter
    def modified(self, value: bool) -> None:
        with self._lock:
            if value:
                self._load()
            self._forced_save = bool(value)

    @property
    def accessed(self) -> bool:
        """Whether somebody really looked at the session. Flask sets this as soon as
        the ``session`` proxy is touched, which says less and is ignored."""
        return self._accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        pass

    # -- what can be done with it ---------------------------------------------------

    def destroy(self, *, durable: int = 0) -> None:
        """End this session now, for every copy of its cookie.

        Afterwards the mapping is a new, empty session: ``flash("Bye")`` still works.
        The response deletes the cookie. Raises BackendError if the storage could not
        confirm it; then the session may still live.

        With `durable`, so many replicas of a Redis have it as well; NotReplicated if
        all was done but that. ConfigurationError, and nothing is done, where the
        storage does not know its replicas.
        """
        with self._acting():
            self._store.replicas.need(durable)
            if held := self._held:
                self._end(held.id, held)
            if (moved := self._superseded) and moved.successor:
                self._end(moved.successor)
                self._end(moved.id)
            self._destroy_rivals()
            self._delete_cookie = self._came_with_one
            self._become_new()
            self._local["_remember"] = "clear"  # Flask-Login deletes its own cookie
            if held:
                self._send(signals.session_destroyed, held)
            if durable:  # what is not there any more may still be on the replicas
                presented = {each.id for each in self._opening.credentials()}
                self._store.await_replicas(durable, self._ended | presented)

    def rotate(self) -> None:
        """Give this session a new id now; the old one is dead at once.

        For changes of privilege that are not a login. Content and absolute lifetime
        are carried over; pending changes are saved with it. A session that is not
        stored yet is stored, an empty one destroyed. Raises StaleCredential if the
        client's cookie has a successor already, else as :meth:`commit`.
        """
        with self._acting():
            login = self._login() is Login.IN
            if self._held is None or not self._draft:
                self.commit()
            elif self._held.standing is Standing.GRACE and not login:
                raise StaleCredential
            else:
                self._regenerate(self._held, self._pending(), login=login)

    def bind(self, *, epoch: Epoch | None = None, **index: Any) -> None:
        """Log in now: ``session.bind(user_id=42, epoch=e)``.

        The session gets a new id, is listed under ``user_id=42``, and its key says
        so. With an `epoch` that ``sessions.epoch(user_id=42)`` returned *before* the
        stored password was read, a ``revoke_all`` since then refuses the login:
        StaleLogin. Raises TooManySessions at the limit, TypeError for an unknown index,
        RuntimeError where the response has left, else as :meth:`commit`. A refusal
        leaves the stored session as it was and discards what this request had changed.
        """
        indexes = self._opening.store.settings.indexes
        binding, value = parse_index(indexes, index)
        epochs = {} if epoch is None else {binding: epoch}
        keys = indexes[binding.index]
        with self._acting():
            naming = [k for k in keys if fed(k, self._draft.get(k)) == binding.value]
            if not naming:
                self._draft[keys[0]] = value
            for key in naming:  # what is there already counts as this request's own
                self._draft[key] = self._draft[key]
            self._drop_at_login()
            changes = self._pending()
            if self._held:
                self._regenerate(self._held, changes, login=True, epochs=epochs)
            else:
                self._create(changes, login=True, epochs=epochs)
            if self._held is None:  # it was ended meanwhile
                raise StaleLogin

    def commit(self) -> None:
        """Write now what there is to write.

        A cookie can only be set by the response: in a stream, a websocket or a thread
        that outlives it, an existing session can be saved, but none can be created or
        get a new id (RuntimeError).

        Raises BackendError, SessionTooLarge, TypeError for what cannot be stored, and,
        where a login key has changed, StaleLogin and TooManySessions.
        """
        with self._lock:
            try:
                if self._loaded:
                    self._write()
            except Exception as error:
                self._refuse(error)
                raise

    def _note_login(self) -> None:
        """Treat this request as a login, even if it names who was logged in before."""
        with self._lock:
            self._load()
            self._forced_login = True
            self._drop_at_login()

    def _note_revoked(self) -> None:
        """Take note that this session was just ended from outside, by this request."""
        with self._lock:
            self._load()
            self._delete_cookie = self._came_with_one
            self._become_new()
            self._local["_remember"] = "clear"

    def _note_spared(self, held: Held) -> None:
        """Go on with this session as it was stored when all others were ended."""
        with self._lock:
            draft = self._load()
            if self._held and self._held.id == held.id:
                self._held = held
                draft.rebase(held.record.values)

    # -- how it ends ----------------------------------------------------------------

    def _write(self) -> None:
        changes = self._pending()
        match self._state(changes), self._held:
            case State.UNTOUCHED, _:
                pass
            case State.READ, Held() as held:
                self._renew(held)
            case _ if self._failure:
                raise self._failure
            case State.NEW, None:
                self._create(changes, login=self._login() is Login.IN)
            case State.CHANGED, Held() as held:
                self._save(held, changes)
            case State.REPLACED, Held() as held:
                self._regenerate(held, changes, login=self._login() is Login.IN)
            case State.CLEARED, Held():
                self.destroy()
            case State.EMPTIED, Held() as held:
                self._discard(held)

    def _cookie(
        self, *, repeat: bool, is_public: Callable[[], bool]
    ) -> Credential | Cookie:
        """Return what the response does to the cookie.

        Set only for a session that was created or regenerated, or to hand out a
        successor, but that never with a public response, which a cache would give
        to others. Never set to what the client has already: an old credential that
        comes late would undo a newer one. Only without rotation there is none: then
        the cookie of a permanent session moves its expiry when the session has moved
        its own, or with each request that is to `repeat` it.
        """
        held = self._held
        if held and (credential := held.credential):
            if held.created:
                return credential
            if rotation.has_successor(held.record, credential):
                fresh = self._store.clock() - held.read_at < rotation.FRESH
                if fresh and not is_public():
                    return rotation.successor(held.record, credential)
            current = credential.generation == held.record.generation
            moves = self._expiry_moved or (repeat and held.record.permanent)
            if self._settings.rotate_every is None and current and moves:
                return credential
        return Cookie.DELETE if self._delete_cookie and not held else Cookie.KEEP

    def _time_to_next_cookie(self) -> timedelta:
        """Return how long a cookie that is set now may have to wait for its successor:
        as long as nobody comes to present it, and then for the next rotation."""
        if self._settings.rotate_every is None:
            return timedelta()
        unused = 0 if self.new else self._settings.idle_timeout
        return timedelta(seconds=unused + self._settings.rotate_every)

    def _note_response_left(self) -> None:
        """Remember that from now on no cookie can be set."""
        self._response_left = True

    def _state(self, changes: Changes) -> State:
        if self._held is None:
            return State.NEW if self._draft else State.UNTOUCHED
        if changes and not self._draft:
            return State.CLEARED if changes.cleared else State.EMPTIED
        if not (changes or self._forced_save or self._forced_login):
            return State.READ
        if changes.cleared or self._login() is not Login.SAME:
            return State.REPLACED
        return State.CHANGED

    def _pending(self) -> Changes:
        """Return what this request changed so far; TypeError for what cannot be
        stored."""
        changes = self._draft.changes()
        held, permanent = self._held, self._permanent
        if held and (
            held.standing is Standing.GRACE or permanent == held.record.permanent
        ):
            permanent = None
        return changes if permanent is None else replace(changes, permanent=permanent)

    def _login(self) -> Login:
        if self._forced_login:
            return Login.IN
        return change_of_login(self._draft, self._settings.login_keys)

    def _renew(self, held: Held) -> None:
        if self._failure or not self._store.needs_renewal(held):
            return
        try:
            found = self._store.renew(held, self._opening.metadata())
            if not self._accept(found, Changes()):
                self._held = held._replace(credential=None)  # it is gone: no cookie
        except BackendError as error:
            log.warning("session %s was not renewed: %s", held.id, error)

    def _save(self, held: Held, changes: Changes) -> None:
        found = self._store.save(held, changes)
        if not self._accept(found, changes):
            self._go_on_without(held, found, changes, login=False)
        elif self._held and not self._draft:  # others removed the rest meanwhile
            self._discard(self._held)

    def _create(
        self,
        changes: Changes,
        *,
        login: bool,
        epochs: Mapping[Binding, Epoch] | None = None,
    ) -> None:
        if self._superseded and not login:
            self._drop_changes(None, self._superseded)
            return
        self._need_response()
        created = self._store.create(
            self._without_dropped(changes) if login else changes,
            epochs=epochs,
            meta=self._opening.metadata(),
        )
        if login:
            self._destroy_rivals()
        self._accept(created, changes)
        self._send(signals.session_created, created)

    def _regenerate(
        self,
        held: Held,
        changes: Changes,
        *,
        login: bool,
        epochs: Mapping[Binding, Epoch] | None = None,
    ) -> None:
        self._need_response()
        if held.standing is Standing.GRACE:  # perhaps a copy: it carries nothing over
            changes = replace(self._draft.alone(), permanent=self._permanent)
            if not changes.has_content:
                self.destroy()
                return
        if login:
            changes = self._without_dropped(changes)
        found = self._store.regenerate(
            held, changes, login=login, epochs=epochs, meta=self._opening.metadata()
        )
        if self._accept(found, changes):
            self._send(signals.session_rotated, self._held)
        else:
            self._go_on_without(held, found, changes, login=login, epochs=epochs)

    def _discard(self, held: Held) -> None:
        """Delete the emptied session, unless somebody else has put something in."""
        deleted, found = self._store.discard(held)
        if isinstance(found, Held):
            self._held = found
            self._draft.rebase(found.record.values)
            self.commit()
        elif deleted:
            self._delete_cookie = self._came_with_one
            self._become_new()
            self._send(signals.session_destroyed, held)
        else:
            self._end_successor(found)
            self._drop_changes(held, found)

    def _go_on_without(
        self,
        held: Held,
        found: Found,
        changes: Changes,
        *,
        login: bool,
        epochs: Mapping[Binding, Epoch] | None = None,
    ) -> None:
        """The session was ended or moved while this request worked on it.

        What somebody logged in had changed is dropped with the session. The changes
        of an anonymous request may begin a new one. After a move only a login may:
        any other cookie would overwrite the one that the move has just set.
        """
        keys = self._settings.login_keys
        anonymous = not held.record.bindings and was_anonymous(self._draft, keys)
        may_begin = anonymous and changes.has_content and not self._response_left
        if may_begin and (login or found is None):
            self._held = None
            self._draft.rebase({})
            self._create(self._pending(), login=login, epochs=epochs)
        else:
            self._end_successor(found)
            self._drop_changes(held, found)

    def _end_successor(self, found: Found) -> None:
        """A logout by removal means what the session moved to meanwhile, too, if that
        has the same user: a login of somebody else is not meant."""
        moved = found.successor if isinstance(found, Superseded) else None
        if moved is None or self._login() is not Login.OUT:
            return
        left = [key for key in self._settings.login_keys if key not in self._draft]
        if successor := self._store.trace(moved):
            now = Draft(successor.record.values, self._opening.serializer)
            if is_same_user(self._draft, now, left):
                self._store.destroy(successor.id)

    def _drop_changes(self, held: Held | None, found: Found) -> None:
        """Begin anew, without a session of its own: from now on, too, its cookie would
        overwrite a better one."""
        self._become_new()
        moved = found if isinstance(found, Superseded) else None
        self._superseded = moved or (Superseded(held.id, None) if held else None)
        self._send(signals.session_changes_dropped, held)

    # -- pieces -----------------------------------------------------------------------

    @contextmanager
    def _opened(self) -> Iterator[Draft]:
        """Have the session loaded; a value that does not decode is no session."""
        with self._lock:
            try:
                yield self._load()
            except Undecodable as undecodable:
                self._give_up(undecodable)

    def _give_up(self, undecodable: Undecodable) -> NoReturn:
        log.warning("%r is ignored: %s", self, undecodable)
        ignored = [self._held.id] if self._held else []
        self._become_new()
        self._rivals = ignored  # a logout or a login ends it
        raise KeyError(undecodable.key) from None

    def _refuse(self, error: Exception) -> None:
        """What was refused is not tried again at the end of the request."""
        if isinstance(error, BackendError):
            self._latch(error)
        else:
            self._forget_changes()

    @contextmanager
    def _acting(self) -> Iterator[None]:
        """Do something now; after an outage, nothing is tried again."""
        with self._opened():
            if self._failure:
                raise self._failure
            try:
                yield
            except Exception as error:
                self._refuse(error)
                raise

    def _load(self) -> Draft:
        """Return the values of the session, which is read if it was not yet."""
        if not self._loaded:
            self._accessed = True
            if self._failure:
                raise self._failure
            self._store = self._opening.store
            self._settings = self._store.settings
            try:
                self._find()
            except BackendError as error:
                self._latch(error)
                raise
            self._loaded = True
        return self._draft

    def _latch(self, failure: BackendError) -> None:
        if self._failure is None:
            self._failure = failure
            self._opening.note_failure(failure)

    def _find(self) -> None:
        arrival = arrive(self._opening)
        self._came_with_one = arrival.came_with_one
        self._superseded, self._rivals = arrival.superseded, arrival.rivals
        self._draft = Draft({}, self._opening.serializer)
        if held := arrival.held:
            draft = Draft(held.record.values, self._opening.serializer)
            try:
                draft.decode(self._settings.identifying_keys)
            except Undecodable as undecodable:
                log.warning("session %s is ignored: %s", held.id, undecodable)
                self._rivals = [held.id]
            else:
                self._held, self._draft = held, draft

    def _live(self) -> Held | None:
        with self._lock:
            self._load()
            return self._held

    def _info(self) -> SessionInfo | None:
        held = self._live()
        return self._store.info(held, is_current=True) if held else None

    def _accept(self, found: Found, changes: Changes) -> bool:
        """Go on with what was stored, if something was."""
        if not isinstance(found, Held):
            return False
        self._held = found
        self._draft.saved_as(found.record.values, changes)
        if found.record.permanent or changes.permanent is not None:
            self._expiry_moved = True
        self._forced_save = self._forced_login = False
        return True

    def _become_new(self) -> None:
        self._held = None
        self._superseded = None
        self._rivals = ()
        self._draft = Draft({}, self._opening.serializer)
        self._forced_save = self._forced_login = False

    def _forget_changes(self) -> None:
        self._draft.discard_changes()
        self._forced_save = self._forced_login = False

    def _destroy_rivals(self) -> None:
        for rival in self._rivals:
            self._end(rival)
        self._rivals = ()

    def _end(self, session_id: str, held: Held | None = None) -> None:
        ended = self._store.destroy(session_id, held)
        self._ended |= {session_id, ended.id if ended else session_id}

    def _drop_at_login(self) -> None:
        """Forget what an attacker may have known before: CSRF tokens, mostly."""
        for key in self._settings.drop_at_login:
            if key in self._draft:
                del self._draft[key]
            if has_app_context():
                g.pop(key, None)  # Flask-WTF keeps a copy there

    def _without_dropped(self, changes: Changes) -> Changes:
        """Drop them also from what others have stored meanwhile; but not what this
        request has set since."""
        own, dropped = self._draft.alone().assigned, set(self._settings.drop_at_login)
        kept = {key: own[key] for key in dropped & own.keys()}
        return replace(
            changes,
            assigned={**changes.assigned, **kept},
            removed={*changes.removed, *(dropped - kept.keys())},
        )

    def _need_response(self) -> None:
        if self._response_left:
            raise RuntimeError(
                "The response has left, so no cookie can be set: log in, rotate or "
                "begin a session before the response is returned."
            )

    def _send(self, signal: Signal, held: Held | None) -> None:
        info = self._store.info(held, is_current=True) if held else None
        signal.send(self._opening.app, info=info)
