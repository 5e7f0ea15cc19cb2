"""A browser that binds sessions to its device, as Chromium 156 was seen to do.

Written from what Chromium does; it shares no code with the package.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from tests.web import Browser, View, nothing

from .key import Key

ORIGIN = "https://localhost"
MAX_CHALLENGES = 5
REFRESH_EARLY = 120


@dataclass
class Binding:
    """What the browser keeps of one session, on disk."""

    id: str
    key: Key
    refresh_url: str
    cookie: str
    attributes: str
    excluded: list[str]
    initiators: list[str]
    challenge: str | None = None


class DeviceBrowser(Browser):
    """A browser with keys of its own; the cookies end by the clock of the test.

    `root` is where the app is mounted. What it asked and was told on its own account is
    in `asked`, what became of bindings in `ended`.
    """

    def __init__(
        self, app: Flask, clock: Callable[[], float], root: str = "", **where: Any
    ) -> None:
        super().__init__(app, base_url=ORIGIN + root, **where)
        self.root = root
        self._path = root or "/"
        self.clock = clock
        self.bindings: dict[str, Binding] = {}
        self.asked: list[tuple[str, int]] = []
        self.ended: list[str] = []
        self.signatures = 10**6
        self.registers = True
        self._ends: dict[str, float] = {}

    # -- what a person does ---------------------------------------------------------

    def open(
        self, view: View = nothing, site: str = "same-origin", **options: Any
    ) -> TestResponse:
        """Open a page, from a link of this or another `site`; follow what it says."""
        for _ in range(5):
            response = self.do(view, site=site, mode="navigate", **options)
            if response.status_code in (302, 303, 307):
                continue
            again = re.search(r'http-equiv="refresh" content="(\d+)"', response.text)
            if again is None or again[1] != "0":
                return response
            site = "same-origin"
        raise AssertionError("the browser goes round in circles")

    def fetch(self, view: View = nothing, **options: Any) -> TestResponse:
        """Ask from a page of the site, by JavaScript, which follows redirects."""
        response = self.do(view, mode="cors", **options)
        return response if response.status_code != 307 else self.do(view, mode="cors")

    def lose(self, *names: str) -> None:
        """Lose cookies, and nothing else."""
        for name in names:
            self.client.delete_cookie(name, path=self._path)

    def value(self, name: str) -> str | None:
        """Return a cookie's value."""
        cookie = self.client.get_cookie(name, path=self._path)
        return cookie.value if cookie else None

    def robbed(self) -> DeviceBrowser:
        """Return another browser, with copies of all cookies."""
        thief = DeviceBrowser(self.app, self.clock, self.root)
        for name in ("session", "session-b"):
            if (value := self.value(name)) is not None:
                thief.client.set_cookie(name, value)
        thief._ends = dict(self._ends)
        return thief

    # -- what it does by itself -------------------------------------------------------

    def _get(self, client: Any, **options: Any) -> TestResponse:
        if client is not self.client:
            return super()._get(client, **options)
        site = options.pop("site", "same-origin")
        mode = options.pop("mode", "cors")
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
        headers.update(options.pop("headers", {}))
        self._expire()
        for binding in [*self.bindings.values()]:
            may = site in ("same-origin", "none") or "*" in binding.initiators
            waits = not self._excludes(binding, "/do") and self._lacks(binding)
            if may and waits and (skipped := self._refresh(binding)):
                said = f'{skipped};session_identifier="{binding.id}"'
                headers["Secure-Session-Skipped"] = said
        response = super()._get(client, headers=headers, **options)
        self._note(response)
        return response

    def _excludes(self, binding: Binding, path: str) -> bool:
        return any((self.root + path).startswith(each) for each in binding.excluded)

    def _lacks(self, binding: Binding) -> bool:
        return self.value(binding.cookie) is None

    def refresh(self, binding: Binding | None = None) -> str | None:
        """Refresh, as the browser does when little time is left."""
        return self._refresh(binding or next(iter(self.bindings.values())))

    def _refresh(self, binding: Binding) -> str | None:
        """Refresh; return why not, as the browser says it."""
        for _ in range(MAX_CHALLENGES):
            response = self.ask(binding)
            if response is None:
                return "quota_exceeded"
            if response.status_code == 403 and binding.challenge:
                continue
            if response.status_code >= 500:
                return "server_error"
            if response.status_code == 200:
                text = response.text
                if text and json.loads(text).get("continue") is False:
                    self._end(binding, "continue: false")
                return None
            break
        self._end(binding, "error")
        return None

    def ask(self, binding: Binding, proof: str | None = None) -> TestResponse | None:
        """Send one request of a refresh, with the proof if there is a challenge."""
        headers = {
            "Origin": ORIGIN,
            "Sec-Fetch-Site": "same-origin",
            "Sec-Fetch-Mode": "no-cors",
            "Sec-Secure-Session-Id": binding.id,
        }
        if proof is None and binding.challenge:
            if not self.signatures:
                return None
            self.signatures -= 1
            proof = binding.key.proves(binding.challenge)
        if proof is not None:
            headers["Secure-Session-Response"] = proof
        return self._send(binding.refresh_url, headers, binding)

    def _send(
        self, url: str, headers: dict[str, str], binding: Binding | None
    ) -> TestResponse:
        path = url.removeprefix(self.root)
        base = ORIGIN + self.root
        response = self.client.post(path, headers=headers, base_url=base)
        self.asked.append((path, response.status_code))
        self._note(response)
        return response

    def _note(self, response: TestResponse) -> None:
        """Take note of cookies, challenges and offers."""
        for cookie in response.headers.getlist("Set-Cookie"):
            name = cookie.partition("=")[0]
            age = re.search(r"; Max-Age=(\d+)", cookie)
            self._ends.pop(name, None)
            if age:
                self._ends[name] = self.clock() + int(age[1])
            for binding in self.bindings.values():
                if name == binding.cookie and age and age[1] != "0":
                    given = cookie.partition("; ")[2]
                    rest = re.sub(r"(Max-Age|Expires)=[^;]*; ", "", given)
                    assert rest == binding.attributes, (rest, binding.attributes)
        for header in response.headers.getlist("Secure-Session-Challenge"):
            found = re.fullmatch(r'"([^"]+)";id="([^"]+)"', header)
            assert found, header
            if found[2] in self.bindings:
                self.bindings[found[2]].challenge = found[1]
        for offer in response.headers.getlist("Secure-Session-Registration"):
            if self.registers:
                self.register(offer)

    def register(self, offer: str, key: Key | None = None) -> TestResponse:
        """Answer an offer."""
        found = re.fullmatch(r'\(ES256\);path="([^"]+)";challenge="([^"]+)"', offer)
        assert found, offer
        key = key or Key()
        headers = {
            "Origin": ORIGIN,
            "Sec-Fetch-Site": "same-origin",
            "Secure-Session-Response": f'"{key.registers(found[2])}"',
        }
        response = self._send(found[1], headers, None)
        if response.status_code == 200:
            self._registered(response, key)
        return response

    def _registered(self, response: TestResponse, key: Key) -> None:
        told = json.loads(response.text)
        [credential] = told["credentials"]
        assert "Max-Age" not in credential["attributes"]
        rules = told["scope"]["scope_specification"]
        binding = Binding(
            id=told["session_identifier"],
            key=key,
            refresh_url=told["refresh_url"],
            cookie=credential["name"],
            attributes=credential["attributes"],
            excluded=[rule["path"] for rule in rules if rule["type"] == "exclude"],
            initiators=told["allowed_refresh_initiators"],
        )
        self.bindings[binding.id] = binding
        self._note(response)

    def _end(self, binding: Binding, why: str) -> None:
        del self.bindings[binding.id]
        self.ended.append(why)

    def _expire(self) -> None:
        for name, end in [*self._ends.items()]:
            if self.clock() >= end:
                self.lose(name)
                del self._ends[name]
