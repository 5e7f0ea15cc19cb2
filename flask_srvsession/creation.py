"""How a session begins: stored under a fresh id, then listed, and known to nobody yet.

Only here are records added. An id whose ``add`` may have been executed is never tried
again: the delayed one could bring a destroyed session back. A session that is refused a
place in a list is withdrawn, so that nothing of it is left. Its cookie may be set only
when all that is done.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from . import ids
from .backends.base import Epoch, Token
from .cells import Held, RecordCells
from .errors import BackendError
from .ids import Credential
from .listing import Listing, new_mark
from .places import Places
from .record import OPERATION_LENGTH, TRACE_LENGTH, Binding, Record

log = logging.getLogger("flask_srvsession")


class Creation:
    """Begins sessions: new ones, and what others are regenerated to."""

    def __init__(
        self,
        cells: RecordCells,
        listing: Listing,
        places: Places,
        clock: Callable[[], float],
    ) -> None:
        self._cells = cells
        self._listing = listing
        self._places = places
        self._clock = clock

    def establish(
        self,
        values: Mapping[str, bytes],
        *,
        permanent: bool,
        meta: Mapping[str, Any] | None,
        epochs: Mapping[Binding, Epoch],
        born: int | None = None,
        replaced: Held | None = None,
    ) -> Held:
        """Add a session that was `born` then, or now, bound and listed.

        What it is to replace hands on its bindings and its places. Raises as
        :meth:`Places.take` does; then nothing of it is left.
        """
        self._cells.check_size(values)
        carried = replaced.record.bindings if replaced else {}
        token, now = ids.new_token(), int(self._clock())
        record = Record(
            generation=1,
            token_hash=ids.token_hash(token),
            chain=secrets.token_bytes(16),
            since=now,
            last_seen=now,
            permanent=permanent,
            bindings=self._listing.bindings(values, carried, epochs, new_mark()),
            operations=(secrets.token_bytes(OPERATION_LENGTH),),
            replaces=replaced.id[:TRACE_LENGTH] if replaced else None,
            meta=meta,
            values=values,
        )
        session_id, version = self._add(record, now if born is None else born)
        fresh = Held(
            session_id,
            record,
            version,
            self._clock(),
            Credential(session_id, 1, token),
            created=True,
        )
        try:
            self._places.take(session_id, record.bindings, replaced)
        except Exception as error:
            self.withdraw(fresh, error)
            raise
        return fresh

    def withdraw(self, fresh: Held, reason: Exception | None = None) -> None:
        """Delete a session that nobody knows; one that stays ends by its TTL.

        After a timeout it stays: the client has waited for one already.
        """
        if isinstance(reason, BackendError) and not reason.quick:
            return
        try:
            self._cells.delete(fresh.id)
        except BackendError as error:
            log.warning("session %s was not withdrawn: %s", fresh.id, error)
        else:
            self._listing.forget({fresh.id: fresh.record.bindings})

    def _add(self, record: Record, born: int) -> tuple[str, Token]:
        """Store `record` under a fresh id, at the second try under another."""
        for retry in (True, False):
            session_id = ids.new_id(born)
            try:
                version = self._cells.add(session_id, record)
            except BackendError as error:
                if not (retry and error.quick):
                    raise
            else:
                if version is not None:
                    return session_id, version
        raise BackendError("create")
