"""Sessions in a database: its tables, what the commands say of it, and its outages."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from flask import Flask

from flask_srvsession import session
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.backends.sql import SQLBackend
from flask_srvsession.testing import FakeClock
from tests.sql_servers import executed
from tests.web import Browser

from ..cli.run import SAFE, flask, printed
from ..devices import DAY, alive, found, result_of, sessions, signed_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import MakeApp
    from tests.sql_servers import SQLServer

MINUTE = 60
ON_ONE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
"""For tests that bring a database of their own."""
ON_SERVERS = pytest.mark.parametrize("url", ["postgres", "mariadb"], indirect=True)

CREATED, THERE = "The tables were created.\n", "The tables are there.\n"


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of each database in turn, with tables of this test's own."""
    server = request.getfixturevalue(f"{request.param}_server")
    return f"{server.url}?srvsession_table=t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def backend(url: str) -> Iterator[SQLBackend]:
    backend = SQLBackend.from_url(url)
    yield backend
    backend.close()


@pytest.fixture
def app(backend: SQLBackend, make_app: MakeApp, clock: FakeClock) -> Flask:
    backend._clock = backend.index._clock = clock
    return make_app(backend, **SAFE)


@pytest.fixture
def table(backend: SQLBackend) -> str:
    return backend._tables.name


@contextmanager
def stopped(server: SQLServer) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


def run_sql(backend: SQLBackend, script: str) -> None:
    for statement in filter(None, script.split(";\n")):
        executed(backend, sa.text(statement))


def tables_of(backend: SQLBackend) -> set[str]:
    """Return which tables of this backend there are."""
    with backend._database.engine.connect() as connection:
        names = set(sa.inspect(connection).get_table_names())
    return names & {table.name for table in backend._tables.all}


def problems(app: Flask) -> dict[str, str]:
    found = printed(app, "check")
    return {f["key"]: f["problem"] for f in found if f["severity"] != "info"}


class TestCreateTables:
    def test_creates_them_once(self, app: Flask, backend: SQLBackend) -> None:
        before = tables_of(backend)

        first, second = flask(app, "create-tables"), flask(app, "create-tables")

        assert before == set()
        assert len(tables_of(backend)) == 4
        assert [first.stdout, second.stdout] == [CREATED, THERE]
        assert [first.exit_code, second.exit_code] == [0, 0]

    def test_sql_prints_statements_that_create_the_same(
        self, app: Flask, backend: SQLBackend
    ) -> None:
        result = flask(app, "create-tables", "--sql")
        assert tables_of(backend) == set()

        run_sql(backend, result.stdout)

        assert flask(app, "create-tables").stdout == THERE
        assert alive(signed_in(app)) == [True]

    @ON_ONE
    def test_sql_needs_no_database(self, make_app: MakeApp) -> None:
        url = "postgresql://user:secret@server.invalid/shop"
        app = make_app(SQLBackend(url, table="web.login"))

        result = flask(app, "create-tables", "--sql")

        assert result.exit_code == 0
        assert result.stdout.startswith("CREATE TABLE web.login (")
        assert "secret" not in result.output

    def test_tables_of_another_version_are_left_alone(
        self, app: Flask, backend: SQLBackend, table: str
    ) -> None:
        flask(app, "create-tables")
        run_sql(backend, f"UPDATE {table}_layout SET version = 7")

        result = flask(app, "create-tables")

        assert result.exit_code == 3
        assert "layout 7" in result.stderr
        assert "layout 2" in result.stderr

    @pytest.mark.parametrize("command", ["create-tables", "list user_id=42", "check"])
    def test_a_table_of_somebody_else_is_left_alone_and_named(
        self, app: Flask, backend: SQLBackend, table: str, command: str
    ) -> None:
        run_sql(backend, f"CREATE TABLE {table} (id INTEGER, name VARCHAR(9))")

        result = flask(app, *command.split())

        assert result.exit_code == (1 if command == "check" else 3)
        assert f"a table {table} which is not one of ours" in result.output
        assert "Give the session tables another name" in result.output
        assert "create-tables" not in result.output

    @ON_SERVERS
    @pytest.mark.parametrize("command", ["create-tables", "list user_id=42"])
    def test_a_schema_that_does_not_exist_is_named(
        self, backend: SQLBackend, make_app: MakeApp, command: str
    ) -> None:
        elsewhere = SQLBackend(backend._database.url, table="nowhere.sessions")

        result = flask(make_app(elsewhere), *command.split())

        assert result.exit_code == 3
        assert "There is no schema nowhere in this database" in result.output
        assert "Create the schema" in result.output
        assert "run flask sessions create-tables" not in result.output
        elsewhere.close()

    def test_what_disappeared_is_not_created_silently(
        self, app: Flask, backend: SQLBackend, table: str
    ) -> None:
        """A session that is not listed any more could not be ended."""
        signed_in(app)
        run_sql(backend, f"DROP TABLE {table}_members")

        result = flask(app, "create-tables")

        assert result.exit_code == 3
        assert f"{table}_members disappeared" in result.stderr
        assert "log everybody out" in result.stderr

    @pytest.mark.parametrize("url", ["postgres"], indirect=True)
    def test_by_another_user_lets_an_app_work_that_may_create_none(
        self, backend: SQLBackend, table: str, make_app: MakeApp
    ) -> None:
        role = f"app_{table}"
        run_sql(backend, f"CREATE ROLE {role} LOGIN PASSWORD 'pw'")
        url = backend._database.url.set(username=role, password="pw")
        humble = SQLBackend(url, table=table)
        app = make_app(humble)

        refused = flask(app, "create-tables")
        backend.create_tables()
        for name in backend._tables.all:
            run_sql(backend, f"GRANT ALL ON {name.fullname} TO {role}")

        assert refused.exit_code == 3
        assert "as a user who may" in refused.stderr
        assert flask(app, "create-tables").stdout == THERE
        assert alive(signed_in(app)) == [True]
        humble.close()

    @ON_ONE
    @pytest.mark.parametrize("options", [[], ["--sql"]], ids=["", "--sql"])
    def test_another_storage_needs_none(
        self, make_app: MakeApp, options: list[str]
    ) -> None:
        app = make_app(MemoryBackend())

        result = flask(app, "create-tables", *options)

        assert result.exit_code == 2
        assert "in a MemoryBackend, which needs no tables" in result.stderr
        assert result.stdout == ""


class TestCheck:
    def test_of_missing_tables_says_so_and_creates_none(
        self, app: Flask, backend: SQLBackend
    ) -> None:
        result = flask(app, "check")

        assert result.exit_code == 1
        assert "error: srvsession_table\n" in result.stdout
        assert "-> Run: flask sessions create-tables" in result.stdout
        assert tables_of(backend) == set()

    def test_of_tables_that_are_there_finds_nothing_about_them(
        self, app: Flask
    ) -> None:
        flask(app, "create-tables")

        assert problems(app) == {}

    @pytest.mark.parametrize(
        ("damage", "problem"),
        [
            ("UPDATE {}_layout SET version = 7", "layout 7"),
            ("DROP TABLE {}_members", "disappeared"),
        ],
    )
    def test_of_tables_that_cannot_be_used_says_why(
        self, app: Flask, backend: SQLBackend, table: str, damage: str, problem: str
    ) -> None:
        flask(app, "create-tables")
        run_sql(backend, damage.format(table))

        assert problem in problems(app)["srvsession_table"]

    def test_notices_that_nobody_sweeps(
        self, app: Flask, backend: SQLBackend, clock: FakeClock
    ) -> None:
        for number in range(3):
            backend.add(f"{number}", b"x", MINUTE)
        clock.advance(DAY)
        assert "sweep" not in problems(app)

        clock.advance(2 * DAY)
        before = problems(app)["sweep"]
        swept = printed(app, "sweep")

        assert "3 expired records" in before
        assert "3 days, 0:00:00" in before or "2 days, 23:59:00" in before
        assert swept == {"removed": 3}
        assert "sweep" not in problems(app)

    @ON_ONE
    def test_and_stats_end_with_3_where_the_database_cannot_be_reached(
        self, make_app: MakeApp, tmp_path: Path
    ) -> None:
        app = make_app(SQLBackend(f"sqlite:///{tmp_path}/missing/sessions.db"), **SAFE)

        results = [flask(app, command) for command in ("check", "stats", "sweep")]

        assert [result.exit_code for result in results] == [3, 3, 3]
        assert all("cannot be opened" in result.output for result in results)


class TestStats:
    def test_count_what_lives_what_expired_and_who_is_listed(
        self, app: Flask, backend: SQLBackend, clock: FakeClock
    ) -> None:
        for number in range(3):
            backend.add(f"{number}", b"x", MINUTE)
        clock.advance(MINUTE)
        signed_in(app, 42, 2)

        stats = printed(app, "stats")

        assert stats == {
            "backend": "SQLBackend",
            "items": 3,  # two sessions, and the marker of the secret key
            "expired": 3,
            "members": 2,
        }

    def test_are_empty_without_tables(self, app: Flask, backend: SQLBackend) -> None:
        assert printed(app, "stats") == {"backend": "SQLBackend"}
        assert tables_of(backend) == set()


class Statements:
    """What a backend executes, from now on."""

    def __init__(self, backend: SQLBackend) -> None:
        self.executed: list[tuple[str, Any]] = []
        self._engine = backend._database.engine
        sa.event.listen(self._engine, "before_cursor_execute", self._note)

    def taken(self) -> list[str]:
        """Return the first words of what was executed since the last time."""
        words = [text.split()[0] for text, _ in self.executed]
        self.executed.clear()
        return [word for word in words if word != "PRAGMA"]

    def plans(self) -> dict[str, list[str]]:
        """Return for each statement how the database finds its rows."""
        found = {
            text: values
            for text, values in self.executed
            if text.startswith(("SELECT", "UPDATE", "DELETE"))
        }
        with self._engine.connect() as connection:
            return {text: plan(connection, text, found[text]) for text in found}

    def _note(
        self, connection: Any, cursor: Any, text: str, values: Any, *rest: Any
    ) -> None:
        self.executed.append((text, values))


def plan(connection: sa.Connection, statement: str, values: Any) -> list[str]:
    """Return the steps in which rows are looked for."""
    kind = connection.dialect.name
    explain = "EXPLAIN QUERY PLAN" if kind == "sqlite" else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{explain} {statement}", values).mappings()
    if kind == "sqlite":
        return [row["detail"] for row in rows]
    if kind == "postgresql":
        return [row["QUERY PLAN"] for row in rows if "Scan" in row["QUERY PLAN"]]
    return [row["type"] or row["Extra"] for row in rows]


def goes_by_key(step: str) -> bool:
    return (
        "=?" in step  # SQLite
        or "TEMP B-TREE" in step  # a sort of what was found so
        or "LIST SUBQUERY" in step
        or "CONSTANT ROWS" in step  # what it was given
        or "Index" in step  # PostgreSQL
        or "Bitmap Heap Scan" in step  # of what an index scan below has found
        or step in ("const", "ref", "range")  # MariaDB
        or "const tables" in step
    )


class TestCost:
    @pytest.fixture
    def filled(self, app: Flask, backend: SQLBackend) -> Flask:
        """An app among so many sessions that indexes are worth using."""
        backend.get("warm")
        tables, ends = backend._tables, int((backend._clock() + DAY) * 1000)
        many = range(3000)
        common = {"expires": ends}
        cell = common | {"version": 1, "data": b"x"}
        executed(backend, sa.insert(tables.cells), [cell | {"id": n} for n in many])
        epoch = common | {"epoch": "e", "kept": ""}
        executed(backend, sa.insert(tables.epochs), [epoch | {"name": n} for n in many])
        member = common | {"member": "m"}
        executed(
            backend, sa.insert(tables.members), [member | {"name": n} for n in many]
        )
        for table in tables.all:
            if (kind := backend._database.engine.dialect.name) != "sqlite":
                what = "TABLE " if kind == "mariadb" else ""
                executed(backend, sa.text(f"ANALYZE {what}{table.fullname}"))
        return app

    def test_of_a_request_is_a_statement_for_each_thing_it_does(
        self, app: Flask, backend: SQLBackend
    ) -> None:
        browser = Browser(app)
        Browser(app).set(a=1)
        statements = Statements(backend)
        acts = {
            "begin": lambda: session.update(a=1),
            "nothing": lambda: None,
            "come back": lambda: str(session["a"]),
            "read": lambda: str(session["a"]),
            "change": lambda: session.update(a=session["a"] + 1),
            "log out": lambda: session.destroy(),
        }

        taken = {}
        for name, act in acts.items():
            browser.do(act)
            taken[name] = statements.taken()

        assert taken == {
            "begin": ["INSERT"],
            "nothing": [],
            "come back": ["SELECT", "UPDATE"],
            "read": ["SELECT"],
            "change": ["SELECT", "UPDATE"],
            "log out": ["SELECT", "DELETE"],
        }

    def test_of_a_list_of_devices_is_two_statements(
        self, app: Flask, backend: SQLBackend
    ) -> None:
        signed_in(app, 42, 5)
        statements = Statements(backend)

        assert len(found(app)) == 5

        assert statements.taken() == ["SELECT", "SELECT"]

    def test_of_no_request_grows_with_the_tables(
        self, filled: Flask, backend: SQLBackend
    ) -> None:
        statements = Statements(backend)
        browser, *_ = signed_in(filled, 42, 3)
        browser.do(lambda: session.update(a=len(session)))
        browser.do(lambda: session.rotate())
        found(filled)
        result_of(browser, lambda: sessions.revoke_all(user_id=42, keep_current=True))
        browser.do(lambda: session.destroy())

        plans = statements.plans()

        others = {s: p for s, p in plans.items() if not all(map(goes_by_key, p))}
        assert others == {}
        assert len(plans) >= 9
        assert all(plans.values())


class TestOutage:
    @pytest.fixture
    def server(self, url: str, request: pytest.FixtureRequest) -> SQLServer:
        kind = request.node.callspec.params["url"]
        server: SQLServer = request.getfixturevalue(f"{kind}_server")
        return server

    @ON_SERVERS
    def test_of_the_server_is_a_503_and_loses_nothing(
        self, app: Flask, server: SQLServer
    ) -> None:
        [browser] = signed_in(app)
        browser.set(cart=["book"])
        cookie = browser.client.get_cookie("__Host-session")

        with stopped(server):
            answers = [
                browser.do(len_of_session),
                browser.set(cart=[]),
                browser.do(lambda: session.destroy()),
                browser.do(lambda: "untouched"),
            ]

        assert [answer.status_code for answer in answers] == [503, 503, 503, 200]
        assert browser.client.get_cookie("__Host-session") == cookie
        assert browser.values() == {"user_id": 42, "cart": ["book"]}

    def test_while_a_table_is_missing_is_a_503_that_says_so_in_the_log(
        self,
        app: Flask,
        backend: SQLBackend,
        table: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        [browser] = signed_in(app)

        run_sql(backend, f"ALTER TABLE {table} RENAME TO {table}_aside")
        answers = [browser.do(len_of_session).status_code for _ in range(3)]
        run_sql(backend, f"ALTER TABLE {table}_aside RENAME TO {table}")

        assert answers == [503, 503, 503]
        assert f"Of the session tables, {table} disappeared" in caplog.text
        assert browser.values() == {"user_id": 42}

    def test_by_tables_of_another_version_is_a_503_that_says_so_in_the_log(
        self, app: Flask, backend: SQLBackend, caplog: pytest.LogCaptureFixture
    ) -> None:
        backend.create_tables()
        run_sql(backend, f"UPDATE {backend._tables.name}_layout SET version = 7")

        answer = Browser(app).set(a=1)

        assert answer.status_code == 503
        assert "layout 7" in caplog.text
        assert "layout 2" in caplog.text

    def test_by_an_empty_database_logs_everybody_out_and_goes_on(
        self, app: Flask, backend: SQLBackend
    ) -> None:
        [browser] = signed_in(app)
        for table in reversed(backend._tables.all):
            run_sql(backend, f"DROP TABLE {table.fullname}")
        browser.do(len_of_session)  # a 503 where it is too late to try again

        assert browser.values() == {}
        assert alive(signed_in(app)) == [True]


class TestSQLiteFile:
    """Another process may replace the file while connections to it are open."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "sessions.db"

    @pytest.fixture
    def url(self, file: Path) -> str:
        return f"sqlite:///{file}"

    def test_that_was_deleted_is_not_used_any_more(
        self, app: Flask, file: Path
    ) -> None:
        """Else this process would see sessions that no other one could end."""
        [browser] = signed_in(app)
        for path in file.parent.glob("sessions.db*"):
            path.unlink()
        browser.do(len_of_session)  # a 503 where it is too late to try again

        assert browser.values() == {}
        assert file.exists()

    def test_that_comes_back_has_all_its_sessions(self, app: Flask, file: Path) -> None:
        [browser] = signed_in(app)
        aside = file.parent / "aside"
        aside.mkdir()

        for path in file.parent.glob("sessions.db*"):
            path.rename(aside / path.name)
        browser.do(len_of_session)
        for path in aside.iterdir():
            path.replace(file.parent / path.name)

        assert browser.values() == {"user_id": 42}


def len_of_session() -> str:
    return str(len(session))
