"""Records of Flask-Session 0.5 to 0.7, as written by it: pickles up to 0.6."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, session
from flask_session import Session
from redis import Redis
from sqlalchemy import create_engine

from flask_srvsession.take_over import FlaskSessionSource
from tests.integration.cli.run import printed
from tests.servers import Server
from tests.web import Browser

from .conftest import TakingApp
from .former import SECRET

RECORD = (
    b"\x80\x04\x950\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\n_permanent\x94\x88\x8c\x07"
    b"user_id\x94K*\x8c\x04cart\x94]\x94\x8c\x04book\x94au."
)
SID = "1acc4e25-acd9-40cf-906d-8b80bf793688"
OLD = {
    "0.5": SID,
    "0.5 signed": "7b685fb9-ad03-4f2e-b49e-ba7d85ad9757.FViEYYKVvRnDhC1tyKkCIn9MsOo",
    "0.6": "_zrx93NlEPW5wpJOfMYl1H52QVqF05cIiWB9Tv3x7H8",
    "0.6 signed": "CqeLsmk7kUdw9Lj8_HzSFpaQXqPIuv49xwx-VzKFlIk"
    ".pjQ3XmlXfWcppaviuFBTFcZjQkI",
}
"""The cookies; the signed ones are those of SESSION_USE_SIGNER and this SECRET_KEY."""

RECORD_0_7 = b"\x83\xaa_permanent\xc3\xa7user_id*\xa4cart\x91\xa4book"
COOKIES_0_7 = {
    "0.7": "3FTtUFiYQbZFECDUMywWEGCXe7cY4CNvVWBW_2qYeY4",
    "0.7 signed": "H3ajoNnSGWZu7b1omjPJKqmgtCOFD-VNoGo9ZoWanjk"
    ".0ly3U3MDXYjZVpNE4TDh_mJquWI",
}

SCHEMA = """create table sessions (id integer primary key, session_id varchar(255)
unique, data blob, expiry datetime)"""


@pytest.mark.parametrize("version", OLD)
def test_a_record_is_refused_with_the_reason_and_left(
    taking_app: TakingApp, caplog: pytest.LogCaptureFixture, version: str
) -> None:
    cookie = OLD[version]
    key = f"session:{cookie.partition('.')[0]}"
    records, signed = {key: RECORD}, "signed" in version
    source = FlaskSessionSource(records.get, records.pop, use_signer=signed)
    app = taking_app(source)

    assert Browser(app, cookie).values() == {}

    assert "the record is pickled" in caplog.text
    assert records == {key: RECORD}
    reasons = [name for name in printed(app, "stats") if name.startswith("refused")]
    assert len(reasons) == 1
    assert "the record is pickled" in reasons[0]


@pytest.mark.parametrize("version", COOKIES_0_7)
def test_a_record_of_0_7_is_taken_over(taking_app: TakingApp, version: str) -> None:
    cookie = COOKIES_0_7[version]
    records = {f"session:{cookie.partition('.')[0]}": RECORD_0_7}
    source = FlaskSessionSource(
        records.get, records.pop, use_signer="signed" in version
    )

    browser = Browser(taking_app(source), cookie)

    assert browser.values() == {"user_id": 42, "cart": ["book"]}
    assert records == {}


def test_its_table_is_read(
    taking_app: TakingApp, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    database = sqlite3.connect(tmp_path / "old.db")
    row = (f"session:{SID}", RECORD, "2999-12-30 12:32:46.345936")
    database.execute(SCHEMA)
    database.execute("insert into sessions values (1, ?, ?, ?)", row)
    database.commit()
    database.close()
    engine = create_engine(f"sqlite:///{tmp_path / 'old.db'}")

    app = taking_app(FlaskSessionSource.sqlalchemy(engine))

    assert Browser(app, SID).values() == {}
    assert "the record is pickled" in caplog.text
    engine.dispose()


def test_what_flask_session_0_8_has_used_is_taken_over(
    taking_app: TakingApp, redis_server: Server
) -> None:
    prefix = f"{uuid.uuid4().hex}:"
    client: Any = Redis.from_url(redis_server.url)
    client.set(prefix + SID, RECORD)
    between = Flask("between")
    between.config.update(SECRET_KEY=SECRET, SESSION_TYPE="redis")
    between.config.update(SESSION_REDIS=client, SESSION_KEY_PREFIX=prefix)
    Session(between)
    between.add_url_rule("/", view_func=lambda: dict(session))
    visitor = between.test_client()
    visitor.set_cookie("session", SID)

    assert visitor.get("/").json == {
        "_permanent": True,
        "user_id": 42,
        "cart": ["book"],
    }
    app = taking_app(FlaskSessionSource.redis(client, key_prefix=prefix))

    assert Browser(app, SID).values() == {"user_id": 42, "cart": ["book"]}
    client.close()
