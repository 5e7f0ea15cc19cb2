"""What several processes did to the same sessions, and whether that may be.

Each operation is noted with when it began and ended, by a clock that all processes
share. Each key of a session is written by one process only, with growing numbers: so
what a reader may see of it lies between what was acknowledged before it began and what
was begun before it ended, and a history of any length is checked in one pass.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

FOLLOWED = 9.0
"""Seconds for which the end of a session surely finds what it was regenerated to."""

LISTED = 11.0
"""Seconds after which a tombstone is gone that was not unlisted."""


@dataclass(slots=True)
class Operation:
    """One call of the store: what was asked, when, and what came of it.

    `outcome` is one of "ok", "gone", "moved", "late", "replayed", "stale", "error" (the
    storage failed: it may have been done) and "crash" (nobody knows).
    """

    kind: str
    start: float
    end: float
    outcome: str = "ok"
    session: str = ""
    """The session that was asked about; of a create, the one that was made."""
    user: str = ""
    """Whose the session is from then on; of find and revoke_all, who was asked for."""
    generation: int = 0
    """Of the credential that was presented."""
    reached: int = 0
    """The generation of the session as it was returned."""
    verdict: str = ""
    opened: float = 0.0
    """When it began, for a load, or else ended, by the clock of the store."""
    key: str = ""
    value: int = 0
    """What was written, and under which key."""
    used: float = 0.0
    """When the session, as it was returned, had been used last."""
    seen: Mapping[str, int] | None = None
    """The numbers in the session as they were returned."""
    epoch: str = ""
    """The epoch that the session has then, or that began then."""
    login: bool = False
    """Whether this regenerate began a new life."""
    expected: tuple[float, float] | None = None
    """When the epoch was asked for with which this login came."""
    successor: str = ""
    """What the session was regenerated to, or which session was kept."""
    found: frozenset[str] = frozenset()
    handed_out: tuple[int, str] | None = None
    """Generation and token of the cookie that left."""
    faulty: bool = False
    """Whether the storage failed in between, noticed or not."""

    @property
    def acknowledged(self) -> bool:
        return self.outcome == "ok"

    @property
    def over(self) -> float:
        """When it surely has no effect any more."""
        return math.inf if self.outcome in ("error", "crash") else self.end


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that the history breaks."""

    promise: str
    operation: Operation
    reason: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.reason}: {self.operation}"


@dataclass(slots=True)
class _Session:
    root: str
    user: str
    made: Operation
    born: Operation
    """The login, or the creation, from which its lifetime counts."""
    dead: float = math.inf
    """From when on it must be gone."""
    enders: list[Operation] = field(default_factory=list)
    """What may have ended it, done or not."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time that was configured, with what rounding does to it."""

    least: float = math.inf
    most: float = math.inf


FOR_EVER = Span()


def check(
    history: Iterable[Operation],
    *,
    grace: float,
    idle: Span = FOR_EVER,
    lifetime: Span = FOR_EVER,
) -> list[Finding]:
    """Return every promise that is broken.

    `grace` is that of the rotation, in seconds of the store; a session ends when it
    was `idle` or its `lifetime` is over, in seconds of the history.
    """
    return list(_Checker(history, grace, idle, lifetime).findings())


def summary(findings: Iterable[Finding]) -> dict[str, int]:
    """Return how often each promise was broken, by each kind of operation."""
    return dict(Counter(f"{f.promise} {f.operation.kind}" for f in findings))


class _Checker:
    def __init__(
        self, history: Iterable[Operation], grace: float, idle: Span, lifetime: Span
    ) -> None:
        self._grace, self._idle, self._lifetime = grace, idle, lifetime
        self._history = sorted(history, key=lambda op: op.start)
        self._by_kind: dict[str, list[Operation]] = defaultdict(list)
        for op in self._history:
            self._by_kind[op.kind].append(op)
        self._sessions: dict[str, _Session] = {}
        self._keeping: dict[str, list[Operation]] = defaultdict(list)
        self._moves = [
            op for op in self._by_kind["regenerate"] if op.acknowledged and op.successor
        ]
        self._learn_sessions()
        self._learn_ends()
        self._learn_uses()

    def findings(self) -> Iterator[Finding]:
        yield from self._life_after_the_end()
        yield from self._life_after_being_gone()
        yield from self._lost_sessions()
        yield from self._updates()
        yield from self._increments()
        yield from self._stale_logins()
        yield from self._old_epochs()
        yield from self._lists()
        yield from self._rotation()
        yield from self._time()

    # -- what there was ---------------------------------------------------------

    def _learn_sessions(self) -> None:
        for op in self._by_kind["create"]:
            if op.acknowledged:
                self._sessions[op.session] = _Session(op.session, op.user, op, op)
        # A parent's move ended before anybody could move its child.
        for op in sorted(self._moves, key=lambda op: op.end):
            parent = self._sessions[op.session]
            born = op if op.login else parent.born
            self._sessions[op.successor] = _Session(parent.root, op.user, op, born)

    def _learn_ends(self) -> None:
        of_user: dict[str, list[_Session]] = defaultdict(list)
        ids: dict[int, str] = {}
        for session_id, session in self._sessions.items():
            of_user[session.user].append(session)
            ids[id(session)] = session_id
        for op in (*self._by_kind["destroy"], *self._by_kind["regenerate"]):
            self._end(op, op.session)
        successors = self._successors = {op.session: op for op in self._moves}
        for op in self._by_kind["destroy"]:
            move, certain = successors.get(op.session), True
            while move is not None:
                certain = certain and op.end < move.start + FOLLOWED
                self._end(op, move.successor, certain=certain)
                move = successors.get(move.successor)
        for op in self._by_kind["revoke_all"]:
            kept = self._sessions.get(op.successor)
            if kept:
                self._keeping[kept.root].append(op)
            for session in of_user[op.user]:
                if kept and kept.root == session.root:
                    if not self._is_found(op):
                        self._end(op, ids[id(session)], certain=False)
                    continue
                certain = session.made.end < op.start
                self._end(op, ids[id(session)], certain=certain)
                self._end_where_it_went(op, ids[id(session)])

    def _is_found(self, revoke: Operation) -> bool:
        """Whether it is surely known what the session to be kept has become: it has
        not moved long ago, nor has somebody else logged in."""
        move = self._successors.get(revoke.successor)
        while move is not None:
            if move.user != revoke.user or revoke.end > move.start + FOLLOWED:
                return False
            move = self._successors.get(move.successor)
        return True

    def _end_where_it_went(self, revoke: Operation, session_id: str) -> None:
        """Somebody else who logs in meanwhile, in the same browser, is ended, too."""
        move = self._successors.get(session_id)
        if move is None or revoke.start > move.end + (LISTED if move.faulty else 0):
            return
        while move is not None:
            self._end(revoke, move.successor, certain=False)
            move = self._successors.get(move.successor)

    def _end(self, op: Operation, session_id: str, *, certain: bool = True) -> None:
        session = self._sessions.get(session_id)
        if session is None or op.outcome in ("stale", "gone", "moved", "late"):
            return
        if op.over > session.made.start:
            session.enders.append(op)
        if op.acknowledged and certain:
            session.dead = min(session.dead, op.end)

    def _learn_uses(self) -> None:
        """Note when a session, or one of its chain, may have been used last, and when
        it surely was."""
        self._used: dict[str, _Latest] = defaultdict(_Latest)
        self._seen: dict[int, _Latest] = defaultdict(_Latest)
        for op in self._history:
            about = op.successor if op.kind == "revoke_all" else op.session
            if session := self._sessions.get(about):
                self._used[session.root].add(op.start, op.over)
        for session in self._sessions.values():
            self._seen[id(session)].add(session.made.end, session.made.used)
        for op in sorted(self._history, key=lambda op: op.end):
            session = self._sessions.get(op.session)
            served = op.kind in ("load", "save", "compute", "renew")
            if session and served and op.acknowledged:
                self._seen[id(session)].add(op.end, op.used)

    def _may_have_ended(self, session: _Session, op: Operation) -> bool:
        """Whether somebody, or the time, may have ended it by the end of `op`."""
        is_ended = any(ender.start < op.end for ender in session.enders)
        return is_ended or self._may_be_over(session, op)

    def _may_be_over(self, session: _Session, op: Operation) -> bool:
        unused = op.end - self._seen[id(session)].before(op.start)
        age = op.end - session.born.start
        return unused >= self._idle.least or age >= self._lifetime.least

    def _is_kept_at_this_moment(self, op: Operation, session: _Session) -> bool:
        """Whether all others are ended in the name of what this session was before.

        Where a load asks the index, the session is refused for that moment: it is not
        known yet that it is the one to be kept.
        """
        return session.made.kind == "regenerate" and any(
            revoke.start < op.end and revoke.over > op.start
            for revoke in self._keeping[session.root]
        )

    # -- I1, I2: what has ended stays ended ---------------------------------------

    def _observations(self) -> Iterator[tuple[Operation, _Session]]:
        """Yield each operation that was served by a session, with that."""
        for op in self._history:
            if op.acknowledged and op.seen is not None and op.kind != "create":
                session = self._sessions.get(op.session)
                if session is not None:
                    yield op, session

    def _life_after_the_end(self) -> Iterator[Finding]:
        for op, session in self._observations():
            if op.start > session.dead:
                yield Finding("I1", op, "it was ended before, and yet it serves")

    def _life_after_being_gone(self) -> Iterator[Finding]:
        """What is over is gone, too; who had loaded it in time may yet renew it."""
        gone: dict[str, float] = {}
        for op in self._history:
            session = self._sessions.get(op.session)
            if session is None or self._may_be_over(session, op):
                continue
            if op.kind in ("save", "compute", "renew") and op.outcome == "gone":
                gone[op.session] = min(op.end, gone.get(op.session, math.inf))
        for op, _ in self._observations():
            if op.start > gone.get(op.session, math.inf):
                yield Finding("I2", op, "it was gone before, and is back")

    def _lost_sessions(self) -> Iterator[Finding]:
        """I8: nobody is told "gone" of what lives, not even by a storage that fails."""
        for op in self._history:
            if op.outcome not in ("gone", "moved"):
                continue
            session = self._sessions.get(op.session)
            if session is None or self._may_have_ended(session, op):
                continue
            if not self._is_kept_at_this_moment(op, session):
                yield Finding("I8", op, f"nobody has ended it, but it is {op.outcome}")

    # -- I3: no update is lost, none happens twice ----------------------------------

    def _updates(self) -> Iterator[Finding]:
        done: dict[tuple[str, str], tuple[list[float], list[int]]] = {}
        begun: dict[tuple[str, str], tuple[list[float], list[int]]] = {}
        for op in self._by_kind["save"]:
            session = self._sessions.get(op.session)
            if session is None:
                continue
            place = session.root, op.key
            starts, values = begun.setdefault(place, ([], []))
            starts.append(op.start)
            values.append(op.value)
            if op.acknowledged:
                ends, values = done.setdefault(place, ([], []))
                ends.append(op.end)
                values.append(op.value)
        keys = {key for _, key in begun}
        for op, session in self._observations():
            assert op.seen is not None
            for key in keys:
                place, seen = (session.root, key), op.seen.get(key, 0)
                if seen < _latest(done.get(place), op.start):
                    yield Finding("I3", op, f"an acknowledged {key} is lost")
                if seen > _latest(begun.get(place), op.end):
                    yield Finding("I3", op, f"{key} is there before it was written")

    def _increments(self) -> Iterator[Finding]:
        done: dict[str, list[float]] = defaultdict(list)
        begun: dict[str, list[float]] = defaultdict(list)
        for op in self._by_kind["compute"]:
            session = self._sessions.get(op.session)
            if session is None:
                continue
            # What was done, and its reply lost, may have ended before anybody knew.
            if op.faulty or op.outcome not in ("gone", "moved", "late"):
                begun[session.root].append(op.start)
            if op.acknowledged:
                done[session.root].append(op.end)
        for ends in done.values():
            ends.sort()
        for op, session in self._observations():
            assert op.seen is not None
            count = op.seen.get("count", 0)
            least = bisect_left(done[session.root], op.start)
            most = bisect_left(begun[session.root], op.end)
            if count < least:
                yield Finding("I3'", op, f"{least} increments are acknowledged")
            if count > most:
                yield Finding("I3'", op, f"only {most} increments were begun")

    # -- I4: who is listed, who is refused --------------------------------------------

    def _stale_logins(self) -> Iterator[Finding]:
        for op in (*self._by_kind["create"], *self._moves):
            if op.expected is None or not op.acknowledged:
                continue
            for revoke in self._by_kind["revoke_all"]:
                is_between = revoke.start > op.expected[1] and revoke.end < op.start
                if revoke.user == op.user and revoke.acknowledged and is_between:
                    yield Finding("I4c", op, "its epoch had ended, and it was admitted")

    def _old_epochs(self) -> Iterator[Finding]:
        seen: dict[str, float] = {}
        for op in self._history:
            if op.epoch:
                seen[op.epoch] = min(op.end, seen.get(op.epoch, math.inf))
        ended: dict[str, list[Operation]] = defaultdict(list)
        for op in self._by_kind["revoke_all"]:
            if op.acknowledged:
                ended[op.user].append(op)
        for op, session in self._observations():
            known = seen.get(op.epoch, math.inf)
            user = op.user if op.kind == "regenerate" else session.user
            for revoke in ended[user] if op.epoch else ():
                if known < revoke.start and op.start > revoke.end:
                    yield Finding("I4b", op, "it serves with an epoch that was ended")
                    break

    def _lists(self) -> Iterator[Finding]:
        of_user: dict[str, list[str]] = defaultdict(list)
        for session_id, session in self._sessions.items():
            of_user[session.user].append(session_id)
        for op in self._by_kind["find"]:
            for session_id in of_user[op.user] if op.acknowledged else ():
                session = self._sessions[session_id]
                ended = self._may_have_ended(session, op)
                ended = ended or self._is_kept_at_this_moment(op, session)
                listed = session_id in op.found
                if session.made.end < op.start and not ended and not listed:
                    yield Finding("I4f", op, f"{session_id} lives and is not found")
                if session.dead < op.start and listed:
                    yield Finding("I4f", op, f"{session_id} is dead and found")

    # -- I5: rotation ---------------------------------------------------------------

    def _rotation(self) -> Iterator[Finding]:
        tokens: dict[tuple[str, int], set[str]] = defaultdict(set)
        presented: dict[tuple[str, int], Operation] = {}
        promoted: dict[tuple[str, int], Operation] = {}
        for op in self._history:
            if op.handed_out is not None:
                generation, token = op.handed_out
                tokens[op.successor or op.session, generation].add(token)
            place = op.session, op.generation
            if op.kind == "load":
                presented.setdefault(place, op)
            if op.reached == op.generation and op.kind in ("save", "compute", "renew"):
                first = promoted.get(place)
                promoted[place] = op if first is None or op.end < first.end else first
        for (session_id, generation), known in tokens.items():
            if len(known) > 1:
                op = presented.get((session_id, generation), self._history[0])
                yield Finding("I5b", op, f"{session_id} has two cookies {generation}")
        for op in self._by_kind["load"]:
            yield from self._verdict(op, presented, promoted)

    def _verdict(
        self,
        op: Operation,
        presented: Mapping[tuple[str, int], Operation],
        promoted: Mapping[tuple[str, int], Operation],
    ) -> Iterator[Finding]:
        newer = presented.get((op.session, op.generation + 1))
        if op.outcome == "replayed" and (
            newer is None or op.opened - newer.opened < self._grace
        ):
            yield Finding("I5d", op, "an honest client raises the alarm")
        after = promoted.get((op.session, op.generation + 1))
        if after is None or not op.acknowledged or after.end > op.start:
            return
        if op.verdict != "grace":
            yield Finding("I5a", op, "its successor had been promoted before")
        if op.opened >= math.ceil(after.opened) + self._grace:
            yield Finding("I5c", op, "its grace was over")
        if promoted.get((op.session, op.generation + 2)) is not None:
            latest = promoted[op.session, op.generation + 2]
            if latest.end < op.start:
                yield Finding("I5a", op, "two newer cookies had been promoted before")

    # -- I6: time -------------------------------------------------------------------

    def _time(self) -> Iterator[Finding]:
        for op, session in self._observations():
            if op.start - self._used[session.root].before(op.start) > self._idle.most:
                yield Finding("I6", op, "it serves, but was not used for too long")
            if op.start - session.born.end > self._lifetime.most:
                yield Finding("I6", op, "it serves, but its lifetime was over")


class _Latest:
    """The latest of several times, of those that were noted until then."""

    def __init__(self) -> None:
        self._noted: list[float] = []
        self._latest: list[float] = []

    def add(self, noted: float, time: float) -> None:
        """Note a time; they are noted in order."""
        self._noted.append(noted)
        self._latest.append(max([time, *self._latest[-1:]]))

    def before(self, noted: float) -> float:
        at = bisect_left(self._noted, noted)
        return self._latest[at - 1] if at else -math.inf


def _latest(known: tuple[list[float], list[int]] | None, before: float) -> int:
    """Return the last value that was noted with a time before that."""
    if known is None:
        return 0
    at = bisect_left(known[0], before)
    return known[1][at - 1] if at else 0
