"""How a session is taken over: by a claim on its old credential. No Flask.

The order is proven in tests/concurrency/models/take_over.pml:

1. read the source, and then the claim: whoever finds the source empty finds the claim
   that emptied it;
2. no claim: add a session of the values read, which nobody knows and no list has, and
   then the claim, on the condition that there is none. Of several requests one adds it;
   the others withdraw their session and go on with that one's;
3. list the session (whoever comes first does it), and only then delete the old record.

The token of the session's first generation is derived from the old credential: that is
how it goes on to work, is outdated once the client has presented its successor, and
ends with the session. The claim outlives them all. A crash leaves the old record
without a claim, or the claim; both lead to a session.
"""

from __future__ import annotations

import hashlib
import hmac
import logging

from .. import ids
from ..errors import BackendError, SessionTooLarge, StaleLogin, TooManySessions
from ..ids import Credential, Mac
from ..serializers import encode
from ..store import SessionStore
from ..store.record import DUE, PERMANENT, PRESENTED, begun
from ..store.records import MAX_ATTEMPTS, Found, Live
from ..store.regeneration import relist
from .source import Former, Refused, Source

log = logging.getLogger("flask_srvsession")

_SEAL = 16


class Claims:
    """Which session each old credential went over to, in the storage of `store`."""

    def __init__(self, store: SessionStore, secret_keys: list[str | bytes]) -> None:
        self._store = store
        prefix = store.settings.key_prefix
        self._prefix = f"{prefix}claim:"
        label, newest_first = f"flask_srvsession.claim.v1:{prefix}", secret_keys[::-1]
        self._macs = [ids.derived(key, label, _SEAL) for key in newest_first]
        self._names = [ids.derived(key, f"{label}:name", 16) for key in secret_keys]

    def take_over(
        self, source: Source, old_id: str, ttl: int
    ) -> tuple[Credential | None, bool]:
        """Return the credential that the old one is worth here, or None, and whether
        this call has taken the session over.

        Raises :class:`Refused` if there is something that is not taken over, and
        BackendError in an outage, of the source as well; then it may be done again.
        With the credential, the session is complete: its old record is gone, and the
        claim answers for it, for `ttl` seconds.
        """
        former = self._former(source, old_id)
        key = self._key(source, old_id)
        claimed, is_new = self._standing(key, None, ttl), False
        if claimed is None:
            if isinstance(former, Refused):
                raise former
            if former is None:
                return None, False
            fresh = self._begin(key, old_id, former)
            own = self._seal(key, fresh.id)
            claimed = self._standing(key, own, ttl) or own
            is_new = claimed == own
            if not is_new:
                self._store.withdraw(fresh)
        credential = self._credential(key, claimed, old_id)
        if credential:
            self._complete(credential.id)
            if is_new:
                self._store.marker.note()
        if former:
            self._delete(source, old_id)
        return credential, is_new

    def _former(self, source: Source, old_id: str) -> Former | Refused | None:
        try:
            return source.read(old_id)
        except Refused as refusal:
            return refusal
        except Exception as error:  # a client has errors of its own, and many
            failure = type(error).__name__
        log.error("%s failed: %s", source.name, failure)
        raise BackendError("take over")  # without its cause, whose text may name the id

    def _standing(self, key: str, claim: bytes | None, ttl: int) -> bytes | None:
        """Return the claim that stands, None if there is none; `claim` is added then.

        It has a name under each secret key, so that apps with others have claims of
        their own. Claims are added in the order of the names, and the last one counts:
        so processes that know the next key already, or not yet, find the same one.
        """
        backend = self._store.backend
        names = sorted(mac(key.encode()).hex() for mac in self._names)
        for name in (self._prefix + name for name in names):
            if claim and backend.add(name, claim, ttl) is not None:
                continue
            if found := backend.get(name):
                claim = found.data
            elif claim:
                raise BackendError("take over")  # its time is over, or it was lost
        return claim

    def _begin(self, key: str, old_id: str, former: Former) -> Live:
        """Add the session, which is neither listed nor known to anybody."""
        store = self._store
        try:
            values = {
                k: encode(store.serializer, k, v) for k, v in former.values.items()
            }
            [*store.lists.fed(values)]
            store.records.check_size(values)
        except (TypeError, SessionTooLarge) as error:
            raise Refused("it holds what cannot be stored", str(error)) from error
        now = store.clock()
        born = now if former.born is None else min(former.born, now)
        session_id = ids.new_id(born)
        if not store.is_plausible(session_id):
            raise Refused("it is older than SRVSESSION_ABSOLUTE_LIFETIME")
        token = self._token(self._macs[0], key, old_id, session_id)
        record = begun(
            token,
            int(now),
            flags=PRESENTED | DUE | (PERMANENT if former.permanent else 0),
            places={},
            indexing=b"",  # it is completed by its next save
            replaces=None,
            meta=None,
            values=values,
            era=store.marker.era,
        )
        version = store.records.add(session_id, record)
        if version is None:
            raise BackendError("create")
        return Live(session_id, record, version, now)

    def _complete(self, session_id: str) -> None:
        """List the session, if nobody has done so yet. A revocation that comes in
        between ends it."""
        store = self._store
        live: Found = store.records.live(session_id)
        for _ in range(MAX_ATTEMPTS):
            if not isinstance(live, Live) or live.record.indexing:
                return
            try:
                found = relist(store, live, live.record.values, {}, rename=True)
            except StaleLogin:
                store.destroy(session_id, live)
                return
            except TooManySessions:
                raise Refused(
                    "the user has too many (SRVSESSION_MAX_PER_KEY)"
                ) from None
            live = found
        raise BackendError("take over")

    def _delete(self, source: Source, old_id: str) -> None:
        """Delete the old record, for which the claim answers by now."""
        try:
            source.delete(old_id)
        except Exception as error:
            why = type(error).__name__
            log.warning("%s: an old record was not deleted: %s", source.name, why)

    # -- the claim -----------------------------------------------------------------

    def _key(self, source: Source, old_id: str) -> str:
        """Return a digest for the old credential, since that may be a secret. It
        depends on no key of the app: those change."""
        text = f"{source.name}:{old_id}".encode("utf-8", "surrogatepass")
        return self._prefix + hashlib.sha256(text).hexdigest()[:32]

    def _seal(self, key: str, session_id: str) -> bytes:
        body = session_id.encode("ascii")
        return self._macs[0](b"claim:%b:" % key.encode(), body) + body

    def _credential(self, key: str, claimed: bytes, old_id: str) -> Credential | None:
        """Return the credential that a claim stands for; None for one that no key of
        ours has sealed: it has ended for us."""
        seal, body = claimed[:_SEAL], claimed[_SEAL:]
        for mac in self._macs:
            own = mac(b"claim:%b:" % key.encode(), body)
            session_id = body.decode("ascii", "replace")
            if hmac.compare_digest(own, seal) and ids.is_id(session_id):
                token = self._token(mac, key, old_id, session_id)
                return Credential(session_id, 1, token)
        log.warning("a claim is ignored: its seal does not fit")
        return None

    def _token(self, mac: Mac, key: str, old_id: str, session_id: str) -> str:
        secret = old_id.encode("utf-8", "surrogatepass")
        sessions = b"token:%b%b:" % (key.encode(), session_id.encode())
        return mac(sessions, secret).hex()
