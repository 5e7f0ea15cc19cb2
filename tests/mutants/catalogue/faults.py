"""Faults that real use has found do not come back."""

from __future__ import annotations

from ..mutant import Mutant

INDEXES = "integration/bad_input/test_indexes.py::"

MUTANTS = (
    Mutant(
        name="any-text-is-an-epoch",
        file="backends/base.py",
        old='not re.fullmatch("[0-9a-f]{16}", epoch)',
        new="False",
        breaks="an epoch that somebody else has written is ignored",
        found_by=f"{INDEXES}test_an_epoch_that_is_none_is_ignored_with_a_warning",
    ),
    Mutant(
        name="redis-hands-out-any-epoch",
        file="backends/redis/index_epoch.lua",
        old="if epoch and #epoch == 16 then",
        new="if true then",
        breaks="after a junk epoch a user of Redis can log in",
        found_by=f"{INDEXES}test_an_epoch_that_is_none_is_ignored_with_a_warning",
    ),
    Mutant(
        name="redis-lets-another-type-stand",
        file="backends/redis/backend.py",
        old="if _WRONG_TYPE not in str(error):",
        new="if True:",
        breaks="a value of another type under the name of a list ends no login",
        found_by=f"{INDEXES}test_a_value_of_another_kind_is_no_list",
    ),
    Mutant(
        name="a-junk-member-hides-its-list",
        file="backends/cell_index.py",
        old='text.decode("ascii", "replace")',
        new='text.decode("ascii")',
        breaks="revoke_all ends everything that can be found",
        found_by=f"{INDEXES}test_a_member_that_is_none_is_ignored_with_a_warning",
    ),
    Mutant(
        name="sqlite-wants-text",
        file="backends/sql/drivers.py",
        old='data.decode("utf-8", "replace")',
        new='data.decode("utf-8")',
        breaks="bytes that are no text end no request",
        found_by=f"{INDEXES}test_a_member_that_is_none_is_ignored_with_a_warning",
    ),
    Mutant(
        name="evictions-are-asked-for-once",
        file="backends/redis/backend.py",
        old="pause = ASK_AGAIN_IF_KNOWN if final",
        new='pause = float("inf") if final',
        breaks="a server that may evict from now on is noticed",
        found_by="integration/lists/test_storage.py::TestLoss::"
        "test_redis_that_may_evict_later_is_noticed",
    ),
)
