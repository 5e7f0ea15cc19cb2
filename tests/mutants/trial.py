"""What the tests say of a mutant, in a copy of the checkout that is thrown away."""

from __future__ import annotations

import enum
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .mutant import Mutant

LEFT_OUT = "tests/mutants/"
"""The one part of the checkout that is not copied: its own test would find each mutant,
since the text that it replaces is not there any more."""

FIRST_TEST = 300
WHOLE_SUITE = 1800
"""Seconds after which the tests count as red: a mutant may also hang."""

_ENDING = 30
_PASSED, _FAILED = 0, 1


class Outcome(enum.Enum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    INVALID = "invalid"  # the tests could not be run: that proves nothing


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tests said, and which of them said it first."""

    outcome: Outcome
    evidence: str
    seconds: float


@contextmanager
def copied(checkout: Path) -> Iterator[Path]:
    """Have a copy of what git knows, or would take, of a checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        for name in listed.stdout.split("\0"):
            source, target = checkout / name, Path(directory, name)
            if source.is_file() and not name.startswith(LEFT_OUT):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        yield Path(directory)


def tried(mutant: Mutant, sound: Path) -> Verdict:
    """Return what the tests say of `mutant` in a copy of the `sound` checkout."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
        shutil.copytree(sound, directory, dirs_exist_ok=True)
        mutant.apply(Path(directory))
        verdict = verdict_of(Path(directory), [mutant.found_by], FIRST_TEST)
        if verdict.outcome is Outcome.SURVIVED:
            verdict = verdict_of(Path(directory), (), WHOLE_SUITE)
        return verdict


def verdict_of(checkout: Path, tests: Sequence[str], timeout: float) -> Verdict:
    """Return what the `tests` of a checkout say, all of them if none is named."""
    began = time.monotonic()
    options = ["-x", "-q", "-rfE", "--tb=no", "-p", "no:cacheprovider"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *(f"tests/{t}" for t in tests)],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout), "SRVSESSION_TEST_REQUIRE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    outcome, evidence = _outcome(process, timeout)
    return Verdict(outcome, evidence, time.monotonic() - began)


def _outcome(process: subprocess.Popen[str], timeout: float) -> tuple[Outcome, str]:
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        _end(process)
        return Outcome.KILLED, f"no end within {timeout:.0f} s"
    if process.returncode == _PASSED:
        return Outcome.SURVIVED, ""
    if process.returncode == _FAILED:
        return Outcome.KILLED, _first_failure(output)
    return Outcome.INVALID, output.strip().rpartition("\n")[2]


def _first_failure(output: str) -> str:
    for line in output.splitlines():
        word, _, rest = line.partition(" ")
        if word in ("FAILED", "ERROR"):
            return rest.partition(" - ")[0]
    return "a test that pytest does not name"


def _end(process: subprocess.Popen[str]) -> None:
    """End the tests as Ctrl-C does: they stop the servers that they have started."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=_ENDING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
