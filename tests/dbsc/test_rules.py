"""What a server has to keep to, rule by rule, and what a thief gets."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from flask import Flask, Response, abort, redirect, request
from werkzeug.test import TestResponse

from flask_srvsession import (
    ServerSession,
    binding_failed,
    session,
    session_destroyed,
)
from flask_srvsession.backends import Backend
from flask_srvsession.testing import FakeClock
from tests.concurrency.faulty import FaultyBackend
from tests.conftest import MakeApp
from tests.integration.probes import CountingBackend

from .conftest import WINDOW
from .device import DeviceBrowser
from .key import Key

EVERY = pytest.mark.every_storage
LOGIN = {"user_id": "ann"}


def user() -> str:
    return str(session.get("user_id"))


# -- the thief -----------------------------------------------------------------------


@EVERY
def test_a_copy_of_all_cookies_is_refused_when_the_proof_is_old(
    ann: DeviceBrowser, clock: FakeClock
) -> None:
    thief = ann.robbed()
    assert thief.fetch(user).text == "ann"

    clock.advance(WINDOW + 60)

    assert thief.fetch(user).status_code == 401
    assert thief.open(user).status_code == 401
    assert ann.values() == LOGIN


def test_the_session_cookie_alone_is_refused_at_once(ann: DeviceBrowser) -> None:
    thief = DeviceBrowser(ann.app, ann.clock)
    thief.client.set_cookie("session", ann.cookie)

    response = thief.fetch(user)

    assert response.status_code == 401
    assert response.get_json() == {"error": "device_not_proven"}
    assert ann.values() == LOGIN


def test_an_old_bound_cookie_is_refused_whatever_its_age_is_said_to_be(
    ann: DeviceBrowser, clock: FakeClock
) -> None:
    thief = ann.robbed()
    clock.advance(WINDOW + 29)
    thief._ends.clear()
    assert thief.fetch(user).text == "ann"  # it may have been on its way

    clock.advance(1)

    assert thief.fetch(user).status_code == 401


def test_the_bound_cookie_of_another_session_is_refused(
    app: Flask, ann: DeviceBrowser, clock: FakeClock
) -> None:
    mallory = DeviceBrowser(app, clock)
    mallory.set(user_id="mallory")
    own = mallory.value("session-b")
    assert own is not None
    thief = ann.robbed()
    thief.client.set_cookie("session-b", own)

    assert thief.fetch(user).status_code == 401


def test_the_last_but_one_proof_is_good_and_older_ones_are_not(
    ann: DeviceBrowser,
) -> None:
    copies = [ann.robbed()]
    for _ in range(2):
        ann.refresh()
        copies.append(ann.robbed())

    assert [copy.fetch(user).status_code for copy in copies] == [401, 200, 200]


def test_a_thief_cannot_register_a_device(ann: DeviceBrowser, clock: FakeClock) -> None:
    """Not even with an offer for this very session, made before it was bound."""
    seals = ann.app.extensions["srvsession"].devices.seals(
        ann.app.extensions["srvsession"].store
    )
    offer = seals.offer(ann.id, clock())
    header = f'(ES256);path="/dbsc/register";challenge="{offer}"'
    thief = ann.robbed()

    assert thief.register(header).status_code == 403
    clock.advance(61)
    assert thief.register(header).status_code == 403
    assert ann.refresh() is None
    assert ann.ended == []
    assert ann.values() == LOGIN


def test_a_thief_gets_no_new_id(ann: DeviceBrowser, clock: FakeClock) -> None:
    """A new session is bound to nothing yet: to get it needs a fresh proof."""
    thief = ann.robbed()
    clock.advance(120)

    assert thief.fetch(lambda: session.rotate() or "").status_code == 401

    assert ann.values() == LOGIN


def test_the_owner_gets_a_new_id_after_a_proof(
    ann: DeviceBrowser, clock: FakeClock
) -> None:
    former = ann.id
    clock.advance(120)

    assert ann.fetch(lambda: session.rotate() or "").status_code == 200

    assert ann.id != former
    assert ann.asked[1] == ("/dbsc/refresh", 200)


def test_to_end_all_others_keeps_the_bound_session_as_it_is(
    ann: DeviceBrowser, clock: FakeClock
) -> None:
    """A new id would be bound to nothing."""
    sessions, former = ServerSession(), ann.id
    clock.advance(120)

    def end() -> str:
        return str(sessions.revoke_all(user_id="ann", keep_current=True))

    assert ann.fetch(end).text == "0"
    assert ann.id == former


def test_a_failed_proof_is_told(ann: DeviceBrowser, clock: FakeClock) -> None:
    told: list[str] = []

    def failed(sender: Flask, info: Any, reason: str) -> None:
        told.append(f"{reason} {info.id}")

    with binding_failed.connected_to(failed, ann.app):
        thief = ann.robbed()
        thief.lose("session-b")
        thief.fetch(user)
        [binding] = ann.bindings.values()
        assert binding.challenge
        ann.ask(binding, Key().proves(binding.challenge))
        ann.lose("session-b")
        assert ann.open(user, site="cross-site").text == "ann"  # which is no failure

    assert told == [f"cookie {ann.id}", f"proof {ann.id}"]


# -- neither the user nor logged out -------------------------------------------------


def test_a_link_from_another_site_opens_its_page(
    ann: DeviceBrowser, clock: FakeClock
) -> None:
    clock.advance(WINDOW)

    first = ann.do(user, site="cross-site", mode="navigate")
    assert first.status_code == 401
    assert 'content="0"' in first.text
    assert first.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in first.headers

    assert ann.open(user, site="cross-site").text == "ann"
    assert ann.asked[1:] == [("/dbsc/refresh", 200)]


def test_a_link_opens_at_once_where_others_may_ask_for_the_proof(
    make_app: MakeApp, clock: FakeClock
) -> None:
    app = make_app(SRVSESSION_DBSC=True, SRVSESSION_DBSC_INITIATORS=("*",))
    browser = DeviceBrowser(app, clock)
    browser.set(user_id="ann")
    browser.values()
    clock.advance(WINDOW)

    assert browser.do(user, site="cross-site", mode="navigate").text == "ann"


def test_a_browser_that_has_lost_its_key_may_forget_the_session(
    ann: DeviceBrowser,
) -> None:
    ann.bindings.clear()
    ann.lose("session-b")

    page = ann.open(user)
    assert page.status_code == 401
    assert 'action="/dbsc/forget"' in page.text

    path, base = "/dbsc/forget", "https://localhost"
    refused = ann.client.post(
        path, base_url=base, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert refused.status_code == 403
    assert ann.has_cookie
    done = ann.client.post(
        path, base_url=base, headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert done.status_code == 303
    assert done.headers["Location"] == "/"
    assert not ann.has_cookie
    assert ann.values() == {}


@EVERY
def test_who_is_refused_changes_nothing(ann: DeviceBrowser, clock: FakeClock) -> None:
    ended: list[object] = []
    thief = DeviceBrowser(ann.app, ann.clock)
    thief.client.set_cookie("session", ann.cookie)

    def change() -> str:
        session["user_id"] = "mallory"
        return "changed"

    with session_destroyed.connected_to(lambda *_, **__: ended.append(1), ann.app):
        for view in (
            change,
            lambda: session.destroy(),
            lambda: session.clear(),
            lambda: str(session.id),
            lambda: session.rotate(),
            lambda: str(session.pop("user_id")),
            lambda: str(session.bind(user_id="mallory")),
            lambda: str(ServerSession().revoke_all(user_id="ann")),
        ):
            response = thief.fetch(view)
            assert response.status_code == 401, response.text
            assert "Set-Cookie" not in response.headers

    assert ended == []
    assert ann.values() == LOGIN


def test_a_page_that_needs_no_session_is_served(ann: DeviceBrowser) -> None:
    ann.lose("session-b")
    ann.bindings.clear()

    assert ann.fetch(lambda: "public").text == "public"


def test_no_error_handler_makes_a_login_page_of_it(
    app: Flask, browser: DeviceBrowser
) -> None:
    app.register_error_handler(401, lambda error: redirect("/login"))
    app.register_error_handler(Exception, lambda error: ("broken", 500))
    browser.set(user_id="ann")
    browser.values()
    browser.lose("session-b")
    browser.bindings.clear()

    assert browser.fetch(user).get_json() == {"error": "device_not_proven"}


def test_what_fails_after_it_does_not_hide_it(
    app: Flask, browser: DeviceBrowser
) -> None:
    app.testing = False

    @app.after_request
    def greet(response: Response) -> Response:
        response.headers["X-User"] = user()
        return response

    browser.set(user_id="ann")
    browser.values()
    browser.lose("session-b")
    browser.bindings.clear()

    assert browser.fetch(user).get_json() == {"error": "device_not_proven"}


def test_a_browser_that_says_that_it_could_not_is_told_to_come_back(
    ann: DeviceBrowser, clock: FakeClock
) -> None:
    clock.advance(WINDOW)
    ann.signatures = 0

    response = ann.fetch(user)

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "30"
    assert ann.ended == []


# -- two phases ----------------------------------------------------------------------


def test_it_is_not_enforced_before_a_request_has_shown_the_cookie(
    app: Flask, clock: FakeClock
) -> None:
    browser = DeviceBrowser(app, clock)
    browser.set(user_id="ann")
    racing = DeviceBrowser(app, clock)
    racing.client.set_cookie("session", browser.cookie)

    assert racing.values() == LOGIN
    assert racing.does(lambda: str(session.bound)) == "False"
    assert browser.values() == LOGIN
    assert racing.fetch(user).status_code == 401


def test_it_is_enforced_from_the_first_refresh_on(
    app: Flask, browser: DeviceBrowser
) -> None:
    browser.set(user_id="ann")
    racing = DeviceBrowser(app, browser.clock)
    racing.client.set_cookie("session", browser.cookie)

    browser.refresh()

    assert racing.fetch(user).status_code == 401


def test_a_registration_whose_answer_was_lost_is_repeated(
    app: Flask, browser: DeviceBrowser, clock: FakeClock
) -> None:
    browser.set(user_id="ann")
    browser.bindings.clear()
    browser.lose("session-b")
    assert browser.values() == LOGIN

    clock.advance(901)
    assert browser.values() == LOGIN

    assert [*browser.bindings] == [browser.id]
    assert browser.values() == LOGIN
    assert browser.does(lambda: str(session.bound)) == "True"


def test_of_two_registrations_at_once_the_first_counts(
    app: Flask, browser: DeviceBrowser
) -> None:
    browser.registers = False
    offer = browser.set(user_id="ann").headers["Secure-Session-Registration"]

    assert browser.register(offer).status_code == 200
    assert browser.register(offer).status_code == 403
    assert browser.values() == LOGIN
    browser.refresh()
    assert browser.ended == []


@pytest.mark.parametrize("seconds", [299, 300])
def test_an_offer_ends(browser: DeviceBrowser, clock: FakeClock, seconds: int) -> None:
    browser.registers = False
    offer = browser.set(user_id="ann").headers["Secure-Session-Registration"]
    clock.advance(seconds)

    assert browser.register(offer).status_code == (200 if seconds < 300 else 403)


def test_an_offer_is_for_the_client_of_its_session(
    app: Flask, browser: DeviceBrowser, clock: FakeClock
) -> None:
    browser.registers = False
    offer = browser.set(user_id="ann").headers["Secure-Session-Registration"]
    other = DeviceBrowser(app, clock)
    other.set(user_id="bob")

    assert other.register(offer).status_code == 403
    assert browser.register(offer).status_code == 200


# -- what a refresh is answered ------------------------------------------------------


def test_a_session_is_found_by_the_id_and_not_by_a_cookie(
    app: Flask, ann: DeviceBrowser, clock: FakeClock
) -> None:
    bob = DeviceBrowser(app, clock)
    bob.set(user_id="bob")
    [binding] = ann.bindings.values()

    ann.client.set_cookie("session", bob.cookie)
    response = ann.ask(binding)

    assert response is not None
    assert response.status_code == 200
    assert f'id="{binding.id}"' in response.headers["Secure-Session-Challenge"]


def test_it_needs_no_cookie_at_all(ann: DeviceBrowser) -> None:
    ann.lose("session", "session-b")

    assert ann.refresh() is None
    assert ann.ended == []


BAD = ["", "x", "a.b.c", "x" * 5000, "\xff"]


@pytest.mark.parametrize("proof", BAD)
def test_a_bad_proof_is_answered_by_a_challenge(ann: DeviceBrowser, proof: str) -> None:
    [binding] = ann.bindings.values()

    response = ann.ask(binding, proof)

    assert response is not None
    assert response.status_code == 403
    assert response.text == ""
    assert "Set-Cookie" not in response.headers
    assert ann.refresh() is None
    assert ann.ended == []


def test_a_challenge_is_good_once(ann: DeviceBrowser) -> None:
    [binding] = ann.bindings.values()
    assert binding.challenge
    proof = binding.key.proves(binding.challenge)

    first, second = ann.ask(binding, proof), ann.ask(binding, proof)

    assert first is not None
    assert second is not None
    assert (first.status_code, second.status_code) == (200, 403)
    assert ann.refresh() is None
    assert ann.ended == []


def test_a_stale_challenge_is_one_step_more(
    ann: DeviceBrowser, clock: FakeClock
) -> None:
    clock.advance(2 * 86400)

    assert ann.values() == LOGIN
    assert ann.asked[1:] == [("/dbsc/refresh", 403), ("/dbsc/refresh", 200)]


@pytest.mark.parametrize("name", ["", "nonsense", "f" * 32 + "_1", "\xff", "x" * 999])
def test_an_unknown_session_is_ended_without_a_word(
    ann: DeviceBrowser, name: str
) -> None:
    headers = {"Sec-Secure-Session-Id": name}
    response = ann.client.post("/dbsc/refresh", headers=headers)

    assert response.status_code == 200
    assert response.get_json() == {
        "session_identifier": name[:100],
        "continue": False,
    }


def test_nothing_of_the_app_answers_in_its_place(
    app: Flask, browser: DeviceBrowser, clock: FakeClock
) -> None:
    @app.before_request
    def refuse() -> None:
        if request.path != "/do":
            abort(400)

    @app.url_value_preprocessor
    def fail(endpoint: str | None, values: object) -> None:
        if endpoint is None:
            abort(429)

    browser.set(user_id="ann")
    clock.advance(WINDOW)

    assert browser.values() == LOGIN
    assert browser.asked == [("/dbsc/register", 200), ("/dbsc/refresh", 200)]


def test_it_works_under_a_prefix(make_app: MakeApp, clock: FakeClock) -> None:
    app = make_app(
        SRVSESSION_DBSC=True,
        SRVSESSION_DBSC_PATH="/auth/device",
        SESSION_COOKIE_PATH="/shop",
    )
    browser = DeviceBrowser(app, clock, root="/shop")
    browser.set(user_id="ann")
    assert browser.values() == LOGIN
    clock.advance(WINDOW)

    assert browser.values() == LOGIN
    assert browser.asked == [
        ("/auth/device/register", 200),
        ("/auth/device/refresh", 200),
    ]
    [binding] = browser.bindings.values()
    assert binding.refresh_url == "/shop/auth/device/refresh"
    assert binding.excluded == ["/shop/auth/device/", "/shop/static/"]
    assert "Path=/shop" in binding.attributes


@pytest.mark.parametrize("fault", ["reply is lost", "refused", "done later"])
@pytest.mark.parametrize("call", range(4))
def test_a_binding_survives_an_outage(
    make_app: MakeApp, backend: Backend, clock: FakeClock, fault: str, call: int
) -> None:
    faulty = FaultyBackend(backend)
    browser = DeviceBrowser(
        make_app(backend=faulty, SRVSESSION_DBSC=True),
        clock,
    )
    browser.set(user_id="ann")
    assert browser.values() == LOGIN
    clock.advance(WINDOW)

    faulty.fail(fault, call)
    browser.refresh()
    faulty.finish()

    assert {status for _, status in browser.asked} <= {200, 403, 503}
    assert browser.values() == LOGIN
    assert browser.ended == []


# -- what it costs -------------------------------------------------------------------


def test_an_ordinary_request_asks_the_storage_for_nothing_more(
    make_app: MakeApp, backend: Backend, clock: FakeClock
) -> None:
    counted = CountingBackend(backend)
    app = make_app(backend=counted, SRVSESSION_DBSC=True)
    browser = DeviceBrowser(app, clock)
    browser.set(user_id="ann")
    browser.values()
    counted.taken()

    browser.values()
    assert counted.taken() == ["get"]
    browser.set(n=1)
    assert counted.taken() == ["get", "swap"]


def test_a_refresh_is_one_swap(
    make_app: MakeApp, backend: Backend, clock: FakeClock
) -> None:
    counted = CountingBackend(backend)
    browser = DeviceBrowser(make_app(backend=counted, SRVSESSION_DBSC=True), clock)
    browser.set(user_id="ann")
    browser.values()
    counted.taken()

    browser.refresh()

    assert counted.taken().count("swap") == 1


# -- proof on demand -----------------------------------------------------------------


def pay() -> str:
    proven = session.prove_device(within=10)
    session["paid"] = session.get("paid", 0) + 1
    return f"{proven} {session.device_proved_at is not None}"


@pytest.mark.parametrize("way", ["open", "fetch"])
def test_a_payment_asks_the_device(
    ann: DeviceBrowser, clock: FakeClock, way: str
) -> None:
    clock.advance(60)
    send = getattr(ann, way)

    assert send(pay).text == "True True"

    assert ann.asked[1:] == [("/dbsc/refresh", 200)]
    assert send(pay).text == "True True"  # proven a moment ago
    assert len(ann.asked) == 2
    assert ann.values() == {**LOGIN, "paid": 2}


def test_it_asks_by_a_redirect_to_the_same_request(
    ann: DeviceBrowser, clock: FakeClock
) -> None:
    clock.advance(60)

    def change_and_pay() -> str:
        session["changed"] = True
        return pay()

    response = ann.do(change_and_pay, query_string="a=b%20c&d=é")

    assert response.status_code == 307
    assert response.headers["Location"] == "/do?a=b%20c&d=%C3%A9"
    assert ann.value("session-b") is None
    assert ann.values() == LOGIN


def test_a_link_from_another_site_to_a_payment_is_proven(
    ann: DeviceBrowser, clock: FakeClock
) -> None:
    clock.advance(60)

    assert ann.open(pay, site="cross-site").text == "True True"


@pytest.mark.parametrize("read_before", [False, True])
def test_an_upload_is_sent_again_after_the_proof(
    ann: DeviceBrowser, clock: FakeClock, read_before: bool
) -> None:
    clock.advance(60)
    content = b"%PDF" * 100_000

    def take() -> str:
        if read_before:
            assert request.files["bill"].read() == content
        pay()
        bill = request.files["bill"]
        bill.seek(0)
        return f"{request.form['sum']} {bill.read() == content}"

    def send() -> TestResponse:
        data = {"sum": "7", "bill": (BytesIO(content), "bill.pdf")}
        as_post = {"REQUEST_METHOD": "POST"}
        return ann.do(take, data=data, environ_overrides=as_post, mode="navigate")

    assert send().status_code == 307
    assert ann.values() == LOGIN
    assert send().text == "7 True"
    assert ann.values() == {**LOGIN, "paid": 1}


def test_a_thief_pays_nothing(ann: DeviceBrowser, clock: FakeClock) -> None:
    thief = ann.robbed()
    clock.advance(60)

    assert thief.fetch(pay).status_code == 401

    assert ann.values() == LOGIN


def test_without_a_binding_the_app_decides(browser: DeviceBrowser) -> None:
    browser.registers = False
    browser.set(user_id="ann")

    assert browser.does(pay) == "False False"


def test_without_dbsc_the_app_decides(make_app: MakeApp, clock: FakeClock) -> None:
    browser = DeviceBrowser(make_app(), clock)
    browser.set(user_id="ann")

    assert browser.does(pay) == "False False"
    assert browser.does(lambda: str(session.bound)) == "False"


# -- required ------------------------------------------------------------------------


@pytest.fixture
def strict(make_app: MakeApp) -> Flask:
    return make_app(SRVSESSION_DBSC="required")


def test_a_login_that_is_not_bound_in_a_minute_ends(
    strict: Flask, clock: FakeClock
) -> None:
    told: list[str] = []
    browser = DeviceBrowser(strict, clock)
    browser.registers = False
    browser.set(user_id="ann")
    clock.advance(59)
    assert browser.values() == LOGIN
    former = browser.cookie

    def failed(sender: Flask, info: Any, reason: str) -> None:
        told.append(reason)

    clock.advance(1)
    with binding_failed.connected_to(failed, strict):
        assert browser.values() == {}
    assert told == ["registration"]
    assert not browser.has_cookie
    browser.client.set_cookie("session", former)
    assert browser.values() == {}


def test_a_key_that_nobody_shows_does_not_bind_it(
    strict: Flask, clock: FakeClock
) -> None:
    browser = DeviceBrowser(strict, clock)
    browser.set(user_id="ann")
    browser.bindings.clear()
    browser.lose("session-b")
    clock.advance(60)

    assert browser.values() == {}


def test_a_login_that_is_bound_goes_on(strict: Flask, clock: FakeClock) -> None:
    browser = DeviceBrowser(strict, clock)
    browser.set(user_id="ann")
    browser.values()
    clock.advance(3600)

    assert browser.values() == LOGIN


def test_nobody_has_to_bind_a_session_without_a_login(
    strict: Flask, clock: FakeClock
) -> None:
    browser = DeviceBrowser(strict, clock)
    browser.set(cart=[1])
    clock.advance(600)

    assert browser.values() == {"cart": [1]}
