"""Sessions of a Flask-Login user are listed and ended; remember-me is not, unless."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from flask_login import (
    LoginManager,
    UserMixin,
    current_user,
    login_user,
    logout_user,
    user_loaded_from_cookie,
)

from flask_srvsession import StaleLogin, session
from tests.web import Browser

from ..apps import (
    User,
    cookie_headers,
    deletes_cookie,
    listed,
    sets_cookie,
    use_flask_login,
)
from ..devices import (
    found,
    result_of,
    revoke_all,
    sessions,
)
from ..marks import WITH_FLASK_LOGIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from tests.conftest import MakeApp


pytestmark = WITH_FLASK_LOGIN


REMEMBER = "remember_token"


def log_in(browser: Browser, user_id: str = "42", **how: Any) -> None:
    response = browser.do(lambda: str(login_user(User(user_id), **how)))
    assert response.text == "True"


def who(browser: Browser) -> str | None:
    """Return the id of the user that a view sees."""
    user_id: str | None = result_of(browser, lambda: getattr(current_user, "id", None))
    return user_id


class TestUserSessions:
    @pytest.fixture
    def app(self, make_app: MakeApp) -> Flask:
        use_flask_login(app := make_app())
        return app

    def test_are_listed_under_the_user_without_any_configuration(
        self, app: Flask
    ) -> None:
        browsers = [Browser(app), Browser(app)]
        for browser in browsers:
            log_in(browser)
        log_in(Browser(app), "7")

        assert {info.id for info in found(app)} == {b.id for b in browsers}

    def test_one_is_ended(self, app: Flask) -> None:
        mine, other = Browser(app), Browser(app)
        log_in(mine)
        log_in(other)
        victim = other.id

        assert result_of(mine, lambda: sessions.revoke(victim, user_id=current_user.id))

        assert (who(mine), who(other)) == ("42", None)

    def test_all_others_are_ended(self, app: Flask) -> None:
        mine, other, stranger = Browser(app), Browser(app), Browser(app)
        log_in(mine)
        log_in(other)
        log_in(stranger, "7")

        mine.do(lambda: str(sessions.revoke_all(user_id="42", keep_current=True)))

        assert [who(b) for b in (mine, other, stranger)] == ["42", None, "7"]

    def test_a_logout_unlists_and_kills_every_copy(self, app: Flask) -> None:
        browser = Browser(app)
        log_in(browser)
        copy = browser.copy()

        browser.do(lambda: str(logout_user()))

        assert who(copy) is None
        assert listed(app, 42) == set()

    def test_a_login_that_was_checked_before_a_revocation_is_refused(
        self, app: Flask
    ) -> None:
        browser = Browser(app)

        def login() -> str:
            epoch = sessions.epoch(user_id="42")
            sessions.revoke_all(user_id="42")
            login_user(User("42"))
            with pytest.raises(StaleLogin):
                session.bind(user_id="42", epoch=epoch)
            return ""

        browser.do(login)

        assert who(browser) is None
        assert found(app) == []


class TestRememberCookie:
    @pytest.fixture
    def app(self, make_app: MakeApp) -> Flask:
        use_flask_login(app := make_app())
        return app

    def test_survives_every_server_side_revocation(self, app: Flask) -> None:
        """Why ``flask sessions check`` warns of it."""
        browser = Browser(app)
        log_in(browser, remember=True)
        old = browser.id

        assert revoke_all(app) == 1

        assert who(browser) == "42"
        assert browser.id != old

    def test_what_it_logs_in_is_listed_and_can_be_ended_again(self, app: Flask) -> None:
        browser = Browser(app)
        log_in(browser, remember=True)
        revoke_all(app)
        who(browser)

        assert [info.id for info in found(app)] == [browser.id]

    def test_is_deleted_by_who_ends_all_sessions_their_own_among_them(
        self, app: Flask
    ) -> None:
        browser = Browser(app)
        log_in(browser, remember=True)

        browser.do(lambda: sessions.revoke_all(user_id=42) and None)

        assert who(browser) is None

    def test_is_deleted_by_destroy(self, app: Flask) -> None:
        browser = Browser(app)
        log_in(browser, remember=True)

        browser.do(lambda: session.destroy())

        assert who(browser) is None


class TestPermanentSessionInstead:
    @pytest.fixture
    def app(self, make_app: MakeApp) -> Flask:
        app = make_app(PERMANENT_SESSION_LIFETIME=timedelta(days=30))
        use_flask_login(app)
        return app

    def test_outlives_the_browser_and_ends_when_it_is_ended(self, app: Flask) -> None:
        browser = Browser(app)

        def login() -> str:
            session.permanent = True
            return str(login_user(User("42")))

        response = browser.do(login)

        [header] = cookie_headers(response)
        assert "Expires=" in header
        assert not sets_cookie(response, REMEMBER)
        assert who(browser) == "42"
        assert revoke_all(app) == 1
        assert who(browser) is None


class Account(UserMixin):
    """A user whose Flask-Login id ends with the epoch of their sessions."""

    def __init__(self, user_id: str) -> None:
        self.id = user_id

    def get_id(self) -> str:
        return f"{self.id} {sessions.epoch(user_id=self.id)}"


def load_account(text: str) -> Account | None:
    user_id, _, epoch = text.partition(" ")
    return Account(user_id) if epoch == sessions.epoch(user_id=user_id) else None


class TestIdWithEpoch:
    @pytest.fixture
    def app(self, make_app: MakeApp) -> Iterator[Flask]:
        app = make_app(SRVSESSION_INDEXES={"user_id": ("user_id",)})
        LoginManager(app).user_loader(load_account)

        def name_user(sender: Flask, user: Account) -> None:
            session["user_id"] = user.id

        with user_loaded_from_cookie.connected_to(name_user, sender=app):
            yield app

    @staticmethod
    def log_in(browser: Browser) -> None:
        def login() -> str:
            session["user_id"] = "42"
            return str(login_user(Account("42"), remember=True))

        assert browser.do(login).text == "True"

    def test_the_remember_cookie_ends_with_revoke_all(self, app: Flask) -> None:
        browser, other = Browser(app), Browser(app)
        self.log_in(browser)
        self.log_in(other)
        assert (who(browser), who(other)) == ("42", "42")

        assert revoke_all(app) == 2

        assert (who(browser), who(other)) == (None, None)
        assert found(app) == []

    def test_until_then_it_logs_in_and_the_session_is_listed(self, app: Flask) -> None:
        browser = Browser(app)
        self.log_in(browser)
        browser.client.delete_cookie("session")  # the browser was closed

        assert who(browser) == "42"
        assert browser.id in {info.id for info in found(app)}

    def test_it_does_not_survive_the_loss_of_the_session_cookie_either(
        self, app: Flask
    ) -> None:
        browser = Browser(app)
        self.log_in(browser)
        browser.client.delete_cookie("session")

        revoke_all(app)

        assert who(browser) is None

    def test_who_is_kept_logs_in_anew(self, app: Flask) -> None:
        """The epoch of the kept session is over as well."""
        browser, other = Browser(app), Browser(app)
        self.log_in(browser)
        self.log_in(other)

        def sign_out_elsewhere() -> str:
            sessions.revoke_all(user_id="42", keep_current=True)
            return str(login_user(Account("42"), remember=True))

        browser.do(sign_out_elsewhere)

        assert (who(browser), who(other)) == ("42", None)
        browser.client.delete_cookie("session")
        assert who(browser) == "42"


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


def test_who_ends_all_of_their_own_loses_flask_logins_remember_cookie(
    app: Flask,
) -> None:
    use_flask_login(app)
    browser = Browser(app)
    browser.do(lambda: str(login_user(User("42"), remember=True)))
    assert browser.client.get_cookie("remember_token")

    response = browser.do(lambda: str(sessions.revoke_all(user_id="42")))

    assert response.text == "1"
    assert deletes_cookie(response, "remember_token")
    assert not result_of(browser, lambda: current_user.is_authenticated)
