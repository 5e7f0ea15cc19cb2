"""The mutants still fit the package; ``python -m tests.mutants`` tries them."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

from .catalogue import MUTANTS
from .mutant import PACKAGE, Inapplicable, Mutant

ROOT = Path(__file__).parents[2]


@cache
def text(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def broken(mutant: Mutant) -> str:
    return mutant.applied_to(text(f"{PACKAGE}/{mutant.file}"))


def test_each_replaces_a_text_that_is_there_once() -> None:
    faults = []
    for mutant in MUTANTS:
        try:
            broken(mutant)
        except Inapplicable as fault:
            faults.append(str(fault))

    assert faults == [], "the code has changed: give the mutant the text that is there"


def test_each_can_still_be_compiled() -> None:
    for mutant in MUTANTS:
        if mutant.file.endswith(".py"):
            compile(broken(mutant), mutant.name, "exec", dont_inherit=True)


def test_each_names_a_test_that_exists() -> None:
    parts = ("cells", "index", "many")
    inherited = "".join(text(f"{PACKAGE}/testing/contract_{p}.py") for p in parts)
    for mutant in MUTANTS:
        file, *path = mutant.found_by.partition("[")[0].split("::")
        code = text(f"tests/{file}") + inherited
        for name in path:
            assert re.search(rf"(def|class) {name}\b", code), mutant.found_by


def test_each_has_a_name_and_a_change_of_its_own() -> None:
    names = Counter(mutant.name for mutant in MUTANTS)
    changes = Counter((mutant.file, mutant.old, mutant.new) for mutant in MUTANTS)

    assert [name for name, count in names.items() if count > 1] == []
    assert [change for change, count in changes.items() if count > 1] == []
    assert all(mutant.old != mutant.new for mutant in MUTANTS)
