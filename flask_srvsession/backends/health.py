"""Faults of a storage, or of the way to it, and what to do about them.

A backend may have two more methods than :class:`~.base.Backend` asks for::

    def check(self) -> Iterable[Finding]: ...
    def stats(self) -> Mapping[str, int]: ...

Both only read, and raise the backend's `errors`. Facts that the server does
not let them read they leave out.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from functools import partial
from typing import Literal

from .base import Backend

Severity = Literal["error", "warning", "info"]

CLOCKS_DIFFER = 1.0
"""Seconds by which the clocks of two computers may differ."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to mend: `key` is the setting, of the app or of the server."""

    severity: Severity
    key: str
    problem: str
    remedy: str


an_error = partial(Finding, "error")
a_warning = partial(Finding, "warning")
an_info = partial(Finding, "info")


def check(backend: Backend) -> Iterator[Finding]:
    """Yield the faults of `backend`."""
    if not backend.shared:
        yield a_warning(
            "SRVSESSION_BACKEND",
            "Sessions are in the memory of one process: they end when it does, and"
            " several workers (or this command) do not see each other's.",
            "Use Redis, memcached or a database, unless one process serves the app.",
        )
    found: Callable[[], Iterable[Finding]] = getattr(backend, "check", tuple)
    yield from found()


def stats(backend: Backend) -> dict[str, int]:
    """Return the figures of the storage; empty where it cannot count."""
    counted: Callable[[], Mapping[str, int]] = getattr(backend, "stats", dict)
    items = {"items": len(backend)} if isinstance(backend, Sized) else {}
    return dict(counted()) or items


def clock(
    server: str, told: float, asked: float, late: float = 0.0
) -> Iterator[Finding]:
    """Yield a finding if the clock of `server` is wrong, or the one of this computer.

    `told` is the server's unix time, which it may tell `late` seconds too early;
    `asked` is the time of this computer just before.
    """
    apart = max(told - time.time(), asked - late - told)
    if apart > CLOCKS_DIFFER:
        yield a_warning(
            "clocks",
            f"The clocks of {server} and of this computer differ by {apart:.0f} s."
            " Sessions end that much too early or too late; from a minute on, they are"
            " refused.",
            "Have both set by NTP.",
        )


def unencrypted(key: str, hosts: Iterable[str]) -> Iterator[Finding]:
    """Yield a finding if one of `hosts`, reached in clear text, is another computer."""
    others = sorted({host for host in hosts if not is_local(host)})
    if others:
        yield a_warning(
            key,
            f"The connection to {', '.join(others)} is not encrypted: who listens can"
            " read every session, and who interferes can end them.",
            "Use TLS (rediss:// for Redis), or a network that nobody else is on.",
        )


def is_local(host: str) -> bool:
    """Return whether `host` is this computer."""
    if host.lower() == "localhost" or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
