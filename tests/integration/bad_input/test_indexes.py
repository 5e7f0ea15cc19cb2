"""Lists of sessions in which somebody with access to the storage has written."""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from flask_srvsession import ServerSession
from flask_srvsession.backends.base import EPOCH_ALONE
from flask_srvsession.backends.redis import RedisBackend
from flask_srvsession.backends.sql import SQLBackend
from tests.web import Browser

from ..apps import index_name

if TYPE_CHECKING:
    from flask import Flask

    from flask_srvsession.backends import Backend
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage

TEXT = {"no session's": b"junk", "almost an id": b"A" * 28 + b".mark"}
MEMBERS = {**TEXT, "no UTF-8": b"\xff\xfe.\xfd", "far away": b"M" * 199}
EPOCHS = {
    "no UTF-8": b"\xff\xfe\xfd",
    "no UTF-8 at the end": b"0123456789abcde\xff",
    "nothing": b"",
    "a space": b" ",
    "short": b"abc",
    "not ours": b"the epoch of somebody else",
}


def as_text(backend: Any, junk: bytes) -> Any:
    """Return `junk` for a column of text, as far as the database takes it."""
    if backend._database.url.get_backend_name() == "sqlite":
        return sa.text(f"CAST(X'{junk.hex()}' AS TEXT)")
    return junk.decode("ascii", "ignore")[:16]


def run(backend: SQLBackend, statement: sa.Executable) -> None:
    with backend._database.engine.connect() as connection:
        connection.execute(statement)


def list_also(backend: Any, name: str, junk: bytes) -> None:
    """Add a member that no session has."""
    if isinstance(backend, RedisBackend):
        assert backend._client.zadd(name, {junk: 2**52}) == 1
    elif isinstance(backend, SQLBackend):
        table = backend._database._tables.members
        row = {"name": name, "member": as_text(backend, junk), "expires": 2**52}
        run(backend, table.insert().values(**row))
    else:
        cell = backend.get(f"{name}:m")
        clear, _, body = cell.data.partition(b"\n")
        names, times = zlib.decompress(body).split(b"\n")
        text = b" ".join([names, junk]) + b"\n" + times + b" 0"
        data = clear + b"\n" + zlib.compress(text)
        assert backend.swap(f"{name}:m", data, cell.version, 3600)


def overwrite_epoch(backend: Any, name: str, junk: bytes) -> None:
    """Write something else in the place of the epoch."""
    if isinstance(backend, RedisBackend):
        assert backend._client.zremrangebyscore(name, 0, 0) == 1
        assert backend._client.zadd(name, {junk: 0}) == 1
    elif isinstance(backend, SQLBackend):
        table = backend._database._tables.epochs
        here = table.update().where(table.c.name == name)
        run(backend, here.values(epoch=as_text(backend, junk)))
    else:
        cell = backend.get(f"{name}:e")
        assert backend.swap(f"{name}:e", junk, cell.version, EPOCH_ALONE)


def of_user(app: Flask) -> list[str]:
    with app.app_context():
        return [info.id for info in ServerSession().find(user_id=42)]


def signed_in(app: Flask) -> Browser:
    browser = Browser(app)
    assert browser.set(user_id=42).status_code == 200
    return browser


def end_all(app: Flask) -> int:
    with app.app_context():
        return ServerSession().revoke_all(user_id=42)


@pytest.mark.parametrize("junk", MEMBERS.values(), ids=MEMBERS.keys())
def test_a_member_that_is_none_is_ignored_with_a_warning(
    make_app: MakeApp,
    backend: Backend,
    caplog: pytest.LogCaptureFixture,
    junk: bytes,
) -> None:
    app = make_app()
    first = signed_in(app)
    list_also(backend, index_name(app, 42), junk)
    caplog.set_level(logging.WARNING)

    second = signed_in(app)
    assert of_user(app) == [first.id, second.id]
    assert end_all(app) == 2

    assert "a member of an index is ignored" in caplog.text
    assert first.values() == second.values() == {}


@pytest.mark.parametrize("junk", EPOCHS.values(), ids=EPOCHS.keys())
def test_an_epoch_that_is_none_is_ignored_with_a_warning(
    make_app: MakeApp,
    backend: Backend,
    caplog: pytest.LogCaptureFixture,
    junk: bytes,
) -> None:
    app = make_app()
    first = signed_in(app)
    overwrite_epoch(backend, index_name(app, 42), junk)
    caplog.set_level(logging.WARNING)

    assert set(of_user(app)) <= {first.id}
    second = signed_in(app)
    assert second.values() == {"user_id": 42}
    assert second.id in of_user(app)
    assert end_all(app) in (1, 2)

    assert first.values() == second.values() == {}
    if not isinstance(backend, RedisBackend):  # its script replaces it
        assert "an epoch of an index is ignored" in caplog.text


def test_a_value_of_another_kind_is_no_list(make_app: MakeApp, backend: Any) -> None:
    app = make_app()
    name = index_name(app, 42)
    signed_in(app)

    def spoil() -> None:
        if isinstance(backend, RedisBackend):
            backend._client.set(name, b"somebody else's")
        elif isinstance(backend, SQLBackend):
            overwrite_epoch(backend, name, b"else")
        else:
            for key in (f"{name}:m", f"{name}:e"):
                cell = backend.get(key)
                assert backend.swap(key, b"else", cell.version, EPOCH_ALONE)

    spoil()
    assert len(of_user(app)) <= 1
    spoil()
    second = signed_in(app)
    spoil()
    end_all(app)
    third = signed_in(app)
    assert end_all(app) >= 1

    assert third.values() == {}
    assert second.has_cookie


@pytest.mark.parametrize("until", ["9" * 400, "x", "-1"])
def test_a_time_that_is_none_is_ignored(
    make_app: MakeApp, backend: Any, until: str
) -> None:
    if isinstance(backend, (RedisBackend, SQLBackend)):
        pytest.skip("its times are numbers")
    app = make_app()
    first = signed_in(app)
    head = f"0123456789abcdef {until}".encode()
    overwrite_epoch(backend, index_name(app, 42), head)

    second = signed_in(app)
    end_all(app)

    assert first.values() == second.values() == {}
