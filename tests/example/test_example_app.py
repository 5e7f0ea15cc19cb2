"""The example app does what its pages say; what is about sessions, on every backend."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.typing import ResponseReturnValue
from werkzeug.security import check_password_hash

from example_app import accounts, auth, create_app, shop
from example_app.account import browser_name
from flask_srvsession import session

from .browser import FIREFOX, NEW_PASSWORD, PASSWORDS, SAFARI, Browser

ROOT = Path(__file__).parents[2]

on_every_backend = pytest.mark.parametrize(
    "backend_url", ["memory", "redis", "memcached"], indirect=True
)


# -- who is there -----------------------------------------------------------------


@on_every_backend
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
    check = check_password_hash

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


@on_every_backend
def test_a_login_that_began_before_all_sessions_were_ended_is_refused(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = accounts.verify

    def while_it_is_checked(account: accounts.Account, password: str) -> str | None:
        auth.sessions.revoke_all(user_id=account.id)
        return verify(account, password)

    monkeypatch.setattr(accounts, "verify", while_it_is_checked)

    answer = browser.sign_in("ada")

    assert answer.status_code == 409
    assert "Please sign in again" in answer.text
    assert not browser.is_signed_in


@on_every_backend
@pytest.mark.parametrize("page", ["/sign-in", "/account/password"])
def test_the_password_is_read_after_the_epoch(
    browser: Browser, app: Flask, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    """Otherwise a password that was just changed would still let somebody in."""
    if page != "/sign-in":
        browser.sign_in("ada")
    order: list[str] = []
    index = app.extensions["srvsession"].backend.index
    epoch, row = index.epoch, accounts._row

    def noted_epoch(name: str) -> str:
        order.append("epoch")
        answer: str = epoch(name)
        return answer

    def noted_row(sql: str, *arguments: object) -> object:
        if "SELECT password" in sql:
            order.append("password")
        return row(sql, *arguments)

    monkeypatch.setattr(index, "epoch", noted_epoch)
    monkeypatch.setattr(accounts, "_row", noted_row)

    answer = browser.submit(
        page,
        name="ada",
        password=PASSWORDS["ada"],
        present=PASSWORDS["ada"],
        new=NEW_PASSWORD,
    )

    assert answer.status_code == 303
    assert order[:2] == ["epoch", "password"]


def test_who_wants_to_stay_signed_in_gets_a_cookie_that_outlives_the_browser(
    browser: Browser, other: Browser
) -> None:
    password = PASSWORDS["ada"]

    once = browser.submit("/sign-in", name="ada", password=password)
    stays = other.submit("/sign-in", name="ada", password=password, stay="on")

    assert "Expires" not in once.headers["Set-Cookie"]
    assert "Expires" in stays.headers["Set-Cookie"]


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


# -- the cart -----------------------------------------------------------------------


def test_what_is_put_into_the_cart_stays_there(browser: Browser) -> None:
    browser.add("tea")
    browser.add("cups")
    browser.add("tea")

    assert browser.cart() == {"Tea": 2, "Two cups": 1}


def test_what_is_taken_out_is_out_and_nothing_is_less_than_none(
    browser: Browser,
) -> None:
    browser.add("tea")
    browser.add("cups")
    for _ in range(2):
        browser.remove("tea")
    browser.remove("biscuits")

    assert browser.cart() == {"Two cups": 1}


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


@on_every_backend
@pytest.mark.parametrize("ware", ["tea", "cups"])
def test_two_tabs_that_fill_the_cart_at_once_lose_nothing(
    browser: Browser, other: Browser, app: Flask, ware: str
) -> None:
    """The second request comes and goes after the first has read the cart."""
    form = {"csrf_token": browser.token("/"), "ware": "tea", "by": "1"}
    other.cookie = str(browser.cookie)
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
def test_the_cart_survives_signing_in(browser: Browser) -> None:
    browser.add("tea")

    browser.sign_in("ada")

    assert browser.cart() == {"Tea": 1}


def test_the_cart_does_not_grow_without_end(browser: Browser) -> None:
    form = {"csrf_token": browser.token("/"), "ware": "tea", "by": "1"}
    for _ in range(25):
        browser.client.post("/cart", data=form)

    assert "as many as we have" in browser.get("/").text
    assert browser.cart() == {"Tea": 20}


@pytest.mark.parametrize(
    "form", [{"ware": "gold", "by": "1"}, {"ware": "tea", "by": "9"}, {"ware": "tea"}]
)
def test_what_the_shop_does_not_offer_is_refused(
    browser: Browser, form: dict[str, str]
) -> None:
    assert browser.submit("/", "/cart", **form).status_code == 400
    assert browser.cart() == {}


# -- signing out ------------------------------------------------------------------


@on_every_backend
def test_after_signing_out_no_copy_of_the_cookie_works(
    browser: Browser, other: Browser
) -> None:
    browser.sign_in("ada")
    other.cookie = str(browser.cookie)
    assert other.is_signed_in

    browser.sign_out()

    assert not other.is_signed_in
    assert not browser.is_signed_in


@on_every_backend
def test_signing_out_ends_this_session_only(browser: Browser, other: Browser) -> None:
    browser.sign_in("ada")
    other.sign_in("ada")

    browser.sign_out()

    assert other.is_signed_in


@on_every_backend
def test_signing_out_empties_the_cart_and_says_so_once(browser: Browser) -> None:
    browser.sign_in("ada")
    browser.add("tea")

    browser.sign_out()

    assert "You have signed out." in browser.get("/").text
    assert "You have signed out." not in browser.get("/").text
    assert browser.cart() == {}


@on_every_backend
def test_the_cookie_from_before_signing_in_is_worth_nothing_afterwards(
    browser: Browser, other: Browser
) -> None:
    browser.add("tea")
    other.cookie = str(browser.cookie)

    browser.sign_in("ada")

    assert not other.is_signed_in
    assert other.cart() == {}


# -- devices ------------------------------------------------------------------------


@on_every_backend
def test_the_devices_are_listed_by_browser_and_this_one_is_marked(app: Flask) -> None:
    laptop, phone = Browser(app, FIREFOX), Browser(app, SAFARI)
    laptop.sign_in("ada")
    phone.sign_in("ada")

    assert sorted(laptop.devices()) == [
        "Firefox on Windows (this)",
        "Mobile Safari on iOS",
    ]
    assert sorted(phone.devices()) == [
        "Firefox on Windows",
        "Mobile Safari on iOS (this)",
    ]


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Windows"),
        ("curl/8.14.1", "curl"),
        ("my-program", "my-program"),
        ("", "Unknown"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_a_device_is_named_by_what_it_says_of_itself(agent: str, name: str) -> None:
    assert browser_name(agent) == name


def test_what_a_browser_says_of_itself_is_shown_as_text(app: Flask) -> None:
    browser = Browser(app, "<script>alert(1)</script>")
    browser.sign_in("ada")

    assert "<script" not in browser.get("/account/").text


@on_every_backend
def test_one_device_can_be_signed_out_by_another(app: Flask) -> None:
    here, phone, laptop = (Browser(app, agent) for agent in ("here", SAFARI, FIREFOX))
    for device in (here, phone):
        device.sign_in("ada")
    [id_of_phone] = here.other_devices()
    laptop.sign_in("ada")

    answer = here.sign_out_of(id_of_phone)

    assert answer.status_code == 303
    assert not phone.is_signed_in
    assert sorted(here.devices()) == ["Firefox on Windows", "here (this)"]
    assert laptop.is_signed_in


@on_every_backend
def test_a_device_of_somebody_else_cannot_be_signed_out(app: Flask) -> None:
    ada, phone, grace = Browser(app), Browser(app), Browser(app)
    ada.sign_in("ada")
    phone.sign_in("ada")
    grace.sign_in("grace")
    [id_of_phone] = ada.other_devices()

    answer = grace.sign_out_of(id_of_phone)

    assert answer.status_code == 404
    assert phone.is_signed_in


@on_every_backend
def test_signing_out_all_others_keeps_this_one(
    browser: Browser, other: Browser, app: Flask
) -> None:
    stranger = Browser(app)
    stranger.sign_in("grace")
    other.sign_in("ada")
    browser.sign_in("ada")

    browser.sign_out_others()

    assert "Other devices signed out: 1." in browser.get("/").text
    assert browser.is_signed_in
    assert not other.is_signed_in
    assert stranger.is_signed_in


@on_every_backend
def test_signing_out_everywhere_means_this_one_too(
    browser: Browser, other: Browser, app: Flask
) -> None:
    stranger = Browser(app)
    stranger.sign_in("grace")
    other.sign_in("ada")
    browser.sign_in("ada")

    browser.sign_out_everywhere()

    assert not browser.is_signed_in
    assert not other.is_signed_in
    assert stranger.is_signed_in
    assert "You have signed out everywhere." in browser.get("/").text


# -- the password --------------------------------------------------------------------


@on_every_backend
def test_a_new_password_signs_out_all_other_devices_and_only_it_signs_in(
    browser: Browser, other: Browser
) -> None:
    other.sign_in("ada")
    browser.sign_in("ada")

    answer = browser.change_password(PASSWORDS["ada"], NEW_PASSWORD)

    assert answer.status_code == 303
    assert browser.is_signed_in
    assert not other.is_signed_in
    assert other.sign_in("ada").status_code == 422
    assert (
        other.submit("/sign-in", name="ada", password=NEW_PASSWORD).status_code == 303
    )


@on_every_backend
def test_the_cookie_from_before_a_new_password_is_worth_nothing(
    browser: Browser, other: Browser
) -> None:
    browser.sign_in("ada")
    other.cookie = str(browser.cookie)

    browser.change_password(PASSWORDS["ada"], NEW_PASSWORD)

    assert not other.is_signed_in


@pytest.mark.parametrize(
    ("present", "new", "error"),
    [
        ("wrong", NEW_PASSWORD, "That is not your present password."),
        (PASSWORDS["grace"], NEW_PASSWORD, "That is not your present password."),
        (PASSWORDS["ada"], "short", "The new password is too short."),
    ],
)
def test_a_refused_change_of_password_changes_nothing(
    browser: Browser, other: Browser, present: str, new: str, error: str
) -> None:
    other.sign_in("ada")
    browser.sign_in("ada")

    answer = browser.change_password(present, new)

    assert answer.status_code == 422
    assert error in answer.text
    assert other.is_signed_in
    assert Browser(browser.client.application).sign_in("ada").status_code == 303


@on_every_backend
def test_a_session_that_is_ended_meanwhile_does_not_change_the_password(
    browser: Browser, other: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.sign_in("ada")
    verify = accounts.verify

    def while_it_is_checked(account: accounts.Account, password: str) -> str | None:
        auth.sessions.revoke_all(user_id=account.id)
        return verify(account, password)

    with monkeypatch.context() as patch:
        patch.setattr(accounts, "verify", while_it_is_checked)
        answer = browser.change_password(PASSWORDS["ada"], NEW_PASSWORD)

    assert answer.status_code == 409
    assert other.sign_in("ada").status_code == 303


def test_of_two_changes_of_one_password_the_second_is_refused(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.sign_in("ada")
    change = accounts.change_password

    def after_another(account: accounts.Account, verified: str, new: str) -> bool:
        assert change(account, verified, "the other change")
        return change(account, verified, new)

    monkeypatch.setattr(accounts, "change_password", after_another)

    answer = browser.change_password(PASSWORDS["ada"], NEW_PASSWORD)

    assert answer.status_code == 409


# -- what a copied cookie gets ---------------------------------------------------------


@on_every_backend
def test_the_page_shows_that_a_copied_cookie_ends_with_the_session(
    browser: Browser,
) -> None:
    browser.sign_in("ada")

    answer = browser.submit("/account/replay")

    assert re.findall(r"<dd>(.+?):", answer.text) == ["200 OK", "303 SEE OTHER"]
    assert not browser.is_signed_in


# -- programs --------------------------------------------------------------------------


def test_programs_are_told_who_asks(browser: Browser) -> None:
    before = browser.get("/me").get_json()
    browser.sign_in("ada")
    browser.add("tea")
    after = browser.get("/me").get_json()

    assert (before["name"], before["cart"]) == (None, {})
    assert (after["name"], after["cart"]) == ("ada", {"tea": 1})


# -- what others may try ----------------------------------------------------------


POSTS = [
    "/sign-in",
    "/register",
    "/sign-out",
    "/cart",
    "/account/password",
    "/account/replay",
    "/account/devices/0/sign-out",
    "/account/devices/sign-out-others",
    "/account/devices/sign-out-everywhere",
]


@pytest.mark.parametrize("path", POSTS)
def test_a_form_without_a_csrf_token_is_refused(browser: Browser, path: str) -> None:
    browser.sign_in("ada")

    answer = browser.client.post(path, data={"ware": "tea", "by": "1"})

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


PAGES = ["/", "/sign-in", "/register", "/account/", "/account/password", "/missing"]


def test_no_page_needs_javascript(browser: Browser) -> None:
    browser.sign_in("ada")

    for path in [*PAGES, "/account/replay"]:
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
