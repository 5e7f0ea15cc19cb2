"""A browser that has logged in, and whoever copied its cookie."""

from __future__ import annotations

from dataclasses import dataclass, field

from flask import Flask

from flask_srvsession import (
    SessionInfo,
    session,
)
from flask_srvsession.ids import CookieSigner, Credential
from flask_srvsession.store.record import Record
from flask_srvsession.testing import FakeClock
from tests.web import Browser

from ..probes import login

GRACE = 120


EVERY = 900


DAY = 24 * 60 * 60


SECRET = "a secret key that is only used by these tests"


def look() -> str:
    """Read the session: who is logged in?"""
    return f"{session.get('user_id')}"


def write() -> str:
    session["colour"] = "green"
    return look()


def whole() -> str:
    return f"{sorted(session.items())}"


def switch_permanent() -> str:
    session.permanent = not session.permanent
    return "switched"


@dataclass
class Alarms:
    """What was sent by session_replayed."""

    infos: list[SessionInfo] = field(default_factory=list)

    def __call__(self, app: Flask, info: SessionInfo) -> None:
        self.infos.append(info)

    @property
    def ids(self) -> list[str]:
        return [info.id for info in self.infos]


@dataclass
class Stage:
    """An app with a browser that has logged in, and what came of it."""

    app: Flask
    clock: FakeClock
    owner: Browser

    @property
    def first(self) -> str:
        return self.owner.cookie

    def rotate(self) -> None:
        """The owner gets a successor and presents it."""
        before = self.owner.cookie
        self.clock.advance(EVERY)
        self.owner.does(look)
        assert self.owner.cookie != before
        self.owner.does(look)

    def record(self) -> Record:
        found = self.app.extensions["srvsession"].store.peek(self.owner.id)
        assert found is not None, "the session is gone"
        record: Record = found.record
        return record

    @property
    def lives(self) -> bool:
        store = self.app.extensions["srvsession"].store
        return store.peek(self.owner.id) is not None


def make_stage(app: Flask, clock: FakeClock) -> Stage:
    owner = Browser(app)
    owner.does(login)
    return Stage(app, clock, owner)


def signer_of(app: Flask, *keys: str) -> CookieSigner:
    return CookieSigner(list(keys) or [SECRET], app.config["SRVSESSION_KEY_PREFIX"])


def credential_in(app: Flask, cookie: str | None, *keys: str) -> Credential:
    credential = signer_of(app, *keys).loads(cookie or "")
    assert credential is not None, "the cookie is not valid"
    return credential
