"""The tables of all configuration keys, made from where the package declares them.

``python docs/conf_table.py`` writes them into docs/reference/configuration.md.
"""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from pathlib import Path

from flask_srvsession.config import PREFIX, Settings

PAGE = Path(__file__).parent / "reference" / "configuration.md"
BEGIN, END = "<!-- begin table -->\n", "<!-- end table -->\n"
LONG = {
    "indexes": "../howto/other-logins.md#found-users",
    "login_keys": "../howto/other-logins.md#known-keys",
}
"""Keys whose default is told elsewhere."""

GROUPS = {
    "Storage": "backend key_prefix serializer max_payload encryption_keys sweep_every "
    "fenced_load",
    "Lifetimes": "idle_timeout anonymous_timeout absolute_lifetime touch_interval",
    "Logins and lists": "login_keys not_login_keys indexes drop_at_login max_per_key "
    "max_per_key_policy metadata",
    "Rotation of the cookie": "rotate_every rotate_grace on_replay",
    "Sessions bound to a device": "dbsc dbsc_path dbsc_window dbsc_exclude "
    "dbsc_initiators",
}
"""The names of the keys under each heading, in lower case and without prefix."""
DURATIONS = ("lifetime", "every", "grace", "window", "anonymous_timeout")


def configuration_table() -> str:
    """Return a heading and a table for each group, as Markdown; each key is an anchor.

    Raises KeyError for a key that is in no group.
    """
    docs = meanings()
    lines = []
    for title, names in GROUPS.items():
        lines += [f"### {title}", "", "| key | default | meaning |", "|---|---|---|"]
        for name in names.split():
            key, meaning = PREFIX + name.upper(), _cell(docs.pop(name))
            anchor = f'<a id="{key.lower()}"></a>'
            lines.append(f"| {anchor}`{key}` | {_default(name)} | {meaning} |")
        lines.append("")
    if docs:
        raise KeyError(f"in no group: {', '.join(docs)}")
    return "\n".join(lines)


def meanings() -> dict[str, str]:
    """Return the text that stands below each field of Settings."""
    classes = ast.parse(inspect.getsource(Settings)).body
    lines = [line for each in classes for line in getattr(each, "body", ())]
    return {
        field.target.id: " ".join(ast.literal_eval(below.value).split())
        for field, below in pairwise(lines)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr)
    }


def with_table(page: str) -> str:
    """Return the text of the page with its table as it should be."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{configuration_table()}{END}{after}"


def _default(name: str) -> str:
    value = getattr(Settings(), name)
    if name in LONG:
        return f"[these]({LONG[name]})"
    if isinstance(value, int) and name.endswith(DURATIONS):
        days, minutes = value // 86400, value // 60
        number, unit = (days, "day") if days else (minutes, "minute")
        return f"`{value}` ({number} {unit}{'' if number == 1 else 's'})"
    if isinstance(value, int) and name == "max_payload":
        return f"`{value}` ({value // 1024} KiB)"
    return f"`{value!r}`".replace("'", '"')


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
