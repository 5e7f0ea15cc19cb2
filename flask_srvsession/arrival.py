"""Which session a request came with."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, Protocol

from flask import Flask

from . import signals
from .cells import Held, Superseded
from .errors import BackendError
from .ids import Credential
from .rotation import Standing
from .serializers import Serializer
from .store import SessionStore

log = logging.getLogger("flask_srvsession")


class Opening(Protocol):
    """What a session knows of the request that it was opened for."""

    app: Flask
    opened: float

    @property
    def store(self) -> SessionStore: ...
    @property
    def serializer(self) -> Serializer: ...
    def credentials(self) -> list[Credential]:
        """Return the valid cookies, at most three."""

    @property
    def verdicts(self) -> dict[str, Standing]:
        """What this very request was to the sessions it presented, by id."""

    def note_failure(self, failure: BackendError) -> None:
        """Remember that the storage could not be reached."""

    def metadata(self) -> Mapping[str, Any] | None:
        """Return what is to be kept about the client."""


class Arrival(NamedTuple):
    """What the cookies of a request led to."""

    held: Held | None = None
    superseded: Superseded | None = None
    rivals: Collection[str] = ()
    """The ids of several live sessions, of which none is used: a sibling domain can
    plant a cookie beside ours, and browsers do not say which is whose."""

    @property
    def came_with_one(self) -> bool:
        return bool(self.held or self.superseded or self.rivals)


def arrive(opening: Opening) -> Arrival:
    """Try the cookies of a request; raise the alarm for an outdated one, if there is
    no good one of the same session beside it."""
    verdicts = opening.verdicts
    found: dict[str, Held | Superseded] = {}
    replayed: dict[str, Held] = {}
    for credential in opening.credentials():
        verdict = verdicts.get(credential.id)
        admitted = verdict is not None and verdict.admitted
        result = opening.store.load(credential, opened=opening.opened, judged=admitted)
        if isinstance(result, Held) and result.standing is Standing.REPLAYED:
            replayed[result.id] = result
        elif result:
            known = found.get(credential.id)
            found[credential.id] = max(known, result, key=_worth) if known else result
    for session_id, held in replayed.items():
        if session_id not in found and session_id not in verdicts:
            verdicts[session_id] = Standing.REPLAYED
            _alarm(opening, held)
    live = [held for held in found.values() if isinstance(held, Held)]
    if len(live) > 1:
        return Arrival(rivals=[held.id for held in live])
    if live:
        verdicts[live[0].id] = live[0].standing
        return Arrival(held=live[0])
    moved = [moved for moved in found.values() if isinstance(moved, Superseded)]
    return Arrival(superseded=moved[0] if moved else None)


def _worth(found: Held | Superseded) -> int:
    """Rank what several cookies of one session may find."""
    if isinstance(found, Superseded):
        return 0
    return 1 if found.standing is Standing.GRACE else 2


def _alarm(opening: Opening, held: Held) -> None:
    """Somebody used an outdated cookie, so two clients have the same session."""
    log.warning("session %s: an outdated cookie was used", held.id)
    info, policy = opening.store.info(held), opening.store.settings.on_replay
    try:
        if policy == "revoke":
            opening.store.destroy(held.id, held)
        elif callable(policy):
            policy(info)
    finally:
        signals.session_replayed.send(opening.app, info=info)
