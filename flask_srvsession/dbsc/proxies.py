"""Proxies that take the headers of DBSC away, so that no browser can bind a session.

Browsers send these headers always: a request without them tells of a proxy, or is none
of a browser. It is noted in the storage, for ``flask sessions check``.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from ..errors import BackendError
from ..store import SessionStore

log = logging.getLogger("flask_srvsession")

NOTED_FOR = 86400
"""Seconds for which a header that was missing is remembered."""


def note_missing(store: SessionStore, header: str) -> None:
    """Remember that `header` was missing, and warn, once in a while."""
    with suppress(BackendError):
        if store.backend.add(_key(store), header.encode(), NOTED_FOR) is not None:
            log.warning(
                "a browser's request for its device came without %s: a proxy in front"
                " of the app may take it away, so that no session is bound",
                header,
            )


def missing(store: SessionStore) -> str | None:
    """Return a header that was missing not long ago."""
    cell = store.backend.get(_key(store))
    return cell.data.decode("ascii", "replace") if cell else None


def _key(store: SessionStore) -> str:
    return f"{store.settings.key_prefix}dbsc"
