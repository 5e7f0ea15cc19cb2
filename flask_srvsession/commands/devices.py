"""Mistakes that keep browsers from binding sessions to their device."""

from __future__ import annotations

from collections.abc import Iterator

from ..backends.health import Finding, a_warning, an_error, an_info
from ..dbsc import proxies
from .checks import is_secure
from .desk import Desk

KEY = "SRVSESSION_DBSC"


def findings(desk: Desk) -> Iterator[Finding]:
    """Yield the mistakes in the configuration."""
    if not desk.settings.dbsc:
        return
    config = desk.app.config
    if not is_secure(config):
        yield a_warning(
            KEY,
            "Browsers bind sessions to a device with HTTPS only, and the session's"
            " cookie is sent without it, too.",
            "Serve the app with HTTPS alone, and set SESSION_COOKIE_SECURE = True.",
        )
    root = config["APPLICATION_ROOT"].rstrip("/")
    path = (config["SESSION_COOKIE_PATH"] or "/").rstrip("/")
    if prefix := root or path:
        yield an_info(
            KEY,
            f"The app is below {prefix}, and browsers are told the path of a request"
            f" as it arrives: {prefix}{desk.settings.dbsc_path} only if SCRIPT_NAME is"
            f" {prefix}.",
            "See that the server or ProxyFix(app.wsgi_app, x_prefix=1) sets it.",
        )
    ours = f"{desk.settings.dbsc_path}/"
    rules = [str(rule) for rule in desk.app.url_map.iter_rules()]
    if taken := [each for each in rules if each.startswith(ours)]:
        yield an_error(
            "SRVSESSION_DBSC_PATH",
            f"The app has {taken[0]!r} below that path, which the extension answers.",
            "Set another path.",
        )


def storage_findings(desk: Desk) -> Iterator[Finding]:
    """Yield the headers that browsers sent and nobody got."""
    if not desk.settings.dbsc or not desk.app.secret_key:
        return
    if header := proxies.missing(desk.store):
        yield a_warning(
            KEY,
            f"A browser's request came without {header} during the last day.",
            "See that no proxy takes away Secure-Session-* and Sec-Secure-Session-Id.",
        )
