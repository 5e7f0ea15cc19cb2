"""Fixtures of these tests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from flask_srvsession.testing import FakeClock
from tests.web import Browser

from ..probes import (
    CountingBackend,
)

if TYPE_CHECKING:
    from tests.conftest import MakeApp


@pytest.fixture
def clock() -> FakeClock:
    """The present, because Flask computes the expiry of cookies from it."""
    return FakeClock(float(int(time.time())))


@pytest.fixture
def browser(make_app: MakeApp, counted: CountingBackend) -> Browser:
    return Browser(make_app(counted))
