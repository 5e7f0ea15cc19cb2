"""Who is logged in is found, and ended; a login that comes too late is refused."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="a-stale-login-is-let-in",
        file="places.py",
        old="case Added.STALE:\n                    raise StaleLogin",
        new="case Added.STALE:\n                    return",
        breaks="no login slips through that was checked before a revoke_all",
        found_by="integration/test_revocation_races.py::"
        "test_no_login_slips_through_that_was_checked_before",
    ),
    Mutant(
        name="the-given-epoch-is-ignored",
        file="listing.py",
        old="if binding in epochs:",
        new="if False:",
        breaks="no login slips through that was checked before a revoke_all",
        found_by="integration/test_revocation.py::TestEpoch::"
        "test_refuses_a_login_that_was_checked_before",
    ),
    Mutant(
        name="an-epoch-that-got-lost-is-the-present-one",
        file="session.py",
        old="epochs = {} if epoch is None else {binding: epoch}",
        new="epochs = {binding: epoch} if epoch else {}",
        breaks="only who gives no epoch logs in with the present one",
        found_by="integration/test_login.py::"
        "test_a_bind_with_an_epoch_that_got_lost_is_refused",
    ),
    Mutant(
        name="a-carried-binding-gets-a-fresh-epoch",
        file="listing.py",
        old="elif not epoch:",
        new="else:",
        breaks="a session that moves during a revoke_all is ended by it",
        found_by="integration/test_revocation_races.py::"
        "test_a_revocation_that_died_after_its_first_step_is_outlived_by_nobody",
    ),
    Mutant(
        name="a-revocation-does-not-end-the-epoch",
        file="store.py",
        old="epoch, entries = self._listing.fence(binding, listed)",
        new="epoch = self._listing.epoch(binding)\n"
        "            entries = self._listing.entries(binding)",
        breaks="no login slips through that was checked before a revoke_all",
        found_by="integration/test_revocation_races.py::"
        "test_no_login_slips_through_that_was_checked_before",
    ),
    Mutant(
        name="a-new-session-is-not-listed",
        file="creation.py",
        old="self._places.take(session_id, record.bindings, replaced)",
        new="pass",
        breaks="a session is listed at every moment at which it is bound",
        found_by="integration/test_revocation.py::TestFind::"
        "test_shows_all_devices_oldest_first_with_the_current_one_marked",
    ),
    Mutant(
        name="a-saved-session-is-listed-too-late",
        file="store.py",
        old="self._places.take(held.id, added)\n"
        "            try:\n"
        "                found = self._cells.swap(held, record)",
        new="try:\n"
        "                found = self._cells.swap(held, record)\n"
        "                self._places.take(held.id, added)",
        breaks="a session is listed before its record says so",
        found_by="integration/test_revocation_races.py::"
        "test_a_session_is_listed_at_every_moment_at_which_it_is_bound",
    ),
    Mutant(
        name="what-others-bind-during-a-move-is-not-listed",
        file="regeneration.py",
        old="self._places.take(fresh.id, gained(before, bindings))",
        new="pass",
        breaks="what others bind during a login is listed for the new session",
        found_by="integration/test_login.py::"
        "test_what_others_bind_during_it_is_listed_for_the_new_session",
    ),
    Mutant(
        name="a-refused-login-leaves-a-session",
        file="creation.py",
        old="self.withdraw(fresh, error)\n            raise\n        return fresh",
        new="raise\n        return fresh",
        breaks="a refused login leaves nothing",
        found_by="integration/test_limits.py::test_a_refused_login_leaves_no_record",
    ),
    Mutant(
        name="a-revocation-unlists-first",
        file="store.py",
        old="epoch, entries, spared = self._fence(binding, spare)",
        new="epoch, entries, spared = self._fence(binding, spare)\n"
        "        self._listing.remove(binding, entries)",
        breaks="a revocation that died anywhere can be done again",
        found_by="integration/test_revocation_races.py::"
        "test_a_revocation_that_died_anywhere_can_be_done_again",
    ),
    Mutant(
        name="the-current-session-is-not-spared-by-the-fence",
        file="store.py",
        old="listed = [entry(spare.id, stamp)] if spare and stamp else []",
        new="listed = []",
        breaks="keep_current never logs out a parallel request of the same browser",
        found_by="integration/test_revocation_races.py::"
        "test_keep_current_never_logs_out_a_parallel_request_of_the_same_browser",
    ),
    Mutant(
        name="keep-current-keeps-nobody",
        file="store.py",
        old="kept = {held.id for held in (spare, spared) if held}",
        new="kept = set()",
        breaks="keep_current leaves exactly this session",
        found_by="integration/test_revocation.py::TestRevokeAll::"
        "test_keep_current_leaves_exactly_this_one",
    ),
    Mutant(
        name="keep-current-ends-what-the-session-moves-to",
        file="store.py",
        old=" or h.record.replaces in traces",
        new="",
        breaks="a spared session survives its own rotation",
        found_by="concurrency/test_stress.py::"
        "test_a_spared_session_is_alive_whoever_uses_it_while_it_moves",
    ),
    Mutant(
        name="a-spared-session-cannot-move",
        file="regeneration.py",
        old="spared = self._listing.spared(held.id, record.bindings)",
        new="spared = {}",
        breaks="a spared session survives its own rotation",
        found_by="integration/test_revocation.py::TestRevokeAll::"
        "test_a_request_that_began_before_keep_current_may_rotate",
    ),
    Mutant(
        name="a-session-that-moved-twice-is-not-spared",
        file="store.py",
        old="spare = self._cells.follow(successor)[1] if successor else None",
        new="spare = self._cells.live(successor) if successor else None",
        breaks="a session that was regenerated twice meanwhile is spared",
        found_by="concurrency/test_stress.py::"
        "test_a_session_that_has_moved_twice_is_spared",
    ),
    Mutant(
        name="revoke-ignores-the-owner",
        file="extension.py",
        old="if held and binding and binding not in held.record.bindings:",
        new="if False:",
        breaks="revoke with a wrong owner ends nothing",
        found_by="integration/test_revocation.py::TestRevoke::"
        "test_with_a_wrong_owner_ends_nothing",
    ),
    Mutant(
        name="revoke-by-a-former-id-finds-nothing",
        file="cells.py",
        old="session_id = content.successor",
        new="return was, None",
        breaks="a session is revoked by its former id just after a rotation",
        found_by="integration/test_regressions.py::TestSessionsThatEnd::"
        "test_one_is_revoked_by_its_former_id_just_after_a_rotation",
    ),
    Mutant(
        name="an-unknown-index-finds-nothing",
        file="listing.py",
        old="if index not in indexes:",
        new="if False:",
        breaks="an unknown index is a TypeError: finding nothing would fail open",
        found_by="integration/test_revocation_input.py::"
        "test_an_unknown_index_or_an_impossible_value_is_a_type_error",
    ),
    Mutant(
        name="an-index-value-and-its-text-differ",
        file="listing.py",
        old="return str.__str__(value)",
        new="return repr(value)",
        breaks='42 and "42" are the same user',
        found_by="integration/test_revocation_input.py::"
        "test_a_value_and_its_str_are_the_same",
    ),
    Mutant(
        name="true-is-the-user-1",
        file="listing.py",
        old="if isinstance(value, int) and not isinstance(value, bool):",
        new="if isinstance(value, int):",
        breaks="values that only look alike are different",
        found_by="integration/test_revocation_input.py::"
        "test_an_unknown_index_or_an_impossible_value_is_a_type_error",
    ),
    Mutant(
        name="one-user-poses-as-another",
        file="record.py",
        old='f"{len(self.index)}:{self.index}:{self.value}"',
        new='f"{self.value}"',
        breaks="one user cannot pose as a value of another index",
        found_by="integration/test_revocation_input.py::"
        "test_the_same_value_in_two_indexes_is_two",
    ),
    Mutant(
        name="find-shows-who-has-left",
        file="store.py",
        old="if isinstance(content, Record) and binding in content.bindings",
        new="if isinstance(content, Record)",
        breaks="find follows a session to another user",
        found_by="integration/test_revocation.py::TestFind::"
        "test_leaves_out_who_left_but_could_not_be_unlisted",
    ),
    Mutant(
        name="find-unlists-what-it-cannot-read",
        file="store.py",
        old="if found[session_id] == absent]",
        new="if found[session_id][0] is None]",
        breaks="what is there but cannot be read stays listed",
        found_by="integration/test_regressions.py::TestFind::"
        "test_does_not_unlist_what_it_cannot_read",
    ),
    Mutant(
        name="find-reads-one-by-one",
        file="guard.py",
        old="if self._many is None:",
        new="if True:",
        breaks="a user's sessions are found in as many round trips, however many",
        found_by="integration/test_commands.py::TestRedis::"
        "test_a_list_of_devices_costs_two_however_many",
    ),
    Mutant(
        name="find-reads-all-at-once",
        file="guard.py",
        old="batch = keys[start : start + MOST_AT_ONCE]",
        new="batch = keys[start:]",
        breaks="no reply holds more than a hundred sessions",
        found_by="unit/test_guard.py::test_many_keys_are_asked_for_in_batches",
    ),
    Mutant(
        name="find-in-the-order-of-ids",
        file="store.py",
        old="key=lambda held: ids.born(held.id)",
        new="key=lambda held: held.id",
        breaks="find shows the oldest session first",
        found_by="integration/test_revocation.py::TestFind::"
        "test_shows_all_devices_oldest_first_with_the_current_one_marked",
    ),
    Mutant(
        name="those-of-one-second-in-the-order-of-ids",
        file="backends/index.py",
        old="listed = sorted(tenths, key=tenths.__getitem__)",
        new="listed = sorted(tenths)",
        breaks="of logins within a second the first is ended first",
        found_by="integration/test_limits.py::"
        "test_of_logins_within_a_second_the_first_is_ended_first",
    ),
    Mutant(
        name="the-ended-stay-listed",
        file="listing.py",
        old="self.remove(binding, [entry(i, stamp) for i, stamp in stamps.items()])",
        new="pass",
        breaks="a logout unlists the session",
        found_by="integration/test_logout.py::test_nothing_of_it_is_left_in_the_store",
    ),
    Mutant(
        name="a-save-leaves-its-former-entry",
        file="store.py",
        old="self._unlist_former(found, held.record.bindings, listed)",
        new="pass",
        breaks="a session that changes its user is unlisted where it was",
        found_by="integration/test_revocation.py::TestFind::"
        "test_follows_a_session_whose_index_key_changes",
    ),
    Mutant(
        name="a-save-unlists-its-own-entry",
        file="store.py",
        old="if (b, entry(found.id, s)) not in kept",
        new="if True",
        breaks="a session is listed at every moment at which it is bound",
        found_by="integration/test_revocation_races.py::"
        "test_a_session_is_listed_at_every_moment_at_which_it_is_bound",
    ),
    Mutant(
        name="who-leaves-one-list-of-several-stays-listed",
        file="store.py",
        old="if (b, entry(found.id, s)) not in kept",
        new="if entry(found.id, s) not in dict(kept).values()",
        breaks="a save leaves the list of what the session no longer is",
        found_by="integration/test_revocation.py::TestRevokeAll::"
        "test_does_not_touch_who_has_left_for_another_value",
    ),
    Mutant(
        name="load-does-not-ask-the-index",
        file="listing.py",
        old="if not any(sessions.values()) or not self._is_fenced():",
        new="if True:",
        breaks="where an index may be lost, a session without its epoch is dead",
        found_by="integration/test_revocation_storage.py::TestMany::"
        "test_a_load_reads_no_member_list",
    ),
    Mutant(
        name="fenced-load-is-never-chosen-by-itself",
        file="listing.py",
        old='return self._backend.once("load", lambda: self._backend.backend.evicts)',
        new="return False",
        breaks="where an index may be lost, a session without its epoch is dead",
        found_by="integration/test_revocation_storage.py::TestMany::"
        "test_a_load_reads_no_member_list",
    ),
    Mutant(
        name="peek-does-not-ask-the-index",
        file="store.py",
        old="if held and self._listing.admits(held.id, held.record.bindings):",
        new="if held:",
        breaks="a session without its epoch is dead, whoever asks",
        found_by="integration/test_revocation_storage.py::TestLoss::"
        "test_without_its_epoch_a_session_is_not_shown_by_its_id",
    ),
    Mutant(
        name="find-does-not-ask-the-index",
        file="store.py",
        old="live = [held for held in live if held.id in admitted]",
        new="pass",
        breaks="a session without its epoch is dead, whoever asks",
        found_by="integration/test_revocation_storage.py::TestLoss::"
        "test_without_its_epoch_a_session_is_dead",
    ),
    Mutant(
        name="no-limit",
        file="listing.py",
        old="limit=self._settings.max_per_key,",
        new="limit=None,",
        breaks="a user has at most MAX_PER_KEY sessions",
        found_by="integration/test_limits.py::"
        "test_a_login_at_the_limit_ends_the_oldest",
    ),
    Mutant(
        name="the-limit-is-one-too-high",
        file="backends/index.py",
        old="for other in others}) >= limit",
        new="for other in others}) > limit",
        breaks="a user has at most MAX_PER_KEY sessions",
        found_by="integration/test_limits.py::"
        "test_a_login_at_the_limit_ends_the_oldest",
    ),
    Mutant(
        name="the-limit-is-one-too-high-in-redis",
        file="backends/index_add.lua",
        old="others >= tonumber(ARGV[4])",
        new="others > tonumber(ARGV[4])",
        breaks="a user has at most MAX_PER_KEY sessions",
        found_by="contract/test_redis.py::TestRedis::test_a_limit_is_kept",
    ),
    Mutant(
        name="the-youngest-makes-room",
        file="places.py",
        old="dead = [min(taken.values(), key=_oldest)]",
        new="dead = [max(taken.values(), key=_oldest)]",
        breaks="a login at the limit ends the oldest session",
        found_by="integration/test_limits.py::"
        "test_a_login_at_the_limit_ends_the_oldest",
    ),
    Mutant(
        name="reject-makes-room",
        file="places.py",
        old='if self._settings.max_per_key_policy == "reject":',
        new="if False:",
        breaks="a login at the limit is refused where the policy says so",
        found_by="integration/test_limits.py::"
        "test_a_login_at_the_limit_is_refused_and_leaves_nothing",
    ),
    Mutant(
        name="the-dead-take-up-places",
        file="places.py",
        old="if held is None or is_elsewhere(binding, was, held):\n"
        "            return False",
        new="if held is None or is_elsewhere(binding, was, held):\n"
        "            return True",
        breaks="what has expired does not count",
        found_by="integration/test_limits.py::test_what_has_expired_does_not_count",
    ),
    Mutant(
        name="a-login-that-failed-takes-up-a-place",
        file="places.py",
        old="return held.record.presented"
        " or self._clock() - held.record.last_seen < DELIVERY",
        new="return True",
        breaks="what nobody presents does not count for ever",
        found_by="integration/test_limits.py::"
        "test_a_login_that_nobody_came_back_with_makes_room_after_a_minute",
    ),
    Mutant(
        name="who-is-just-moving-makes-room",
        file="places.py",
        old="if held is None or is_elsewhere(binding, was, held):",
        new="if held is None or was:",
        breaks="a session keeps its place while it gets another id",
        found_by="concurrency/test_interleavings.py::"
        "test_requests_side_by_side_keep_the_limit"
        "[signed in-fresh_login-rotate-reject]",
    ),
    Mutant(
        name="who-has-just-left-makes-room",
        file="places.py",
        old="if not is_elsewhere(binding, *self._cells.follow(session_id)):",
        new="if True:",
        breaks="who makes room for a login is a session of that user",
        found_by="concurrency/test_interleavings.py::"
        "test_requests_side_by_side_keep_the_limit"
        "[signed in-fresh_login-sign_out-reject]",
    ),
    Mutant(
        name="who-is-just-listed-makes-room",
        file="cells.py",
        old="return bool(was and held and binding not in held.record.bindings)",
        new="return bool(held and binding not in held.record.bindings)",
        breaks="a session that is listed before its record says so counts",
        found_by="concurrency/test_interleavings.py::"
        "test_who_is_listed_but_not_yet_saved_is_not_taken_for_dead",
    ),
    Mutant(
        name="a-session-counts-against-itself",
        file="backends/base.py",
        old="return same_session or place(member) == place(other)",
        new="return False",
        breaks="a session does not count against what it is regenerated to",
        found_by="integration/test_limits.py::"
        "test_a_session_does_not_count_itself_when_it_is_renewed",
    ),
    Mutant(
        name="a-moved-session-takes-another-place",
        file="listing.py",
        old='bindings[binding] = f"{epoch}.{known or mark}"',
        new='bindings[binding] = f"{epoch}.{mark}"',
        breaks="a session and what it is regenerated to take up one place",
        found_by="integration/test_limits.py::"
        "test_a_session_does_not_count_itself_when_it_is_renewed",
    ),
    Mutant(
        name="the-index-forgets-before-the-session-ends",
        file="places.py",
        old="ttl = max(1, self._cells.ends_at(session_id) - int(self._clock()))",
        new="ttl = self._settings.idle_timeout",
        breaks="a session that is used for long stays listed",
        found_by="integration/test_revocation_storage.py::TestExpiry::"
        "test_who_is_active_stays_listed_beyond_the_idle_timeout",
    ),
    Mutant(
        name="no-epoch-check",
        file="backends/index.py",
        old="if seen.head.epoch != expect:",
        new="if False:",
        breaks="an add with an old epoch is stale",
        found_by="contract/test_memory.py::TestMemory::"
        "test_add_with_an_old_epoch_is_stale",
    ),
    Mutant(
        name="a-fence-does-not-restamp",
        file="backends/index.py",
        old="return head.epoch, self._restamp(name, seen.roll, head)",
        new="return head.epoch, list(seen.roll.members)",
        breaks="a fence misses nobody",
        found_by="concurrency/test_cell_index.py::"
        "test_every_order_of_steps_keeps_the_index_whole",
    ),
    Mutant(
        name="a-fence-forgets-whom-it-spared",
        file="backends/index.py",
        old="head = _Head(new_epoch(), until, tuple(spare))",
        new="head = _Head(new_epoch(), until)",
        breaks="the spared stay admitted until the next fence",
        found_by="contract/test_memory.py::TestMemory::"
        "test_the_spared_stay_admitted_until_the_next_fence",
    ),
    Mutant(
        name="a-lost-list-is-begun-again-under-its-epoch",
        file="backends/index.py",
        old="self._end_epoch_of_lost_roll(name, head_cell, head)",
        new="self._write_roll(name, None, _Roll(head.epoch, head.until, {}))",
        breaks="who is not listed any more does not live on",
        found_by="integration/test_revocation_storage.py::TestLoss::"
        "test_after_a_lost_member_list_nobody_lives_on_unlisted",
    ),
    Mutant(
        name="another-fence-is-taken-for-ours",
        file="backends/index.py",
        old="if roll is not None and roll.stamp == head.epoch:",
        new="if roll is not None:",
        breaks="a fence misses nobody",
        found_by="concurrency/test_cell_index.py::"
        "test_every_order_of_steps_keeps_the_index_whole",
    ),
    Mutant(
        name="the-epoch-runs-out-before-its-members",
        file="backends/index.py",
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
    Mutant(
        name="anything-is-looked-up-as-an-id",
        file="extension.py",
        old="if not ids.is_id(session_id):",
        new="if False:",
        breaks="the key of an index is no session",
        found_by="integration/test_revocation_input.py::"
        "test_an_id_that_nobody_has_is_no_session",
    ),
    Mutant(
        name="none-is-a-user",
        file="listing.py",
        old="if value is not None:",
        new="if True:",
        breaks="a session whose key is None belongs to nobody",
        found_by="integration/test_revocation_input.py::"
        "test_a_session_whose_key_is_none_belongs_to_nobody",
    ),
)
