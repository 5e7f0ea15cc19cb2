"""What is kept of a person is told, and removed so that nothing is left."""

from __future__ import annotations

import json
import logging
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from flask_srvsession import StaleLogin, session
from flask_srvsession.backends import Backend
from flask_srvsession.backends.base import Erases, ListsKeys
from flask_srvsession.commands import personal
from tests.web import Browser

from ..apps import stored
from ..devices import sessions, signed_in
from ..encryption.dump import dump
from ..marks import ON_MEMORY
from .run import flask, printed

if TYPE_CHECKING:
    from flask import Flask

    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp

USER = "user-4711@example.com"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    """Tombstones of a second, which passes by each of the clocks."""

    def wait(seconds: float) -> None:
        assert seconds == personal.WAIT
        clock.advance(seconds)
        time.sleep(1.5)

    monkeypatch.setattr("flask_srvsession.store.records.TOMBSTONE_TTL", 1)
    monkeypatch.setattr(
        "flask_srvsession.commands.personal.time", SimpleNamespace(sleep=wait)
    )


def kept(app: Flask) -> dict[bytes, bytes]:
    backend: Backend = app.extensions["srvsession"].backend
    return dump(backend, app.config["SRVSESSION_KEY_PREFIX"])


def live_through_much(app: Flask, clock: FakeClock) -> None:
    """Leave sessions, tombstones, lists, epochs, and what has expired."""
    first, second, third, _ = signed_in(app, USER, 4)
    first.set(tenant="acme", note="planted")
    second.do(lambda: session.rotate())
    third.do(lambda: session.pop("user_id"))
    with app.app_context():
        sessions.revoke_all(user_id=USER)
    signed_in(app, USER, 2)[0].set(tenant="acme")


@pytest.mark.every_storage
@pytest.mark.parametrize("keys", [None, ["1b" * 32]], ids=["plain", "encrypted"])
@pytest.mark.usefixtures("quick")
def test_erase_leaves_nothing_of_a_person_and_all_of_others(
    make_app: MakeApp, clock: FakeClock, keys: Any
) -> None:
    indexes = {"user_id": ("user_id",), "tenant": ("tenant",)}
    app = make_app(SRVSESSION_INDEXES=indexes, SRVSESSION_ENCRYPTION_KEYS=keys)
    [other] = signed_in(app, "bob")
    before = kept(app).keys()
    live_through_much(app, clock)
    assert len(kept(app)) > len(before) + 3

    result = flask(app, "erase", f"user_id={USER}", "--yes", "--json")

    assert json.loads(result.stdout) == {"erased": 2}
    assert kept(app).keys() == before
    assert USER not in str(kept(app))
    assert other.values() == {"user_id": "bob"}
    assert printed(app, "list", "user_id=bob")[0]["id"] == other.id


@pytest.mark.every_storage
@pytest.mark.usefixtures("quick")
def test_a_login_that_began_before_is_refused_and_a_later_one_stays(
    make_app: MakeApp, clock: FakeClock, backend: Backend
) -> None:
    app = make_app()
    with app.app_context():
        epoch = sessions.epoch(user_id=USER)

    flask(app, "erase", f"user_id={USER}", "--yes")

    late = Browser(app)
    with pytest.raises(StaleLogin), app.test_request_context():
        session.bind(user_id=USER, epoch=epoch)
    late.set(user_id=USER)
    lists = app.extensions["srvsession"].store.lists
    names = [lists.name(n) for n in lists.binding("user_id", USER).names]
    assert isinstance(backend, Erases)
    backend.erase(names)  # somebody is listed again: nothing is removed
    with app.app_context():
        assert sessions.revoke_all(user_id=USER) == 1
    assert late.values() == {}


@ON_MEMORY
@pytest.mark.usefixtures("quick")
def test_erase_asks_and_is_in_the_audit_trail(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flask_srvsession.audit")
    app = make_app()
    [browser] = signed_in(app, USER)

    assert flask(app, "erase", f"user_id={USER}", answer="n\n").exit_code == 1
    assert stored(app, browser.id) is not None
    flask(app, "erase", f"user_id={USER}", "--actor", "dpo", answer="y\n")

    [line] = [json.loads(r.getMessage()) for r in caplog.records if "audit" in r.name]
    assert (line["actor"], line["reason"]) == ("dpo", "erased")
    assert USER not in caplog.text


@pytest.mark.every_storage
def test_export_tells_what_is_kept_and_the_values_only_if_asked(
    make_app: MakeApp,
) -> None:
    app = make_app(SRVSESSION_METADATA=True)
    [browser] = signed_in(app, USER)
    browser.set(note="planted", cart=[1, {"a": b"\x00"}])
    signed_in(app, "bob")

    [facts] = printed(app, "export", f"user_id={USER}")
    [whole] = printed(app, "export", f"user_id={USER}", "--values")
    text = flask(app, "export", f"user_id={USER}").stdout

    assert facts["id"] == browser.id
    assert facts["values"] == ["cart", "note", "user_id"]
    assert "agent" in facts["meta"]
    assert {"created_at", "last_seen_at", "expires_at", "permanent"} <= facts.keys()
    assert whole["values"]["note"] == "planted"
    assert whole["values"]["user_id"] == USER
    assert "planted" not in text
    assert "bob" not in str(whole)
    assert flask(app, "export", "user_id=nobody").stdout == "No sessions.\n"


@pytest.mark.every_storage
def test_a_storage_lists_the_keys_of_its_app_alone(
    make_app: MakeApp, backend: Backend
) -> None:
    app, other = make_app(), make_app()
    ids = {each.key for each in signed_in(app, USER, 3)}
    signed_in(other, USER)

    assert isinstance(backend, ListsKeys)
    prefix = app.config["SRVSESSION_KEY_PREFIX"]
    keys = {key for key in backend.keys(prefix) if ":index:" not in key}
    assert {key for key in keys if len(key) < len(prefix) + 50} >= ids
    assert all(key.startswith(prefix) for key in keys)
    assert [*backend.keys("prefix_of*[nobody]%")] == []
