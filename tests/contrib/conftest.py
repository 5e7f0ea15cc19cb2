"""A provider, an app that lets its users sign in there, and their browsers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from authlib.integrations.flask_client import OAuth
from flask import Flask, redirect, url_for

from flask_srvsession import ServerSession, session
from flask_srvsession.contrib import backchannel
from flask_srvsession.testing import FakeClock
from tests.conftest import MakeApp
from tests.servers import PATIENCE
from tests.web import served

from .provider import CLIENT_ID, CLIENT_SECRET, Provider, running

INDEXES = {
    "user_id": ("user_id",),
    "sid": ("oidc_sid",),
    "sub": ("oidc_sub",),
}


@pytest.fixture
def provider(clock: FakeClock) -> Iterator[Provider]:
    with running(clock) as provider:
        yield provider


@dataclass
class Shop:
    """An app on a loopback port whose users sign in at a provider."""

    app: Flask
    url: str
    provider: Provider

    def send(self, logout_token: str, at: str = "") -> requests.Response:
        """Send a logout token, as the provider does."""
        return requests.post(
            f"{self.url}{at}/backchannel-logout",
            data={"logout_token": logout_token},
            timeout=PATIENCE,
        )


@dataclass
class Person:
    """Somebody with a browser of their own."""

    shop: Shop
    browser: requests.Session = field(default_factory=requests.Session)

    def sign_in(
        self, name: str, at: str = "", provider: Provider | None = None
    ) -> Person:
        """Sign in at the provider, and with it in the shop."""
        issuer = (provider or self.shop.provider).issuer
        self._get(f"{issuer}/sign-in?name={name}")
        assert self._get(f"{self.shop.url}{at}/login") == name
        return self

    def sign_out_at_the_provider(self) -> None:
        self._get(f"{self.shop.provider.issuer}/sign-out")

    @property
    def name(self) -> str:
        """The name by which the shop knows this person."""
        return self._get(self.shop.url)

    @property
    def claims(self) -> dict[str, Any]:
        """The sub and sid of this person's ID token."""
        response = self.browser.get(f"{self.shop.url}/claims", timeout=PATIENCE)
        claims: dict[str, Any] = response.json()
        return claims

    def _get(self, url: str) -> str:
        response = self.browser.get(url, timeout=PATIENCE)
        assert response.status_code == 200, response.text
        return response.text


def join(app: Flask, provider: Provider, at: str = "", **options: Any) -> None:
    """Let the users of `app` sign in at `provider`, under the path `at`, and be signed
    out by it."""
    oauth = OAuth(app)
    oauth.register(
        "provider",
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        server_metadata_url=f"{provider.issuer}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid"},
    )
    trusted = backchannel.Provider(
        issuer=provider.issuer,
        client_id=CLIENT_ID,
        jwks=lambda: oauth.provider.fetch_jwk_set(force=True),
        **options,
    )

    def login() -> Any:
        callback = url_for(f"callback{at[1:]}", _external=True)
        return oauth.provider.authorize_redirect(callback)

    def callback() -> Any:
        claims = oauth.provider.authorize_access_token()["userinfo"]
        trusted.bind(claims)
        session["user_id"] = claims["sub"]
        session["claims"] = {name: claims[name] for name in ("sub", "sid")}
        return redirect("/")

    app.add_url_rule(f"{at}/login", f"login{at[1:]}", login)
    app.add_url_rule(f"{at}/callback", f"callback{at[1:]}", callback)
    logout = backchannel.view(ServerSession(), trusted)
    rule, endpoint = f"{at}/backchannel-logout", f"logout{at[1:]}"
    app.add_url_rule(rule, endpoint, logout, methods=["POST"])
    if not at:
        app.add_url_rule("/claims", "claims", lambda: session["claims"])
        app.add_url_rule("/", "index", lambda: str(session.get("user_id", "nobody")))


@pytest.fixture
def shop(make_app: MakeApp, provider: Provider) -> Iterator[Shop]:
    app = make_app(SRVSESSION_INDEXES=INDEXES)
    join(app, provider)
    with served(app) as url:
        provider.logout_uris.append(f"{url}/backchannel-logout")
        yield Shop(app, url, provider)
