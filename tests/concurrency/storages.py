"""Storages that several processes can share, by their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SEVERAL = ("cluster", "sentinel")
"""Redis in several processes."""
SQL = ("postgres", "mariadb")


@pytest.fixture
def url_of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Return the URL of a storage by its name; several processes can share it."""

    def url(name: str) -> str:
        if name == "sqlite":
            return f"sqlite:///{tmp_path / 'sessions.db'}"
        fixture = f"redis_{name}" if name in SEVERAL else f"{name}_server"
        own_table = "?srvsession_table=concurrency" if name in SQL else ""
        return f"{request.getfixturevalue(fixture).url}{own_table}"

    return url
