"""Private PostgreSQL and MariaDB servers for the tests, from the system's binaries."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .servers import HOST, binary, free_port, until_it_answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from flask_srvsession.backends.sql import SQLBackend

USER = "srvsession"
PASSWORD = "not-a-secret"
DATABASE = "srvsession"
_PROGRAMS = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_START = 90.0
_STOP = 10.0


@dataclass
class SQLServer:
    """A database server of our own; it can be stopped, started again and paused."""

    drivername: str
    port: int
    command: list[str]
    account: dict[str, Any] = field(repr=False)
    """The keywords for subprocess that say which user runs it."""
    ping: list[str] = field(repr=False)
    """The command that succeeds when the server takes connections."""
    end: signal.Signals = signal.SIGTERM
    host: str = HOST
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        address = f"{USER}:{PASSWORD}@{self.host}:{self.port}"
        return f"{self.drivername}://{address}/{DATABASE}"

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server is not running"
        return self.process.pid

    def start(self) -> None:
        """Start the process and wait until it takes connections."""
        self.process = subprocess.Popen(
            self.command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self.account,
        )
        until_it_answers(self.process, self._answers, _START)

    def stop(self) -> None:
        """End the process; what was committed is kept."""
        if self.process is not None:
            self.process.send_signal(self.end)
            try:
                self.process.wait(_STOP)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the server hang: it takes what is sent, and says nothing."""
        stopped = [self.pid]
        os.kill(self.pid, signal.SIGSTOP)
        try:
            _wait_until_stopped(stopped)  # from here on no child appears, or is reaped
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
            for child in map(int, children.split()):
                os.kill(child, signal.SIGSTOP)
                stopped.append(child)
            _wait_until_stopped(stopped)
            yield
        finally:
            for pid in reversed(stopped):
                os.kill(pid, signal.SIGCONT)

    def _answers(self) -> bool:
        return _succeeds(self.ping)


@contextmanager
def running_postgres(*options: str) -> Iterator[SQLServer]:
    """Run a PostgreSQL server with a cluster of its own; `options` are its own."""
    initdb, postgres = _postgres_binary("initdb"), _postgres_binary("postgres")
    port = free_port()
    with _data_directory("postgres") as (directory, account):
        password = directory / "password"
        password.write_text(PASSWORD)
        data = directory / "data"
        make = [initdb, "-D", str(data), "-U", USER, "--auth", "scram-sha-256"]
        make += ["--pwfile", str(password), "--no-sync", "--no-locale", "-E", "UTF8"]
        _run(make, account)
        with (data / "postgresql.conf").open("a") as settings:
            settings.write("unix_socket_directories = ''\nfsync = off\n")
        _run(
            [postgres, "--single", "-D", str(data), "postgres"],
            account,
            f"CREATE DATABASE {DATABASE};\n",
        )
        command = [postgres, "-D", str(data), "-h", HOST, "-p", str(port), *options]
        ping = [_postgres_binary("pg_isready"), "-q", "-h", HOST, "-p", str(port)]
        server = SQLServer(
            "postgresql+psycopg", port, command, account, ping, signal.SIGINT
        )
        yield from _running(server)


@contextmanager
def running_mariadb(*options: str) -> Iterator[SQLServer]:
    """Run a MariaDB server with data of its own; `options` are its own."""
    install, mariadbd = (
        binary(name, "mariadb-server", path=_PROGRAMS)
        for name in ("mariadb-install-db", "mariadbd")
    )
    port = free_port()
    with _data_directory("mysql") as (directory, account):
        data = directory / "data"
        make = [install, "--no-defaults", f"--datadir={data}", "--skip-test-db"]
        _run([*make, "--auth-root-authentication-method=normal"], account)
        begin = directory / "begin.sql"
        begin.write_text(
            f"CREATE DATABASE IF NOT EXISTS {DATABASE};\n"
            f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        )
        command = [mariadbd, "--no-defaults", f"--datadir={data}", f"--port={port}"]
        command += [f"--bind-address={HOST}", f"--socket={directory / 'socket'}"]
        command += [f"--pid-file={directory / 'pid'}", f"--init-file={begin}"]
        command += ["--skip-name-resolve", "--innodb-flush-log-at-trx-commit=2"]
        admin = binary("mariadb-admin", "mariadb-client", path=_PROGRAMS)
        ping = [admin, "--no-defaults", "ping"]
        ping += ["-s", f"-u{USER}", f"-p{PASSWORD}", f"-h{HOST}", f"-P{port}"]
        server = SQLServer("mariadb+pymysql", port, [*command, *options], account, ping)
        yield from _running(server)


@contextmanager
def running_pgbouncer(server: SQLServer, *settings: str) -> Iterator[SQLServer]:
    """Run a PgBouncer in front of `server` that pools by transactions; `settings` are
    lines of its configuration."""
    program, port = binary("pgbouncer", path=_PROGRAMS), free_port()
    with _data_directory("postgres") as (directory, account):
        users, ini = directory / "users", directory / "pgbouncer.ini"
        users.write_text(f'"{USER}" "{PASSWORD}"\n')
        lines = [
            "[databases]",
            f"* = host={server.host} port={server.port}",
            "[pgbouncer]",
            f"listen_addr = {HOST}",
            f"listen_port = {port}",
            "unix_socket_dir =",
            "auth_type = scram-sha-256",
            f"auth_file = {users}",
            "pool_mode = transaction",
            *settings,
        ]
        ini.write_text("\n".join(lines))
        ping = [_postgres_binary("pg_isready"), "-q", "-h", HOST, "-p", str(port)]
        command = [program, str(ini)]
        yield from _running(
            SQLServer("postgresql+psycopg", port, command, account, ping)
        )


@dataclass(frozen=True)
class SQLiteFile:
    """What stands in for a server where the database is a file."""

    url: str


@pytest.fixture(scope="session")
def sqlite_server(tmp_path_factory: pytest.TempPathFactory) -> SQLiteFile:
    """A database in a file for all tests: they use keys or tables of their own."""
    return SQLiteFile(f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/sessions.db")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[SQLServer]:
    """A PostgreSQL server for all tests: they use keys or tables of their own."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[SQLServer]:
    """A MariaDB server for all tests: they use keys or tables of their own."""
    with running_mariadb() as server:
        yield server


def executed(backend: SQLBackend, statement: sa.Executable, rows: Any = None) -> Any:
    """Execute a statement of the test's own behind the backend's back."""
    with backend._database.engine.begin() as connection:
        return connection.execute(statement, rows)


def _running(server: SQLServer) -> Iterator[SQLServer]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _succeeds(command: list[str]) -> bool:
    quiet = subprocess.DEVNULL
    done = subprocess.run(command, stdout=quiet, stderr=quiet, check=False, timeout=60)
    return done.returncode == 0


def _wait_until_stopped(pids: list[int]) -> None:
    """Wait until each thread of each process has noticed that it was stopped."""
    deadline = time.monotonic() + 30
    threads = [thread for pid in pids for thread in Path(f"/proc/{pid}/task").iterdir()]
    while not all(_state(thread) in "TZX" for thread in threads):
        assert time.monotonic() < deadline, "the server does not stop"
        time.sleep(0.005)


def _state(thread: Path) -> str:
    try:
        return (thread / "stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return "X"  # it has ended


@contextmanager
def _data_directory(owner: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Make a directory, and say how to run as who owns it: the servers refuse root."""
    # pytest's own temporary directories are closed to other users.
    directory = Path(tempfile.mkdtemp(prefix="srvsession-"))
    # MariaDB, as it starts, deletes temporary tables of other servers in its TMPDIR.
    own = {**os.environ, "TMPDIR": str(directory)}
    account: dict[str, Any] = {"cwd": directory, "env": own}
    try:
        if os.geteuid() == 0:
            user = _first_user(owner, "nobody")
            os.chown(directory, user.pw_uid, user.pw_gid)
            account |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}
        yield directory, account
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _first_user(*names: str) -> pwd.struct_passwd:
    known = {user.pw_name: user for user in pwd.getpwall()}
    return next(known[name] for name in names if name in known)


def _run(command: list[str], account: dict[str, Any], text: str = "") -> None:
    done = subprocess.run(
        command,
        input=text,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
        **account,
    )
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}"


def _postgres_binary(name: str) -> str:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return binary(name, "postgresql", path=":".join([*map(str, versions), _PROGRAMS]))
