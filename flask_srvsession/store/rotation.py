"""The verdict on a presented token, and how tokens follow each other: pure functions.

The grace is the time for which the token before the current one is still served:
:func:`judge` compares, :func:`due_at` lets no token be replaced within it, nor do the
settings. ``SessionStore.load`` extends it for a request that was admitted before, and
``arrival`` raises no alarm for a request whose body took longer.

The tokens of a session form a chain: each is derived from the one before it and a key
that only the record knows. So parallel requests are handed the same successor, no
token is stored, and an outdated one can be proven to be an ancestor.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import math

from ..ids import Credential, token_hash
from .record import DUE, Record

FRESH = 1
"""Seconds for which a record that was read may be handed on in a cookie."""

FURTHEST = 1000
"""Generations over which a token is proven to be an ancestor: each costs two hashes,
and an old cookie can be presented again and again."""


class Verdict(enum.Enum):
    """The relation of a presented credential to the record that it names."""

    CURRENT = "current"
    SUCCESSOR = "successor"  # handed out, presented for the first time
    GRACE = "grace"  # the one before the current one, still in flight
    REPLAYED = "replayed"  # an outdated one: a copy, or a request that took long
    LATE = "late"  # outdated while this very request was under way
    ANCIENT = "too old to be judged"  # more than FURTHEST generations behind
    AHEAD = "ahead"  # newer than the record: the storage lost writes
    FORGED = "forged"  # signed, but never a token of this session


ADMITTED = frozenset({Verdict.CURRENT, Verdict.SUCCESSOR, Verdict.GRACE})
"""The session is served to these."""

OWN = ADMITTED - {Verdict.GRACE}
"""The content is theirs; a token in its grace may be a copy."""


def judge(
    record: Record, credential: Credential, *, opened: float, grace: int
) -> Verdict:
    """Return the verdict on `credential`, which a request that was `opened` then
    sent."""
    ahead = credential.generation - record.generation
    if ahead == 0:
        fits = hmac.compare_digest(token_hash(credential.token), record.token_hash)
        return Verdict.CURRENT if fits else Verdict.FORGED
    if ahead == 1 and record.pending is not None:
        fits = hmac.compare_digest(token_hash(credential.token), record.pending)
        return Verdict.SUCCESSOR if fits else Verdict.FORGED
    if ahead > 0:
        return Verdict.AHEAD
    if ahead < -FURTHEST:
        return Verdict.ANCIENT
    if not _leads_to_current(record, credential):
        return Verdict.FORGED
    if ahead == -1 and opened < record.since + grace:
        return Verdict.GRACE
    return Verdict.LATE if int(opened) <= record.since else Verdict.REPLAYED


def successor(record: Record, credential: Credential) -> Credential:
    """Return the one credential that follows `credential`."""
    message = f"{credential.generation}.{credential.token}".encode("ascii")
    token = hmac.digest(record.chain, message, hashlib.sha256)[:16].hex()
    return Credential(credential.id, credential.generation + 1, token)


def advance(
    record: Record, credential: Credential, *, now: float, every: int | None, grace: int
) -> Record:
    """Return `record` as it is to be stored after `credential` was admitted.

    A successor that is presented becomes the current token. A current one that is old
    enough (:func:`due_at`) gets a successor.
    """
    if credential.generation == record.generation + 1 and record.pending:
        return record._replace(
            generation=credential.generation,
            token_hash=record.pending,
            pending=None,
            since=math.ceil(now),  # a grace is never shorter than it should be
        )
    due = now >= due_at(record, every=every, grace=grace)
    if due and credential.generation == record.generation:
        pending = token_hash(successor(record, credential).token)
        return record._replace(pending=pending, flags=record.flags & ~DUE)
    return record


def due_at(record: Record, *, every: int | None, grace: int) -> float:
    """Return when the current token is to get a successor, as unix time."""
    if every is None or record.pending is not None:
        return math.inf
    if record.flags & DUE:  # at once, but not while its predecessor is in its grace
        return record.since + (grace + FRESH if record.generation > 1 else 0)
    return record.since + every


def _leads_to_current(record: Record, credential: Credential) -> bool:
    for _ in range(record.generation - credential.generation):
        credential = successor(record, credential)
    return hmac.compare_digest(token_hash(credential.token), record.token_hash)
