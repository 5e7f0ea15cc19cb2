"""Answers to a browser that has not proven itself: pages without any script."""

from __future__ import annotations

from html import escape

from flask import Request, Response

from .wire import SKIPPED, said

RETRY_AFTER = 30
"""Seconds; for a browser that says that it could not reach us, or has made too many
proofs."""

NAME = "device_not_proven"
"""The name of the error, for programs."""

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
{refresh}<title>{title}</title>
<p>{text}</p>
{form}"""

_FORM = """<form method="post" action="{action}">
<button>Sign out in this browser</button>
</form>
"""


def unproven(request: Request, *, forget: str) -> Response:
    """Return the answer to a request that shows no good bound cookie.

    A link from another site comes without: a page that loads itself again comes from
    this site, and with. A browser that comes without from this very site cannot prove
    itself; it is offered to forget the session, by a form that leads to `forget`.
    """
    if said(request.environ, SKIPPED):
        text = "This browser could not prove itself in time. It tries again."
        page = _page(request, text, refresh=RETRY_AFTER)
        page.status_code = 503
        page.headers["Retry-After"] = str(RETRY_AFTER)
    elif comes_again(request):
        page = _page(request, "One moment.", refresh=0)
    else:
        text = (
            "This session belongs to another browser, or this browser has lost the key"
            " that it had for it."
        )
        page = _page(request, text, form=_FORM.format(action=escape(forget)))
    return without_caches(page)


def comes_again(request: Request) -> bool:
    """Return whether the browser comes again, and may be the owner's."""
    environ = request.environ
    if said(environ, SKIPPED):
        return True
    from_elsewhere = environ.get("HTTP_SEC_FETCH_SITE") in ("cross-site", "same-site")
    return _is_page(request) and from_elsewhere and request.method in ("GET", "HEAD")


def without_caches(response: Response) -> Response:
    """Return the response, which nobody keeps."""
    response.headers["Cache-Control"] = "no-store"
    response.vary.add("Cookie")
    return response


def _is_page(request: Request) -> bool:
    return request.environ.get("HTTP_SEC_FETCH_MODE") == "navigate"


def _page(
    request: Request, text: str, *, refresh: int | None = None, form: str = ""
) -> Response:
    """Return a page; for a program the name of the error alone."""
    if not _is_page(request):
        error = f'{{"error": "{NAME}"}}\n'
        return Response(error, 401, content_type="application/json")
    again, title = "", "Not this browser's session"
    if refresh is not None:
        again = f'<meta http-equiv="refresh" content="{refresh}">'
        title = "Checking this browser"
    page = _PAGE.format(refresh=again, title=title, text=text, form=form)
    return Response(page, 401, content_type="text/html; charset=utf-8")
