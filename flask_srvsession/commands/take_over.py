"""``flask sessions take-over``, and the sources in the other commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from ..backends.guarded import Guarded
from ..backends.health import Finding, a_warning, an_info
from ..errors import ConfigurationError
from .desk import DONE, NOT_FOUND, Answer, Desk, command, progress

if TYPE_CHECKING:
    from ..runtime import Runtime
    from ..take_over.asking import TakeOver
    from ..take_over.source import Source


@command("take-over")
@click.option(
    "--from",
    "names",
    metavar="SOURCE",
    multiple=True,
    help="Only from these sources, as flask-session; else from all.",
)
def take_over(desk: Desk, names: tuple[str, ...]) -> Answer:
    """Take over now the sessions that the sources have, instead of one by one.

    May be interrupted, and run again: a session that was taken over is not in its
    source any more. Ends with 1 if a session was refused.
    """
    taking = desk.app.extensions["srvsession"].take_over
    if taking is None:
        raise click.UsageError(
            "This app takes nothing over: ServerSession(app, take_over=[...])."
        )
    counted: Counter[str] = Counter({"taken_over": 0, "refused": 0})
    with desk.with_records():
        store = desk.store
        for source in _chosen(taking, names):
            try:
                presented = [*source.all()]
            except ConfigurationError as error:
                raise click.UsageError(str(error)) from error
            for each in progress(presented, f"Taking over from {source.name}"):
                taken = taking.take(store, source, each)
                counted["taken_over"] += taken.is_new
                counted["refused"] += taken.refused
    text = "Took over {taken_over} session(s), refused {refused}.".format(**counted)
    return Answer(dict(counted), text, NOT_FOUND if counted["refused"] else DONE)


def _chosen(taking: TakeOver, names: Sequence[str]) -> list[Source]:
    known = {source.name for source in taking.sources}
    for name in names:
        if name not in known:
            raise click.UsageError(f"{name!r} is no source; there are {sorted(known)}.")
    return [each for each in taking.sources if not names or each.name in names]


def counts(desk: Desk) -> dict[str, int]:
    """Return the numbers taken over and refused, and why; nothing for an app that has
    no sources."""
    if desk.app.extensions["srvsession"].take_over is None:
        return {}
    from ..take_over import counts

    return counts.read(Guarded(desk.backend), desk.settings.key_prefix)


def findings(desk: Desk) -> Iterator[Finding]:
    """Yield when each source is over."""
    runtime: Runtime = desk.app.extensions["srvsession"]
    if runtime.take_over:
        for source in runtime.take_over.sources:
            yield _end_of(source, runtime.clock())


def storage_findings(desk: Desk) -> Iterator[Finding]:
    """Yield the parts of a take-over that the storage may forget."""
    if desk.app.extensions["srvsession"].take_over and desk.backend.evicts:
        yield a_warning(
            "take_over",
            "The storage may throw out the note that an old credential was used: where"
            " its source still has it, as Flask's cookie always does, a session that"
            " was ended could be taken over once more.",
            "Let the storage throw out nothing until take_over is out.",
        )


def _end_of(source: Source, now: float) -> Finding:
    if source.until is None:
        return an_info(
            "take_over",
            f"The source {source.name!r} is asked for ever.",
            "Give it until=, the date at which the last old cookie has expired.",
        )
    until = source.until.astimezone(timezone.utc)
    if source.is_over(now):
        problem = f"The source {source.name!r} is over since {until:%Y-%m-%d %H:%MZ}."
        return a_warning("take_over", problem, "Take it out.")
    days = (until - datetime.fromtimestamp(now, timezone.utc)).days
    return an_info(
        "take_over",
        f"The source {source.name!r} is asked until {until:%Y-%m-%d %H:%MZ}.",
        f"Take it out then, in {days} day(s).",
    )
