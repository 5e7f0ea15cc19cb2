"""Apps that log in by real libraries, and by keys of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import pytest
from flask import Flask

from flask_srvsession import session
from tests.web import View

from ..apps import use_flask_login


class Library(NamedTuple):
    """An app's login and logout, and who it says is logged in."""

    log_in: View
    log_out: View
    who: View
    name: str | None
    """What the index `user_id` has of the user, None if nothing."""


def _flask_login(app: Flask) -> Library:
    login = pytest.importorskip("flask_login")
    use_flask_login(app)
    from ..apps import User

    return Library(
        lambda: str(login.login_user(User("ann"))),
        lambda: str(login.logout_user()),
        lambda: str(getattr(login.current_user, "id", None)),
        "ann",
    )


def _security(app: Flask) -> Library:
    security = pytest.importorskip("flask_security")
    pytest.importorskip("sqlalchemy")
    from ..flask_login.security import CONFIG, datastore

    app.config.update(CONFIG)
    users = datastore()
    security.Security(app, users)
    with app.app_context():
        users.create_user(email="ann@example.com", fs_uniquifier="ann")
        users.commit()

    def log_in() -> str:
        return str(security.login_user(users.find_user(email="ann@example.com")))

    def log_out() -> str:
        security.logout_user()
        return "done"

    return Library(
        log_in,
        log_out,
        lambda: str(getattr(security.current_user, "email", None)),
        "ann",
    )


def _principal(app: Flask) -> Library:
    principal = pytest.importorskip("flask_principal")
    principal.Principal(app)

    def change(identity: Any) -> str:
        principal.identity_changed.send(app, identity=identity)
        return "done"

    def leave() -> str:
        for key in ("identity.id", "identity.auth_type"):
            session.pop(key, None)
        return change(principal.AnonymousIdentity())

    return Library(
        lambda: change(principal.Identity("ann", "form")),
        leave,
        lambda: str(session.get("identity.id")),
        "ann",
    )


def _dance(app: Flask) -> Library:
    """Log in as the callback of the provider does, after it has fetched the token."""
    github = pytest.importorskip("flask_dance.contrib.github")
    blueprint = github.make_github_blueprint(client_id="id", client_secret="secret")
    app.register_blueprint(blueprint)

    def log_in() -> str:
        blueprint.token = {"access_token": "ann's", "token_type": "bearer"}
        return "done"

    def log_out() -> str:
        del blueprint.token
        return "done"

    return Library(
        log_in, log_out, lambda: str((blueprint.token or {}).get("access_token")), None
    )


TOKEN = {
    "access_token": "ann's",
    "expires_at": 4_000_000_000,
    "userinfo": {"sub": "ann", "email": "ann@example.org"},
}


def _authlib(app: Flask) -> Library:
    client = pytest.importorskip("authlib.integrations.flask_client")
    provider = client.OAuth(app).register(
        "provider", client_id="id", authorize_url="https://example.org/authorize"
    )

    def log_in() -> str:
        with mock.patch.object(provider, "authorize_access_token", return_value=TOKEN):
            provider.authorize_redirect("https://example.org/back")
            session["user"] = provider.authorize_access_token()["userinfo"]
        return "done"

    def log_out() -> str:
        del session["user"]
        return "done"

    return Library(
        log_in, log_out, lambda: str(session.get("user", {}).get("sub")), "ann"
    )


def _oidc(app: Flask) -> Library:
    flask_oidc = pytest.importorskip("flask_oidc")
    app.config["OIDC_CLIENT_SECRETS"] = {
        "web": {
            "client_id": "id",
            "client_secret": "secret",
            "auth_uri": "https://example.org/authorize",
            "token_uri": "https://example.org/token",
            "userinfo_uri": "https://example.org/userinfo",
            "issuer": "https://example.org",
        }
    }
    app.config["OIDC_INTROSPECTION_AUTH_METHOD"] = "client_secret_post"
    oidc = flask_oidc.OpenIDConnect(app)
    oidc.oauth.oidc.load_server_metadata = dict  # it would be asked over the network

    def log_in() -> str:
        provider, views = oidc.oauth.oidc, flask_oidc.views
        with (
            mock.patch.object(provider, "authorize_access_token", return_value=TOKEN),
            mock.patch.object(provider, "userinfo", return_value=TOKEN["userinfo"]),
        ):
            return str(views.authorize_view().status_code)

    def log_out() -> str:
        for key in ("oidc_auth_token", "oidc_auth_profile"):
            session.pop(key, None)
        return "done"

    return Library(
        log_in, log_out, lambda: str((oidc.user_loggedin and "ann") or None), "ann"
    )


def _pyoidc(app: Flask) -> Library:
    """Log in as the callback of the provider does, after it has fetched the tokens."""
    pytest.importorskip("flask_pyoidc")
    from flask_pyoidc import OIDCAuthentication, auth_response_handler
    from flask_pyoidc.provider_configuration import (
        ClientMetadata,
        ProviderConfiguration,
        ProviderMetadata,
    )

    app.config["OIDC_REDIRECT_URI"] = "https://example.org/back"
    client = ClientMetadata(client_id="id", client_secret="secret")
    provider = ProviderConfiguration(
        provider_metadata=ProviderMetadata(issuer="https://example.org"),
        client_metadata=client,
    )
    oidc = OIDCAuthentication({"provider": provider}, app)
    answer = auth_response_handler.AuthenticationResult(
        access_token="ann's",
        expires_in=3600,
        id_token_claims={"sub": "ann"},
        id_token_jwt="a.b.c",
        userinfo_claims={"sub": "ann", "email": "ann@example.org"},
        refresh_token="more",
    )

    def log_in() -> str:
        session.update(current_provider="provider", destination="/", auth_request="{}")
        handler = auth_response_handler.AuthResponseHandler
        with (
            mock.patch.object(
                oidc.clients["provider"], "parse_authentication_response"
            ),
            mock.patch.object(handler, "process_auth_response", return_value=answer),
        ):
            return str(oidc._handle_authentication_response().status_code)

    def who() -> str:
        seen = session.get("last_authenticated") and session["userinfo"]["sub"]
        return str(seen)

    return Library(
        log_in,
        lambda: str(oidc._logout("https://example.org/")),
        who,
        "ann",
    )


LIBRARIES: dict[str, Callable[[Flask], Library]] = {
    "Flask-Login": _flask_login,
    "Flask-Security": _security,
    "Flask-Principal": _principal,
    "Flask-Dance": _dance,
    "Authlib": _authlib,
    "Flask-OIDC": _oidc,
    "Flask-pyoidc": _pyoidc,
}

SPELLINGS: dict[str, Any] = {
    "user_id": 42,
    "_user_id": "42",
    "username": "ann",
    "user": {"id": 42, "name": "Ann"},
    "id": 42,
    "uid": "ann",
    "userid": 42,
    "user_name": "ann",
    "current_user": "ann",
    "account": {"email": "ann@example.org"},
    "account_id": 42,
    "member_id": 42,
    "customer_id": 42,
    "email": "ann@example.org",
    "profile": {"user_id": "auth0|42", "name": "Ann"},
    "userinfo": {"sub": "ann"},
    "_logged_in_user": {"sub": "ann"},
    "CAS_USERNAME": "ann",
    "samlNameId": "ann@example.org",
    "openid": "https://ann.example.org",
    "DISCORD_USER_ID": 42,
    "logged_in": True,
    "loggedin": True,
    "is_logged_in": True,
    "authenticated": True,
    "google_oauth_token": "ann's",
    "last_authenticated": 1_750_000_000,
}
"""Keys that apps write themselves, or through other libraries, with an example."""

NAMES = {
    **{key: str(value) for key, value in SPELLINGS.items() if value is not True},
    "user": "42",
    "account": "ann@example.org",
    "profile": "auth0|42",
    "userinfo": "ann",
    "_logged_in_user": "ann",
    "google_oauth_token": None,
    "last_authenticated": None,
}


def plain(key: str) -> Library:
    """Return an app that writes `key` by itself."""

    def log_in() -> str:
        session[key] = SPELLINGS[key]
        return "done"

    def log_out() -> str:
        del session[key]
        return "done"

    return Library(log_in, log_out, lambda: str(session.get(key)), NAMES.get(key))
