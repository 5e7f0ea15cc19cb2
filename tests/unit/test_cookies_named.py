"""The cookies of one name, as Werkzeug finds them among all."""

from __future__ import annotations

from flask import Request
from hypothesis import example, given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from flask_srvsession.arrival import cookies

PIECES = (
    "session",
    "sessio",
    "Session",
    "=",
    ";",
    " ",
    "\t",
    '"',
    "\\",
    "a",
    "1.b",
    "\n",
)
headers = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


def request(header: str) -> Request:
    return Request({"HTTP_COOKIE": header} if header else {})


@settings(max_examples=300)
@given(headers | st.text(st.characters(max_codepoint=127)))
@example("session=1; other=2; session=3")
@example('other="a; session=1"; session=2')
@example('session="1"')
@example('session=" "')
@example(" session = 1 ;")
@example("session")
def test_they_are_those_that_werkzeug_finds(header: str) -> None:
    expected = request(header).cookies.getlist("session")

    found = cookies(request(header), "session")

    if '"' not in header:
        # Werkzeug skips what has a space inside, which no signature fits anyway.
        found = [value for value in found if not set(value) & set(" \t")]
    assert found == expected


def test_a_request_class_of_the_app_may_have_cookies_of_its_own() -> None:
    class Named(Request):
        @property
        def cookies(self) -> MultiDict[str, str]:  # type: ignore[override]
            return MultiDict([("session", "1"), ("session", "2")])

    class Plain(Request):
        @property
        def cookies(self) -> dict[str, str]:  # type: ignore[override]
            return {"session": "1"}

    assert cookies(Named({"HTTP_COOKIE": "session=3"}), "session") == ["1", "2"]
    assert cookies(Plain({"HTTP_COOKIE": "session=3"}), "session") == ["1"]
