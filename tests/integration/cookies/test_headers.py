"""What else the headers of a response say of a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import flask
import pytest
from flask import Response, make_response, stream_with_context
from flask_login import LoginManager, UserMixin

from flask_srvsession import session
from tests.web import Browser, nothing

from ..marks import ON_MEMORY
from ..probes import (
    CountingBackend,
    set_cookies,
    varies_by_cookie,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeApp


ACCESSES: dict[str, Callable[[], Any]] = {
    "in": lambda: "a" in session,
    "not in": lambda: "zzz" not in session,
    "len": lambda: len(session),
    "iteration": lambda: list(session),
    "[]": lambda: session["a"],
    "get": lambda: session.get("zzz"),
    "setdefault": lambda: session.setdefault("a", 1),
    "pop of what is not there": lambda: session.pop("zzz", None),
    "==": lambda: session == {},
    "!=": lambda: session != {},
    "bool": lambda: bool(session),
    "keys": lambda: list(session.keys()),
    "values": lambda: list(session.values()),
    "items": lambda: list(session.items()),
    "dict": lambda: dict(session),
    "**": lambda: dict(**session),
    "id": lambda: session.id,
    "new": lambda: session.new,
    "permanent": lambda: session.permanent,
    "created_at": lambda: session.created_at,
    "last_seen_at": lambda: session.last_seen_at,
    "expires_at": lambda: session.expires_at,
    "get_flashed_messages": flask.get_flashed_messages,
    "flask.session": lambda: flask.session.get("a"),
    "template": lambda: flask.render_template_string("{{ session.a }}"),
}


NO_ACCESSES: dict[str, Callable[[], Any]] = {
    "nothing": nothing,
    "permanent = True": lambda: setattr(session, "permanent", True),
    "permanent = False": lambda: setattr(session, "permanent", False),
    "permanent = True and read": lambda: (
        setattr(session, "permanent", True) or session.permanent
    ),
    "modified": lambda: session.modified,
    "accessed": lambda: session.accessed,
    "repr": lambda: repr(session),
    "_remember in": lambda: "_remember" in session,
    "_remember get": lambda: session.get("_remember"),
    "_remember pop": lambda: session.pop("_remember", None),
    "_remember set": lambda: session.update(_remember="set", _remember_seconds=60),
    "_remember set and deleted": lambda: (
        session.update(_remember="set") or session.pop("_remember")
    ),
    "_remember_seconds in": lambda: "_remember_seconds" in session,
    "template without it": lambda: flask.render_template_string("{{ 1 + 1 }}"),
}


class TestVary:
    @pytest.mark.parametrize("how", ACCESSES)
    @pytest.mark.parametrize("live", [True, False], ids=["live", "new"])
    @ON_MEMORY
    def test_names_the_cookie_for_each_kind_of_access(
        self, browser: Browser, how: str, live: bool
    ) -> None:
        if live:
            browser.does(lambda: session.update(a=1))
        do = ACCESSES[how]

        response = browser.do(lambda: _ignoring_key_error(do))

        assert response.status_code == 200
        assert varies_by_cookie(response)

    @pytest.mark.parametrize("how", NO_ACCESSES)
    @pytest.mark.parametrize("live", [True, False], ids=["live", "new"])
    @ON_MEMORY
    def test_does_not_name_the_cookie_where_nobody_looked(
        self, browser: Browser, counted: CountingBackend, how: str, live: bool
    ) -> None:
        if live:
            browser.does(lambda: session.update(a=1))
            counted.taken()

        response = browser.do(NO_ACCESSES[how])

        assert response.status_code == 200
        assert not varies_by_cookie(response)
        assert set_cookies(response) == []
        assert counted.taken() == []

    def test_names_the_cookie_on_every_backend(self, browser: Browser) -> None:
        responses = [
            browser.do(lambda: session.update(a=1)),
            browser.do(lambda: session["a"]),
            browser.do(lambda: session.update(a=2)),
            browser.do(lambda: session.destroy()),
        ]

        assert [varies_by_cookie(response) for response in responses] == [True] * 4

    @ON_MEMORY
    def test_keeps_what_the_view_has_put_there(self, browser: Browser) -> None:
        def read() -> Response:
            response = make_response(str(session.get("a")))
            response.vary.add("Accept-Language")
            return response

        response = browser.do(read)

        assert set(response.vary) == {"Accept-Language", "Cookie"}

    @ON_MEMORY
    def test_does_not_name_the_cookie_under_flask_login(
        self, make_app: MakeApp
    ) -> None:
        """Its own notes on each response are not an access."""
        app = make_app()
        manager = LoginManager(app)
        manager.user_loader(lambda _: UserMixin())
        browser = Browser(app)
        browser.does(lambda: session.update(a=1))

        response = browser.do()

        assert not varies_by_cookie(response)


def log_out() -> None:
    session.destroy()


def _ignoring_key_error(do: Callable[[], Any]) -> Any:
    try:
        return do()
    except KeyError:
        return None


@ON_MEMORY
class TestCacheControl:
    @pytest.mark.parametrize(
        "do",
        [
            lambda: session.rotate(),
            lambda: session.update(user_id=1),
            lambda: session.destroy(),
            lambda: session.destroy() or session.update(b=1),
        ],
        ids=["rotated", "logged in", "destroyed", "created"],
    )
    def test_forbids_to_store_a_response_with_our_cookie(
        self, browser: Browser, do: Callable[[], Any]
    ) -> None:
        browser.does(lambda: session.update(a=1))

        response = browser.do(do)

        assert len(set_cookies(response)) == 1
        assert response.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("do", [nothing, lambda: session.get("a")])
    def test_is_left_alone_without_our_cookie(
        self, browser: Browser, do: Callable[[], Any]
    ) -> None:
        browser.does(lambda: session.update(a=1))

        response = browser.do(do)

        assert "Cache-Control" not in response.headers

    @pytest.mark.parametrize(
        "given", ["max-age=60", "public", "s-maxage=9, max-age=60"]
    )
    @pytest.mark.parametrize(
        "do",
        [lambda: session.update(b=1), lambda: session.rotate(), log_out],
        ids=["change", "rotate", "log out"],
    )
    def test_keeps_our_cookie_out_of_shared_caches(
        self, browser: Browser, given: str, do: Callable[[], Any]
    ) -> None:
        """RFC 9111, section 3: a shared cache gave one visitor's cookie to others."""
        fresh = Browser(browser.app)
        if do is log_out:
            fresh.does(lambda: session.update(a=1))

        def view() -> Response:
            session["a"] = 2
            do()
            response = make_response("made")
            response.headers["Cache-Control"] = given
            response.headers["CDN-Cache-Control"] = "max-age=600"
            return response

        response = fresh.do(view)

        assert len(set_cookies(response)) == 1
        control = response.cache_control
        assert control.private
        assert not control.public
        assert control.s_maxage is None
        assert response.headers["CDN-Cache-Control"] == "no-store"

    def test_of_the_view_goes_first(self, browser: Browser) -> None:
        def view() -> Response:
            session["a"] = 1
            response = make_response("made")
            response.headers["Cache-Control"] = "private, max-age=60"
            return response

        response = browser.do(view)

        assert len(set_cookies(response)) == 1
        assert response.headers["Cache-Control"] == "private, max-age=60"

    @pytest.mark.parametrize("name", ["CDN-Cache-Control", "Surrogate-Control"])
    def test_what_a_cdn_reads_does_not_contradict_it(
        self, browser: Browser, name: str
    ) -> None:
        def view() -> Response:
            session["a"] = 1
            response = make_response("made")
            response.headers.add("Cache-Control", "max-age=60")
            response.headers.add("Cache-Control", "s-maxage=60, public")
            response.headers[name] = "max-age=600"
            return response

        response = browser.do(view)

        assert response.headers[name] == "no-store"
        assert response.headers.getlist("Cache-Control") == ["max-age=60, private"]

    def test_a_static_file_with_a_max_age_sets_no_cookie_for_others(
        self, make_app: MakeApp, tmp_path: Path
    ) -> None:
        (tmp_path / "logo.txt").write_text("logo")
        app = make_app(SEND_FILE_MAX_AGE_DEFAULT=3600)
        app.static_folder = str(tmp_path)
        app.before_request(lambda: session.update(seen=1))
        client = app.test_client()

        first = client.get("/static/logo.txt")
        first.close()
        later = client.get("/static/logo.txt")
        later.close()

        assert len(set_cookies(first)) == 1
        assert first.cache_control.private
        assert not first.cache_control.public
        assert first.cache_control.max_age == 3600
        assert set_cookies(later) == []

    def test_a_stream_that_reads_the_session_varies_by_its_cookie(
        self, browser: Browser
    ) -> None:
        browser.does(lambda: session.update(a=1))

        def view() -> Response:
            return Response(stream_with_context(f"{session['a']}" for _ in range(2)))

        response = browser.do(view)

        assert response.text == "11"
        assert varies_by_cookie(response)
