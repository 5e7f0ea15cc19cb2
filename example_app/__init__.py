"""A small shop with sign-in, as one would write it with flask_srvsession.

Left out is what has nothing to do with sessions: registration, guessed passwords.
"""

import os

from flask import Flask, Response, render_template
from flask_wtf import CSRFProtect
from werkzeug.exceptions import HTTPException

from . import account, accounts, auth, shop

POLICY = "default-src 'self'; form-action 'self'; frame-ancestors 'none'"


def create_app(config: dict[str, object] | None = None) -> Flask:
    """Make the app; `config` overrules the environment, and that the defaults."""
    app = Flask(__name__)
    app.config.from_mapping(
        # A random one for a try: sessions end when the app does.
        SECRET_KEY=os.environ.get("SECRET_KEY") or os.urandom(32),
        SESSION_COOKIE_SAMESITE="Lax",
        SRVSESSION_BACKEND=os.environ.get("SRVSESSION_BACKEND", "memory://"),
        SRVSESSION_METADATA=True,  # the browser, for the list of devices
        WTF_CSRF_TIME_LIMIT=None,  # the token lives as long as its session
        DATABASE=f"{app.instance_path}/accounts.sqlite3",
    )
    app.config.from_prefixed_env()  # as FLASK_SESSION_COOKIE_SECURE=true behind TLS
    app.config.from_mapping(config)
    CSRFProtect(app)
    auth.sessions.init_app(app)
    accounts.init_app(app)
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
    # "Back" after signing out shows nothing. Files have a policy of their own.
    response.headers.setdefault("Cache-Control", "no-store")
    return response
