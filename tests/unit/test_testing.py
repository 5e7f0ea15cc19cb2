"""The public helpers for tests."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flask_srvsession import testing

WITHOUT_PYTEST = """
import sys
sys.modules["pytest"] = None
from flask_srvsession.testing import FakeClock
clock = FakeClock(100)
clock.advance(5)
assert clock() == 105
"""


def test_the_clock_needs_no_pytest() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_PYTEST], check=True, timeout=60)


def test_all_names_are_there_and_no_others() -> None:
    assert {name for name in testing.__all__ if hasattr(testing, name)} == {
        "BackendContract",
        "FakeClock",
    }
    with pytest.raises(AttributeError, match="Backend_Contract"):
        _ = testing.Backend_Contract
