"""The cart, the forms, and how the example app is started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.typing import ResponseReturnValue

from example_app import create_app, shop
from flask_srvsession import session

from .visitor import PASSWORDS, Visitor

ROOT = Path(__file__).parents[2]


on_every_backend = pytest.mark.parametrize(
    "backend_url", ["memory", "redis", "memcached"], indirect=True
)


# -- the cart -----------------------------------------------------------------------


def test_what_is_put_into_the_cart_stays_there(browser: Visitor) -> None:
    browser.add("tea")
    browser.add("cups")
    browser.add("tea")

    assert browser.cart() == {"Tea": 2, "Two cups": 1}


def test_what_is_taken_out_is_out_and_nothing_is_less_than_none(
    browser: Visitor,
) -> None:
    browser.add("tea")
    browser.add("cups")
    for _ in range(2):
        browser.remove("tea")
    browser.remove("biscuits")

    assert browser.cart() == {"Two cups": 1}


def test_each_browser_has_a_cart_of_its_own_for_the_same_account(
    browser: Visitor, other: Visitor
) -> None:
    browser.sign_in("ada")
    other.sign_in("ada")

    browser.add("tea")
    other.add("biscuits")
    browser.add("cups")

    assert browser.cart() == {"Tea": 1, "Two cups": 1}
    assert other.cart() == {"Biscuits": 1}


@on_every_backend
@pytest.mark.parametrize("ware", ["tea", "cups"])
def test_two_tabs_that_fill_the_cart_at_once_lose_nothing(
    browser: Visitor, other: Visitor, app: Flask, ware: str
) -> None:
    """The second request comes and goes after the first has read the cart."""
    form = {"csrf_token": browser.token("/"), "ware": "tea", "by": "1"}
    other.cookie = browser.cookie
    answers: list[int] = []

    def overlapped() -> ResponseReturnValue:
        assert session.get("cart") is None or answers
        if not answers:
            answers.append(0)
            answers[0] = other.client.post("/cart", data=form).status_code
        return shop.change_cart()

    app.view_functions["shop.change_cart"] = overlapped
    browser.client.post("/cart", data={**form, "ware": ware})

    assert answers == [303]
    assert browser.cart() == (
        {"Tea": 2} if ware == "tea" else {"Tea": 1, "Two cups": 1}
    )


@on_every_backend
def test_the_cart_survives_signing_in(browser: Visitor) -> None:
    browser.add("tea")

    browser.sign_in("ada")

    assert browser.cart() == {"Tea": 1}


@pytest.mark.parametrize(
    "form", [{"ware": "gold", "by": "1"}, {"ware": "tea", "by": "9"}, {"ware": "tea"}]
)
def test_what_the_shop_does_not_offer_is_refused(
    browser: Visitor, form: dict[str, str]
) -> None:
    assert browser.submit("/", "/cart", **form).status_code == 400
    assert browser.cart() == {}


# -- what others may try ----------------------------------------------------------


POSTS = [
    "/sign-in",
    "/sign-out",
    "/cart",
    "/account/password",
    "/account/replay",
    "/account/",
]


@pytest.mark.parametrize("path", POSTS)
def test_a_form_without_a_csrf_token_is_refused(browser: Visitor, path: str) -> None:
    browser.sign_in("ada")

    answer = browser.client.post(path, data={"ware": "tea", "by": "1"})

    assert answer.status_code == 400
    assert browser.is_signed_in
    assert browser.cart() == {}


def test_a_csrf_token_from_before_signing_in_is_refused_afterwards(
    browser: Visitor,
) -> None:
    token = browser.token("/")
    browser.sign_in("ada")

    answer = browser.client.post("/cart", data={"ware": "tea", "csrf_token": token})

    assert answer.status_code == 400


def test_no_link_to_the_form_makes_it_lead_to_another_site(browser: Visitor) -> None:
    token = browser.token("/sign-in")

    answer = browser.client.post(
        "/sign-in",
        query_string={"next": "https://evil.example/"},
        data={"name": "ada", "password": PASSWORDS["ada"], "csrf_token": token},
    )

    assert (answer.status_code, answer.location) == (303, "/")


def test_signing_in_leads_back_to_the_page_that_asked_for_it(
    browser: Visitor,
) -> None:
    asked = browser.get("/account/password")
    assert asked.status_code == 303

    answer = browser.sign_in("ada", page=str(asked.location))

    assert answer.location == "/account/password"


def test_the_cookie_and_the_pages_are_guarded(browser: Visitor) -> None:
    answer = browser.sign_in("ada")

    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert browser.get("/account/").headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


PAGES = ["/", "/sign-in", "/account/", "/account/password", "/missing"]


def test_no_page_needs_javascript(browser: Visitor) -> None:
    browser.sign_in("ada")

    for path in PAGES:
        assert "<script" not in browser.get(path).text


# -- how it is started ------------------------------------------------------------


@on_every_backend
def test_the_environment_chooses_the_backend(app: Flask, backend_url: str) -> None:
    backend = app.extensions["srvsession"].backend

    scheme = backend_url.partition("://")[0]
    assert type(backend).__name__ == f"{scheme.capitalize()}Backend"


@pytest.mark.parametrize("has_cookie", [True, False])
def test_an_outage_is_a_503_page_and_no_logout(
    database: Path, has_cookie: bool
) -> None:
    config = {"DATABASE": database, "SECRET_KEY": "secret"}
    before = Visitor(create_app(config))
    before.sign_in("ada")
    down = {**config, "SRVSESSION_BACKEND": "redis://127.0.0.1:1/0"}
    browser = Visitor(create_app(down))
    if has_cookie:
        browser.cookie = before.cookie

    answer = browser.get("/")

    assert answer.status_code == 503
    assert "cannot be reached" in answer.text
    assert "To the shop" in answer.text
    assert "Set-Cookie" not in answer.headers
    with browser.get("/static/style.css") as style:
        assert style.status_code == 200


def test_without_a_secret_key_each_start_has_its_own(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)

    keys = {create_app({"DATABASE": database}).secret_key for _ in range(2)}

    assert len(keys) == 2
    assert all(key and len(key) == 32 for key in keys)


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_flask(tmp_path: Path) -> Run:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "FLASK_DATABASE": str(tmp_path / "new" / "accounts.sqlite3"),
        }
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", "example_app", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


def test_flask_finds_the_app_by_the_name_of_the_package(run_flask: Run) -> None:
    done = run_flask("routes")

    assert done.returncode == 0, done.stderr
    assert "auth.sign_in" in done.stdout
