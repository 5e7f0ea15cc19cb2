"""Marks that tests of several modules have."""

from __future__ import annotations

import pytest

ON_MEMORY = pytest.mark.parametrize("backend", ["memory"], indirect=True)
"""Run once, in memory: what is tested has nothing to do with the storage."""

WITH_FLASK_LOGIN = pytest.mark.filterwarnings(
    "ignore:datetime.datetime.utcnow:DeprecationWarning"
)
"""Let Flask-Login 0.6 ask for the time as it does."""
