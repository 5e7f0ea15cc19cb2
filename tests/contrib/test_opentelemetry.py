"""The metrics are what a scripted run has done; they cost nothing that is not used."""

from __future__ import annotations

import subprocess
import sys
import timeit
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from flask_srvsession import ServerSession, session, storage_called
from flask_srvsession.backends import guarded, outage
from flask_srvsession.backends.guarded import Guarded
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.contrib.opentelemetry import DURATION, EVENTS, OUTAGES, instrument
from tests.web import Browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp


sessions = ServerSession()


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


class Flaky(MemoryBackend):
    """A storage that refuses connections while it is down."""

    errors = (ConnectionRefusedError,)
    down = True

    def get(self, key: str) -> Any:
        self._fail()
        return super().get(key)

    def add(self, key: str, data: bytes, ttl: int) -> Any:
        self._fail()
        return super().add(key, data, ttl)

    def _fail(self) -> None:
        if self.down:
            raise ConnectionRefusedError


def events(reader: InMemoryMetricReader) -> dict[tuple[Any, Any], int]:
    return {
        (p.attributes["event"], p.attributes.get("reason")): p.value
        for p in points(reader, EVENTS)
    }


@pytest.fixture
def app(make_app: MakeApp, reader: InMemoryMetricReader) -> Iterator[Flask]:
    app = make_app()
    provider = MeterProvider([reader])
    instrument(app, provider)
    yield app
    provider.shutdown()


def points(reader: InMemoryMetricReader, name: str) -> list[Any]:
    data = reader.get_metrics_data()
    return [
        point
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
    ]


def test_the_events_are_those_of_a_scripted_run(
    app: Flask, clock: FakeClock, reader: InMemoryMetricReader
) -> None:
    browsers = [Browser(app) for _ in range(3)]
    for browser in browsers:
        browser.set(lang="de")
    for browser in browsers[:2]:
        browser.set(user_id=7)  # a login: a new id
    thief = browsers[1].copy()
    browsers[0].do(lambda: session.destroy())
    browsers[2].set(user_id=9)
    with app.app_context():
        sessions.revoke_all(user_id=9, reason="hunter2")
    clock.advance(3600)
    browsers[1].set(n=1)  # the token moves on
    clock.advance(3600)
    browsers[1].set(n=2)
    clock.advance(3600)
    thief.values()

    assert events(reader) == {
        ("created", None): 3,
        ("rotated", None): 3,
        ("destroyed", "logout"): 1,
        ("replayed", "replay"): 1,
        ("revoked", "other"): 1,
    }


def test_each_refusal_is_counted_once_with_its_error(
    make_app: MakeApp, clock: FakeClock, reader: InMemoryMetricReader
) -> None:
    app = make_app(
        SRVSESSION_MAX_PER_KEY={"user_id": 1}, SRVSESSION_MAX_PER_KEY_POLICY="reject"
    )
    instrument(app, provider := MeterProvider([reader]))

    def log_in_late() -> None:
        epoch = sessions.epoch(user_id=8)
        sessions.revoke_all(user_id=8)
        session.bind(user_id=8, epoch=epoch)

    owner = Browser(app)
    owner.set(user_id=7)
    owner.values()
    assert Browser(app).set(user_id=7).status_code == 409  # at the end of the request
    assert Browser(app).do(log_in_late).status_code == 409
    clock.advance(3600)
    late = owner.copy()
    owner.values()  # the token moves on
    owner.values()
    assert late.do(lambda: session.rotate()).status_code == 409

    counted = events(reader)
    refused = {
        reason: n for (event, reason), n in counted.items() if event == "refused"
    }
    assert refused == {"TooManySessions": 1, "StaleLogin": 1, "StaleCredential": 1}
    provider.shutdown()


def test_an_outage_is_counted_when_it_begins(
    make_app: MakeApp, reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "CALM", 0.0)
    app = make_app(flaky := Flaky())
    instrument(app, provider := MeterProvider([reader]))
    browser = Browser(app)

    for down in (True, True, False, True, False):
        flaky.down = down
        assert browser.set(a=1).status_code == (503 if down else 200)

    assert [p.value for p in points(reader, OUTAGES)] == [2]
    provider.shutdown()


def test_the_calls_are_all_and_name_the_system_and_the_operation(
    app: Flask, reader: InMemoryMetricReader
) -> None:
    told: Counter[str] = Counter()

    def count(_: object, operation: str, seconds: float, outcome: str) -> None:
        assert 0 <= seconds < 60
        told[operation] += 1

    with storage_called.connected_to(count, app):
        browser = Browser(app)
        browser.set(user_id=7)
        browser.values()
        browser.do(lambda: session.destroy())

    measured = points(reader, DURATION)
    system = getattr(app.extensions["srvsession"].backend, "system", "other")
    assert {p.attributes["db.operation.name"]: p.count for p in measured} == told
    assert {p.attributes["db.system.name"] for p in measured} == {system}
    assert told["create"] == 2  # the session, and the marker of the secret key
    assert told["destroy"] == 1


def test_a_failure_is_its_type_and_no_attribute_tells_more(
    make_app: MakeApp, reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "QUICK", 30)  # on a busy computer, too
    app = make_app(Flaky(), TESTING=False)
    provider = MeterProvider([reader])
    instrument(app, provider)

    assert Browser(app).set(user_id="hunter2").status_code == 503

    provider_points = points(reader, DURATION)
    failed = [p for p in provider_points if "error.type" in p.attributes]
    assert {(p.attributes["error.type"], p.count) for p in failed} == {
        ("ConnectionRefusedError", 2)
    }
    for point in provider_points:
        assert set(point.attributes) <= {
            "db.system.name",
            "db.operation.name",
            "error.type",
        }
    provider.shutdown()


def test_a_receiver_that_fails_ends_no_request(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()

    def fail(_: object, **facts: Any) -> None:
        raise ZeroDivisionError

    with storage_called.connected_to(fail, app):
        browser = Browser(app)
        assert browser.set(a=1).status_code == 200

    assert browser.values() == {"a": 1}
    assert "a receiver of storage_called failed" in caplog.text


def test_other_apps_are_not_measured(
    app: Flask, make_app: MakeApp, reader: InMemoryMetricReader
) -> None:
    Browser(make_app(SRVSESSION_KEY_PREFIX="other:")).set(user_id=7)

    assert points(reader, EVENTS) == []
    assert points(reader, DURATION) == []


def test_who_does_not_import_it_does_not_pay_for_it() -> None:
    code = "import flask_srvsession, sys; print('opentelemetry' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout == "False\n"


def test_a_receiver_costs_microseconds() -> None:
    backend, sender = MemoryBackend(), object()
    guarded = Guarded(backend, sender=sender)

    def cost() -> float:
        return (
            min(timeit.repeat(lambda: guarded.get("k"), number=2000, repeat=9)) / 2000
        )

    off = cost()
    with storage_called.connected_to(lambda _, **facts: None, sender):
        on = cost()

    assert on - off < 20e-6  # 2 here; a machine that is busy takes longer
