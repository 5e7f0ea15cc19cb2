"""Imports run one way, Flask stays at the edge, clients in their own modules."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import flask_srvsession

PACKAGE = Path(flask_srvsession.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

EDGE = {
    *("__init__", "extension", "cli", "cli_options", "display", "checks"),
    *("interface", "outages", "runtime", "session", "arrival"),
}
"""Who may know Flask. Everything else works without any web framework."""

CORE = (
    *("store", "creation", "regeneration", "places", "cells", "listing"),
    *("record", "rotation", "ids", "logins", "draft", "changes"),
)
ABOVE = ("extension", "interface", "runtime", "session", "arrival")

CLIENTS = {
    "redis": "backends.redis",
    "pymemcache": "backends.memcached",
    "sqlalchemy": "backends.sql",
}
"""Who may import an optional client, together with its helpers of the same name."""


def imports(module: str) -> Iterator[str]:
    """Yield what a module imports: ours without the package's name and with a dot in
    front, others as they are. What is imported for type checks only, does not count.
    """
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _imported_from(module, node)


def _imported_from(module: str, node: ast.ImportFrom) -> Iterator[str]:
    if not node.level:
        yield str(node.module)
        return
    path = MODULES[module].relative_to(PACKAGE).parent.parts
    base = [*path[: len(path) - node.level + 1], *(node.module or "").split(".")]
    target = ".".join(part for part in base if part)
    for alias in node.names:
        full = f"{target}.{alias.name}".lstrip(".")
        yield "." + (_known(full) or _known(target) or full)


def _known(name: str) -> str | None:
    package = f"{name}.__init__".lstrip(".")
    return name if name in MODULES else package if package in MODULES else None


def ours(module: str) -> set[str]:
    """Return the modules of the package that a module imports."""
    return {name[1:] for name in imports(module) if name.startswith(".")} - {module}


def others(module: str) -> set[str]:
    """Return what a module imports from elsewhere."""
    return {name for name in imports(module) if not name.startswith(".")}


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_the_walk_sees_the_imports_that_are_there() -> None:
    assert {"session", "runtime", "store"} <= ours("interface")
    assert {"errors", "backends.base", "backends.index"} <= ours("backends.memcached")
    assert "redis" in others("backends.redis")
    assert "store" not in ours("config")  # for type checks only


def test_no_import_goes_round_in_a_circle() -> None:
    graph = {module: ours(module) for module in MODULES}

    order = list(TopologicalSorter(graph).static_order())

    assert order.index("store") < order.index("session") < order.index("interface")
    assert order.index("interface") < order.index("extension")


@pytest.mark.parametrize("module", CORE)
def test_the_core_knows_nothing_of_what_is_above_it(module: str) -> None:
    assert ours(module).isdisjoint(ABOVE)


def test_flask_is_known_at_the_edge_only() -> None:
    inside = [m for m in MODULES if m not in EDGE and not within(m, "testing")]

    knowing = {m: {n for n in others(m) if within(n, "flask")} for m in inside}

    assert {m: names for m, names in knowing.items() if names} == {
        "serializers": {"flask.json.tag"}
    }


@pytest.mark.parametrize(
    "module", [m for m in MODULES if within(m, "backends") and m != "backends.__init__"]
)
def test_a_backend_knows_bytes_under_keys_and_nothing_else(module: str) -> None:
    common = {"errors", "backends.base", "backends.index", "backends.health"}

    strangers = ours(module) - common

    # of one family are backends.redis and backends.redis_health
    family = module.partition("_")[0]
    assert [name for name in strangers if name.partition("_")[0] != family] == []


@pytest.mark.parametrize(("client", "home"), CLIENTS.items())
def test_an_optional_client_is_imported_in_its_backend_only(
    client: str, home: str
) -> None:
    users = [m for m in MODULES if any(within(n, client) for n in others(m))]

    assert [m for m in users if not m.startswith(home)] == []


BLOCK = """
import sys
for name in ("redis", "hiredis", "pymemcache", "sqlalchemy", "flask_login", "pytest"):
    sys.modules[name] = None
"""

USE = """
import flask
from flask_srvsession import ConfigurationError, ServerSession, session
app = flask.Flask("app")
app.config["SECRET_KEY"] = "secret"
ServerSession(app)
app.add_url_rule("/", view_func=lambda: str(session.compute("n", lambda n: n or 1)))
print(app.test_client().get("/").text)
for url in ("redis://localhost", "memcached://localhost"):
    app.config["SRVSESSION_BACKEND"] = url
    try:
        ServerSession(app)
    except ConfigurationError as error:
        print(error)
"""


def test_without_optional_packages_it_works_and_names_the_extra_that_is_missing(
    tmp_path: Path,
) -> None:
    environment = {"PYTHONPATH": str(PACKAGE.parent)}

    done = subprocess.run(
        [sys.executable, "-c", BLOCK + USE],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    works, redis, memcached = done.stdout.splitlines()
    assert works == "1"
    assert "[redis]" in redis
    assert "[memcached]" in memcached
