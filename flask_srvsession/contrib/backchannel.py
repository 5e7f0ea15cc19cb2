"""OpenID Connect Back-Channel Logout 1.0: a logout at the provider is one here, too.

::

    provider = backchannel.Provider(issuer=ISSUER, client_id="shop", jwks=fetch_keys)
    logout = backchannel.view(sessions, provider)
    app.add_url_rule("/backchannel-logout", view_func=logout, methods=["POST"])

and in the login, with the claims of the ID token: ``provider.bind(claims)``.
``SRVSESSION_INDEXES`` must have the indexes ``sid`` and ``sub``. Needs the extra
``backchannel``.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from flask import Response, current_app, jsonify, request
from joserfc.errors import ClaimError, JoseError
from joserfc.jwk import GuestProtocol, KeyFlexible, KeySet, import_key
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry, decode

from .. import BackendError, ConfigurationError, ServerSession, SessionError, session
from ..ids import MAX_CLOCK_SKEW

log = logging.getLogger("flask_srvsession")

EVENT = "http://schemas.openid.net/event/backchannel-logout"
"""The member of the claim ``events`` that makes a JWT a logout token."""

RETRY_AFTER = 10
"""Seconds after which the provider may try a failed logout again. For as long,
nobody else may use a token whose logout was begun and perhaps never done."""

ASK_AGAIN = 60
"""Seconds between two fetches of the provider's keys."""

KEEP_KEYS = 60 * 60
"""Seconds for which fetched keys are believed."""

BEGUN, DONE = b"begun", b"done"
"""The cell under the id of a logout token."""

Keys = Mapping[str, Any]
"""A key set as in RFC 7517: ``{"keys": [...]}``."""


class LogoutRefused(SessionError):
    """The logout token is none that may end a session; nothing was ended."""


class NotNow(SessionError):
    """It is not known whether the logout token is good; nothing was ended."""


class LogoutToken(NamedTuple):
    """A logout token that may end sessions."""

    jti: str
    whose: Mapping[str, Any]
    """The sessions that it ends, as the keyword of ``sessions.revoke_all``."""


class Provider:
    """An OpenID provider, and how an app knows its logout tokens.

    `jwks` are the provider's public keys: a dict as in RFC 7517, or a callable that
    fetches one. It is called when a token names a key that is not known, at most every
    minute, and when the keys are an hour old. `algorithms` are those of the provider's
    signatures. A token is good for `max_age` seconds. `require_typ` refuses a token
    without the type ``logout+jwt``, which old providers do not set.

    Raises ConfigurationError.
    """

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        jwks: Keys | Callable[[], Keys],
        algorithms: Collection[str] = ("RS256", "ES256"),
        max_age: int = 120,
        require_typ: bool = True,
    ) -> None:
        if issuer.split() != [issuer]:  # a space parts it from what it has issued
            raise ConfigurationError(f"The issuer is {issuer!r}, but must be a URL.")
        self.issuer = issuer
        self.max_age = max_age
        self._audience = client_id
        self._types = {"logout+jwt"} if require_typ else {"logout+jwt", "jwt", None}
        self._registry = JWSRegistry(
            algorithms=_asymmetric(algorithms), strict_check_header=False
        )
        self._keys: KeyFlexible = (
            FetchedKeys(jwks).of if callable(jwks) else _given(jwks)
        )

    def bind(self, claims: Mapping[str, Any]) -> None:
        """List the session of this request under ``sid`` and ``sub`` of an ID token.

        `claims` are those of a token that was checked: Authlib has them in
        ``token["userinfo"]``. Raises ValueError if another provider has issued it.
        """
        if claims["iss"] != self.issuer:
            raise ValueError(f"The ID token is of {claims['iss']!r}: {self.issuer!r}?")
        for index in ("sid", "sub"):
            key = _feeding(index)
            if claims.get(index) is None:
                session.pop(key, None)
            else:
                session[key] = self._indexed(claims[index])

    def check(self, logout_token: str, now: float) -> LogoutToken:
        """Return the claims of a logout token, if all is as it must be.

        Raises LogoutRefused, and NotNow where the provider's keys cannot be had. Does
        not know whether the token was used before.
        """
        try:
            token = decode(logout_token, self._keys, registry=self._registry)
            self._claims_at(now).validate(token.claims)
        except JoseError as error:
            raise LogoutRefused(_why(error)) from error
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise LogoutRefused("it is not a signed JWT") from error
        if _type(token.header) not in self._types:
            raise LogoutRefused("its typ is not logout+jwt")
        if token.claims["iat"] < now - self.max_age - MAX_CLOCK_SKEW:
            raise LogoutRefused(f"it is older than {self.max_age} seconds")
        return self._read(token.claims)

    def _claims_at(self, now: float) -> JWTClaimsRegistry:
        return JWTClaimsRegistry(
            now=int(now),
            leeway=MAX_CLOCK_SKEW,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self._audience},
            iat={"essential": True},
        )

    def _read(self, claims: Mapping[str, Any]) -> LogoutToken:
        if "nonce" in claims:
            raise LogoutRefused("it has a nonce, as an ID token")
        events = claims.get("events")
        if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
            raise LogoutRefused("its events do not say that it is a logout token")
        index = "sid" if claims.get("sid") is not None else "sub"
        value = self._indexed(_text(claims, index))
        return LogoutToken(_text(claims, "jti"), {index: value})

    def _indexed(self, value: object) -> str:
        """Two providers may give the same name to sessions, or users, of their own."""
        return f"{self.issuer} {value}"


class FetchedKeys:
    """The keys of a provider, which changes them now and then."""

    def __init__(
        self, fetch: Callable[[], Keys], timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._timer = timer
        self._lock = threading.Lock()
        self._keys = KeySet([])
        self._asked_at = self._fetched_at = -float(KEEP_KEYS)

    def of(self, token: GuestProtocol) -> KeySet:
        """Return the keys, with that of `token` if the provider has it."""
        kid = token.headers().get("kid")
        if not self._knows(kid):
            with self._lock:
                if not self._knows(kid):  # another thread may have asked meanwhile
                    self._ask()
        return self._keys

    def _knows(self, kid: str | None) -> bool:
        if self._timer() - self._fetched_at >= KEEP_KEYS:
            return False
        return kid is None or any(key.kid == kid for key in self._keys.keys)

    def _ask(self) -> None:
        now = self._timer()
        if now - self._asked_at < ASK_AGAIN:
            raise NotNow("the provider was asked for its keys a moment ago")
        self._asked_at = now
        try:
            self._keys = _key_set(self._fetch())
        except Exception as error:
            name = type(error).__name__  # its text may name a proxy's password
            raise NotNow(f"the provider's keys could not be fetched: {name}") from error
        self._fetched_at = now


def view(sessions: ServerSession, provider: Provider) -> Callable[[], Response]:
    """Return the view that takes the logout tokens of `provider`.

    It answers 200 when the sessions are ended, also if there were none; 400 to a token
    that is refused; 503 where it could not be done now: the same token is still good.
    It is for POST, and to be exempted from CSRF protection.
    """

    def backchannel_logout() -> Response:
        try:
            text = request.form.get("logout_token", "")
            token = provider.check(text, _runtime().clock())
            ended = _once(provider, token, sessions)
        except LogoutRefused as refusal:
            log.warning("a logout token of %s is refused: %s", provider.issuer, refusal)
            return _error(400, "invalid_request", f"The token is refused: {refusal}.")
        except (BackendError, NotNow) as error:
            log.warning("a logout by %s could not be done: %s", provider.issuer, error)
            return _error(503, "temporarily_unavailable", "Please try again.")
        log.info("a logout token of %s ended %d sessions", provider.issuer, ended)
        return _unstored(Response())

    return backchannel_logout


def _once(provider: Provider, token: LogoutToken, sessions: ServerSession) -> int:
    """End the sessions of `token`, and return how many, if it was not used before.

    An outage in the middle leaves the token as good as new, at the latest when what was
    begun is forgotten; to end the same sessions again changes nothing.
    """
    runtime = _runtime()
    backend = runtime.store.backend
    name = hashlib.sha256(f"{provider.issuer} {token.jti}".encode()).hexdigest()
    key = f"{runtime.settings.key_prefix}logout:{name}"
    version = backend.add(key, BEGUN, RETRY_AFTER)
    if version is None:
        found = backend.get(key)
        if found and found.data == DONE:
            raise LogoutRefused("it was used before")
        raise NotNow("the same token is in use")
    try:
        ended = sessions.revoke_all(
            **token.whose, actor=provider.issuer, reason="back-channel logout"
        )
    except BackendError:
        with suppress(BackendError):
            backend.delete(key, version)
        raise
    kept = provider.max_age + 3 * MAX_CLOCK_SKEW  # three clocks, the storage's is one
    if backend.swap(key, DONE, version, kept) is None:
        backend.add(key, DONE, kept)
    return ended


def _runtime() -> Any:
    return current_app.extensions["srvsession"]


def _feeding(index: str) -> str:
    """Return the session key that feeds an index."""
    try:
        key: str = _runtime().settings.indexes[index][0]
    except KeyError:
        raise ConfigurationError(
            f"SRVSESSION_INDEXES has no {index!r}, which back-channel logout needs: add"
            f" {index!r}: ('oidc_{index}',)."
        ) from None
    return key


def _asymmetric(algorithms: Collection[str]) -> Collection[str]:
    known = {n for n in JWSRegistry.algorithms if n != "none" and n[:2] != "HS"}
    if not algorithms or not known.issuperset(algorithms):
        raise ConfigurationError(
            f"algorithms is {algorithms!r}, but must be some of {sorted(known)}."
        )
    return algorithms


def _given(jwks: Keys) -> KeySet:
    try:
        return _key_set(jwks)
    except (LookupError, TypeError) as error:
        raise ConfigurationError(
            'jwks has no key that can be used, but must be {"keys": [...]}, or a'
            " callable that returns that."
        ) from error


def _key_set(jwks: Keys) -> KeySet:
    """Return those keys that can be used; LookupError if there is none."""
    keys = []
    for data in jwks["keys"]:
        with suppress(JoseError, ValueError, TypeError, LookupError):
            keys.append(import_key(dict(data)))
    if not keys:
        raise LookupError("no key can be used")
    return KeySet(keys)


def _why(error: JoseError) -> str:
    """Return a safe text for `error`: its own text repeats parts of the token."""
    claim = f" ({error.claim})" if isinstance(error, ClaimError) else ""
    return error.error.replace("_", " ") + claim


def _type(header: Mapping[str, Any]) -> str | None:
    """Return the type without the prefix that RFC 7515 leaves out, in lower case."""
    typ = header.get("typ")
    return None if typ is None else str(typ).lower().removeprefix("application/")


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if isinstance(value, str) and value and value.isprintable():
        return value
    raise LogoutRefused(f"its {name} is missing, or no text")


def _error(status: int, code: str, description: str) -> Response:
    """Return an error as in RFC 6749, section 5.2."""
    response = jsonify(error=code, error_description=description)
    response.status_code = status
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER)
    return _unstored(response)


def _unstored(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
