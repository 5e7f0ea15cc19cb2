"""What the tests of concurrency share, and what they say at the end of a run."""

from __future__ import annotations

import pytest

from .storages import url_of
from .tally import TRIED

__all__ = ["url_of"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was tried: a green run that tried nothing shows nothing."""
    for what, count in sorted(TRIED.items()):
        terminalreporter.write_line(f"tried {count} {what}")
