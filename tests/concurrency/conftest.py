"""What the tests of concurrency share, and what they say at the end of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from .storages import url_of
from .tally import TRIED
from .world import DICE

__all__ = ["url_of"]


@pytest.fixture
def stepwise(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Do without the log: most of what is tried is worth a warning. And without
    chance: the order of sets of ids is to be the same each time."""
    monkeypatch.setattr("secrets.token_bytes", DICE.token_bytes)
    monkeypatch.setattr("secrets.token_hex", DICE.token_hex)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was tried: a green run that tried nothing shows nothing."""
    for what, count in sorted(TRIED.items()):
        terminalreporter.write_line(f"tried {count} {what}")
