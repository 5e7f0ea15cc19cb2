"""``flask sessions check`` on storages that work by halves, and a user with few rights.

It does what sessions do, once, and says what the storage refuses.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
import sqlalchemy as sa
from flask import Flask

from flask_srvsession import ServerSession, session
from flask_srvsession.backends import Cell
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.commands.rehearsal import rehearse
from tests.servers import Server, patient, running_memcached, running_redis
from tests.sql_servers import DATABASE, PASSWORD, USER, SQLServer
from tests.web import Browser

from .run import SAFE, flask, printed

if TYPE_CHECKING:
    from flask_srvsession.testing import FakeClock

SECRET = "a secret key that is only used by these tests"
ALL = "allchannels allkeys +@all"
HOWTO = Path(__file__).parents[3] / "docs" / "howto" / "redis.md"

sessions = ServerSession()


def make_app(url: str, **config: Any) -> Flask:
    """Make an app that is ready for production but for its storage."""
    app = Flask("shop")
    app.config.update(SAFE, SECRET_KEY=SECRET, SRVSESSION_BACKEND=url, **config)
    sessions.init_app(app)
    return app


def close(app: Flask) -> None:
    app.extensions["srvsession"].backend.close()


@contextmanager
def redis_user(directory: Path, *rights: str) -> Iterator[str]:
    with running_redis(directory) as server:
        with redis.Redis(server.host, server.port) as admin:
            admin.execute_command("ACL", "SETUSER", "app", "on", ">hunter2", *rights)
        yield patient(server.url.replace("//", "//app:hunter2@"))


@contextmanager
def redis_with(directory: Path, *options: str) -> Iterator[str]:
    with running_redis(directory, *options) as server:
        yield patient(server.url)


@contextmanager
def redis_database(directory: Path) -> Iterator[str]:
    with running_redis(directory, "--databases", "2") as server:
        yield patient(server.url.removesuffix("/0") + "/7")


@contextmanager
def redis_replica(directory: Path, *rights: str) -> Iterator[str]:
    """A replica whose user may not ask for its role."""
    (directory / "a").mkdir()
    (directory / "b").mkdir()
    with running_redis(directory / "a") as one:
        options = ["--replicaof", one.host, str(one.port)]
        with running_redis(directory / "b", *options) as two:
            with redis.Redis(two.host, two.port) as admin:
                admin.execute_command("ACL", "SETUSER", "default", *rights)
            yield patient(two.url)


@contextmanager
def memcached_with(*options: str) -> Iterator[str]:
    with running_memcached(*options) as server:
        yield patient(server.url)


@contextmanager
def sqlite_read_only(directory: Path) -> Iterator[str]:
    path = directory / "sessions.db"
    writing = make_app(f"sqlite:///{path}")
    assert flask(writing, "create-tables").exit_code == 0
    close(writing)
    yield f"sqlite:///file:{path}?mode=ro&uri=true"


Broken = Callable[[Path], AbstractContextManager[str]]

BROKEN: dict[str, tuple[Broken, int, str, str]] = {
    "ACL without scripts": (
        lambda path: redis_user(path, *ALL.split(), "-eval", "-evalsha"),
        *(1, "storage: records", "NoPermissionError NOPERM ('evalsha')"),
    ),
    "ACL without TIME": (
        lambda path: redis_user(path, *ALL.split(), "-time"),
        *(1, "storage: indexes", "refuses to list a session (ResponseError ERR ("),
    ),
    "ACL with another key pattern": (
        lambda path: redis_user(path, "~other:*", "+@all"),
        *(3, "SRVSESSION_BACKEND", "could not be reached, or refused (NoPermission"),
    ),
    "no such database": (
        redis_database,
        *(
            3,
            "SRVSESSION_BACKEND",
            "could not be reached, or refused (ResponseError ERR (DB index",
        ),
    ),
    "replica": (
        lambda path: redis_replica(path, "+@all"),
        *(1, "redis: role", "The server is a replica"),
    ),
    "replica that does not say so": (
        lambda path: redis_replica(path, "-info"),
        *(1, "storage: records", "refuses to store a record (ReadOnly"),
    ),
    "full Redis": (
        lambda path: redis_with(path, "--maxmemory", "1"),
        *(1, "storage: records", "refuses to store a record (OutOfMemory"),
    ),
    "memcached with small items": (
        lambda path: memcached_with("-I", "64k", "-o", "slab_chunk_max=32768"),
        *(1, "SRVSESSION_MAX_PAYLOAD", "refuses to store a record of"),
    ),
    "memcached without CAS": (
        lambda path: memcached_with("-C"),
        *(1, "storage: records", "change"),
    ),
    "SQLite that is read only": (
        sqlite_read_only,
        *(1, "storage: records", "refuses to store a record ("),
    ),
}


@pytest.mark.parametrize(("broken", "code", "key", "says"), BROKEN.values(), ids=BROKEN)
def test_what_a_storage_refuses_is_said(
    tmp_path: Path, broken: Broken, code: int, key: str, says: str
) -> None:
    with broken(tmp_path) as url:
        app = make_app(url)
        result = flask(app, "check")
        found = {f["key"]: (f["severity"], f["problem"]) for f in printed(app, "check")}
        close(app)

    assert result.exit_code == code, result.output
    severity, problem = found[key]
    assert severity == "error"
    assert says in problem
    assert "hunter2" not in result.output


@contextmanager
def limited(server: SQLServer, *statements: str) -> Iterator[sa.Engine]:
    """Let the administrator prepare the server, and tidy up behind."""
    engine = sa.create_engine(server.url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        yield engine
    finally:
        engine.dispose()


def test_a_postgresql_that_only_reads_is_found(postgres_server: SQLServer) -> None:
    url = f"{postgres_server.url}?srvsession_table=reading"
    writing = make_app(url)
    assert flask(writing, "create-tables").exit_code == 0
    close(writing)
    read_only = f"ALTER DATABASE {DATABASE} SET default_transaction_read_only"

    with limited(postgres_server, f"{read_only} = on") as engine:
        try:
            app = make_app(url)
            result = flask(app, "check")
            close(app)
        finally:
            with engine.connect() as connection:
                connection.exec_driver_sql("SET default_transaction_read_only = off")
                connection.exec_driver_sql(f"{read_only} = off")

    assert result.exit_code == 1
    assert "error: storage: records\n" in result.stdout
    assert "refuses to store a record (" in result.stdout


def test_a_mariadb_user_who_may_only_read_is_found(mariadb_server: SQLServer) -> None:
    """Its refusal names 'reader'@'%', and no text is taken for a format."""
    url = f"{mariadb_server.url}?srvsession_table=looking"
    writing = make_app(url)
    assert flask(writing, "create-tables").exit_code == 0
    close(writing)
    user = "CREATE OR REPLACE USER 'reader'@'%%' IDENTIFIED BY 'hunter2'"
    grant = f"GRANT SELECT ON {DATABASE}.* TO 'reader'@'%%'"

    with limited(mariadb_server, user, grant):
        app = make_app(url.replace(f"{USER}:{PASSWORD}", "reader:hunter2"))
        result = flask(app, "check")
        close(app)

    assert result.exit_code == 1, result.output
    assert "refuses to store a record (OperationalError 42000/1142" in result.stdout
    assert "hunter2" not in result.output


def test_a_mariadb_user_without_any_rights_is_found(mariadb_server: SQLServer) -> None:
    user = "CREATE OR REPLACE USER 'nobody'@'%%' IDENTIFIED BY 'hunter2'"

    with limited(mariadb_server, user):
        address = mariadb_server.url.replace(f"{USER}:{PASSWORD}", "nobody:hunter2")
        app = make_app(address)
        result = flask(app, "check")
        close(app)

    assert result.exit_code == 3, result.output
    assert "OperationalError 42000/1044" in result.stdout
    assert "hunter2" not in result.output


def test_a_full_disk_is_found(tmp_path: Path) -> None:
    """The process may write files of so many bytes only, as on a disk that is full."""
    command = [sys.executable, "-c", FULL_DISK, f"sqlite:///{tmp_path}/sessions.db"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1, done.stderr
    assert "error: SRVSESSION_MAX_PAYLOAD" in done.stdout
    assert "refuses to store a record of" in done.stdout


FULL_DISK = """
import resource, signal, sys
from tests.integration.cli.run import flask
from tests.integration.cli.test_storages import make_app
app = make_app(sys.argv[1])
assert flask(app, "create-tables").exit_code == 0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
result = flask(app, "check")
print(result.stdout)
sys.exit(result.exit_code)
"""


RIGHTS = re.search(
    r"```text\n(ACL SETUSER shop .*?)```", HOWTO.read_text("utf-8"), re.S
)


def test_the_rights_that_the_documentation_lists_are_enough(
    redis_server: Server,
) -> None:
    """And no less: each command that is taken away is missed by what sessions do."""
    assert RIGHTS is not None
    rights = RIGHTS[1].replace("PASSWORD", "hunter2").split()[2:]
    url = patient(redis_server.url.replace("//", "//shop:hunter2@"))

    with redis.Redis(redis_server.host, redis_server.port) as admin:

        def outcome(*more: str) -> set[str]:
            admin.execute_command("ACL", "SETUSER", "shop", "reset")
            admin.execute_command("ACL", "SETUSER", *rights, *more)
            app = make_app(url, SRVSESSION_KEY_PREFIX="shop:session:")
            keys = {f["key"] for f in printed(app, "check") if f["severity"] == "error"}
            if not keys:
                keys = {str(login_and_out(app))}
            close(app)
            return keys

        assert outcome() == {"200"}
        for command in NEEDED:
            assert outcome(f"-{command}") != {"200"}, command
        admin.execute_command("ACL", "DELUSER", "shop")


NEEDED = ("get", "set", "del", "zadd", "zrem", "time", "evalsha")


def login_and_out(app: Flask) -> int:
    """Return the worst status of what a user does."""
    browser = Browser(app)
    with app.app_context():
        codes = [browser.set(user_id=7).status_code, browser.set(n=1).status_code]
        codes.append(browser.do(lambda: str(sessions.find(user_id=7))).status_code)
        codes.append(browser.do(lambda: session.rotate()).status_code)
        codes.append(browser.do(lambda: session.destroy()).status_code)
        codes.append(browser.set(user_id=7).status_code)
        sessions.revoke_all(user_id=7)
    return max(codes)


class Careless(MemoryBackend):
    """Takes every change, also of what somebody else has changed."""

    def swap(self, key: str, data: bytes, version: Any, ttl: int) -> Any:
        now = self.get(key)
        return super().swap(key, data, now.version, ttl) if now else None


class Forgetful(MemoryBackend):
    def get(self, key: str) -> Cell | None:
        return None


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Careless, "refuse a change of what somebody else has changed"),
        (Forgetful, "read a record that was changed"),
    ],
)
def test_a_backend_of_ones_own_that_does_something_else_is_found(
    kind: type[MemoryBackend], says: str
) -> None:
    finding = next(rehearse(kind(), "shop:", 1000))

    assert finding.severity == "error"
    assert says in finding.problem
    assert "BackendContract" in finding.remedy


def test_a_round_leaves_nothing_for_longer_than_a_minute(clock: FakeClock) -> None:
    backend = MemoryBackend(clock=clock)

    assert list(rehearse(backend, "shop:", 1000)) == []
    clock.advance(24 * 60 * 60)
    backend.sweep()

    assert len(backend) == 0
