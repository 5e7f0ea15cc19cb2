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

EDGE = (
    *("__init__", "extension", "commands", "interface", "session", "visit", "runtime"),
    *(
        "arrival",
        "saving",
        "logout",
        "outages",
        "responses",
        "audit",
        "contrib",
        "dbsc",
        "take_over",
    ),
)
"""What may know Flask. Everything else works without any web framework."""

LAYERS = (
    ("contrib",),
    ("__init__",),
    ("extension",),
    ("commands", "sweeper"),
    ("dbsc",),
    ("interface",),
    ("session", "outages"),
    ("take_over",),
    ("arrival",),
    ("saving",),
    ("logout",),
    ("visit", "responses"),
    ("runtime",),
    ("keyring",),
    ("store", "logins", "moves", "audit"),
    ("draft", "config", "values", "info", "ending"),
    ("backends",),
    ("errors", "ids", "serializers", "login_keys", "signals"),
)
"""The modules and folders of the package: each imports from its own layer, and from
those below it."""

ABOVE_BACKENDS = ("backends.__init__", "backends.guarded")

CLIENTS: dict[str, str | tuple[str, ...]] = {
    "redis": "backends.redis",
    "pymemcache": ("backends.memcached", "take_over.flask_session"),
    "sqlalchemy": ("backends.sql", "take_over.flask_session"),
    "joserfc": ("contrib.backchannel", "dbsc"),
    "opentelemetry": "contrib.opentelemetry",
    "cryptography": ("dbsc", "store.encryption"),
}
"""Who may import an optional client, together with its helpers of the same name."""


def imports(module: str, *, types: bool = False) -> Iterator[str]:
    """Yield what a module imports: ours without the package's name and with a dot in
    front, others as they are. What is imported for type checks only, counts with
    `types`.
    """
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
        if not types
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


def ours(module: str, *, types: bool = False) -> set[str]:
    """Return the modules of the package that a module imports."""
    found = imports(module, types=types)
    return {name[1:] for name in found if name.startswith(".")} - {module}


def others(module: str, *, types: bool = False) -> set[str]:
    """Return what a module imports from elsewhere."""
    found = imports(module, types=types)
    return {name for name in found if not name.startswith(".")}


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def layer(module: str) -> int:
    [found] = [
        number
        for number, names in enumerate(LAYERS)
        if any(within(module, name) for name in names)
    ]
    return found


APP_MODULES = [module for module in MODULES if not within(module, "testing")]


def test_the_walk_sees_the_imports_that_are_there() -> None:
    assert {"session", "runtime", "visit"} <= ours("interface")
    assert {"store.__init__", "store.revocation"} <= ours("extension")
    assert {"config", "store.record", "backends.guarded"} <= ours("store.lists")
    assert {"errors", "backends.base", "backends.cell_index"} <= ours(
        "backends.memcached.backend"
    )
    assert "redis" in others("backends.redis.backend")
    assert "info" not in ours("config")  # for type checks only
    assert "info" in ours("config", types=True)
    assert "flask" in others("config", types=True) - others("config")


def test_every_layer_has_its_modules() -> None:
    found = {layer(module) for module in APP_MODULES}

    assert found == set(range(len(LAYERS)))


@pytest.mark.parametrize("module", APP_MODULES)
def test_imports_run_down_the_layers(module: str) -> None:
    above = [n for n in ours(module, types=True) if layer(n) < layer(module)]

    assert above == []


def test_no_import_goes_round_in_a_circle() -> None:
    """Nor one for types."""
    graph = {module: ours(module, types=True) for module in MODULES}

    order = list(TopologicalSorter(graph).static_order())

    assert order.index("store.__init__") < order.index("visit")
    assert order.index("visit") < order.index("session") < order.index("interface")
    assert order.index("interface") < order.index("extension")


@pytest.mark.parametrize("module", [m for m in MODULES if within(m, "store")])
def test_the_store_knows_neither_flask_nor_anything_above_it(module: str) -> None:
    above = [name for names in LAYERS[: layer(module)] for name in names]

    known = ours(module, types=True)

    assert [n for n in known if any(within(n, name) for name in above)] == []
    assert [n for n in others(module, types=True) if within(n, "flask")] == []


def test_flask_is_known_at_the_edge_only() -> None:
    inside = [m for m in APP_MODULES if not any(within(m, name) for name in EDGE)]

    knowing = {
        m: {n for n in others(m, types=True) if within(n, "flask")} for m in inside
    }

    assert {m: names for m, names in knowing.items() if names} == {
        "serializers": {"flask.json.tag"},
        "config": {"flask"},  # as a type: the setting that is told of each request
    }
    assert "flask" not in others("config")


@pytest.mark.parametrize(
    "module",
    [m for m in MODULES if within(m, "backends") and m not in ABOVE_BACKENDS],
)
def test_a_backend_knows_bytes_under_keys_and_nothing_else(module: str) -> None:
    common = {"errors", "backends.base", "backends.cell_index", "backends.health"}
    common.add("backends.options")

    strangers = ours(module) - common

    family = ".".join(module.split(".")[:2])
    assert [name for name in strangers if not within(name, family)] == []


@pytest.mark.parametrize(("client", "home"), CLIENTS.items())
def test_an_optional_client_is_imported_in_its_backend_only(
    client: str, home: str | tuple[str, ...]
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
    app = flask.Flask("app")
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
