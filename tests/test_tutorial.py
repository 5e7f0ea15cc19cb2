"""The tutorial works as written, from top to bottom: files, changes and commands."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from .servers import HOST, REQUIRED, free_port

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"into\s+`(\w+\.py)`")
CHECKOUT = ["flask_srvsession", "pyproject.toml", "README.md", "LICENSE"]
END = "--- this block ended with"
PATIENCE = 30.0


def test_the_tutorial_works_as_written(tmp_path: Path) -> None:
    notes, port, printed = tmp_path / "notes", free_port(), ""
    with ExitStack() as server, started(["bash"], checkout(tmp_path)) as terminal:
        for match in BLOCK.finditer(PAGE):
            language, block = match.groups()
            if language == "python":
                name = FILE.findall(PAGE[: match.start()])[-1]
                (notes / name).write_text(block)
            elif language == "diff":
                change(notes / "app.py", block)
            elif language == "text":
                assert printed == block
            elif "flask run" in block:
                server.close()
                server.enter_context(serving(block, notes, port))
            else:
                printed = run(terminal, block.replace(":5000", f":{port}"))


def checkout(folder: Path) -> Path:
    """Return a folder with what is installed from a checkout."""
    copy = folder / "flask_srvsession"
    copy.mkdir()
    for name in CHECKOUT:
        source = ROOT / name
        place = shutil.copytree if source.is_dir() else shutil.copy
        place(source, copy / name)
    return copy


def change(file: Path, diff: str) -> None:
    """Make the change that a block shows, at the one place where it can be made."""
    lines = diff.splitlines(keepends=True)
    old = "".join(line[1:] or "\n" for line in lines if line[0] != "+")
    new = "".join(line[1:] or "\n" for line in lines if line[0] != "-")
    text = file.read_text()
    assert text.count(old) == 1, old
    file.write_text(text.replace(old, new))


def run(terminal: subprocess.Popen[str], block: str) -> str:
    """Return what a block of commands prints; the last one must succeed."""
    assert terminal.stdin
    assert terminal.stdout
    terminal.stdin.write(f'{block}echo "{END} $?"\n')
    terminal.stdin.flush()
    printed = ""
    for line in terminal.stdout:
        if line == f"{END} 0\n":
            return printed
        if line.startswith(END):
            break
        printed += line
    if "pip install" in block and os.environ.get(REQUIRED) != "1":
        pytest.skip("pip cannot install what the tutorial needs")
    raise AssertionError(f"{block}{printed}")


@contextmanager
def started(command: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a program that reads from us and prints to us, until we are done."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment.pop("PYTHONPATH", None)
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def serving(command: str, folder: Path, port: int) -> Iterator[None]:
    """Serve the app as the tutorial says, on another port."""
    with started([*command.split(), "--port", str(port)], folder) as server:
        deadline = time.monotonic() + PATIENCE
        while not answers(port):
            assert server.poll() is None, "the app has ended"
            assert time.monotonic() < deadline, "the app does not answer"
            time.sleep(0.05)
        yield


def answers(port: int) -> bool:
    """Return whether somebody listens there."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
