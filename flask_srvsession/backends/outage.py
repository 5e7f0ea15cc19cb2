"""An outage from its first failure to its end: the log's lines, and a breaker."""

from __future__ import annotations

import logging
import threading

from ..errors import BackendError

log = logging.getLogger("flask_srvsession")

HANGS_AFTER = 3
"""Timeouts in a row from which on a storage is taken to hang."""

PROBE_EVERY = 1.0
"""Seconds between two calls that find out whether it still hangs."""

COUNT_EVERY = 5.0
"""Seconds between two lines of an outage that lasts."""

CALM = 1.0
"""Seconds without a failure, after which a success ends the outage."""

MOST_CAUSES = 10
"""Causes of one outage that get a line of their own."""


class StorageHangs(Exception):
    """The storage was not asked: it did not answer others in time."""


class Outage:
    """The failures of one storage, as they are known, by all threads of a process.

    `breaks` is whether calls fail at once while the storage hangs: not where one of
    several servers may hang, and the others answer.
    """

    def __init__(self, *, breaks: bool = True) -> None:
        self.on = False
        """Whether a call has failed, and none has succeeded a while later."""
        self.begun = 0
        """How many outages there were."""
        self._breaks = breaks
        self._lock = threading.Lock()
        self._timeouts = 0
        self._next_probe = 0.0
        self._began = self._failed_at = self._told_at = 0.0
        self._count = 0
        self._has_hung = False
        self._causes: set[str] = set()

    def admit(self, operation: str, now: float) -> None:
        """Return if the storage may be asked; else raise BackendError."""
        if not self.is_hanging:
            return
        with self._lock:
            if now >= self._next_probe:
                self._next_probe = now + PROBE_EVERY
                return
            self._count += 1
        raise BackendError(operation) from StorageHangs()

    @property
    def is_hanging(self) -> bool:
        """Whether calls fail at once, except for a probe now and then."""
        return self._breaks and self._timeouts >= HANGS_AFTER

    def failed(
        self, operation: str, cause: str, now: float, *, late: bool | None
    ) -> None:
        """Note a failure; `late` is that of a call that has waited for a timeout, None
        where that tells nothing about the storage."""
        with self._lock:
            if not self.on:
                self.on, self._began, self._told_at, self._count = True, now, now, 0
                self._causes.clear()
                self._has_hung = False
                self.begun += 1
            self._failed_at = now
            self._count += 1
            if late is not None:
                self._timeouts = self._timeouts + 1 if late else 0
            if begins := self.is_hanging and self._timeouts == HANGS_AFTER:
                self._next_probe = now + PROBE_EVERY
                begins, self._has_hung = not self._has_hung, True
            lasts = now - self._told_at >= COUNT_EVERY
            if lasts:
                self._told_at = now
            is_new = cause not in self._causes and len(self._causes) < MOST_CAUSES
            if is_new:
                self._causes.add(cause)
            count, seconds = self._count, now - self._began
        if is_new:
            log.error("storage failed at %s: %s", operation, cause)
        if begins:
            log.error("storage hangs: it is asked once a second, and the rest fails")
        if lasts:
            log.error("storage fails: %d calls in %.0f s; %s", count, seconds, cause)

    def worked(self, now: float) -> None:
        """Note a success: the storage does not hang, and the outage may be over."""
        self._timeouts = 0
        if now - self._failed_at < CALM:
            return
        with self._lock:
            if not self.on:
                return
            self.on = False
            count, seconds = self._count, self._failed_at - self._began
        log.warning("storage answers again: %d calls failed in %.1f s", count, seconds)
