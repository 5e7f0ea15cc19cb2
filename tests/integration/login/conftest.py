"""Fixtures of these tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flask import Flask

from ..apps import (
    use_flask_login,
)

if TYPE_CHECKING:
    from tests.conftest import MakeApp


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """An app under Flask-Login."""
    use_flask_login(app := make_app())
    return app
