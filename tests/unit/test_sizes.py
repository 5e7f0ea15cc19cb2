"""The package stays in pieces that can be read at a sitting."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import flask_srvsession

ROOT = Path(flask_srvsession.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
EXAMPLE = ROOT.parent / "example_app"
MAX_MODULE = 400
MAX_EXAMPLE = 150
MAX_FUNCTION = 40
MAX_METHODS = 25
MAPPING = "ServerSideSession"
"""A mapping with properties and verbs: all that users know has to be there."""

WITH_DRIVERS = ("redis", "sqlalchemy", "pymemcache", "click", "cryptography", "joserfc")


def module_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def lines_of_code(path: Path) -> int:
    """Return how many lines there are but for comments, docstrings and empty ones."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node):
            node.body.pop(0)
    for node in ast.walk(tree):
        if isinstance(node, (ast.stmt, ast.expr, ast.alias)):
            lines.update({node.lineno, node.end_lineno or node.lineno})
    return len(lines)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_no_module_has_more_than_400_lines_of_code(path: Path) -> None:
    lines = lines_of_code(path)

    assert lines <= MAX_MODULE, f"{path} has {lines} lines: split it by what it does"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_no_function_is_longer_than_40_lines(path: Path) -> None:
    """Without its docstring, which may be as long as a user needs it."""
    for function in functions(path):
        first = function.body[0]
        documented = ast.get_docstring(function) is not None
        start = first.end_lineno if documented else function.lineno
        lines = (function.end_lineno or 0) - (start or 0)
        assert lines <= MAX_FUNCTION, f"{function.name} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_no_class_but_the_session_has_more_than_25_methods(path: Path) -> None:
    classes = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and node.name != MAPPING
    ]

    for each in classes:
        methods = {
            node.name
            for node in each.body
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        }
        assert len(methods) <= MAX_METHODS, f"{each.name} has {len(methods)} methods"


def public_modules() -> list[str]:
    found = pkgutil.walk_packages([str(ROOT)], "flask_srvsession.")
    return ["flask_srvsession", *(module.name for module in found)]


@pytest.mark.parametrize("name", public_modules())
def test_every_module_imports_and_offers_what_its_all_names(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        driver = (error.name or "").partition(".")[0]
        if driver not in WITH_DRIVERS:
            raise
        pytest.skip(f"{driver} is not installed")

    names = getattr(module, "__all__", [])
    assert all(hasattr(module, each) for each in names)
    assert len(names) == len(set(names))
    assert module.__doc__, "a module begins with what it is for"


def test_the_public_names_are_documented() -> None:
    for name, value in vars(flask_srvsession).items():
        public = not name.startswith("_") and not isinstance(value, ModuleType)
        assert not public or name == "session" or value.__doc__


def test_the_example_has_at_most_150_lines_without_its_client() -> None:
    modules = {*EXAMPLE.glob("*.py")} - {EXAMPLE / "client.py"}

    assert 100 < sum(map(lines_of_code, modules)) <= MAX_EXAMPLE


PUBLIC = [
    "backends.memory.MemoryBackend",
    "backends.redis.RedisBackend",
    "backends.redis.RedisIndex",
    "backends.memcached.MemcachedBackend",
    "backends.sql.SQLBackend",
    "backends.sql.SQLIndex",
    "ServerSession",
    "SessionInfo",
]


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_method_is_documented(name: str) -> None:
    module, _, cls = f"flask_srvsession.{name}".rpartition(".")
    methods = vars(getattr(importlib.import_module(module), cls)).items()

    bare = [n for n, m in methods if callable(m) and not n.startswith("_")]
    assert [n for n, m in methods if n in bare and not m.__doc__] == []
