"""The pages can be used by everybody: without a script, a mouse, or a large screen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium_axe_python.axe import Axe

from flask_srvsession.testing import FakeClock
from tests.example.visitor import CHROME, FIREFOX, PASSWORDS, SAFARI, Visitor

from .chromium import Chromium

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WRITE_IMAGES = "SRVSESSION_TEST_WRITE_IMAGES"
"""The environment variable that has the pictures in docs/images made anew."""

LARGEST = 100_000
"""Bytes of a picture."""

OPEN = ["/", "/sign-in", "/missing"]
OWN = ["/account/", "/account/password", "/"]
PHONE = (390, 844)


@pytest.fixture
def devices(browser: Chromium, app: Flask, clock: FakeClock) -> Iterator[Chromium]:
    """A browser that is signed in, as two other devices of the same person are."""
    laptop, phone = Visitor(app, FIREFOX), Visitor(app, SAFARI)
    for device, hours in ((laptop, 50), (phone, 21), (laptop, 3), (phone, 1)):
        if not device.is_signed_in:
            device.sign_in("ada")
        clock.advance(hours * 3600 + 17 * 60)
    browser.devtools("Emulation.setUserAgentOverride", userAgent=CHROME)
    browser.sign_in("ada")
    for ware in ("Tea", "Tea", "Biscuits"):
        browser.press(f"Add to the cart: {ware}")
    yield browser
    browser.devtools("Emulation.setUserAgentOverride", userAgent="")


def pages(browser: Chromium) -> Iterator[str]:
    """Open each page in turn, for `browser` that is signed in; yield its name."""
    for path in OWN:
        browser.open(path)
        yield path
    browser.open("/account/password")
    browser.fill(present="wrong", new="too short")
    browser.press("Change it")
    yield "a refused password"
    browser.open("/account/")
    browser.press("Sign out and try the copy")
    yield "the result of a replay"
    for path in OPEN:
        browser.open(path)
        yield path
    browser.open("/sign-in")
    browser.fill(name="ada", password="wrong")
    browser.press("Sign in")
    yield "a refused login"


# -- for everybody ------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault_on_any_page(devices: Chromium, scheme: str) -> None:
    devices.prefer(scheme)
    axe = Axe(devices.driver)
    checked = 0

    for page in pages(devices):
        axe.inject()
        found = axe.run()
        faults = [f"{page}: {fault['id']}" for fault in found["violations"]]

        assert faults == [], axe.report(found["violations"])
        assert found["passes"]
        checked += 1

    assert checked == 9


@pytest.mark.parametrize("phone", [True, False])
def test_no_page_is_wider_than_the_screen(devices: Chromium, phone: bool) -> None:
    devices.resize(*PHONE if phone else (1280, 800), phone=phone)
    overhang = (
        "const page = document.documentElement;"
        "return page.scrollWidth - page.clientWidth"
    )

    for page in pages(devices):
        assert devices.driver.execute_script(overhang) <= 0, page


def test_everything_to_press_on_a_phone_is_as_large_as_a_finger(
    devices: Chromium,
) -> None:
    devices.resize(*PHONE, phone=True)

    for page in pages(devices):
        for button in devices.driver.find_elements(By.TAG_NAME, "button"):
            assert button.size["height"] >= 44, f"{page}: {button.text}"


# -- without a mouse, without a script ------------------------------------


def test_everything_can_be_done_with_the_keyboard(browser: Chromium) -> None:
    browser.open("/sign-in")

    _tab_to(browser, "name").send_keys("ada")
    _tab_to(browser, "password").send_keys(PASSWORDS["ada"])
    _press_enter(browser)
    assert browser.path == "/"
    assert "Hello, ada" in browser.text

    _tab_to(browser, "Add to the cart: Tea")
    _press_enter(browser)
    assert browser.cart() == {"Tea": 1}

    browser.open("/account/")
    _tab_to(browser, "password").send_keys(PASSWORDS["ada"])
    _tab_to(browser, "Sign out everywhere")
    _press_enter(browser)
    assert not browser.is_signed_in


def test_the_first_stop_of_the_keyboard_skips_to_the_content(browser: Chromium) -> None:
    browser.open("/")

    ActionChains(browser.driver).send_keys(Keys.TAB, Keys.ENTER, Keys.TAB).perform()

    focused = browser.driver.switch_to.active_element
    assert focused.accessible_name == "Add to the cart: Tea"


def test_everything_works_without_javascript(
    without_javascript: Chromium, other: Chromium
) -> None:
    browser = without_javascript
    browser.driver.get(
        "data:text/html,<title>off</title><script>document.title='on'</script>"
    )
    assert browser.driver.title == "off"
    other.sign_in("ada")

    browser.sign_in("ada")
    browser.press("Add to the cart: Tea")
    assert browser.cart() == {"Tea": 1}
    browser.open("/account/")
    browser.fill(password=PASSWORDS["ada"])
    browser.press("Sign out all others")

    assert not other.is_signed_in
    browser.press("Sign out")
    assert not browser.is_signed_in


def _tab_to(browser: Chromium, name: str) -> WebElement:
    """Press the tab key until the field or button of that name has the focus."""
    for _ in range(30):
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        focused = browser.driver.switch_to.active_element
        if name in (focused.get_attribute("name"), focused.accessible_name):
            assert focused.value_of_css_property("outline-style") == "solid"
            return focused
    pytest.fail(f"the tab key does not reach {name!r}")


def _press_enter(browser: Chromium) -> None:
    focused = browser.driver.switch_to.active_element
    focused.send_keys(Keys.ENTER)
    browser.wait_for(staleness_of(focused))


# -- pictures ------------------------------------


def test_the_pictures_in_the_documentation_can_be_made(
    devices: Chromium, tmp_path: Path
) -> None:
    folder = IMAGES if os.environ.get(WRITE_IMAGES) == "1" else tmp_path

    devices.resize(840, 625)
    for scheme in ("dark", "light"):
        devices.prefer(scheme)
        devices.open("/account/")
        _picture(devices, folder / f"devices-{scheme}.png")
    devices.resize(PHONE[0], 815, phone=True)
    _picture(devices, folder / "devices-phone.png")
    devices.resize(840, 480)
    devices.open("/account/")
    devices.press("Sign out and try the copy")
    _picture(devices, folder / "replay.png")

    made = sorted(folder.glob("*.png"))
    assert [path.name for path in made] == sorted(p.name for p in IMAGES.iterdir())
    assert all(path.stat().st_size < LARGEST for path in made)


def _picture(browser: Chromium, path: Path) -> None:
    """Store what the browser shows."""
    path.parent.mkdir(exist_ok=True)
    assert browser.driver.save_screenshot(str(path))
