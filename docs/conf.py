"""How Sphinx builds the documentation; the command is in CONTRIBUTING.md.

The source directory is the root of the project: so README, SECURITY and CONTRIBUTING
are pages, too, and every link leads to the same place here and on a code host.
"""

from __future__ import annotations

from importlib.metadata import version as installed

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
html_title = project
html_copy_source = False
html_show_sphinx = False
html_additional_pages = {"index": "redirect.html"}
templates_path = ["templates"]

SECTIONS = {
    "Learn": ["/docs/tutorial"],
    "How to": ["/docs/howto/*"],
    "Migrate": ["/docs/migrate/*"],
    "Look up": ["/docs/reference/*", "/docs/changes"],
    "Understand": ["/docs/explanation/how-it-works", "/docs/explanation/*"],
    "The project": ["/README", "/SECURITY", "/CONTRIBUTING"],
}
"""What the sidebar shows. It is not in index.md, where a code host would show it as a
block of code."""


def add_sidebar(app: Sphinx, page: str, source: list[str]) -> None:
    """Append the tables of contents to the first page."""
    if page == root_doc:
        for caption, pages in SECTIONS.items():
            options = f":hidden:\n:glob:\n:caption: {caption}\n"
            entries = "\n".join(pages)
            source[0] += f"\n```{{toctree}}\n{options}\n{entries}\n```\n"


def setup(app: Sphinx) -> None:
    """Let the first page have its tables of contents."""
    app.connect("source-read", add_sidebar)
