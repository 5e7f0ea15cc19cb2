"""What a trial says of tests that are red, green, endless, or cannot be run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .mutant import PACKAGE, Mutant
from .trial import Outcome, tried, verdict_of

MUTANT = Mutant(
    name="one-is-two",
    file="numbers.py",
    old="ONE = 1",
    new="ONE = 2",
    breaks="one is one",
    found_by="test_numbers.py::test_one_is_one",
)
TESTS = f"""
import time
from {PACKAGE}.numbers import ONE

def test_one_is_one():
    assert ONE == 1

def test_one_is_positive():
    assert ONE > 0

def test_one_ends():
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Tests that run in the background may ignore an interrupt; these must not."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project of one module, whose tests are green, and slow."""
    for name, text in {
        f"{PACKAGE}/__init__.py": "",
        f"{PACKAGE}/numbers.py": "ONE = 1\n",
        "tests/test_numbers.py": TESTS,
        "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["."]\n',
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path


def test_a_mutant_is_killed_by_the_first_red_test(checkout: Path) -> None:
    verdict = tried(MUTANT, checkout)

    assert verdict.outcome is Outcome.KILLED
    assert verdict.evidence == f"tests/{MUTANT.found_by}"
    assert "ONE = 1" in (checkout / PACKAGE / MUTANT.file).read_text("utf-8")


@pytest.mark.parametrize(
    ("test", "timeout", "outcome"),
    [
        ("test_one_is_positive", 60, Outcome.SURVIVED),
        ("test_that_is_not_there", 60, Outcome.INVALID),
        ("test_one_ends", 2, Outcome.KILLED),
    ],
)
def test_only_tests_that_are_red_or_do_not_end_kill(
    checkout: Path, test: str, timeout: float, outcome: Outcome
) -> None:
    MUTANT.apply(checkout)

    verdict = verdict_of(checkout, [f"test_numbers.py::{test}"], timeout)

    assert verdict.outcome is outcome
