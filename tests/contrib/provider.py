"""An OpenID provider of Authlib's server parts, with back-channel logout."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any

import requests
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oidc.core import AuthorizationCodeMixin, OpenIDCode
from flask import Flask, Response, request, session
from joserfc import jwt
from joserfc.jwk import RSAKey

from flask_srvsession.contrib.backchannel import EVENT
from tests.servers import PATIENCE
from tests.web import served

CLIENT_ID, CLIENT_SECRET = "shop", "what the provider has given the app"


@cache
def key(name: str) -> RSAKey:
    """Return the RSA key of this name, always the same in one run."""
    made: RSAKey = RSAKey.generate_key(2048, {"kid": name, "use": "sig"})
    return made


class _Client(ClientMixin):
    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return True

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == CLIENT_SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return True

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


class _Code(SimpleNamespace, AuthorizationCodeMixin):
    def get_redirect_uri(self) -> str:
        return str(self.redirect_uri)

    def get_scope(self) -> str:
        return str(self.scope)

    def get_nonce(self) -> str:
        return str(self.nonce)

    def get_auth_time(self) -> None:
        return None


class _CodeGrant(AuthorizationCodeGrant):
    def save_authorization_code(self, code: str, request: Any) -> None:
        data = request.payload.data
        self.server.codes[code] = _Code(
            user=request.user,
            redirect_uri=data["redirect_uri"],
            scope=data["scope"],
            nonce=data["nonce"],
        )

    def query_authorization_code(self, code: str, client: Any) -> _Code | None:
        return self.server.codes.pop(code, None)  # type: ignore[no-any-return]

    def delete_authorization_code(self, authorization_code: _Code) -> None:
        pass

    def authenticate_user(self, authorization_code: _Code) -> Any:
        return authorization_code.user


class _Claims(OpenIDCode):
    def __init__(self, provider: Provider) -> None:
        super().__init__(require_nonce=True)
        self._provider = provider

    def exists_nonce(self, nonce: str, request: Any) -> bool:
        return False

    def encode_id_token(self, token: Any, request: Any) -> str:
        self._provider.id_tokens.append(super().encode_id_token(token, request))
        return self._provider.id_tokens[-1]

    def resolve_client_private_key(self, client: Any) -> RSAKey:
        return self._provider.key

    def get_encode_header(self, client: Any) -> dict[str, str]:
        return {"alg": "RS256", "kid": str(self._provider.key.kid)}

    def get_client_claims(self, client: Any) -> dict[str, Any]:
        return {"iss": self._provider.issuer}

    def generate_user_info(self, user: dict[str, str], scope: str) -> dict[str, str]:
        return user


class Provider:
    """An OpenID provider; see :func:`running`.

    A browser signs in at ``/sign-in?name=ann`` and out at ``/sign-out``, which sends a
    logout token to each of `logout_uris`.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.issuer = ""
        self.key = key("first")
        self.logout_uris: list[str] = []
        self.answers: list[requests.Response] = []
        self.id_tokens: list[str] = []
        self.fetches = 0
        self.app = Flask("provider")
        self.app.secret_key = "the provider's own"
        self.app.config["SESSION_COOKIE_NAME"] = "provider"
        self._server = AuthorizationServer(
            self.app, lambda client_id: _Client(), lambda token, request: None
        )
        self._server.codes = {}
        self._server.register_grant(_CodeGrant, [_Claims(self)])
        for rule in ("sign-in", "sign-out", "authorize", "jwks", "token"):
            view = getattr(self, "_" + rule.replace("-", "_"))
            methods = ["POST"] if rule == "token" else ["GET"]
            self.app.add_url_rule(f"/{rule}", rule, view, methods=methods)
        metadata = "/.well-known/openid-configuration"
        self.app.add_url_rule(metadata, "metadata", self._metadata)

    def logout_token(
        self, *, header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """Return a logout token; a claim or part of the header that is None is left
        out."""
        now = int(self.clock())
        full = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_hex(16),
            "events": {EVENT: {}},
            **claims,
        }
        head = {"typ": "logout+jwt", "alg": "RS256", "kid": self.key.kid}
        return jwt.encode(
            {k: v for k, v in {**head, **(header or {})}.items() if v is not None},
            {k: v for k, v in full.items() if v is not None},
            self.key,
            default_type=None,
        )

    def jwks(self) -> dict[str, Any]:
        """Return the public keys."""
        return {"keys": [self.key.as_dict(private=False)]}

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "id_token_signing_alg_values_supported": ["RS256"],
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
        }

    def _jwks(self) -> dict[str, Any]:
        self.fetches += 1
        return self.jwks()

    def _sign_in(self) -> str:
        session["user"] = {"sub": request.args["name"], "sid": secrets.token_hex(8)}
        return "signed in"

    def _authorize(self) -> Response:
        grant = self._server.get_consent_grant(end_user=session["user"])
        return self._server.create_authorization_response(  # type: ignore[no-any-return]
            grant_user=session["user"], grant=grant
        )

    def _token(self) -> Response:
        return self._server.create_token_response()  # type: ignore[no-any-return]

    def _sign_out(self) -> str:
        token = self.logout_token(**session.pop("user"))
        for uri in self.logout_uris:
            data = {"logout_token": token}
            self.answers.append(requests.post(uri, data=data, timeout=PATIENCE))
        return "signed out"


@contextmanager
def running(clock: Callable[[], float] = time.time) -> Iterator[Provider]:
    """Run a provider on a loopback port; `clock` is that of its logout tokens."""
    provider = Provider(clock)
    with served(provider.app) as provider.issuer:
        yield provider
