"""A record for tests that say what differs."""

from __future__ import annotations

from flask_srvsession.store.record import Record

BLANK = Record(
    generation=1,
    token_hash=b"",
    chain=b"",
    since=0,
    last_seen=0,
    pending=None,
    flags=0,
    places={},
    indexing=b"",
    operations=b"",
    replaces=None,
    meta=None,
    values={},
)
