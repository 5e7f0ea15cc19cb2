"""Each end of a session leaves one line that says who and why."""

from __future__ import annotations

from ..mutant import Mutant

_TEST = "integration/test_audit.py::"
_WAYS = f"{_TEST}test_every_end_leaves_one_line_that_says_who_and_why"

MUTANTS = (
    *(
        Mutant(
            name=f"audit-{name}",
            file=file,
            old=old,
            new=new,
            breaks=f"an audit line is left by {by}",
            found_by=f"{_WAYS}[{way}-memory]",
        )
        for name, file, old, new, by, way in (
            (
                "misses-removals",
                "store/sessions.py",
                "        if deleted:\n            self.tell_ended(live, end)\n",
                "",
                "who removes all that is in a session",
                "by_removal_of_everything",
            ),
            (
                "misses-a-logout-that-keeps-values",
                "saving.py",
                "if is_logout:\n            visit.store.tell_ended(live, LOGOUT)\n"
                "        ",
                "",
                "a logout that keeps the session's other values",
                "by_removal_of_the_login",
            ),
            (
                "misses-revocations",
                "store/revocation.py",
                "            store.tell_ended(lived, end)\n",
                "",
                "each session of a revoke_all",
                "by_revoke_all",
            ),
            (
                "calls-a-replay-revoked",
                "arrival.py",
                "store.destroy(live.id, live, REPLAY)",
                "store.destroy(live.id, live)",
                "a replay, which is called one",
                "by_a_replay",
            ),
            (
                "forgets-who-said-why",
                "ending.py",
                "self.reason if reason is None else reason",
                "self.reason",
                "who says why, with the reason",
                "by_revoke_that_says_why",
            ),
        )
    ),
    Mutant(
        name="audit-line-of-a-session-that-was-gone",
        file="store/sessions.py",
        old="            self.tell_ended(ended, end)\n            self.lists.forget(",
        new="            self.tell_ended(ended, end)\n"
        "            self.tell_ended(ended, end)\n"
        "            self.lists.forget(",
        breaks="an end leaves one line, not two",
        found_by=f"{_WAYS}[by_revoke-memory]",
    ),
    Mutant(
        name="audit-line-with-line-breaks",
        file="audit.py",
        old="json.dumps(facts, default=str)",
        new="json.dumps(facts, default=str, indent=1)",
        breaks="nothing that somebody says begins a line of its own",
        found_by=f"{_WAYS}[by_destroy_that_says_why-memory]",
    ),
)
