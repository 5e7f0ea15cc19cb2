"""The end of all sessions holds in every process, and nothing of before comes back."""

from __future__ import annotations

from ..mutant import Mutant

_INTEGRATION = "integration/lists/test_everything.py::"
_ORDERS = "concurrency/test_everybody_out.py::"

MUTANTS = (
    Mutant(
        name="a-former-era-goes-on",
        file="store/records.py",
        old="if record.era != self._marker.era and",
        new="if record.era > self._marker.era and",
        breaks="sessions of a former era have ended",
        found_by=_INTEGRATION + "test_in_every_process_nobody_has_a_session_after_it",
    ),
    Mutant(
        name="a-process-that-starts-does-not-ask",
        file="store/sessions.py",
        old="        self.marker.keep_up()\n        carried",
        new="        carried",
        breaks="a session that begins after the end of all lives in every process",
        found_by=_INTEGRATION + "test_a_session_that_begins_after_it_lives_in_every_pro"
        "cess",
    ),
    Mutant(
        name="an-era-is-asked-for-once",
        file="store/marker.py",
        old="if 0 <= now - self.asked < ASKED_EVERY:",
        new="if self.asked > 0:",
        breaks="all processes know of the end of all sessions within seconds",
        found_by=_INTEGRATION + "test_in_every_process_nobody_has_a_session_after_it",
    ),
    Mutant(
        name="a-clock-that-goes-back-stops-the-asking",
        file="store/marker.py",
        old="if 0 <= now - self.asked < ASKED_EVERY:",
        new="if now - self.asked < ASKED_EVERY:",
        breaks="a process asks for the era although its clock was set back",
        found_by=_INTEGRATION + "test_a_clock_that_is_set_back_does_not_keep_a_process_"
        "from_asking",
    ),
    Mutant(
        name="a-lost-marker-stays-lost",
        file="store/marker.py",
        old="self._write(int(now), used=False)  # it was lost",
        new="pass",
        breaks="a process that has heard of an era writes a lost marker again",
        found_by=_INTEGRATION + "test_nobody_is_revived_where_the_marker_is_lost",
    ),
    Mutant(
        name="an-era-needs-no-seal",
        file="store/marker.py",
        old="            if key in self._own\n"
        "            and hmac.compare_digest(self._seal(key, entry.era), entry.seal)\n",
        new="            if key in self._own\n",
        breaks="only the owner of the key begins an era",
        found_by=_INTEGRATION
        + "test_who_writes_the_storage_cannot_end_sessions_by_the_"
        "marker",
    ),
    Mutant(
        name="an-era-is-sealed-by-one-key-alone",
        file="store/marker.py",
        old="dict.fromkeys(former if era else (), 0)",
        new="{}",
        breaks="a process that has only the former key hears of the era",
        found_by=_INTEGRATION + "test_it_holds_for_the_former_and_the_next_secret_key",
    ),
    Mutant(
        name="a-login-forgets-the-era",
        file="store/marker.py",
        old="era = max(self.era, self._heard(entries))",
        new="era = 0",
        breaks="a login that writes the marker keeps its era",
        found_by=_ORDERS + "test_the_era_is_not_lost_by_writers_of_the_marker",
    ),
    Mutant(
        name="two-eras-within-a-second-are-one",
        file="store/marker.py",
        old="era = max(now, era + 1) if anew else era",
        new="era = max(now, era) if anew else era",
        breaks="all sessions may be ended twice within a second",
        found_by=_INTEGRATION + "test_it_may_be_repeated",
    ),
    Mutant(
        name="a-moved-session-of-before-is-readable",
        file="store/records.py",
        old="if isinstance(content, Tombstone) and self._marker.is_over(content.former"
        ".era):",
        new="if False:",
        breaks="a session that moved just before the end of all is not readable",
        found_by=_INTEGRATION + "test_a_session_that_moved_just_before_is_not_readable_"
        "after_it",
    ),
    Mutant(
        name="a-source-revives-sessions",
        file="take_over/asking.py",
        old="if (presented.issued or now - seconds) <= store.marker.era:",
        new="if False:",
        breaks="a source gives no session of before the end of all",
        found_by=_INTEGRATION + "test_a_source_gives_no_session_of_before_it",
    ),
    Mutant(
        name="an-end-of-all-that-was-overtaken-counts",
        file="store/marker.py",
        old="if self._write(int(now), anew=True) is None:",
        new="if self._write(int(now), anew=True) is False:",
        breaks="an end of everything that is not known to be done is an error",
        found_by="integration/updates/test_seldom.py::"
        "test_an_end_of_all_that_another_overtakes_is_done_or_an_error",
    ),
)
