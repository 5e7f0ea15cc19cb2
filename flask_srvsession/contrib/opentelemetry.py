"""Metrics of sessions and their storage for OpenTelemetry.

It needs ``opentelemetry-api`` alone; where the app configures no SDK, nothing is
measured. No attribute holds a session's id, a key or a user.
"""

from __future__ import annotations

from typing import Any

from flask import Flask
from opentelemetry.metrics import MeterProvider, Observation, get_meter

from .. import ending, signals
from ..info import SessionInfo
from ..runtime import Runtime

DURATION = "db.client.operation.duration"
"""Seconds of each call of the storage, as the semantic conventions of OpenTelemetry for
databases name it."""

EVENTS = "flask_srvsession.events"
"""How often something happened to a session: the attribute ``event`` tells which, and
``reason`` why it ended or was refused."""

OUTAGES = "flask_srvsession.outages"
"""How often the storage has begun to fail."""

_BUCKETS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
_SIGNALS = {
    "created": signals.session_created,
    "rotated": signals.session_rotated,
    "destroyed": signals.session_destroyed,
    "revoked": signals.session_revoked,
    "replayed": signals.session_replayed,
    "refused": signals.session_refused,
    "changes_dropped": signals.session_changes_dropped,
    "bound": signals.session_bound,
    "binding_failed": signals.binding_failed,
}
_REASONS = {end.reason for end in vars(ending).values() if isinstance(end, ending.End)}
_GOOD = ("done", "conflict", "refused")
"""The outcomes of a call that are no failure of the storage."""


def instrument(app: Flask, meter_provider: MeterProvider | None = None) -> None:
    """Measure the sessions of `app` from now on; to be called after ``init_app``.

    There is a histogram, ``db.client.operation.duration``, with the attributes
    ``db.system.name``, ``db.operation.name`` and, where it failed, ``error.type``; a
    counter of outages, ``flask_srvsession.outages``; and one of events,
    ``flask_srvsession.events``, with the attribute ``event``: created, rotated,
    destroyed, revoked, replayed, refused, changes_dropped, bound, binding_failed, and
    conflict (a save that was made anew). The attribute ``reason`` of those that ended
    is one of this package's, or "other" where the app has named it; that of a refusal
    is the name of the error. `meter_provider` is the global one unless it is given.
    """
    runtime: Runtime = app.extensions["srvsession"]
    meter = get_meter("flask_srvsession", meter_provider=meter_provider)
    events = meter.create_counter(EVENTS, "{event}", "What happened to sessions.")
    duration = meter.create_histogram(
        DURATION,
        "s",
        "Duration of the calls of the session storage.",
        explicit_bucket_boundaries_advisory=_BUCKETS,
    )
    system = {"db.system.name": getattr(runtime.backend, "system", "other")}

    def called(_: object, operation: str, seconds: float, outcome: str) -> None:
        attributes = {**system, "db.operation.name": operation}
        if outcome not in _GOOD:
            attributes["error.type"] = outcome
        elif outcome == "conflict":
            events.add(1, {"event": outcome})
        duration.record(seconds, attributes)

    def outages(_: object) -> list[Observation]:
        return [Observation(runtime.store.backend.outage.begun)]

    meter.create_observable_counter(OUTAGES, [outages], "{outage}", "Outages begun.")
    for name, signal in _SIGNALS.items():

        def happened(_: object, name: str = name, **facts: Any) -> None:
            events.add(1, {"event": name, **_reason(**facts)})

        signal.connect(happened, app, weak=False)
    signals.storage_called.connect(called, app, weak=False)


def _reason(
    info: SessionInfo | None = None,
    error: Exception | None = None,
    reason: str = "",
    **_: Any,
) -> dict[str, str]:
    """Return why it happened, in words of this package alone: those of the app may name
    somebody."""
    if info and info.end:
        reason = info.end.reason if info.end.reason in _REASONS else "other"
    elif error:
        reason = type(error).__name__
    return {"reason": reason} if reason else {}
