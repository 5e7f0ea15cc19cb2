"""The protocols, model-checked: every interleaving is right, and each mutant is not.

The header of each model in ``models/`` says what its flags mean.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.concurrency.tally import TRIED
from tests.servers import binary

MODELS = Path(__file__).parent / "models"
LONG = "SRVSESSION_TEST_LONG"
PATIENCE = 900
"""Seconds; the longest model takes some 30."""


@dataclass(frozen=True)
class Model:
    """A model with some of its flags set."""

    name: str
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "-".join((self.name, *self.flags))


PROPERTIES = [
    Model("session"),
    Model("rotate"),
    Model("regenerate", ("P_ALL",)),
    Model("regenerate", ("P_DATA", "NOALL")),
    Model("regenerate", ("P_TWO", "NOALL")),
    Model("regenerate", ("P_LOGOUT", "LOGOUT", "NOALL", "PTR")),
    Model("regenerate", ("P_ALL", "FLIGHT")),
    Model("regenerate", ("P_DATA", "NOALL", "FLIGHT")),
    Model("regenerate", ("P_TWO", "NOALL", "FLIGHT")),
    Model("regenerate", ("P_LOGOUT", "LOGOUT", "NOALL", "PTR", "FLIGHT")),
    Model("regenerate", ("P_KEPT", "NOALL", "FLIGHT")),
    Model("regenerate", ("P_PLANTED", "FLIGHT", "LOGIN")),
    Model("again", ("P_ONE", "CALM")),
    Model("again", ("P_SEEN",)),
    Model("again", ("P_PLANTED",)),
    *(
        Model("take_over", (promise, *source))
        for promise in ("P_END", "P_SERVED", "P_ALL", "P_CRASH")
        for source in ((), ("COOKIE",))
    ),
]

MUTANTS = [
    *(
        Model("session", (mutant,))
        for mutant in ("NOFENCE", "UPSERT", "LATEADD", "CLEARFIRST", "WHOLE")
    ),
    *(
        Model("rotate", (mutant,))
        for mutant in ("STRICT", "MINTEARLY", "SLOWRESP", "REFRESH")
    ),
    Model("regenerate", ("P_ALL", "FRESH")),
    Model("regenerate", ("P_DATA", "NOALL", "TAKEFIRST")),
    Model("regenerate", ("P_LOGOUT", "LOGOUT", "NOALL")),
    Model("regenerate", ("P_ALL", "FLIGHT", "UPSERT")),
    Model("regenerate", ("P_KEPT", "NOALL", "FLIGHT", "DROP")),
    Model("regenerate", ("P_PLANTED", "FLIGHT", "LOGIN", "EVEROPEN")),
    Model("again", ("P_ONE", "CALM", "STAY")),
    Model("again", ("P_SEEN", "BLIND")),
    Model("again", ("P_PLANTED", "ANYUSER")),
    Model("take_over", ("P_SERVED", "CLAIMFIRST")),
    Model("take_over", ("P_SERVED", "LISTFIRST")),
    Model("take_over", ("P_CRASH", "DELFIRST")),
    Model("take_over", ("P_ALL", "SERVEFIRST")),
    Model("take_over", ("P_END", "FORGET", "COOKIE")),
]


@pytest.fixture(autouse=True)
def _tools() -> None:
    """Skip, or fail where everything is to be run, without spin and a compiler."""
    for tool in ("spin", "gcc"):
        binary(tool)


def test_the_flags_are_those_that_the_models_know() -> None:
    """A flag that is misspelled would check nothing and look right."""
    for model in (*PROPERTIES, *MUTANTS):
        known = _flags_of(model.name)

        assert set(model.flags) <= known, model


def test_every_flag_of_every_model_is_used() -> None:
    for path in MODELS.glob("*.pml"):
        used = {
            flag
            for model in (*PROPERTIES, *MUTANTS)
            if model.name == path.stem
            for flag in model.flags
        }

        assert _flags_of(path.stem) - used <= {"THIEF"}


@pytest.mark.parametrize("model", PROPERTIES, ids=str)
def test_every_interleaving_is_right(model: Model, tmp_path: Path) -> None:
    assert _errors(model, tmp_path) == 0


@pytest.mark.parametrize("model", MUTANTS, ids=str)
def test_the_mutant_is_found(model: Model, tmp_path: Path) -> None:
    """The same check says no as soon as the protocol leaves out one thing."""
    assert _errors(model, tmp_path) == 1


@pytest.mark.skipif(
    os.environ.get(LONG) != "1", reason=f"takes 500 MB: set {LONG}=1 to run it"
)
def test_a_thief_is_never_served_after_the_alarm(tmp_path: Path) -> None:
    """Nor is anything older than the token before the current one."""
    assert _errors(Model("rotate", ("THIEF",)), tmp_path) == 0


def _flags_of(name: str) -> set[str]:
    source = (MODELS / f"{name}.pml").read_text()
    return set(re.findall(r"^#ifn?def (\w+)", source, re.MULTILINE))


def _errors(model: Model, directory: Path) -> int:
    """Check the model; return how many assertions fail, of which the first ends it."""
    defines = [f"-D{flag}" for flag in model.flags]
    _run(directory, "spin", "-a", *defines, str(MODELS / f"{model.name}.pml"))
    speed = "-O2" if "THIEF" in model.flags else "-O0"  # to compile takes longest
    _run(directory, "gcc", "-w", speed, "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c")
    report = _run(directory, "./pan", "-E", "-m500000")
    assert "max search depth too small" not in report, report
    assert "out of memory" not in report, report
    found = re.search(r"errors: (\d+)$", report, re.MULTILINE)
    assert found, report
    errors = int(found[1])
    states = re.search(r"(\S+) states, stored", report)
    assert states, report
    TRIED["states"] += int(float(states[1]))
    assert errors == 0 or "assertion violated" in report, report
    return errors


def _run(directory: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
