"""Alembic leaves the session tables alone, if it is told to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask_migrate
import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_srvsession.backends.sql import SQLBackend, include_object

if TYPE_CHECKING:
    from tests.sql_servers import SQLServer


pytestmark = pytest.mark.filterwarnings("ignore:'get_engine' is deprecated")


@pytest.fixture(autouse=True)
def _loggers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alembic's configuration would silence those that there are."""
    monkeypatch.setattr("logging.config.fileConfig", lambda *args, **options: None)


def migration(url: str, directory: Path, **options: Any) -> str:
    """Return what ``flask db migrate`` makes of a database with session tables and
    of a new model."""
    backend = SQLBackend(url, table="kept")
    backend.create_tables()
    backend.close()
    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db = SQLAlchemy(app)
    type("Article", (db.Model,), {"id": db.Column(db.Integer, primary_key=True)})
    flask_migrate.Migrate(app, db, str(directory), **options)
    with app.app_context():
        flask_migrate.init()
        flask_migrate.migrate()
        db.engine.dispose()
    [script] = (directory / "versions").glob("*.py")
    return script.read_text()


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def url(request: pytest.FixtureRequest) -> str:
    server: SQLServer = request.getfixturevalue(f"{request.param}_server")
    return server.url


def test_flask_migrate_leaves_the_session_tables_alone(
    url: str, tmp_path: Path
) -> None:
    script = migration(url, tmp_path / "a", include_object=include_object)

    upgrade = script.partition("def downgrade")[0]
    assert "create_table('article'" in upgrade
    assert "kept" not in script


def test_without_that_it_drops_them(sqlite_server: SQLServer, tmp_path: Path) -> None:
    """The test above would notice."""
    script = migration(sqlite_server.url, tmp_path / "b")

    assert "drop_table('kept_members')" in script.partition("def downgrade")[0]
