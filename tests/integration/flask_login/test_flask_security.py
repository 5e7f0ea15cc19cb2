"""Flask-Security works with no glue: its sessions are listed, ended, and renewed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("flask_security")
pytest.importorskip("sqlalchemy")

from flask_security import Security, hash_password

from tests.web import Browser

from ..devices import found, revoke_all, sessions
from .security import CONFIG, datastore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from tests.conftest import MakeApp

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

EMAIL, PASSWORD = "who@example.com", "a password of some length"


@pytest.fixture
def app(make_app: MakeApp) -> Iterator[Flask]:
    app = make_app(**CONFIG)
    users = datastore()
    Security(app, users)
    with app.app_context():
        users.create_user(email=EMAIL, password=hash_password(PASSWORD))
        users.commit()
    yield app
    users.db.session.remove()
    users.db.session.get_bind().dispose()


def log_in(browser: Browser, **fields: Any) -> None:
    form = {"email": EMAIL, "password": PASSWORD, **fields}
    response = browser.client.post("/login", json=form)
    assert response.status_code == 200, response.text


def is_signed_in(browser: Browser) -> bool:
    response = browser.client.get(
        "/change", headers={"Accept": "application/json"}, follow_redirects=False
    )
    return response.status_code == 200


def user_of(app: Flask) -> Any:
    with app.app_context():
        users = app.extensions["security"].datastore
        return users.find_user(email=EMAIL)


def test_a_login_is_listed_under_the_id_that_flask_security_gives(app: Flask) -> None:
    browser = Browser(app)

    log_in(browser)

    assert is_signed_in(browser)
    uniquifier = user_of(app).fs_uniquifier
    assert [info.id for info in found(app, user_id=uniquifier)] == [browser.id]


def test_a_login_gets_a_new_id(app: Flask) -> None:
    browser = Browser(app)
    browser.set(cart=1)
    before = browser.copy()

    log_in(browser)

    assert browser.id != before.id
    assert browser.values()["cart"] == 1
    left = before.values()  # for a moment, and only to be read
    assert left == {"cart": 1, "_fresh": False}


def test_a_logout_leaves_no_usable_copy(app: Flask) -> None:
    browser = Browser(app)
    log_in(browser)
    copy = browser.copy()

    browser.client.post("/logout", json={})

    assert not is_signed_in(copy)
    assert not is_signed_in(browser)
    assert found(app, user_id=user_of(app).fs_uniquifier) == []


def test_one_and_all_can_be_ended(app: Flask) -> None:
    browsers = [Browser(app) for _ in range(3)]
    for browser in browsers:
        log_in(browser)
    uniquifier = user_of(app).fs_uniquifier

    with app.app_context():
        assert sessions.revoke(browsers[1].id, user_id=uniquifier)
    assert [is_signed_in(browser) for browser in browsers] == [True, False, True]

    assert revoke_all(app, user_id=uniquifier) == 2
    assert [is_signed_in(browser) for browser in browsers] == [False, False, False]


def test_a_remember_cookie_survives_a_revocation_but_not_a_new_uniquifier(
    app: Flask,
) -> None:
    browser = Browser(app)
    log_in(browser, remember=True)
    user = user_of(app)

    revoke_all(app, user_id=user.fs_uniquifier)
    assert is_signed_in(browser)

    with app.app_context():
        users = app.extensions["security"].datastore
        users.set_uniquifier(users.find_user(email=EMAIL))
        users.commit()
    assert not is_signed_in(browser)
