"""Who may sign in: a SQLite table of names and hashed passwords."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from werkzeug.security import check_password_hash, generate_password_hash


def init_app(app: Flask) -> None:
    """Create the table and the demo accounts, unless they are there."""
    Path(app.config["DATABASE"]).parent.mkdir(parents=True, exist_ok=True)
    with app.open_resource("accounts.sql", "r") as sql, app.app_context():
        for statement in sql.read().split(";\n"):
            _row(statement)


def verify(name: str, password: str) -> bool:
    """Return whether that is the password; a name that nobody has takes as long."""
    named = "SELECT password FROM account WHERE name IN (?, '') ORDER BY name DESC"
    return check_password_hash(_row(named, name)[0], password)


def change_password(name: str, password: str) -> None:
    """Store a new password."""
    hashed = generate_password_hash(password)
    _row("UPDATE account SET password = ? WHERE name = ?", hashed, name)


def _row(sql: str, *arguments: object) -> Any:
    with closing(sqlite3.connect(current_app.config["DATABASE"])) as db, db:
        return db.execute(sql, arguments).fetchone()
