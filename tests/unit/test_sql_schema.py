"""An SQL backend checks its URL and tables, and repeats only what did nothing."""

from __future__ import annotations

import sqlite3
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from flask_srvsession.backends import backend_from_url
from flask_srvsession.backends.sql import SQLBackend
from flask_srvsession.errors import ConfigurationError
from tests.stopwatch import within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "hunter2"
MINUTE = 60
FULL, NORMAL = 2, 1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def backend(file: Path) -> Iterator[SQLBackend]:
    backend = SQLBackend(f"sqlite:///{file}")
    yield backend
    backend.close()


def tables_in(file: Path) -> set[str]:
    with sqlite3.connect(file) as database:
        found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        names = {name for (name,) in found}
    database.close()
    return names


def execute(file: Path, script: str) -> None:
    database = sqlite3.connect(file)
    database.executescript(script)
    database.close()


class Interference:
    """Fails statements of a backend that begin with a word, for as long as told."""

    def __init__(self, backend: SQLBackend) -> None:
        self.executed: list[str] = []
        self._failures: dict[str, list[OperationalError]] = {}
        engine = backend._database.engine
        sa.event.listen(engine, "before_cursor_execute", self._before)

    def fail(self, word: str, *failures: OperationalError) -> None:
        self._failures[word] = list(failures)

    def count(self, word: str) -> int:
        return self.executed.count(word)

    def _before(self, connection: Any, cursor: Any, text: str, *rest: Any) -> None:
        word = text.split()[0]
        self.executed.append(word)
        if failures := self._failures.get(word):
            raise failures.pop()


class Deadlock(Exception):
    """What a driver for PostgreSQL raises."""

    sqlstate = "40P01"


def deadlock() -> OperationalError:
    return OperationalError("", {}, Deadlock())


def closed() -> OperationalError:
    return OperationalError("", {}, Exception("closed"), connection_invalidated=True)


# The URL


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:///x.db", "pysqlite"),
        ("SQLite:///x.db", "pysqlite"),
        ("sqlite+pysqlite:///x.db", "pysqlite"),
        ("postgresql://host/db", "psycopg"),
        ("postgresql+psycopg://host/db", "psycopg"),
        ("mysql://host/db", "pymysql"),
        ("mysql+pymysql://host/db", "pymysql"),
        ("mariadb://host/db", "pymysql"),
        ("mariadb+pymysql://host/db", "pymysql"),
    ],
)
def test_a_url_chooses_database_and_driver(url: str, driver: str) -> None:
    backend: Any = backend_from_url(url)

    assert isinstance(backend, SQLBackend)
    assert backend._database.engine.dialect.driver == driver


def test_a_url_may_name_table_and_timeout(file: Path) -> None:
    url = f"sqlite:///{file}?srvsession_table=logins&srvsession_timeout=0.25"
    backend = SQLBackend.from_url(url)

    backend.add("key", b"x", MINUTE)

    assert backend._database._timeout == 0.25
    assert tables_in(file) >= {"logins", "logins_epochs", "logins_members"}
    backend.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"postgresql://user:{SECRET}@host:port/db", "cannot be understood"),
        (f"postgresql+nothing://user:{SECRET}@host/db", "is not known to SQLAlchemy"),
        (f"mysql+aiomysql://user:{SECRET}@host/db", "for asyncio"),
        (f"mysql://user:{SECRET}@host/db?srvsession_tabel=x", "srvsession_table"),
        (f"mysql://user:{SECRET}@host/db?srvsession_timeout=x", "must be a number"),
        (f"mysql://user:{SECRET}@host/db?srvsession_table=a-b", "letters, digits"),
    ],
)
def test_a_url_that_cannot_work_is_refused_without_its_password(
    url: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        backend_from_url(url)

    assert SECRET not in str(caught.value)


def test_other_databases_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="not for oracle"):
        SQLBackend(f"oracle://user:{SECRET}@host/db")


@pytest.mark.parametrize(
    ("url", "module", "package"),
    [
        ("postgresql://h/d", "psycopg", "psycopg[binary]"),
        ("mysql://h/d", "pymysql", "pymysql"),
        ("mysql+mysqldb://h/d", "MySQLdb", "mysqlclient"),
    ],
)
def test_a_missing_driver_names_its_package_and_the_extra(
    url: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ConfigurationError) as refused:
        backend_from_url(url)

    command = f'pip install "flask_srvsession[sql]" "{package}"'
    assert str(refused.value).endswith(command)


def test_missing_sqlalchemy_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "sqlalchemy"]:
        monkeypatch.delitem(sys.modules, name)
    ours = "flask_srvsession.backends.sql"
    for name in [n for n in sys.modules if f"{n}.".startswith(f"{ours}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)

    with pytest.raises(ConfigurationError, match=r"flask_srvsession\[sql\]"):
        backend_from_url("sqlite://")


@pytest.mark.parametrize("version", ["1.4.54", "2.0.42", "2.0.9b1"])
def test_an_older_sqlalchemy_is_named_with_its_version(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    ours = "flask_srvsession.backends.sql"
    for name in [n for n in sys.modules if f"{n}.".startswith(f"{ours}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sa, "__version__", version)

    with pytest.raises(ConfigurationError, match=f"2.0.43 or later, not {version}"):
        backend_from_url("sqlite://")


# The tables


def test_the_tables_are_created_at_first_use(file: Path, backend: SQLBackend) -> None:
    assert not file.exists()

    assert backend.get("key") is None

    assert tables_in(file) == {
        "srvsession",
        "srvsession_epochs",
        "srvsession_members",
        "srvsession_layout",
    }


def test_what_ddl_returns_creates_what_the_backend_creates(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.db", tmp_path / "theirs.db"
    backend = SQLBackend(f"sqlite:///{ours}")
    backend.create_tables()

    execute(theirs, backend.ddl())

    def schema(file: Path) -> dict[str, list[str]]:
        database = sqlite3.connect(file)
        found = database.execute("SELECT name, sql FROM sqlite_master").fetchall()
        database.close()
        return {name: (sql or "").split() for name, sql in found}

    assert schema(ours) == schema(theirs)
    backend.close()


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("postgresql://h/d", ['VARCHAR(200) COLLATE "C"', "data BYTEA"]),
        ("mysql://h/d", ["ascii_bin", "data LONGBLOB", "ENGINE=InnoDB"]),
        ("mariadb://h/d", ["ascii_bin", "data LONGBLOB", "ENGINE=InnoDB"]),
    ],
)
def test_ddl_needs_no_server_and_compares_ids_exactly(
    url: str, parts: list[str]
) -> None:
    script = SQLBackend(url, table="web.login").ddl()

    assert [part for part in parts if part not in script] == []
    assert "CREATE TABLE web.login (" in script
    assert "INSERT INTO web.login_layout (version) VALUES (2);\n" in script


def test_tables_of_two_names_share_nothing(file: Path, backend: SQLBackend) -> None:
    other = SQLBackend(f"sqlite:///{file}", table="other")
    backend.add("key", b"x", MINUTE)

    found = other.get("key")

    assert found is None
    other.close()


def test_a_creation_that_was_cut_short_is_completed(
    file: Path, backend: SQLBackend
) -> None:
    execute(file, backend.ddl())
    execute(file, "DROP TABLE srvsession_members; DELETE FROM srvsession_layout;")

    done = backend.index.add("user", "one", backend.index.epoch("user"), MINUTE)

    assert done


def test_tables_of_another_layout_are_refused_and_left_alone(
    file: Path, backend: SQLBackend
) -> None:
    execute(file, backend.ddl())
    execute(file, "UPDATE srvsession_layout SET version = 7; DROP TABLE srvsession;")
    before = tables_in(file)

    for call in (lambda: backend.get("key"), backend.create_tables, backend.sweep):
        with pytest.raises(ConfigurationError, match=r"layout 7.*layout 2.*Migrate"):
            call()

    assert tables_in(file) == before


def test_a_table_that_disappears_is_an_error(file: Path, backend: SQLBackend) -> None:
    backend.add("key", b"x", MINUTE)
    execute(file, "DROP TABLE srvsession")

    with pytest.raises(backend.errors):
        backend.get("key")


def test_an_error_shows_no_parameter(file: Path, backend: SQLBackend) -> None:
    backend.get("the-key")
    execute(file, "DROP TABLE srvsession")

    with pytest.raises(backend.errors) as caught:
        backend.add("the-key", b"private", MINUTE)

    shown = f"{caught.value!r} {caught.value}"
    assert "the-key" not in shown
    assert "private" not in shown


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    backend = SQLBackend(f"sqlite:///{tmp_path}/missing/sessions.db")

    with pytest.raises(ConfigurationError, match=r"missing/sessions\.db.*directory"):
        backend.get("key")


def test_a_file_that_may_not_be_changed_is_named(file: Path) -> None:
    execute(file, "PRAGMA journal_mode = WAL; CREATE TABLE other (x)")
    backend = SQLBackend(f"sqlite:///file:{file}?mode=ro&uri=true")

    with pytest.raises(ConfigurationError, match=r"sessions\.db.*may this user write"):
        backend.get("key")

    backend.close()


# SQLite


def test_a_file_that_was_replaced_is_not_used_any_more(
    file: Path, backend: SQLBackend
) -> None:
    """Nobody else would see what was changed in it, a logout for example."""
    backend.add("key", b"old", MINUTE)
    for left in file.parent.glob(f"{file.name}*"):
        left.unlink()
    other = SQLBackend(f"sqlite:///{file}")
    other.add("key", b"new", MINUTE)

    cell = backend.get("key")

    assert cell is not None
    assert cell.data == b"new"
    other.close()


def test_connections_to_sqlite_use_wal_and_foreign_keys(backend: SQLBackend) -> None:
    backend.create_tables()

    with backend._database.engine.connect() as connection:
        names = ("journal_mode", "foreign_keys", "busy_timeout")
        values = [connection.exec_driver_sql(f"PRAGMA {n}").scalar() for n in names]

    assert values == ["wal", 1, 1000]


def test_what_ends_a_session_waits_for_the_disk(backend: SQLBackend) -> None:
    def synchronous() -> int:
        with backend._database.engine.connect() as connection:
            level: int = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
            return level

    backend.add("key", b"x", MINUTE)
    saved = synchronous()
    backend.delete("key")
    deleted = synchronous()
    assert (saved, deleted) == (NORMAL, FULL)


def test_a_database_in_memory_is_one_for_all_threads() -> None:
    backend = SQLBackend("sqlite://")
    backend.add("key", b"x", MINUTE)
    found: list[object] = []

    thread = threading.Thread(target=lambda: found.append(backend.get("key")))
    thread.start()
    thread.join()

    assert found[0] is not None
    assert (backend.shared, backend.evicts) == (False, False)
    backend.close()


def test_a_locked_database_is_waited_for(file: Path, backend: SQLBackend) -> None:
    token = backend.add("key", b"x", MINUTE)
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.2, lambda: other.execute("COMMIT")).start()

    swapped = backend.swap("key", b"y", token, MINUTE)

    assert isinstance(swapped, int)
    other.close()


def test_a_database_that_stays_locked_is_an_error_after_a_second(
    file: Path, backend: SQLBackend
) -> None:
    token = backend.add("key", b"x", MINUTE)
    epoch = backend.index.epoch("user")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    calls: list[Callable[[], object]] = [
        lambda: backend.swap("key", b"y", token, MINUTE),
        lambda: backend.index.add("user", "one", epoch, MINUTE),
    ]

    for call in calls:
        with within(2.5), pytest.raises(backend.errors):
            call()
    readable = backend.get("key")

    other.execute("ROLLBACK")
    other.close()
    assert readable is not None
    assert backend.index.add("user", "one", epoch, MINUTE)


# What is repeated


def test_reading_writes_nothing(backend: SQLBackend) -> None:
    backend.add("key", b"x", MINUTE)
    backend.index.epoch("user")
    interference = Interference(backend)

    backend.get("key")
    backend.index.epoch("user")
    backend.index.head("user")
    backend.index.members("user", 9)

    assert {*interference.executed} - {"PRAGMA"} == {"SELECT"}
    assert interference.count("SELECT") == 4


def test_a_read_is_repeated_on_a_fresh_connection(backend: SQLBackend) -> None:
    backend.add("key", b"x", MINUTE)
    interference = Interference(backend)
    interference.fail("SELECT", closed())

    found = backend.get("key")

    assert found is not None
    assert interference.count("SELECT") == 2


def test_a_write_on_a_closed_connection_is_not_repeated(backend: SQLBackend) -> None:
    token = backend.add("key", b"x", MINUTE)
    interference = Interference(backend)
    interference.fail("INSERT", closed())
    interference.fail("UPDATE", closed())

    with pytest.raises(OperationalError):
        backend.add("other", b"x", MINUTE)
    with pytest.raises(OperationalError):
        backend.swap("key", b"y", token, MINUTE)

    assert (interference.count("INSERT"), interference.count("UPDATE")) == (1, 1)


def test_what_the_database_has_undone_is_repeated(backend: SQLBackend) -> None:
    token = backend.add("key", b"x", MINUTE)
    epoch = backend.index.epoch("user")
    interference = Interference(backend)
    interference.fail("UPDATE", deadlock(), deadlock(), deadlock())

    swapped = backend.swap("key", b"y", token, MINUTE)
    interference.fail("INSERT", deadlock())
    added = backend.index.add("user", "one", epoch, MINUTE)

    assert isinstance(swapped, int)
    assert added
    assert backend.index.members("user", 9) == ["one"]


def test_repeating_ends(backend: SQLBackend) -> None:
    token = backend.add("key", b"x", MINUTE)
    interference = Interference(backend)
    interference.fail("UPDATE", *(deadlock() for _ in range(100)))

    with pytest.raises(OperationalError):
        backend.swap("key", b"y", token, MINUTE)

    assert interference.count("UPDATE") < 10
