"""Build what is released, and use it in an empty environment.

::

    python -m tests.package            with the newest releases of what it needs
    python -m tests.package --oldest   with the oldest ones that pyproject.toml allows

Ends with an error if the wheel or the source distribution has too little or too much
in it, if the app of the README does not work with the installed wheel, or if a public
name has no type that pyright knows. With ``--oldest`` some of the tests run, too.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import venv
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]
PACKAGE = "flask_srvsession"
SHIPPED = (
    *(f"{PACKAGE}/py.typed", "docs/index.md", "docs/howto/deploy.md", "README.md"),
    *("CONTRIBUTING.md", "SECURITY.md", "LICENSE", "pyproject.toml", "conftest.py"),
    *("example_app/templates/base.html", "example_app/accounts.sql", ".ci/run"),
    *("tests/conftest.py", "tests/unit/test_layers.py", "docker-compose.yml"),
)
"""Files of the source distribution: some of each kind."""

JUNK = re.compile(r"__pycache__|\.pyc$|\.venv|\.hypothesis|\.sqlite3|\.db$|/build/")
NEEDED = re.compile(r'"([a-z-]+)(?:\[\w+\])?>=([\d.]+)"')
PUBLIC = (
    *("errors.", "info.", "signals.", "session_", "testing.", "backends.base."),
    *("extension.ServerSession.", "session.ServerSideSession."),
    "contrib.backchannel.Provider.",
)
"""How the names begin that users write, as pyright calls them within the package."""

TESTS = ("tests/unit", "tests/contract")
TESTED_WITH = (
    *("pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "sybil"),
    *("fakeredis[lua]", "psycopg[binary]", "pymysql", "pyyaml", "requests"),
    *("flask-login", "flask-wtf", "asgiref"),
)

USE = """
import re, warnings
from importlib.metadata import metadata
warnings.simplefilter("error")
readme = metadata("flask-srvsession").json["description"]
[app_py] = re.findall(r"^```python\\n(.*?)^```$", readme, re.M | re.S)
names = {"__name__": "quickstart"}
exec(app_py, names)
app = names["app"]
browser, copy = app.test_client(), app.test_client()
browser.post("/login", data={"name": "ann", "password": "correct horse"})
copy.set_cookie("session", browser.get_cookie("session").value)
assert "You are ann." in copy.get("/").text
browser.post("/logout")
assert "You are ann." not in copy.get("/").text
from flask_srvsession.backends import backend_from_url
for url in ("memory://", "redis://127.0.0.1", "memcached://127.0.0.1"):
    backend_from_url(url)
assert app.test_cli_runner().invoke(args=["sessions", "stats"]).exit_code == 0
"""


def main() -> None:
    """Check the package as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.package")
    parser.add_argument("--oldest", action="store_true")
    oldest = parser.parse_args().oldest
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        sdist, wheel = built(folder / "dist")
        problems = [*problems_of_sdist(sdist), *problems_of_wheel(wheel)]
        if problems:
            raise SystemExit("\n".join(problems))
        constraints = folder / "constraints.txt"
        constraints.write_text("\n".join(oldest_releases()) if oldest else "")
        python = environment(folder / "env", wheel, constraints)
        run(python, "-c", USE, cwd=folder)
        if oldest:
            run_tests(python, constraints)
        elif problems := list(problems_of_types(python, folder)):
            raise SystemExit("\n".join(problems))
    print("The package is as it should be.")


def built(folder: Path) -> tuple[Path, Path]:
    """Build the source distribution, and from it the wheel."""
    run(sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT))
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


def problems_of_sdist(path: Path) -> Iterator[str]:
    """Yield what the source distribution lacks, and what it should not have."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    yield from (f"The source lacks {name}." for name in SHIPPED if name not in names)
    yield from junk("source", names)


def problems_of_wheel(path: Path) -> Iterator[str]:
    """Yield what the wheel lacks, and what it should not have."""
    with ZipFile(path) as archive:
        names = set(archive.namelist())
    modules = {str(m.relative_to(ROOT)) for m in ROOT.glob(f"{PACKAGE}/**/*.py")}
    for name in sorted({*modules, f"{PACKAGE}/py.typed"} - names):
        yield f"The wheel lacks {name}."
    for name in sorted(names):
        if not re.match(rf"{PACKAGE}(-[\d.]+\.dist-info)?/", name):
            yield f"The wheel should not have {name}."
    yield from junk("wheel", names)


def junk(what: str, names: Iterable[str]) -> Iterator[str]:
    for name in sorted(names):
        if JUNK.search(f"/{name}"):
            yield f"The {what} should not have {name}."


def oldest_releases() -> list[str]:
    """Return the oldest releases of what users get, as pip's constraints."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    needed = text.partition("\ndependencies = ")[2].partition("\nexample = ")[0]
    return [f"{name}=={version}" for name, version in NEEDED.findall(needed)]


def environment(folder: Path, wheel: Path, constraints: Path) -> str:
    """Return the Python of an environment that has the wheel and nothing else."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    install(python, f"{wheel}[all]", constraints=constraints)
    return python


def install(python: str, *wanted: str, constraints: Path) -> None:
    quiet = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(python, *quiet, "--constraint", str(constraints), *wanted)


def run_tests(python: str, constraints: Path) -> None:
    """Run those tests that depend most on what others have written."""
    install(python, *TESTED_WITH, constraints=constraints)
    chosen = ("-k", "not postgres and not mariadb and not luster")
    workers = ("-n", "auto", "--dist", "loadfile", "-p", "no:cacheprovider")
    run(python, "-m", "pytest", "-q", *workers, *chosen, *TESTS, cwd=ROOT)


def problems_of_types(python: str, folder: Path) -> Iterator[str]:
    """Yield the public names whose types pyright does not know or has to guess."""
    options = ["--ignoreexternal", "--outputjson", "--verifytypes", PACKAGE]
    path = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "pyright", *options],
        cwd=folder,
        env={**os.environ, "PATH": path},  # it looks where `python` is
        capture_output=True,
        text=True,
    )
    symbols = json.loads(done.stdout)["typeCompleteness"]["symbols"]
    public = [each for each in symbols if is_public(each["name"])]
    if len(public) < 100:
        yield f"pyright has found {len(public)} public names only."
    for symbol in public:
        if not symbol["isTypeKnown"] or symbol["isTypeAmbiguous"]:
            yield f"{symbol['name']} has no type that is known."


def is_public(name: str) -> bool:
    within = name.partition(".")[2]
    return within.startswith(PUBLIC) and "._" not in within


def run(*command: str, cwd: Path | None = None) -> None:
    """Run a command; an error ends us, too."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=cwd, env=clean, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)[:200]} ended with {done.returncode}.")


if __name__ == "__main__":
    main()
