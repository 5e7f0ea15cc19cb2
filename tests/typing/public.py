"""What type checkers say about the public names: mypy reads this, nobody runs it.

A use that must be an error carries a ``type: ignore`` with its code: mypy reports those
that are not needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flask import Flask

from flask_srvsession import (
    BackendError,
    ServerSession,
    ServerSideSession,
    SessionInfo,
    session,
)
from flask_srvsession.backends import Backend
from flask_srvsession.backends.memcached import MemcachedBackend
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.backends.redis import RedisBackend
from flask_srvsession.take_over import (
    CookieSource,
    FlaskSessionSource,
    Former,
    KVSessionSource,
    Presented,
    Refused,
    Source,
)

if TYPE_CHECKING:
    from typing_extensions import assert_type


def the_session_has_its_own_type() -> None:
    assert_type(session, ServerSideSession)
    assert_type(session.id, "str | None")
    assert_type(session.created_at, "datetime | None")
    assert_type(session.last_seen_at, "datetime | None")
    assert_type(session.expires_at, "datetime | None")
    assert_type(session.permanent, bool)
    assert_type(session.new, bool)
    assert_type(session.modified, bool)
    session.permanent = True
    session.modified = True


def its_methods_take_and_return_what_they_say() -> None:
    session.destroy()
    session.rotate()
    session.commit()
    session.bind(user_id=42, epoch="e")
    session.bind(user_id="42")
    assert_type(session.compute("hits", lambda hits: 1), int)


def it_is_a_mapping_of_str(name: str) -> None:
    session[name] = [1]
    assert_type(session["cart"], Any)
    assert_type(session.pop(name), Any)
    assert_type(list(session), "list[str]")
    assert_type(session.copy(), dict[str, Any])
    assert_type(name in session, bool)


def wrong_uses_are_errors() -> None:
    session.destory()  # type: ignore[attr-defined]
    session.destroy(1)  # type: ignore[call-arg]
    session.rotate(1)  # type: ignore[call-arg]
    session.compute("hits")  # type: ignore[call-arg]
    session.compute(1, lambda hits: 1)  # type: ignore[arg-type]
    session.compute("hits", 1)  # type: ignore[arg-type]
    session.bind(42)  # type: ignore[call-arg,arg-type]
    session[1] = "one"  # type: ignore[index]
    session.id + "x"  # type: ignore[operator]
    session.id = "mine"  # type: ignore[misc]
    session.expires_at = None  # type: ignore[misc]


def the_extension_sees_the_others(app: Flask) -> None:
    sessions = ServerSession()
    sessions.init_app(app)
    sessions.init_app(app, backend=MemoryBackend())
    ServerSession(app)
    sessions.revoke_everything(actor="admin 7", reason="leaked keys", durable=1)
    sessions.revoke_everything("now")  # type: ignore[call-arg,arg-type]
    assert_type(sessions.find(user_id=42), "list[SessionInfo]")
    assert_type(sessions.get("id"), "SessionInfo | None")
    assert_type(sessions.revoke("id", user_id=42), bool)
    assert_type(sessions.revoke_all(user_id=42, keep_current=True), int)
    assert_type(sessions.epoch(user_id=42), str)
    assert_type(sessions.sweep(), int)


def wrong_uses_of_the_extension_are_errors(app: Flask) -> None:
    sessions = ServerSession("app")  # type: ignore[arg-type]
    sessions.init_app()  # type: ignore[call-arg]
    sessions.init_app(app, backend=object())  # type: ignore[arg-type]
    sessions.revoke_all(42)  # type: ignore[call-arg,arg-type]
    sessions.find(42)  # type: ignore[call-arg]


def what_may_be_shown_cannot_be_changed(info: SessionInfo) -> None:
    assert_type(info.id, str)
    assert_type(info.created_at, datetime)
    assert_type(info.is_current, bool)
    assert_type(info.meta, Mapping[str, Any])
    info.id = "other"  # type: ignore[misc]


def each_backend_is_one(client: Any) -> list[Backend]:
    return [
        MemoryBackend(),
        RedisBackend(client),
        MemcachedBackend([("127.0.0.1", 11211)]),
    ]


def an_outage_says_what_may_have_happened(error: BackendError) -> None:
    assert_type(error.ambiguous, bool)
    assert_type(error.operation, str)
    assert_type(error.code, int)


def sessions_are_taken_over_from_sources(app: Flask, client: Any) -> None:
    sources: list[Source] = [
        FlaskSessionSource.redis(client, key_prefix="s:", until=date(2027, 1, 31)),
        FlaskSessionSource(lambda key: b"{}", lambda key: None),
        CookieSource(secret_keys=["a", b"b"], cookie_name="old"),
        KVSessionSource(client, lifetime=timedelta(days=1)),
    ]
    ServerSession(app, take_over=sources)
    CookieSource("old")  # type: ignore[call-arg]
    assert_type(sources[0].recognize("cookie", ["key"]), "Presented | None")
    assert_type(sources[0].read("id"), "Former | None")


class OwnSource(Source):
    name = "own"

    def recognize(
        self, cookie: str, secret_keys: Sequence[str | bytes]
    ) -> Presented | None:
        return Presented(cookie)

    def read(self, session_id: str) -> Former | None:
        raise Refused("not that one")

    def delete(self, session_id: str) -> None:
        pass
