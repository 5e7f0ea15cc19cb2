"""The facts about a session that may be shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from .ending import End


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """The facts about a session for its owner, an administrator or a log."""

    id: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    is_current: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)
    end: End | None = None
    """The actor who ended it, and the reason; None while it lives."""
    bound: bool = False
    """Whether a copy of its cookie is worth nothing on another device."""


def utc(unix_time: int) -> datetime:
    """Return a unix time as an aware datetime."""
    return datetime.fromtimestamp(unix_time, timezone.utc)
