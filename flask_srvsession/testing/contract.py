"""The contract that every backend proves."""

from __future__ import annotations

from .contract_cells import CellContract
from .contract_index import IndexContract
from .contract_many import ManyContract


class BackendContract(CellContract, ManyContract, IndexContract):
    """The duties of every backend; subclass it and provide the fixture `backend`.

    Where time is that of an injected clock, override ``elapse(seconds)``; where the
    storage counts whole seconds, set ``shortest_ttl = 2``.
    """
