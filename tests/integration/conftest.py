"""Fixtures for the tests that go through Flask."""

from __future__ import annotations

import pytest

from flask_srvsession import guard


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails at once may take longer on a busy computer; no timeout is as short."""
    monkeypatch.setattr(guard, "QUICK", 0.25)
