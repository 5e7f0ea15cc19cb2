"""Fixtures of these tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.web import Browser

from ..probes import CountingBackend

if TYPE_CHECKING:
    from tests.conftest import MakeApp


@pytest.fixture
def browser(make_app: MakeApp, counted: CountingBackend) -> Browser:
    return Browser(make_app(counted))
