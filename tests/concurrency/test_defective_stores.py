"""Stores that leave one thing out: under some order of calls a promise breaks.

If none did, the checks would not look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from flask_srvsession import ids
from flask_srvsession.backends.base import Epoch, Version
from flask_srvsession.draft import Changes
from flask_srvsession.ending import REVOKED, End
from flask_srvsession.errors import BackendError
from flask_srvsession.store import SessionStore, regeneration, revocation
from flask_srvsession.store.lists import Binding
from flask_srvsession.store.record import Places, Record
from flask_srvsession.store.records import EndsToo, Found, Live, Moved
from flask_srvsession.store.revocation import Revocation
from tests.concurrency.exploring import explore
from tests.concurrency.interleave import Fault, Violation

pytestmark = pytest.mark.usefixtures("stepwise")

Epochs = Mapping[bytes, Epoch]


class SaveThatCreates(SessionStore):
    def save(
        self, live: Live, changes: Changes, *, epochs: Epochs | None = None
    ) -> Found:
        found = super().save(live, changes, epochs=epochs)
        if found is None:
            self.records.add(live.id, live.record)
            return live
        return found


class ListedAfterwards(SessionStore):
    """A save lists what it binds only once the record says so."""

    _saving = False

    def save(
        self, live: Live, changes: Changes, *, epochs: Epochs | None = None
    ) -> Found:
        self._saving = True
        found = super().save(live, changes, epochs=epochs)
        self._saving = False
        if isinstance(found, Live):
            super().enlist(live.id, found.record.values, found.record.places)
        return found

    def enlist(
        self,
        session_id: str,
        values: Mapping[str, bytes],
        wanted: Places,
        replaced: Live | None = None,
        *,
        mark: str = "",
    ) -> None:
        if not self._saving:
            super().enlist(session_id, values, wanted, replaced, mark=mark)


class EpochIgnored(SessionStore):
    """A login is listed under whatever epoch there is."""

    def enlist(
        self,
        session_id: str,
        values: Mapping[str, bytes],
        wanted: Places,
        replaced: Live | None = None,
        *,
        mark: str = "",
    ) -> None:
        present = {binding.names[0]: binding for binding in self.lists.fed(values)}
        now = {
            name: (self.lists.epoch(present[name]), own)
            for name, (_, own) in wanted.items()
        }
        super().enlist(session_id, values, now, replaced, mark=mark)


class DeleteIgnoringTheVersion(SessionStore):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        delete = self.records.delete

        def delete_whatever(session_id: str, version: Version | None = None) -> bool:
            return delete(session_id)

        self.records.delete = delete_whatever  # type: ignore[method-assign]


class SameIdAgain(SessionStore):
    """A create whose answer was lost is repeated with the same id."""

    def _add(self, record: Record, born: int) -> tuple[str, Version]:
        session_id = ids.new_id(born)
        try:
            version = self.records.add(session_id, record)
        except BackendError:
            version = self.records.add(session_id, record)
        return session_id, version or self.records.read(session_id)[1]


class SavedAgainBlindly(SessionStore):
    """A save whose answer was lost is repeated, whether it took effect or not."""

    def save(
        self, live: Live, changes: Changes, *, epochs: Epochs | None = None
    ) -> Found:
        try:
            return super().save(live, changes, epochs=epochs)
        except BackendError:
            found = self.records.reread(live)
            if not isinstance(found, Live):
                return found
            return super().save(found, changes, epochs=epochs)


class UnlistedFirst(SessionStore):
    def destroy(
        self,
        session_id: str,
        live: Live | None = None,
        end: End = REVOKED,
        *,
        ends_too: EndsToo | None = None,
    ) -> Live | None:
        if live:
            self.lists.forget({session_id: live.record.places})
        return super().destroy(session_id, live, end, ends_too=ends_too)


class TombstoneNotFollowed(SessionStore):
    def destroy(
        self,
        session_id: str,
        live: Live | None = None,
        end: End = REVOKED,
        *,
        ends_too: EndsToo | None = None,
    ) -> Live | None:
        self.records.delete(session_id)
        return live


class OutageIsNotFound(SessionStore):
    """A session that cannot be saved is said to have ended."""

    def save(
        self, live: Live, changes: Changes, *, epochs: Epochs | None = None
    ) -> Found:
        try:
            return super().save(live, changes, epochs=epochs)
        except BackendError:
            return None


class LogoutTakenForGranted(SessionStore):
    def destroy(
        self,
        session_id: str,
        live: Live | None = None,
        end: End = REVOKED,
        *,
        ends_too: EndsToo | None = None,
    ) -> Live | None:
        try:
            return super().destroy(session_id, live, end, ends_too=ends_too)
        except BackendError:
            return None


STORES: list[tuple[type[SessionStore], tuple[str, ...], dict[str, Any]]] = [
    (SaveThatCreates, ("save", "destroy"), {}),
    (ListedAfterwards, ("bind", "save"), {}),
    (EpochIgnored, ("checked_login", "revoke_all"), {"start": "anonymous"}),
    (DeleteIgnoringTheVersion, ("empty", "save"), {"preloaded": True}),
    (DeleteIgnoringTheVersion, ("destroy", "rotate"), {}),
    (SameIdAgain, ("create_and_destroy",), {"faults": (Fault.DELAYED,)}),
    (SavedAgainBlindly, ("increment",), {"faults": (Fault.REPLY_LOST,), "slow": True}),
    (UnlistedFirst, ("destroy",), {}),
    (TombstoneNotFollowed, ("rotate", "destroy"), {}),
    (TombstoneNotFollowed, ("rotate", "revoke"), {}),
    (OutageIsNotFound, ("save",), {"faults": (Fault.REFUSED,), "slow": True}),
    (LogoutTakenForGranted, ("destroy",), {"faults": (Fault.REFUSED,), "slow": True}),
]


@pytest.mark.parametrize(
    ("defective", "requests", "given"),
    STORES,
    ids=[f"{store.__name__}-{'-'.join(requests)}" for store, requests, _ in STORES],
)
def test_a_defective_store_is_found_out(
    defective: type[SessionStore], requests: tuple[str, ...], given: dict[str, Any]
) -> None:
    with pytest.raises(Violation) as found:
        explore(*requests, store_class=defective, **given)

    assert isinstance(found.value.__cause__, AssertionError)


# -- functions of modules ------------------------------------------------------------

retire, revoke_all = regeneration._retire, revocation.revoke_all


def tombstone_first(
    store: SessionStore,
    live: Live,
    changes: Changes,
    *,
    login: bool,
    epochs: Epochs | None = None,
) -> Found:
    """The old session is retired before the new one is there."""
    chosen = ids.new_id(store.clock())
    found = retire(store, live, chosen, changes, login)
    if not isinstance(found, Moved):
        return found
    store._add = lambda record, born: (  # type: ignore[method-assign]
        chosen,
        store.records.add(chosen, record),
    )
    return store.create(changes, epochs=epochs, replaced=live)


def retired_twice(
    store: SessionStore, live: Live, successor: str, changes: Changes, login: bool
) -> Found:
    """A regenerated session keeps what was read, not what was saved meanwhile."""
    found = retire(store, live, successor, changes, login)
    if not isinstance(found, Live):
        return found
    return retire(store, found, successor, changes, login)


def revoked_unlisted_first(
    store: SessionStore, binding: Binding, *, keep: Live | None = None
) -> Revocation:
    """All that are to be revoked are taken off the list, then ended."""
    store.lists.unlist(store.lists.oldest(binding, 100)[0])
    return revoke_all(store, binding, keep=keep)


def kept_but_not_saved(
    store: SessionStore, binding: Binding, *, keep: Live | None = None
) -> Revocation:
    """The session that is kept is not taken along into the new epoch."""
    epochs, _ = store.lists.fence(binding)
    for entry in store.lists.oldest(binding, 100)[0]:
        if keep is None or entry.session_id != keep.id:
            store.records.end(entry.session_id)
    return Revocation(epochs, [], set(), keep)


MODULES: list[tuple[Any, Callable[..., Any], tuple[str, ...], dict[str, Any]]] = [
    (regeneration, tombstone_first, ("rotate",), {"faults": (Fault.CRASH,)}),
    (regeneration, retired_twice, ("rotate", "save"), {}),
    (revocation, revoked_unlisted_first, ("revoke_all",), {"faults": (Fault.CRASH,)}),
    (revocation, kept_but_not_saved, ("revoke_others", "rotate"), {}),
]
REPLACED = {
    tombstone_first: "regenerate",
    retired_twice: "_retire",
    revoked_unlisted_first: "revoke_all",
    kept_but_not_saved: "revoke_all",
}


@pytest.mark.parametrize(
    ("module", "defective", "requests", "given"),
    MODULES,
    ids=[defective.__name__ for _, defective, _, _ in MODULES],
)
def test_a_defective_function_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    defective: Callable[..., Any],
    requests: tuple[str, ...],
    given: dict[str, Any],
) -> None:
    monkeypatch.setattr(module, REPLACED[defective], defective)

    with pytest.raises(Violation) as found:
        explore(*requests, **given)

    assert isinstance(found.value.__cause__, AssertionError)
