"""The limit per user under every order of the backend calls of several requests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.concurrency.exploring import LIMIT
from tests.concurrency.interleave import Scenario, SteppedBackend, interleave
from tests.concurrency.tally import completed
from tests.concurrency.world import FAULTS, USER, Storage, World, scenario, settings

pytestmark = pytest.mark.usefixtures("stepwise")


def at_most(limit: int) -> Callable[[World], None]:
    def check(world: World) -> None:
        live = [session_id for session_id, r in world.live() if USER.lists(r)]
        assert len(live) <= limit, f"{len(live)} sessions live at a limit of {limit}"

    return check


def at_the_limit(
    *requests: str, policy: str, start: str, slow: bool = False
) -> Callable[[SteppedBackend], Scenario]:
    """Return what makes a scenario where a user has at most two sessions."""
    chosen = settings(max_per_key={"user_id": 2}, max_per_key_policy=policy)

    def make(backend: SteppedBackend) -> Scenario:
        world = World(backend, start, chosen=chosen, slow=slow)
        world.destroyers += policy == "evict-oldest"
        return scenario(world, *requests, checks=(at_most(2),))

    return make


policies = pytest.mark.parametrize("policy", ["evict-oldest", "reject"])


@policies
@pytest.mark.parametrize(
    ("start", "requests"),
    [
        ("anonymous", ("fresh_login", "fresh_login")),
        ("anonymous", ("fresh_login", "login")),
        ("signed in", ("fresh_login", "rotate")),
        ("signed in", ("fresh_login", "sign_out")),
        ("signed in", ("fresh_login", "destroy")),
        ("signed in", ("fresh_login", "revoke_all")),
        ("signed in", ("fresh_login", "revoke_others")),
        ("signed in", ("rotate", "rotate")),
        ("signed in", ("rotate", "login")),
    ],
    ids=lambda given: given if isinstance(given, str) else "-".join(given),
)
def test_requests_side_by_side_keep_the_limit(
    start: str, requests: tuple[str, str], policy: str
) -> None:
    make = at_the_limit(*requests, policy=policy, start=start)

    assert completed(interleave(Storage, make, limit=LIMIT)).schedules > 1


@policies
@pytest.mark.parametrize("slow", [False, True], ids=["quick", "slow"])
@pytest.mark.parametrize(
    ("start", "request_name"),
    [
        ("anonymous", "login"),
        ("anonymous", "fresh_login"),
        ("signed in", "fresh_login"),
        ("signed in", "login"),
        ("signed in", "rotate"),
        ("signed in", "sign_out"),
    ],
)
def test_a_request_keeps_the_limit_with_a_fault(
    start: str, request_name: str, policy: str, slow: bool
) -> None:
    make = at_the_limit(request_name, policy=policy, start=start, slow=slow)

    explored = completed(interleave(Storage, make, faults=FAULTS, limit=LIMIT))

    assert explored.schedules > len(FAULTS)


def test_who_is_listed_but_not_yet_saved_is_not_taken_for_dead() -> None:
    chosen = settings(max_per_key={"user_id": 2}, max_per_key_policy="reject")

    def make(backend: SteppedBackend) -> Scenario:
        world = World(backend, chosen=chosen)
        world.fresh_member()
        return scenario(world, "bind", "fresh_member")

    assert completed(interleave(Storage, make, limit=LIMIT)).schedules > 1
