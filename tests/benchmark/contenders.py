"""The apps that are measured: alike but for where their sessions are."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flask
import flask_session
import flask_sqlalchemy
import redis
from flask import Flask
from pymemcache.client.base import Client, PooledClient

from flask_srvsession import ServerSession
from flask_srvsession.backends import backend_from_url
from tests.servers import Server

SIZES = ("0.1 KB", "2 KB", "50 KB")
KINDS = ("untouched", "read", "change")
SMALL, MEDIUM, LARGE = SIZES

BARE, FLOOR, COOKIE = "bare Flask", "floor", "Flask's cookie session"
PEER = "Flask-Session"
OURS = "flask_srvsession"


def payloads() -> Mapping[str, Mapping[str, Any]]:
    """Return what the sessions hold: a visitor, a full cart, far too much."""
    chance = random.Random(1)

    def text(length: int) -> str:
        return "".join(chance.choices(string.ascii_letters, k=length))

    def wares(number: int) -> list[dict[str, Any]]:
        return [
            {"sku": text(12), "name": text(24), "qty": number % 7, "price": 19.99}
            for number in range(number)
        ]

    visitor = {"name": "Ada", "lang": "en", "token": text(50), "visits": 1}
    large = {"cart": wares(300), "seen": [text(20) for _ in range(600)]}
    return {
        SMALL: visitor,
        MEDIUM: {**visitor, "cart": wares(28)},
        LARGE: {**visitor, **large, "notes": text(16000)},
    }


PAYLOADS = payloads()


@dataclass(frozen=True)
class Contender:
    """A kind of session storage; `make` returns an app for a size of session."""

    name: str
    store: str
    make: Callable[[str], Flask]
    kinds: tuple[str, ...] = KINDS
    sizes: tuple[str, ...] = SIZES

    def __str__(self) -> str:
        return f"{self.name}, {self.store}" if self.store else self.name


@dataclass(frozen=True)
class Stores:
    """The storages of a run."""

    redis: Server
    memcached: Server
    directory: Path


def all_contenders(stores: Stores) -> list[Contender]:
    """Return everybody, controls first."""
    ours = {
        "memory": "memory://",
        "Redis": stores.redis.url,
        "memcached": stores.memcached.url,
        "SQLite": f"sqlite:///{stores.directory}/ours.sqlite3",
    }
    return [
        Contender(BARE, "", lambda size: _app("bare"), KINDS[:1], SIZES[:1]),
        Contender(FLOOR, "Redis", _redis_floor(stores), KINDS[1:]),
        Contender(FLOOR, "memcached", _memcached_floor(stores), KINDS[1:]),
        Contender(COOKIE, "", lambda size: _app("cookie", SECRET_KEY="secret")),
        *_peers(stores),
        *(Contender(OURS, store, _ours(url)) for store, url in ours.items()),
        Contender(
            OURS,
            "memcached, logged in",
            _ours(stores.memcached.url, user_id=42),
            KINDS[1:2],
            SIZES[:2],
        ),
        *(
            Contender(OURS, f"{store}, encrypted", _encrypted(ours[store]), KINDS[1:])
            for store in ("memory", "Redis")
        ),
    ]


def _peers(stores: Stores) -> list[Contender]:
    redis_options: dict[str, Any] = {"SESSION_TYPE": "redis"}
    lazy = {**redis_options, "SESSION_REFRESH_EACH_REQUEST": False}
    memcached = {"SESSION_TYPE": "memcached"}

    def on_redis(options: Mapping[str, Any]) -> Callable[[str], Flask]:
        client = redis.Redis.from_url(stores.redis.url)
        return lambda size: _peer(SESSION_REDIS=client, **options)

    def on_memcached(size: str) -> Flask:
        client = Client((stores.memcached.host, stores.memcached.port), no_delay=True)
        return _peer(SESSION_MEMCACHED=client, **memcached)

    def on_sql(size: str) -> Flask:
        path = stores.directory / f"peer-{size.partition(' ')[0]}.sqlite3"
        return _peer(
            SQLALCHEMY_DATABASE_URI=f"sqlite:///{path}",
            SESSION_TYPE="sqlalchemy",
            SESSION_SQLALCHEMY=flask_sqlalchemy.SQLAlchemy(),
        )

    return [
        Contender(PEER, "Redis", on_redis(redis_options)),
        Contender(PEER, "Redis without refresh", on_redis(lazy)),
        Contender(PEER, "memcached", on_memcached),
        Contender(PEER, "SQLAlchemy", on_sql),
    ]


def _peer(**config: Any) -> Flask:
    app = _app("peer", SECRET_KEY="secret")
    app.config.update(config)
    if database := config.get("SESSION_SQLALCHEMY"):
        database.init_app(app)
    flask_session.Session(app)
    return app


def _encrypted(url: str) -> Callable[[str], Flask]:
    def make(size: str) -> Flask:
        app = _app("shop", SECRET_KEY="secret")
        app.config["SRVSESSION_ENCRYPTION_KEYS"] = ["1b" * 32]
        ServerSession(app, backend_from_url(url))
        return app

    return make


def _ours(url: str, **more: Any) -> Callable[[str], Flask]:
    def make(size: str) -> Flask:
        app = _app("shop", more, SECRET_KEY="secret")
        ServerSession(app, backend_from_url(url))
        return app

    return make


def _app(name: str, more: Mapping[str, Any] | None = None, **config: Any) -> Flask:
    app = Flask(name)
    app.config.update(config)

    @app.get("/untouched")
    def untouched() -> str:
        return "ok"

    @app.get("/fill/<size>")
    def fill(size: str) -> str:
        flask.session.update({**PAYLOADS[size], **(more or {})})
        return "ok"

    @app.get("/login/<int:user>")
    def login(user: int) -> str:
        flask.session["user_id"] = user
        return "ok"

    @app.get("/read")
    def read() -> str:
        return str(flask.session["name"])

    @app.get("/change")
    def change() -> str:
        flask.session["visits"] = visits = flask.session["visits"] + 1
        return str(visits)

    return app


def _redis_floor(stores: Stores) -> Callable[[str], Flask]:
    client = redis.Redis.from_url(stores.redis.url)

    def make(size: str) -> Flask:
        return _floor(size, client.get, lambda key, data: client.set(key, data))

    return make


def _memcached_floor(stores: Stores) -> Callable[[str], Flask]:
    client = PooledClient(
        (stores.memcached.host, stores.memcached.port), no_delay=True, timeout=1
    )

    def make(size: str) -> Flask:
        return _floor(
            size, client.get, lambda key, data: client.set(key, data, noreply=False)
        )

    return make


def _floor(
    size: str, get: Callable[[str], Any], put: Callable[[str, bytes], Any]
) -> Flask:
    """Return an app whose views do nothing but the raw commands."""
    app = Flask("floor")
    key = "floor:" + size.replace(" ", "")
    data = bytes(int(float(size.partition(" ")[0]) * 1024))
    put(key, data)

    @app.get("/fill/<size>")
    def fill(size: str) -> str:
        return "ok"

    @app.get("/read")
    def read() -> str:
        get(key)
        return "Ada"

    @app.get("/change")
    def change() -> str:
        get(key)
        put(key, data)
        return "2"

    return app
