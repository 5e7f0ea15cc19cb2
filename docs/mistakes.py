"""The page of mistakes: what each block of code on it says when it is run.

``python docs/mistakes.py`` writes the messages into docs/reference/mistakes.md anew,
after one of them has changed.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

PAGE = Path(__file__).parent / "reference" / "mistakes.md"
MISTAKE = re.compile(
    r"^### [^\n]+\n.*?"
    r"(?:<!-- where (?P<missing>\w+) is not installed -->\n\n)?"
    r"```python\n(?P<code>.*?)```\n\n```text\n(?P<says>.*?)```\n",
    re.M | re.S,
)
NEEDY = re.compile(r"flask_srvsession\.backends\.(redis|memcached)\b")
BEGIN = """
from flask import Flask
from flask_srvsession import ServerSession, session

app = Flask("shop")
app.config["SECRET_KEY"] = "a long random text"
app.testing = True  # errors of views come out of the test client
"""


def said_by(code: str, missing: str | None = None) -> str:
    """Return what `code` logs, prints, warns about and raises, in this order; the
    package `missing` cannot be imported meanwhile."""
    said, log = StringIO(), logging.StreamHandler()
    log.setStream(said)
    log.setFormatter(logging.Formatter("%(levelname)s in %(name)s: %(message)s"))
    logger = logging.getLogger("flask_srvsession")
    logger.addHandler(log)
    raised = ""
    with (
        _without(missing),
        redirect_stdout(said),
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        try:
            exec(compile(BEGIN + code, "mistake", "exec"), {"__name__": "mistake"})  # noqa: S102
        except Exception as error:
            raised = f"{type(error).__name__}: {error}\n"
        finally:
            logger.removeHandler(log)
    texts = (f"{each.category.__name__}: {each.message}\n" for each in warned)
    lines = [*said.getvalue().splitlines(keepends=True), *texts]
    return "".join([*dict.fromkeys(lines), raised])  # what is said twice, once


def with_messages(page: str) -> str:
    """Return the text of the page with the messages that its code gives now."""

    def renewed(mistake: re.Match[str]) -> str:
        begin, end = (at - mistake.start() for at in mistake.span("says"))
        says = said_by(mistake["code"], mistake["missing"])
        return f"{mistake[0][:begin]}{says}{mistake[0][end:]}"

    return MISTAKE.sub(renewed, page)


@contextmanager
def _without(package: str | None) -> Iterator[None]:
    """Let no import find `package`, nor a module of ours that has it already."""
    if package is None:
        yield
        return
    hidden = {
        name: module
        for name, module in sys.modules.items()
        if NEEDY.match(name) or name.startswith(f"{package}.")
    }
    for name in hidden:
        del sys.modules[name]
    try:
        with patch.dict(sys.modules, {package: None}):
            yield
    finally:
        sys.modules.update(hidden)


if __name__ == "__main__":
    PAGE.write_text(with_messages(PAGE.read_text("utf-8")), "utf-8")
