"""Where sessions are listed: the indexes, seen from the sessions' side."""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from .. import ids
from ..backends.base import Cell, Epoch, Head
from ..backends.guarded import Guarded
from ..config import Settings
from ..errors import BackendError, StaleLogin
from ..login_keys import is_nobody, name_of
from ..serializers import Serializer, decode
from .record import Places, Record
from .records import Line, Live

log = logging.getLogger("flask_srvsession")

MOST_SEEN = 4096
"""Sessions whose lists are remembered, so that a load asks for their heads at once."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A value of an index, such as ``user_id=42``, and the names of its lists.

    There is one name for each of the app's secret keys, that of the newest one first:
    digests that only the app can compute. So apps with other keys share nothing, and a
    dump of the storage cannot be searched for a user's id.
    """

    index: str
    value: str = field(repr=False)  # may name a person
    names: tuple[bytes, ...] = field(repr=False)

    def lists(self, record: Record) -> bool:
        """Return whether the session of `record` is listed under it."""
        return any(name in record.places for name in self.names)


class Entry(NamedTuple):
    """How a session is listed under the `name` of a list.

    `epoch` is the one that it was listed in. The random `mark` is handed on to the
    session that it is regenerated to: both take one seat, where seats are
    limited. A session that is listed again gets another, so that a removal of its
    former entry does not remove the new one.
    """

    name: bytes
    session_id: str
    epoch: Epoch
    mark: str

    @property
    def member(self) -> str:
        """The entry as the storage lists it: without its epoch, which the list has."""
        return f"{ids.pack(self.session_id)}.{self.mark}"

    @classmethod
    def of_member(cls, name: bytes, member: str) -> Entry:
        """Return the entry that is listed as `member`; ValueError if none is."""
        packed, _, mark = member.partition(".")
        return cls(name, ids.unpack(packed), "", mark)

    def shares_seat(self, other: Entry) -> bool:
        """Return whether both take one seat: the session was regenerated, or was
        listed anew."""
        return self.mark == other.mark or self.session_id == other.session_id


class Lists:
    """Translates between the values of a session and the indexes of a backend."""

    def __init__(
        self,
        backend: Guarded,
        serializer: Serializer,
        settings: Settings,
        secret_keys: Sequence[str | bytes],
    ) -> None:
        self._backend = backend
        self._index = backend.backend.index
        self._with_heads: Any = getattr(backend.backend, "get_with_heads", None)
        self.seen: dict[str, tuple[bytes, ...]] = {}
        """The names of the lists that each session was in when it was loaded last."""
        self._serializer = serializer
        self._indexes = {
            index: keys if isinstance(keys, Mapping) else dict.fromkeys(keys)
            for index, keys in settings.indexes.items()
        }
        self._fenced_load = settings.fenced_load
        self._prefix = f"{settings.key_prefix}index:"
        label = f"flask_srvsession.index.v1:{settings.key_prefix}"
        self._macs = [ids.derived(key, label) for key in reversed(secret_keys)]
        spelled = [  # as all processes of the app spell it
            (name, [(k, getattr(f, "__qualname__", "")) for k, f in keys.items()])
            for name, keys in self._indexes.items()
        ]
        present = repr(sorted(spelled)).encode()
        self.indexing = self._macs[0](b"indexing:", present)[:4]
        """Of a record whose places follow the present configuration and newest key."""

    def binding(self, index: str, value: str) -> Binding:
        """Return the binding of an index value."""
        text = f"{len(index)}:{index}:{value}".encode("utf-8", "surrogatepass")
        return Binding(index, value, tuple([mac(text)[:16] for mac in self._macs]))

    def parse(self, given: Mapping[str, Any], *, typed: bool = False) -> Binding:
        """Return the binding of the one index that is `given` as a keyword.

        Raises TypeError for none, several or an unknown one, and for an empty value
        that nobody has `typed`: to find nothing quietly would leave sessions alive
        that somebody wanted to end.
        """
        known = f"SRVSESSION_INDEXES has {sorted(self._indexes)}"
        for index in given:
            if index not in self._indexes:
                raise TypeError(f"{index!r} is no index; {known}.")
        if len(given) != 1:
            raise TypeError(f"Give exactly one index as a keyword; {known}.")
        [(index, value)] = given.items()
        if typed and value == "":
            return self.binding(index, "")
        name = None if isinstance(value, Mapping) else name_of(value)
        if name is None:
            raise _cannot_feed(index, value)
        return self.binding(index, name)

    def fed(self, values: Mapping[str, bytes]) -> Iterator[Binding]:
        """Yield the bindings of a session that holds `values`."""
        for index, keys in self._indexes.items():
            held: dict[str, Any] = {}
            for key in keys:
                if key in values:
                    held[key] = decode(self._serializer, key, values[key])
            value = self.named(index, held)
            if value is not None:
                yield self.binding(index, value)

    def named(self, index: str, held: Mapping[str, Any]) -> str | None:
        """Return the value of an index for a session that holds this: that of the
        first of its keys that names something. TypeError if the very first key has a
        value that cannot."""
        for number, (key, feed) in enumerate(self._indexes[index].items()):
            value = held.get(key)
            if value is None:
                continue
            value = feed(value) if feed else value
            if (name := name_of(value)) is not None:
                return name
            if (number == 0 or feed) and not is_nobody(value):
                raise _cannot_feed(f"session[{key!r}]", value)
        return None

    def places(
        self,
        values: Mapping[str, bytes],
        carried: Places,
        epochs: Mapping[bytes, Epoch],
        mark: str,
        *,
        rename: bool,
    ) -> tuple[dict[bytes, Sequence[str]], bytes]:
        """Return where a session of `values` belongs, and the `indexing` of its record.

        A place that is `carried` over keeps the epoch of the record: a revocation that
        ended that epoch meant this session, too. Only a new one begins in the present,
        or in the epoch of `epochs`, and with `mark`. With `rename`, a place under the
        name of an older key is given up for one under the newest: right only where the
        session keeps its id, since a revocation under way may know the older one alone.
        """
        places: dict[bytes, Sequence[str]] = {}
        indexing = self.indexing
        for binding in self.fed(values):
            name = newest = binding.names[0]
            for known in binding.names:
                if known in carried and name not in carried:
                    name = known
            epoch, own = carried.get(name, (None, mark))
            if name != newest:
                present = self._renamed(name, epoch, newest) if rename else None
                if present:
                    name, epoch = newest, present
                else:
                    indexing = b""  # to be renamed by the next save
            epoch = epochs.get(name, epoch)
            places[name] = (self._epoch(name) if epoch is None else epoch, own)
        return places, indexing

    def epoch(self, binding: Binding) -> Epoch:
        """Return the present of `binding`."""
        return self._epoch(binding.names[0])

    def add(self, entry: Entry, ttl: int) -> None:
        """List the session for `ttl` seconds; StaleLogin if its epoch has ended."""
        add, name = self._index.add, self.name(entry.name)
        if not self._backend.twice("bind", add, name, entry.member, entry.epoch, ttl):
            raise StaleLogin

    def fence(
        self,
        binding: Binding,
        keep: Live | None = None,
        before: Mapping[bytes, Epoch] | None = None,
    ) -> tuple[dict[bytes, Epoch], bool]:
        """Begin a new epoch under each name; the session `keep` may go over to it.

        Returns the epochs, and whether it may: it was in those that ended, or in the
        caller's own earlier ones, `before`. Otherwise an end of all before this one
        meant it, too.

        The newest name comes last: what :meth:`places` renames meanwhile is listed
        there under the epoch before.
        """
        epochs, may_stay = dict[bytes, Epoch](), True
        for name in reversed(binding.names):
            kept = list[str]()
            if keep and name in keep.record.places:
                entry = Entry(name, keep.id, *keep.record.places[name])
                belongs = partial(_belongs, entry, (before or {}).get(name))
                # Asked before, too: a crash after the fence must leave nobody kept.
                may_stay = may_stay and belongs(self.head(name))
                kept = [entry.member] if may_stay else []
            epochs[name], former = self._backend.twice(
                "revoke", self._index.fence, self.name(name), kept
            )
            may_stay = may_stay and (not kept or belongs(former))
        return epochs, may_stay

    def oldest(self, binding: Binding, most: int) -> tuple[list[Entry], bool]:
        """Return the first entries, at most so many, and whether there are no more.
        Those of the dead are among them; they are in the order in which they were
        listed, those under older keys' names first."""
        entries, left = list[Entry](), most
        for name in reversed(binding.names):
            members = self._members(name, left)
            entries += _entries(name, members)
            left -= len(members)
            if not left:
                return entries, False
        return entries, True

    def pages(
        self, binding: Binding, size: int, after: Entry | None = None
    ) -> Iterator[list[Entry]]:
        """Yield all entries, so many at once, in the same order; those that follow the
        one called `after`.

        The caller may unlist those of a page. Where somebody else unlists the one that
        the next page follows, the list is read from its front again: so an entry may
        come twice.
        """
        names = [*reversed(binding.names)]
        start, last = (after.name, after.member) if after else (names[0], None)
        for name in names[names.index(start) :]:
            page = self._members(name, size, last)
            while page:
                full = len(page) == size
                more = self._members(name, size, page[-1]) if full else []
                yield [*_entries(name, page)]
                page = more
            last = None

    def count(self, binding: Binding) -> int:
        """Return how many entries there are, those of the dead among them."""
        count, names = self._index.count, map(self.name, binding.names)
        return sum(self._backend.twice("find", count, name) for name in names)

    def _members(self, name: bytes, most: int, after: str | None = None) -> list[str]:
        members, name_ = self._index.members, self.name(name)
        found = self._backend.twice("find", members, name_, most, after)
        return self._members(name, most) if found is None else found

    def unlist(self, entries: Iterable[Entry]) -> None:
        """Take these entries off their lists; those that are not there are no error."""
        leaving: dict[bytes, list[str]] = {}
        for entry in entries:
            leaving.setdefault(entry.name, []).append(entry.member)
        for name, members in leaving.items():
            self._backend.twice("unbind", self._index.remove, self.name(name), members)

    def forget(
        self, sessions: Mapping[str, Places], but: Collection[bytes] = ()
    ) -> None:
        """Unlist sessions everywhere `but` under these names. Their records say so
        already, and a reader of a list finds that out: so a failure here is no failure
        of the logout."""
        leaving: dict[bytes, list[Entry]] = {}
        for session_id, places in sessions.items():
            for name in places.keys() - but:
                entry = Entry(name, session_id, *places[name])
                leaving.setdefault(name, []).append(entry)
        for entries in leaving.values():
            try:
                self.unlist(entries)
            except BackendError as error:
                whose = ", ".join(entry.session_id for entry in entries)
                log.warning("session %s is still listed: %s", whose, error)
                if not error.quick:
                    return  # a client waits for one timeout, not for several

    def is_fenced(self) -> bool:
        """Return whether a load has to ask the index, too (*fenced load*).

        It has where the storage may lose an index on its own: otherwise a session would
        live on that ``revoke_all`` does not find.
        """
        given = self._fenced_load
        return self._backend.backend.evicts if given is None else given

    def read(
        self, session_id: str, key: str
    ) -> tuple[Cell | None, dict[bytes, Head | None]]:
        """Return the cell under `key`, and the heads of the lists that its session was
        :attr:`seen` in: in one round trip, where the storage can."""
        names = {name: self.name(name) for name in self.seen.get(session_id, ())}
        spelled = [*names.values()]
        cell, heads = self._backend.twice("load", self._with_heads, key, spelled)
        return cell, {name: heads.get(text) for name, text in names.items()}

    def admits(
        self, session_id: str, places: Places, heads: Mapping[bytes, Head | None]
    ) -> bool:
        """Return whether a fenced load, which has read `heads`, admits the session.

        Others may have changed its lists since it was seen: a head that is not among
        them is asked for.
        """
        if self._with_heads:
            if len(self.seen) >= MOST_SEEN:
                self.seen.clear()
            self.seen[session_id] = tuple(places)
        present = {n: heads[n] if n in heads else self.head(n) for n in places}
        return admits(session_id, places, present)

    def admitted(self, sessions: Mapping[str, Places]) -> set[str]:
        """Return the ids of those that a fenced load admits, asking each list once."""
        if not any(sessions.values()) or not self.is_fenced():
            return set(sessions)
        names = {name for places in sessions.values() for name in places}
        heads = {name: self.head(name) for name in names}
        return {i for i, places in sessions.items() if admits(i, places, heads)}

    def kept(self, session_id: str, places: Places) -> dict[bytes, Epoch]:
        """Return the present of each place if the session was kept when the epochs that
        it knows ended; else nothing.

        A revocation that ends the present one after this finds the session listed.
        """
        heads = {name: self.head(name) for name in places}
        if not admits(session_id, places, heads):
            return {}
        return {name: head.epoch for name, head in heads.items() if head}

    def head(self, name: bytes) -> Head | None:
        """Return the head of the list of this name; None if there is none."""
        return self._backend.twice("load", self._index.head, self.name(name))

    def name(self, name: bytes) -> str:
        """Return the name of a list as the storage has it."""
        return self._prefix + name.hex()

    def _renamed(self, name: bytes, epoch: Epoch | None, newest: bytes) -> Epoch | None:
        """Return the epoch in which a place gets the `newest` name; None if the one
        that it has had under `name` is over. A fence of both ends this one last."""
        present, head = self._epoch(newest), self.head(name)
        return present if head and head.epoch == epoch else None

    def _epoch(self, name: bytes) -> Epoch:
        return self._backend.twice("epoch", self._index.epoch, self.name(name))


def admits(session_id: str, places: Places, heads: Mapping[bytes, Head | None]) -> bool:
    """Return whether each place still has the epoch that the session knows, or kept the
    session when that ended. A head that is not there was lost."""
    for name, place in places.items():
        head, entry = heads.get(name), Entry(name, session_id, *place)
        if not head or (head.epoch != entry.epoch and entry.member not in head.kept):
            return False
    return True


def _belongs(entry: Entry, own: Epoch | None, head: Head | None) -> bool:
    """Return whether no end of all before this one, but `own`, was to end the session
    of an entry: it has the present epoch, or was kept, itself or what it was before."""
    if head is None or head.epoch in (own, entry.epoch):
        return True
    return any(kept.shares_seat(entry) for kept in _entries(entry.name, head.kept))


def is_elsewhere(binding: Binding, line: Line) -> bool:
    """Whether a session was regenerated to one that lives, but is not listed under
    `binding`: its user signed out, say. A session that was not may be listed before its
    record says so."""
    return bool(line.was and line.live and not binding.lists(line.live.record))


def gained(before: Places, after: Places) -> dict[bytes, Sequence[str]]:
    """Return the places that a session is to be listed in, and was not before."""
    return {name: place for name, place in after.items() if name not in before}


def _cannot_feed(where: str, value: object) -> TypeError:
    present = "empty" if value == "" else f"a {type(value).__name__}"
    return TypeError(
        f"{where} feeds an index and must be an int, a UUID or a str that is not"
        f" empty, but is {present}."
    )


def new_mark(now: float, chance: bytes = b"") -> str:
    """Return a mark that no other session of the same index value has; the same one
    for the same four bytes of `chance`.

    It begins with the part of a second that has passed `now`, in steps of 31 us: so of
    logins within one second it is known which was first, to all who read the list.
    """
    moment = base64.b32hexencode(int(now % 1 * 2**16).to_bytes(2, "big"))[:3]
    chance = base64.urlsafe_b64encode(chance or secrets.token_bytes(4))[:5]
    return (moment + chance).decode()


def _entries(name: bytes, members: Iterable[str]) -> Iterator[Entry]:
    for member in members:
        try:
            yield Entry.of_member(name, member)
        except ValueError:
            log.warning("a member of an index is ignored: it is no session's")
