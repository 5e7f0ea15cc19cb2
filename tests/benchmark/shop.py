"""The example app, as it is and with two other kinds of session, for gunicorn."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import flask_session
import redis
from flask import Flask, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_session.base import ServerSideSession

from example_app import create_app

ADA = "ada"


def with_ours() -> Flask:
    return _with_sign_in(create_app())


def with_cookie() -> Flask:
    app = create_app()
    app.session_interface = SecureCookieSessionInterface()
    app.session_interface.session_class = _CookieSession
    return _with_sign_in(app)


def with_peer() -> Flask:
    app = create_app()
    app.config["SESSION_TYPE"] = "redis"
    app.config["SESSION_REDIS"] = redis.Redis.from_url(os.environ["SRVSESSION_BACKEND"])
    flask_session.Session(app)
    app.session_interface.session_class = _PeerSession  # type: ignore[attr-defined]
    return _with_sign_in(app)


class _Computing:
    """What the example calls of our session, without its promise."""

    def compute(self: Any, key: str, function: Callable[[Any], Any]) -> Any:
        self[key] = value = function(self.get(key))
        return value


class _CookieSession(_Computing, SecureCookieSession):
    pass


class _PeerSession(_Computing, ServerSideSession):
    pass


def _with_sign_in(app: Flask) -> Flask:
    """Sign in without a password: hashing one would take longer than all the rest."""

    @app.get("/sign-in-at-once")
    def sign_in_at_once() -> str:
        session["user_id"] = ADA
        session["cart"] = {"tea": 2, "cups": 1, "biscuits": 10}
        return "ok"

    return app
