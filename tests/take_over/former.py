"""Apps as they were before: the real extensions, which write what is taken over."""

from __future__ import annotations

import json
import uuid
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cachelib import FileSystemCache, serializers
from flask import Flask, session
from flask_kvsession import KVSessionExtension, KVSessionInterface
from flask_session import Session
from flask_sqlalchemy import SQLAlchemy
from pymemcache import Client, PooledClient
from redis import Redis
from simplekv.memory import DictStore
from sqlalchemy import create_engine

from flask_srvsession.take_over import (
    CookieSource,
    FlaskSessionSource,
    KVSessionSource,
    Source,
)

SECRET = "a secret key that is only used by these tests"

KINDS = (
    *("redis", "redis json", "redis signed", "memcached", "sqlite", "postgres"),
    *("cachelib", "kvsession", "cookie"),
)
QUICK = ("cachelib", "kvsession", "cookie")
"""Those that need no server."""


@dataclass
class FormerApp:
    """An app with the sessions of another extension."""

    app: Flask
    make_source: Callable[..., Source] = field(repr=False)
    """Makes the source that reads them, with options."""
    keeps_records: bool = True
    close: Callable[[], object] = lambda: None
    view: Callable[[], str] = field(default=str, init=False)

    def sign_in(self, user_id: object = 42, **values: Any) -> str:
        """Return the cookie of a new session, in which somebody is logged in."""
        client = self.app.test_client()

        def view() -> str:
            session.update(user_id=user_id, **values)
            return ""

        return self._cookie_after(client, view)

    def values(self, cookie: str) -> dict[str, Any]:
        """Return what the former app sees in the session of a cookie."""
        client = self.app.test_client()
        client.set_cookie("session", cookie)
        seen: dict[str, Any] = {}

        def view() -> str:
            seen.update(session)
            return ""

        self._run(client, view)
        return {k: v for k, v in seen.items() if k != "_permanent"}

    def _cookie_after(self, client: Any, view: Callable[[], str]) -> str:
        self._run(client, view)
        cookie = client.get_cookie("session")
        assert cookie is not None
        return str(cookie.value)

    def _run(self, client: Any, view: Callable[[], str]) -> None:
        if "do" not in self.app.view_functions:
            self.app.add_url_rule("/", "do", lambda: self.view())
        self.view = view
        assert client.get("/").status_code == 200


def bare() -> Flask:
    app = Flask("before")
    app.config.update(SECRET_KEY=SECRET, TESTING=True)
    return app


def _flask_session(kind: str, client: Any, **config: Any) -> Flask:
    app = bare()
    app.config.update({"SESSION_TYPE": kind, f"SESSION_{kind.upper()}": client})
    app.config.update(config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        Session(app)
    return app


def former_app(kind: str, request: pytest.FixtureRequest, path: Path) -> FormerApp:
    """Return an app of this kind, on real servers."""
    if kind == "cookie":
        return FormerApp(bare(), CookieSource, keeps_records=False)
    if kind == "kvsession":
        return _kvsession()
    if kind == "cachelib":
        cache = FileSystemCache(str(path / "cache"))
        if not hasattr(serializers, "JSONSerializer"):
            pytest.skip("cachelib reads JSON from Python 3.11 on")
        cache.serializer = serializers.JSONSerializer()  # type: ignore[assignment]
        app = _flask_session("cachelib", cache)
        return FormerApp(app, lambda **o: FlaskSessionSource.cachelib(cache, **o))
    if kind in ("sqlite", "postgres"):
        url = f"sqlite:///{path / 'former.db'}"
        if kind == "postgres":
            url = request.getfixturevalue("postgres_server").url
        return _sqlalchemy(url)
    prefix = f"{uuid.uuid4().hex}:"
    config: dict[str, Any] = {"SESSION_KEY_PREFIX": prefix}
    options: dict[str, Any] = {"key_prefix": prefix}
    server = request.getfixturevalue(f"{kind.partition(' ')[0]}_server")
    if kind == "memcached":
        return _memcached(server.port, config, options)
    if kind == "redis json":
        config["SESSION_SERIALIZATION_FORMAT"] = "json"
    if kind == "redis signed":
        config["SESSION_USE_SIGNER"] = options["use_signer"] = True
    redis: Any = Redis.from_url(server.url)
    app = _flask_session("redis", redis, **config)
    make = FlaskSessionSource.redis
    return FormerApp(app, lambda **o: make(redis, **options, **o), close=redis.close)


def _memcached(port: int, config: dict[str, Any], options: dict[str, Any]) -> FormerApp:
    address = "127.0.0.1", port
    client = Client(address, default_noreply=False)  # written when it answers
    pool = PooledClient(address)
    app = _flask_session("memcached", client, **config)

    def close() -> None:
        client.close()
        pool.close()

    make = FlaskSessionSource.memcached
    return FormerApp(app, lambda **o: make(pool, **options, **o), close=close)


def _kvsession() -> FormerApp:
    class JSONInterface(KVSessionInterface):
        serialization_method = _JSON

    app, store = bare(), DictStore()
    KVSessionExtension(store, app)
    app.session_interface = JSONInterface()
    return FormerApp(app, lambda **options: KVSessionSource(store, **options))


class _JSON:
    """The module json, whose texts are bytes, as a store wants them."""

    loads = staticmethod(json.loads)

    @staticmethod
    def dumps(values: dict[str, Any]) -> bytes:
        return json.dumps(values).encode()


def _sqlalchemy(url: str) -> FormerApp:
    app = bare()
    table = f"s{uuid.uuid4().hex[:12]}"
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    database = SQLAlchemy(app)
    app.config.update(
        SESSION_TYPE="sqlalchemy",
        SESSION_SQLALCHEMY=database,
        SESSION_SQLALCHEMY_TABLE=table,
    )
    Session(app)
    engine = create_engine(url)

    def close() -> None:
        engine.dispose()
        with app.app_context():
            database.session.remove()
            database.engine.dispose()

    make = FlaskSessionSource.sqlalchemy
    return FormerApp(app, lambda **o: make(engine, table, **o), close=close)
