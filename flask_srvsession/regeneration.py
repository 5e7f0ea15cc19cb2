"""How a session gets a new id: at logins, at logouts that keep it, by ``rotate()``.

The order is proven in tests/concurrency/models/regenerate.pml: the new record exists,
bound and listed, before the old one turns into a tombstone, on the version whose
content was copied. Whoever else changes the old one in between is merged into the new
one; whoever ends either of them wins. A crash anywhere leaves the old session or the
new one, and the cookie is set only when the old one is dead.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from . import ids
from .backends.base import Epoch
from .cells import MAX_ATTEMPTS, Found, Held, RecordCells, Superseded
from .changes import Changes
from .creation import Creation
from .errors import BackendError, StaleLogin
from .listing import Bindings, Listing, gained, new_mark
from .places import PlaceLost, Places
from .record import Binding


class Regeneration:
    """Moves sessions to new ids."""

    def __init__(
        self,
        cells: RecordCells,
        listing: Listing,
        places: Places,
        creation: Creation,
    ) -> None:
        self._cells = cells
        self._listing = listing
        self._places = places
        self._creation = creation

    def regenerate(
        self,
        held: Held,
        changes: Changes,
        *,
        login: bool,
        epochs: Mapping[Binding, Epoch],
        meta: Mapping[str, Any] | None,
    ) -> Found:
        """Do what :meth:`SessionStore.regenerate` promises."""
        for _ in range(MAX_ATTEMPTS):
            try:
                fresh = self._successor(held, changes, login, epochs, meta)
            except PlaceLost:
                return self._cells.reread(held)
            found = self._move(held, fresh, changes)
            if isinstance(found, Held) and found.id == held.id:
                held = found  # somebody ended the new one, but not this session
            else:
                return found
        raise BackendError("regenerate")

    def _successor(
        self,
        held: Held,
        changes: Changes,
        login: bool,
        epochs: Mapping[Binding, Epoch],
        meta: Mapping[str, Any] | None,
    ) -> Held:
        """Establish what `held` is to be regenerated to."""
        record, permanent = held.record, changes.permanent
        establish = partial(
            self._creation.establish,
            changes.apply(record.values),
            permanent=record.permanent if permanent is None else permanent,
            meta=record.meta if meta is None else meta,
            born=None if login else ids.born(held.id),
            replaced=held,
        )
        try:
            return establish(epochs=epochs)
        except StaleLogin:
            spared = self._listing.spared(held.id, record.bindings)
            if epochs or not spared:
                raise
            return establish(epochs=spared)

    def _move(self, held: Held, fresh: Held, changes: Changes) -> Found:
        """Turn `held` into a tombstone that leads to `fresh`; return `fresh`, with
        what others have changed meanwhile. Otherwise nothing new is left: the session
        was ended, or else it is returned as it is now, since `fresh` was ended."""
        for _ in range(MAX_ATTEMPTS):
            found = self._retire(held, fresh.id)
            if isinstance(found, Superseded) and found.successor == fresh.id:
                self._listing.forget({held.id: held.record.bindings})
                return fresh
            if not isinstance(found, Held):
                self._creation.withdraw(fresh)
                return found
            values = changes.apply(found.record.values)
            merged = self._refilled(fresh, values, found.record.bindings)
            if merged is None:
                return found
            fresh, held = merged, found
        raise BackendError("regenerate")

    def _retire(self, held: Held, successor: str) -> Found:
        """Turn what is `held` into a tombstone; return what is there then."""
        try:
            return self._cells.retire(held, successor)
        except BackendError as error:
            if not error.quick:
                raise
            return self._cells.reread(held)

    def _refilled(
        self, fresh: Held, values: Mapping[str, bytes], carried: Bindings
    ) -> Held | None:
        """Give the session that nobody knows yet other values, and list what they
        bind; None if it is gone. If they are refused, nothing of it is left."""
        before = fresh.record.bindings
        try:
            self._cells.check_size(values)
            places = {**before, **carried}
            bindings = self._listing.bindings(values, places, {}, new_mark())
            self._places.take(fresh.id, gained(before, bindings))
            record = fresh.record._replace(values=values, bindings=bindings)
            found = self._cells.swap(fresh, record)
        except Exception as error:
            self._creation.withdraw(fresh, error)
            raise
        self._listing.forget({fresh.id: gained(bindings, before)})
        return found if isinstance(found, Held) else None
