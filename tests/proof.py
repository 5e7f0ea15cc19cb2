"""The long proof: everything that the ordinary suite tries in short, at full length.

``python -m tests.proof`` starts its own servers and prints, for each part, how much was
tried and how many violations were found. ``--quick`` tries it all in a few minutes,
``--hours 2`` stops after that time, ``--only fuzz`` runs one part. Ends with status 1
if a promise was broken, or a part did not get to its end.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = "tests/"


@dataclass(frozen=True)
class Part:
    """Some of the tests, with what makes them try more."""

    tests: tuple[str, ...]
    long: Mapping[str, str] = field(default_factory=dict)
    quick: Mapping[str, str] = field(default_factory=dict)


LONG = {"SRVSESSION_TEST_LONG": "1"}
PARTS = {
    "models": Part(("concurrency/test_models",), LONG),
    "rotation": Part(
        ("concurrency/test_rotation_schedules",),
        {"SRVSESSION_TEST_SCHEDULES": "1000000"},
        {"SRVSESSION_TEST_SCHEDULES": "20000"},
    ),
    "stress": Part(
        ("concurrency/test_stress",), {"SRVSESSION_TEST_OPERATIONS": "50000"}
    ),
    "state machine": Part(("concurrency/test_state_machine",), LONG),
    "interleavings": Part(
        ("concurrency/test_interleavings", "concurrency/test_cell_index"), LONG
    ),
    "fuzz": Part(
        ("concurrency/test_fuzz",),
        {"SRVSESSION_TEST_FUZZ": "30000"},
        {"SRVSESSION_TEST_FUZZ": "1000"},
    ),
    "single commands": Part(("faults/test_single_commands",), LONG),
}


@dataclass(frozen=True)
class Result:
    """What came of a part."""

    tried: str
    violations: int
    finished: bool
    output: str = field(repr=False)

    @property
    def good(self) -> bool:
        return self.finished and not self.violations


def run(part: Part, *, quick: bool, seconds: float | None) -> Result:
    """Run the tests of a part, for so many seconds at most."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += [f"{TESTS}{name}.py" for name in part.tests]
    chosen = {"SRVSESSION_TEST_REQUIRE": "1", **(part.quick if quick else part.long)}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **chosen},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # it still stops its servers
            output, _ = process.communicate()
    return judged(output, process.returncode)


def judged(output: str, status: int) -> Result:
    """Return what pytest has said; each test that fails is a violation."""
    tried = re.findall(r"^tried (.+)$", output, re.MULTILINE)
    summary = output.rstrip().rpartition("\n")[2]
    failed = re.findall(r"(\d+) (?:failed|error)", summary)
    violations = sum(map(int, failed))
    finished = status == (1 if violations else 0)
    return Result(", ".join(tried), violations, finished, output)


def main(arguments: list[str] | None = None) -> int:
    """Run the parts, one after the other; return 1 if not all of them are good."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof")
    parser.add_argument("--quick", action="store_true", help="a few minutes")
    parser.add_argument("--hours", type=float, help="at most so long")
    parser.add_argument("--only", choices=PARTS, action="append", help="not all parts")
    given = parser.parse_args(arguments)
    # In the background it may be ignored, and so by the tests that are to be stopped.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    good = True
    for name in given.only or PARTS:
        start = time.monotonic()
        left = given.hours and max(0.0, began + given.hours * 3600 - start)
        result = run(PARTS[name], quick=given.quick, seconds=left)
        if not result.good:
            print(result.output)
        good = good and result.good
        seconds = time.monotonic() - start
        end = "" if result.finished else ", NOT FINISHED"
        print(f"{name}: {result.tried} in {seconds:.0f} s{end}", end="; ")
        print(f"violations: {result.violations}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
