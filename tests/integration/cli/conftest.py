"""Fixtures of these tests."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from flask import Flask

    from tests.conftest import MakeApp


@pytest.fixture
def make_app(make_app: MakeApp) -> MakeApp:
    """Make apps with a key of this test: to a command, others with the same key on the
    same server would be this app under another prefix."""
    key = uuid.uuid4().hex

    def make(*args: Any, **config: Any) -> Flask:
        return make_app(*args, **{"SECRET_KEY": key, **config})

    return make


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(SRVSESSION_METADATA=True)
