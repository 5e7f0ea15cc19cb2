"""Who is logged in is found, and ended; a login that comes too late is refused."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="find-reads-all-at-once",
        file="backends/guarded.py",
        old="batch = keys[start : start + MOST_AT_ONCE]",
        new="batch = keys[start:]",
        breaks="no reply holds more than a hundred sessions",
        found_by="unit/test_guard.py::test_many_keys_are_asked_for_in_batches",
    ),
    Mutant(
        name="no-epoch-check",
        file="backends/cell_index.py",
        old="if seen.head.epoch != expect:",
        new="if False:",
        breaks="an add with an old epoch is refused",
        found_by="contract/test_memory.py::TestMemory::"
        "test_add_with_an_old_epoch_is_refused",
    ),
    Mutant(
        name="a-fence-does-not-restamp",
        file="backends/cell_index.py",
        old="return head.epoch, self._restamp(name, seen.roll, head)",
        new="return head.epoch, list(seen.roll.members)",
        breaks="a fence misses nobody",
        found_by="concurrency/test_cell_index.py::"
        "test_every_order_of_steps_keeps_the_index_whole",
    ),
    Mutant(
        name="a-fence-forgets-whom-it-kept",
        file="backends/cell_index.py",
        old="head = _Head(new_epoch(), until, tuple(keep))",
        new="head = _Head(new_epoch(), until)",
        breaks="the members that a fence kept are known until the next fence",
        found_by="contract/test_memory.py::TestMemory::"
        "test_the_kept_are_known_until_the_next_fence",
    ),
    Mutant(
        name="another-fence-is-taken-for-ours",
        file="backends/cell_index.py",
        old="if roll is not None and roll.stamp == head.epoch:",
        new="if roll is not None:",
        breaks="a fence misses nobody",
        found_by="concurrency/test_cell_index.py::"
        "test_every_order_of_steps_keeps_the_index_whole",
    ),
    Mutant(
        name="the-epoch-runs-out-before-its-members",
        file="backends/cell_index.py",
        old="if seen.head.until >= until:",
        new="if True:",
        breaks="an epoch lives as long as who is listed under it",
        found_by="integration/test_lifetimes.py::TestLongLife::"
        "test_of_somebody_logged_in_is_listed_as_long",
    ),
    Mutant(
        name="an-epoch-comes-back",
        file="backends/base.py",
        old="return secrets.token_hex(8)",
        new='return "0" * 16',
        breaks="an epoch that was left never comes back",
        found_by="contract/test_memory.py::TestMemory::test_an_epoch_stays",
    ),
)
