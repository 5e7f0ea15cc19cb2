"""The events of sessions as Blinker signals.

Each is sent with the app as sender and ``info``, a :class:`SessionInfo`, *after* the
storage has done it: a receiver that raises can neither prevent nor undo a logout. Only
``session_changes_dropped`` may have None as ``info``: where the session had moved.
``storage_called`` is sent at each call of the storage, a second try too.
"""

from __future__ import annotations

from blinker import NamedSignal, Namespace

_signals = Namespace()

session_created: NamedSignal = _signals.signal("session-created")
"""A session was stored for the first time."""

session_rotated: NamedSignal = _signals.signal("session-rotated")
"""A session got a new id, that of ``info``: by a login or logout, by ``rotate()``, or
by ``clear()`` and new content."""

session_destroyed: NamedSignal = _signals.signal("session-destroyed")
"""A session ended itself: ``destroy()``, or it was emptied."""

session_revoked: NamedSignal = _signals.signal("session-revoked")
"""A session was ended from outside."""

everything_revoked: NamedSignal = _signals.signal("everything-revoked")
"""All sessions were ended at once. ``end`` says by whom and why. No ``info``."""

session_replayed: NamedSignal = _signals.signal("session-replayed")
"""An outdated cookie was used: somebody had copied it."""

session_bound: NamedSignal = _signals.signal("session-bound")
"""A device was registered for a session."""

binding_failed: NamedSignal = _signals.signal("binding-failed")
"""A bound session was used, or a proof made, by somebody who is not its device; or a
registration was refused, or did not come in time. ``reason``: cookie, proof or
registration."""

session_changes_dropped: NamedSignal = _signals.signal("session-changes-dropped")
"""A request changed a session that was ended meanwhile, or got a value that cannot be
decoded; its changes are lost."""

session_refused: NamedSignal = _signals.signal("session-refused")
"""A login or a rotation was refused: ``error`` is the :class:`SessionRefused`. No
``info``."""

storage_called: NamedSignal = _signals.signal("storage-called")
"""The storage was called: ``operation`` is that of a :class:`BackendError`, ``seconds``
is how long it took. ``outcome`` is done, conflict (a save came too late and is made
anew), refused (a login of an epoch that has ended) or the name of an exception:
``StorageHangs`` where it was not even asked. No ``info``."""
