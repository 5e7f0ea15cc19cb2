"""What was promised of the speed, and what is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from . import memory as states
from . import serving
from .contenders import BARE, FLOOR, LARGE, MEDIUM, OURS, PEER, SMALL
from .runner import Results
from .store_cost import Cost

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Target:
    """`measured` is not to be above `limit`."""

    what: str
    limit: float
    measured: float
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.measured <= self.limit


def targets(
    results: Results,
    costs: Mapping[Key, Cost],
    memory: Mapping[Key, float],
    answers: Mapping[tuple[str, str], tuple[int, float]],
    rates: serving.Rates,
) -> Iterator[Target]:
    """Yield each target with its figure; those of `rates` only if there are any."""
    ours, floor, peer = f"{OURS}, Redis", f"{FLOOR}, Redis", f"{PEER}, Redis"

    def ratio(kind: str, size: str, mine: str, theirs: str) -> float:
        return results.ratio((mine, kind, size), (theirs, kind, size))

    untouched = (ours, "untouched", SMALL)
    bare = results.ratio(untouched, (BARE, "untouched", SMALL))
    yield Target("untouched request / bare Flask", 1.05, bare)
    yield Target("commands of an untouched request", 0, len(costs[untouched].commands))
    for kind, to_floor, to_peer in (("read", 1.18, 0.58), ("change", 1.22, 0.90)):
        for size in (SMALL, MEDIUM):
            yield Target(
                f"Redis, {kind}, {size} / floor",
                to_floor,
                ratio(kind, size, ours, floor),
            )
            yield Target(
                f"Redis, {kind}, {size} / Flask-Session",
                to_peer,
                ratio(kind, size, ours, peer),
            )
    yield Target(
        f"Redis, read of one key of {LARGE} / Flask-Session",
        0.32,
        ratio("read", LARGE, ours, peer),
    )
    for store, theirs, kind, limit in (
        ("memcached", "memcached", "read", 0.78),
        ("memcached, logged in", "memcached", "read", 0.85),
        ("memcached", "memcached", "change", 1.10),
        ("SQLite", "SQLAlchemy", "read", 0.10),
        ("SQLite", "SQLAlchemy", "change", 0.18),
    ):
        measured = ratio(kind, SMALL, f"{OURS}, {store}", f"{PEER}, {theirs}")
        yield Target(f"{store}, {kind} / Flask-Session", limit, measured)
    yield from _of_memory(memory)
    for kind in ("read", "change"):
        _, seconds = answers[OURS, kind]
        yield Target(f"Redis hangs: a {kind} is answered after", 1.05, seconds, " s")
    for page in dict.fromkeys(page for _, page in rates):
        if page.startswith((serving.HOME, serving.CART)):
            limit = 0.91 if page.startswith(serving.HOME) else 1.0
            found = serving.ratio(rates, page, PEER)
            yield Target(f"gunicorn, {page} / Flask-Session", limit, found)


def _of_memory(memory: Mapping[Key, float]) -> Iterator[Target]:
    theirs = memory[PEER, states.STORED_ONCE, SMALL]
    for state in (states.STORED_ONCE, states.CHANGED):
        mine = memory[OURS, state, SMALL]
        yield Target(f"Redis memory, {state} / Flask-Session", 1.40, mine / theirs)
    mine = (
        memory[OURS, states.SAME_USER, SMALL] - memory[OURS, states.STORED_ONCE, SMALL]
    )
    yield Target(
        "Redis memory of a logged-in session's place in the list", 130, mine, " B"
    )
