"""Everything that is kept of one person: told, or removed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..backends.base import Erases
from ..ending import End
from ..store import SessionStore, revocation
from ..store.records import TOMBSTONE_TTL, Live
from . import display
from .desk import Desk, note

WAIT = TOMBSTONE_TTL + 1
"""Seconds until nothing tells any more where a session has moved to."""


def kept(desk: Desk, whose: Mapping[str, str], *, values: bool) -> list[dict[str, Any]]:
    """Return all that is kept about each session of an index value: with `values`,
    those that it holds, else only their keys."""
    store = desk.store
    binding = store.lists.parse(whose)
    return [
        {
            **display.session_facts(store.info(live)),
            "permanent": live.record.permanent,
            "values": _values(store, live) if values else sorted(live.record.values),
        }
        for found in revocation.find(store, binding)  # without their values
        if (live := store.peek(found.id))
    ]


def erase(desk: Desk, whose: Mapping[str, str], *, end: End) -> int:
    """End all sessions of an index value, and leave nothing of them: no record, no
    entry, no epoch; return how many there were.

    An epoch stays where somebody has signed in meanwhile.
    """
    store = desk.store
    binding = store.lists.parse(whose)
    names = set(binding.names)
    for live in revocation.find(store, binding):
        names |= live.record.places.keys()
    ended: int = desk.sessions._revoke_all(dict(whose), end=end)
    backend = desk.backend
    if not isinstance(backend, Erases):
        kind = type(backend).__name__
        note(f"A {kind} cannot erase: what is left is removed when it expires.")
        return ended
    note(f"Waiting {WAIT} seconds: for so long a session tells where it has moved to.")
    time.sleep(WAIT)
    backend.erase([store.lists.name(name) for name in names])
    return ended


def _values(store: SessionStore, live: Live) -> dict[str, Any]:
    return {k: _value(store, v) for k, v in sorted(live.record.values.items())}


def _value(store: SessionStore, data: bytes) -> Any:
    try:
        return store.serializer.loads(data)
    except Exception:  # an object's own serializer may raise anything
        return f"cannot be decoded: {data.hex()}"
