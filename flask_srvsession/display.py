"""Sessions and findings as text for people and as JSON for programs. No Flask."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from .backends.health import Finding
from .info import SessionInfo

CELL_WIDTH = 80
"""Characters of a cell of a table; what clients say of themselves can be long."""

_HEADER = ("ID", "CREATED", "LAST SEEN", "EXPIRES", "CLIENT")


def escaped(text: str) -> str:
    """Return `text` with what a terminal would obey, or hide, spelled out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def as_json(value: object) -> str:
    """Return JSON of printable ASCII."""
    text = json.dumps(_plain(value), indent=2)
    return text.replace("\x7f", "\\u007f")


def sessions_text(infos: Iterable[SessionInfo]) -> str:
    """Return a table of sessions."""
    rows = [
        (i.id, *map(_moment, (i.created_at, i.last_seen_at, i.expires_at)), _client(i))
        for i in infos
    ]
    return "\n".join(_table([_HEADER, *rows])) if rows else "No sessions."


def session_text(info: SessionInfo) -> str:
    """Return all that may be shown of a session, a line each."""
    facts = {
        "id": info.id,
        "created": _moment(info.created_at),
        "last seen": _moment(info.last_seen_at),
        "expires": _moment(info.expires_at),
        **{f"client {name}": value for name, value in info.meta.items()},
    }
    return facts_text(facts)


def facts_text(facts: Mapping[str, object]) -> str:
    """Return names and values, a line each."""
    return "\n".join(f"{escaped(k)}: {escaped(str(v))}" for k, v in facts.items())


def findings_text(findings: Sequence[Finding]) -> str:
    """Return what is wrong, and below each what to do."""
    blocks = [
        f"{finding.severity}: {finding.key}\n"
        f"    {finding.problem}\n"
        f"    -> {finding.remedy}"
        for finding in findings
    ]
    text = "\n".join(blocks) or "Nothing to mend."
    return "\n".join(escaped(line) for line in text.split("\n"))


def info_facts(info: SessionInfo) -> dict[str, Any]:
    """Return what programs are told of a session."""
    facts = asdict(info)
    del facts["is_current"]  # a command is nobody's request
    return facts


def _client(info: SessionInfo) -> str:
    text = escaped(" ".join(str(value) for value in info.meta.values()))
    return text if len(text) <= CELL_WIDTH else text[: CELL_WIDTH - 3] + "..."


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%SZ}"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()


def _plain(value: object) -> Any:
    """Return what JSON can say of `value`: metadata may hold anything."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)
