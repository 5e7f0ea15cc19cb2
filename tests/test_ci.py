"""CI runs all checks; the files that say so are what those who read them expect."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from .package import JUNK, SHIPPED, oldest_releases

ROOT = Path(__file__).parents[1]
RUN = (ROOT / ".ci" / "run").read_text("utf-8")
PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")


@pytest.fixture
def jobs() -> dict[str, Any]:
    """The jobs of the code host's CI."""
    workflow = (ROOT / ".github" / "workflows" / "checks.yml").read_text("utf-8")
    found: dict[str, Any] = yaml.safe_load(workflow)["jobs"]
    return found


@pytest.mark.parametrize(
    "check",
    [
        *("sphinx-build", "ruff check", "ruff format --check", "codespell", "mypy"),
        *("pyright", "python -m tests.package"),
    ],
)
def test_one_command_runs(check: str) -> None:
    assert re.search(rf"^\.venv/bin/{check}", RUN, re.M)


def test_every_python_that_is_promised_is_tried(jobs: dict[str, Any]) -> None:
    promised = re.findall(r"Programming Language :: Python :: (3\.\d+)", PYPROJECT)
    minimum = re.search(r'^requires-python = ">=(.+)"', PYPROJECT, re.M)
    assert minimum

    assert jobs["pythons"]["strategy"]["matrix"]["python"] == promised
    assert promised[0] == minimum[1]


def test_only_what_flask_has_not_released_yet_may_fail(jobs: dict[str, Any]) -> None:
    may_fail = [name for name, job in jobs.items() if job.get("continue-on-error")]

    assert may_fail == ["flask-main"]


def test_every_package_that_users_get_has_an_oldest_release() -> None:
    names = {release.partition("==")[0] for release in oldest_releases()}

    assert {"flask", "itsdangerous", "msgpack", "redis", "pymemcache"} <= names
    assert {"sqlalchemy", "joserfc"} <= names
    assert "pytest" not in names


def test_developers_packages_are_no_extras() -> None:
    extras, _, groups = PYPROJECT.partition("[dependency-groups]")

    for name in ("pytest", "sphinx", "mypy", "ruff", "hypothesis"):
        assert f'"{name}>=' not in extras
        assert f'"{name}>=' in groups


def test_the_files_of_the_source_distribution_are_there_and_no_junk() -> None:
    assert [name for name in SHIPPED if not (ROOT / name).exists()] == []
    assert [name for name in SHIPPED if JUNK.search(f"/{name}")] == []


@pytest.mark.parametrize(
    "name", [".pre-commit-config.yaml", ".github/workflows/checks.yml"]
)
def test_it_can_be_read(name: str) -> None:
    assert yaml.safe_load((ROOT / name).read_text("utf-8"))
