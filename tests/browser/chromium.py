"""What a person does with the example app, in a real Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

from tests.example.visitor import PASSWORDS
from tests.servers import binary

_TIMEOUT = 60.0
_FLAGS = [
    "--headless",
    "--no-sandbox",  # containers have none to give
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-background-timer-throttling",  # tests use tabs that are not in front
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
]


@contextmanager
def running_chromium(
    profile: Path, *flags: str, javascript: bool = True
) -> Iterator[Chrome]:
    """Run a Chromium with this profile, and with these flags besides."""
    options = ChromeOptions()
    options.binary_location = binary("chromium")
    for flag in [*_FLAGS, *flags, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    if not javascript:
        blocked = {"profile.managed_default_content_settings.javascript": 2}
        options.add_experimental_option("prefs", blocked)
    driver = Chrome(options, ChromeService(binary("chromedriver", "chromium-driver")))
    try:
        driver.set_page_load_timeout(_TIMEOUT)
        driver.set_script_timeout(_TIMEOUT)
        yield driver
    finally:
        driver.quit()


class Chromium:
    """A Chromium that has not been to the shop at `url` before."""

    def __init__(self, driver: Chrome, url: str) -> None:
        self.driver = driver
        self.url = url
        self._close_other_tabs()
        self.driver.get("about:blank")
        self.devtools("Network.clearBrowserCookies")
        self.devtools("Emulation.clearDeviceMetricsOverride")
        self.prefer("light")

    def open(self, path: str) -> None:
        """Open a page of the shop."""
        self.driver.get(self.url + path)

    @property
    def path(self) -> str:
        """The path of the page that is shown."""
        return urlsplit(self.driver.current_url).path

    @property
    def text(self) -> str:
        """What is to be read on the page."""
        return self.driver.find_element(By.TAG_NAME, "body").text

    def button(self, name: str) -> WebElement:
        """Return the button with this accessible name."""
        xpath = f"//button[@aria-label='{name}' or normalize-space()='{name}']"
        return self.driver.find_element(By.XPATH, xpath)

    def press(self, name: str) -> None:
        """Press a button and wait for the page that it leads to."""
        button = self.button(name)
        button.click()
        self.wait_for(staleness_of(button))

    def fill(self, **fields: str) -> None:
        """Type into the fields of these names."""
        for name, text in fields.items():
            field = self.driver.find_element(By.NAME, name)
            field.clear()
            field.send_keys(text)

    def sign_in(self, name: str, password: str | None = None) -> None:
        """Fill in the form for signing in, and send it."""
        self.open("/sign-in")
        self.fill(name=name, password=password or PASSWORDS[name])
        self.press("Sign in")

    @property
    def is_signed_in(self) -> bool:
        """Whether the devices are shown, rather than the form for signing in."""
        self.open("/account/")
        assert self.path in ("/account/", "/sign-in")
        return self.path == "/account/"

    def devices(self) -> list[str]:
        """Return what the list of devices shows of each."""
        self.open("/account/")
        items = self.driver.find_elements(By.CSS_SELECTOR, "main li")
        return [item.text.partition("First")[0].strip() for item in items]

    def cart(self) -> dict[str, int]:
        """Return the cart as the shop shows it."""
        self.open("/")
        rows = self.driver.find_elements(By.CSS_SELECTOR, "#cart ~ ul li > span")
        words = [row.text.split() for row in rows]
        return {" ".join(title): int(count) for *title, count in words}

    @property
    def cookie(self) -> dict[str, Any] | None:
        """The session cookie with its flags, as the browser keeps it."""
        found: dict[str, Any] | None = self.driver.get_cookie("session")
        return found

    def put_back(self, cookie: dict[str, Any]) -> None:
        """Set the cookie as somebody would who has copied it."""
        self.driver.delete_cookie("session")
        self.driver.add_cookie(cookie)

    def wait_for(self, condition: Callable[[Chrome], object]) -> None:
        """Wait until something is so."""
        wait = WebDriverWait(self.driver, _TIMEOUT, 0.05, [WebDriverException])
        wait.until(condition)

    def prefer(self, scheme: str) -> None:
        """Prefer "light" or "dark" colours."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.devtools("Emulation.setEmulatedMedia", features=[feature])

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """Have a screen of that many CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.devtools("Emulation.setDeviceMetricsOverride", **size, mobile=phone)

    def devtools(self, command: str, **arguments: Any) -> None:
        """Ask Chromium for what a page cannot do."""
        self.driver.execute_cdp_cmd(command, arguments)

    def _close_other_tabs(self) -> None:
        first, *others = self.driver.window_handles
        for tab in others:
            self.driver.switch_to.window(tab)
            self.driver.close()
        self.driver.switch_to.window(first)
