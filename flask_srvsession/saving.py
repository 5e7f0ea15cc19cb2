"""The end of a request: its changes are written, and the session begins, gets a new id
or is renewed where that is due.

Read :func:`write` first: each of its branches is one function below. All are called
with the session's lock held.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from . import moves, signals
from .backends.base import Epoch
from .draft import NO_CHANGES, Changes
from .ending import EMPTIED, LOGOUT
from .errors import BackendError, StaleCredential, StaleLogin
from .login_keys import is_nobody
from .logins import Login, change_of_login, ends_login, was_anonymous
from .logout import destroy, end_moved, end_rivals
from .store import regeneration
from .store.lists import Binding
from .store.records import Live, Moved
from .store.rotation import OWN, Verdict
from .visit import Intent, Visit

log = logging.getLogger("flask_srvsession")

Epochs = Mapping[bytes, Epoch]
"""Those that a login may rely on, by the names of lists."""


def write(visit: Visit, changes: Changes) -> None:
    """Write the changes, and renew the session if that is due."""
    live = visit.live
    if live and changes is NO_CHANGES and not visit.intent:
        renew(visit, live)
    elif visit.failure and (live or visit.draft or visit.logout_meant):
        raise visit.failure
    elif live is None:
        _begin(visit, changes)
    elif changes.cleared and not visit.draft:
        destroy(visit, by=EMPTIED)
    elif changes.removed and not visit.draft:
        _discard(visit, live)
    else:
        login = _login(visit, changes)
        if changes.cleared or login is not Login.SAME:
            _regenerate(visit, live, changes, login is Login.IN)
        else:
            _save(visit, live, changes)


def _begin(visit: Visit, changes: Changes) -> None:
    """Begin a session of the changes, if there are any. A logout ends those that
    were presented, though this request did not get to see them."""
    if changes is NO_CHANGES and not (visit.intent or visit.logout_meant):
        return
    is_login = _login(visit, changes) is Login.IN
    if visit.logout_meant and not is_login:
        ended = end_moved(visit) or visit.rivals or visit.untried
        visit.delete_cookie |= bool(ended)
        end_rivals(visit)
    if not visit.draft:
        return
    if is_login or not visit.moved:
        _create(visit, changes, is_login)
    elif changes.has_content:
        _drop_changes(visit, None, visit.moved)


def _create(
    visit: Visit, changes: Changes, is_login: bool, epochs: Epochs | None = None
) -> None:
    if is_login or not visit.is_event():  # an event may keep notes of its own
        visit.need_response()
    if is_login:
        changes = visit.draft.without(visit.store.settings.drop_at_login, changes)
    store, meta = visit.store, visit.runtime.metadata(visit.request)
    if visit.moved and visit.moved.readable:
        created = moves.create(store, visit.moved, changes, epochs=epochs, meta=meta)
    else:
        created = store.create(changes, epochs=epochs, meta=meta)
    if is_login:
        store.marker.note()
    end_rivals(visit)
    visit.accept(created, changes)
    visit.send(signals.session_created, created)


def renew(visit: Visit, live: Live) -> None:
    """Note that the session is used, if that is due; an outage is no failure here."""
    if visit.failure or visit.store.clock() < visit.store.renewal_at(live):
        return
    try:
        found = visit.store.renew(live, visit.runtime.metadata(visit.request))
        if isinstance(found, Live):
            visit.accept(found, NO_CHANGES)
        else:
            visit.live = live._replace(credential=None)  # it has ended: no cookie
    except BackendError as error:
        log.warning("session %s was not renewed: %s", live.id, error)


def _save(visit: Visit, live: Live, changes: Changes) -> None:
    found = visit.store.save(live, changes)
    if isinstance(found, Moved):
        found = moves.follow(visit.store, live, found, changes)
    if isinstance(found, Live):
        visit.accept(found, changes)
        if not found.record.values:  # others removed the rest
            _discard(visit, found)
    else:
        _go_on_without(visit, live, found, changes, False)


def _discard(visit: Visit, live: Live) -> None:
    """Delete the emptied session, unless another request has filled it."""
    deleted, found = visit.store.discard(live, EMPTIED)
    if isinstance(found, Live):
        visit.live = found
        visit.draft.rebase(found.record.values)
        write(visit, visit.pending())
    elif deleted:
        visit.delete_cookie = visit.presented
        visit.become_new()
        visit.send(signals.session_destroyed, live, EMPTIED)
    else:
        _drop_changes(visit, live, found)


def _regenerate(
    visit: Visit,
    live: Live,
    changes: Changes,
    is_login: bool,
    epochs: Epochs | None = None,
) -> None:
    visit.need_response()
    if live.verdict is Verdict.GRACE:  # perhaps a copy: it carries nothing over
        changes = replace(visit.draft.alone(), permanent=visit.permanent)
        if not changes.has_content:
            destroy(visit, by=EMPTIED)
            return
    if is_login:
        changes = visit.draft.without(visit.store.settings.drop_at_login, changes)
    is_logout = ends_login(visit.draft, visit.store.settings.logins)
    meta = visit.runtime.metadata(visit.request)
    found = regeneration.regenerate(
        visit.store, live, changes, login=is_login, epochs=epochs, meta=meta
    )
    if isinstance(found, Live):
        visit.accept(found, changes)
        if is_login:
            visit.store.marker.note()
        if is_logout:
            visit.store.tell_ended(live, LOGOUT)
        visit.send(signals.session_rotated, found)
    else:
        _go_on_without(visit, live, found, changes, is_login)


def _go_on_without(
    visit: Visit, live: Live, found: Moved | None, changes: Changes, is_login: bool
) -> None:
    """The session was ended or moved while this request worked on it.

    The changes of somebody logged in are dropped with the session. Those of an
    anonymous request may begin a new one. After a move only a login may: any other
    cookie would overwrite the one that the move has just set.
    """
    keys = visit.store.settings.logins
    anonymous = not live.record.places and was_anonymous(visit.draft, keys)
    may_begin = anonymous and changes.has_content and not visit.response_left
    if may_begin and (is_login or found is None):
        held = live.record.values if found and live.verdict in OWN else {}
        visit.live = None
        visit.moved = found and found._replace(values=held, readable=True)
        visit.draft.rebase(held)
        _create(visit, visit.pending(), is_login)
    else:
        _drop_changes(visit, live, found)


def _drop_changes(visit: Visit, live: Live | None, found: Moved | None) -> None:
    """Go on without a session, and begin none in this request: its cookie would
    overwrite a better one. A logout by removal means the successor as well."""
    logins, draft = visit.store.settings.logins, visit.draft
    if found and found.successor:
        empty = [key for key in logins.among(draft.held) if is_nobody(draft.get(key))]
        left = [key for key in empty if not is_nobody(draft.stored(key))]
        if left and change_of_login(draft, logins) is not Login.IN:
            moves.end(visit.store, found.id, keys=left)
    visit.become_new()
    visit.moved = found or (Moved(live.id, None) if live else None)
    visit.send(signals.session_changes_dropped, live)


def _login(visit: Visit, changes: Changes) -> Login:
    if visit.intent is Intent.LOGIN:
        return Login.IN
    keys = visit.store.settings.logins
    if changes.cleared or any(keys.among(changes.keys())):
        return change_of_login(visit.draft, keys)
    return Login.SAME


def rotate(visit: Visit) -> None:
    """Keep the promise of :meth:`ServerSideSession.rotate`."""
    visit.runtime.prove_device(visit, within=60)
    changes = visit.pending()
    login = _login(visit, changes)
    if visit.live is None or not visit.draft:
        write(visit, changes)
    elif visit.live.verdict is Verdict.GRACE and login is not Login.IN:
        raise StaleCredential
    else:
        _regenerate(visit, visit.live, changes, login is Login.IN)


def bind(visit: Visit, binding: Binding, value: object, epoch: Epoch | None) -> None:
    """Keep the promise of :meth:`ServerSideSession.bind`."""
    draft, lists = visit.draft, visit.store.lists
    keys = [*visit.store.settings.indexes[binding.index]]
    if lists.named(binding.index, draft) != binding.value:
        draft[keys[0]] = value
        if lists.named(binding.index, draft) != binding.value:
            raise TypeError(
                f"session[{keys[0]!r}] = ... does not feed {binding.index!r} with the"
                " value that bind() was given: set the session keys that do so first,"
                " and give bind() the value that comes of them."
            )
    for key in keys:  # a value that is there already counts as a change
        if key in draft:
            draft[key] = draft[key]
    epochs: Epochs = {} if epoch is None else {binding.names[0]: epoch}
    visit.drop_at_login()
    changes = visit.pending()
    if visit.live:
        _regenerate(visit, visit.live, changes, True, epochs)
    else:
        _create(visit, changes, True, epochs)
    if visit.live is None:
        raise StaleLogin


def keep(visit: Visit, live: Live) -> None:
    """Go on with this session, which was kept when all others were ended.

    It gets a new id where a cookie can still be set: a copy of its cookie ends with
    the others.
    """
    if visit.live and visit.live.id == live.id:
        visit.live = live
        visit.draft.rebase(live.record.values)
        stays = live.verdict is Verdict.GRACE or live.record.bound
        if not (stays or visit.response_left or visit.is_event()):
            _regenerate(visit, live, visit.pending(), False)
