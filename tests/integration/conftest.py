"""Fixtures for the tests that go through Flask."""

from __future__ import annotations

import pytest

from flask_srvsession.backends import Backend, guarded

from .apps import WatchedBackend
from .probes import CountingBackend


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails at once may take longer on a busy computer; no timeout is as short."""
    monkeypatch.setattr(guarded, "QUICK", 0.25)


@pytest.fixture
def counted(backend: Backend) -> CountingBackend:
    """The storage, which notes what it is asked."""
    return CountingBackend(backend)


@pytest.fixture
def watched(backend: Backend) -> WatchedBackend:
    """The storage, which can hang, be lost, or do something in between."""
    return WatchedBackend(backend)
