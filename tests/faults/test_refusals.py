"""A Redis that still reads, but refuses to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import pytest
import redis

from flask_srvsession import session
from tests.servers import Server, running_redis
from tests.web import Browser

from .disturbance import Disturbance
from .flows import (
    DESTROY,
    EMPTIED,
    FIRST_READ,
    FLOWS,
    GONE,
    READ,
    RENEWAL,
    REVOKE,
    REVOKE_ALL,
    ROTATION,
    Flow,
    sessions,
)
from .proxy import Proxy
from .replicas import AT_ONCE, replicate, running_replica
from .stage import Stage, broken_promises

Refusal = Callable[[Proxy], AbstractContextManager[Disturbance]]

READING = [READ, FIRST_READ, RENEWAL, ROTATION]
"""What needs no write: where a renewal or a rotation fails, it is done later."""
ENDING = [DESTROY, EMPTIED, REVOKE, REVOKE_ALL]
"""What needs no memory."""


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_redis(tmp_path_factory.mktemp("primary"), *AT_ONCE) as server:
        yield server


@pytest.fixture(scope="module")
def replica(
    primary: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with running_replica(primary, tmp_path_factory.mktemp("replica")) as server:
        yield server


@pytest.fixture
def stage(primary: Server) -> Iterator[Stage]:
    with closing(Stage(primary)) as stage:
        yield stage


@pytest.fixture
def full(primary: Server) -> Refusal:
    return _set(primary, "maxmemory", "1")


@pytest.fixture
def cut_off(primary: Server) -> Refusal:
    """It wants a second replica, and there is none."""
    return _set(primary, "min-replicas-to-write", "2")


def _set(server: Server, setting: str, value: str) -> Refusal:
    @contextmanager
    def refusal(proxy: Proxy) -> Iterator[Disturbance]:
        with closing(redis.Redis(port=server.port)) as client:
            client.config_set(setting, value)
            try:
                with proxy.disturbed() as disturbance:
                    yield disturbance
            finally:
                client.config_set(setting, "0")

    return refusal


@pytest.fixture
def read_only(primary: Server, replica: Server) -> Refusal:
    """The address leads to a replica that has everything."""

    @contextmanager
    def refusal(proxy: Proxy) -> Iterator[Disturbance]:
        replicate(primary)
        proxy.redirect(replica)
        try:
            with proxy.disturbed() as disturbance:
                yield disturbance
        finally:
            proxy.redirect(primary)

    return refusal


@pytest.mark.parametrize("flow", FLOWS, ids=str)
def test_a_full_one_takes_no_changes_but_logouts(
    stage: Stage, full: Refusal, flow: Flow
) -> None:
    _check(stage, flow, full, works=flow in (*READING, *ENDING))


def test_who_logs_in_while_a_full_one_ends_all_sessions_is_refused(
    stage: Stage, full: Refusal
) -> None:
    browser, epochs = Browser(stage.app), []
    browser.does(lambda: epochs.append(sessions.epoch(user_id=42)))

    with full(stage.proxy):
        browser.does(lambda: sessions.revoke_all(user_id=42))

    login = browser.do(lambda: session.bind(user_id=42, epoch=epochs[0]))
    assert login.status_code == 409


@pytest.mark.parametrize("flow", FLOWS, ids=str)
def test_one_without_replicas_takes_no_changes(
    stage: Stage, cut_off: Refusal, flow: Flow
) -> None:
    _check(stage, flow, cut_off, works=flow in READING)


@pytest.mark.parametrize("flow", FLOWS, ids=str)
def test_a_replica_takes_no_changes(
    stage: Stage, read_only: Refusal, flow: Flow
) -> None:
    _check(stage, flow, read_only, works=flow in READING)


def _check(stage: Stage, flow: Flow, refusal: Refusal, *, works: bool) -> None:
    outcome = stage.play(flow, refusal)

    assert broken_promises(flow, outcome) == []
    assert outcome.status == (200 if works else 503)
    if not works:
        assert (outcome.old, outcome.new) == (flow.before, GONE)
