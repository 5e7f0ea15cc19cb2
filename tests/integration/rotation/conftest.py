"""Fixtures of these tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flask_srvsession import (
    session_replayed,
)
from flask_srvsession.testing import FakeClock

from .stage import Alarms, Stage, make_stage

if TYPE_CHECKING:
    from tests.conftest import MakeApp


@pytest.fixture
def alarms() -> Any:
    heard = Alarms()
    with session_replayed.connected_to(heard):
        yield heard


@pytest.fixture
def stage(make_app: MakeApp, clock: FakeClock) -> Stage:
    return make_stage(make_app(), clock)
