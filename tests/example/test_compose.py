"""docker-compose.yml holds together, and what it runs can be run."""

from __future__ import annotations

import copy
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from example_app.client import Client, Refused

from .visitor import PASSWORDS

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WEB = SERVICES["web"]
DEFAULTS = {
    name: value.partition(":-")[2].rstrip("}")
    for name, value in WEB["environment"].items()
    if name.startswith("FLASK_")
}
START = 60.0
"""Seconds that gunicorn may take to listen."""


# -- what it says -------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_has_a_health_check_that_gives_up_before_the_next(
    service: str,
) -> None:
    check = SERVICES[service]["healthcheck"]

    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert int(check["timeout"].rstrip("s")) < int(check["interval"].rstrip("s"))


def test_only_the_storage_that_was_chosen_starts_and_the_app_waits_for_it() -> None:
    storages = SERVICES.keys() - {"web"}

    assert {name: SERVICES[name]["profiles"] for name in storages} == {
        name: [name] for name in storages
    }
    assert WEB["depends_on"] == {
        name: {"condition": "service_healthy", "required": False} for name in storages
    }


def test_what_has_failed_is_started_again() -> None:
    assert {service["restart"] for service in SERVICES.values()} == {"unless-stopped"}


def test_the_default_storage_is_one_of_the_services() -> None:
    default = re.search(r":-(\w+)://(\w+)", WEB["environment"]["SRVSESSION_BACKEND"])

    assert default
    assert default[2] in SERVICES


def test_the_volumes_that_are_used_are_the_volumes_that_are_declared() -> None:
    used = [v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", [])]

    assert sorted(used) == sorted(COMPOSE["volumes"])


def test_only_the_app_can_be_reached_and_only_from_this_machine() -> None:
    ports = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}

    assert ports == {"web": ["127.0.0.1:5000:5000"]}


def test_there_is_no_secret_in_it() -> None:
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if "KEY" in key or "PASSWORD" in key:
                assert value.startswith(f"${{{key}:"), key


def test_the_image_is_made_of_what_is_there() -> None:
    steps = WEB["build"]["dockerfile_inline"].splitlines()
    project = (ROOT / "pyproject.toml").read_text()
    copied = [shlex.split(step)[1:-1] for step in steps if step.startswith("COPY")]
    extras = re.search(r"\[([\w,]+)\]", WEB["build"]["dockerfile_inline"])

    assert all((ROOT / name).exists() for names in copied for name in names)
    assert extras
    assert all(f"\n{extra} = [" in project for extra in extras[1].split(","))


# -- what it does ---------------------------------------------------------------------


@pytest.fixture(scope="module", params=["redis", "memcached", "postgres"])
def gunicorn(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of the app, served by the command of the service `web`."""
    folder = tmp_path_factory.mktemp("gunicorn")
    storage: Any = request.getfixturevalue(f"{request.param}_server")
    program, *arguments = shlex.split(
        WEB["command"].replace("0.0.0.0:5000", "127.0.0.1:0")
    )
    log = folder / "log"
    with log.open("w") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", program, *arguments],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "SECRET_KEY": "a secret key that is only used by these tests",
                "SRVSESSION_BACKEND": storage.url,
                **DEFAULTS,
                "FLASK_DATABASE": str(folder / "accounts.sqlite3"),
            },
            stderr=written,
        )
    try:
        url = _address(process, log)
        requests.get(url, timeout=START).raise_for_status()  # a worker is ready
        yield url
    finally:
        process.terminate()
        assert process.wait(START) == 0, log.read_text()


def test_a_login_and_a_logout_are_known_to_all_workers(gunicorn: str) -> None:
    jar = CookieJar()
    client = Client(gunicorn, jar)

    client.login("ada", PASSWORDS["ada"])
    copied = copy.deepcopy(list(jar))
    for _ in range(8):
        client.update("tea", 1)
    assert client.cart() == {"tea": 8}
    client.logout()

    client.close()
    for _ in range(8):
        thief = CookieJar()
        for cookie in copied:
            thief.set_cookie(cookie)
        other = Client(gunicorn, thief)
        with pytest.raises(Refused, match="Nobody is signed in"):
            other.name()
        other.close()


def test_the_health_check_finds_the_app_healthy_and_its_absence_not(
    gunicorn: str,
) -> None:
    kind, _, *arguments = WEB["healthcheck"]["test"]
    here = [a.replace("http://127.0.0.1:5000", gunicorn) for a in arguments]
    nowhere = [a.replace("127.0.0.1:5000", "127.0.0.1:1") for a in arguments]

    codes = [
        subprocess.run([sys.executable, *check], stderr=subprocess.DEVNULL).returncode
        for check in (here, nowhere)
    ]

    assert kind == "CMD"
    assert codes == [0, 1]


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START
    while not (found := re.search(r"Listening at: (http://\S+)", log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return found[1]
