"""The backend in the how-to is complete, and found once its package is installed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_srvsession import ConfigurationError, ServerSession, session
from tests.test_documents import ROOT, blocks

PAGE = ROOT / "docs" / "howto" / "write-a-backend.md"
CODE, TEST = blocks(PAGE, "python")

page: dict[str, Any] = {"__name__": "page"}
exec(CODE + TEST, page)

TestFileBackend = page["TestFileBackend"]

COUNT = """
import sys
from my_package import FileBackend
from flask_srvsession.backends import Cell

backend, times = FileBackend(sys.argv[1]), int(sys.argv[2])
for _ in range(times):
    cell = backend.get("count")
    while isinstance(cell, Cell):
        cell = backend.swap("count", b"%d" % (int(cell.data) + 1), cell.version, 60)
"""


ENTRY_POINTS = re.compile(
    r"""^\[project\.entry-points\."(.+)"\]\n(\w+ = )"(.+)"$""", re.M
)


@pytest.fixture
def site_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the package of the page is installed, as an installer would leave it."""
    directory = tmp_path / "site-packages"
    metadata = directory / "my_package-1.0.dist-info"
    metadata.mkdir(parents=True)
    (directory / "my_package.py").write_text(CODE, "utf-8")
    (metadata / "METADATA").write_text("Name: my_package\nVersion: 1.0\n", "utf-8")
    [announcement] = blocks(PAGE, "toml")
    [(group, name, place)] = ENTRY_POINTS.findall(announcement)
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name}{place}\n", "utf-8")
    monkeypatch.syspath_prepend(directory)
    monkeypatch.delitem(sys.modules, "my_package", raising=False)
    return directory


@pytest.mark.usefixtures("site_packages")
def test_its_scheme_is_known_once_the_package_is_installed(tmp_path: Path) -> None:
    app = Flask("shop")
    app.config["SECRET_KEY"] = "a secret key that is only used by these tests"
    app.config["SRVSESSION_BACKEND"] = f"files://{tmp_path}/sessions"
    ServerSession(app)
    app.add_url_rule("/in", "in", lambda: session.update(user_id=1) or "")
    app.add_url_rule("/", "who", lambda: str(session.get("user_id")))
    app.add_url_rule("/out", "out", lambda: session.destroy() or "")
    browser, copy = app.test_client(), app.test_client()
    browser.get("/in")
    copy.set_cookie("session", browser.get_cookie("session").value)  # type: ignore[union-attr]

    before = copy.get("/").text
    browser.get("/out")

    assert (before, copy.get("/").text) == ("1", "None")


def test_without_the_package_its_scheme_is_unknown() -> None:
    app = Flask("shop")
    app.config["SRVSESSION_BACKEND"] = "files:///var/lib/shop"

    with pytest.raises(ConfigurationError, match="no backend for files://"):
        ServerSession(app)


def test_processes_that_count_with_it_lose_no_count(
    site_packages: Path, tmp_path: Path
) -> None:
    processes, times = 3, 50
    backend = page["FileBackend"](tmp_path / "sessions")
    backend.add("count", b"0", 60)
    command = [sys.executable, "-c", COUNT, str(tmp_path / "sessions"), str(times)]
    path = {"PYTHONPATH": f"{site_packages}:{ROOT}"}

    running = [subprocess.Popen(command, env=path) for _ in range(processes)]
    codes = [process.wait(30) for process in running]

    assert codes == [0] * processes
    assert backend.get("count").data == b"%d" % (processes * times)


def test_it_has_less_than_a_hundred_lines() -> None:
    assert len(CODE.splitlines()) < 100
