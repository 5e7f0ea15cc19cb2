"""Users for Flask-Security, in an SQLite database in memory."""

from __future__ import annotations

import weakref
from typing import Any

from flask_security import RoleMixin, SQLAlchemySessionUserDatastore, UserMixin
from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    create_engine,
)
from sqlalchemy.orm import declarative_base, relationship, scoped_session, sessionmaker
from sqlalchemy.pool import StaticPool

CONFIG: dict[str, Any] = {
    "WTF_CSRF_ENABLED": False,
    "SECURITY_PASSWORD_SALT": "a salt that is only used by these tests",
    "SECURITY_PASSWORD_HASH": "plaintext",
    "SECURITY_PASSWORD_SCHEMES": ["plaintext"],
    "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False},
    "SECURITY_CHANGEABLE": True,
    "SECURITY_SEND_PASSWORD_CHANGE_EMAIL": False,
}


def datastore() -> Any:
    """Return a datastore of users and roles."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    base: Any = declarative_base()

    roles_users = Table(
        "roles_users",
        base.metadata,
        Column("user_id", ForeignKey("user.id")),
        Column("role_id", ForeignKey("role.id")),
    )

    class Role(base, RoleMixin):
        __tablename__ = "role"
        id = Column(Integer, primary_key=True)
        name = Column(String(80), unique=True)

    class User(base, UserMixin):
        __tablename__ = "user"
        id = Column(Integer, primary_key=True)
        email = Column(String(255), unique=True)
        password = Column(String(255))
        active = Column(Boolean)
        fs_uniquifier = Column(String(64), unique=True, nullable=False)
        roles = relationship(Role, secondary=roles_users)

    base.metadata.create_all(engine)
    database = scoped_session(sessionmaker(engine))
    store = SQLAlchemySessionUserDatastore(database, User, Role)
    weakref.finalize(store, engine.dispose)
    return store
