"""The headers and the JSON of DBSC, as Chromium 156 reads and writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from flask import Response
from werkzeug.http import dump_cookie, unquote_header_value

PROOF = "HTTP_SECURE_SESSION_RESPONSE"
SESSION = "HTTP_SEC_SECURE_SESSION_ID"
SKIPPED = "HTTP_SECURE_SESSION_SKIPPED"
"""Where the WSGI environ has the headers of a browser."""

CHALLENGE = "Secure-Session-Challenge"
REGISTRATION = "Secure-Session-Registration"


def said(environ: Mapping[str, Any], name: str) -> str | None:
    """Return a text that the browser has sent, with quotes or without."""
    value: str | None = environ.get(name)
    return None if value is None else unquote_header_value(value.strip())


def quoted(part: str | bytes) -> str:
    """Return a path as it is written in a header; or a query, which is quoted."""
    return quote(part, safe="/:@!$&'()*+,;=~" + "?%" * isinstance(part, bytes))


def registration(path: str, challenge: str) -> str:
    """Return the header that offers a registration."""
    return f'(ES256);path="{quote(path)}";challenge="{challenge}"'


def challenge(value: str, session_id: str) -> str:
    """Return the header with a challenge for a session."""
    return f'"{value}";id="{session_id}"'


class BoundCookie:
    """The cookie that a proof is worth: how a response sets it, and how the JSON
    announces it.

    `attributes` are those of the session's cookie. Both texts come from one function of
    Werkzeug's: where they differ, a browser takes the cookie for missing before each
    request.
    """

    def __init__(self, name: str, attributes: Mapping[str, Any]) -> None:
        self.name = name
        self._attributes = {**attributes, "secure": True, "httponly": True}

    def set(self, response: Response, value: str, max_age: int) -> None:
        """Set the cookie for so many seconds."""
        response.set_cookie(self.name, value, max_age, **self._attributes)

    def remove(self, response: Response) -> None:
        """Let the browser forget the cookie."""
        self.set(response, "", 0)

    def announced(self) -> str:
        """Return the attributes, without the age, which may not be announced."""
        return dump_cookie(self.name, "", **self._attributes).partition("; ")[2]


def instructions(
    session_id: str,
    *,
    refresh: str,
    cookie: BoundCookie,
    excluded: Sequence[str],
    initiators: Sequence[str],
) -> dict[str, Any]:
    """Return the answer to a registration: which requests wait for which cookie."""
    rules = [{"type": "exclude", "domain": "*", "path": path} for path in excluded]
    attributes = cookie.announced()
    return {
        "session_identifier": session_id,
        "refresh_url": refresh,
        "scope": {"include_site": False, "scope_specification": rules},
        "credentials": [
            {"type": "cookie", "name": cookie.name, "attributes": attributes}
        ],
        "allowed_refresh_initiators": [*initiators],
    }
