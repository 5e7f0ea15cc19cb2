"""The table of all configuration keys, made from where the package declares them.

``python docs/conf_table.py`` writes it into docs/reference/configuration.md.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from flask_srvsession.config import PREFIX, Settings

PAGE = Path(__file__).parent / "reference" / "configuration.md"
BEGIN, END = "<!-- begin table -->\n", "<!-- end table -->\n"
LONG = {
    "indexes": "../howto/other-logins.md#who-is-found",
    "login_keys": "../howto/other-logins.md#what-is-known",
}
"""Keys whose default is told elsewhere."""
DURATIONS = ("lifetime", "every", "grace", "window", "anonymous_timeout")


def configuration_table() -> str:
    """Return the table as Markdown."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for field in dataclasses.fields(Settings):
        key, meaning = PREFIX + field.name.upper(), _cell(field.metadata["doc"])
        rows.append(f"| `{key}` | {_default(field.name)} | {meaning} |")
    return "\n".join(rows) + "\n"


def with_table(page: str) -> str:
    """Return the text of the page with its table as it should be."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{configuration_table()}\n{END}{after}"


def _default(name: str) -> str:
    value = getattr(Settings(), name)
    if name in LONG:
        return f"[these]({LONG[name]})"
    if isinstance(value, int) and name.endswith(DURATIONS):
        days, minutes = value // 86400, value // 60
        return f"`{value}` ({f'{days} days' if days else f'{minutes} minutes'})"
    if isinstance(value, int) and name == "max_payload":
        return f"`{value}` ({value // 1024} KiB)"
    return f"`{value!r}`".replace("'", '"')


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
