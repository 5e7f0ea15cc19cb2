"""How many sessions were taken over, and refused: for people, in ``stats``."""

from __future__ import annotations

import json
import logging
from collections import Counter

from ..backends.base import Cell
from ..backends.guarded import Guarded
from ..errors import BackendError

log = logging.getLogger("flask_srvsession")

NAME = "taken-over"
"""The end of the key of the one cell that has the counts, for all processes."""

TTL = 400 * 86400
ATTEMPTS = 20


def add(backend: Guarded, key_prefix: str, what: str) -> None:
    """Count one more; an outage is logged, since nobody depends on it."""
    try:
        for _ in range(ATTEMPTS):
            if _added(backend, key_prefix + NAME, what):
                return
    except BackendError as error:
        log.warning("what was taken over is not counted: %s", error)


def read(backend: Guarded, key_prefix: str) -> Counter[str]:
    """Return the counts. Raises BackendError."""
    return _counted(backend.get(key_prefix + NAME))


def _added(backend: Guarded, key: str, what: str) -> bool:
    cell = backend.get(key)
    counted = _counted(cell) + Counter([what])
    data = json.dumps(counted).encode()
    if cell is None:
        return backend.add(key, data, TTL) is not None
    outcome = backend.swap(key, data, cell.version, TTL)
    return outcome is not None and not isinstance(outcome, Cell)


def _counted(cell: Cell | None) -> Counter[str]:
    return Counter(json.loads(cell.data) if cell else {})
