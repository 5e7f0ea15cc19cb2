"""While a storage hangs, few wait for it; and the log says so in few lines."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from flask_srvsession.backends.outage import HANGS_AFTER
from tests.redis_topologies import eventually
from tests.stopwatch import stopwatch, within
from tests.web import Browser

from ..probes import hanging
from .scene import TIMEOUT, MakeBrowser, killed, read

if TYPE_CHECKING:
    from flask import Flask

    from tests.servers import Server

THREADS = 8
REQUESTS = 400


def pages(app: Flask) -> None:
    app.add_url_rule("/plain", view_func=lambda: "ok")
    app.add_url_rule("/", "home", view_func=lambda: str(read()))


@pytest.fixture
def browser(make_browser: MakeBrowser) -> Browser:
    return make_browser(pages)


def times(app: Flask, cookie: str) -> list[float]:
    """Let a few threads, as those of a server, answer more clients that read their
    session; return how long each of the pages without a session took meanwhile."""
    headers = {"Cookie": f"session={cookie}"}
    with ThreadPoolExecutor(THREADS) as pool, ThreadPoolExecutor(2 * THREADS) as some:

        def ask(path: str) -> float:
            client = app.test_client()
            with stopwatch() as waited:
                pool.submit(lambda: client.get(path, headers=headers)).result()
            return waited.seconds

        readers = [some.submit(ask, "/") for _ in range(REQUESTS)]
        taken = [ask("/plain") for _ in range(REQUESTS // 4)]
        for reader in readers:
            reader.result()
    return taken


def test_pages_without_a_session_do_not_wait_for_those_with_one(
    browser: Browser, server: Server
) -> None:
    """Threads are few: those that wait for the storage are missing elsewhere."""
    with hanging(server):
        for _ in range(HANGS_AFTER):
            assert browser.do(read).status_code == 503
        with stopwatch() as waited:
            taken = times(browser.app, browser.cookie)

    assert max(taken) < TIMEOUT, "some waited for a timeout of others"
    assert waited.seconds < REQUESTS * TIMEOUT / THREADS / 4


def test_within_a_second_of_its_return_it_is_used_again(
    browser: Browser, server: Server
) -> None:
    with hanging(server):
        for _ in range(HANGS_AFTER + 20):
            assert browser.do(read).status_code == 503

    with within(1.2):
        eventually(lambda: browser.do(read).status_code != 503)

    assert browser.does(read) == "1"


def test_an_outage_of_many_requests_is_few_lines(
    browser: Browser, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="flask_srvsession")

    with killed(server):
        for _ in range(300):
            assert browser.do(read).status_code == 503

    lines = [r.getMessage() for r in caplog.records if r.name == "flask_srvsession"]
    assert len(lines) <= 3, lines
    assert "ConnectionRefusedError ECONNREFUSED" in caplog.text
    assert lines[0].endswith(f" at {server.host}:{server.port}")
