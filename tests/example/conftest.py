"""The example app on the backend that its environment variable chooses."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.security import generate_password_hash

from example_app import accounts, create_app
from tests.web import served

from .visitor import PASSWORDS, Visitor

SECRET_KEY = "a secret key that is only used by these tests"


@pytest.fixture(scope="session", autouse=True)
def _quick_hashes() -> Iterator[None]:
    """Hash passwords in no time: what a guess costs is not what is tested here."""
    quick = partial(generate_password_hash, method="pbkdf2:sha256:1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "generate_password_hash", quick)
        yield


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with the demo accounts, to be copied."""
    path: Path = tmp_path_factory.mktemp("accounts") / "accounts.sqlite3"
    app = create_app({"DATABASE": path, "SECRET_KEY": SECRET_KEY})
    with app.app_context():
        for name, password in PASSWORDS.items():
            accounts.change_password(name, password)
        accounts.change_password("", "of a name that nobody has")
    return path


@pytest.fixture
def backend_url(request: pytest.FixtureRequest) -> str:
    """The memory, or the backend that the test is parametrized with."""
    backend = getattr(request, "param", "memory")
    if backend == "memory":
        return "memory://"
    url: str = request.getfixturevalue(f"{backend}_server").url
    return url


@pytest.fixture
def app(
    backend_url: str, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Flask]:
    """The app as the environment configures it, with accounts of its own."""
    monkeypatch.setenv("SRVSESSION_BACKEND", backend_url)
    monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
    app = create_app(
        {
            "TESTING": True,
            "DATABASE": shutil.copy(database, tmp_path / "accounts.sqlite3"),
            "SRVSESSION_KEY_PREFIX": f"{uuid.uuid4().hex}:",
        }
    )
    yield app
    backend: Any = app.extensions["srvsession"].backend
    if hasattr(backend, "close"):
        backend.close()


@pytest.fixture
def shop(app: Flask) -> Iterator[str]:
    """The URL of the app, for programs."""
    with served(app) as url:
        yield url


@pytest.fixture
def browser(app: Flask) -> Visitor:
    """A browser that has not been here before."""
    return Visitor(app)


@pytest.fixture
def other(app: Flask) -> Visitor:
    """Another browser."""
    return Visitor(app)
