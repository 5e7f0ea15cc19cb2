"""Timing: many short slices of all cases, in rounds, in random order.

Neighbours on the machine slow down whole stretches of time, and so whole rounds: what
is compared are two cases of the same round, and what is reported is the median.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from werkzeug.test import EnvironBuilder

from .contenders import COOKIE, LARGE, Contender

SLICE = 0.02
"""Seconds that one case runs in one round."""

PRESENTED = 10
"""Changes before the measurement: every record then holds all that it ever holds."""


@dataclass
class Case:
    """One kind of request to one app, with what it took, in us, by round."""

    contender: str
    kind: str
    size: str
    app: Flask = field(repr=False)
    environ: dict[str, Any] = field(repr=False)
    repeat: int = 1
    wall: list[float] = field(default_factory=list, repr=False)
    cpu: list[float] = field(default_factory=list, repr=False)

    def run(self, repeat: int) -> None:
        wsgi_app, environ = self.app.wsgi_app, self.environ
        for _ in range(repeat):
            body: Any = wsgi_app(environ.copy(), _start_response)
            b"".join(body)
            body.close()

    def calibrate(self) -> None:
        began = time.perf_counter()
        self.run(20)
        self.repeat = max(5, round(20 * SLICE / (time.perf_counter() - began)))

    def measure(self) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        self.run(self.repeat)
        self.cpu.append((time.process_time() - cpu) / self.repeat * 1e6)
        self.wall.append((time.perf_counter() - wall) / self.repeat * 1e6)


@dataclass(frozen=True)
class Results:
    """All cases after the measurement."""

    cases: Mapping[tuple[str, str, str], Case]

    def __contains__(self, key: tuple[str, str, str]) -> bool:
        return key in self.cases

    def wall(self, *key: str) -> float:
        """Return the median time of a request in us."""
        return statistics.median(self._case(key).wall)

    def cpu(self, *key: str) -> float:
        """Return the median CPU time of the app in us, without that of the store."""
        return statistics.median(self._case(key).cpu)

    def ratio(self, key: tuple[str, str, str], to: tuple[str, str, str]) -> float:
        """Return how much longer one takes than the other."""
        pairs = zip(self._case(key).wall, self._case(to).wall, strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)

    def _case(self, key: tuple[str, ...]) -> Case:
        contender, kind, size = key
        return self.cases[contender, kind, size]


def prepare(contenders: Iterable[Contender]) -> Results:
    """Make all apps and a session in each."""
    cases = {}
    for contender in contenders:
        for size in contender.sizes:
            if contender.name == COOKIE and size == LARGE:
                continue  # no browser takes such a cookie
            app = contender.make(size)
            cookie = begin(app, size)
            for kind in contender.kinds:
                case = Case(str(contender), kind, size, app, _environ(kind, cookie))
                cases[case.contender, kind, size] = case
    return Results(cases)


def measure(results: Results, rounds: int, tell: Callable[[str], None]) -> None:
    """Run all cases in `rounds` rounds."""
    cases = list(results.cases.values())
    for case in cases:
        case.calibrate()
    chance = random.Random(1)
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        chance.shuffle(cases)
        for case in cases:
            case.measure()


def begin(app: Flask, size: str) -> str | None:
    """Fill a session and use it, so that only what every request costs is left."""
    if "fill" not in app.view_functions or app.secret_key is None:
        return None
    browser = app.test_client()
    for path in (f"/fill/{size}", *["/change"] * PRESENTED):
        assert browser.get(path).status_code == 200, path
    assert browser.get("/read").text == "Ada"
    cookie = browser.get_cookie("session")
    assert cookie is not None
    return f"session={cookie.value}"


def _environ(kind: str, cookie: str | None) -> dict[str, Any]:
    builder = EnvironBuilder(f"/{kind}")
    environ = builder.get_environ()
    builder.close()
    if cookie:
        environ["HTTP_COOKIE"] = cookie
    return environ


def _start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
    if not status.startswith("200"):
        raise AssertionError(status)
