"""Proofs of a device beside all else that changes its session, in every order."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import pytest

from flask_srvsession.dbsc import binding
from flask_srvsession.store.record import Record
from flask_srvsession.store.records import Live
from tests.concurrency.exploring import LIMIT
from tests.concurrency.interleave import Fault, Scenario, SteppedBackend, interleave
from tests.concurrency.tally import completed
from tests.concurrency.world import Storage, World, scenario

KEY, OTHER_KEY = b"k" * 64, b"o" * 64

OTHERS = ("save", "renew", "rotate", "login", "destroy", "revoke", "revoke_all")
FAULTS = (Fault.REPLY_LOST, Fault.REFUSED, Fault.DELAYED)


class DeviceWorld(World):
    """The first session has a device, and is bound to it if it is not `fresh`."""

    def __init__(self, backend: SteppedBackend, *, fresh: bool, **given: Any) -> None:
        super().__init__(backend, **given)
        self.done: list[int] = []
        self.begun_bound = not fresh
        live = self._load()
        assert live is not None
        found = binding.register(self.store, live, KEY)
        assert isinstance(found, Live)
        if not fresh:
            bound = binding.bind(self.store, found)
            assert bound.record.bound

    def refresh(self) -> None:
        """Raise the generation, as the route does for a good proof."""
        live = self.store.peek(self.first)
        device = binding.device_of(live.record) if live else None
        if live is None or device is None:
            return
        done, _ = binding.refresh(self.store, live, device)
        if done:
            self.done.append(device.generation + 1)

    def show(self) -> None:
        """Show the bound cookie."""
        live = self._load()
        if live is not None and live.record.device and not live.record.bound:
            binding.bind(self.store, live)

    def register_other(self) -> None:
        """Register another key, with an offer from before."""
        live = self.store.peek(self.first)
        if live is not None:
            binding.register(self.store, live, OTHER_KEY)


def a_generation_is_one_proof(world: World) -> None:
    assert isinstance(world, DeviceWorld)
    assert len({*world.done}) == len(world.done)


def the_device_stays(world: World) -> None:
    """Whoever writes the record: its key, its generation, and that it is bound."""
    assert isinstance(world, DeviceWorld)
    record = world.stored(world.first)
    if not isinstance(record, Record):
        return
    device = binding.device_of(record)
    assert device is not None
    assert device.key == KEY
    assert device.generation >= max([1, *world.done])
    assert record.bound or not (world.done or world.begun_bound)


def explore(*requests: str, fresh: bool = False, **given: Any) -> int:
    faults = given.pop("faults", ())

    def make(backend: SteppedBackend) -> Scenario:
        world = DeviceWorld(backend, fresh=fresh, **given)
        checks = a_generation_is_one_proof, the_device_stays
        return scenario(world, *requests, checks=checks)

    explored = interleave(Storage, make, faults=faults, limit=LIMIT)
    return completed(explored).schedules


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("start", ["signed in", "due"])
def test_a_refresh_and_another_request(other: str, start: str) -> None:
    assert explore("refresh", other, start=start) >= 1


@pytest.mark.parametrize(
    "others", [*combinations_with_replacement(OTHERS[:5], 2)], ids="-".join
)
def test_a_refresh_and_two_others(others: tuple[str, str]) -> None:
    assert explore("refresh", *others, preloaded=True) >= 1


@pytest.mark.parametrize("other", ["save", "destroy", "register_other"])
def test_of_proofs_for_one_generation_one_counts(other: str) -> None:
    assert explore("refresh", "refresh", other) >= 6


@pytest.mark.parametrize("other", OTHERS[:5])
def test_a_session_becomes_bound_beside_others(other: str) -> None:
    assert explore("show", "register_other", other, fresh=True) >= 1


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.value)
@pytest.mark.parametrize("other", ["save", "refresh", "destroy"])
def test_a_refresh_with_a_fault(other: str, fault: Fault) -> None:
    assert explore("refresh", other, faults=(fault,)) >= 2
