"""Connections to PostgreSQL: few, and behind PgBouncer, where each transaction may get
another one of the server's."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy as sa

from flask_srvsession import session
from flask_srvsession.backends.sql import SQLBackend
from tests.servers import PATIENCE
from tests.sql_servers import DATABASE, PASSWORD, USER, running_pgbouncer
from tests.web import Browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import MakeApp
    from tests.sql_servers import SQLServer

CLIENTS = 150
POOL = 10


@pytest.fixture(scope="module")
def pgbouncer(postgres_server: SQLServer) -> Iterator[SQLServer]:
    with running_pgbouncer(postgres_server, "default_pool_size = 3") as server:
        yield server


@pytest.fixture
def backend(pgbouncer: SQLServer) -> Iterator[SQLBackend]:
    backend = SQLBackend(
        pgbouncer.url, table="bounced", timeout=PATIENCE, pool_timeout=PATIENCE
    )
    yield backend
    backend.close()


def visit(browser: Browser) -> set[int]:
    """Log in, look around, log out; return the statuses."""

    def add() -> None:
        session["n"] = session.get("n", 0) + 1

    statuses = {browser.set(user_id=7).status_code}
    for _ in range(5):
        statuses |= {browser.do(add).status_code}
    assert browser.values()["n"] == 5
    return statuses | {browser.do(lambda: session.destroy()).status_code}


def test_pgbouncer_by_transactions_serves_all(
    make_app: MakeApp, backend: SQLBackend
) -> None:
    """Prepared statements, and what is set for a connection, would be met by others."""
    app = make_app(TESTING=False)

    with ThreadPoolExecutor(8) as pool:
        statuses = set().union(*pool.map(visit, [Browser(app) for _ in range(40)]))

    assert statuses == {200}


def test_nothing_of_ours_leaks_to_other_clients_of_the_pool(
    make_app: MakeApp, backend: SQLBackend, pgbouncer: SQLServer
) -> None:
    app = make_app(TESTING=False)
    visit(Browser(app))
    settings = ("statement_timeout", "lock_timeout", "transaction_isolation")

    with psycopg.connect(
        host=pgbouncer.host,
        port=pgbouncer.port,
        user=USER,
        password=PASSWORD,
        dbname=DATABASE,
        autocommit=True,
    ) as other:
        other.prepare_threshold = None
        met: set[tuple[str, Any]] = set()
        for _ in range(20):
            visit(Browser(app))
            for setting in settings:
                met.add((setting, told(other, f"SHOW {setting}")))
            count = "SELECT count(*) FROM pg_prepared_statements"
            met.add(("prepared", told(other, count)))

    assert met == {
        ("statement_timeout", "0"),
        ("lock_timeout", "0"),
        ("transaction_isolation", "read committed"),
        ("prepared", 0),
    }


def told(connection: psycopg.Connection[Any], statement: str) -> Any:
    row = connection.execute(statement.encode()).fetchone()
    return row and row[0]


GEVENT = """
from gevent import monkey; monkey.patch_all()
import json, sys
from collections import Counter
import gevent
from flask import Flask
from flask_srvsession import ServerSession, session

app = Flask(__name__)
app.config.update(SECRET_KEY="a long random text", SRVSESSION_BACKEND=sys.argv[1])
ServerSession(app)

@app.get("/")
def home():
    session["n"] = session.get("n", 0) + 1
    return str(session["n"])

def visit(_):
    browser = app.test_client()
    return [browser.get("/").status_code for _ in range(2)]

clients = [gevent.spawn(visit, n) for n in range(int(sys.argv[2]))]
gevent.joinall(clients, timeout=60)
print(json.dumps(Counter(code for each in clients for code in each.get(block=False))))
sys.stdout.flush()
sys.stdin.read()  # the connections stay open
"""


def test_a_gevent_worker_opens_no_more_connections_than_its_pool_has(
    postgres_server: SQLServer,
) -> None:
    """All of its clients are answered: they take turns."""
    options = f"?srvsession_pool_size={POOL}&srvsession_pool_timeout=30"
    options += f"&srvsession_timeout={PATIENCE}&srvsession_table=pooled"
    name = "&application_name=pooled"
    command = [sys.executable, "-c", GEVENT]
    command += [postgres_server.url + options + name, str(CLIENTS)]

    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        codes = json.loads(worker.stdout.readline())
        engine = sa.create_engine(postgres_server.url)
        with engine.connect() as connection:
            count = "SELECT count(*) FROM pg_stat_activity"
            count += " WHERE application_name = 'pooled'"
            opened = connection.exec_driver_sql(count).scalar_one()
        engine.dispose()
        worker.stdin.close()

    assert codes == {"200": 2 * CLIENTS}
    assert 1 <= opened <= POOL
