"""Many processes use the same sessions at once; a checker reads what they noted.

``python -m tests.concurrency.stress --backend redis --operations 50000`` starts a
server of its own, prints how many operations there were and which promises they
broke, and ends with status 1 if any. In between, operations die halfway, replies of
the storage are lost, or commands take effect only after they were given up.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import multiprocessing
import os
import pickle
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, Protocol

from flask_srvsession.backends import backend_from_url
from flask_srvsession.backends.base import Epoch
from flask_srvsession.config import Settings
from flask_srvsession.draft import Changes
from flask_srvsession.errors import BackendError, StaleLogin
from flask_srvsession.ids import Credential
from flask_srvsession.serializers import MsgpackSerializer
from flask_srvsession.store import SessionStore, regeneration, revocation, rotation
from flask_srvsession.store.lists import Binding
from flask_srvsession.store.record import Record
from flask_srvsession.store.records import Found, Live, Moved
from flask_srvsession.store.rotation import ADMITTED, Verdict
from tests.concurrency.faulty import FAULTS, Died, FaultyBackend
from tests.concurrency.history import Finding, Operation, Span, check, summary
from tests.redis_topologies import running_cluster, running_sentinel
from tests.servers import running_memcached, running_redis
from tests.sql_servers import running_mariadb, running_postgres

REDIS = ("redis", "cluster", "sentinel")
BACKENDS = (*REDIS, "memcached", "sqlite", "postgresql", "mariadb")
WORKERS = 8
BROWSERS = 24
USERS = 6
EVERY, GRACE = 2, 1
TOUCH, IDLE, LIFETIME = 4, 40, 200
"""Seconds of the stores, as those before."""
BEGINNING = 1_750_000_000
SPEED = 200
"""How much faster the clock of the stores runs: so rotation happens all the time."""

FAULTY = 0.12
"""The share of operations in which something goes wrong."""
LOST_RESPONSES = 0.1

SERIALIZER = MsgpackSerializer()


def store_clock() -> float:
    """Return unix time of a world that is fast, alike in all processes."""
    return BEGINNING + time.monotonic() * SPEED


class WholeBlobStore(SessionStore):
    """How session extensions used to save: load, change, write whatever is there."""

    def save(
        self,
        live: Live,
        changes: Changes,
        *,
        epochs: Mapping[bytes, Epoch] | None = None,
    ) -> Found:
        values = changes.apply(live.record.values)
        record = live.record._replace(values=values, last_seen=int(self.clock()))
        return self._overwrite(live, record)

    def renew(self, live: Live, meta: Mapping[str, Any] | None = None) -> Found:
        now = int(self.clock())
        return self._overwrite(live, live.record._replace(last_seen=now))

    def _overwrite(self, live: Live, record: Record) -> Live:
        for _ in range(100):
            _, version = self.records.read(live.id)
            if version is None:
                if self.records.add(live.id, record) is not None:
                    break
            elif isinstance(
                self.records.swap(live._replace(version=version), record), Live
            ):
                break
        return live._replace(record=record)


STORES: dict[str, type[SessionStore]] = {
    "srvsession": SessionStore,
    "whole-blob": WholeBlobStore,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What all workers of a run share."""

    url: str
    directory: Path
    store: str
    operations: int
    seconds: float
    seed: int
    prefix: str


class CookieJars:
    """The cookies of browsers that several processes use at once, as tabs do."""

    _SIZE = 128

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def get(self, browser: int) -> Credential | None:
        """Return the cookie of a browser."""
        with self._locked(browser):
            text = os.pread(self._file, self._SIZE, browser * self._SIZE).decode()
        if not text.strip(" \0"):
            return None
        session_id, generation, token = text.split()
        return Credential(session_id, int(generation), token)

    def put(self, browser: int, credential: Credential | None) -> None:
        """Let a response set the cookie of a browser, or delete it."""
        text = ""
        if credential:
            text = f"{credential.id} {credential.generation} {credential.token}"
        with self._locked(browser):
            data = text.ljust(self._SIZE).encode()
            os.pwrite(self._file, data, browser * self._SIZE)

    @contextmanager
    def _locked(self, browser: int) -> Iterator[None]:
        place = self._SIZE, browser * self._SIZE
        fcntl.lockf(self._file, fcntl.LOCK_EX, *place)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, *place)


class Worker:
    """A process that makes requests, each of one or two operations, and notes them."""

    def __init__(self, plan: Plan, number: int) -> None:
        self._dice = Random(plan.seed * 1000 + number)
        self._key = f"w{number}"
        self._written = 0
        self._backend = FaultyBackend(backend_from_url(plan.url))
        chosen = Settings(
            key_prefix=plan.prefix,
            rotate_every=EVERY,
            rotate_grace=GRACE,
            touch_interval=TOUCH,
            idle_timeout=IDLE,
            absolute_lifetime=LIFETIME,
        ).resolved(timedelta(days=30))
        secret_keys = ["a secret key of this run"]
        self._store = STORES[plan.store](
            self._backend, secret_keys, SERIALIZER, chosen, clock=store_clock
        )
        self._jars = CookieJars(plan.directory / "jars")
        self._slow: tuple[int, Live] | None = None
        self._copied: Credential | None = None
        self.history: list[Operation] = []

    def work(self, operations: int, until: float) -> None:
        """Make requests until there were so many operations, or that late."""
        kinds = list(_REQUESTS)
        weights = [weight for weight, _ in _REQUESTS.values()]
        while len(self.history) < operations and time.monotonic() < until:
            [kind] = self._dice.choices(kinds, weights)
            if self._dice.random() < FAULTY:
                fault = self._dice.choice(FAULTS)
                self._backend.fail(fault, self._dice.choice([0, 0, 1, 1, 2, 3, 4, 6]))
            try:
                _REQUESTS[kind][1](self)
            finally:
                self._backend.finish()

    # -- requests -----------------------------------------------------------------

    def read(self) -> None:
        browser, live = self._arrive()
        if live and store_clock() >= self._store.renewal_at(live):
            op = self._about(live, "renew")
            self._answer(browser, op, lambda: self._store.renew(live))

    def save(self) -> None:
        browser, live = self._arrive_or_resume()
        if live is None:
            return
        self._written += 1
        op = self._about(live, "save", key=self._key, value=self._written)
        changes = Changes(assigned={self._key: SERIALIZER.dumps(self._written)})
        self._answer(browser, op, lambda: self._store.save(live, changes))

    def compute(self) -> None:
        browser, live = self._arrive_or_resume()
        if live is None:
            return
        op = self._about(live, "compute")
        changes = Changes(computed={"count": _one_more})
        self._answer(browser, op, lambda: self._store.save(live, changes))

    def login(self) -> None:
        """Log in, half of the time with an epoch from before the password check."""
        browser, live = self._arrive()
        user = str(self._dice.randrange(USERS))
        asked: tuple[float, float] | None = None
        epochs: dict[bytes, Epoch] = {}
        binding = self._binding(user)
        if self._dice.random() < 0.5:
            began = time.monotonic()
            try:
                epochs = {binding.names[0]: self._store.lists.epoch(binding)}
            except (BackendError, Died):
                return
            asked = began, time.monotonic()
            time.sleep(self._dice.choice([0, 0, 0.002]))
        changes = Changes(assigned={"user_id": SERIALIZER.dumps(user)})
        if live is None or live.verdict is Verdict.GRACE:
            self._create(browser, user, epochs, asked)
            return
        op = self._about(live, "regenerate", user=user, login=True, expected=asked)
        self._answer(
            browser,
            op,
            lambda: regeneration.regenerate(
                self._store, live, changes, login=True, epochs=epochs
            ),
        )

    def rotate(self) -> None:
        browser, live = self._arrive_or_resume()
        if live is None or live.verdict is Verdict.GRACE:
            return
        op = self._about(live, "regenerate")
        self._answer(
            browser,
            op,
            lambda: regeneration.regenerate(self._store, live, Changes(), login=False),
        )

    def destroy(self) -> None:
        browser, live = self._arrive_or_resume()
        if live is not None:
            self._destroy(live.id, live if self._dice.random() < 0.7 else None)
            self._jars.put(browser, None)

    def revoke_all(self) -> None:
        user = str(self._dice.randrange(USERS))
        op = Operation("revoke_all", 0, 0, user=user)
        with self._noting(op):
            self._revoke_all(op)

    def revoke_others(self) -> None:
        _, live = self._arrive_or_resume()
        if live is None or not (user := _user(live)):
            return
        op = Operation("revoke_all", 0, 0, user=user, successor=live.id)
        with self._noting(op):
            self._revoke_all(op, keep=live)

    def find(self) -> None:
        op = Operation("find", 0, 0, user=str(self._dice.randrange(USERS)))
        with self._noting(op):
            found = revocation.find(self._store, self._binding(op.user))
            op.found = frozenset(live.id for live in found)

    def steal(self) -> None:
        """Use a cookie that was copied some time ago, then copy another one."""
        if self._copied is not None:
            self._load(self._copied)
        if self._copied is None or self._dice.random() < 0.2:
            self._copied = self._jars.get(self._browser())

    def wait(self) -> None:
        """Keep a request open: what it has loaded is saved much later."""
        browser, live = self._arrive()
        if live is not None:
            self._slow = browser, live

    def sweep(self) -> None:
        self._backend.sweep()

    # -- pieces -------------------------------------------------------------------

    def _browser(self) -> int:
        return min(self._dice.randrange(BROWSERS), self._dice.randrange(BROWSERS))

    def _arrive(self) -> tuple[int, Live | None]:
        browser = self._browser()
        credential = self._jars.get(browser)
        if credential is not None and (live := self._load(credential)):
            return browser, live
        if credential is None or self._dice.random() < 0.7:
            self._create(browser, "")
        return browser, None

    def _arrive_or_resume(self) -> tuple[int, Live | None]:
        if self._slow is not None and self._dice.random() < 0.5:
            slow, self._slow = self._slow, None
            return slow
        return self._arrive()

    def _load(self, credential: Credential) -> Live | None:
        opened = store_clock()
        op = Operation(
            "load",
            0,
            0,
            session=credential.id,
            generation=credential.generation,
            opened=opened,
        )
        found: Found = None
        with self._noting(op):
            found = self._store.load(credential, opened=opened)
            _note(op, found)
            if isinstance(found, Moved) and found.successor in (None, found.id):
                op.outcome = "late"
            if isinstance(found, Live) and found.verdict not in ADMITTED:
                op.outcome, op.seen = "replayed", None
        if op.outcome == "replayed":
            assert isinstance(found, Live)
            self._destroy(found.id, found)
        return found if op.acknowledged and isinstance(found, Live) else None

    def _create(
        self,
        browser: int,
        user: str,
        epochs: Mapping[bytes, Epoch] | None = None,
        asked: tuple[float, float] | None = None,
    ) -> None:
        values: dict[str, Any] = {"count": 0}
        if user:
            values["user_id"] = user
        changes = Changes(assigned={k: SERIALIZER.dumps(v) for k, v in values.items()})
        op = Operation("create", 0, 0, user=user, expected=asked)
        self._answer(browser, op, lambda: self._store.create(changes, epochs=epochs))

    def _revoke_all(self, op: Operation, keep: Live | None = None) -> None:
        binding = self._binding(op.user)
        done = revocation.revoke_all(self._store, binding, keep=keep)
        op.epoch = done.epochs[binding.names[0]]

    def _destroy(self, session_id: str, live: Live | None) -> None:
        op = Operation("destroy", 0, 0, session=session_id)
        with self._noting(op):
            self._store.destroy(session_id, live)

    def _answer(self, browser: int, op: Operation, call: Callable[[], Found]) -> None:
        """Do it, note it, and send the cookie that the response carries."""
        found: Found = None
        with self._noting(op):
            found = call()
            _note(op, found)
        if not isinstance(found, Live) or found.credential is None:
            return
        credential = found.credential
        if not found.new:
            current = credential.generation == found.record.generation
            if not (current and found.record.pending):
                return
            credential = rotation.successor(found.record, credential)
        op.handed_out = credential.generation, credential.token
        if self._dice.random() >= LOST_RESPONSES:
            self._jars.put(browser, credential)

    def _about(self, live: Live, kind: str, **more: Any) -> Operation:
        generation = live.credential.generation if live.credential else 0
        return Operation(
            kind,
            0,
            0,
            **{
                "session": live.id,
                "user": _user(live),
                "generation": generation,
                **more,
            },
        )

    def _binding(self, user: str) -> Binding:
        return self._store.lists.binding("user_id", user)

    @contextmanager
    def _noting(self, op: Operation) -> Iterator[None]:
        self._backend.has_failed = False
        op.start = time.monotonic()
        try:
            yield
        except BackendError:
            op.outcome = "error"
        except StaleLogin:
            op.outcome = "stale"
        except Died:
            op.outcome = "crash"
        op.end = time.monotonic()
        op.faulty = self._backend.has_failed
        op.opened = op.opened or store_clock()
        self.history.append(op)


def _note(op: Operation, found: Found) -> None:
    """Note what an operation was told."""
    match found:
        case Live():
            values = found.record.values
            op.seen = {
                key: SERIALIZER.loads(data)
                for key, data in values.items()
                if key != "user_id"
            }
            op.verdict = found.verdict.value
            op.reached = found.record.generation
            op.used = (found.record.last_seen - BEGINNING) / SPEED
            for epoch, _ in found.record.places.values():
                op.epoch = epoch
            if op.kind == "regenerate":
                op.successor = found.id
            elif op.kind == "create":
                op.session = found.id
        case Moved():
            op.outcome = "moved"
        case None:
            op.outcome = "gone"


def _user(live: Live) -> str:
    user = live.record.values.get("user_id")
    return SERIALIZER.loads(user) if user else ""


def _one_more(stored: bytes | None) -> bytes:
    return SERIALIZER.dumps((SERIALIZER.loads(stored) if stored else 0) + 1)


_REQUESTS: dict[str, tuple[float, Callable[[Worker], None]]] = {
    "read": (26, Worker.read),
    "save": (26, Worker.save),
    "compute": (14, Worker.compute),
    "login": (7, Worker.login),
    "rotate": (4, Worker.rotate),
    "destroy": (2, Worker.destroy),
    "revoke_all": (1, Worker.revoke_all),
    "revoke_others": (2, Worker.revoke_others),
    "find": (3, Worker.find),
    "steal": (4, Worker.steal),
    "wait": (6, Worker.wait),
    "sweep": (0.2, Worker.sweep),
}


def _run_worker(plan: Plan, number: int) -> None:
    logging.getLogger("flask_srvsession").setLevel(logging.CRITICAL)
    worker = Worker(plan, number)
    until = time.monotonic() + plan.seconds
    worker.work(plan.operations // WORKERS, until)
    path = plan.directory / f"history{number}"
    path.write_bytes(pickle.dumps(worker.history))


def run(plan: Plan) -> list[Operation]:
    """Let all workers do their share; return what they noted.

    The workers are forked: better not from a process that has threads.
    """
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=_run_worker, args=(plan, number))
        for number in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(plan.seconds + 60)
    failed = [worker.exitcode for worker in workers if worker.exitcode != 0]
    for worker in workers:
        worker.kill()
    if failed:
        raise RuntimeError(f"workers ended with {failed}")
    history = []
    for path in plan.directory.glob("history*"):
        history.extend(pickle.loads(path.read_bytes()))
    return history


class HasURL(Protocol):
    """A server, or several, of our own."""

    @property
    def url(self) -> str: ...


@contextmanager
def storage(name: str, directory: Path) -> Iterator[str]:
    """Yield the URL of a storage of our own."""
    running: dict[str, Callable[[], AbstractContextManager[HasURL]]] = {
        "redis": lambda: running_redis(directory),
        "cluster": lambda: running_cluster(directory),
        "sentinel": lambda: running_sentinel(directory),
        "memcached": running_memcached,
        "postgresql": running_postgres,
        "mariadb": running_mariadb,
    }
    if name == "sqlite":
        yield f"sqlite:///{directory / 'sessions.db'}"
        return
    with running[name]() as server:
        yield server.url


def judged(history: list[Operation]) -> list[Finding]:
    """Return every promise that a run broke."""
    idle, lifetime = (
        Span((seconds - 1) / SPEED, (seconds + 1) / SPEED)
        for seconds in (IDLE, LIFETIME)
    )
    return check(history, grace=GRACE, idle=idle, lifetime=lifetime)


def report(history: list[Operation], findings: list[Finding]) -> dict[str, Any]:
    """Return what a run came to, as figures."""
    return {
        "operations": len(history),
        "kinds": dict(Counter(op.kind for op in history)),
        "outcomes": dict(Counter(op.outcome for op in history)),
        "violations": len(findings),
        "promises": summary(findings),
        "examples": [str(finding) for finding in findings[:20]],
    }


def main(arguments: list[str] | None = None) -> int:
    """Run it; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.concurrency.stress")
    parser.add_argument("--backend", choices=BACKENDS, default="redis")
    parser.add_argument("--url", help="a storage that runs already")
    parser.add_argument("--operations", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=3600, help="at most so long")
    parser.add_argument("--store", choices=STORES, default="srvsession")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    given = parser.parse_args(arguments)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = given.url or stack.enter_context(storage(given.backend, directory))
        backend_from_url(url).get("t")  # makes the tables of a database
        plan = Plan(
            url,
            directory,
            given.store,
            given.operations,
            given.seconds,
            given.seed,
            f"stress{os.getpid()}-{given.seed}:",
        )
        history = run(plan)
    figures = report(history, judged(history))
    if given.json:
        print(json.dumps(figures))
    else:
        print(f"{given.backend}, {WORKERS} processes, seed {given.seed}")
        for name, figure in figures.items():
            print(f"{name}: {figure}")
    return 1 if figures["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
