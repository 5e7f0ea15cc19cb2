"""The sources that sessions are taken over from: their cookies and their values."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, NamedTuple

import msgpack
from itsdangerous import BadSignature, Signer

from .. import values
from ..errors import ConfigurationError

MAX_COOKIE = 8192
"""Characters of a cookie that is looked at: a browser keeps 4096 bytes."""

MAX_RECORD = 4 * 1024 * 1024
"""Bytes of a record that is looked at. Its values are measured again later."""


class Refused(Exception):
    """There is a session, but it is not taken over. `reason` is one of a few, for the
    counts; neither that nor `detail` has anything of the session's values."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class Former(NamedTuple):
    """A session as another extension has left it."""

    values: Mapping[str, Any]
    permanent: bool = False
    born: int | None = None
    """When it began, as unix time, if that is known."""

    def __repr__(self) -> str:  # without values
        return f"<Former session of {len(self.values)} keys>"


def former(values: dict[str, Any], born: int | None = None) -> Former | None:
    """Return the session of these values, as Flask keeps it; None of no values."""
    permanent = bool(values.pop("_permanent", False))
    return Former(values, permanent, born) if values else None


def unsigned(cookie: str, secret_keys: Sequence[str | bytes], **how: Any) -> str:
    """Return the text that a cookie signs; none if it is not signed so."""
    try:
        return Signer(list(secret_keys), **how).unsign(cookie).decode("ascii")  # type: ignore[arg-type]
    except (BadSignature, ValueError):
        return ""


class Presented(NamedTuple):
    """A credential of a source: a cookie that the source has set."""

    id: str
    """The same for all spellings of the cookie; it may be a secret."""
    issued: float | None = None
    """When it was given out, as unix time, if the cookie says so."""

    def __repr__(self) -> str:  # without the id
        return "<Presented credential>"


class Source(ABC):
    """Where sessions are taken over from, until a date.

    `cookie_name` is the cookie that has been used so far, by default that of this app.
    `secret_keys` are those that signed it, oldest first, by default those of the app.
    `lifetime` is how long a cookie of the source could be used, a timedelta or seconds,
    by default ``PERMANENT_SESSION_LIFETIME``. From `until` on, a date (its beginning in
    UTC) or an aware datetime, the source is not asked any more.
    """

    name: str
    """Its name in the commands, and a part of the names of its credentials."""

    def __init__(
        self,
        *,
        cookie_name: str | None = None,
        secret_keys: Sequence[str | bytes] | None = None,
        lifetime: timedelta | float | None = None,
        until: date | datetime | None = None,
    ) -> None:
        self.cookie_name = cookie_name
        self.secret_keys = values.secrets("secret_keys", secret_keys)
        self.lifetime = None
        if lifetime is not None:
            self.lifetime = timedelta(seconds=values.lifetime("lifetime", lifetime))
        self.until = _moment(until)

    @abstractmethod
    def recognize(
        self, cookie: str, secret_keys: Sequence[str | bytes]
    ) -> Presented | None:
        """Return the credential that the cookie is, by its form and signature alone;
        None for any other cookie."""

    @abstractmethod
    def read(self, session_id: str) -> Former | None:
        """Return the former session; None if there is none, or not any more. Raises
        :class:`Refused`; every other error is an outage."""

    @abstractmethod
    def delete(self, session_id: str) -> None:
        """Delete the former session, if there is one."""

    def all(self) -> Iterator[Presented]:
        """Yield the credentials of all sessions there; ConfigurationError where nobody
        knows them."""
        raise ConfigurationError(
            f"The sessions of {self.name} cannot be listed: they are taken over one by"
            " one, when their cookies come."
        )

    def is_over(self, now: float) -> bool:
        """Return whether the source is not asked any more."""
        return self.until is not None and now >= self.until.timestamp()


def _moment(until: date | datetime | None) -> datetime | None:
    if until is None:
        return None
    if isinstance(until, datetime):
        if until.tzinfo is None:
            raise ConfigurationError(
                f"until={until!r} has no time zone: say which, as"
                " datetime(2027, 1, 31, tzinfo=timezone.utc), or give a date."
            )
        return until
    if isinstance(until, date):
        return datetime.combine(until, time(), timezone.utc)
    raise ConfigurationError(
        f"until={until!r} is a {type(until).__name__}, but must be a date or an aware"
        " datetime."
    )


def decoded(data: object, kinds: Sequence[str] = ("msgpack", "json")) -> dict[str, Any]:
    """Return the session in a record; :class:`Refused` for anything else. No code in
    the record is run: pickled ones are refused."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    if isinstance(data, (bytearray, memoryview)):
        data = bytes(data)
    if not isinstance(data, bytes):
        raise Refused("the record is not bytes", f"a {type(data).__name__}")
    if len(data) > MAX_RECORD:
        raise Refused("the record is too large")
    is_json = data[:1] in (b"{", b" ", b"\n")  # MessagePack's maps begin otherwise
    if ("json" if is_json else "msgpack") not in kinds or _is_pickled(data):
        raise Refused(_UNSAFE if _is_pickled(data) else "the record has another format")
    try:
        found = json.loads(data) if is_json else _unpacked(data)
    except (ValueError, RecursionError, OverflowError, TypeError) as error:
        raise Refused("the record cannot be decoded") from error
    return as_session(found)


def as_session(found: object) -> dict[str, Any]:
    """Return `found` if it is a session: a dict with text as its keys."""
    if not isinstance(found, dict) or not all(type(key) is str for key in found):
        raise Refused("the record is no session: no dict with str as keys")
    return found


_UNSAFE = (
    "the record is pickled: to read it would run whatever code somebody has put there"
)


def _unpacked(data: bytes) -> object:
    return msgpack.unpackb(data, timestamp=3, strict_map_key=False)


def _is_pickled(data: bytes) -> bool:
    """Return whether it begins as pickles do, from protocol 2 on; in older ones a dict
    begins with ``(d``, or with ``}q``."""
    binary = data[:1] == b"\x80" and data[1:2] in b"\x02\x03\x04\x05"
    return data[-1:] == b"." and (binary or data[:2] in (b"(d", b"}q", b"(l", b"]q"))
