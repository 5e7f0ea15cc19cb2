"""Changes of a Response: cookies, headers for caches, and how they are undone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import get_ident
from typing import Any

from flask import Response

log = logging.getLogger("flask_srvsession")

FOR_CACHES = ("CDN-Cache-Control", "Surrogate-Control")
"""Headers by which a response speaks to shared caches alone (RFC 9213)."""


def deletes(response: Response, name: str) -> bool:
    """Return whether the app itself deletes this cookie: that is its logout."""
    mine = f"{name}=;"
    return any(each.startswith(mine) for each in response.headers.getlist("Set-Cookie"))


UNDO = "_srvsession_undo"
"""Where a Response has our changes: the number of the request that each was made for,
the thread, and how to undo it."""


def remember(response: Response, number: int, undo: Callable[[Response], None]) -> None:
    """Note how a change of the response, for the request of this number, is undone."""
    changes = getattr(response, UNDO, ())
    setattr(response, UNDO, (*changes, (number, get_ident(), undo)))


def take_back(response: Response, number: int) -> None:
    """Undo changes for other requests on a Response that is returned again: a constant
    of the app, or one that ``lru_cache`` keeps. Those for a request within this one,
    to which it was forwarded, stay."""
    changes = getattr(response, UNDO)
    if all(at >= number and thread == get_ident() for at, thread, _ in changes):
        return
    delattr(response, UNDO)
    for _, _, undo in reversed(changes):
        undo(response)
    log.warning(
        "a Response object is returned again: the session cookie, or the error page, of"
        " another request was taken out of it. Make a Response for each request."
    )


def restore(
    status: str, headers: list[tuple[str, str]], body: Any, response: Response
) -> None:
    """Give the response this status, these headers and this body."""
    response.status, response.response = status, body
    response.headers.clear()
    response.headers.extend(headers)


def without(cookies: list[str], response: Response) -> None:
    """Take these values of Set-Cookie out of the response."""
    present = response.headers.getlist("Set-Cookie")
    kept = [each for each in present if each not in cookies]
    response.headers.setlist("Set-Cookie", kept)


def vary_by_cookie(response: Response) -> None:
    """Tell caches that the response depends on the cookies of the request."""
    if response.headers.getlist("Vary"):
        response.vary.add("Cookie")
    else:
        response.headers.add("Vary", "Cookie")  # a third of the time


def is_public(response: Response) -> bool:
    """Return whether shared caches may give the response to others."""
    directives = ",".join(response.headers.getlist("Cache-Control")).lower()
    return "public" in directives or "s-maxage" in directives


def keep_from_shared_caches(response: Response) -> None:
    """Let no cache give our Set-Cookie to others (RFC 9111, section 3).

    A view's own Cache-Control stays as far as it concerns the browser's cache.
    """
    control = response.cache_control
    if "Cache-Control" not in response.headers:
        control.no_store = True
    else:
        control.public, control.s_maxage = False, None
        control.private = True
    for name in FOR_CACHES:
        if name in response.headers:
            response.headers[name] = "no-store"
