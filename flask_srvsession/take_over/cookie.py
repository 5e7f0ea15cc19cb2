"""Flask's own session: signed values in the cookie itself."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from flask.sessions import session_json_serializer
from itsdangerous import BadData, URLSafeTimedSerializer

from .source import Former, Presented, Refused, Source, as_session, former


class CookieSource(Source):
    """Flask's cookie session, as ``SecureCookieSessionInterface`` of Flask writes it.

    A cookie is taken over once, and is then known by its signed text: its session's end
    ends it, though Flask's signature stays good. Other, older cookies of the same
    browser are other ones, as they are for Flask. It is as old as Flask says:
    `lifetime` counts from when the cookie was given out.
    """

    name = "cookie"

    def recognize(
        self, cookie: str, secret_keys: Sequence[str | bytes]
    ) -> Presented | None:
        if cookie.count(".") not in (2, 3):
            return None
        try:
            _, issued = _serializer(secret_keys).loads(cookie, return_timestamp=True)
        except (BadData, ValueError, RecursionError):
            return None
        # A signature may be spelled in several ways, but not the text that it signs.
        return Presented(cookie.rpartition(".")[0], issued.timestamp())

    def read(self, session_id: str) -> Former | None:
        """Return the content of the cookie, which was verified when it was
        recognized."""
        try:
            signed, _, _ = session_id.rpartition(".")
            values = as_session(_serializer([""]).load_payload(signed.encode("ascii")))
        except (BadData, ValueError, RecursionError, TypeError) as error:
            raise Refused("the cookie cannot be decoded") from error
        return former(values)

    def delete(self, session_id: str) -> None:
        """The claim has ended it: a cookie cannot be deleted where somebody has it."""


def _serializer(secret_keys: Sequence[Any]) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(
        list(secret_keys),
        salt="cookie-session",
        serializer=session_json_serializer,
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha1},
    )
