"""All mutants, by the promise that they break."""

from __future__ import annotations

from ..mutant import Mutant
from . import (
    backchannel,
    cookies,
    device,
    encryption,
    ending,
    everything,
    faults,
    listing,
    outages,
    rotation,
    secrecy,
    storages,
    surface,
    take_over,
    trail,
    updates,
)

MUTANTS: tuple[Mutant, ...] = (
    *ending.MUTANTS,
    *everything.MUTANTS,
    *faults.MUTANTS,
    *updates.MUTANTS,
    *rotation.MUTANTS,
    *listing.MUTANTS,
    *cookies.MUTANTS,
    *secrecy.MUTANTS,
    *outages.MUTANTS,
    *storages.MUTANTS,
    *surface.MUTANTS,
    *backchannel.MUTANTS,
    *trail.MUTANTS,
    *encryption.MUTANTS,
    *take_over.MUTANTS,
    *device.MUTANTS,
)
