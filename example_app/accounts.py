"""Who may sign in: a SQLite table of names and hashed passwords."""

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from werkzeug.security import check_password_hash, generate_password_hash

DEMO = {"ada": "analytical engine", "grace": "nanoseconds of wire"}
"""Names and passwords that everybody may try."""

NOBODY = 0
"""The id that stands for every name that nobody has."""

_DECOY = generate_password_hash(secrets.token_hex())


def init_app(app: Flask) -> None:
    """Create the table and the demo accounts, unless they are there."""
    Path(app.config["DATABASE"]).parent.mkdir(parents=True, exist_ok=True)
    with app.app_context():
        with app.open_resource("accounts.sql", "r") as schema:
            _value(schema.read())
        for name, password in DEMO.items():
            if id_of(name) == NOBODY:
                register(name, password)


def register(name: str, password: str) -> int:
    """Create an account; return its id, or NOBODY if the name is taken."""
    insert = "INSERT INTO account (name, password) VALUES (?, ?) RETURNING id"
    try:
        return _value(insert, name, generate_password_hash(password)) or NOBODY
    except sqlite3.IntegrityError:
        return NOBODY


def id_of(name: str) -> int:
    """Return the id of the account called `name`, or NOBODY."""
    return _value("SELECT id FROM account WHERE name = ?", name) or NOBODY


def name_of(user_id: int) -> str:
    """Return the name of an account, empty if there is no such account."""
    return _value("SELECT name FROM account WHERE id = ?", user_id) or ""


def has_password(user_id: int, password: str) -> bool:
    """Return whether that is the password; NOBODY has none, which takes as long."""
    found = _value("SELECT password FROM account WHERE id = ?", user_id)
    return check_password_hash(found or _DECOY, password)


def _value(sql: str, *arguments: object) -> Any:
    with closing(sqlite3.connect(current_app.config["DATABASE"])) as db, db:
        row = db.execute(sql, arguments).fetchone()
    return row and row[0]
