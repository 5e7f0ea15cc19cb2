"""Under which secret keys sessions are kept with a key prefix: one small cell tells.

Index names, records and cookies are worth nothing under another key. So an app with
another key sees no session, and ends none. Without the marker nobody would be told.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto

import msgpack

from .. import ids
from ..backends.base import Cell, Version
from ..backends.guarded import Guarded
from ..config import Settings
from ..errors import BackendError

log = logging.getLogger("flask_srvsession")

RENEWED_EVERY = 24 * 60 * 60
"""Seconds after which a login writes the marker anew."""

RECENT = 7 * RENEWED_EVERY
"""Seconds for which a key counts as in use after its latest entry."""

_ATTEMPTS = 3


class Keeper(Enum):
    """With whose secret key sessions are kept under the prefix."""

    NOBODY = auto()
    OURS = auto()
    BOTH = auto()  # ours, and lately another one
    ANOTHER = auto()


class Marker:
    """The marker of one key prefix. It has an entry for each secret key under which
    somebody has logged in: a digest that only its owner can compute, and when."""

    def __init__(
        self,
        backend: Guarded,
        secret_keys: Sequence[str | bytes],
        settings: Settings,
        clock: Callable[[], float],
    ) -> None:
        prefix = settings.key_prefix
        self._backend = backend
        self._key = f"{prefix}secret-keys"
        self._life = settings.absolute_lifetime
        self._prefix = prefix
        self._clock = clock
        label = f"flask_srvsession.marker.v1:{prefix}"
        self._own = [
            ids.derived(key, label, length=16)(prefix.encode())
            for key in reversed(secret_keys)
        ]
        self._due = -math.inf
        self._warned = False

    def keeper(self) -> Keeper:
        """Return whose sessions the storage has; BackendError if it cannot tell."""
        return self._keeper(self._read()[0])

    def note(self) -> None:
        """Write, at a login, that sessions are kept under the newest key; warn once if
        that holds for another app's key as well. At most once a day, and a failure is
        no failure of the login."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + RENEWED_EVERY
        try:
            known = self._write(int(now))
        except BackendError as error:
            log.warning("the marker of the key prefix was not written: %s", error)
            return
        if self._keeper(known) in (Keeper.ANOTHER, Keeper.BOTH) and not self._warned:
            self._warned = True
            log.warning(
                "another SECRET_KEY keeps sessions under the key prefix %r, too: give"
                " each app a SRVSESSION_KEY_PREFIX of its own. If you have changed the"
                " key, this is said for a week",
                self._prefix,
            )

    def _write(self, now: int) -> Mapping[bytes, int]:
        """Enter the newest key for the former ones; return the entries that were
        there."""
        known: Mapping[bytes, int] = {}
        for _ in range(_ATTEMPTS):
            known, version = self._read()
            entries = {k: at for k, at in known.items() if k not in self._own}
            data = msgpack.packb({**entries, self._own[0]: now})
            if version is None:
                done = self._backend.add(self._key, data, self._life) is not None
            else:
                found = self._backend.swap(self._key, data, version, self._life)
                done = found is not None and not isinstance(found, Cell)
            if done:
                break
        return known

    def _read(self) -> tuple[Mapping[bytes, int], Version]:
        """Return the entries that still count, and the version that was read."""
        cell = self._backend.get(self._key)
        if cell is None:
            return {}, None
        try:
            entries = dict(msgpack.unpackb(cell.data))
            since = self._clock() - self._life
            known = {k: at for k, at in entries.items() if len(k) == 16 and at > since}
        except (ValueError, TypeError):
            known = {}  # somebody else's: it is written anew
        return known, cell.version

    def _keeper(self, known: Mapping[bytes, int]) -> Keeper:
        recent = self._clock() - RECENT
        ours = any(key in self._own for key in known)
        others = any(
            at > recent or not ours for key, at in known.items() if key not in self._own
        )
        if ours:
            return Keeper.BOTH if others else Keeper.OURS
        return Keeper.ANOTHER if others else Keeper.NOBODY
