"""The actor and the reason of the end of a session."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class End:
    """The actor and the reason, as the app names them, else the constant below."""

    actor: str | int
    reason: str

    def said(self, actor: str | int | None, reason: str | None) -> End:
        """Return this, with the actor and the reason that somebody has given."""
        return End(
            self.actor if actor is None else actor,
            self.reason if reason is None else reason,
        )


LOGOUT = End("client", "logout")
EMPTIED = End("client", "emptied")
REVOKED = End("app", "revoked")
ALL_REVOKED = End("app", "all revoked")
EVERYTHING = End("app", "everything revoked")
LIMIT = End("server", "limit")
NOT_BOUND = End("server", "not bound to a device")
REPLAY = End("server", "replay")
LOGIN_REPEATED = End("server", "login repeated")
"""A login was sent twice, and nobody has presented the session that the first began."""
SEVERAL_COOKIES = End("server", "several cookies")
"""Several live sessions were presented at once, and a login or a logout ended them."""
