"""The example app does what its pages say, on every backend."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask, template_rendered

from example_app import accounts, auth, create_app

from .browser import PASSWORDS, Browser

ROOT = Path(__file__).parents[2]


# -- who is there -----------------------------------------------------------------


def test_the_right_password_signs_in_and_greets_by_name(browser: Browser) -> None:
    answer = browser.sign_in("ada")

    assert (answer.status_code, answer.location) == (303, "/")
    assert "Hello, ada" in browser.get("/").text


def test_names_are_found_in_any_case(browser: Browser) -> None:
    browser.submit("/sign-in", name="ADA", password=PASSWORDS["ada"])

    assert browser.is_signed_in


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", "wrong"),
        ("ada", ""),
        ("ada", PASSWORDS["grace"]),
        ("nobody", "wrong"),
        ("", ""),
        ("ada\0", PASSWORDS["ada"]),
        ("' OR 1=1 --", "wrong"),
    ],
)
def test_anything_else_is_refused_in_the_same_words(
    browser: Browser, name: str, password: str
) -> None:
    answer = browser.submit("/sign-in", name=name, password=password)

    assert answer.status_code == 422
    assert "That is not a name and its password." in answer.text
    assert not browser.is_signed_in


def test_an_unknown_name_costs_as_much_hashing_as_a_known_one(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods: list[str] = []
    check = accounts.check_password_hash

    def recorded(stored: str, password: str) -> bool:
        methods.append(stored.partition("$")[0])
        return check(stored, password)

    monkeypatch.setattr(accounts, "check_password_hash", recorded)

    browser.submit("/sign-in", name="ada", password="wrong")
    browser.submit("/sign-in", name="nobody", password="wrong")

    known, unknown = methods
    assert known == unknown


def test_passwords_are_stored_as_hashes_only(browser: Browser, app: Flask) -> None:
    browser.submit("/register", name="joan", password="a password to keep")

    stored = Path(app.config["DATABASE"]).read_bytes()

    assert b"joan" in stored
    assert b"a password to keep" not in stored
    assert PASSWORDS["ada"].encode() not in stored


def test_a_login_that_began_before_all_sessions_were_ended_is_refused(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_password = accounts.has_password

    def while_it_is_checked(user_id: int, password: str) -> bool:
        auth.sessions.revoke_all(user_id=user_id)
        return has_password(user_id, password)

    monkeypatch.setattr(accounts, "has_password", while_it_is_checked)

    answer = browser.sign_in("ada")

    assert answer.status_code == 422
    assert "Please sign in again" in answer.text
    assert not browser.is_signed_in


def test_the_password_is_read_after_the_epoch(
    browser: Browser, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a password that was just changed would still let somebody in."""
    order: list[str] = []
    index = app.extensions["srvsession"].backend.index
    epoch, value = index.epoch, accounts._value

    def noted_epoch(name: str) -> str:
        order.append("epoch")
        answer: str = epoch(name)
        return answer

    def noted_value(sql: str, *arguments: object) -> object:
        if "SELECT password" in sql:
            order.append("password")
        return value(sql, *arguments)

    monkeypatch.setattr(index, "epoch", noted_epoch)
    monkeypatch.setattr(accounts, "_value", noted_value)

    browser.sign_in("ada")

    assert order == ["epoch", "password"]
    assert browser.is_signed_in


# -- registration -----------------------------------------------------------------


def test_who_registers_is_signed_in_and_can_come_back(
    browser: Browser, other: Browser
) -> None:
    answer = browser.submit("/register", name="joan", password="a long password")
    again = other.submit("/sign-in", name="joan", password="a long password")

    assert (answer.status_code, again.status_code) == (303, 303)
    assert browser.is_signed_in
    assert other.is_signed_in


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", "a long password"),
        ("Ada", "a long password"),
        ("jo", "a long password"),
        ("<script>", "a long password"),
        ("joan", "short"),
    ],
)
def test_a_taken_or_unfit_name_or_password_is_refused(
    browser: Browser, name: str, password: str
) -> None:
    answer = browser.submit("/register", name=name, password=password)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "<script>" not in answer.text
    assert not browser.is_signed_in


# -- the cart and the counter -----------------------------------------------------


def test_each_visit_is_counted(browser: Browser) -> None:
    assert [browser.visits() for _ in range(3)] == [1, 2, 3]


def test_what_is_put_into_the_cart_stays_there(browser: Browser) -> None:
    browser.add("tea")
    browser.add("cups")
    browser.add("tea")

    assert browser.cart() == {"Tea": 2, "Two cups": 1}


def test_each_browser_has_a_cart_of_its_own_for_the_same_account(
    browser: Browser, other: Browser
) -> None:
    browser.sign_in("ada")
    other.sign_in("ada")

    browser.add("tea")
    other.add("biscuits")
    browser.add("cups")

    assert browser.cart() == {"Tea": 1, "Two cups": 1}
    assert other.cart() == {"Biscuits": 1}


def test_requests_of_one_session_that_overlap_all_count(
    browser: Browser, other: Browser, app: Flask
) -> None:
    token, visits = browser.token("/"), browser.visits()
    other.cookie = str(browser.cookie)
    answers: list[int] = []

    def meanwhile(sender: Flask, **_: object) -> None:
        if not answers:
            form = {"csrf_token": token, "ware": "tea"}
            answers.append(other.client.post("/cart", data=form).status_code)
            answers.append(other.client.get("/").status_code)

    with template_rendered.connected_to(meanwhile, app):
        browser.get("/")

    assert answers == [303, 200]
    assert browser.visits() == visits + 3
    assert browser.cart() == {"Tea": 1}


def test_the_cart_and_the_count_survive_signing_in(browser: Browser) -> None:
    browser.add("tea")
    visits = browser.visits()

    browser.sign_in("ada")

    assert browser.visits() == visits + 1
    assert browser.cart() == {"Tea": 1}


def test_the_cart_does_not_grow_without_end(browser: Browser) -> None:
    token = browser.token("/")
    for _ in range(25):
        browser.client.post("/cart", data={"csrf_token": token, "ware": "tea"})

    shown = browser.get("/").text

    assert "Your cart is full." in shown
    assert browser.cart() == {"Tea": 20}


def test_what_the_shop_does_not_have_is_refused(browser: Browser) -> None:
    assert browser.add("gold").status_code == 400
    assert browser.cart() == {}


# -- signing out ------------------------------------------------------------------


def test_after_signing_out_no_copy_of_the_cookie_works(
    browser: Browser, other: Browser
) -> None:
    browser.sign_in("ada")
    other.cookie = str(browser.cookie)
    assert other.is_signed_in

    browser.sign_out()

    assert not other.is_signed_in
    assert not browser.is_signed_in


def test_signing_out_ends_this_session_only(browser: Browser, other: Browser) -> None:
    browser.sign_in("ada")
    other.sign_in("ada")

    browser.sign_out()

    assert other.is_signed_in


def test_signing_out_empties_the_cart_and_says_so_once(browser: Browser) -> None:
    browser.sign_in("ada")
    browser.add("tea")

    browser.sign_out()

    assert "You have signed out." in browser.get("/").text
    assert "You have signed out." not in browser.get("/").text
    assert browser.cart() == {}


def test_the_cookie_from_before_signing_in_is_worth_nothing_afterwards(
    browser: Browser, other: Browser
) -> None:
    browser.visits()
    other.cookie = str(browser.cookie)

    browser.sign_in("ada")

    assert not other.is_signed_in
    assert other.visits() == 1


# -- what others may try ----------------------------------------------------------


@pytest.mark.parametrize("path", ["/sign-in", "/register", "/sign-out", "/cart"])
def test_a_form_without_a_csrf_token_is_refused(browser: Browser, path: str) -> None:
    browser.sign_in("ada")

    answer = browser.client.post(path, data={"ware": "tea", "name": "x"})

    assert answer.status_code == 400
    assert browser.is_signed_in
    assert browser.cart() == {}


def test_a_csrf_token_from_before_signing_in_is_refused_afterwards(
    browser: Browser,
) -> None:
    token = browser.token("/")
    browser.sign_in("ada")

    answer = browser.client.post("/cart", data={"ware": "tea", "csrf_token": token})

    assert answer.status_code == 400


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "javascript:alert(1)",
        "evil.example",
        " //evil.example",
        "",
    ],
)
def test_signing_in_leads_to_no_other_site(browser: Browser, target: str) -> None:
    token = browser.token("/sign-in")

    answer = browser.client.post(
        "/sign-in",
        query_string={"next": target},
        data={"name": "ada", "password": PASSWORDS["ada"], "csrf_token": token},
    )

    assert (answer.status_code, answer.location) == (303, "/")


def test_signing_in_leads_back_to_the_page_that_asked_for_it(
    browser: Browser,
) -> None:
    asked = browser.get("/account/?tab=1")
    assert asked.status_code == 303

    answer = browser.sign_in("ada", page=str(asked.location))

    assert answer.location == "/account/?tab=1"


def test_the_cookie_and_the_pages_are_guarded(browser: Browser) -> None:
    answer = browser.sign_in("ada")

    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert browser.get("/account/").headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_no_page_needs_javascript(browser: Browser) -> None:
    browser.sign_in("ada")

    for path in ("/", "/sign-in", "/register", "/account/", "/missing"):
        assert "<script" not in browser.get(path).text


# -- how it is started ------------------------------------------------------------


def test_the_environment_chooses_the_backend(app: Flask, backend_url: str) -> None:
    backend = app.extensions["srvsession"].backend

    scheme = backend_url.partition("://")[0]
    assert type(backend).__name__ == f"{scheme.capitalize()}Backend"


@pytest.mark.parametrize("has_cookie", [True, False])
def test_an_outage_is_a_503_page_and_no_logout(
    database: Path, has_cookie: bool
) -> None:
    config = {"DATABASE": database, "SECRET_KEY": "secret"}
    before = Browser(create_app(config))
    before.sign_in("ada")
    down = {**config, "SRVSESSION_BACKEND": "redis://127.0.0.1:1/0"}
    browser = Browser(create_app(down))
    if has_cookie:
        browser.cookie = str(before.cookie)

    answer = browser.get("/")

    assert answer.status_code == 503
    assert "cannot be reached" in answer.text
    assert "To the shop" in answer.text
    assert "Set-Cookie" not in answer.headers
    with browser.get("/static/style.css") as style:
        assert style.status_code == 200


def test_without_a_secret_key_each_start_has_its_own_and_says_so(
    database: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    caplog.set_level(logging.WARNING)

    keys = {create_app({"DATABASE": database}).secret_key for _ in range(2)}

    assert len(keys) == 2
    assert "SECRET_KEY is not set" in caplog.text


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
