"""The device of a record, and how it changes: one swap each.

A session is *registered* when its record has a key, and *bound* from the first
request that shows the cookie that the key was worth: only then is it sure that the
browser knows of it. Bound, it stays so to its end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from ..errors import BackendError
from ..store import SessionStore
from ..store.record import BOUND, Record
from ..store.records import MAX_ATTEMPTS, Found, Live

log = logging.getLogger("flask_srvsession")

ANSWER_LOST = 60
"""Seconds after which a registration that no request has shown may be repeated: its
answer was lost. Earlier, another one is on its way at the same time."""


class Device(NamedTuple):
    """The device of a record."""

    key: bytes
    """Its public key: x and y."""
    generation: int
    """How many proofs there were."""
    time: int
    """When the last one was, as unix time."""


def device_of(record: Record) -> Device | None:
    """Return the device that is registered for the session of this record."""
    return Device._make(record.device) if record.device else None


def is_free(record: Record, now: float) -> bool:
    """Return whether a device may be registered."""
    device = device_of(record)
    if device is None:
        return True
    return not record.bound and now >= device.time + ANSWER_LOST


def register(store: SessionStore, live: Live, key: bytes) -> Found:
    """Return the session, registered for `key`, unless it was ended meanwhile, or
    another key was registered: then as it is."""

    def registered(record: Record) -> Record | None:
        now, device = store.clock(), device_of(record)
        if not is_free(record, now):
            return None
        generation = device.generation + 1 if device else 1
        return record._replace(device=Device(key, generation, int(now)))

    return _changed(store, live, registered)


def refresh(store: SessionStore, live: Live, before: Device) -> tuple[bool, Found]:
    """Raise the generation of the device by one; return whether that was done, and the
    session that became of the session. It is not done if the device is not as `before`
    any more."""
    raised = Device(before.key, before.generation + 1, int(store.clock()))

    def proven(record: Record) -> Record | None:
        if device_of(record) != before:
            return None
        return record._replace(device=raised, flags=record.flags | BOUND)

    found = _changed(store, live, proven)
    return isinstance(found, Live) and found.record.device is raised, found


def _changed(
    store: SessionStore, live: Live, change: Callable[[Record], Record | None]
) -> Found:
    """Return the session, with the record that `change` makes of its own; as it is
    where that makes none."""
    for _ in range(MAX_ATTEMPTS):
        record = change(live.record)
        if record is None:
            return live
        found = store.records.swap(live, record)
        if not isinstance(found, Live) or found.record is record:
            return found
        live = found
    raise BackendError("save")


def bind(store: SessionStore, live: Live) -> Live:
    """Return the session, bound: a request has shown the cookie of its device.

    If that cannot be stored now, the next request does it.
    """
    record = live.record._replace(flags=live.record.flags | BOUND)
    try:
        found = store.records.swap(live, record)
    except BackendError as error:
        log.warning("session %s was not bound to its device: %s", live.id, error)
        return live
    return found if isinstance(found, Live) and found.record is record else live
