"""From the cookies of a request to the one session that it may use."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import NamedTuple

from flask import Flask, Request
from werkzeug.datastructures import MultiDict

from . import signals
from .ending import REPLAY
from .ids import Credential
from .runtime import Runtime
from .store import SessionStore
from .store.records import Live, Moved
from .store.rotation import ADMITTED, Verdict

log = logging.getLogger("flask_srvsession")

MAX_COOKIES = 3
"""How many different valid cookies of our name are tried; browsers send one. Of more,
none is used: somebody has planted them."""

VERDICTS = "flask_srvsession.verdicts"
"""Where the WSGI environ has the verdicts on cookies: a session that is opened again
from the environ of a long-lived connection (Flask-SocketIO does) is judged once."""


FORMER_COOKIE = "flask_srvsession.former_cookie"
"""Where the WSGI environ has the name of a cookie whose session was taken over."""


class Arrival(NamedTuple):
    """The sessions that the cookies of a request lead to."""

    live: Live | None = None
    moved: Moved | None = None
    rivals: Collection[str] = ()
    """The ids of several live sessions, of which none is used: a sibling domain can
    plant a cookie beside ours, and browsers do not tell which is whose."""
    untried: Collection[Credential] = ()
    """Valid cookies that are too many to be tried."""


def arrive(
    store: SessionStore,
    runtime: Runtime,
    request: Request,
    cookie_name: str,
    opened: float,
) -> Arrival:
    """Try the cookies of a request that was `opened` then, and raise the alarm for an
    outdated one, if there is no good one of the same session beside it. Raises
    BackendError in an outage."""
    verdicts: dict[str, Verdict] = request.environ.setdefault(VERDICTS, {})
    credentials, early = valid_cookies(store, request, cookie_name)
    take_over = runtime.take_over
    asking = take_over is not None and not credentials and early is None
    if take_over and asking:
        credentials = [*take_over(store, request, cookie_name)]
    if not 0 < len(credentials) <= MAX_COOKIES:
        return Arrival(None, early, (), credentials)
    found: dict[str, Live | Moved] = {}
    replayed = list[Live]()
    for credential in credentials:
        judged = verdicts.get(credential.id) in ADMITTED
        result = store.load(credential, opened=opened, judged=judged)
        if isinstance(result, Live) and result.verdict is Verdict.REPLAYED:
            if not _has_travelled(request, result, credential):
                replayed.append(result)
                continue
            result = Moved(result.id, result.id, result.record.values)
        elif isinstance(result, Live) and len(credentials) == 1 and not asking:
            verdicts[result.id] = result.verdict
            return Arrival(result, early)
        if result:
            known = found.get(credential.id, result)
            found[credential.id] = max(known, result, key=_worth)
    for outdated in replayed:
        if outdated.id not in found:
            _alarm(store, runtime.app, outdated, verdicts)
    # With rotation, the cookie of a session that was taken over is set anyway.
    sets_cookie = asking and store.settings.rotate_every is None
    return _chosen(found, verdicts, early, sets_cookie)


def valid_cookies(
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


def _chosen(
    found: Mapping[str, Live | Moved],
    verdicts: dict[str, Verdict],
    early: Moved | None,
    sets_cookie: bool,
) -> Arrival:
    """Use the one session that lives, if there is just one."""
    alive = [each for each in found.values() if isinstance(each, Live)]
    if len(alive) > 1:
        return Arrival(None, early, [live.id for live in alive])
    if alive:
        verdicts[alive[0].id] = alive[0].verdict
        live = alive[0]._replace(created=True) if sets_cookie else alive[0]
        return Arrival(live, early)
    moved = [each for each in found.values() if isinstance(each, Moved)]
    return Arrival(None, moved[-1] if moved else early)


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
