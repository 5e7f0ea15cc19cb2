"""``SRVSESSION_METADATA``: what is kept about clients, and when it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Request

from flask_srvsession import ConfigurationError, session
from tests.web import Browser

from ..devices import found, result_of, sessions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp


def visit(browser: Browser, agent: str = "Firefox", ip: str = "192.0.2.77") -> None:
    """Log in or come back, as this client."""
    response = browser.do(
        lambda: session.setdefault("user_id", 42) and "",
        headers={"User-Agent": agent},
        environ_base={"REMOTE_ADDR": ip},
    )
    assert response.status_code == 200


def meta(browser: Browser) -> Mapping[str, Any]:
    [info] = found(browser.app)
    return info.meta


@pytest.mark.parametrize("wrong", ["a phone", ["a phone"], {("a", 1): 2}, {"x": {3}}])
def test_a_result_that_could_not_be_read_again_is_refused(
    make_app: MakeApp, wrong: object
) -> None:
    app = make_app(SRVSESSION_METADATA=lambda request: wrong)

    with pytest.raises(TypeError, match="SRVSESSION_METADATA must return None, or a"):
        Browser(app).set(user_id=42)


def test_nothing_is_kept_by_default(make_app: MakeApp) -> None:
    browser = Browser(make_app())

    visit(browser)

    assert meta(browser) == {}


@pytest.mark.parametrize(
    ("ip", "kept"),
    [
        ("192.0.2.77", "192.0.2.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::1", "::"),
        ("::ffff:192.0.2.77", "192.0.2.0"),
    ],
)
def test_true_keeps_a_shortened_address_and_the_user_agent(
    make_app: MakeApp, ip: str, kept: str
) -> None:
    browser = Browser(make_app(SRVSESSION_METADATA=True))

    visit(browser, "Mozilla/5.0 (X11) Firefox/150", ip)

    assert meta(browser) == {"ip": kept, "agent": "Mozilla/5.0 (X11) Firefox/150"}


@pytest.mark.parametrize("ip", ["", "unix:", "not an address", "192.0.2.77:80"])
def test_an_address_that_is_none_is_left_out(make_app: MakeApp, ip: str) -> None:
    browser = Browser(make_app(SRVSESSION_METADATA=True))

    visit(browser, "curl", ip)

    assert meta(browser) == {"agent": "curl"}


def test_a_long_user_agent_is_cut(make_app: MakeApp) -> None:
    browser = Browser(make_app(SRVSESSION_METADATA=True))

    visit(browser, "x" * 5000)

    assert meta(browser)["agent"] == "x" * 200


def test_a_callable_decides_itself(make_app: MakeApp) -> None:
    def about(request: Request) -> dict[str, str]:
        return {"device": request.headers["User-Agent"].partition("/")[0]}

    browser = Browser(make_app(SRVSESSION_METADATA=about))

    visit(browser, "Firefox/150")

    assert meta(browser) == {"device": "Firefox"}


def test_a_callable_that_returns_none_keeps_nothing(make_app: MakeApp) -> None:
    browser = Browser(make_app(SRVSESSION_METADATA=lambda request: None))

    visit(browser)

    assert meta(browser) == {}


def test_it_is_seen_wherever_a_session_is_shown(make_app: MakeApp) -> None:
    browser = Browser(make_app(SRVSESSION_METADATA=True))
    visit(browser)
    expected = {"ip": "192.0.2.0", "agent": "Firefox"}

    [mine] = result_of(browser, lambda: sessions.find(user_id=42))
    same = result_of(browser, lambda: sessions.get(browser.id))

    assert mine.meta == same.meta == expected
    assert "meta" not in browser.values()


def test_it_changes_at_a_renewal_only(make_app: MakeApp, clock: FakeClock) -> None:
    browser = Browser(make_app(SRVSESSION_METADATA=True, SRVSESSION_TOUCH_INTERVAL=60))
    visit(browser, "first")

    clock.advance(30)
    visit(browser, "second")
    assert meta(browser)["agent"] == "first"

    clock.advance(31)
    visit(browser, "third")
    assert meta(browser)["agent"] == "third"


def test_a_login_takes_it_anew(make_app: MakeApp) -> None:
    browser = Browser(make_app(SRVSESSION_METADATA=True))
    browser.do(lambda: session.update(cart=1), headers={"User-Agent": "before"})

    visit(browser, "after")

    assert meta(browser)["agent"] == "after"


@pytest.mark.parametrize("wrong", ["yes", 1, None, {"ip": True}])
def test_anything_else_is_a_configuration_error(
    make_app: MakeApp, wrong: object
) -> None:
    with pytest.raises(ConfigurationError, match="SRVSESSION_METADATA"):
        make_app(SRVSESSION_METADATA=wrong)
