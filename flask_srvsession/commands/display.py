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

_HEADER = ("ID", "CREATED", "LAST SEEN", "EXPIRES", "DEVICE", "CLIENT")


def escaped(text: str) -> str:
    """Return `text`, with characters that a terminal obeys or hides spelled out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def as_json(value: object) -> str:
    """Return JSON of printable ASCII."""
    return json.dumps(_plain(value), default=str, indent=2).replace("\x7f", "\\u007f")


def lines(facts: Mapping[str, object]) -> str:
    """Return names and values, a line each."""
    return "\n".join(f"{escaped(k)}: {escaped(_text(v))}" for k, v in facts.items())


def sessions_table(infos: Iterable[SessionInfo]) -> str:
    """Return a table of sessions; the column DEVICE only where one is bound."""
    columns = [*zip(_HEADER, *map(_row, infos), strict=True)]
    if len(columns[0]) == 1:
        return "No sessions."
    shown = [column for column in columns if any(column[1:]) or column[0] != "DEVICE"]
    widths = [max(map(len, column)) for column in shown]
    lines = (map(str.ljust, row, widths) for row in zip(*shown, strict=True))
    return "\n".join("  ".join(line).rstrip() for line in lines)


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
        f"{escaped(f'{finding.severity}: {finding.key}')}\n"
        f"    {escaped(finding.problem)}\n    -> {escaped(finding.remedy)}"
        for finding in findings
    ]
    return "\n".join(text) or "Nothing to mend."


def _row(info: SessionInfo) -> tuple[str, ...]:
    client = escaped(" ".join(map(str, info.meta.values())))
    if len(client) > CELL_WIDTH:
        client = client[: CELL_WIDTH - 3] + "..."
    times = info.created_at, info.last_seen_at, info.expires_at
    return (info.id, *map(_text, times), "bound" if info.bound else "", client)


def _text(value: object) -> str:
    is_time = isinstance(value, datetime)
    return f"{value:%Y-%m-%d %H:%M:%SZ}" if is_time else str(value)


def _plain(value: object) -> Any:
    """Return `value` with keys and times as JSON has them: metadata may be anything."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value
