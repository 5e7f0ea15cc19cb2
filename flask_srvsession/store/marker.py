"""A small cell for each key prefix: under which secret keys sessions are kept with it,
and from when on sessions count.

Index names, records and cookies are worth nothing under another key. So an app with
another key sees no session, and ends none. Without the marker nobody would be told.

An *era* is the time between two ends of all sessions: it is named by the second in
which it began, and is 0 before the first. A session belongs to the era that its process
knew when it began, and goes with it. So clocks do not matter, and nothing that is made
of an old session, in a request in flight, outlives it.
"""

from __future__ import annotations

import hmac
import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Flag
from itertools import islice
from typing import NamedTuple

import msgpack

from .. import ids
from ..backends.base import Cell, ListsKeys, Version
from ..backends.guarded import Guarded, changing
from ..config import Settings
from ..errors import BackendError

log = logging.getLogger("flask_srvsession")

RENEWED_EVERY = 24 * 60 * 60
"""Seconds after which a login writes the marker anew."""

RECENT = 7 * RENEWED_EVERY
"""Seconds for which a key counts as in use after its latest entry."""

ASKED_EVERY = 3
"""Seconds after which a process asks for the era again: with the time that the storage
may take to answer, all know of a new one within five."""

MOST_LOOKED_AT = 100_000
"""Keys of the storage among which the markers of other prefixes are looked for."""

_ATTEMPTS = 3
_NAME = "secret-keys"


class Keeper(Flag):
    """With whose secret key sessions are kept under the prefix."""

    NOBODY, OURS, ANOTHER = 0, 1, 2
    BOTH = 3  # ours, and lately another one


class LastLogin(NamedTuple):
    """The latest login under a secret key, as unix time, the era of its sessions, and
    the seal of that, which only the owner of the key can compute."""

    used: int
    era: int
    seal: bytes


class Marker:
    """The marker of one key prefix. It has a :class:`LastLogin` for each secret key
    under which somebody has logged in; its name is a digest that only the owner can
    compute."""

    def __init__(
        self,
        backend: Guarded,
        secret_keys: Sequence[str | bytes],
        settings: Settings,
        clock: Callable[[], float],
    ) -> None:
        self.key = f"{settings.key_prefix}{_NAME}"
        self.era = 0
        """The latest that this process has heard of: it never goes back."""
        self.asked = -math.inf
        self._lock = threading.Lock()
        self._backend = backend
        self._secret_keys, self._settings, self._clock = secret_keys, settings, clock
        prefix = settings.key_prefix
        label = f"flask_srvsession.marker.v1:{prefix}"
        macs = [ids.derived(key, label, length=16) for key in reversed(secret_keys)]
        self._own = {mac(prefix.encode()): mac for mac in macs}
        self._due = -math.inf
        self._warned = False

    def keep_up(self) -> None:
        """Know of the era that the storage has, as it was a few seconds ago.

        Of several servers, that of the marker may be down alone: then this goes on with
        the era that is known. BackendError after a timeout: nobody is to wait for two.
        """
        now = self._clock()
        if 0 <= now - self.asked < ASKED_EVERY:
            return
        if self.asked > -math.inf:
            self.asked = now  # others go on meanwhile
        try:
            if self._heard(self._read()[0]) < self.era:
                self._write(int(now), used=False)  # it was lost
        except BackendError as error:
            if not error.quick:
                raise
            log.warning("the marker of the key prefix was not read: %s", error)
        finally:
            self.asked = now

    def is_over(self, era: int) -> bool:
        """Return whether sessions of this era have ended; a later one than that of this
        process is the present one."""
        with self._lock:
            self.era = max(self.era, era)
        return era < self.era

    @changing("revoke")
    def begin_era(self) -> None:
        """End all sessions: a new era begins. Raises BackendError if that is not known
        to be done; it may be done again."""
        now = self._clock()
        if self._write(int(now), anew=True) is None:
            raise BackendError("revoke")
        self.asked = now

    def keeper(self) -> Keeper:
        """Return whose sessions the storage has; BackendError if it cannot tell."""
        entries, _ = self._read()
        self._heard(entries)
        return self._keeper(entries)

    def elsewhere(self) -> list[str]:
        """Return other prefixes under which sessions are kept with our secret keys, as
        far as the storage lists its keys."""
        backend = self._backend.backend
        if not isinstance(backend, ListsKeys):
            return []
        refusals: tuple[type[Exception], ...] = (NotImplementedError, *backend.errors)
        try:
            keys = {*islice(backend.keys(""), MOST_LOOKED_AT)} - {self.key}
        except refusals:
            return []
        found = sorted(k.removesuffix(_NAME) for k in keys if k.endswith(_NAME))
        return [prefix for prefix in found if Keeper.OURS in self._keeper_of(prefix)]

    def _keeper_of(self, prefix: str) -> Keeper:
        settings = replace(self._settings, key_prefix=prefix)
        other = Marker(self._backend, self._secret_keys, settings, self._clock)
        return other.keeper()

    def note(self) -> None:
        """Write, at a login, that sessions are kept under the newest key; warn once if
        that holds for another app's key as well. At most once a day, and a failure is
        no failure of the login."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + RENEWED_EVERY
        try:
            known = self._write(int(now)) or {}
        except BackendError as error:
            log.warning("the marker of the key prefix was not written: %s", error)
            return
        if Keeper.ANOTHER in self._keeper(known) and not self._warned:
            self._warned = True
            log.warning(
                "another SECRET_KEY keeps sessions under the key prefix %r, too: give"
                " each app a SRVSESSION_KEY_PREFIX of its own. If you have changed the"
                " key, this is said for a week",
                self._settings.key_prefix,
            )

    def _write(
        self, now: int, *, used: bool = True, anew: bool = False
    ) -> Mapping[bytes, LastLogin] | None:
        """Enter the newest key for the former ones, with the present era, or that which
        begins `anew`; return the entries that were there, None if others were faster.

        With an era, the former keys keep an entry: a process that has only these must
        know of it, too.
        """
        for _ in range(_ATTEMPTS):
            entries, version = self._read()
            era = max(self.era, self._heard(entries))
            era = max(now, era + 1) if anew else era
            newest, *former = self._own
            at = now if used or newest not in entries else entries[newest].used
            own = {newest: at, **dict.fromkeys(former if era else (), 0)}
            others = {k: e for k, e in entries.items() if k not in self._own}
            sealed = {k: LastLogin(u, era, self._seal(k, era)) for k, u in own.items()}
            data = msgpack.packb({**others, **sealed})
            life = self._settings.absolute_lifetime
            if version is None:
                found = self._backend.add(self.key, data, life)
            else:
                found = self._backend.swap(self.key, data, version, life)
            if found is not None and not isinstance(found, Cell):
                self.is_over(era)
                return entries
        return None

    def _read(self) -> tuple[dict[bytes, LastLogin], Version]:
        """Return the entries that still count, and the version that was read."""
        cell = self._backend.get(self.key)
        if cell is None:
            return {}, None
        try:
            found = dict(msgpack.unpackb(cell.data))
            since = self._clock() - self._settings.absolute_lifetime
            known = {
                key: LastLogin(*entry)
                for key, entry in found.items()
                if len(key) == 16 and [*map(type, entry)] == [int, int, bytes]
                if max(entry[:2]) > since
            }
        except (ValueError, TypeError):
            known = {}  # somebody else's: it is written anew
        return known, cell.version

    def _heard(self, entries: Mapping[bytes, LastLogin]) -> int:
        """Return the latest era that a key of ours has sealed; it is known now."""
        eras = [
            entry.era
            for key, entry in entries.items()
            if key in self._own
            and hmac.compare_digest(self._seal(key, entry.era), entry.seal)
        ]
        latest = max(eras, default=0)
        self.is_over(latest)
        return latest

    def _seal(self, key: bytes, era: int) -> bytes:
        return self._own[key](b"era:%d" % era)

    def _keeper(self, known: Mapping[bytes, LastLogin]) -> Keeper:
        recent = self._clock() - RECENT
        used = {key: entry.used for key, entry in known.items() if entry.used}
        ours = any(key in self._own for key in used)
        others = [at for key, at in used.items() if key not in self._own]
        another = any(at > recent or not ours for at in others)
        keeper = Keeper.OURS if ours else Keeper.NOBODY
        return keeper | Keeper.ANOTHER if another else keeper
