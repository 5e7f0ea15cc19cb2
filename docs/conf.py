"""How Sphinx builds the documentation; the command is in CONTRIBUTING.md.

The source directory is the root of the project: so README, SECURITY and CONTRIBUTING
are pages, too, and every link leads to the same place here and on a code host.
``sphinx-build docs out`` builds the same.
"""

from __future__ import annotations

import re
from importlib.metadata import version as installed
from pathlib import Path
from posixpath import normpath

from sphinx.application import Sphinx

project = "flask_srvsession"
author = "The flask_srvsession maintainers"
copyright = author
version = release = installed("flask-srvsession")

root_doc = "docs/index"
include_patterns = ["*.md", "docs/**"]
exclude_patterns = [".*", "build", "docs/_build"]
extensions = ["myst_parser", "sphinx.ext.autodoc"]
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!flask_srvsession\b).*"),  # other projects' names
    ("py:.*", r"flask_srvsession\..*\.(T|_\w+)"),  # type variables, private names
]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"{project} {release}"
pygments_dark_style = "github-dark"  # underlines nothing that is no link
html_favicon = "static/favicon.svg"
html_copy_source = False
html_show_sphinx = False
html_additional_pages = {"index": "redirect.html"}
templates_path = ["templates"]

html_static_path = ["static"]
html_css_files = ["wide.css"]

SECTION = re.compile(r"^## (.+)\n((?:(?!## ).*\n?)*)", re.M)
LINK = re.compile(r"\]\((\S+)\.md\)")
CONTENTS = """
```{{toctree}}
:hidden:
:caption: {caption}

{pages}
```
"""


def add_sidebar(app: Sphinx, page: str, source: list[str]) -> None:
    """Give the first page a hidden table of contents for each of its sections, of what
    the section links to. A code host would show them as blocks of code."""
    if page != root_doc:
        return
    sections = {title: LINK.findall(text) for title, text in SECTION.findall(source[0])}
    known = {normpath(f"docs/{path}") for pages in sections.values() for path in pages}
    if others := sorted(app.env.found_docs - known - {root_doc}):
        sections["More"] = [f"/{path}" for path in others]
    for caption, pages in sections.items():
        source[0] += CONTENTS.format(caption=caption, pages="\n".join(pages))


def setup(app: Sphinx) -> None:
    """Read the pages from the root of the project, wherever the command says; let the
    first page have its tables of contents."""
    app.srcdir = type(app.srcdir)(Path(__file__).parents[1])
    app.connect("source-read", add_sidebar)
