"""The values that the server hands out: bound cookies and challenges, authenticated,
not stored.

Each says when it was made, and, by an HMAC under the app's keys, for which session,
for which generation of its binding and for which purpose. So the bound cookie of an
ordinary request is judged without the storage, and a challenge is good for one proof:
the proof raises the generation.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from .. import ids

OFFER_LIFE = 300
"""Seconds in which a browser registers; it takes less than one."""

CHALLENGE_LIFE = 86400
"""Seconds for which a refresh may answer a challenge. With an older one, as after a
night's sleep of the device, it is asked again, and nobody sees it."""

LEEWAY = 30
"""Seconds for which a request with a bound cookie that expires may be on its way."""

AT_HAND = 2048
"""Bound cookies that need no second look: a browser sends the same one for minutes."""

_MAC_LENGTH, _LONGEST = 16, 64
_COOKIE = re.compile(r"([1-9][0-9]{0,8})\.([0-9a-f]{1,12})\.([0-9a-f]{32})")
_OFFER = re.compile(rf"({ids._ID})\.([0-9a-f]{{1,12}})\.([0-9a-f]{{32}})")


class Stamp(NamedTuple):
    """The content of a value that we have made."""

    generation: int
    issued: int


class Seals:
    """Makes bound cookies and challenges, and knows its own again.

    `secret_keys` are oldest first: the last one makes, all of them know. The `prefix`
    keeps apps apart that share a key. `window` is how many seconds a bound cookie is
    good for.
    """

    def __init__(
        self, secret_keys: Sequence[str | bytes], prefix: str, window: int
    ) -> None:
        label = f"flask_srvsession.dbsc.v1:{prefix}"
        self._life = window + LEEWAY
        self._macs = [
            ids.derived(secret, label, length=_MAC_LENGTH)
            for secret in reversed(secret_keys)
        ]
        self._seen = lru_cache(maxsize=AT_HAND)(self._known)

    def cookie(self, session_id: str, generation: int, now: float) -> str:
        """Return a bound cookie."""
        return self._made("cookie", session_id, generation, now)

    def challenge(self, session_id: str, generation: int, now: float) -> str:
        """Return the challenge that the next refresh is to sign."""
        return self._made("refresh", session_id, generation, now)

    def offer(self, session_id: str, now: float) -> str:
        """Return the challenge that a registration is to sign; it names the session."""
        issued = f"{int(now):x}"
        mac = self._macs[0](_message("register", session_id, "0", issued)).hex()
        return f"{session_id}.{issued}.{mac}"

    def of_cookie(self, value: str, session_id: str, at: float) -> Stamp | None:
        """Return the content of a bound cookie, if it is one of this session and good
        `at` this time."""
        if len(value) > _LONGEST:
            return None
        stamp = self._seen("cookie", value, session_id)
        return stamp if stamp and _is_recent(stamp.issued, at, self._life) else None

    def of_challenge(self, value: str, session_id: str, at: float) -> Stamp | None:
        """Return the same of a challenge for a refresh."""
        stamp = self._known("refresh", value, session_id)
        return stamp if stamp and _is_recent(stamp.issued, at, CHALLENGE_LIFE) else None

    def of_offer(self, value: str, at: float) -> str | None:
        """Return the id of the session that was offered a registration."""
        match = _OFFER.fullmatch(value)
        if match is None:
            return None
        session_id, issued, mac = match.groups()
        good = self._fits(mac, _message("register", session_id, "0", issued))
        recent = _is_recent(int(issued, 16), at, OFFER_LIFE)
        return session_id if good and recent else None

    def _made(self, purpose: str, session_id: str, generation: int, now: float) -> str:
        issued = f"{int(now):x}"
        message = _message(purpose, session_id, f"{generation}", issued)
        return f"{generation}.{issued}.{self._macs[0](message).hex()}"

    def _known(self, purpose: str, value: str, session_id: str) -> Stamp | None:
        match = _COOKIE.fullmatch(value)
        if match is None:
            return None
        generation, issued, mac = match.groups()
        if not self._fits(mac, _message(purpose, session_id, generation, issued)):
            return None
        return Stamp(int(generation), int(issued, 16))

    def _fits(self, mac: str, message: bytes) -> bool:
        return any(hmac.compare_digest(made(message).hex(), mac) for made in self._macs)


def _message(purpose: str, session_id: str, generation: str, issued: str) -> bytes:
    return f"{purpose}.{session_id}.{generation}.{issued}".encode("ascii")


def _is_recent(issued: int, at: float, life: int) -> bool:
    return -ids.MAX_CLOCK_SKEW <= at - issued < life
