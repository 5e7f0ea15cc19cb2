"""The promises of the store under every order of the backend calls of its requests.

``SRVSESSION_TEST_LONG=1`` tries all pairs with faults, and more triples.
"""

from __future__ import annotations

import itertools

import pytest

from tests.concurrency.exploring import LONG, explore
from tests.concurrency.world import FAULTS, settings

pytestmark = pytest.mark.usefixtures("stepwise")

OF_THE_SESSION = (
    "save",
    "increment",
    "bind",
    "unbind",
    "renew",
    "login",
    "checked_login",
    "rotate",
    "destroy",
    "empty",
    "revoke_others",
)
OF_OTHERS = ("fresh_login", "revoke", "revoke_all", "revoke_team", "find")
REQUESTS = (*OF_THE_SESSION, *OF_OTHERS)
LONG_PAIRS = [("revoke_others", "revoke_others")]
PAIRS = [
    pair
    for pair in itertools.combinations_with_replacement(REQUESTS, 2)
    if LONG or pair not in LONG_PAIRS
]

TRIPLES = [
    ("save", "increment", "login"),
    ("save", "save", "rotate"),
    ("save", "rotate", "destroy"),
    ("login", "destroy", "save"),
    ("rotate", "rotate", "destroy"),
    ("renew", "renew", "renew"),
    ("bind", "unbind", "bind"),
    ("bind", "unbind", "revoke_team"),
    ("checked_login", "revoke_all", "save"),
    ("empty", "save", "renew"),
    ("save", "rotate", "rotate"),
    ("save", "rotate", "login"),
]
LONG_TRIPLES = [
    ("rotate", "revoke_others", "save"),
    ("login", "rotate", "revoke_all"),
    ("login", "login", "destroy"),
    ("rotate", "bind", "revoke_team"),
    ("rotate", "revoke_others", "destroy"),
    ("fresh_login", "revoke_all", "find"),
    ("increment", "increment", "rotate"),
]
FENCED = settings(fenced_load=True)
PAIRS_WITH_FAULTS = [
    ("save", "increment"),
    ("increment", "increment"),
    ("increment", "rotate"),
    ("save", "destroy"),
    ("increment", "renew"),
    ("renew", "renew"),
    ("bind", "revoke_team"),
    ("unbind", "bind"),
    ("rotate", "save"),
    ("empty", "save"),
]


def starts_of(*requests: str) -> list[str]:
    """Return the sessions with which these requests do something of interest."""
    starts = ["signed in"]
    if {"login", "checked_login"} & set(requests):
        starts.append("anonymous")
    if {"bind", "unbind", "revoke_team"} & set(requests):
        starts.append("in team")
    if {"renew", "save", "rotate"} & set(requests):
        starts += ["due", "handed over"]
    return starts


# -- two and three requests ----------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_two_requests_keep_the_promises(pair: tuple[str, str]) -> None:
    for start in starts_of(*pair):
        assert explore(*pair, start=start).schedules >= 1


@pytest.mark.parametrize(
    "triple", TRIPLES + (LONG_TRIPLES if LONG else []), ids="-".join
)
def test_three_requests_keep_the_promises(triple: tuple[str, str, str]) -> None:
    """They have all read the session before one of them goes on."""
    start = "due" if "renew" in triple else "signed in"
    start = "in team" if "unbind" in triple else start

    explored = explore(*triple, start=start, preloaded=True)

    assert explored.schedules >= 6


FENCED_PAIRS = [
    (request_name, ender)
    for request_name in ("save", "bind", "login", "rotate", "renew", "fresh_login")
    for ender in ("revoke_all", "revoke_others", "destroy")
]


@pytest.mark.parametrize("pair", FENCED_PAIRS, ids="-".join)
def test_two_requests_keep_the_promises_where_each_load_asks_the_index(
    pair: tuple[str, str],
) -> None:
    for start in starts_of(*pair):
        assert explore(*pair, start=start, chosen=FENCED).schedules >= 1


# -- faults --------------------------------------------------------------------------


@pytest.mark.parametrize("slow", [False, True], ids=["quick", "slow"])
@pytest.mark.parametrize("request_name", [*REQUESTS, "create_and_destroy"])
def test_a_request_keeps_the_promises_with_a_fault(
    request_name: str, slow: bool
) -> None:
    """At each of its calls it crashes, or is told that the call has failed."""
    for start in starts_of(request_name):
        explored = explore(request_name, start=start, faults=FAULTS, slow=slow)
        assert explored.schedules >= 1 + len(FAULTS) - 1


@pytest.mark.parametrize("pair", PAIRS if LONG else PAIRS_WITH_FAULTS, ids="-".join)
def test_two_requests_keep_the_promises_with_a_fault(pair: tuple[str, str]) -> None:
    start = "in team" if {"bind", "unbind"} & set(pair) else "due"

    explored = explore(*pair, start=start, faults=FAULTS, preloaded=not LONG)

    assert explored.schedules >= 1 + len(FAULTS) - 1
