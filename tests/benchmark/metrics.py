"""Microseconds that a call of the storage takes while it is measured.

python -m tests.benchmark.metrics
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

from flask import Flask
from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from flask_srvsession import ServerSession, signals
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.contrib.opentelemetry import DURATION, instrument


def microseconds(call: Callable[[], object]) -> str:
    """Return how long the fastest of many runs took, for each call."""
    return f"{min(timeit.repeat(call, number=500, repeat=200)) / 500 * 1e6:.2f}"


def reading(*providers: MeterProvider, heard: bool = False) -> Callable[[], object]:
    """Return a read of an app whose calls are measured."""
    app = Flask("shop")
    app.secret_key = "a long random text"
    ServerSession(app, MemoryBackend())
    for provider in providers:
        instrument(app, provider)
    if heard:
        signals.storage_called.connect(lambda *_, **__: None, app, weak=False)
    store = app.extensions["srvsession"].store.backend
    return lambda: store.get("nothing")


if __name__ == "__main__":
    provider = sdk.MeterProvider([InMemoryMetricReader()])
    histogram = provider.get_meter("bare").create_histogram(DURATION)
    attributes = {"db.system.name": "other", "db.operation.name": "load"}
    for name, call in {
        "nobody listens": reading(),
        "a receiver that does nothing": reading(heard=True),
        "OpenTelemetry without its SDK": reading(NoOpMeterProvider()),
        "OpenTelemetry with its SDK": reading(provider),
        "record() of the SDK by itself": lambda: histogram.record(0.001, attributes),
        "record() without attributes": lambda: histogram.record(0.001),
    }.items():
        print(f"{microseconds(call)} us: {name}", flush=True)
