"""Results as Markdown and as a chart."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from statistics import median

from . import memory as states
from .chart import Bar, bars
from .contenders import (
    BARE,
    COOKIE,
    FLOOR,
    KINDS,
    LARGE,
    OURS,
    PEER,
    SIZES,
    SMALL,
)
from .runner import Results
from .scale import DEVICES, Scale
from .serving import FACTORIES, Rates
from .store_cost import Cost
from .targets import Target

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "performance.md"
CHART = PAGE.with_suffix(".svg")
_PACKAGES = ("flask", "werkzeug", "redis", "hiredis", "pymemcache", "sqlalchemy")
_PEERS = ("flask-session", "msgspec", "gunicorn")

Key = tuple[str, str, str]


def write(name: str, text: str) -> None:
    """Put `text` between the marks of that name on the page."""
    page = PAGE.read_text("utf-8")
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->\n"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    assert found, f"{PAGE} has no marks for {name}"
    PAGE.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")


def circumstances(command: str) -> str:
    """Return when, where and with what it was measured."""
    installed = [f"{name} {version(name)}" for name in (*_PACKAGES, *_PEERS)]
    servers = [_server_version(name) for name in ("redis-server", "memcached")]
    today = datetime.now(timezone.utc).date()
    system = f"Python {platform.python_version()} on {platform.system()}"
    return (
        f"Measured on {today} by `{command}`: {system}, {os.cpu_count()} cores;"
        f" {', '.join(installed)}; {', '.join(servers)}.\n"
    )


def targets(found: Iterable[Target]) -> str:
    """Return each target with its figure."""
    rows = [
        (
            target.what,
            f"{target.limit:g}{target.unit}",
            f"{target.measured:.3g}{target.unit}",
            "yes" if target.met else "**no**",
        )
        for target in found
    ]
    return _table(("target", "at most", "measured", "met"), rows)


def times(results: Results) -> str:
    """Return how many times longer than bare Flask each request takes."""
    bare = (BARE, "untouched", SMALL)
    return _by_request(
        "x bare Flask", results, lambda *case: f"{results.ratio(case, bare):.2f}"
    )


def cpu(results: Results) -> str:
    """Return the CPU time of the app in each request."""
    return _by_request(
        "us of CPU time", results, lambda *case: f"{results.cpu(*case):.1f}"
    )


def _by_request(
    title: str, results: Results, figure: Callable[[str, str, str], str]
) -> str:
    columns = [
        (kind, size)
        for size in SIZES
        for kind in (KINDS if size == SMALL else KINDS[1:])
    ]
    rows = []
    for name in dict.fromkeys(contender for contender, _, _ in results.cases):
        cases = [(name, *column) for column in columns]
        rows.append((name, *(figure(*c) if c in results else "-" for c in cases)))
    head = [f"{kind}, {size}" for kind, size in columns]
    return _table((title, *head), rows)


def own_time(results: Results) -> str:
    """Return what each adds to the raw commands, in CPU time of the app."""
    rows = []
    for store in ("Redis", "memcached"):
        for name in (f"{PEER}, {store}", f"{OURS}, {store}"):
            cells = [
                results.cpu(name, kind, size)
                - results.cpu(f"{FLOOR}, {store}", kind, size)
                for size in SIZES
                for kind in ("read", "change")
            ]
            rows.append((name, *(f"{cell:.0f}" for cell in cells)))
    head = [f"{kind}, {size}" for size in SIZES for kind in ("read", "change")]
    return _table(("us over the floor", *head), rows)


def wire(costs: Mapping[Key, Cost]) -> str:
    """Return commands, and bytes to and from the storage, of each request."""
    columns = [(KINDS[0], SMALL), *((k, s) for s in (SMALL, LARGE) for k in KINDS[1:])]
    rows = []
    for name in dict.fromkeys(contender for contender, _, _ in costs):
        found = [costs.get((name, *column)) for column in columns]
        rows.append((name, *("-" if cost is None else _cost(cost) for cost in found)))
    head = [f"{kind}, {size}" for kind, size in columns]
    return _table(("commands: bytes to / from", *head), rows)


def _cost(cost: Cost) -> str:
    if not cost.commands:
        return "none"
    return f"{'+'.join(cost.commands)}: {cost.sent:.0f} / {cost.received:.0f}"


def memory(used: Mapping[Key, float]) -> str:
    """Return what a session takes in Redis."""
    order = [(states.STORED_ONCE, size) for size in SIZES]
    order += [
        (state, SMALL) for state in (states.CHANGED, states.LOGGED_IN, states.SAME_USER)
    ]
    rows = [
        (
            f"{size}, {state}",
            *(f"{used[name, state, size]:.0f} B" for name in (PEER, OURS)),
        )
        for state, size in order
    ]
    return _table(("in Redis, a session of", PEER, OURS), rows)


def serving(rates: Rates) -> str:
    """Return the requests per second of the example app."""
    rows = [
        (page, *(f"{median(rates[name, page]):.0f}" for name in FACTORIES))
        for page in dict.fromkeys(page for _, page in rates)
    ]
    return _table(("requests per second", *FACTORIES), rows)


def scale(found: Sequence[Scale]) -> str:
    """Return what becomes of it with many sessions."""
    rows = [
        (
            f"{each.total:,}",
            f"{each.raw:.0f} us",
            f"{each.read:.2f}",
            f"{each.change:.2f}",
            f"{each.find:.0f} us",
        )
        for each in found
    ]
    of_user = f"list of a user's {DEVICES}"
    head = ("sessions in Redis", "floor, read", "read / that", "change / that", of_user)
    return _table(head, rows)


def chart(results: Results) -> str:
    """Return the bars of a small session in Redis."""
    shown = {
        "bare Flask": (BARE, "floor"),
        "bare Flask + raw commands": (f"{FLOOR}, Redis", "floor"),
        "flask_srvsession": (f"{OURS}, Redis", "ours"),
        "Flask's cookie session": (COOKIE, "theirs"),
        "Flask-Session, no refresh": (f"{PEER}, Redis without refresh", "theirs"),
        "Flask-Session": (f"{PEER}, Redis", "theirs"),
    }
    groups: list[tuple[str, Sequence[Bar]]] = []
    for kind in KINDS:
        group = [
            (
                label,
                results.ratio((name, kind, SMALL), (BARE, "untouched", SMALL)),
                colour,
            )
            for label, (name, colour) in shown.items()
            if (name, kind, SMALL) in results
        ]
        groups.append((kind, group))
    title = "Time of a request with a small session in Redis, bare Flask = 1"
    return bars(title, "x", groups)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _server_version(name: str) -> str:
    done = subprocess.run(
        [name, "--version"], capture_output=True, text=True, check=True
    )
    found = re.search(r"\d+\.\d+\.\d+", done.stdout)
    return f"{name} {found[0] if found else '?'}"
