"""What a presented token means, and how one token follows another: pure functions.

The tokens of a session form a chain: each is derived from the one before it and a key
that only the record knows. So parallel requests are handed the same successor, no
token is stored, and an outdated one can be proven to be an ancestor.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import math

from .ids import Credential, token_hash
from .record import Record

FRESH = 1
"""Seconds for which what was read may be handed on in a cookie."""


class Standing(enum.Enum):
    """What a presented credential is to the record it names."""

    CURRENT = "current"
    SUCCESSOR = "successor"  # handed out, presented for the first time
    GRACE = "grace"  # the one before the current one, still in flight
    REPLAYED = "replayed"  # an outdated one: somebody copied it
    LATE = "late"  # outdated while this very request was under way
    AHEAD = "ahead"  # newer than the record: the storage lost writes
    FORGED = "forged"  # signed, but never a token of this session

    @property
    def admitted(self) -> bool:
        """Whether the session is served to it."""
        return self in (Standing.CURRENT, Standing.SUCCESSOR, Standing.GRACE)


def judge(
    record: Record, credential: Credential, *, opened: float, grace: int
) -> Standing:
    """Return what `credential` is, presented by a request that was `opened` then."""
    ahead = credential.generation - record.generation
    if ahead > 1 or (ahead == 1 and record.pending is None):
        return Standing.AHEAD
    if ahead == 1:
        fits = hmac.compare_digest(token_hash(credential.token), record.pending or b"")
        return Standing.SUCCESSOR if fits else Standing.FORGED
    if not _leads_to_current(record, credential):
        return Standing.FORGED
    if ahead == 0:
        return Standing.CURRENT
    if ahead == -1 and opened < record.since + grace:
        return Standing.GRACE
    return Standing.LATE if int(opened) <= record.since else Standing.REPLAYED


def has_successor(record: Record, credential: Credential) -> bool:
    """Return whether the client of `credential` is to be given its successor."""
    return record.pending is not None and credential.generation == record.generation


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
    enough gets a successor, unless its predecessor is still in its grace: otherwise a
    request in flight could fall out of it.
    """
    if credential.generation == record.generation + 1 and record.pending:
        return record._replace(
            generation=credential.generation,
            token_hash=record.pending,
            pending=None,
            since=math.ceil(now),  # a grace is never shorter than it should be
        )
    if credential.generation == record.generation and is_due(
        record, now=now, every=every, grace=grace
    ):
        following = successor(record, credential)
        return record._replace(pending=token_hash(following.token), due=False)
    return record


def is_due(record: Record, *, now: float, every: int | None, grace: int) -> bool:
    """Return whether the current token is to get a successor now."""
    if every is None or record.pending is not None:
        return False
    age = now - record.since
    in_grace = record.generation > 1 and age < grace + FRESH
    return age >= every or (record.due and not in_grace)


def _leads_to_current(record: Record, credential: Credential) -> bool:
    for _ in range(record.generation - credential.generation):
        credential = successor(record, credential)
    return hmac.compare_digest(token_hash(credential.token), record.token_hash)
