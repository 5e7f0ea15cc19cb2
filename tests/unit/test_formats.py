"""Records and cookies of this version are pinned as files: others can read them.

A change of the format changes the version byte, and gets a file of its own. The older
files stay: their records are read, or named as those of an older version.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flask_srvsession.ids import CookieSigner, Credential
from flask_srvsession.store.encryption import Unreadable
from flask_srvsession.store.record import (
    VERSION,
    Record,
    RecordCodec,
    Tombstone,
)

FILES = sorted(Path(__file__).with_name("formats").glob("*.json"))
SECRET = "a long random text"
PREFIX = "shop:session:"
ID = "0123456789abcdef0123456789abcdef_684ee180"
KEY = PREFIX + ID
TOKEN = bytes(range(16)).hex()

RECORD = Record(
    generation=3,
    token_hash=bytes(range(16)),
    chain=bytes(range(16, 32)),
    since=1_750_000_000,
    last_seen=1_750_000_060,
    pending=bytes(range(32, 48)),
    flags=6,
    places={b"\x07" * 16: ["5eed", "0a1Zm-_q"]},
    indexing=b"\x01\x02\x03\x04",
    operations=bytes(range(8)),
    replaces="0123456789ab",
    meta={"user_agent": "a browser"},
    values={"user_id": b"\x2a", "cart": b"\x91\xa4book"},
    device=None,
    era=1_749_000_000,
)
TOMBSTONE = Tombstone(RECORD._replace(places={}, values={}), ID)


def codec() -> RecordCodec:
    return RecordCodec([SECRET], PREFIX, "msgpack")


def present() -> dict[str, Any]:
    """Return what the file of the present format holds."""
    return {
        "format": VERSION[0],
        "record": codec().seal(KEY, RECORD).hex(),
        "tombstone": codec().seal(KEY, TOMBSTONE).hex(),
        "cookie": CookieSigner([SECRET], PREFIX).dumps(Credential(ID, 3, TOKEN)),
    }


def test_the_present_format_is_pinned() -> None:
    [path] = [p for p in FILES if p.stem == f"format-{VERSION[0]}"]

    assert json.loads(path.read_text("utf-8")) == present()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_pinned_record_is_read_or_its_version_is_named(path: Path) -> None:
    pinned = json.loads(path.read_text("utf-8"))
    record, tombstone = (bytes.fromhex(pinned[n]) for n in ("record", "tombstone"))

    if pinned["format"] == VERSION[0]:
        assert codec().open(KEY, record) == RECORD
        assert codec().open(KEY, tombstone) == TOMBSTONE
    else:
        with pytest.raises(Unreadable, match="an older version of this package"):
            codec().open(KEY, record)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_pinned_cookie_is_read(path: Path) -> None:
    cookie = json.loads(path.read_text("utf-8"))["cookie"]

    assert CookieSigner([SECRET], PREFIX).loads(cookie) == Credential(ID, 3, TOKEN)
