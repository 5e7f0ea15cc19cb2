"""The secret key that is missing, changes, or was another one before."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from flask_srvsession import ConfigurationError, session
from tests.integration.bad_input.forged import payload, read, signed
from tests.web import Browser

from .marks import ON_MEMORY
from .probes import CountingBackend

if TYPE_CHECKING:
    from tests.conftest import MakeApp


class TestSecretKey:
    @ON_MEMORY
    def test_that_is_missing_is_said_in_flasks_own_words(
        self, make_app: MakeApp, counted: CountingBackend
    ) -> None:
        browser = Browser(make_app(counted, SECRET_KEY=None))

        assert browser.do().status_code == 200
        assert browser.does(lambda: session.get("a")) == "None"
        with pytest.raises(RuntimeError, match="no secret key was set"):
            browser.do(lambda: session.update(a=1))
        assert counted.taken() == []

    @ON_MEMORY
    def test_may_be_set_after_the_extension(self, make_app: MakeApp) -> None:
        app = make_app(SECRET_KEY=None)
        app.secret_key = "set later"
        browser = Browser(app)

        browser.does(lambda: session.update(a=1))

        assert browser.does(read) == "1"

    @pytest.mark.parametrize("fallbacks", [["older", "old"], ["old", "older"], ["old"]])
    def test_of_before_is_accepted_as_a_fallback(
        self, make_app: MakeApp, fallbacks: list[str]
    ) -> None:
        """Cookie and record, in whichever place of the list it is."""
        prefix = f"{uuid.uuid4().hex}:"
        browser = Browser(make_app(SECRET_KEY="old", SRVSESSION_KEY_PREFIX=prefix))
        browser.does(lambda: session.update(a=1))

        rotated = _moved_to(
            browser, make_app, prefix, SECRET_KEY="new", SECRET_KEY_FALLBACKS=fallbacks
        )

        assert rotated.does(read) == "1"

    @pytest.mark.parametrize("fallbacks", [None, [], ["another"]])
    def test_of_before_is_worth_nothing_without(
        self, make_app: MakeApp, counted: CountingBackend, fallbacks: list[str] | None
    ) -> None:
        prefix = f"{uuid.uuid4().hex}:"
        browser = Browser(
            make_app(counted, SECRET_KEY="old", SRVSESSION_KEY_PREFIX=prefix)
        )
        browser.does(lambda: session.update(a=1))
        rotated = _moved_to(
            browser, make_app, prefix, SECRET_KEY="new", SECRET_KEY_FALLBACKS=fallbacks
        )
        counted.taken()

        assert rotated.does(read) == "None"
        assert counted.taken() == []

    @ON_MEMORY
    @pytest.mark.parametrize("text", ["a former key", b"a former key"])
    def test_of_before_that_is_no_list_is_refused_and_not_shown(
        self, make_app: MakeApp, text: str | bytes
    ) -> None:
        """Each of its characters would be a key, which anybody can guess."""
        with pytest.raises(ConfigurationError, match="SECRET_KEY_FALLBACKS") as found:
            make_app(SECRET_KEY_FALLBACKS=text)
        assert "former" not in str(found.value)

        app = make_app()
        app.config["SECRET_KEY_FALLBACKS"] = text
        with pytest.raises(ConfigurationError, match="SECRET_KEY_FALLBACKS"):
            Browser(app).do(lambda: session.update(a=1))

    @ON_MEMORY
    def test_of_now_is_the_only_one_that_signs(self, make_app: MakeApp) -> None:
        prefix = f"{uuid.uuid4().hex}:"
        app = make_app(
            SECRET_KEY="new",
            SECRET_KEY_FALLBACKS=["older", "old"],
            SRVSESSION_KEY_PREFIX=prefix,
        )
        browser = Browser(app)

        browser.does(lambda: session.update(a=1))

        cookie = browser.cookie
        assert cookie == signed(payload(cookie), key="new", prefix=prefix)

    def test_of_now_seals_what_is_written(self, make_app: MakeApp) -> None:
        """After a write and a rotation nothing needs the fallback any more."""
        prefix = f"{uuid.uuid4().hex}:"
        browser = Browser(make_app(SECRET_KEY="old", SRVSESSION_KEY_PREFIX=prefix))
        browser.does(lambda: session.update(a=1))
        both = _moved_to(
            browser, make_app, prefix, SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"]
        )
        both.does(lambda: session.rotate())

        new = _moved_to(both, make_app, prefix, SECRET_KEY="new")

        assert new.does(read) == "1"

    @ON_MEMORY
    def test_that_changes_while_the_app_runs_takes_effect_at_once(
        self, make_app: MakeApp
    ) -> None:
        app = make_app(SECRET_KEY="old")
        browser = Browser(app)
        browser.does(lambda: session.update(a=1))

        app.config.update(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"])
        with_fallback = browser.does(read)
        app.config.update(SECRET_KEY_FALLBACKS=[])

        assert with_fallback == "1"
        assert browser.does(read) == "None"


def _moved_to(
    browser: Browser, make_app: MakeApp, prefix: str, **config: Any
) -> Browser:
    """Take the cookie to an app on the same storage with another configuration."""
    other = Browser(make_app(SRVSESSION_KEY_PREFIX=prefix, **config))
    other.cookie = browser.cookie
    return other
