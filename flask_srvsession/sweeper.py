"""Removes expired records every now and then, in one of the processes of an app."""

from __future__ import annotations

import logging
import os
import random
import threading
import weakref

from .backends.base import Backend
from .backends.guarded import Guarded
from .errors import BackendError

log = logging.getLogger("flask_srvsession")

THREAD_NAME = "srvsession-sweep"
SOON = 60.0
"""Seconds within which a process looks for the first time: it may not live long."""


class Sweeper:
    """Sweeps a storage every `every` seconds while its app lives.

    Each process of the app has a thread for it, but only one of them sweeps: the one
    that stores a record under `key` first, which expires when it is time again.
    """

    def __init__(self, backend: Backend, key: str, every: int) -> None:
        self._work = Guarded(backend), key, every
        self._stops: dict[int, threading.Event] = {}

    def begin(self) -> None:
        """Start the thread of this process, if there is none.

        To be called when a request comes in: servers fork before that, and neither
        commands nor the reloader's parent get one. No thread survives a fork.
        """
        process = os.getpid()
        if process in self._stops:
            return
        stop = threading.Event()
        if self._stops.setdefault(process, stop) is not stop:
            return
        # The thread knows nothing of the app: when that is gone, or ends, so does it.
        weakref.finalize(self, stop.set).atexit = False
        args = (stop, *self._work)
        thread = threading.Thread(
            target=_go_on, args=args, name=THREAD_NAME, daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # no more threads; the next request tries again
            log.warning("nobody sweeps in this process: %s", error)
            del self._stops[process]


def _go_on(stop: threading.Event, guarded: Guarded, key: str, every: int) -> None:
    wait = random.uniform(0, min(every, SOON))  # noqa: S311 (no secret)
    while not stop.wait(wait):
        wait = every / 4
        try:
            sweep_if_due(guarded, key, every)
        except BackendError:
            pass  # the guard has logged it
        except Exception:
            log.exception("sweeping failed")


def sweep_if_due(guarded: Guarded, key: str, every: int) -> None:
    """Sweep, unless somebody did so within the last `every` seconds."""
    # Asked first, as databases log an insert that is refused.
    if guarded.get(key) is None and guarded.add(key, b"", every) is not None:
        removed = guarded.once("sweep", guarded.backend.sweep)
        log.info("%d expired records were removed", removed)
