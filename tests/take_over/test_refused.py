"""What is refused, what a failure leaves, and what it costs those who are not meant."""

from __future__ import annotations

import json
import pickle
import sys
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import msgpack
import pytest
from cachelib import FileSystemCache, SimpleCache
from cachelib.serializers import BaseSerializer
from flask import Flask, request
from flask.sessions import SecureCookieSessionInterface
from itsdangerous.encoding import base64_decode, base64_encode
from pymemcache import Client
from pymemcache.serde import pickle_serde
from sqlalchemy import create_engine, text

from flask_srvsession import ConfigurationError, ServerSession, session
from flask_srvsession.backends import Backend
from flask_srvsession.take_over import (
    CookieSource,
    FlaskSessionSource,
    KVSessionSource,
)
from flask_srvsession.testing import FakeClock
from tests.integration.probes import CountingBackend
from tests.web import Browser

from .conftest import TakingApp
from .former import SECRET, FormerApp, bare

SID = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
PACKAGE = "flask_srvsession"
RAN: list[str] = []


class Bomb:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return RAN.append, ("code",)


def deep(opening: bytes, depth: int, inner: bytes, closing: bytes = b"") -> bytes:
    return opening * depth + inner + closing * depth


HOSTILE: dict[str, Any] = {
    "pickle": pickle.dumps({"user_id": Bomb()}),
    "old pickle": pickle.dumps({"user_id": Bomb()}, protocol=0),
    "pickle protocol 2": pickle.dumps({"user_id": Bomb()}, protocol=2),
    "nested arrays": b"\x81\xa1a" + deep(b"\x91", 200_000, b"\x01"),
    "nested JSON": b'{"a":' + deep(b"[", 200_000, b"1", b"]") + b"}",
    "a huge array": b"\x81\xa1a\xdd\xff\xff\xff\xff",
    "a huge map": b"\xdf\xff\xff\xff\xff",
    "a long int": b'{"a":' + b"9" * 100_000 + b"}",
    "too large": b'{"a":"' + b"x" * 5_000_000 + b'"}',
    "too large for here": b'{"a":"' + b"x" * 300_000 + b'"}',
    "a list": msgpack.packb([1, 2]),
    "a number": b"7",
    "keys that are no text": msgpack.packb({1: 2}),
    "unknown extension": msgpack.packb({"a": msgpack.ExtType(42, b"x")}),
    "not UTF-8": b'{"a":"\xff"}',
    "cut": msgpack.packb({"user_id": 42})[:-1],
    "trailing": msgpack.packb({"user_id": 42}) + b"\x01",
    "nothing but text": b"hello",
    "an object": object(),
    "what no index takes": b'{"user_id": {"a": 1}}',
    "a dict with an object": {"user_id": 42, "price": Decimal(3)},
    "a dict with numbers": {7: 42},
}


def source_of(records: dict[str, Any], **options: Any) -> FlaskSessionSource:
    return FlaskSessionSource(
        records.get, lambda key: records.pop(key, None), **options
    )


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_record_is_refused_and_left_alone(
    what: str, taking_app: TakingApp, caplog: pytest.LogCaptureFixture
) -> None:
    records = {f"session:{SID}": HOSTILE[what]}
    app = taking_app(source_of(records))
    RAN.clear()

    assert Browser(app, SID).values() == {}

    assert RAN == []
    assert records == {f"session:{SID}": HOSTILE[what]}
    assert "flask-session: a session is not taken over: " in caplog.text
    assert SID not in caplog.text


@pytest.mark.parametrize(
    "data", [b"{}", msgpack.packb({}), msgpack.packb({"_permanent": True}), b"", None]
)
def test_an_empty_record_is_nothing(
    data: Any, taking_app: TakingApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = taking_app(source_of({f"session:{SID}": data}))

    assert Browser(app, SID).values() == {}
    assert caplog.text == ""


def test_what_a_refused_user_does_next_goes_into_a_new_session(
    taking_app: TakingApp,
) -> None:
    app = taking_app(source_of({f"session:{SID}": HOSTILE["pickle"]}))
    browser = Browser(app, SID)

    browser.set(user_id=7)

    assert browser.values() == {"user_id": 7}


def test_pickled_records_of_flask_kvsession_are_refused(taking_app: TakingApp) -> None:
    from flask_kvsession import KVSessionExtension
    from simplekv.memory import DictStore

    app, store = bare(), DictStore()
    KVSessionExtension(store, app)
    former = FormerApp(app, lambda: KVSessionSource(store))
    cookie = former.sign_in()

    assert Browser(taking_app(former.make_source()), cookie).values() == {}
    assert former.values(cookie) == {"user_id": 42}


def test_clients_that_unpickle_are_not_taken(tmp_path: Any) -> None:
    class Own(BaseSerializer):
        def loads(self, bvalue: bytes) -> Any:
            return json.loads(bvalue)

    half = SimpleCache()
    half.serializer = Own()  # type: ignore[assignment]  # its load is still pickle's
    for cache in (SimpleCache(), FileSystemCache(str(tmp_path)), half, object()):
        with pytest.raises(ConfigurationError, match="unpickles"):
            FlaskSessionSource.cachelib(cache)
    for client in (Client("localhost", serde=pickle_serde), object()):
        with pytest.raises(ConfigurationError, match="may unpickle"):
            FlaskSessionSource.memcached(client)


def test_what_is_no_source_is_not_taken(taking_app: TakingApp) -> None:
    with pytest.raises(ConfigurationError, match="takes sources"):
        taking_app({})


@pytest.mark.parametrize("data", [b'{"user_id": 42}', msgpack.packb({"user_id": 42})])
def test_both_formats_of_flask_session_are_read(
    data: bytes, taking_app: TakingApp
) -> None:
    records = {f"session:{SID}": data}

    assert Browser(taking_app(source_of(records)), SID).values() == {"user_id": 42}
    assert records == {}


def test_documents_may_be_given_by_a_function(taking_app: TakingApp) -> None:
    """As of MongoDB: the document of a key, and what is in it."""
    documents = {f"session:{SID}": {"val": msgpack.packb({"user_id": 42})}}
    app = taking_app(
        FlaskSessionSource(
            lambda key: (documents.get(key) or {}).get("val"),
            lambda key: documents.pop(key, None),
        )
    )

    assert Browser(app, SID).values() == {"user_id": 42}
    assert documents == {}


# -- failures ----------------------------------------------------------------------


class Lost(Exception):
    """What the client of a source raises."""


def test_a_source_that_is_down_is_a_503_and_logs_nobody_out(
    taking_app: TakingApp, caplog: pytest.LogCaptureFixture
) -> None:
    records = {f"session:{SID}": b'{"user_id": 42}'}
    down = True

    def get(key: str) -> Any:
        if down:
            raise Lost(key)
        return records.get(key)

    app = taking_app(FlaskSessionSource(get, lambda key: records.pop(key)))
    browser = Browser(app, SID)

    response = browser.do(lambda: session.get("user_id"))

    assert response.status_code == 503
    assert browser.cookie == SID
    assert SID not in caplog.text
    down = False
    assert browser.values() == {"user_id": 42}


def test_a_record_that_cannot_be_deleted_does_no_harm(
    taking_app: TakingApp, caplog: pytest.LogCaptureFixture
) -> None:
    """The claim answers for it, and whoever comes with the old cookie tries again."""
    records, down = {f"session:{SID}": b'{"user_id": 42}'}, True

    def delete(key: str) -> None:
        if down:
            raise Lost(key)
        records.pop(key)

    app = taking_app(FlaskSessionSource(records.get, delete))
    browser = Browser(app, SID)
    assert browser.values() == {"user_id": 42}
    assert "was not deleted: Lost" in caplog.text

    browser.do(lambda: session.destroy())

    assert Browser(app, SID).values() == {}
    down = False
    assert Browser(app, SID).values() == {}
    assert records == {}


def test_a_user_who_has_too_many_sessions_stays_where_they_are(
    taking_app: TakingApp,
) -> None:
    records = {f"session:{SID}": b'{"user_id": 42}'}
    app = taking_app(
        source_of(records),
        SRVSESSION_MAX_PER_KEY={"user_id": 1},
        SRVSESSION_MAX_PER_KEY_POLICY="reject",
    )
    other = Browser(app)
    other.set(user_id=42)
    other.values()

    assert Browser(app, SID).values() == {}
    assert other.values() == {"user_id": 42}
    other.do(lambda: session.destroy())

    assert Browser(app, SID).values() == {"user_id": 42}
    assert records == {}


def test_a_source_that_brings_a_record_back_revives_nobody(
    taking_app: TakingApp,
) -> None:
    """As an old process does that writes its session at the end of a long request."""
    app = taking_app(FlaskSessionSource(lambda _: b'{"user_id": 42}', lambda _: None))
    browser = Browser(app, SID)
    assert browser.values() == {"user_id": 42}

    with app.app_context():
        ServerSession().revoke_all(user_id=42)

    assert Browser(app, SID).values() == {}


# -- which credentials are one ------------------------------------------------------


def respelled(cookie: str) -> list[str]:
    """Return other spellings of a signed cookie that verify as well."""
    head, _, signature = cookie.rpartition(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    others = [f"{head}.{signature[:-1]}{last}" for last in alphabet]
    raw = base64_decode(signature)
    assert base64_encode(raw).decode() == signature
    return [o for o in others if o != cookie and base64_decode(o.split(".")[-1]) == raw]


@pytest.mark.parametrize(
    "former", ["cookie", "kvsession", "redis signed"], indirect=True
)
def test_a_signature_in_another_spelling_is_the_same_credential(
    former: FormerApp, taking_app: TakingApp
) -> None:
    cookie = former.sign_in()
    app = taking_app(former.make_source())
    others = respelled(cookie)
    assert others
    assert Browser(app, cookie).values() == {"user_id": 42}
    Browser(app, cookie).do(lambda: session.destroy())

    for other in others:
        assert Browser(app, other).values() == {}


@pytest.mark.parametrize("former", ["cookie"], indirect=True)
def test_a_cookie_that_is_older_than_flask_would_take_is_none(
    former: FormerApp, taking_app: TakingApp, clock: FakeClock
) -> None:
    cookie = former.sign_in()
    app = taking_app(former.make_source())

    clock.advance(31 * 86400 + 1)

    assert Browser(app, cookie).values() == {}


@pytest.mark.parametrize("former", ["cookie", "kvsession"], indirect=True)
def test_a_cookie_that_a_fallback_has_signed_is_taken(
    former: FormerApp, taking_app: TakingApp
) -> None:
    cookie = former.sign_in()
    config = {"SECRET_KEY": "newer", "SECRET_KEY_FALLBACKS": [SECRET]}

    assert Browser(taking_app(former.make_source(), **config), cookie).values()
    assert not Browser(
        taking_app(former.make_source(), SECRET_KEY="newer"), cookie
    ).values()


@pytest.mark.parametrize("former", ["cookie", "kvsession"], indirect=True)
def test_a_key_that_comes_in_later_changes_nothing(
    former: FormerApp, taking_app: TakingApp
) -> None:
    """Neither for a session that goes on nor for one that was ended."""
    app = taking_app(former.make_source())
    living, ended = former.sign_in(1), former.sign_in(2)
    Browser(app, living).values()
    Browser(app, ended).do(lambda: session.destroy())

    app.config.update(SECRET_KEY="newer", SECRET_KEY_FALLBACKS=[SECRET])

    assert Browser(app, living).values() == {"user_id": 1}
    assert Browser(app, ended).values() == {}


@pytest.mark.parametrize("former", ["cookie"], indirect=True)
def test_a_key_that_is_taken_out_later_revives_nobody(
    former: FormerApp, taking_app: TakingApp
) -> None:
    app = taking_app(former.make_source(), SECRET_KEY_FALLBACKS=["older"])
    living, ended = former.sign_in(1), former.sign_in(2)
    Browser(app, living).values()
    Browser(app, ended).do(lambda: session.destroy())

    app.config.update(SECRET_KEY_FALLBACKS=[])

    assert Browser(app, living).values() == {"user_id": 1}
    assert Browser(app, ended).values() == {}


@pytest.mark.parametrize("former", ["cookie"], indirect=True)
def test_sources_may_come_from_a_generator(former: FormerApp) -> None:
    app = Flask("shop")
    app.config.update(SECRET_KEY=SECRET)
    ServerSession(app, take_over=iter([former.make_source()]))

    assert Browser(app, former.sign_in()).values() == {"user_id": 42}


def test_one_text_is_no_list_of_keys() -> None:
    """Each of its characters would be a key: anybody could make such a cookie."""
    with pytest.raises(ConfigurationError, match="secret_keys is one text"):
        CookieSource(secret_keys="an old key")


def test_a_lifetime_is_a_number_of_seconds_or_a_timedelta() -> None:
    assert CookieSource(lifetime=3600).lifetime == timedelta(hours=1)
    with pytest.raises(ConfigurationError, match="lifetime is '1h', but must be a num"):
        CookieSource(lifetime="1h")  # type: ignore[arg-type]


@pytest.mark.parametrize("former", ["cookie"], indirect=True)
def test_two_apps_with_keys_of_their_own_take_over_one_cookie(
    former: FormerApp, taking_app: TakingApp
) -> None:
    """They had one secret key before, and have one prefix now."""
    cookie = former.sign_in()
    config = {"SRVSESSION_KEY_PREFIX": f"{uuid.uuid4().hex}:"}
    first, second = (
        taking_app(former.make_source(secret_keys=[SECRET]), SECRET_KEY=key, **config)
        for key in ("first", "second")
    )

    assert Browser(first, cookie).values() == {"user_id": 42}
    Browser(first, cookie).do(lambda: session.destroy())

    assert Browser(second, cookie).values() == {"user_id": 42}
    assert Browser(first, cookie).values() == {}


@pytest.mark.parametrize("former", ["kvsession"], indirect=True)
def test_created_stays_what_it_was(
    former: FormerApp, taking_app: TakingApp, clock: FakeClock
) -> None:
    cookie = former.sign_in()
    born = int(cookie.partition(".")[0].partition("_")[2], 16)
    clock.advance(86400)
    browser = Browser(taking_app(former.make_source()), cookie)

    seen = browser.do(lambda: session.created_at.timestamp())  # type: ignore[union-attr]

    assert float(seen.text) == born


def test_what_flasks_session_can_hold_survives(taking_app: TakingApp) -> None:
    from uuid import UUID

    from markupsafe import Markup

    values = {
        "tuple": (1, (2,)),
        "bytes": b"\xff",
        "markup": Markup("<b>"),
        "uuid": UUID(int=7),
        "datetime": datetime(2026, 1, 2, tzinfo=timezone.utc),
    }
    former = FormerApp(bare(), CookieSource)
    cookie = former.sign_in(**values)

    got = Browser(taking_app(CookieSource()), cookie).values()

    assert got == {"user_id": 42, **values}
    assert [type(got[key]) for key in values] == [type(v) for v in values.values()]


# -- what it costs -------------------------------------------------------------------


class Asked(CookieSource):
    """A source that notes what it is asked."""

    name = "asked"

    def __init__(self) -> None:
        super().__init__()
        self.recognized = self.reads = 0

    def recognize(self, cookie: str, secret_keys: Any) -> Any:
        self.recognized += 1
        from flask_srvsession.take_over.source import Presented

        return Presented(cookie)

    def read(self, session_id: str) -> None:
        self.reads += 1


@pytest.fixture
def counting(backend: Backend) -> CountingBackend:
    return CountingBackend(backend)


def test_a_request_that_has_our_cookie_costs_nothing_more(
    counting: CountingBackend, taking_app: TakingApp
) -> None:
    commands = {}
    for sources in ((), (source := Asked(),)):
        browser = Browser(taking_app(*sources, backend=counting))
        browser.set(user_id=42)
        browser.values()
        counting.calls.clear()
        browser.values()
        browser.set(n=1)
        browser.do(lambda: session.destroy())
        commands[len(sources)] = [str(call) for call in counting.calls]

    assert len(commands[0]) == len(commands[1]) > 0
    assert source.recognized == source.reads == 0


def test_a_visitor_without_a_cookie_costs_nothing(
    counting: CountingBackend, taking_app: TakingApp
) -> None:
    source = Asked()
    app = taking_app(source, backend=counting)

    assert Browser(app).values() == {}
    assert Browser(app, SID).do().text == "untouched"

    assert source.recognized == source.reads == 0
    assert counting.calls == []


def test_a_strangers_cookie_costs_one_question_and_one_command(
    counting: CountingBackend, taking_app: TakingApp
) -> None:
    source = Asked()
    app = taking_app(source, backend=counting)
    browser = Browser(app, SID)

    def view() -> None:
        for _ in range(3):
            session.get("user_id")
        session.destroy()
        again = app.session_interface.open_session(app, request)  # as in a socket
        assert again is not None
        assert dict(again) == {}

    browser.do(view)

    assert source.reads == 1
    assert len(counting.calls) == 1


def test_an_own_cookie_of_a_session_that_has_ended_asks_nobody(
    counting: CountingBackend, taking_app: TakingApp
) -> None:
    source = Asked()
    app = taking_app(source, backend=counting)
    browser = Browser(app)
    browser.set(user_id=42)
    copy = browser.copy()
    browser.do(lambda: session.destroy())

    assert copy.values() == {}

    assert source.recognized == 0


def test_a_cookie_that_is_longer_than_browsers_keep_one_is_shown_to_no_source(
    taking_app: TakingApp,
) -> None:
    browser = Browser(taking_app(source := Asked()))

    seen = browser.send(b"session=" + 9000 * b"a", lambda: dict(session))

    assert seen.text == "{}"
    assert source.recognized == 0


def test_the_cookies_of_the_real_interface_are_the_ones_that_are_read() -> None:
    """If Flask signs in another way one day, this says so."""
    app = bare()
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    cookie = serializer.dumps({"user_id": 42})
    source = CookieSource()

    presented = source.recognize(str(cookie), [SECRET])

    assert presented is not None
    former = source.read(presented.id)
    assert former is not None
    assert former.values == {"user_id": 42}
    assert source.recognize(str(cookie), ["another"]) is None


def test_a_table_that_ignores_case_and_time(
    taking_app: TakingApp, tmp_path: Path
) -> None:
    """Some databases compare text so; and nobody has cleaned up."""
    engine = create_engine(f"sqlite:///{tmp_path / 'former.db'}")
    hour = timedelta(hours=1)
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    rows = {"A" * 32: now + hour, "b" * 32: now - hour, "c" * 32: None}
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE sessions (session_id TEXT COLLATE NOCASE, data BLOB,"
                " expiry DATETIME)"
            )
        )
        for session_id, expiry in rows.items():
            connection.execute(
                text("INSERT INTO sessions VALUES (:id, :data, :expiry)"),
                {
                    "id": f"session:{session_id}",
                    "data": b'{"user_id": 42}',
                    "expiry": f"{expiry}" if expiry else None,
                },
            )
    app = taking_app(FlaskSessionSource.sqlalchemy(engine))

    assert Browser(app, "a" * 32).values() == {}
    assert Browser(app, "b" * 32).values() == {}
    assert Browser(app, "c" * 32).values() == {}
    assert Browser(app, "A" * 32).values() == {"user_id": 42}
    engine.dispose()


def test_a_request_that_has_our_cookie_makes_no_more_calls(
    taking_app: TakingApp,
) -> None:
    """Of functions of this package, for a read and for a change."""
    made = []
    for sources in ((), (CookieSource(), source_of({}))):
        browser = Browser(taking_app(*sources))
        browser.set(user_id=42)
        browser.values()
        made.append([calls(browser.values), calls(partial(browser.set, n=1))])

    assert made[0] == made[1]
    assert made[0][0] > 10


def calls(action: Callable[[], Any]) -> int:
    """Return how many functions of the package `action` calls."""
    count = 0

    def profile(frame: FrameType, event: str, _: Any) -> None:
        nonlocal count
        count += event == "call" and f"{PACKAGE}/" in frame.f_code.co_filename

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(before)
    return count
