"""SQLite, PostgreSQL and MariaDB keep the contract, also when the server misbehaves."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from flask_srvsession.backends import Head
from flask_srvsession.backends.sql import SQLBackend
from flask_srvsession.backends.sql.sweep import LARGEST_BATCH, SWEEP_MARGIN
from flask_srvsession.testing import BackendContract, FakeClock
from tests.stopwatch import within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.sql_servers import SQLServer


MINUTE = 60
DAY = 24 * 60 * 60
PATIENCE = 2.5
"""Seconds; what waits for the default timeout of one second has ended by then."""

COUNT = """
import sys
from flask_srvsession.backends import Cell, backend_from_url

url, key, times = sys.argv[1:]
backend = backend_from_url(url)
cell = backend.get(key)
for _ in range(int(times)):
    while True:
        new = b"%d" % (int(cell.data) + 1)
        reply = backend.swap(key, new, cell.version, 60)
        if not isinstance(reply, Cell):
            cell = Cell(new, reply)
            break
        cell = reply
"""


class SQLContract(BackendContract):
    """The contract, by a clock that the tests wind, and what SQL adds to it."""

    @pytest.fixture
    def table(self) -> str:
        return "srvsession"

    @pytest.fixture
    def backend(self, url: str, table: str) -> Iterator[SQLBackend]:
        self.clock = FakeClock()
        backend = SQLBackend(url, table=table, clock=self.clock)
        yield backend
        backend.close()

    def elapse(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def test_any_number_of_members_is_removed_at_once(
        self, backend: SQLBackend, name: str
    ) -> None:
        """A statement takes only so many values: 32 766 in SQLite, 65 535 elsewhere."""
        epoch = backend.index.epoch(name)
        backend.index.add(name, "last", epoch, MINUTE)

        backend.index.remove(name, [*map(str, range(70_000)), "last"])

        assert backend.index.members(name, 9) == []


class TestInMemory(SQLContract):
    @pytest.fixture
    def url(self) -> str:
        return "sqlite://"


class Shared(SQLContract):
    """What a database shows that several processes use."""

    @pytest.fixture
    def own_table(self) -> str:
        return f"t{uuid.uuid4().hex[:12]}"

    def test_processes_that_count_with_swap_lose_no_count(
        self, url: str, key: str
    ) -> None:
        processes, times = 3, 30
        backend = SQLBackend(url)
        backend.add(key, b"0", MINUTE)
        command = [sys.executable, "-c", COUNT, url, key, str(times)]

        running = [subprocess.Popen(command) for _ in range(processes)]
        codes = [process.wait(60) for process in running]

        cell = backend.get(key)
        backend.close()
        assert codes == [0] * processes
        assert cell is not None
        assert int(cell.data) == processes * times

    def test_many_may_create_the_tables_at_once(self, url: str, own_table: str) -> None:
        backends = [SQLBackend(url, table=own_table) for _ in range(6)]
        versions: list[object] = []

        def work(number: int) -> None:
            versions.append(backends[number].add(f"{number}", b"x", MINUTE))

        run_at_once([lambda n=n: work(n) for n in range(6)])  # type: ignore[misc]

        assert len(versions) == 6
        assert None not in versions
        for backend in backends:
            assert backend.get("5") is not None
            backend.close()

    def test_the_schema_that_ddl_shows_is_one_that_is_accepted(
        self, url: str, own_table: str
    ) -> None:
        backend = SQLBackend(url, table=own_table)
        statements = backend.ddl().split(";\n")
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            for statement in filter(None, statements):
                connection.exec_driver_sql(statement)
        engine.dispose()

        version = backend.add("key", b"x", MINUTE)

        assert version is not None
        backend.create_tables()
        assert backend.get("key") is not None
        backend.close()

    def test_a_child_of_a_fork_leaves_the_connections_of_its_parent_alone(
        self, url: str, key: str
    ) -> None:
        backend = SQLBackend(url)
        version = backend.add(key, b"parent", MINUTE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            found = backend.get(key)
            backend.close()
            os._exit(0 if found else 1)
        _, status = os.waitpid(child, 0)

        swapped = backend.swap(key, b"more", version, MINUTE)

        assert status == 0
        assert isinstance(swapped, int)
        backend.close()


class Sweeping(SQLContract):
    """What a sweep removes and what it leaves."""

    @pytest.fixture
    def table(self) -> str:
        return f"t{uuid.uuid4().hex[:12]}"

    def test_sweep_removes_all_that_expired_a_minute_ago(
        self, backend: SQLBackend
    ) -> None:
        number = 2 * LARGEST_BATCH + 17
        self._fill(backend, number)
        backend.add("alive", b"x", 10 * MINUTE)

        self.clock.advance(MINUTE + SWEEP_MARGIN - 1)
        early = backend.sweep()
        self.clock.advance(1)
        removed = backend.sweep()

        assert (early, removed) == (0, number)
        assert backend.sweep() == 0
        assert backend.get("alive") is not None

    def test_sweep_removes_expired_members_and_then_their_index(
        self, backend: SQLBackend
    ) -> None:
        epoch = backend.index.epoch("left")
        backend.index.add("left", "one", epoch, MINUTE)
        self.clock.advance(DAY + SWEEP_MARGIN)
        stays = backend.index.epoch("stays")
        backend.index.add("stays", "one", stays, 3 * DAY)

        backend.sweep()

        assert backend.index.members("left", 9) == []
        assert backend.index.epoch("left") != epoch
        assert backend.index.epoch("stays") == stays

    def test_sweep_leaves_the_epoch_of_who_is_listed(self, backend: SQLBackend) -> None:
        epoch = backend.index.epoch("user")
        backend.index.add("user", "one", epoch, 30 * DAY)
        for _ in range(3):
            self.clock.advance(2 * DAY)

            backend.sweep()

            assert backend.index.head("user") == Head(epoch)
            assert backend.index.members("user", 9) == ["one"]

    def test_a_sweep_ends_where_most_epochs_are_still_needed(
        self, backend: SQLBackend
    ) -> None:
        names = [{"name": f"user:{n}"} for n in range(LARGEST_BATCH + 10)]
        present = {"epoch": "0123456789abcdef"}
        epoch = {**present, "kept": "", "expires": 0}
        member = {
            **present,
            "member": "one",
            "expires": int((self.clock() + DAY) * 1000),
        }
        insert(backend, backend._tables.epochs, [name | epoch for name in names])
        insert(backend, backend._tables.members, [name | member for name in names])
        sweep = threading.Thread(target=backend.sweep, daemon=True)

        sweep.start()
        sweep.join(20)

        assert not sweep.is_alive()
        assert backend.index.head("user:0") == Head("0123456789abcdef")

    def test_an_epoch_that_was_asked_for_outlives_the_next_sweeps(
        self, backend: SQLBackend
    ) -> None:
        epoch = backend.index.epoch("user")
        self.clock.advance(15 * MINUTE - 1)

        again = backend.index.epoch("user")
        self.clock.advance(5 * MINUTE)
        backend.sweep()

        assert again == epoch
        assert backend.index.add("user", "one", epoch, MINUTE)

    def test_an_epoch_that_nobody_binds_to_is_swept_after_minutes(
        self, backend: SQLBackend
    ) -> None:
        backend.index.epoch("stranger")
        self.clock.advance(16 * MINUTE + SWEEP_MARGIN)

        backend.sweep()

        assert backend.index.head("stranger") is None

    def test_saves_and_logins_go_on_during_a_sweep(self, backend: SQLBackend) -> None:
        self._fill(backend, 8 * LARGEST_BATCH)
        self.clock.advance(DAY)
        epoch = backend.index.epoch("user")
        version = backend.add("busy", b"x", MINUTE)
        sweep = threading.Thread(target=backend.sweep)

        sweep.start()
        saved = 0
        while sweep.is_alive():
            version = backend.swap("busy", b"x", version, MINUTE)
            backend.index.add("user", "busy", epoch, MINUTE)
            assert isinstance(version, int)
            saved += 1
        sweep.join()

        assert saved > 0
        assert backend.sweep() == 0

    def _fill(self, backend: SQLBackend, number: int) -> None:
        until = int((self.clock() + MINUTE) * 1000)
        row = {"version": 1, "data": b"x", "expires": until}
        rows = [{"id": f"expired:{n}", **row} for n in range(number)]
        insert(backend, backend._tables.cells, rows)


class Served(Shared):
    """What happens when a server closes connections, hangs, or is gone."""

    @pytest.fixture
    def url(self, server: SQLServer) -> str:
        return server.url

    def test_a_read_goes_on_when_the_server_has_closed_the_connection(
        self, server: SQLServer, backend: SQLBackend, key: str
    ) -> None:
        version = backend.add(key, b"x", MINUTE)
        close_connections(server)

        cell = backend.get(key)

        assert cell is not None
        assert isinstance(backend.swap(key, b"y", version, MINUTE), int)

    def test_a_write_on_a_closed_connection_is_an_error_and_not_repeated(
        self, server: SQLServer, backend: SQLBackend, key: str
    ) -> None:
        version = backend.add(key, b"x", MINUTE)
        close_connections(server)

        with pytest.raises(backend.errors):
            backend.swap(key, b"y", version, MINUTE)

        assert isinstance(backend.swap(key, b"y", version, MINUTE), int)

    def test_a_server_that_hangs_is_an_error_within_the_timeout(
        self, server: SQLServer, backend: SQLBackend, key: str
    ) -> None:
        version = backend.add(key, b"x", MINUTE)
        calls: list[Callable[[], object]] = [
            lambda: backend.get(key),
            lambda: backend.swap(key, b"y", version, MINUTE),
            lambda: backend.index.fence(key),
        ]
        for call in calls:
            backend.get(key)  # has a connection again

            with server.paused(), within(PATIENCE), pytest.raises(backend.errors):
                call()

    def test_connecting_to_a_server_that_hangs_ends_within_the_timeout(
        self, server: SQLServer, key: str
    ) -> None:
        backend = SQLBackend(server.url)

        with server.paused(), within(PATIENCE), pytest.raises(backend.errors):
            backend.get(key)

        assert backend.get(key) is None
        backend.close()

    def test_a_server_that_is_restarted_is_found_again(
        self, server: SQLServer, backend: SQLBackend, key: str
    ) -> None:
        backend.add(key, b"x", MINUTE)
        server.stop()
        with pytest.raises(backend.errors):
            backend.get(key)

        server.start()

        assert backend.get(key) is not None

    def test_a_wait_for_a_lock_ends_within_the_timeout(
        self, server: SQLServer, backend: SQLBackend, name: str
    ) -> None:
        epoch = backend.index.epoch(name)
        engine = sa.create_engine(server.url)
        with engine.begin() as other:
            other.execute(sa.update(backend._tables.epochs).values(kept="x"))

            with within(PATIENCE), pytest.raises(backend.errors):
                backend.index.add(name, "one", epoch, MINUTE)

        engine.dispose()
        assert backend.index.add(name, "one", epoch, MINUTE)

    def test_what_waited_for_a_lock_in_vain_is_not_done_later(
        self, server: SQLServer, backend: SQLBackend, key: str
    ) -> None:
        version = backend.add(key, b"x", MINUTE)
        cells = backend._tables.cells
        engine = sa.create_engine(server.url)
        with engine.begin() as other:
            is_locked = cells.c.id == key
            other.execute(sa.select(cells).where(is_locked).with_for_update())
            with pytest.raises(backend.errors):
                backend.swap(key, b"given up", version, MINUTE)
        engine.dispose()

        swapped = backend.swap(key, b"y", version, MINUTE)

        assert isinstance(swapped, int)

    def test_a_sweep_waits_for_no_row_that_others_have_locked(
        self, server: SQLServer, backend: SQLBackend
    ) -> None:
        for key in ("locked", "free"):
            backend.add(key, b"x", MINUTE)
        self.clock.advance(DAY)
        cells = backend._tables.cells
        engine = sa.create_engine(server.url)
        with engine.begin() as other:
            is_locked = cells.c.id == "locked"
            other.execute(sa.select(cells).where(is_locked).with_for_update())

            removed = backend.sweep()

        engine.dispose()
        assert removed == 1
        assert backend.sweep() == 1

    def test_no_error_shows_the_password_or_the_data(
        self, server: SQLServer, key: str
    ) -> None:
        secret = "hunter2"
        url = server.url.replace("not-a-secret", secret)
        backend = SQLBackend(url)

        with pytest.raises(backend.errors) as caught:
            backend.add(key, b"private", MINUTE)

        shown = f"{caught.value!r} {caught.value} {backend!r} {vars(backend)}"
        assert secret not in shown
        assert "private" not in shown


class TestSQLite(Shared, Sweeping):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/sessions.db"


class TestPostgreSQL(Served, Sweeping):
    @pytest.fixture
    def server(self, postgres_server: SQLServer) -> SQLServer:
        return postgres_server


class TestMariaDB(Served, Sweeping):
    @pytest.fixture
    def server(self, mariadb_server: SQLServer) -> SQLServer:
        return mariadb_server


class TestMySQLDialect(SQLContract):
    """The dialect for MySQL, which MariaDB understands."""

    @pytest.fixture
    def url(self, mariadb_server: SQLServer) -> str:
        return mariadb_server.url.replace("mariadb+pymysql", "mysql+pymysql")


@pytest.mark.parametrize("backend", ["postgres", "mariadb"], indirect=True)
def test_a_sweep_goes_on_after_an_idle_connection_was_closed(
    backend: SQLBackend, request: pytest.FixtureRequest
) -> None:
    server = request.node.callspec.params["backend"]
    backend.sweep()
    close_connections(request.getfixturevalue(f"{server}_server"))

    assert backend.sweep() == 0


def insert(backend: SQLBackend, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    backend.create_tables()
    with backend._database.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        connection.execute(sa.insert(table), rows)
        connection.exec_driver_sql("COMMIT")


def close_connections(server: SQLServer) -> None:
    """Let the server close all connections but our own."""
    engine = sa.create_engine(server.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        else:
            found = connection.exec_driver_sql(
                "SELECT id FROM information_schema.processlist"
                " WHERE id <> connection_id() AND db = database()"
            )
            for number in found.scalars().all():
                connection.exec_driver_sql(f"KILL {number}")
    engine.dispose()


def run_at_once(functions: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
