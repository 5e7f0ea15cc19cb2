"""Values that cannot be stored."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import flask_srvsession
from flask_srvsession import (
    SessionTooLarge,
    session,
)
from tests.web import Browser

from ..marks import ON_MEMORY
from ..probes import CountingBackend, set_cookies
from .forged import MEBIBYTE, read

if TYPE_CHECKING:
    from flask_srvsession.backends import Backend
    from tests.conftest import MakeApp


class _Thing:
    """What nobody can serialize."""


def _nested() -> dict[str, Any]:
    return {"items": [0, 1, 2, _Thing()]}


UNSERIALISABLE: dict[str, tuple[Callable[[], Any], str]] = {
    "object": (_Thing, "session['cart']"),
    "set": (lambda: {1, 2}, "session['cart']"),
    "function": (lambda: print, "session['cart']"),
    "in a dict": (lambda: {"a": {"b": _Thing()}}, "session['cart']['a']['b']"),
    "in a list": (_nested, "session['cart']['items'][3]"),
    "in a tuple": (lambda: (1, (2, {3})), "session['cart'][1][1]"),
    "deep": (lambda: [[[[[[_Thing()]]]]]], "session['cart'][0][0][0][0][0][0]"),
}


class TestUnserialisableValue:
    @pytest.mark.parametrize("kind", UNSERIALISABLE)
    @pytest.mark.parametrize("serializer", ["msgpack", "json"])
    def test_is_a_type_error_at_save_that_names_its_path(
        self, make_app: MakeApp, backend: Backend, kind: str, serializer: str
    ) -> None:
        make, path = UNSERIALISABLE[kind]
        browser = Browser(make_app(SRVSESSION_SERIALIZER=serializer))
        browser.does(lambda: session.update(a=1, cart="empty"))
        before = backend.get(browser.key)
        assert before is not None
        reached = []

        def view() -> None:
            session["a"] = 2
            session["cart"] = make()
            reached.append(True)

        with pytest.raises(TypeError, match=re.escape(f"{path} cannot be stored")):
            browser.do(view)

        assert reached, "it is found when it is saved, not when it is set"
        after = backend.get(browser.key)
        assert after is not None
        assert after.data == before.data
        assert browser.does(lambda: (session["a"], session["cart"])) == "(1, 'empty')"

    @pytest.mark.parametrize("serializer", ["msgpack", "json"])
    def test_is_found_where_it_was_put_into_what_was_stored(
        self, make_app: MakeApp, serializer: str
    ) -> None:
        browser = Browser(make_app(SRVSESSION_SERIALIZER=serializer))
        browser.does(lambda: session.update(cart={"items": [0, 1, 2]}))

        path = "session['cart']['items'][3]"
        with pytest.raises(TypeError, match=re.escape(path)):
            browser.do(lambda: session["cart"]["items"].append(_Thing()))

        assert browser.does(lambda: session["cart"]) == "{'items': [0, 1, 2]}"

    def test_names_its_type(self, browser: Browser) -> None:
        with pytest.raises(TypeError, match="of the type _Thing, which does not"):
            browser.do(lambda: session.update(cart=_nested()))

    @ON_MEMORY
    @pytest.mark.parametrize(
        "value", [Decimal("1.5"), timedelta(1), frozenset({1}), 1j, range(3)]
    )
    def test_is_refused_where_msgpack_would_lose_it(
        self, browser: Browser, value: object
    ) -> None:
        with pytest.raises(TypeError, match="cannot be stored"):
            browser.do(lambda: session.update(x=value))

    @ON_MEMORY
    def test_that_contains_itself_is_a_type_error(self, browser: Browser) -> None:
        def view() -> None:
            loop: list[Any] = []
            loop.append(loop)
            session["loop"] = loop

        with pytest.raises(TypeError, match=re.escape("session['loop']")):
            browser.do(view)

    def test_in_production_is_a_500_that_stores_nothing(
        self,
        make_app: MakeApp,
        counted: CountingBackend,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Flask saves again after its error page; that is not refused once more."""
        browser = Browser(make_app(counted, TESTING=False))

        response = browser.do(lambda: session.update(cart=_nested()))

        assert response.status_code == 500
        assert set_cookies(response) == []
        assert counted.taken() == []
        assert "Request finalizing failed" not in caplog.text

    def test_leaves_the_old_session_at_a_login(self, browser: Browser) -> None:
        browser.does(lambda: session.update(a=1))
        before = browser.cookie

        with pytest.raises(TypeError, match="cannot be stored"):
            browser.do(lambda: session.update(user_id=42, cart=_nested()))

        assert browser.cookie == before
        assert browser.does(lambda: dict(session)) == "{'a': 1}"

    @pytest.mark.parametrize("key", [1, None, b"a", ("a",)])
    @ON_MEMORY
    def test_a_key_that_is_no_str_is_refused_at_once(
        self, browser: Browser, key: Any
    ) -> None:
        def view() -> str:
            with pytest.raises(TypeError, match=re.escape(repr(key))):
                session[key] = 1
            return f"{dict(session)}"

        assert browser.does(view) == "{}"


class TestTooLargeSession:
    def test_is_measured_in_bytes_of_its_keys_as_well(self, make_app: MakeApp) -> None:
        browser = Browser(make_app(SRVSESSION_MAX_PAYLOAD=1000, TESTING=True))

        with pytest.raises(SessionTooLarge):
            browser.set(**{"🍵" * 300: 1})

    @pytest.mark.parametrize("testing", [True, False])
    def test_is_refused_and_the_record_is_as_it_was(
        self, make_app: MakeApp, backend: Backend, testing: bool
    ) -> None:
        browser = Browser(make_app(TESTING=testing, SRVSESSION_MAX_PAYLOAD=1000))
        browser.does(lambda: session.update(a=1))
        browser.does(read)
        before = backend.get(browser.key)
        assert before is not None

        def view() -> None:
            session.update(a=2, text="x" * 1000)

        if testing:
            with pytest.raises(SessionTooLarge, match="SRVSESSION_MAX_PAYLOAD") as info:
                browser.do(view)
            assert info.value.limit == 1000
            assert info.value.size > 1000
        else:
            response = browser.do(view)
            assert response.status_code == 500
            assert set_cookies(response) == []

        after = backend.get(browser.key)
        assert after is not None
        assert after.data == before.data
        assert browser.does(lambda: dict(session)) == "{'a': 1}"

    def test_is_never_begun(self, make_app: MakeApp, counted: CountingBackend) -> None:
        browser = Browser(make_app(counted, SRVSESSION_MAX_PAYLOAD=1000))

        with pytest.raises(SessionTooLarge):
            browser.do(lambda: session.update(text="x" * 1000))

        assert not browser.has_cookie
        assert counted.taken() == []

    def test_keeps_the_old_one_at_a_login(
        self, make_app: MakeApp, counted: CountingBackend
    ) -> None:
        browser = Browser(make_app(counted, SRVSESSION_MAX_PAYLOAD=1000))
        browser.does(lambda: session.update(a=1))
        before = browser.cookie

        with pytest.raises(SessionTooLarge):
            browser.do(lambda: session.update(user_id=42, text="x" * 1000))

        assert browser.cookie == before
        assert browser.does(lambda: dict(session)) == "{'a': 1}"

    def test_may_have_up_to_256_kib_by_default(self, browser: Browser) -> None:
        browser.does(lambda: session.update(text="x" * (256 * 1024 - 100)))

        with pytest.raises(SessionTooLarge):
            browser.do(lambda: session.update(text="x" * (256 * 1024)))

        size = 256 * 1024 - 100
        assert browser.does(lambda: len(session["text"])) == str(size)

    def test_may_have_exactly_as_many_bytes_as_configured(
        self, make_app: MakeApp
    ) -> None:
        browser = Browser(make_app(SRVSESSION_MAX_PAYLOAD=1000))
        with pytest.raises(SessionTooLarge) as refused:
            browser.do(lambda: session.update(text="x" * 1000))
        most = 1000 - (refused.value.size - 1000)

        browser.does(lambda: session.update(text="x" * most))

        assert browser.does(lambda: len(session["text"])) == str(most)

    @pytest.mark.every_storage
    def test_is_refused_below_the_limit_where_the_storage_takes_less(
        self, make_app: MakeApp, backend: Backend
    ) -> None:
        """SessionTooLarge, not an outage: it would not be better later."""
        browser = Browser(make_app(SRVSESSION_MAX_PAYLOAD=4 * MEBIBYTE))
        text = "x" * (2 * MEBIBYTE)

        if backend.max_bytes is not None and backend.max_bytes < len(text):
            with pytest.raises(SessionTooLarge):
                browser.do(lambda: session.update(text=text))
        else:
            browser.does(lambda: session.update(text=text))
            assert browser.does(lambda: len(session["text"])) == str(len(text))


DEEP = """
import sys

from flask import Flask
from flask_srvsession import ServerSession, session

app = Flask("deep")
app.config.update(SECRET_KEY="k" * 32, SRVSESSION_BACKEND="memory://", TESTING=True)
app.config.update(SRVSESSION_SERIALIZER={serializer!r})
ServerSession(app)
sys.setrecursionlimit({limit})
value = ()
for _ in range(10_000):
    value = (value,)
with app.test_request_context():
    try:
        session["deep"] = value
        session.commit()
    except TypeError:
        print("TypeError")
"""


@pytest.mark.parametrize(
    ("serializer", "limit"), [("msgpack", 1000), ("msgpack", 1_000_000), ("json", 1000)]
)
def test_tuples_nested_deeply_are_refused_without_a_crash(
    serializer: str, limit: int
) -> None:
    """Also where no recursion limit comes before the end of the stack."""
    script = DEEP.format(serializer=serializer, limit=limit)
    root = Path(flask_srvsession.__file__).parents[1]

    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "TypeError\n"), done.stderr[-2000:]
