"""Sessions end, and keep what they are given, in a real browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from flask import Flask
from flask.typing import ResponseReturnValue
from selenium.webdriver.common.by import By

from example_app.shop import change_cart
from flask_srvsession import session
from flask_srvsession.testing import FakeClock
from tests.example.visitor import NEW_PASSWORD, PASSWORDS

from .chromium import Chromium

View = Callable[[], ResponseReturnValue]

CHROMIUM = "HeadlessChrome on Linux"


# -- signing out ------------------------------------


def test_signing_out_in_one_browser_leaves_the_other_signed_in(
    browser: Chromium, other: Chromium
) -> None:
    browser.sign_in("ada")
    other.sign_in("ada")

    browser.press("Sign out")

    assert "You have signed out." in browser.text
    assert not browser.is_signed_in
    assert other.is_signed_in


def test_the_cookie_from_before_signing_out_gets_the_login_page_when_put_back(
    browser: Chromium, other: Chromium
) -> None:
    browser.sign_in("ada")
    copy = browser.cookie
    assert copy
    other.open("/sign-in")
    other.put_back(copy)
    assert other.is_signed_in

    browser.press("Sign out")
    browser.put_back(copy)

    assert not browser.is_signed_in
    assert not other.is_signed_in


def test_going_back_after_signing_out_shows_nothing_of_the_account(
    browser: Chromium,
) -> None:
    browser.sign_in("ada")
    browser.open("/account/")
    browser.press("Sign out")

    browser.driver.back()

    assert browser.path == "/sign-in"


def test_one_device_is_signed_out_by_its_button(
    browser: Chromium, other: Chromium
) -> None:
    other.sign_in("ada")
    browser.sign_in("ada")
    here = f"{CHROMIUM} This device"
    assert sorted(browser.devices()) == [f"{CHROMIUM}", here]

    number = browser.devices().index(CHROMIUM) + 1
    browser.fill(password=PASSWORDS["ada"])
    browser.press(f"Sign out {CHROMIUM}, number {number}")

    assert "Devices signed out: 1." in browser.text
    assert browser.devices() == [here]
    assert not other.is_signed_in


def test_signing_out_all_others_keeps_this_browser_signed_in(
    browser: Chromium, other: Chromium
) -> None:
    other.sign_in("ada")
    browser.sign_in("ada")
    browser.open("/account/")

    browser.fill(password=PASSWORDS["ada"])
    browser.press("Sign out all others")

    assert browser.is_signed_in
    assert not other.is_signed_in


def test_signing_out_everywhere_signs_out_both_browsers(
    browser: Chromium, other: Chromium
) -> None:
    other.sign_in("ada")
    browser.sign_in("ada")
    browser.open("/account/")

    browser.fill(password=PASSWORDS["ada"])
    browser.press("Sign out everywhere")

    assert not browser.is_signed_in
    assert not other.is_signed_in


def test_a_new_password_signs_out_the_other_browser_and_only_it_signs_in(
    browser: Chromium, other: Chromium
) -> None:
    other.sign_in("ada")
    browser.sign_in("ada")
    browser.open("/account/password")

    browser.fill(present=PASSWORDS["ada"], new=NEW_PASSWORD)
    browser.press("Change it")

    assert "Your password is changed" in browser.text
    assert browser.is_signed_in
    assert not other.is_signed_in
    other.sign_in("ada")
    assert not other.is_signed_in
    other.sign_in("ada", NEW_PASSWORD)
    assert other.is_signed_in


def test_the_page_about_copied_cookies_shows_what_one_gets(browser: Chromium) -> None:
    browser.sign_in("ada")
    browser.open("/account/")

    browser.press("Sign out and try the copy")

    before, after = browser.driver.find_elements(By.TAG_NAME, "dd")
    assert before.text == "200 OK: the list of your devices"
    assert after.text == "303 SEE OTHER: the form that asks for the password"
    assert not browser.is_signed_in


def test_an_outdated_copy_of_the_cookie_ends_the_session_for_all_who_have_it(
    browser: Chromium, other: Chromium, clock: FakeClock
) -> None:
    """The browser has had a newer one for a while: only a thief uses the old one."""
    browser.sign_in("ada")
    copy = browser.cookie
    assert copy
    clock.advance(16 * 60)
    for _ in range(2):  # the new one arrives, and is used
        assert browser.is_signed_in
    assert browser.cookie != copy
    clock.advance(3 * 60)

    other.open("/sign-in")
    other.put_back(copy)

    assert not other.is_signed_in
    assert not browser.is_signed_in


# -- the cart ------------------------------------


def test_two_tabs_whose_requests_overlap_both_fill_the_cart(
    browser: Chromium, app: Flask
) -> None:
    app.view_functions["shop.change_cart"] = _after_both_have_read(change_cart)
    for _ in range(2):
        browser.driver.switch_to.new_window("tab")
        browser.open("/")
        tea = browser.button("Add to the cart: Tea")
        press = "window.go = new BroadcastChannel('go');"
        press += "window.go.onmessage = () => arguments[0].click()"
        browser.driver.execute_script(press, tea)

    browser.driver.switch_to.window(browser.driver.window_handles[0])
    browser.open("/")
    browser.driver.execute_script("new BroadcastChannel('go').postMessage('now')")

    for tab in browser.driver.window_handles[1:]:
        browser.driver.switch_to.window(tab)
        browser.wait_for(
            lambda driver: driver.find_elements(By.CSS_SELECTOR, "#cart+ul")
        )
    assert browser.cart() == {"Tea": 2}


def test_many_requests_of_two_tabs_at_once_all_count(browser: Chromium) -> None:
    browser.open("/")
    browser.driver.switch_to.new_window("tab")
    browser.open("/")
    tabs = browser.driver.window_handles

    for tab in tabs:
        browser.driver.switch_to.window(tab)
        browser.driver.execute_script(
            """
            const form = document.querySelector("main form");
            const add = () => fetch(form.action, {
                method: "POST", body: new FormData(form), redirect: "manual"});
            window.done = false;
            Promise.all(Array.from({length: 8}, add)).then(() => window.done = true);
            """
        )

    for tab in tabs:
        browser.driver.switch_to.window(tab)
        browser.wait_for(lambda driver: driver.execute_script("return window.done"))
    assert browser.cart() == {"Tea": 16}


def test_the_cart_comes_along_when_signing_in_and_is_gone_after_signing_out(
    browser: Chromium,
) -> None:
    browser.open("/")
    browser.press("Add to the cart: Two cups")
    browser.press("Add to the cart: Tea")
    browser.press("Remove one from the cart: Tea")

    browser.sign_in("ada")
    assert browser.cart() == {"Two cups": 1}
    browser.press("Sign out")

    assert browser.cart() == {}


def _after_both_have_read(view: View) -> View:
    """Hold two requests until each has read the session that both will change."""
    both = threading.Barrier(2)

    def held_back() -> ResponseReturnValue:
        assert "cart" not in session
        both.wait(60)
        return view()

    return held_back


# -- the cookie ------------------------------------


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(
    browser: Chromium,
) -> None:
    browser.sign_in("ada")

    cookie = browser.cookie
    assert cookie
    assert cookie["httpOnly"] is True
    assert cookie["sameSite"] == "Lax"
    assert cookie["path"] == "/"
    assert cookie["domain"] == "127.0.0.1"  # this host alone, no leading dot
    assert "expiry" not in cookie  # it ends with the browser
    assert browser.driver.execute_script("return document.cookie") == ""


def test_behind_tls_the_cookie_can_be_marked_secure(
    browser: Chromium, app: Flask
) -> None:
    app.config["SESSION_COOKIE_SECURE"] = True
    browser.url = browser.url.replace("127.0.0.1", "localhost")  # counts as secure

    browser.sign_in("ada")

    assert browser.cookie
    assert browser.cookie["secure"] is True
    assert browser.is_signed_in


def test_who_stays_signed_in_has_a_cookie_that_outlives_the_browser(
    browser: Chromium,
) -> None:
    browser.open("/sign-in")
    browser.fill(name="ada", password=PASSWORDS["ada"])
    browser.driver.find_element(By.NAME, "stay").click()
    browser.press("Sign in")

    assert browser.cookie
    assert browser.cookie["expiry"] > time.time() + 30 * 86400


def test_the_focus_is_on_the_field_that_is_wrong(browser: Chromium) -> None:
    browser.sign_in("ada", "wrong")

    assert browser.driver.switch_to.active_element.get_attribute("name") == "password"
