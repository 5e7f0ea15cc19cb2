"""Put each deliberate defect into a copy of this checkout and see the tests find it.

python -m tests.mutants                    # all of them
python -m tests.mutants 'grace-*' no-vary  # some
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from .catalogue import MUTANTS
from .mutant import PACKAGE, Inapplicable, Mutant
from .trial import WHOLE_SUITE, Outcome, Verdict, copied, tried, verdict_of

CHECKOUT = Path(__file__).parents[2]


def main() -> int:
    """Return 0 if the tests are green without a mutant and red with each one."""
    arguments = _arguments()
    mutants = [m for m in MUTANTS if _is_wanted(m, arguments.names)]
    if not mutants:
        print("No mutant has such a name.")
        return 2
    if arguments.list:
        for mutant in mutants:
            print(f"{mutant.name:45} {mutant.breaks}")
        return 0
    if not _all_apply(mutants):
        return 1
    # In the background it may be ignored, and so by the tests that are to be stopped.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with copied(CHECKOUT) as sound:
        return 0 if _is_green(sound, mutants) and _run(sound, mutants, arguments) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants",
        description="Break the package on purpose, one defect at a time; the tests must"
        " find each. Exits with 1 if they do not.",
    )
    parser.add_argument("names", nargs="*", help="names or patterns; all without one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at a time")
    parser.add_argument("--list", action="store_true", help="only say what there is")
    return parser.parse_args()


def _is_wanted(mutant: Mutant, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(mutant.name, each) for each in patterns)


def _all_apply(mutants: Sequence[Mutant]) -> bool:
    faults = []
    for mutant in mutants:
        try:
            mutant.applied_to((CHECKOUT / PACKAGE / mutant.file).read_text("utf-8"))
        except Inapplicable as fault:
            faults.append(fault)
    print(*faults, sep="\n", end="\n" if faults else "")
    return not faults


def _is_green(sound: Path, mutants: Sequence[Mutant]) -> bool:
    """Run what is to find the mutants without one: a red test would prove nothing."""
    tests = sorted({mutant.found_by for mutant in mutants})
    verdict = verdict_of(sound, tests, WHOLE_SUITE)
    if verdict.outcome is Outcome.SURVIVED:
        print(f"{len(tests)} tests are green without a mutant", flush=True)
        return True
    print(f"The tests are red without a mutant: {verdict.evidence}")
    return False


def _run(sound: Path, mutants: Sequence[Mutant], options: argparse.Namespace) -> bool:
    began = time.monotonic()
    verdicts = []
    with ThreadPoolExecutor(options.jobs) as pool:
        done = pool.map(partial(tried, sound=sound), mutants)
        for mutant, verdict in zip(mutants, done, strict=True):
            verdicts.append(verdict)
            _print(mutant, verdict)
    counts = Counter(verdict.outcome for verdict in verdicts)
    summary = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome)
    seconds = time.monotonic() - began
    print(f"{len(mutants)} mutants: {summary} ({seconds:.0f} s)")
    return counts[Outcome.KILLED] == len(mutants)


def _print(mutant: Mutant, verdict: Verdict) -> None:
    evidence = verdict.evidence or f"{PACKAGE}/{mutant.file} breaks: {mutant.breaks}"
    outcome, seconds = verdict.outcome.value, verdict.seconds
    print(f"{outcome:8} {mutant.name:45} {seconds:5.1f} s  {evidence}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
