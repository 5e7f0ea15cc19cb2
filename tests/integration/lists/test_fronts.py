"""Lists, limits and the end of all read what stands before the values of a session."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from flask_srvsession import session
from flask_srvsession.backends.base import ReadsStarts
from flask_srvsession.store.lists import Entry, new_mark
from tests.web import Browser

from ..devices import (
    alive,
    by_clock,
    found,
    revoke_all,
    rotate,
    signed_in,
    store_of,
    user,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Flask

    from flask_srvsession.backends import Backend
    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage

LARGE = "x" * 50_000
KEY = "0123456789abcdef" * 4


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def make(request: pytest.FixtureRequest, make_app: MakeApp) -> Callable[..., Flask]:
    keys = {"SRVSESSION_ENCRYPTION_KEYS": [KEY]} if request.param else {}
    return lambda **config: make_app(**keys, **config)


@pytest.fixture
def lengths(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of what is read from now on, where the storage can cut data."""
    read: list[int] = []

    def noting(name: str) -> Callable[..., Mapping[str, Any]]:
        ask: Callable[..., Mapping[str, Any]] = getattr(backend, name)

        def asked(*args: Any) -> Mapping[str, Any]:
            cells = ask(*args)
            read.extend(len(cell.data) for cell in cells.values() if cell)
            return cells

        return asked

    if isinstance(backend, ReadsStarts):
        for name in ("get_many", "get_starts"):
            monkeypatch.setattr(backend, name, noting(name))
    return read


def data_of(app: Flask, session_id: str) -> tuple[str, bytes]:
    store = store_of(app)
    key = store.records.key(session_id)
    cell = store.backend.get(key)
    assert cell is not None
    return key, cell.data


def put(app: Flask, key: str, data: bytes) -> None:
    store = store_of(app)
    cell = store.backend.get(key)
    assert cell is not None
    assert store.backend.swap(key, data, cell.version, 3600)


def test_a_list_and_the_end_of_all_read_no_values(
    make: Callable[..., Flask], lengths: list[int], clock: FakeClock
) -> None:
    app = make(SRVSESSION_METADATA=lambda request: {"agent": "Firefox"})
    browsers = signed_in(app, count=3)
    for browser in browsers:
        browser.set(large=LARGE)
    lengths.clear()

    infos = found(app)
    count = revoke_all(app)

    assert [info.meta for info in infos] == [{"agent": "Firefox"}] * 3
    assert {info.last_seen_at.timestamp() for info in infos} == {int(clock())}
    assert all(length <= 1000 for length in lengths)
    assert count == 3
    assert not any(alive(browsers))


def test_a_login_at_the_limit_reads_no_values(
    make: Callable[..., Flask], lengths: list[int]
) -> None:
    app = make(SRVSESSION_MAX_PER_KEY={"user_id": 2})
    browsers = signed_in(app, count=2)
    for browser in browsers:
        browser.set(large=LARGE)
    lengths.clear()

    browsers += signed_in(app)

    assert all(length <= 1000 for length in lengths)
    living = alive(browsers)
    assert living[-1]
    assert living.count(True) == 2


def test_long_metadata_are_shown(make: Callable[..., Flask]) -> None:
    meta = {"agent": "Firefox " * 300}
    app = make(SRVSESSION_METADATA=lambda request: meta)
    signed_in(app)

    assert [info.meta for info in found(app)] == [meta]


def test_the_values_of_another_record_are_those_of_no_session(
    make: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody who writes the storage can mislead lists; but ends are ends."""
    app = make()
    browser, rich = *signed_in(app), *signed_in(app, "admin")
    browser.set(large=LARGE)
    rich.set(is_admin=True, large=LARGE)
    [own], [other] = found(app), found(app, user_id="admin")
    (key, mine), (_, theirs) = data_of(app, own.id), data_of(app, other.id)
    assert mine != theirs
    has_front = store_of(app).records.codec.has_front
    ends = [
        next(n for n in range(1, len(data)) if has_front(data[:n]))
        for data in (mine, theirs)
    ]

    put(app, key, mine[: ends[0]] + theirs[ends[1] :])

    assert alive([browser, rich]) == [False, True]
    assert "is ignored" in caplog.text
    assert [info.id for info in found(app)] == [own.id]
    assert revoke_all(app) == 1
    assert found(app) == []


def test_a_foreign_front_is_listed_nowhere(make: Callable[..., Flask]) -> None:
    app = make()
    signed_in(app), signed_in(app, "admin")
    [own], [other] = found(app), found(app, user_id="admin")
    key, _ = data_of(app, own.id)

    put(app, key, data_of(app, other.id)[1])

    assert found(app) == []
    assert [info.id for info in found(app, user_id="admin")] == [other.id]


def test_one_that_has_moved_is_shown_as_it_is(make: Callable[..., Flask]) -> None:
    app = make()
    browser = Browser(app)
    browser.set(user_id=42, large=LARGE)
    browser.do(lambda: session.rotate() or "")

    [info] = found(app)

    assert browser.do(lambda: session.id or "").text == info.id
    assert browser.values()["large"] == LARGE


def test_one_that_moves_while_its_list_is_read_is_found(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    [browser] = signed_in(app)
    store = store_of(app)
    read = store.backend.get_starts

    def move_first(*args: Any) -> Any:
        monkeypatch.setattr(store.backend, "get_starts", read)
        rotate(browser)
        return read(*args)

    monkeypatch.setattr(store.backend, "get_starts", move_first)

    assert [info.id for info in found(app)] == [browser.id]


def test_one_that_is_just_being_listed_is_ended_and_told(
    make_app: MakeApp, clock: FakeClock
) -> None:
    """Its record does not say yet that it is in a list, and so how long it lives."""
    same: dict[str, Any] = {"SRVSESSION_KEY_PREFIX": f"being{secrets.token_hex(4)}:"}
    browser = Browser(make_app(SRVSESSION_INDEXES={"team": ("team",)}, **same))
    browser.set(user_id=42, large=LARGE)
    browser.values()
    app = make_app(**same)
    store, binding = store_of(app), user(app)
    if by_clock(store.backend.backend):
        clock.advance(2 * 24 * 3600)
    epoch = store.lists.epoch(binding)
    entry = Entry(binding.names[0], browser.id, epoch, new_mark(0))
    store.lists.add(entry, 3600)

    assert revoke_all(app) == 1
