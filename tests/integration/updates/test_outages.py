"""A change whose answer is lost is made once; one that is not made is a 503."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from flask_srvsession.backends import Backend

from ..apps import (
    LosingBackend,
    cookie_headers,
    each_write,
)
from .shopper import add_one, shopper

if TYPE_CHECKING:
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage


def test_a_change_of_which_the_answer_is_lost_is_made_exactly_once(
    make_app: MakeApp, backend: Backend
) -> None:
    losing, tried = LosingBackend(backend), 0
    browser = shopper(make_app(losing), n=0)

    for nth in each_write(losing):
        losing.lose(at_write=nth, only_answer=True)
        tried += 1
        assert browser.do(add_one).status_code == 200
        losing.recover()

    assert tried >= 2
    assert browser.values() == {"n": tried}


class Overtaken(LosingBackend):
    """Others write after an answer was lost, and before anybody looks what became
    of the change."""

    others: Callable[[], object] | None = None

    def get(self, key: str) -> Any:
        if self.has_failed and self.others:
            others, self.others = self.others, None
            others()
        return super().get(key)


@pytest.mark.parametrize(("writes", "status"), [(7, 200), (8, 503)])
def test_a_change_that_may_have_been_forgotten_is_not_made_again(
    make_app: MakeApp, backend: Backend, writes: int, status: int
) -> None:
    """A session remembers its last eight writes."""
    overtaken = Overtaken(backend)
    browser = shopper(make_app(overtaken), n=0)
    other = browser.copy()

    overtaken.others = lambda: [other.set(written=n) for n in range(writes)]
    overtaken.lose(at_write=1, only_answer=True)
    response = browser.do(add_one)

    assert response.status_code == status
    assert browser.values() == {"n": 1, "written": writes - 1}


def test_a_change_that_loses_the_storage_is_a_503_and_not_made(
    make_app: MakeApp, backend: Backend
) -> None:
    losing = LosingBackend(backend)
    browser = shopper(make_app(losing), n=0)

    losing.lose(at_write=1)
    response = browser.do(add_one)
    losing.recover()

    assert response.status_code == 503
    assert cookie_headers(response) == []
    assert browser.values() == {"n": 0}
