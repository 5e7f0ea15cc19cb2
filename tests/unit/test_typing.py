"""The public names have the types that tests/typing says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_mypy_agrees_with_every_expected_type_and_every_expected_error() -> None:
    pytest.importorskip("mypy", reason="mypy is missing: pip install mypy")

    done = subprocess.run(
        [sys.executable, "-m", "mypy", "tests/typing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
