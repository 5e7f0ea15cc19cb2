"""PostgreSQL on a disk that is full: a 503, and nothing is lost.

Its tables are in a small file system of their own, which only root can mount.
"""

from __future__ import annotations

import secrets
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from flask import Flask, session

from flask_srvsession import ServerSession
from tests.sql_servers import DATABASE, SQLServer, running_postgres
from tests.web import Browser

from ..cli.run import SAFE, flask

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "a secret key that is only used by these tests"
LARGE = 50_000
BLOCK = "INSERT INTO ballast SELECT string_agg(gen_random_uuid()::text, '')"
"""Some kilobytes that cannot be compressed."""


@contextmanager
def small_disk(server: SQLServer) -> Iterator[Path]:
    """Mount one of 6 MiB for the user who runs the server."""
    with tempfile.TemporaryDirectory(prefix="srvsession-disk-") as directory:
        Path(directory).chmod(0o755)
        disk = Path(directory, "disk")
        disk.mkdir()
        owner = f"size=6m,uid={server.account.get('user', 0)},mode=700"
        mount = ["mount", "-t", "tmpfs", "-o", owner, "tmpfs", str(disk)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        try:
            yield disk
        finally:
            server.stop()
            subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def server() -> Iterator[SQLServer]:
    with running_postgres() as server, small_disk(server) as disk:
        engine = sa.create_engine(server.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE TABLESPACE small LOCATION '{disk}'")
            connection.exec_driver_sql(
                f"ALTER DATABASE {DATABASE} SET default_tablespace = small"
            )
        engine.dispose()
        yield server


@pytest.fixture
def engine(server: SQLServer) -> Iterator[sa.Engine]:
    engine = sa.create_engine(server.url, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


def fill(engine: sa.Engine) -> None:
    """Let nothing be free, down to single pages."""
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE ballast (x text)")
        connection.exec_driver_sql("ALTER TABLE ballast ALTER x SET STORAGE PLAIN")
        for size in (200, 20):
            with pytest.raises(sa.exc.OperationalError, match="No space left"):
                pour(connection, size)


def pour(connection: sa.Connection, size: int) -> None:
    for _ in range(2_000):
        connection.exec_driver_sql(f"{BLOCK} FROM generate_series(1, {size})")


def test_on_a_full_disk_changes_are_503_and_nothing_is_lost(
    server: SQLServer, engine: sa.Engine
) -> None:
    app = Flask("shop")
    app.config.update(SAFE, SECRET_KEY=SECRET, SRVSESSION_BACKEND=server.url)
    ServerSession(app)
    stays, leaves, late = Browser(app), Browser(app), Browser(app)
    text = secrets.token_hex(LARGE)
    for browser in (stays, leaves):
        assert browser.set(user_id=42, text="before").status_code == 200
    fill(engine)

    checked = flask(app, "check")
    changed = stays.set(text=text)
    begun = late.set(user_id=42, text=text)
    left = leaves.do(lambda: session.clear())

    assert checked.exit_code == 1
    assert "53100" in checked.output
    assert [changed.status_code, begun.status_code] == [503, 503]
    assert left.status_code == 200
    assert stays.values()["text"] == "before"
    assert "user_id" not in leaves.values()

    with engine.connect() as connection:
        connection.exec_driver_sql("DROP TABLE ballast")

    assert stays.set(text=text).status_code == 200
    assert late.set(user_id=42, text=text).status_code == 200
    checked = flask(app, "check")
    assert checked.exit_code == 0, checked.output
    app.extensions["srvsession"].backend.close()
