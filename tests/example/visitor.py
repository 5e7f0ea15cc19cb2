"""What a person does with the example app, over Flask's test client."""

from __future__ import annotations

import re

from flask import Flask
from werkzeug.test import TestResponse

from tests.web import Browser

PASSWORDS = {"ada": "analytical engine", "grace": "nanoseconds of wire"}
NEW_PASSWORD = "difference engine no. 2"

FIREFOX = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0"
)
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"
)
CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)


class Visitor(Browser):
    """A person with a browser of their own, who opens pages and presses buttons."""

    def __init__(self, app: Flask, agent: str = "") -> None:
        super().__init__(app)
        self.password = ""
        if agent:
            self.client.environ_base["HTTP_USER_AGENT"] = agent

    def get(self, path: str) -> TestResponse:
        """Open a page."""
        return self.client.get(path)

    def token(self, page: str) -> str:
        """Return the CSRF token in the forms of `page`."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(page).text)
        assert found, f"{page} has no CSRF token"
        return found[1]

    def submit(self, page: str, action: str | None = None, **form: str) -> TestResponse:
        """Open `page`, fill in its form and send it to `action`, or to the page."""
        data = {**form, "csrf_token": self.token(page)}
        return self.client.post(action or page, data=data)

    def sign_in(self, name: str, page: str = "/sign-in") -> TestResponse:
        """Sign in with the right password."""
        self.password = PASSWORDS[name]
        return self.submit(page, name=name, password=PASSWORDS[name])

    def sign_out(self) -> TestResponse:
        """Press the button in the header."""
        return self.submit("/account/", "/sign-out")

    def sign_out_of(self, device: str) -> TestResponse:
        """Press the button beside another device."""
        return self.submit("/account/", device=device, password=self.password)

    def sign_out_others(self) -> TestResponse:
        """Press the button for all other devices."""
        return self.sign_out_of("others")

    def sign_out_everywhere(self) -> TestResponse:
        """Press the button for all devices."""
        return self.sign_out_of("all")

    def change_password(self, present: str, new: str) -> TestResponse:
        """Fill in the form for a new password."""
        return self.submit("/account/password", present=present, new=new)

    def devices(self) -> list[str]:
        """Return the names of the devices, as the page shows them."""
        shown = self.get("/account/").text.partition("<ul")[2].partition("</ul>")[0]
        names = re.findall(r"<strong>(.+?)</strong>\s*(<span)?", shown)
        return [f"{name} (this)" if badge else name for name, badge in names]

    def other_devices(self) -> list[str]:
        """Return the ids of the devices that have a button."""
        return re.findall(r'value="([0-9a-f_]{20,})" class', self.get("/account/").text)

    def add(self, ware: str) -> TestResponse:
        """Put something into the cart."""
        return self.submit("/", "/cart", ware=ware, by="1")

    def remove(self, ware: str) -> TestResponse:
        """Take one of it out again."""
        return self.submit("/", "/cart", ware=ware, by="-1")

    def cart(self) -> dict[str, int]:
        """Return the cart as the shop shows it."""
        shown = self.get("/").text.partition('id="cart"')[2]
        lines = re.findall(r'<span>([^<]+) <span class="badge">(\d+)</span>', shown)
        return {title: int(count) for title, count in lines}

    @property
    def is_signed_in(self) -> bool:
        """Whether the account's page opens."""
        return self.get("/account/").status_code == 200
