"""How many sessions were taken over, and refused: for people, in ``stats``."""

from __future__ import annotations

import json
import logging

from ..backends.base import Cell
from ..backends.guarded import Guarded
from ..errors import BackendError

log = logging.getLogger("flask_srvsession")

TTL = 400 * 86400
ATTEMPTS = 20


class Counts:
    """Counters that all processes of an app share, in one cell of its storage."""

    def __init__(self, backend: Guarded, key_prefix: str) -> None:
        self._backend = backend
        self._key = f"{key_prefix}taken-over"

    def add(self, what: str) -> None:
        """Count one more; an outage is logged, since nobody depends on it."""
        try:
            for _ in range(ATTEMPTS):
                if self._added(what):
                    return
        except BackendError as error:
            log.warning("what was taken over is not counted: %s", error)

    def read(self) -> dict[str, int]:
        """Return the counts. Raises BackendError."""
        return _counted(self._backend.get(self._key))

    def _added(self, what: str) -> bool:
        cell = self._backend.get(self._key)
        counted = _counted(cell)
        counted[what] = counted.get(what, 0) + 1
        data = json.dumps(counted).encode()
        if cell is None:
            return self._backend.add(self._key, data, TTL) is not None
        outcome = self._backend.swap(self._key, data, cell.version, TTL)
        return outcome is not None and not isinstance(outcome, Cell)


def _counted(cell: Cell | None) -> dict[str, int]:
    try:
        found = json.loads(cell.data) if cell else {}
    except ValueError:
        found = {}
    if not isinstance(found, dict):
        return {}
    return {str(k): v for k, v in found.items() if isinstance(v, int)}
