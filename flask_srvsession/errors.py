"""Everything that this package raises on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.exceptions import Conflict, HTTPException, ServiceUnavailable

if TYPE_CHECKING:
    from werkzeug.sansio.response import Response


class SessionError(Exception):
    """The root of all errors of this package."""


class ConfigurationError(SessionError, ValueError):
    """The configuration cannot work; the message names key and remedy, and the value
    unless that may hold a password."""


class BackendError(SessionError, ServiceUnavailable):
    """The storage could not be reached, or refused: an outage, not a logout.

    An HTTP 503, so that a view that does not catch it answers with the app's own
    error page. The client's error is its ``__cause__``.
    """

    code: int = 503
    description: str = "The session storage cannot be reached. Please try again."

    def __init__(
        self, operation: str, *, ambiguous: bool = False, quick: bool = False
    ) -> None:
        super().__init__()
        self.operation = operation
        """The operation that failed: "load", "create", "save", "regenerate", "destroy";
        for the indexes "epoch", "bind", "unbind", "find", "revoke"; "sweep"; "take
        over"; or, as the cause of a :class:`NotReplicated`, "replicate"."""
        self.ambiguous = ambiguous
        """Whether the storage may have done it all the same."""
        self.quick = quick
        """Whether it failed at once, that is, without waiting for a timeout."""

    def __str__(self) -> str:
        known = "it may have been done" if self.ambiguous else "it was not done"
        return f"The session storage failed at {self.operation!r}; {known}."


class NotReplicated(SessionError, ServiceUnavailable):
    """The sessions are ended, but too few replicas are known to have that.

    An HTTP 503. If the primary fails now, a replica that takes over may bring the
    session back. The caller may ask again, as long as the request lasts; the
    response has deleted the cookie, so a new request has nothing to wait for.
    """

    description: str = "That is ended, but a failure of the storage might undo it."

    def __init__(self, wanted: int, confirmed: int) -> None:
        super().__init__()
        self.wanted = wanted
        """How many replicas were asked for."""
        self.confirmed = confirmed
        """How many have it for sure."""

    def __str__(self) -> str:
        return (
            f"The session is ended on the primary, but only {self.confirmed} of "
            f"{self.wanted} replicas have confirmed it in time."
        )


class DeviceNotProven(SessionError, HTTPException):
    """The session is bound to a device, and this request does not show that it is the
    one; or ``session.prove_device()`` asks it to.

    Carries its own response, which error handlers of the app do not see: a page that
    loads again, a redirect, or a 401 for programs. Nothing of the session was served.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(response=response)

    def __str__(self) -> str:
        return "The device of this session was not proven."


class SessionRefused(SessionError, Conflict):
    """A login or rotation was refused. HTTP 409.

    The stored session is as it was before; the changes of the request are discarded.
    """


class StaleLogin(SessionRefused):
    """All sessions of this user were ended while the login was under way.

    The credentials were checked before that: ask for them again.
    """

    description: str = "Your sessions were signed out meanwhile. Please sign in again."


class StaleCredential(SessionRefused):
    """``rotate()`` was called with a cookie that has a successor already.

    A client with the outdated cookie of a moment ago may use the session for the
    rest of its grace, but gets no new one.
    """

    description: str = "Your session has just been renewed. Please try again."


class TooManySessions(SessionRefused):
    """The limit ``SRVSESSION_MAX_PER_KEY`` is reached and the policy is "reject"."""

    description: str = "You are signed in too often. Please sign out elsewhere first."


class SessionTooLarge(SessionError, ValueError):
    """The session is larger than ``SRVSESSION_MAX_PAYLOAD``, or than the storage
    takes; it was not saved.

    The stored session is as it was. Keep large data in a database and its key in
    the session, or raise the limit.
    """

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"The session has {size} bytes, but at most {limit} are allowed: store "
            "less in it, or raise the limit (SRVSESSION_MAX_PAYLOAD, or the storage's)."
        )
        self.size = size
        """Bytes of all keys and encoded values together."""
        self.limit = limit
        """Bytes that configuration and storage allow."""
