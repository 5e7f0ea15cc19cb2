"""The meaning of a session, over any backend and without Flask.

The backends know conditional changes of bytes under keys, and lists; everything that a
session means is decided here. Two rules carry the rest:

* A KEY is never used twice, only :func:`sessions.SessionStore.create` adds records, and
  every later change is conditional on the version that was read. So nothing that was
  destroyed comes back, and no update is lost.
* A session is listed in an index *before* its record says so, and unlisted *after* the
  record is deleted. So ``revoke_all`` misses no session.

Read :mod:`sessions` first: it loads, saves and ends one session. :mod:`regeneration`
gives it a new id, :mod:`revocation` ends all of a user. They stand on :mod:`records`
(sealed records under ids), :mod:`lists` (where a session is listed) and :mod:`room`
(who leaves at a limit), :mod:`rotation` (the verdict on a token) and :mod:`record`.
"""

from .sessions import SessionStore

__all__ = ["SessionStore"]
