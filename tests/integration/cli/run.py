"""``flask sessions``, run in this process: what it prints, and how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from click.testing import Result
    from flask import Flask

SAFE: dict[str, Any] = {
    "SESSION_COOKIE_SECURE": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "SESSION_COOKIE_NAME": "__Host-session",
}


def flask(app: Flask, *args: str, answer: str = "") -> Result:
    """Run ``flask sessions`` with these arguments."""
    command = ["sessions", *args]
    result: Result = app.test_cli_runner().invoke(args=command, input=answer)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def printed(app: Flask, *args: str) -> Any:
    """Return the JSON that a command prints."""
    return json.loads(flask(app, *args, "--json").stdout)
