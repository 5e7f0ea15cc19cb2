"""Sessions and findings as text for people and as JSON for programs. No Flask."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ..backends.health import Finding
from ..info import SessionInfo

CELL_WIDTH = 80
"""Characters of a cell of a table; texts of clients about themselves can be long."""

_HEADER = ("ID", "CREATED", "LAST SEEN", "EXPIRES", "CLIENT")


def escaped(text: str) -> str:
    """Return `text`, with characters that a terminal obeys or hides spelled out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def as_json(value: object) -> str:
    """Return JSON of printable ASCII."""
    text = json.dumps(_plain(value), indent=2)
    return text.replace("\x7f", "\\u007f")


def lines(facts: Mapping[str, object]) -> str:
    """Return names and values, a line each."""
    return "\n".join(f"{escaped(k)}: {escaped(_text(v))}" for k, v in facts.items())


def sessions_table(infos: Iterable[SessionInfo]) -> str:
    """Return a table of sessions."""
    infos = [*infos]
    if not infos:
        return "No sessions."
    rows = [_HEADER, *map(_row, infos)]
    if any(info.bound for info in infos):
        marks = ("DEVICE", *("bound" if info.bound else "" for info in infos))
        rows = [
            (*row[:-1], mark, row[-1]) for row, mark in zip(rows, marks, strict=True)
        ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def session_lines(info: SessionInfo) -> str:
    """Return all that may be shown of a session, a line each."""
    return lines(
        {
            "id": info.id,
            "created": info.created_at,
            "last seen": info.last_seen_at,
            "expires": info.expires_at,
            **({"device": "bound"} if info.bound else {}),
            **{f"client {name}": value for name, value in info.meta.items()},
        }
    )


def session_facts(info: SessionInfo) -> dict[str, Any]:
    """Return the session as programs get it."""
    facts = asdict(info)
    del facts["is_current"]  # a command is nobody's request
    del facts["end"]  # it lives
    return facts


def findings_text(findings: Iterable[Finding]) -> str:
    """Return the findings, each with its remedy below."""
    text = [
        line
        for finding in findings
        for line in (
            f"{finding.severity}: {finding.key}",
            f"    {finding.problem}",
            f"    -> {finding.remedy}",
        )
    ]
    return "\n".join(map(escaped, text)) or "Nothing to mend."


def _row(info: SessionInfo) -> tuple[str, ...]:
    client = escaped(" ".join(map(str, info.meta.values())))
    if len(client) > CELL_WIDTH:
        client = client[: CELL_WIDTH - 3] + "..."
    times = info.created_at, info.last_seen_at, info.expires_at
    return (info.id, *map(_text, times), client)


def _text(value: object) -> str:
    is_time = isinstance(value, datetime)
    return f"{value:%Y-%m-%d %H:%M:%SZ}" if is_time else str(value)


def _plain(value: object) -> Any:
    """Return `value` as JSON can hold it: metadata may hold anything."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)
