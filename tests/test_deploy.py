"""The recipes of docs/howto/deploy.md work: servers are run, files are checked."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from .servers import REQUIRED, Server, binary, free_port, until_it_answers
from .test_tutorial import answers

HOWTO = Path(__file__).parents[1] / "docs" / "howto"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
BIN = Path(sys.executable).parent
PATIENCE = 60.0
CERTIFY = """openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost
    -addext subjectAltName=IP:127.0.0.1 -keyout shop.key -out shop.pem"""

Serve = Callable[..., int]


def recipes(language: str, page: str = "howto/deploy.md") -> list[str]:
    """Return the blocks of a page in one language."""
    text = (HOWTO.parent / page).read_text("utf-8")
    return [block for name, block in BLOCK.findall(text) if name == language]


COMMANDS = [line for line in recipes("bash") if line.startswith(".venv/bin/")]
SERVERS = ["gunicorn with threads", "gunicorn with gevent", "uWSGI", "waitress"]


@contextmanager
def running(command: list[str], port: int, **options: Any) -> Iterator[None]:
    """Run a server until we are done; it answers on `port`."""
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, **options) as process:
        try:
            until_it_answers(process, lambda: answers(port), PATIENCE)
            yield
        finally:
            process.terminate()


@pytest.fixture
def serve(tmp_path: Path, redis_server: Server) -> Iterator[Serve]:
    """Serve the app of the quickstart by a command of the page; return its port."""
    (tmp_path / "app.py").write_text(recipes("python", "quickstart.md")[0])
    settings = dict(line.split("=", 1) for line in recipes("ini")[0].splitlines())
    settings["FLASK_SRVSESSION_BACKEND"] = redis_server.url
    with ExitStack() as servers:

        def start(command: str, **changed: str) -> int:
            port = free_port()
            program, *arguments = shlex.split(command.replace(":8000", f":{port}"))
            found = BIN / Path(program).name
            if not found.exists():
                assert os.environ.get(REQUIRED) != "1", f"{found} is missing"
                pytest.skip(f"{found} is missing")
            environment = {**os.environ, **settings, **changed}
            command_line = [str(found), *arguments]
            servers.enter_context(
                running(command_line, port, cwd=tmp_path, env=environment)
            )
            return port

        yield start


def sign_in_and_out(url: str, certificate: str | None = None) -> None:
    """Sign in, be known to each worker, sign out, and be known to none any more."""
    with requests.Session() as browser, requests.Session() as copy:

        def ask(client: requests.Session, path: str = "/", **form: str) -> str:
            how: Any = {"verify": certificate, "timeout": PATIENCE}
            method = "POST" if path != "/" else "GET"
            answer = client.request(
                method, f"{url}{path}", data=form, allow_redirects=False, **how
            )
            client.close()  # uWSGI hangs up without a word
            return answer.text

        ask(browser, "/login", name="ann", password="correct horse")
        copy.cookies.update(browser.cookies)
        for _ in range(8):
            assert "You are ann." in ask(copy)
        ask(browser, "/logout")
        for _ in range(8):
            assert "You are ann." not in ask(copy)


@pytest.mark.parametrize("command", COMMANDS, ids=SERVERS)
def test_the_command_serves_an_app_whose_logout_is_known_to_all_workers(
    serve: Serve, command: str
) -> None:
    port = serve(command, FLASK_SESSION_COOKIE_SECURE="false")

    sign_in_and_out(f"http://127.0.0.1:{port}")


def test_a_session_lives_behind_nginx_with_tls(serve: Serve, tmp_path: Path) -> None:
    program = binary("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    subprocess.run(
        shlex.split(CERTIFY), cwd=tmp_path, check=True, stderr=subprocess.DEVNULL
    )
    app, port = serve(COMMANDS[0]), free_port()
    site = recipes("nginx")[0].replace("/etc/ssl", str(tmp_path))
    site = site.replace("listen 443", f"listen 127.0.0.1:{port}")
    paths = "".join(
        f"{what}_temp_path {tmp_path}/{what};\n"
        for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"daemon off;\npid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n"
        f"{paths}{site.replace(':8000', f':{app}')}}}\n"
    )
    command = [program, "-e", str(tmp_path / "log"), "-p", str(tmp_path), "-c"]

    subprocess.run([*command, str(config), "-t"], check=True, capture_output=True)
    with running([*command, str(config)], port):
        sign_in_and_out(f"https://127.0.0.1:{port}", str(tmp_path / "shop.pem"))


def test_systemd_understands_the_services(tmp_path: Path) -> None:
    units = [unit for unit in recipes("ini") if unit.startswith("[Unit]")]
    paths = [tmp_path / f"shop-{number}.service" for number in range(len(units))]
    for path, unit in zip(paths, units, strict=True):
        for file in re.findall(r"/srv/shop/\S+|/etc/shop.env", unit):
            unit = unit.replace(file, f"{BIN}/python" if "bin" in file else file)
        path.write_text(unit.replace("User=shop\n", ""))

    done = subprocess.run(
        [binary("systemd-analyze"), "verify", *map(str, paths)],
        capture_output=True,
        text=True,
    )

    assert len(units) == 2
    assert [line for line in done.stderr.splitlines() if "shop-" in line] == []


def test_the_probes_ask_what_the_pages_tell() -> None:
    deployment = yaml.safe_load(recipes("yaml")[0])
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    ready, alive = container["readinessProbe"], container["livenessProbe"]

    assert (
        f'@app.get("{ready["httpGet"]["path"]}")' in (HOWTO / "operate.md").read_text()
    )
    assert alive["httpGet"]["path"] != ready["httpGet"]["path"]
    assert ready["timeoutSeconds"] > 1  # of a client's
    assert container["command"][0] == "gunicorn"
