"""Runs the Python code blocks of README.md and docs/ as tests, page by page, each from
top to bottom."""

from __future__ import annotations

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser


def _begin(namespace: dict[str, object]) -> None:
    namespace["__name__"] = "page"  # for Flask(__name__)


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/**/*.md", "docs/*.md"],
    setup=_begin,
).pytest()
