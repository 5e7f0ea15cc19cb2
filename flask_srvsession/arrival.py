"""From the cookies of a request to the one session that it may use."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from flask import Flask, Request, g, has_app_context
from werkzeug.datastructures import MultiDict

from . import signals
from .draft import Draft
from .ending import REPLAY
from .errors import BackendError
from .ids import Credential
from .saving import renew
from .serializers import Undecodable
from .store import SessionStore
from .store.records import Live, Moved, outdated
from .store.rotation import ADMITTED, Verdict
from .visit import Visit

log = logging.getLogger("flask_srvsession")

MAX_COOKIES = 3
"""How many different valid cookies of our name are tried; browsers send one. Of more,
none is used: somebody has planted them."""

VERDICTS = "flask_srvsession.verdicts"
"""Where the WSGI environ has the verdicts on cookies: a session that is opened again
from the environ of a long-lived connection (Flask-SocketIO does) is judged once."""


FORMER_COOKIE = "flask_srvsession.former_cookie"
"""Where the WSGI environ has the name of a cookie whose session was taken over."""


def load(visit: Visit) -> Draft:
    """Find the session that the request came with, and return its values; BackendError
    in an outage."""
    visit.accessed = True
    if visit.failure:
        raise visit.failure
    if visit.loading:  # a filter of log records asks, or a receiver of a signal
        visit.draft, visit.asked = Draft({}, visit.runtime.serializer), True
        return visit.draft
    visit.loading = True
    try:
        # The same to the end, if keys change meanwhile.
        store = visit.store = visit.runtime.store
        _arrive(visit, store)
        live, moved = visit.live, visit.moved
        visit.presented = bool(live or moved or visit.rivals or visit.untried)
        held = moved.values if moved and moved.readable else {}
        values = live.record.values if live else held
        visit.draft = Draft(values, store.serializer)
        if live and visit.runtime.devices is not None:
            visit.runtime.devices.admit(visit, live)
    except BackendError as error:
        visit.latch(error)
        raise
    finally:
        visit.loading = False
    visit.loaded = True
    if visit.asked and has_app_context():
        g.pop("_login_user", None)  # Flask-Login keeps the answer there
    try:
        known = values.keys() & store.settings.feeding
        visit.draft.decode(known.union(store.settings.logins.among(values)))
    except Undecodable as undecodable:
        visit.give_up(undecodable)
    if visit.live and hasattr(visit.request, "sid") and visit.is_event():
        renew(visit, visit.live)  # nobody saves at the end of one that only reads
    return visit.draft


def be_ready(visit: Visit) -> None:
    """Have the session loaded; raise the failure that this request has met."""
    if not visit.loaded:
        load(visit)
    if visit.failure:
        raise visit.failure


def _arrive(visit: Visit, store: SessionStore) -> None:
    """Try the cookies of the request, and raise the alarm for an outdated one, if there
    is no good one of the same session beside it."""
    request, runtime = visit.request, visit.runtime
    verdicts: dict[str, Verdict] = request.environ.setdefault(VERDICTS, {})
    credentials, visit.moved = _credentials(store, request, visit.cookie_name)
    take_over, asking = runtime.take_over, False
    if take_over and not credentials and visit.moved is None:
        credentials, asking = take_over(store, request, visit.cookie_name), True
    visit.credentials = credentials
    if not 0 < len(credentials) <= MAX_COOKIES:
        visit.untried = credentials
        return
    found: dict[str, Live | Moved] = {}
    replayed = list[Live]()
    for credential in credentials:
        judged = verdicts.get(credential.id) in ADMITTED
        result = store.load(credential, opened=visit.opened, judged=judged)
        if isinstance(result, Live) and result.verdict is Verdict.REPLAYED:
            if not _has_travelled(request, result, credential):
                replayed.append(result)
                continue
            result = outdated(result.id, result.record)
        elif isinstance(result, Live) and len(credentials) == 1 and not asking:
            verdicts[result.id], visit.live = result.verdict, result
            return
        if result:
            known = found.get(credential.id, result)
            found[credential.id] = max(known, result, key=_worth)
    for live in replayed:
        if live.id not in found:
            _alarm(store, runtime.app, live, verdicts)
    # With rotation, the cookie of a session that was taken over is set anyway.
    sets_cookie = asking and store.settings.rotate_every is None
    _choose(visit, found, verdicts, sets_cookie)


def _choose(
    visit: Visit,
    found: Mapping[str, Live | Moved],
    verdicts: dict[str, Verdict],
    sets_cookie: bool,
) -> None:
    """Use the one session that lives, if there is just one."""
    alive = [each for each in found.values() if isinstance(each, Live)]
    if len(alive) > 1:
        visit.rivals = [live.id for live in alive]
    elif alive:
        [live] = alive
        verdicts[live.id] = live.verdict
        visit.live = live._replace(new=True) if sets_cookie else live
    elif found:
        *_, visit.moved = (each for each in found.values() if isinstance(each, Moved))


def _credentials(
    store: SessionStore, request: Request, cookie_name: str
) -> tuple[list[Credential], Moved | None]:
    """Return the valid cookies of the request, each once.

    One that was made in the future is none, since the clocks of the servers differ; but
    nothing may overwrite it, either: it is returned beside them.
    """
    valid: list[Credential] = []
    early: Moved | None = None
    for value in cookies(request, cookie_name):
        credential = store.signer.loads(value)
        if credential is None or credential in valid:
            continue
        plausible = store.is_plausible(credential.id)
        if plausible:
            valid.append(credential)
        elif plausible is None:
            early = Moved(credential.id, None)
    return valid, early


def cookies(request: Request, name: str) -> list[str]:
    """Return the values of all cookies of this name, as ``request.cookies`` has them,
    but without parsing the others, where nothing is special."""
    header: str = request.environ.get("HTTP_COOKIE", "")
    # A semicolon may be quoted. An app's own class may have cookies of its own.
    if '"' in header or request.__class__.cookies is not Request.cookies:
        return MultiDict(request.cookies).getlist(name)
    values: list[str] = []
    for pair in header.split(";"):
        if name in pair:
            key, _, value = pair.partition("=")
            if key.strip(" \t") == name:
                values.append(value.strip(" \t"))
    return values


def _has_travelled(request: Request, live: Live, credential: Credential) -> bool:
    """Return whether a request with an outdated cookie may have been on its way for
    long: a proxy hands a request on only when its body is complete. It is refused,
    but no theft: it presents the token before the current one."""
    environ = request.environ
    length = environ.get("CONTENT_LENGTH")
    has_body = length not in (None, "", "0") or "HTTP_TRANSFER_ENCODING" in environ
    return has_body and credential.generation == live.record.generation - 1


def _alarm(
    store: SessionStore, app: Flask, live: Live, verdicts: dict[str, Verdict]
) -> None:
    """Tell that an outdated cookie was used, so two clients have the session; once,
    however often this very request is opened."""
    if live.id in verdicts:
        return
    verdicts[live.id] = Verdict.REPLAYED
    log.warning("session %s: an outdated cookie was used", live.id)
    policy = store.settings.on_replay
    info = store.info(live, end=REPLAY if policy == "revoke" else None)
    try:
        if policy == "revoke":
            store.destroy(live.id, live, REPLAY)
        elif callable(policy):
            policy(info)
    finally:
        signals.session_replayed.send(app, info=info)


def _worth(found: Live | Moved) -> int:
    """Rank the results that several cookies of one session may have."""
    if isinstance(found, Moved):
        return 0
    return 1 if found.verdict is Verdict.GRACE else 2
