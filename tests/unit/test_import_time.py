"""``import flask_srvsession`` is cheap: the rest is imported when it is used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import flask_srvsession

ROOT = Path(flask_srvsession.__file__).parents[1]
MOST = 0.040
"""Seconds of the processor over what Flask takes; on slow computers in proportion."""

USUAL = 0.150
"""Seconds that Flask takes on the computer that this was measured on."""

Run = tuple[float, float, list[str]]

MEASURE = """
import json, sys, time
begun = time.process_time()
import flask
flask_there, modules = time.process_time(), set(sys.modules)
import flask_srvsession
took = time.process_time() - flask_there
print(json.dumps([flask_there - begun, took, sorted(set(sys.modules) - modules)]))
"""

NOT_IMPORTED = [
    *("flask_srvsession.commands.group", "flask_srvsession.commands.checks"),
    *("flask_srvsession.backends.redis", "flask_srvsession.backends.memcached"),
    *("flask_srvsession.backends.sql", "flask_srvsession.contrib"),
    *("flask_srvsession.testing", "redis", "pymemcache", "sqlalchemy"),
    *("joserfc", "cryptography", "flask_login", "asyncio", "ssl", "sqlite3", "pytest"),
]


def imported(caches: Path) -> Run:
    """Return the seconds of Flask and ours, and the modules that ours adds."""
    environment = {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(caches)}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    flask, ours, modules = json.loads(done.stdout)
    return flask, ours, modules


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Several imports, after one that compiles."""
    caches = tmp_path_factory.mktemp("caches")
    return [imported(caches) for _ in range(6)][1:]


@pytest.fixture(scope="module")
def modules(runs: list[Run]) -> list[str]:
    """The modules that an app imports with the package, beyond those of Flask."""
    return runs[0][2]


@pytest.mark.parametrize("name", NOT_IMPORTED)
def test_the_package_does_not_import(name: str, modules: list[str]) -> None:
    assert [m for m in modules if m == name or m.startswith(f"{name}.")] == []


def test_of_other_projects_the_package_imports_msgpack_only(
    modules: list[str],
) -> None:
    ours = ("flask_srvsession", "msgpack", "_cython", "cython_runtime")
    top = {name.partition(".")[0] for name in modules}

    assert "msgpack" in top
    assert {n for n in top - sys.stdlib_module_names if not n.startswith(ours)} == set()


def test_the_package_adds_at_most_40_ms_to_the_import_of_flask(
    runs: list[Run],
) -> None:
    flask = min(run[0] for run in runs)
    ours = min(run[1] for run in runs)

    assert ours <= MOST * max(1.0, flask / USUAL), f"{ours:.3f} s, Flask {flask:.3f} s"
