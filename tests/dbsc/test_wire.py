"""The headers and the JSON."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Response

from flask_srvsession.dbsc.wire import (
    SESSION,
    BoundCookie,
    challenge,
    instructions,
    registration,
    said,
)

ATTRIBUTES: list[dict[str, Any]] = [
    {"path": "/", "samesite": "Lax"},
    {"path": "/shop", "samesite": "Strict", "domain": "example.org"},
    {"path": "/", "samesite": "None", "partitioned": True},
    {"path": "/", "samesite": None, "httponly": False, "secure": False},
]


@pytest.mark.parametrize("attributes", ATTRIBUTES)
def test_a_cookie_is_set_with_the_attributes_that_are_announced(
    attributes: dict[str, Any],
) -> None:
    cookie = BoundCookie("id-b", attributes)

    response = Response()
    cookie.set(response, "1.2.3", 600)
    first, *rest = response.headers["Set-Cookie"].split("; ")

    assert first == "id-b=1.2.3"
    assert "Max-Age=600" in rest
    ages = [each for each in rest if each.startswith(("Max-Age", "Expires"))]
    assert [e for e in rest if e not in ages] == cookie.announced().split("; ")
    assert {"Secure", "HttpOnly"} <= {*rest}


def test_the_announced_attributes_are_those_of_chromium() -> None:
    cookie = BoundCookie("__Host-id-b", ATTRIBUTES[0])

    assert cookie.announced() == "Secure; HttpOnly; Path=/; SameSite=Lax"


def test_texts_are_taken_with_quotes_and_without() -> None:
    assert said({SESSION: '"abc"'}, SESSION) == "abc"
    assert said({SESSION: "abc"}, SESSION) == "abc"
    assert said({SESSION: '"'}, SESSION) == '"'
    assert said({}, SESSION) is None


def test_the_headers_are_structured_fields() -> None:
    assert registration("/ä/dbsc", "c") == '(ES256);path="/%C3%A4/dbsc";challenge="c"'
    assert challenge("c", "id") == '"c";id="id"'


def test_the_instructions_hold_all_that_chromium_demands() -> None:
    cookie = BoundCookie("id-b", ATTRIBUTES[0])

    made = instructions(
        "id",
        refresh="/dbsc/refresh",
        cookie=cookie,
        excluded=["/static/"],
        initiators=["*"],
    )

    assert made["credentials"] == [
        {"type": "cookie", "name": "id-b", "attributes": cookie.announced()}
    ]
    rule = {"type": "exclude", "domain": "*", "path": "/static/"}
    assert made["scope"] == {"include_site": False, "scope_specification": [rule]}
    assert made["session_identifier"] == "id"
    assert made["refresh_url"] == "/dbsc/refresh"
    assert made["allowed_refresh_initiators"] == ["*"]
