"""Sessions that are bound to a device, in a real Chromium with keys in software."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, redirect, request
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from flask_srvsession import ServerSession, session
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.testing import FakeClock
from tests.integration.apps import WatchedBackend

from .chromium import running_chromium
from .secure import OTHER, served_securely

REGISTERED = "/dbsc/register 200"
REFRESHED = "/dbsc/refresh 200"
CHALLENGED = "/dbsc/refresh 403"

PAGE = """<!doctype html><title>{user}</title><p id="user">{user}</p>
<form method="post" action="/login"><input name="name"><button>in</button></form>"""


class Bank:
    """An app, and all that Chromium asks it by itself."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.clock = FakeClock(time.time())
        self.storage = WatchedBackend(MemoryBackend(clock=self.clock))
        self.asked: list[str] = []
        self.app = app = Flask("bank")
        app.config.update(SECRET_KEY="0123456789abcdef" * 2, SRVSESSION_DBSC=True)
        app.config.update(SESSION_COOKIE_NAME="__Host-id", SESSION_COOKIE_SECURE=True)
        app.config.update(SESSION_COOKIE_SAMESITE="Lax", **config)
        ServerSession().init_app(app, self.storage, clock=self.clock)
        self._add_views(app)
        self._watch(app)

    def _add_views(self, app: Flask) -> None:
        def user() -> str:
            return str(session.get("user_id", "nobody"))

        def login() -> Response:
            session.permanent = True
            session["user_id"] = request.form["name"]
            return redirect("/", 303)  # type: ignore[return-value]

        def logout() -> str:
            session.destroy()
            return PAGE.format(user="out")

        def rotate() -> str:
            session.rotate()
            return user()

        def pay() -> str:
            paid = f"{session.prove_device(within=5)} {request.form.get('sum', '')}"
            bill = request.files.get("bill")
            return f"{paid} {len(bill.read())}" if bill else paid

        rule: Callable[..., None] = app.add_url_rule
        rule("/", "home", lambda: PAGE.format(user=user()))
        rule("/user", "user", user)
        rule("/login", "login", login, methods=["POST"])
        rule("/logout", "logout", logout)
        rule("/rotate", "rotate", rotate, methods=["POST"])
        rule("/pay", "pay", pay, methods=["GET", "POST"])
        rule("/favicon.ico", "icon", lambda: ("", 204))
        rule(
            "/link",
            "link",
            lambda: f'<a href="https://localhost:{request.args["port"]}/">go</a>',
        )

    def _watch(self, app: Flask) -> None:
        inner = app.wsgi_app

        def watched(environ: Any, start_response: Any) -> Any:
            def start(status: str, *rest: Any) -> Any:
                if environ["PATH_INFO"].startswith("/dbsc/"):
                    self.asked.append(f"{environ['PATH_INFO']} {status[:3]}")
                return start_response(status, *rest)

            return inner(environ, start)

        app.wsgi_app = watched  # type: ignore[method-assign]

    def taken(self) -> list[str]:
        """Return what was asked since the last time."""
        asked, self.asked = self.asked, []
        return asked


class Person:
    """Somebody with a Chromium of their own."""

    def __init__(self, driver: Chrome, port: int) -> None:
        self.driver = driver
        self.port = port
        self.url = f"https://localhost:{port}"

    def sign_in(self, bank: Bank, name: str) -> None:
        """Log in by the form, and wait for the binding."""
        bank.taken()
        self.driver.get(self.url + "/")
        self.driver.find_element(By.NAME, "name").send_keys(name)
        self.driver.find_element(By.TAG_NAME, "button").click()
        self.wait(lambda: REGISTERED in bank.asked and "__Host-id-b" in self.cookies())
        assert self.fetch("/user") == name
        bank.taken()

    def fetch(self, path: str, method: str = "GET", body: str | None = None) -> Any:
        """Return the text, or the status of an error, of a request by JavaScript."""
        return self.driver.execute_async_script(
            "const [path, method, body, done] = arguments;"
            "const headers = {'Content-Type': 'application/x-www-form-urlencoded'};"
            "fetch(path, {method, body, headers: body ? headers : {}})"
            ".then(async a => done(a.ok ? await a.text() : a.status))",
            *(path, method, body),
        )

    def opens(self, path: str = "/") -> str:
        """Open a page as by its address; return who the page says is logged in."""
        self.driver.get(self.url + path)
        return self.user

    @property
    def user(self) -> str:
        found = self.driver.find_elements(By.ID, "user")
        return found[0].text if found else ""

    def cookies(self) -> dict[str, dict[str, Any]]:
        arguments = {"urls": [self.url]}
        got = self.driver.execute_cdp_cmd("Network.getCookies", arguments)
        return {cookie["name"]: cookie for cookie in got["cookies"]}

    def lose_proof(self) -> None:
        """Let the bound cookie be over."""
        arguments = {"name": "__Host-id-b", "url": self.url}
        self.driver.execute_cdp_cmd("Network.deleteCookies", arguments)

    def wait(self, condition: Callable[[], object]) -> None:
        for _ in range(300):
            if condition():
                return
            time.sleep(0.05)
        raise AssertionError("it did not come")


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank(tmp_path)


Opens = Callable[..., Person]


@pytest.fixture
def opens(bank: Bank, tmp_path: Path) -> Iterator[Opens]:
    """Begin a Chromium, with a profile of its own."""
    with ExitStack() as stack:
        port, flags = stack.enter_context(served_securely(bank.app, tmp_path))

        def begin(profile: str = "ann") -> Person:
            running = running_chromium(tmp_path / profile, *flags)
            return Person(stack.enter_context(running), port)

        yield begin


@pytest.fixture
def ann(bank: Bank, opens: Opens) -> Person:
    person = opens()
    person.sign_in(bank, "ann")
    return person


def test_a_proof_that_is_over_is_renewed_before_the_page(
    bank: Bank, ann: Person
) -> None:
    for _ in range(2):
        ann.lose_proof()
        assert ann.opens() == "ann"
        assert bank.taken() == [REFRESHED]


def test_two_tabs_and_24_requests_make_one_proof(bank: Bank, ann: Person) -> None:
    ann.opens()
    ann.driver.switch_to.new_window("tab")
    ann.opens()
    bank.taken()
    ann.lose_proof()

    seen = ann.driver.execute_async_script(
        "const done = arguments[0];"
        "Promise.all([...Array(24)].map((_, n) => fetch(`/user?${n}`)"
        ".then(a => a.text()))).then(done)"
    )

    assert seen == ["ann"] * 24
    assert bank.taken() == [REFRESHED]


def test_a_link_from_another_site_opens_its_page(bank: Bank, ann: Person) -> None:
    ann.lose_proof()
    ann.driver.get(f"https://{OTHER}:{ann.port}/link?port={ann.port}")
    assert bank.taken() == []

    ann.driver.find_element(By.TAG_NAME, "a").click()

    ann.wait(lambda: ann.user == "ann")
    assert bank.taken() == [REFRESHED]


def test_a_form_is_held_and_sent(bank: Bank, ann: Person) -> None:
    ann.opens()
    ann.lose_proof()

    ann.driver.find_element(By.NAME, "name").send_keys("bob")
    ann.driver.find_element(By.TAG_NAME, "button").click()

    ann.wait(lambda: ann.user == "bob")
    assert bank.taken()[0] == REFRESHED


def test_a_stale_challenge_is_one_step_more(bank: Bank, ann: Person) -> None:
    bank.clock.advance(2 * 86400)
    ann.lose_proof()

    assert ann.opens() == "ann"
    assert bank.taken() == [CHALLENGED, REFRESHED]


def test_a_payment_asks_the_device(bank: Bank, ann: Person) -> None:
    ann.opens()
    bank.clock.advance(30)

    assert ann.fetch("/pay", "POST", "sum=7") == "True 7"
    assert bank.taken() == [REFRESHED]

    bank.clock.advance(30)
    sent = ann.driver.execute_async_script(
        "const done = arguments[0], form = new FormData();"
        "form.append('sum', '8');"
        "form.append('bill', new Blob(['x'.repeat(3e6)]), 'bill.pdf');"
        "fetch('/pay', {method: 'POST', body: form})"
        ".then(async a => done(await a.text()))"
    )
    assert sent == "True 8 3000000"
    assert bank.taken() == [REFRESHED]

    bank.clock.advance(30)
    ann.driver.get(ann.url + "/pay")
    assert "True" in ann.driver.page_source
    assert bank.taken() == [REFRESHED]


def test_a_new_id_is_bound_anew(bank: Bank, ann: Person) -> None:
    ann.opens()
    former = ann.cookies()["__Host-id"]["value"]
    bank.clock.advance(90)

    assert ann.fetch("/rotate", "POST") == "ann"
    assert ann.cookies()["__Host-id"]["value"] != former
    ann.wait(lambda: REGISTERED in bank.asked)

    ann.wait(lambda: ann.fetch("/user") == "ann")
    for _ in range(2):
        ann.lose_proof()
        assert ann.opens() == "ann"


def test_a_second_login_is_bound_anew(bank: Bank, ann: Person) -> None:
    ann.sign_in(bank, "bob")

    for _ in range(2):
        ann.lose_proof()
        assert ann.opens() == "bob"
        bank.taken()
    ann.lose_proof()
    assert ann.opens() == "bob"
    assert bank.taken() == [REFRESHED]


def test_a_logout_ends_it_without_a_word(bank: Bank, ann: Person) -> None:
    ann.opens("/logout")
    ann.wait(lambda: ann.user == "out")

    assert ann.opens() == "nobody"
    assert ann.opens() == "nobody"

    assert bank.taken() == [REFRESHED]
    assert ann.cookies() == {}


def test_a_browser_that_begins_again_has_its_key(
    bank: Bank, opens: Opens, ann: Person
) -> None:
    time.sleep(1)
    ann.driver.quit()
    again = opens()
    assert "__Host-id" in again.cookies()
    again.lose_proof()

    assert again.opens() == "ann"
    assert bank.taken() == [CHALLENGED, REFRESHED]  # challenges are not on its disk


def test_a_binding_survives_an_outage(bank: Bank, ann: Person) -> None:
    ann.opens()
    ann.lose_proof()

    def lose(call: str) -> None:
        raise bank.storage.errors[0]("the connection is lost")

    bank.storage.before = lose
    assert ann.fetch("/user") == 503
    bank.storage.answer()

    assert ann.fetch("/user") == "ann"
    assert bank.taken() == ["/dbsc/refresh 503", REFRESHED]


def test_a_copy_of_all_cookies_is_worth_nothing_elsewhere(
    bank: Bank, opens: Opens, ann: Person
) -> None:
    thief = opens("thief")
    for cookie in ann.cookies().values():
        names = ("name", "value", "secure", "httpOnly", "sameSite")
        arguments = {k: cookie[k] for k in names if k in cookie}
        thief.driver.execute_cdp_cmd(
            "Network.setCookie", {**arguments, "url": thief.url}
        )
    assert thief.opens() == "ann"

    bank.clock.advance(631)
    ann.lose_proof()  # its life is over there, too

    assert thief.opens() == ""
    assert "another browser" in thief.driver.page_source
    assert thief.fetch("/user") == 401
    assert ann.opens() == "ann"
    assert bank.taken() == [REFRESHED]

    thief.driver.get(thief.url)
    thief.driver.find_element(By.TAG_NAME, "button").click()
    thief.wait(lambda: thief.user == "nobody")
    assert ann.opens() == "ann"
