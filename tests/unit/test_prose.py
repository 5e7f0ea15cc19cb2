"""Docstrings, comments and pages are plain English: one subject, one verb."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import flask_srvsession

ROOT = Path(flask_srvsession.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
PAGES = sorted([*ROOT.parent.glob("*.md"), *ROOT.parent.glob("docs/**/*.md")])
NO_PROSE = re.compile(r"```.*?```|<!--.*?-->|`[^`\n]*`|\]\([^)]*\)", re.S)
"""Parts of a page that are no prose: code and the targets of links."""

MOST_WHATS = 2
"""Of a thousand words. Other packages of the field have 0 to 1.7."""

IDIOLECT = re.compile(
    r"""(?:\A|[.:|]\s+|\*\*|^-\ |^\#+\ )(?:What|Who|Whoever|Whatever)\b
    | \bwhat\ is\ gone\b | \bof\ late\b | \bfor\ good\b""",
    re.VERBOSE | re.MULTILINE,
)


def prose(path: Path) -> Iterator[str]:
    """Yield the docstrings and comments of a module."""
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string.lstrip("# ")


def sentences(path: Path) -> Iterator[str]:
    """Yield the text of a module or of a page."""
    if path.suffix == ".md":
        yield NO_PROSE.sub("X", path.read_text(encoding="utf-8"))
    else:
        yield from prose(path)


@pytest.mark.parametrize(
    "path", [*MODULES, *PAGES], ids=lambda p: str(p.relative_to(ROOT.parent))
)
def test_no_sentence_begins_with_what_or_who(path: Path) -> None:
    found = [
        match.group(0) for text in sentences(path) for match in IDIOLECT.finditer(text)
    ]

    assert found == []


@pytest.mark.parametrize("paths", [MODULES, PAGES], ids=["modules", "pages"])
def test_what_is_rare(paths: list[Path]) -> None:
    texts = [text for path in paths for text in sentences(path)]
    words = [word for text in texts for word in re.findall(r"[A-Za-z']+", text)]
    whats = [word for word in words if word.lower() in ("what", "whatever")]

    assert len(words) > 10_000
    assert 1000 * len(whats) / len(words) <= MOST_WHATS
