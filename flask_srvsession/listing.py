"""Where sessions are listed: the indexes, seen from the sessions' side."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from . import ids
from .backends.base import Added, Epoch
from .config import Settings
from .errors import BackendError
from .guard import Guarded
from .record import Binding
from .serializers import Serializer

log = logging.getLogger("flask_srvsession")

Bindings = Mapping[Binding, str]
"""Where a session is listed, each place with a *stamp*: the epoch that it was listed
under and, after a dot, a random mark. The mark is handed on to what the session is
regenerated to: both take up one place, where places are limited. A session that is
listed again gets another, so that whoever still has to remove its former entry does
not remove the new one."""

Watch = Callable[[Collection[str]], Iterable[str]]
"""Goes through ids, and may show somebody how far it is."""


class Listing:
    """Translates between what a session holds and the index cells of a backend."""

    def __init__(
        self, backend: Guarded, serializer: Serializer, settings: Settings
    ) -> None:
        self._backend = backend
        self._index = backend.backend.index
        self._serializer = serializer
        self._settings = settings

    def bindings(
        self,
        values: Mapping[str, bytes],
        carried: Bindings,
        epochs: Mapping[Binding, Epoch],
        mark: str,
    ) -> dict[Binding, str]:
        """Return where a session of `values` belongs, each place with its stamp.

        A place that is `carried` over keeps the epoch of the record: whoever ended
        that epoch meant this session, too. Only a new one begins in the present, or in
        the one of `epochs`, and with `mark`.
        """
        bindings = {}
        for binding in self._fed(values):
            epoch, _, known = carried.get(binding, "").partition(".")
            if binding in epochs:
                epoch = epochs[binding]
            elif not epoch:
                epoch = self.epoch(binding)
            bindings[binding] = f"{epoch}.{known or mark}"
        return bindings

    def epoch(self, binding: Binding) -> Epoch:
        """Return the present of `binding`."""
        return self._backend.twice("epoch", self._index.epoch, self.name(binding))

    def add(self, session_id: str, binding: Binding, stamp: str, ttl: int) -> Added:
        """List the session for `ttl` seconds, unless all places are taken."""
        return self._backend.twice(
            "bind",
            self._index.add,
            self.name(binding),
            entry(session_id, stamp),
            _epoch(stamp),
            ttl,
            limit=self._settings.max_per_key,
        )

    def admits(self, session_id: str, bindings: Bindings) -> bool:
        """Return whether each place still has the epoch that the session knows.

        Asked where the storage may lose an index on its own (*fenced load*): it would
        otherwise let a session live that nobody finds any more.
        """
        return bool(self.admitted({session_id: bindings}))

    def admitted(self, sessions: Mapping[str, Bindings]) -> set[str]:
        """Return the ids of those who would be admitted, asking each place once."""
        if not any(sessions.values()) or not self._is_fenced():
            return set(sessions)
        return self._with_present_epochs(sessions)

    def spared(self, session_id: str, bindings: Bindings) -> dict[Binding, Epoch]:
        """Return the present of each place if the session was spared when the epochs
        it knows ended; else nothing.

        Who ends the present one after this finds the session listed, all the same.
        """
        if not self._with_present_epochs({session_id: bindings}):
            return {}
        return {binding: self.epoch(binding) for binding in bindings}

    def fence(
        self, binding: Binding, spare: Collection[str]
    ) -> tuple[Epoch, dict[str, str]]:
        """Begin a new epoch, which the entries in `spare` outlive; return it with all
        entries and their ids."""
        name = self.name(binding)
        epoch, entries = self._backend.twice("revoke", self._index.fence, name, spare)
        return epoch, _ids(entries)

    def entries(self, binding: Binding) -> dict[str, str]:
        """Return all entries with their ids, those of the dead among them."""
        name = self.name(binding)
        return _ids(self._backend.twice("find", self._index.members, name))

    def remove(self, binding: Binding, entries: Collection[str]) -> None:
        """Unlist what was listed for sessions whose records are gone."""
        if entries:
            name = self.name(binding)
            self._backend.twice("unbind", self._index.remove, name, entries)

    def forget(
        self, sessions: Mapping[str, Bindings], *, but: Binding | None = None
    ) -> None:
        """Unlist sessions everywhere, `but` in one list that the caller sees to. Their
        records say so already, and who reads a list finds that out: so a failure here
        is no failure of the logout."""
        leaving: dict[Binding, dict[str, str]] = {}
        for session_id, bindings in sessions.items():
            for binding, stamp in bindings.items():
                if binding != but:
                    leaving.setdefault(binding, {})[session_id] = stamp
        for binding, stamps in leaving.items():
            try:
                self.remove(binding, [entry(i, stamp) for i, stamp in stamps.items()])
            except BackendError as error:
                log.warning("session %s is still listed: %s", ", ".join(stamps), error)
                if not error.quick:
                    return  # a client waits for one timeout, not for several

    def name(self, binding: Binding) -> str:
        """Return the name of the index that lists its sessions."""
        return f"{self._settings.key_prefix}index:{binding.digest()}"

    def _fed(self, values: Mapping[str, bytes]) -> Iterator[Binding]:
        for index, keys in self._settings.indexes.items():
            for key in keys:
                if key in values:
                    value = fed(key, self._serializer.loads(values[key]))
                    if value is not None:
                        yield Binding(index, value)

    def _with_present_epochs(self, sessions: Mapping[str, Bindings]) -> set[str]:
        admitted = set(sessions)
        for binding in {b for bindings in sessions.values() for b in bindings}:
            stamps = {i: s[binding] for i, s in sessions.items() if binding in s}
            entries = {entry(i, stamp): _epoch(stamp) for i, stamp in stamps.items()}
            name = self.name(binding)
            good = self._backend.twice("load", self._index.admits, name, entries)
            admitted -= stamps.keys() - set(_ids(good).values())
        return admitted

    def _is_fenced(self) -> bool:
        if self._settings.fenced_load is not None:
            return self._settings.fenced_load
        return self._backend.once("load", lambda: self._backend.backend.evicts)


def new_mark() -> str:
    """Return a mark that no other session of the same index value has."""
    return secrets.token_urlsafe(5)


def gained(before: Bindings, after: Bindings) -> dict[Binding, str]:
    """Return where a session is to be listed that was not there before."""
    return {b: stamp for b, stamp in after.items() if b not in before}


def entry(session_id: str, stamp: str) -> str:
    """Return what an index lists for the session that has this stamp in its record."""
    return f"{ids.pack(session_id)}.{stamp.partition('.')[2]}"


def _epoch(stamp: str) -> Epoch:
    return stamp.partition(".")[0]


def _ids(entries: Collection[str]) -> dict[str, str]:
    known = {}
    for listed in entries:
        try:
            known[listed] = ids.unpack(listed.partition(".")[0])
        except ValueError:
            log.warning("an entry of an index is ignored: it is not one of ours")
    return known


def fed(key: str, value: object) -> str | None:
    """Return what ``session[key]`` feeds its indexes, if anything."""
    return None if value is None else index_value(f"session[{key!r}]", value)


def index_value(where: str, value: object) -> str:
    """Return how `value` is compared in an index: 42 and "42" are the same."""
    if isinstance(value, str):
        return str.__str__(value)  # an enum's own __str__ would give its name
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__repr__(value)
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(
        f"{where} feeds an index and must be a str, int or UUID, "
        f"but is a {type(value).__name__}."
    )


def parse_index(
    indexes: Mapping[str, tuple[str, ...]], given: Mapping[str, Any]
) -> tuple[Binding, Any]:
    """Return the one index that is `given` as a keyword, and its value as it came.

    Raises TypeError for none, several or an unknown one: to find nothing quietly
    would leave sessions alive that somebody wanted to end.
    """
    if len(given) != 1:
        raise TypeError(
            f"Give exactly one index as a keyword, not {len(given)};"
            f" SRVSESSION_INDEXES has {sorted(indexes)}."
        )
    [(index, value)] = given.items()
    if index not in indexes:
        raise TypeError(
            f"{index!r} is no index; SRVSESSION_INDEXES has {sorted(indexes)}."
        )
    return Binding(index, index_value(index, value)), value
