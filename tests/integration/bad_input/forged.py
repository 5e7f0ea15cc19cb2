"""Cookies and records as somebody else would make them."""

from __future__ import annotations

from typing import Any

from flask_srvsession import session

from ..probes import KEY
from ..probes import signed as signed_for

PREFIX = "app:"


MEBIBYTE = 1024 * 1024


def signed(payload: str, key: str = KEY, prefix: str = PREFIX) -> str:
    return signed_for(payload, key, prefix)


def read() -> Any:
    return session.get("a")


def parts(cookie: str) -> tuple[str, str, str, str]:
    session_id, generation, token, signature = cookie.split(".")
    return session_id, generation, token, signature


def payload(cookie: str, **changed: str) -> str:
    session_id, generation, token, _ = parts(cookie)
    fields = {"id": session_id, "generation": generation, "token": token, **changed}
    return "{id}.{generation}.{token}".format(**fields)
