"""With ``durable=n`` a logout is waited for on the replicas of a Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

import pytest
import redis
from flask import Flask, session

from flask_srvsession import (
    ConfigurationError,
    NotReplicated,
    ServerSession,
    session_destroyed,
    session_revoked,
)
from flask_srvsession import session as typed_session
from flask_srvsession.backends import Backend, backend_from_url
from flask_srvsession.backends.base import Replicated
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.backends.redis import RedisBackend
from tests.servers import Server, patient, running_redis
from tests.stopwatch import within
from tests.web import Browser

from ..apps import deletes_cookie, remove_stored
from ..marks import ON_MEMORY
from ..probes import hanging

if TYPE_CHECKING:
    from tests.conftest import MakeApp

LINKED = 30.0
TIMEOUT = 1.0

sessions = ServerSession()


def log_in() -> None:
    session["user_id"] = 42


def who() -> Any:
    return str(session.get("user_id", "nobody"))


def destroy() -> None:
    typed_session.destroy(durable=1)


def revoke_all() -> None:
    sessions.revoke_all(user_id=42, durable=1)


def revoke() -> None:
    assert typed_session.id
    sessions.revoke(typed_session.id, user_id=42, durable=1)


LOGOUTS = [destroy, revoke_all, revoke]


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    at_once = ["--repl-diskless-sync-delay", "0"]
    with running_redis(tmp_path_factory.mktemp("primary"), *at_once) as server:
        yield server


@pytest.fixture
def replica(
    primary: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A replica of `primary` that has all of it."""
    options = ["--replicaof", primary.host, str(primary.port)]
    directory = tmp_path_factory.mktemp("replica")
    with running_redis(directory, *options) as server:
        deadline = time.monotonic() + LINKED
        with redis.Redis(primary.host, primary.port) as client:
            while not (client.set("linked", "1") and client.wait(1, 100)):
                assert time.monotonic() < deadline, "the replica does not catch up"
        yield server


@pytest.fixture
def app(primary: Server, make_app: MakeApp) -> Iterator[Flask]:
    backend: Any = backend_from_url(f"{primary.url}?socket_timeout={TIMEOUT}")
    yield make_app(backend=backend)
    backend.close()


@pytest.fixture
def patient_app(primary: Server, make_app: MakeApp) -> Iterator[Flask]:
    """The same, where a busy computer may take long to replicate."""
    backend: Any = backend_from_url(patient(primary.url))
    yield make_app(backend=backend)
    backend.close()


def promoted(app: Flask, replica: Server) -> Flask:
    """Let the replica take over; return the app as it is with that."""
    with redis.Redis(replica.host, replica.port) as client:
        client.replicaof("NO", "ONE")
    other = Flask("testapp")
    other.config.update(app.config)
    ServerSession().init_app(other, RedisBackend(redis.Redis(port=replica.port)))
    return other


@pytest.mark.parametrize("logout", LOGOUTS)
@ON_MEMORY
def test_a_durable_logout_survives_a_failover(
    patient_app: Flask, replica: Server, logout: Callable[[], None]
) -> None:
    browser = Browser(patient_app)
    browser.do(log_in)
    copied = browser.cookie

    response = browser.do(logout)

    assert response.status_code == 200
    assert Browser(promoted(patient_app, replica), copied).do(who).text == "nobody"


@pytest.mark.parametrize("logout", LOGOUTS)
@ON_MEMORY
def test_without_enough_replicas_it_is_a_503_and_the_session_is_ended(
    app: Flask, replica: Server, logout: Callable[[], None]
) -> None:
    browser = Browser(app)
    browser.do(log_in)
    copied = browser.cookie

    with hanging(replica), within(TIMEOUT + 1):
        response = browser.do(logout)

    assert response.status_code == 503
    assert deletes_cookie(response)
    assert Browser(app, copied).do(who).text == "nobody"


@pytest.mark.parametrize("logout", ["destroy", "revoke", "revoke_all"])
@ON_MEMORY
def test_what_was_not_replicated_is_not_taken_for_it_when_it_is_tried_again(
    app: Flask, logout: str
) -> None:
    browser = Browser(app)
    browser.do(log_in)
    again = {
        "destroy": destroy,
        "revoke": lambda: sessions.revoke(browser.id, durable=1),
        "revoke_all": revoke_all,
    }[logout]

    first = browser.copy().do(again)
    second = browser.copy().do(again)

    assert (first.status_code, second.status_code) == (503, 503)


@ON_MEMORY
def test_the_error_says_how_many_replicas_have_it(app: Flask, replica: Server) -> None:
    def destroy_twice() -> None:
        for _ in range(2):  # what is not confirmed once is not confirmed by asking
            with pytest.raises(NotReplicated) as caught:
                typed_session.destroy(durable=2)
            assert (caught.value.wanted, caught.value.confirmed) == (2, 1)
            assert "1 of 2 replicas" in str(caught.value)
        session["left"] = "works"  # it is no outage

    browser = Browser(app)
    browser.do(log_in)

    assert browser.do(destroy_twice).status_code == 200
    assert browser.do(lambda: session["left"]).text == "works"


@ON_MEMORY
def test_those_who_listen_hear_of_a_logout_that_is_not_replicated(app: Flask) -> None:
    ended: list[Any] = []
    browser = Browser(app)

    def note(sender: Flask, info: Any) -> None:
        ended.append(info)

    with session_destroyed.connected_to(note, app):
        browser.do(log_in)
        browser.do(destroy)
    with session_revoked.connected_to(note, app):
        browser.do(log_in)
        browser.do(revoke_all)  # there is no replica

    assert len(ended) == 2


@ON_MEMORY
def test_a_primary_that_hangs_is_an_outage(app: Flask, primary: Server) -> None:
    browser = Browser(app)
    browser.do(log_in)

    with hanging(primary), within(TIMEOUT + 1):
        assert browser.do(destroy).status_code == 503

    assert browser.do(who).text == "42"


@pytest.mark.parametrize("logout", LOGOUTS)
@pytest.mark.parametrize("backend", ["memory", "memcached"], indirect=True)
def test_where_replicas_are_unknown_it_is_refused_before_anything_is_done(
    make_app: MakeApp, logout: Callable[[], None]
) -> None:
    def attempt() -> None:
        with pytest.raises(ConfigurationError, match="durable= needs a storage"):
            logout()

    browser = Browser(make_app())
    browser.do(log_in)

    browser.do(attempt)

    assert browser.do(who).text == "42"


def test_nobody_waits_who_did_not_ask(make_app: MakeApp, backend: Backend) -> None:
    browser = Browser(make_app())
    browser.do(log_in)

    assert browser.do(lambda: typed_session.destroy(durable=0)).status_code == 200
    assert isinstance(backend, Replicated) == isinstance(backend, RedisBackend)


def test_what_another_connection_wrote_counts_as_well(
    primary: Server, replica: Server
) -> None:
    one: Any = backend_from_url(f"{primary.url}?socket_timeout={TIMEOUT}")
    other: Any = backend_from_url(f"{primary.url}?socket_timeout={TIMEOUT}")

    with hanging(replica):
        one.add("written-by-one", b"x", 60)
        assert other.confirmed(["written-by-one"], 1) == 0

    assert other.confirmed(["written-by-one"], 1) == 1
    one.close()
    other.close()


@pytest.mark.parametrize("backend", ["memory"], indirect=True)
def test_less_than_no_replica_is_refused_before_anything_is_done(
    make_app: MakeApp,
) -> None:
    def attempt() -> None:
        with pytest.raises(ValueError, match="durable is -1"):
            typed_session.destroy(durable=-1)

    browser = Browser(make_app())
    browser.do(log_in)

    browser.do(attempt)

    assert browser.do(who).text == "42"


class Recording(MemoryBackend):
    """Notes the keys that replicas are asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def confirmed(self, keys: Collection[str], replicas: int) -> int:
        self.asked.update(keys)
        return replicas


@pytest.mark.parametrize("backend", ["memory"], indirect=True)
def test_who_was_listed_is_waited_for_whoever_ended_it(make_app: MakeApp) -> None:
    backend = Recording()
    app = make_app(backend=backend)
    gone, browser = Browser(app), Browser(app)
    for each in (gone, browser):
        each.do(log_in)
    remove_stored(app, gone.id)  # as where the answer to its end was lost

    browser.do(revoke_all)

    prefix = app.config["SRVSESSION_KEY_PREFIX"]
    assert f"{prefix}{gone.id}" in backend.asked
