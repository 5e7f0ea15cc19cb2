"""Who may sign in: a SQLite table of names and hashed passwords."""

import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from flask_login import UserMixin
from werkzeug.security import check_password_hash, generate_password_hash

DEMO = {"ada": "analytical engine", "grace": "nanoseconds of wire"}
"""Names and passwords that everybody may try."""

_DECOY = generate_password_hash(secrets.token_hex())


@dataclass(frozen=True)
class Account(UserMixin):  # type: ignore[misc]  # Flask-Login is not typed
    """An account, as Flask-Login wants it."""

    id: int
    name: str


NOBODY = Account(0, "")
"""Stands for every name that nobody has."""


def init_app(app: Flask) -> None:
    """Create the table and the demo accounts, unless they are there."""
    Path(app.config["DATABASE"]).parent.mkdir(parents=True, exist_ok=True)
    with app.app_context():
        with app.open_resource("accounts.sql", "r") as schema:
            _row(schema.read())
        for name, password in DEMO.items():
            if by_name(name) == NOBODY:
                create(name, password)


def create(name: str, password: str) -> Account:
    """Create an account and return it, or NOBODY if the name is taken."""
    insert = "INSERT INTO account (name, password) VALUES (?, ?) RETURNING id, name"
    try:
        return Account(*_row(insert, name, generate_password_hash(password)))
    except sqlite3.IntegrityError:
        return NOBODY


def by_name(name: str) -> Account:
    """Return the account called `name`, or NOBODY."""
    row = _row("SELECT id, name FROM account WHERE name = ?", name)
    return Account(*row) if row else NOBODY


def by_id(user_id: str) -> Account | None:
    """Return the account that a session names."""
    row = _row("SELECT id, name FROM account WHERE id = ?", user_id)
    return Account(*row) if row else None


def verify(account: Account, password: str) -> str | None:
    """Return the stored hash if that is the password; NOBODY's takes as long."""
    row = _row("SELECT password FROM account WHERE id = ?", account.id)
    stored: str = row[0] if row else _DECOY
    return stored if check_password_hash(stored, password) and row else None


def change_password(account: Account, verified: str, password: str) -> bool:
    """Store a new password, unless the `verified` one has been changed meanwhile."""
    update = "UPDATE account SET password = ? WHERE id = ? AND password = ? RETURNING 1"
    new = generate_password_hash(password)
    return _row(update, new, account.id, verified) is not None


def _row(sql: str, *arguments: object) -> Any:
    with closing(sqlite3.connect(current_app.config["DATABASE"])) as db, db:
        return db.execute(sql, arguments).fetchone()
