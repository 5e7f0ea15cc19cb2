"""Runs jobs against a backend under every order in which their calls can fall.

Threads that happen to collide find races by luck. Here each job stops before each of
its backend calls, and all orders of these calls are tried, one after the other; if
wanted, with one fault at every point where one can strike.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

from flask_srvsession.backends.base import Backend, Cell, Epoch, Head, Index, Version

T = TypeVar("T")

_READS = frozenset({"get", "head", "members"})
_EVERYTHING = "everything"
_FAULTS = "the one fault"
_CHANCE = (
    "the jobs did something else with the same replies: something that decides is left"
    " to chance or to the wall clock"
)


class Crash(BaseException):
    """The process of a job ends here; ``except Exception`` does not notice."""


class Violation(AssertionError):
    """A check failed, or a job raised what it must not.

    `steps` tells what happened, one line for each step. `schedule` makes
    :func:`interleave` run just this one again.
    """

    def __init__(
        self, reason: BaseException, steps: Sequence[str], schedule: Sequence[int]
    ) -> None:
        trace = "\n".join(f"  {n}. {step}" for n, step in enumerate(steps, 1))
        why = f"{type(reason).__name__}: {reason}"
        super().__init__(f"{why}\nafter\n{trace}\nschedule={tuple(schedule)}")
        self.steps = tuple(steps)
        self.schedule = tuple(schedule)


class Fault(enum.Enum):
    """What may go wrong with one call of a schedule."""

    CRASH = "crash"
    """The job's process dies instead of making the call."""
    REPLY_LOST = "reply lost"
    """The call takes effect, and one of ``backend.errors`` is raised."""
    REFUSED = "refused"
    """One of ``backend.errors`` is raised, and the call never takes effect."""
    DELAYED = "delayed"
    """One of ``backend.errors`` is raised, and the call takes effect later on."""


@dataclass(slots=True)
class Job:
    """How far a job has come, for the checks."""

    name: str
    ended: bool = False
    """Whether it has returned, raised or crashed."""
    value: Any = None
    error: BaseException | None = None

    @property
    def returned(self) -> bool:
        return self.ended and self.error is None

    @property
    def crashed(self) -> bool:
        return isinstance(self.error, Crash)


Jobs = Mapping[str, Job]


def _pass(jobs: Jobs) -> None:
    """Check nothing."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is to be tried: jobs that run side by side, and what must be true.

    `jobs` maps names to functions, which must behave alike each time they see the
    same replies: no wall-clock time, no chance that decides. `each_step` is called
    after each step, `at_end` once all jobs have ended; both raise, AssertionError for
    example, if something is wrong. What they call of the backend is no step. They
    must keep nothing: of steps that several schedules share only one is checked.
    `expected` are the errors that a job may raise.
    """

    jobs: Mapping[str, Callable[[], Any]]
    each_step: Callable[[Jobs], None] = _pass
    at_end: Callable[[Jobs], None] = _pass
    expected: tuple[type[BaseException], ...] = ()


@dataclass(frozen=True, slots=True)
class Exploration:
    """What :func:`interleave` has done, if nothing was wrong."""

    schedules: int
    steps: int
    complete: bool
    """Whether these were all schedules, rather than the first `limit`."""


def interleave(
    make_backend: Callable[[], Backend],
    make_scenario: Callable[[SteppedBackend], Scenario],
    *,
    faults: Collection[Fault] = (),
    victims: Collection[str] | None = None,
    index: Callable[[SteppedBackend], Index] | None = None,
    limit: int = 100_000,
    schedule: Sequence[int] | None = None,
) -> Exploration:
    """Run a scenario under every order of its jobs' backend calls.

    A backend author uses it to see that a sequence of calls keeps a promise however
    others get in between::

        def scenario(backend):
            backend.add("key", b"0", 60)

            def increment():
                while True:
                    cell = backend.get("key")
                    data = b"%d" % (int(cell.data) + 1)
                    reply = backend.swap("key", data, cell.version, 60)
                    if not isinstance(reply, Cell):
                        return

            def both_counted(jobs):
                assert backend.get("key").data == b"2"

            return Scenario({"a": increment, "b": increment}, at_end=both_counted)

        explored = interleave(MemoryBackend, scenario)
        assert explored.complete

    For each schedule `make_backend` makes an empty backend and `make_scenario` the
    jobs, which use the backend that it is given. Orders that cannot be told apart,
    because they only exchange calls that have nothing to do with each other, are
    tried once; still every state that can occur is seen by ``each_step``.

    With `faults`, each schedule has at most one, at every point of every job, or of
    those jobs that are named as `victims`. A call of ``backend.index`` is one step;
    with `index`, for example ``CellIndex``, that is built over the stepped backend,
    and each of its calls of that is a step. After `limit` schedules it gives up
    quietly: see ``complete``. With `schedule`, as a :class:`Violation` names it, only
    that one is run. A job must not wait for another in any other way than through
    the backend.
    """
    explorer = _Explorer(make_backend, make_scenario, index, faults, victims)
    if schedule is not None:
        explorer.follow(schedule)
        return Exploration(1, explorer.steps, complete=False)
    return explorer.explore(limit)


class SteppedBackend:
    """A backend whose calls wait for their turn where a job makes them.

    It has no ``get_many`` and no ``get_with_heads``: several keys are read one by one,
    each in a step, since a storage may let others in between.
    """

    def __init__(
        self,
        backend: Backend,
        index: Callable[[SteppedBackend], Index] | None,
        turn: Callable[[_Call], Any],
    ) -> None:
        self.backend = backend
        """The backend itself: calls of it are no steps."""
        self.errors = backend.errors
        self.evicts = backend.evicts
        self.shared = backend.shared
        self.max_bytes = backend.max_bytes
        self._turn = turn
        self.index: Index = index(self) if index else _SteppedIndex(backend.index, turn)

    def step(self, label: str, function: Callable[[], T]) -> T:
        """Do something else that jobs share, such as advancing a clock, as a step."""
        result: T = self._turn(_Call(label, _EVERYTHING, function))
        return result

    def get(self, key: str) -> Cell | None:
        found: Cell | None = self._cell("get", key)
        return found

    def add(self, key: str, data: bytes, ttl: int) -> Version | None:
        return self._cell("add", key, data, ttl)

    def swap(
        self, key: str, data: bytes, version: Version, ttl: int
    ) -> Version | Cell | None:
        return self._cell("swap", key, data, version, ttl)

    def delete(self, key: str, version: Version | None = None) -> bool:
        return bool(self._cell("delete", key, version))

    def sweep(self) -> int:
        return self.step("sweep", self.backend.sweep)

    def _cell(self, method: str, key: str, *args: Any) -> Any:
        function = getattr(self.backend, method)
        return self._turn(_Call(method, key, lambda: function(key, *args)))


class _SteppedIndex:
    """An index each of whose calls waits for its turn."""

    def __init__(self, index: Index, turn: Callable[[_Call], Any]) -> None:
        self._index = index
        self._turn = turn

    def epoch(self, name: str) -> Epoch:
        return str(self._call("epoch", name))

    def add(self, name: str, member: str, expect: Epoch, ttl: int) -> bool:
        return bool(self._call("add", name, member, expect, ttl))

    def fence(self, name: str, keep: Collection[str] = ()) -> tuple[Epoch, Head | None]:
        fenced: tuple[Epoch, Head | None] = self._call("fence", name, keep)
        return fenced

    def head(self, name: str) -> Head | None:
        head: Head | None = self._call("head", name)
        return head

    def remove(self, name: str, members: Collection[str]) -> None:
        self._call("remove", name, members)

    def members(
        self, name: str, most: int, after: str | None = None
    ) -> list[str] | None:
        listed: list[str] | None = self._call("members", name, most, after)
        return listed

    def count(self, name: str) -> int:
        return int(self._call("count", name))

    def _call(self, method: str, name: str, *args: Any) -> Any:
        function = getattr(self._index, method)
        label, resource = f"index.{method}", f"index {name}"
        return self._turn(_Call(label, resource, lambda: function(name, *args)))


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that waits for its turn."""

    method: str
    resource: str
    function: Callable[[], Any]

    @property
    def writes(self) -> bool:
        return self.method.removeprefix("index.") not in _READS

    def __str__(self) -> str:
        return f"{self.method} {self.resource}"


@dataclass(frozen=True, slots=True)
class _Option:
    """What can happen next: the call of an actor, as it should be or with a fault."""

    actor: int
    fault: Fault | None = None


_Effects = Mapping[str, bool]
"""What a step touches, and whether it changes that."""


@dataclass(slots=True)
class _Choice:
    """A point of the present schedule, with what was and is to be tried there."""

    options: list[_Option]
    taken: int = 0

    @property
    def chosen(self) -> _Option:
        return self.options[self.taken]

    @property
    def tried(self) -> list[_Option]:
        return self.options[: self.taken]


class _Worker:
    """A greenlet that runs a job of each schedule and stops before each call of it."""

    def __init__(self) -> None:
        self._verdict: Callable[[_Call], Any] = _run
        self.pending: _Call | None = None
        self.greenlet: greenlet | None = None

    def begin(self, job: Job, function: Callable[[], Any]) -> None:
        """Run the job until it stops before its first call."""
        self.greenlet = greenlet(self._work)
        self._verdict = _run
        self.greenlet.switch(job, function)

    def proceed(self, verdict: Callable[[_Call], Any]) -> None:
        """Let `verdict` answer the pending call; return when the job stops again."""
        assert self.greenlet is not None
        self._verdict = verdict
        self.greenlet.switch()

    def pause(self, call: _Call) -> Any:
        """Stop before `call`, then do what is said; in the job's own greenlet."""
        if self._verdict is not _die:  # a dead process makes no calls
            assert self.greenlet is not None
            assert self.greenlet.parent is not None
            self.pending = call
            self.greenlet.parent.switch()
            self.pending = None
        return self._verdict(call)

    def _work(self, job: Job, function: Callable[[], Any]) -> None:
        try:
            job.value = function()
        except BaseException as error:  # a crash, too, only ends the job
            job.error = error
        job.ended = True


def _run(call: _Call) -> Any:
    return call.function()


def _die(call: _Call) -> Any:
    raise Crash


@dataclass(slots=True)
class _Late:
    """A call that was reported as failed and still takes effect at some time."""

    name: str
    call: _Call


@dataclass(slots=True)
class _Schedule:
    """One run of the scenario: what the jobs do, step by step."""

    scenario: Scenario
    jobs: list[Job]
    workers: Sequence[_Worker]
    errors: tuple[type[Exception], ...]
    faults: Collection[Fault]
    victims: Collection[str]
    late: _Late | None = None
    faulty: bool = False
    last_actor: int = 0
    trace: list[str] = field(default_factory=list)

    def begin(self) -> None:
        for worker, job in zip(self.workers, self.jobs, strict=True):
            worker.begin(job, self.scenario.jobs[job.name])
        self._refuse_unexpected()

    def options(self) -> list[_Option]:
        """Return what can happen next; the first one is no switch of jobs."""
        actors = [n for n, job in enumerate(self.jobs) if not job.ended]
        actors.sort(key=lambda actor: actor != self.last_actor)
        result = [_Option(actor) for actor in actors]
        if self.late:
            result.append(_Option(len(self.jobs)))
        if not self.faulty:
            result.extend(
                _Option(actor, fault)
                for actor in actors
                if self.jobs[actor].name in self.victims
                for fault in self.faults
                if fault is not Fault.DELAYED or self._pending(actor).writes
            )
        return result

    def effects(self, option: _Option) -> _Effects:
        """Return what the step touches, and whether it changes that."""
        touched = {f"actor {option.actor}": True}
        if option.fault is not None:
            touched[_FAULTS] = True
        if option.fault in (None, Fault.REPLY_LOST):
            call = self._pending(option.actor)
            touched[call.resource] = call.writes
        return touched

    def unaffected(self, others: Collection[_Option], option: _Option) -> set[_Option]:
        """Return those of `others` that could as well happen before `option`."""
        effects = self.effects(option)
        return {each for each in others if _independent(self.effects(each), effects)}

    def take(self, option: _Option) -> None:
        """Let it happen."""
        call = self._pending(option.actor)
        who = self.late.name if self._is_late(option) and self.late else ""
        who = who or self.jobs[option.actor].name
        what = f" ({option.fault.value})" if option.fault else ""
        self.trace.append(f"{who}: {call}{what}")
        if self._is_late(option):
            self.late = None
            self._apply_late(call)
            return
        self.last_actor = option.actor
        self.faulty = self.faulty or option.fault is not None
        if option.fault is Fault.DELAYED:
            self.late = _Late(f"{self.jobs[option.actor].name}, late", call)
        self.workers[option.actor].proceed(self._verdict(option.fault))
        self._refuse_unexpected()

    def abandon(self) -> None:
        """Let all jobs end as if they crashed."""
        for worker, job in zip(self.workers, self.jobs, strict=True):
            while worker.pending is not None and not job.ended:
                worker.proceed(_die)

    def by_name(self) -> Jobs:
        return {job.name: job for job in self.jobs}

    def _pending(self, actor: int) -> _Call:
        if actor == len(self.jobs) and self.late:
            return self.late.call
        call = self.workers[actor].pending
        if call is None:
            raise RuntimeError(_CHANCE)
        return call

    def _is_late(self, option: _Option) -> bool:
        return option.actor == len(self.jobs)

    def _apply_late(self, call: _Call) -> None:
        try:
            call.function()
        except self.errors:
            self.trace[-1] += " (failed)"

    def _verdict(self, fault: Fault | None) -> Callable[[_Call], Any]:
        def fail(call: _Call) -> Any:
            raise self.errors[0]("injected")

        def lose_reply(call: _Call) -> Any:
            call.function()
            raise self.errors[0]("injected")

        match fault:
            case None:
                return _run
            case Fault.CRASH:
                return _die
            case Fault.REPLY_LOST:
                return lose_reply
            case _:
                return fail

    def _refuse_unexpected(self) -> None:
        for job in self.jobs:
            if job.error is not None and not isinstance(
                job.error, (Crash, *self.scenario.expected)
            ):
                raise job.error


class _Explorer:
    """Goes through the tree of all schedules, depth first, each from the beginning.

    Sleep sets (Godefroid 1996) spare the orders that differ only in steps that do not
    touch the same: what was tried at a point need not be tried again later until
    something happens that has to do with it. They leave no state out.
    """

    def __init__(
        self,
        make_backend: Callable[[], Backend],
        make_scenario: Callable[[SteppedBackend], Scenario],
        index: Callable[[SteppedBackend], Index] | None,
        faults: Collection[Fault],
        victims: Collection[str] | None,
    ) -> None:
        self._make_backend = make_backend
        self._make_scenario = make_scenario
        self._index = index
        self._faults = [fault for fault in Fault if fault in faults]
        self._victims = victims
        self._workers: list[_Worker] = []
        self.steps = 0

    def explore(self, limit: int) -> Exploration:
        path: list[_Choice] = []
        schedules = 0
        while schedules < limit:
            schedules += self._run(path)
            while path and path[-1].taken + 1 == len(path[-1].options):
                path.pop()
            if not path:
                return Exploration(schedules, self.steps, complete=True)
            path[-1].taken += 1
        return Exploration(schedules, self.steps, complete=False)

    def follow(self, schedule: Sequence[int]) -> None:
        """Run one schedule: the number of the option that is taken at each point."""
        run = self._begin()
        numbers = iter(schedule)
        with _explained(run, schedule):
            while options := run.options():
                self._take(run, options[next(numbers, 0)])
            run.scenario.at_end(run.by_name())

    def _run(self, path: list[_Choice]) -> bool:
        """Run the schedule that begins with `path`, and note in it what else there
        is. Return False if it turns out to be one that was tried already."""
        run = self._begin()
        known, asleep = len(path), set[_Option]()
        numbers: list[int] = []
        with _explained(run, numbers):
            while options := run.options():
                depth = len(numbers)
                if depth == len(path):
                    awake = [option for option in options if option not in asleep]
                    if not awake:
                        run.abandon()
                        return False
                    path.append(_Choice(awake))
                chosen = path[depth].chosen
                if chosen not in options:
                    raise RuntimeError(_CHANCE)
                asleep = run.unaffected(asleep.union(path[depth].tried), chosen)
                numbers.append(options.index(chosen))
                self._take(run, chosen, check=depth + 1 >= known)
            run.scenario.at_end(run.by_name())
        return True

    def _take(self, run: _Schedule, option: _Option, *, check: bool = True) -> None:
        run.take(option)
        self.steps += 1
        if check:
            run.scenario.each_step(run.by_name())

    def _begin(self) -> _Schedule:
        backend = self._make_backend()
        stepped = SteppedBackend(backend, self._index, self._turn)
        scenario = self._make_scenario(stepped)
        while len(self._workers) < len(scenario.jobs):
            self._workers.append(_Worker())
        run = _Schedule(
            scenario,
            [Job(name) for name in scenario.jobs],
            self._workers[: len(scenario.jobs)],
            backend.errors,
            self._faults,
            scenario.jobs if self._victims is None else self._victims,
        )
        with _explained(run, ()):
            run.begin()
        return run

    def _turn(self, call: _Call) -> Any:
        current = getcurrent()
        for worker in self._workers:
            if worker.greenlet is current:
                return worker.pause(call)
        return call.function()


def _independent(one: _Effects, other: _Effects) -> bool:
    """Whether two steps can change places and nobody could tell."""
    if _EVERYTHING in one or _EVERYTHING in other:
        return False
    return not any(one[each] or other[each] for each in one.keys() & other.keys())


@contextmanager
def _explained(run: _Schedule, schedule: Sequence[int]) -> Iterator[None]:
    """Say of a failure which schedule led to it, and let the jobs end."""
    try:
        yield
    except Exception as error:
        run.abandon()
        raise Violation(error, run.trace, schedule) from error
    except BaseException:
        run.abandon()
        raise
