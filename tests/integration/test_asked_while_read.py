"""A session is asked for its values while it is read: by a filter that puts the user
into each log record, or by a receiver of a signal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from flask import has_request_context
from flask_login import current_user, login_user

from flask_srvsession import session
from flask_srvsession.backends import backend_from_url
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.serializers import MsgpackSerializer
from flask_srvsession.signals import storage_called
from flask_srvsession.testing import FakeClock
from tests.web import Browser

from .apps import LosingBackend, User, use_flask_login

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeApp


class Forgetful(MsgpackSerializer):
    """Cannot read any more what it has written, once told so."""

    forgets = False

    def loads(self, data: bytes) -> Any:
        if self.forgets:
            raise ValueError("forgotten")
        return super().loads(data)


class Asking(logging.Filter):
    """Notes who is logged in at each record; a handful is too many."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if has_request_context():
            assert len(self.seen) < 200, "it asks for ever"
            self.seen.append((session.get("user_id"), dict(session)))
        return True


@contextmanager
def asking(name: str, level: int = logging.WARNING) -> Iterator[list[Any]]:
    logger, asks = logging.getLogger(name), Asking()
    before = logger.level
    logger.addFilter(asks)
    logger.setLevel(level)
    try:
        yield asks.seen
    finally:
        logger.setLevel(before)
        logger.removeFilter(asks)


@pytest.fixture
def seen() -> Iterator[list[Any]]:
    with asking("flask_srvsession") as found:
        yield found


NOBODY: tuple[None, dict[str, Any]] = (None, {})


def test_an_outdated_cookie(
    make_app: MakeApp, clock: FakeClock, seen: list[Any]
) -> None:
    browser = Browser(make_app())
    browser.set(user_id=42)
    thief = browser.copy()
    for _ in range(2):
        clock.advance(16 * 60)
        browser.values()
        browser.values()

    assert thief.values() == {}
    assert seen == [NOBODY]


def test_a_value_that_cannot_be_read(make_app: MakeApp, seen: list[Any]) -> None:
    serializer = Forgetful()
    browser = Browser(make_app(SRVSESSION_SERIALIZER=serializer))
    browser.set(user_id=42)
    serializer.forgets = True

    assert browser.values() == {}
    assert seen == [NOBODY]


def test_an_outage(make_app: MakeApp, clock: FakeClock, seen: list[Any]) -> None:
    backend = LosingBackend(MemoryBackend(clock))
    backend.errors = (OSError,)  # type: ignore[attr-defined]
    browser = Browser(make_app(backend))
    browser.set(user_id=42)
    backend.lose(at_write=0)

    assert browser.do(lambda: dict(session)).status_code == 503
    assert seen == [NOBODY]
    backend.recover()
    assert browser.values() == {"user_id": 42}


def test_statements_of_sql(make_app: MakeApp, tmp_path: Path) -> None:
    with asking("sqlalchemy.engine.Engine", logging.INFO) as seen:
        backend: Any = backend_from_url(f"sqlite:///{tmp_path}/sessions.db")
        browser = Browser(make_app(backend))
        browser.set(user_id=42)
        del seen[:]

        assert browser.values() == {"user_id": 42}
        backend.close()

    assert NOBODY in seen


def test_a_receiver_of_each_call_of_the_storage(make_app: MakeApp) -> None:
    browser = Browser(app := make_app())
    browser.set(user_id=42)
    seen: list[Any] = []

    def ask(sender: object, **facts: object) -> None:
        seen.append((session.get("user_id"), dict(session)))

    with storage_called.connected_to(ask, sender=app):
        assert browser.values() == {"user_id": 42}

    assert seen == [NOBODY]


def test_flask_login_looks_again_afterwards(make_app: MakeApp) -> None:
    app = make_app()
    use_flask_login(app)
    browser = Browser(app)
    browser.do(lambda: login_user(User("ann")))
    seen: list[Any] = []

    def ask(sender: object, **facts: object) -> None:
        seen.append(current_user.is_authenticated)

    with storage_called.connected_to(ask, sender=app):
        name = browser.does(lambda: [session.get("a"), current_user.get_id()][1])

    assert name == "ann"
    assert seen == [False]
