"""A replica of a Redis takes over: what it has not heard of has not happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import redis

from flask_srvsession import NotReplicated, session, session_replayed
from tests.integration.probes import hanging
from tests.servers import Server, running_redis

from .disturbance import Fault, only
from .flows import DESTROY, FLOWS, GONE, REVOKE_ALL, ROTATION, USER, Flow, sessions
from .proxy import Proxy
from .replicas import AT_ONCE, promote, replicate, running_replica
from .stage import SHORT, Outcome, Stage, broken_promises, values

Directories = pytest.TempPathFactory

DURABLE = [
    replace(DESTROY, view=lambda: session.destroy(durable=1)),
    replace(REVOKE_ALL, view=lambda: sessions.revoke_all(user_id=42, durable=1)),
]


@pytest.fixture(scope="module")
def after_lost_writes(tmp_path_factory: Directories) -> dict[str, Outcome]:
    """What came of each flow of which the primary told its replica nothing."""
    directory = tmp_path_factory.mktemp
    with (
        running_redis(directory("primary"), *AT_ONCE) as primary,
        running_replica(primary, directory("replica")) as replica,
        ExitStack() as closes,
    ):
        stages = {flow.name: Stage(primary) for flow in FLOWS}
        for flow in FLOWS:
            closes.enter_context(closing(stages[flow.name])).arrange(flow)
        promote(replica, primary)
        for flow in FLOWS:
            stages[flow.name].act(flow, Proxy.disturbed)
        primary.stop()
        for stage in stages.values():
            stage.move(replica)
        return {name: stage.outcome() for name, stage in stages.items()}


@pytest.mark.parametrize("flow", FLOWS, ids=str)
def test_all_is_as_the_replica_knew_it(
    after_lost_writes: dict[str, Outcome], flow: Flow
) -> None:
    """Even a session that was ended is back: ``durable=`` is for that. All works, and
    all can be ended again."""
    outcome = after_lost_writes[flow.name]

    assert outcome.status == 200
    assert (outcome.old, outcome.other) == (flow.before, USER)
    assert not any("user_id" in left for left in outcome.left)


@pytest.mark.parametrize("flow", FLOWS, ids=str)
def test_a_cookie_that_the_replica_does_not_know_is_nobodys(
    after_lost_writes: dict[str, Outcome], flow: Flow
) -> None:
    """But for a successor: the replica derives the same from the cookie before it."""
    assert after_lost_writes[flow.name].new == (flow.new if flow is ROTATION else GONE)


def test_a_cookie_that_is_ahead_of_the_replica_is_nobodys_and_no_alarm(
    tmp_path_factory: Directories,
) -> None:
    directory = tmp_path_factory.mktemp
    alarms: list[Any] = []

    def note(_: object, info: Any) -> None:
        alarms.append(info)

    with (
        running_redis(directory("primary"), *AT_ONCE) as primary,
        running_replica(primary, directory("replica")) as replica,
        closing(Stage(primary)) as stage,
        session_replayed.connected_to(note),
    ):
        stage.arrange(ROTATION)
        promote(replica, primary)
        for _ in ("is given a successor", "uses it"):
            stage.act(ROTATION, Proxy.disturbed)
        primary.stop()
        stage.move(replica)

        assert stage.browser.cookie != stage.old
        assert values(stage.app, stage.browser.cookie) == GONE
        assert values(stage.app, stage.old) == ROTATION.before
        assert alarms == []


@pytest.fixture(scope="module")
def primary(tmp_path_factory: Directories) -> Iterator[Server]:
    with running_redis(tmp_path_factory.mktemp("primary"), *AT_ONCE) as server:
        yield server


@pytest.fixture(scope="module")
def replica(primary: Server, tmp_path_factory: Directories) -> Iterator[Server]:
    with running_replica(primary, tmp_path_factory.mktemp("replica")) as server:
        yield server


@pytest.mark.parametrize("flow", DURABLE, ids=str)
@pytest.mark.parametrize("fault", [Fault.REPLY_LOST, Fault.SWALLOWED], ids=str)
def test_whichever_command_of_a_durable_logout_fails_it_is_one_or_says_that_it_is_not(
    primary: Server, replica: Server, flow: Flow, fault: Fault
) -> None:
    with closing(Stage(primary, SHORT)) as stage:
        for at in range(1, stage.commands(flow) + 1):
            stage.arrange(flow)
            replicate(primary)
            stage.act(flow, partial(Proxy.disturbed, fault=fault, when=only(at)))
            is_there = _has(replica, stage.old)
            outcome = stage.outcome()

            if NotReplicated.description in outcome.text:
                assert (outcome.status, outcome.old) == (503, GONE)
            else:
                assert broken_promises(flow, outcome) == []
                assert outcome.status == 503 or not is_there


@pytest.mark.parametrize("flow", DURABLE, ids=str)
def test_while_the_replica_hangs_no_durable_logout_is_said_to_be_done(
    primary: Server, replica: Server, flow: Flow
) -> None:
    with closing(Stage(primary, SHORT)) as stage:
        commands = stage.commands(flow)
        with hanging(replica):
            for at in range(1, commands + 1):
                stage.arrange(flow)
                stage.act(
                    flow, partial(Proxy.disturbed, fault=Fault.CUT, when=only(at))
                )
                outcome = stage.outcome()

                assert outcome.status == 503
                if NotReplicated.description in outcome.text:
                    assert outcome.old == GONE


def _has(server: Server, cookie: str | None) -> bool:
    """Return whether a server has the session of a cookie."""
    assert cookie is not None
    with closing(redis.Redis(port=server.port)) as client:
        return bool(client.keys(f"*:{cookie.partition('.')[0]}"))
