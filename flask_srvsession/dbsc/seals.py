"""The values that the server hands out: bound cookies and challenges, authenticated,
not stored.

Each says when it was made and for which generation of the binding, signed by the app's
keys for one session and for one purpose. So the bound cookie of an
ordinary request is judged without the storage, and a challenge is good for one proof:
the proof raises the generation.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from itsdangerous import Signer

from .. import ids

COOKIE, CHALLENGE, OFFER = "cookie", "refresh", "register"
"""The purposes: a bound cookie, and what a refresh or a registration is to sign."""

OFFER_LIFE = 300
"""Seconds in which a browser registers; it takes less than one."""

CHALLENGE_LIFE = 86400
"""Seconds for which a refresh may answer a challenge. With an older one, as after a
night's sleep of the device, it is asked again, and nobody sees it."""

LEEWAY = 30
"""Seconds for which a request with a bound cookie that expires may be on its way."""

AT_HAND = 2048
"""Bound cookies that need no second look: a browser sends the same one for minutes."""

_FORM = re.compile(r"([1-9][0-9]{0,8})\.([0-9a-f]{1,12})\.[\w-]{43}", re.ASCII)


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
        self._keys = list(secret_keys)
        self._label = f"flask_srvsession.dbsc.v1:{prefix}"
        self._life = {
            COOKIE: window + LEEWAY,
            CHALLENGE: CHALLENGE_LIFE,
            OFFER: OFFER_LIFE,
        }
        self._is_ours = lru_cache(maxsize=AT_HAND)(self._validates)

    def made(self, purpose: str, session_id: str, generation: int, now: float) -> str:
        """Return a value for this purpose, this session and this generation."""
        stamp = f"{generation}.{int(now):x}"
        return self._signer(purpose, session_id).sign(stamp).decode("ascii")

    def known(
        self, purpose: str, session_id: str, value: str, at: float
    ) -> Stamp | None:
        """Return the content of a value that was made for this, and is good `at` this
        time."""
        match = _FORM.fullmatch(value)
        if match is None or not self._is_ours(purpose, session_id, value):
            return None
        stamp = Stamp(int(match[1]), int(match[2], 16))
        is_good = -ids.MAX_CLOCK_SKEW <= at - stamp.issued < self._life[purpose]
        return stamp if is_good else None

    def offer(self, session_id: str, now: float) -> str:
        """Return the challenge that a registration is to sign; it names the session."""
        return f"{session_id}.{self.made(OFFER, session_id, 1, now)}"

    def of_offer(self, value: str, at: float) -> str | None:
        """Return the id of the session that was offered a registration."""
        session_id, _, signed = value.partition(".")
        known = ids.is_id(session_id) and self.known(OFFER, session_id, signed, at)
        return session_id if known else None

    def _signer(self, purpose: str, session_id: str) -> Signer:
        return Signer(
            self._keys,  # type: ignore[arg-type]  # list[str | bytes]
            salt=f"{self._label}:{purpose}:{session_id}",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )

    def _validates(self, purpose: str, session_id: str, value: str) -> bool:
        return self._signer(purpose, session_id).validate(value)
