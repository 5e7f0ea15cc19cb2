"""Flask-KVSession: records under ``KEY_CREATED``, in a simplekv store."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from .source import Former, Presented, Source, decoded, former, unsigned

_ID = re.compile(r"[0-9a-f]{1,64}_[1-9a-f][0-9a-f]{0,11}")


class KeyValueStore(Protocol):
    """A store of simplekv; ``get`` raises KeyError where nothing is."""

    def get(self, key: str) -> bytes: ...
    def delete(self, key: str) -> Any: ...
    def keys(self) -> Iterable[str]: ...


class KVSessionSource(Source):
    """Flask-KVSession 0.6 and its forks, with `store`, the simplekv store that
    ``KVSessionExtension`` was given.

    Only records of JSON are taken over (``serialization_method = json``); by default
    they are pickled, and refused. CREATED stays the moment at which the session began.
    """

    name = "kvsession"

    def __init__(self, store: KeyValueStore, **common: Any) -> None:
        super().__init__(**common)
        self._store = store

    def recognize(
        self, cookie: str, secret_keys: Sequence[str | bytes]
    ) -> Presented | None:
        return self._known(unsigned(cookie, secret_keys))

    def read(self, session_id: str) -> Former | None:
        try:
            data = self._store.get(session_id)
        except KeyError:
            return None
        return former(decoded(data, ("json",)), _born(session_id))

    def delete(self, session_id: str) -> None:
        self._store.delete(session_id)

    def all(self) -> Iterator[Presented]:
        yield from filter(None, map(self._known, self._store.keys()))

    def _known(self, session_id: str) -> Presented | None:
        known = _ID.fullmatch(session_id) is not None
        return Presented(session_id, _born(session_id)) if known else None


def _born(session_id: str) -> int:
    return int(session_id.partition("_")[2], 16)
