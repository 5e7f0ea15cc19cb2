"""Fixtures of these tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from flask_srvsession.backends import backend_from_url
from tests.web import Browser

from ..probes import (
    CountingBackend,
    hanging,
)
from .scene import (
    OPTIONS,
    SESSION_IN_ERROR_PAGES,
    MakeBrowser,
    Outage,
    SetUp,
    begin,
    killed,
    read,
)

if TYPE_CHECKING:
    from tests.conftest import MakeApp
    from tests.servers import Server


@pytest.fixture(params=["own_redis", "own_memcached"])
def server(request: pytest.FixtureRequest) -> Server:
    """A server that this test may stop."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=[killed, hanging], ids=["killed", "hanging"])
def outage(request: pytest.FixtureRequest) -> Outage:
    """The ways in which a storage fails: at once, or by a timeout."""
    found: Outage = request.param
    return found


@pytest.fixture
def backend(server: Server) -> Iterator[CountingBackend]:
    chosen: Any = backend_from_url(server.url + OPTIONS[server.scheme])
    yield CountingBackend(chosen)
    chosen.close()


@pytest.fixture
def make_browser(make_app: MakeApp) -> MakeBrowser:
    """Make a browser of an app as in production, whose connection is open."""

    def make(*set_ups: SetUp, **config: Any) -> Browser:
        app = make_app(TESTING=False, **config)
        for set_up in set_ups:
            set_up(app)
        browser = Browser(app)
        browser.does(begin)
        browser.does(read)
        return browser

    return make


@pytest.fixture(params=SESSION_IN_ERROR_PAGES)
def error_page(request: pytest.FixtureRequest) -> list[SetUp]:
    return SESSION_IN_ERROR_PAGES[request.param]
