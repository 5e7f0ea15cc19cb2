"""Whichever command of a request fails, and however: no promise is broken.

``SRVSESSION_TEST_LONG=1`` tries all cases.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from flask_srvsession import session
from tests.web import Browser

from .conftest import Stages
from .disturbance import Fault, When, only, since
from .flows import FIRST_READ, FLOWS, GONE, Flow
from .stage import Stage, broken_promises, values

LONG = os.environ.get("SRVSESSION_TEST_LONG") == "1"
ONCE = [fault for fault in Fault if fault is not Fault.SWALLOWED]
LASTING = [Fault.REFUSED, Fault.REPLY_LOST, Fault.SWALLOWED]
STORAGES = ["redis", "memcached", "postgres", "mariadb"]


def cases(faults: Sequence[Fault], *by_turns: Fault) -> pytest.MarkDecorator:
    """Let each flow meet each fault on each storage; on databases, where a request has
    many commands, the faults `by_turns` on one of the two."""
    chosen = [
        pytest.param(storage, fault, flow, id=f"{storage}-{fault}-{flow}")
        for s, storage in enumerate(STORAGES)
        for n, fault in enumerate(faults)
        for m, flow in enumerate(FLOWS)
        if LONG or s < 2 or fault not in by_turns or (s + n + m) % 2
    ]
    names = ("stages", "fault", "flow")
    return pytest.mark.parametrize(names, chosen, indirect=["stages"])


@pytest.fixture(params=STORAGES, scope="session")
def stages(
    request: pytest.FixtureRequest, stages_of: Callable[[str], Stages]
) -> Stages:
    return stages_of(request.param)


@cases(ONCE, Fault.CUT, Fault.DELAYED, Fault.REPLY_LATE, Fault.LATE)
def test_one_command_may_fail(stages: Stages, flow: Flow, fault: Fault) -> None:
    assert _play_each(stages, flow, fault, only) == []


@cases(LASTING, Fault.REFUSED, Fault.REPLY_LOST)
def test_all_commands_may_fail_from_one_on(
    stages: Stages, flow: Flow, fault: Fault
) -> None:
    assert _play_each(stages, flow, fault, since) == []


def test_a_session_does_not_come_back_when_its_creation_arrives_late(
    stages: Stages,
) -> None:
    stage = stages.patient
    browser = Browser(stage.app)
    Browser(stage.app).does(lambda: session.update(n=1))  # the connection is open

    with stage.proxy.disturbed(Fault.DELAYED, only(1)):
        browser.does(lambda: session.update(n=1))
        cookie = browser.cookie
        browser.does(lambda: session.destroy())

    assert cookie is not None
    assert values(stage.app, cookie) == GONE


def test_a_connection_that_is_cut_while_it_is_opened_is_told_once(
    stages_of: Callable[[str], Stages], caplog: pytest.LogCaptureFixture
) -> None:
    """By us: SQLAlchemy's pool has no traceback to add."""
    stages = stages_of("mariadb")
    assert _play_each(stages, FIRST_READ, Fault.CUT, since) == []

    assert {record.name for record in caplog.records} <= {"flask_srvsession"}


def _play_each(
    stages: Stages, flow: Flow, fault: Fault, when: Callable[[int], When]
) -> list[str]:
    """Let each command of a flow fail in turn; return the promises that are broken."""

    def act(stage: Stage, at: int) -> None:
        stage.act(flow, lambda proxy: proxy.disturbed(fault, when(at)))

    number, broken = stages.patient.commands(flow), []
    chosen = stages.hasty if fault.is_slow else [stages.patient]
    for first in range(1, number + 1, len(chosen)):
        turns = [*zip(chosen, range(first, number + 1), strict=False)]
        for stage, _ in turns:
            stage.arrange(flow)
        with ThreadPoolExecutor(len(turns)) as executor:
            list(executor.map(act, *zip(*turns, strict=True)))
        for stage, at in turns:
            promises = broken_promises(flow, stage.outcome())
            broken += [f"{at} of {number}: {promise}" for promise in promises]
    return broken
