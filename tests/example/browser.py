"""What a person does with the example app, over Flask's test client."""

from __future__ import annotations

import re

from flask import Flask
from werkzeug.test import TestResponse

PASSWORDS = {"ada": "analytical engine", "grace": "nanoseconds of wire"}


class Browser:
    """One browser: a cookie jar of its own."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()

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
        return self.submit(page, name=name, password=PASSWORDS[name])

    def sign_out(self) -> TestResponse:
        """Press the button in the header."""
        return self.submit("/account/", "/sign-out")

    def add(self, ware: str) -> TestResponse:
        """Put something into the cart."""
        return self.submit("/", "/cart", ware=ware)

    def cart(self) -> dict[str, int]:
        """Return the cart as the shop shows it."""
        shown = self.get("/").text.partition('id="cart"')[2]
        lines = re.findall(r"<li><span>([^<]+)</span> <span>(\d+) \S</span>", shown)
        return {title: int(count) for title, count in lines}

    def visits(self) -> int:
        """Open the shop; return which visit it says this is."""
        found = re.search(r'id="visits">(\d+)<', self.get("/").text)
        assert found, "the shop does not say which visit this is"
        return int(found[1])

    @property
    def is_signed_in(self) -> bool:
        """Whether the account's page opens."""
        return self.get("/account/").status_code == 200

    @property
    def cookie(self) -> str | None:
        """The session cookie."""
        found = self.client.get_cookie("session")
        return found.value if found else None

    @cookie.setter
    def cookie(self, value: str) -> None:
        self.client.set_cookie("session", value)
