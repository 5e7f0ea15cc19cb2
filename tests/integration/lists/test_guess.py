"""A fenced load asks for the record and for the heads of its lists at once.

It knows the lists from the load before; another process may have changed them since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flask import Flask

from flask_srvsession.store import lists
from tests.web import Browser

from ..devices import alive, lose_index, signed_in, store_of
from ..marks import ON_MEMORY

if TYPE_CHECKING:
    from tests.conftest import MakeApp

ONE = {"user_id": ("user_id",)}
BOTH = {**ONE, "team": ("team",)}


@pytest.fixture
def elsewhere(make_app: MakeApp) -> tuple[Browser, Browser]:
    """Return somebody's browser as two processes of one app serve it.

    The first one has loaded the session. The second one keeps lists of teams as well.
    """
    config = {"SRVSESSION_FENCED_LOAD": True}
    here = make_app(**config, SRVSESSION_INDEXES=ONE)
    config["SRVSESSION_KEY_PREFIX"] = here.config["SRVSESSION_KEY_PREFIX"]
    backend = here.extensions["srvsession"].backend
    there = make_app(backend, **config, SRVSESSION_INDEXES=BOTH)
    browser = Browser(here)
    browser.set(user_id=42, team="red")
    assert alive([browser]) == [True]
    return browser, Browser(there, browser.cookie)


def fence(app: Flask, **index: object) -> None:
    """End an epoch as a revocation does that ends nothing else."""
    its_lists = store_of(app).lists
    its_lists.fence(its_lists.parse(index))


@pytest.mark.every_storage
class TestAnotherProcess:
    def test_adds_a_list_and_its_end_is_seen_here(
        self, elsewhere: tuple[Browser, Browser]
    ) -> None:
        browser, other = elsewhere
        other.set(a=1)

        assert alive([browser]) == [True]
        fence(other.app, team="red")

        assert alive([browser]) == [False]

    def test_adds_a_list_whose_end_is_seen_by_the_very_next_load(
        self, elsewhere: tuple[Browser, Browser]
    ) -> None:
        browser, other = elsewhere
        other.set(a=1)
        fence(other.app, team="red")

        assert alive([browser]) == [False]

    def test_leaves_a_list_and_its_end_is_nothing_to_us(
        self, elsewhere: tuple[Browser, Browser]
    ) -> None:
        browser, other = elsewhere
        other.set(a=1)
        assert alive([other]) == [True]
        browser.set(a=2)
        fence(other.app, team="red")

        assert alive([other]) == [True]

    def test_ends_the_list_that_was_seen(
        self, elsewhere: tuple[Browser, Browser]
    ) -> None:
        browser, other = elsewhere
        fence(other.app, user_id=42)

        assert alive([browser]) == [False]

    def test_loses_the_list_that_was_seen(
        self, elsewhere: tuple[Browser, Browser]
    ) -> None:
        browser, other = elsewhere
        lose_index(other.app)

        assert alive([browser]) == [False]


@ON_MEMORY
def test_so_many_are_remembered_and_no_more(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MOST_SEEN", 3)
    app = make_app(SRVSESSION_FENCED_LOAD=True)
    browsers = signed_in(app, 42, 5)

    assert alive([*browsers, *browsers]) == [True] * 10

    assert 1 <= len(store_of(app).lists.seen) <= 3


@ON_MEMORY
def test_without_fenced_load_nothing_is_remembered(make_app: MakeApp) -> None:
    app = make_app(SRVSESSION_FENCED_LOAD=False)

    assert alive(signed_in(app, 42)) == [True]

    assert store_of(app).lists.seen == {}
