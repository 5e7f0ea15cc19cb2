"""A small shop with sign-in, as one would write it with flask_srvsession.

Left out is what has nothing to do with sessions: guessed passwords, e-mail.
"""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask, Response, render_template, request
from flask_wtf import CSRFProtect
from werkzeug.exceptions import HTTPException

from . import account, accounts, auth, shop

POLICY = "default-src 'self'; form-action 'self'; frame-ancestors 'none'"


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Make the app; `config` overrules the environment, and that the defaults."""
    app = Flask(__name__)
    app.config.from_mapping(
        SECRET_KEY=os.environ.get("SECRET_KEY"),
        SESSION_COOKIE_SAMESITE="Lax",
        SRVSESSION_BACKEND=os.environ.get("SRVSESSION_BACKEND", "memory://"),
        SRVSESSION_METADATA=True,  # the browser, for the list of devices
        WTF_CSRF_TIME_LIMIT=None,  # the token lives as long as its session
        MAX_CONTENT_LENGTH=64 * 1024,
        DATABASE=Path(app.instance_path) / "accounts.sqlite3",
    )
    app.config.from_prefixed_env()  # as FLASK_SESSION_COOKIE_SECURE=true behind TLS
    app.config.from_mapping(config or {})
    if not app.secret_key:
        app.secret_key = secrets.token_hex()
        app.logger.warning("SECRET_KEY is not set: sessions end when this app does.")
    CSRFProtect(app)
    accounts.init_app(app)
    auth.init_app(app)
    for blueprint in (auth.bp, account.bp, shop.bp):
        app.register_blueprint(blueprint)
    app.register_error_handler(HTTPException, _error_page)
    app.after_request(_secure)
    return app


def _error_page(error: HTTPException) -> Response:
    """Say what went wrong, without the session: it may be what went wrong."""
    page = render_template("error.html", error=error)
    return Response(page, error.code, error.get_response().headers)


def _secure(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    if request.endpoint != "static":  # "back" after signing out shows nothing
        response.cache_control.no_store = True
    return response
