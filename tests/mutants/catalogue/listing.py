"""Who is logged in is found, and ended; a login that comes too late is refused."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="entries-that-are-none-of-ours-are-looked-at-for-ever",
        file="store/room.py",
        old="if surplus <= 0 or not oldest:",
        new="if surplus <= 0:",
        breaks="a list in which somebody else has written refuses no login",
        found_by="integration/lists/test_long_lists.py::TestLimit::"
        "test_leaves_entries_that_are_none_of_ours_where_they_are",
    ),
    Mutant(
        name="a-refusal-unlists-what-another-one-has-renamed",
        file="store/sessions.py",
        old="for name, place in wanted.items() if place[1] == mark}",
        new="for name, place in wanted.items()}",
        breaks="the end of all misses nobody while keys change",
        found_by="integration/updates/test_seldom.py::"
        "test_a_place_that_another_one_has_renamed_stays_where_a_place_is_refused",
    ),
    Mutant(
        name="a-bind-lists-the-session-under-something-else",
        file="saving.py",
        old="draft[keys[0]] = value\n        if lists.named(binding.index, draft) !=",
        new="draft[keys[0]] = value\n        if binding.value !=",
        breaks="a session that was bound is found by the value that bind() was given",
        found_by="integration/login/test_refused.py::test_a_bind_that_would_list_the_s"
        "ession_elsewhere_is_refused",
    ),
    Mutant(
        name="a-new-limit-refuses-who-is-in",
        file="store/sessions.py",
        old="values, mark = record.values if touched else {},",
        new="values, mark = record.values,",
        breaks="an index with a limit that is added later refuses logins, not changes",
        found_by="integration/lists/test_limits.py::TestIntroduced::"
        "test_refuses_and_ends_nothing_at_a_change_of_who_was_in_before",
    ),
    Mutant(
        name="an-end-of-all-ends-whom-it-keeps",
        file="store/revocation.py",
        old="if spared and spared.id in (line.live.id,",
        new="if spared and 0 in (line.live.id,",
        breaks="a session lives until somebody ends it",
        found_by="concurrency/test_stress.py::"
        "test_a_session_that_keeps_itself_twice_at_once_lives",
    ),
    Mutant(
        name="a-kept-session-that-moved-is-a-stranger",
        file="store/lists.py",
        old="for kept in _entries(entry.name, head.kept))",
        new="for kept in [entry] if entry.member in head.kept)",
        breaks="a session lives until somebody ends it",
        found_by="concurrency/test_stress.py::"
        "test_a_session_is_kept_though_another_end_of_all_begins_while_it_moves",
    ),
    Mutant(
        name="kept-before-it-is-known-whether",
        file="store/lists.py",
        old="may_stay = may_stay and belongs(self.head(name))",
        new="pass",
        breaks="an end of all ends whom it was to end",
        found_by="concurrency/test_stress.py::"
        "test_nobody_is_named_as_kept_who_was_to_end_before",
    ),
    Mutant(
        name="an-end-of-all-ends-who-is-somebody-else-by-now",
        file="store/revocation.py",
        old="if session_id not in stay and not is_elsewhere(binding, line)",
        new="if session_id not in stay",
        breaks="a session lives until somebody ends it",
        found_by="integration/lists/test_revocation.py::"
        "test_of_all_spares_who_is_somebody_else_by_now",
    ),
    Mutant(
        name="a-part-of-a-list-begins-with-the-last",
        file="backends/sql/index.py",
        old="| (m.id > last.id)",
        new="| (m.id >= last.id)",
        breaks="a list in parts has each session once",
        found_by="contract/test_sql.py::TestSQLite::test_members_are_read_in_parts",
    ),
    Mutant(
        name="a-part-that-follows-nobody-is-the-last",
        file="store/lists.py",
        old="return self._members(name, most) if found is None else found",
        new="return found or []",
        breaks="the end of all misses nobody, where others leave meanwhile",
        found_by="integration/lists/test_long_lists.py::TestRevocation::"
        "test_does_not_pass_over_anybody_where_others_leave_meanwhile",
    ),
    Mutant(
        name="the-end-of-all-ends-who-comes-later",
        file="store/revocation.py",
        old="return any((name, place[0]) in newer for name, place in places.items())",
        new="return False",
        breaks="the end of all leaves who has logged in since it began",
        found_by="integration/lists/test_long_lists.py::TestRevocation::"
        "test_leaves_who_has_logged_in_since_it_began",
    ),
    Mutant(
        name="a-later-end-of-all-is-overlooked",
        file="store/revocation.py",
        old="for n, h in heads.items() if h)}",
        new="for n, h in heads.items() if not h)}",
        breaks="the end of all leaves who has logged in since it began",
        found_by="integration/lists/test_long_lists.py::TestRevocation::"
        "test_leaves_who_has_logged_in_after_another_one_that_came_later",
    ),
    Mutant(
        name="who-changes-outlives-the-end-of-all",
        file="store/revocation.py",
        old="        if not left:\n            return stay",
        new="        return stay",
        breaks="the end of all ends a session whatever it is doing",
        found_by="concurrency/test_interleavings.py::"
        "test_two_requests_keep_the_promises",
    ),
    Mutant(
        name="whoever-was-to-end-is-kept",
        file="store/revocation.py",
        old=" if may_stay else None",
        new="",
        breaks="keep_current keeps nobody whom an earlier end of all was to end",
        found_by="integration/lists/test_long_lists.py::TestRevocation::"
        "test_whoever_an_earlier_one_was_to_end_cannot_keep_the_own_session",
    ),
    Mutant(
        name="whoever-was-to-end-gets-the-name-of-a-newer-key",
        file="store/lists.py",
        old="return present if head and head.epoch == epoch else None",
        new="return present",
        breaks="a change of SECRET_KEY brings nobody past an end of all",
        found_by="unit/test_lists.py::"
        "test_under_an_older_name_it_stays_there_unless_it_may_be_renamed",
    ),
    Mutant(
        name="the-newest-name-ends-first",
        file="store/lists.py",
        old="for name in reversed(binding.names):\n            kept =",
        new="for name in binding.names:\n            kept =",
        breaks="a change of SECRET_KEY brings nobody past an end of all",
        found_by="unit/test_lists.py::test_of_several_names_the_newest_is_fenced_last",
    ),
    Mutant(
        name="a-long-list-has-no-limit",
        file="store/room.py",
        old="self._end(binding, oldest[:surplus], lines)",
        new="return",
        breaks="a limit holds in a list of any length",
        found_by="integration/lists/test_long_lists.py::TestLimit::"
        "test_a_login_beyond_it_ends_the_oldest",
    ),
    Mutant(
        name="a-long-list-is-counted-again-and-again",
        file="store/room.py",
        old="            if surplus <= len(oldest):\n                return\n",
        new="",
        breaks="a login at a limit of thousands counts the list once",
        found_by="contract/test_sql_reads.py::"
        "test_a_login_at_a_limit_counts_the_list_once[sqlite-evict-oldest]",
    ),
    Mutant(
        name="in-a-long-list-the-oldest-leaves-with-the-dead",
        file="store/room.py",
        old="if len(alive) < len(oldest):\n                continue",
        new="if False:\n                continue",
        breaks="the dead leave before the oldest",
        found_by="integration/lists/test_long_lists.py::TestLimit::"
        "test_the_dead_leave_before_the_oldest",
    ),
    Mutant(
        name="in-a-long-list-the-dead-behind-the-oldest-stay",
        file="store/room.py",
        old="if not looked and self._drop_others(binding, oldest[-1]):",
        new="if False:",
        breaks="places of the dead in a long list are found in time",
        found_by="integration/lists/test_long_lists.py::TestLimit::"
        "test_that_is_lowered_refuses_logins_until_enough_have_left",
    ),
    Mutant(
        name="a-limit-forgets-devices-from-before",
        file="store/room.py",
        old="record.flags & (PRESENTED | UNLIMITED)",
        new="record.flags & PRESENTED",
        breaks="introducing a limit logs nobody out but the oldest",
        found_by="integration/lists/test_limits.py::TestIntroduced::"
        "test_ends_only_the_oldest_of_the_devices_that_were_in_use",
    ),
    Mutant(
        name="no-patterns-of-login-keys",
        file="login_keys.py",
        old="found = any(fnmatchcase(key, pattern) for pattern in self._patterns)",
        new="found = False",
        breaks="the id changes with the login of every library",
        found_by="integration/login/test_libraries.py::"
        "test_a_planted_cookie_does_not_become_the_victims_session",
    ),
    Mutant(
        name="a-further-key-is-a-login",
        file="logins.py",
        old="return Login.MORE if _stays(draft, logins) else Login.IN",
        new="return Login.IN",
        breaks="created_at is when the user logged in",
        found_by="integration/login/test_new_id.py::"
        "test_a_further_login_key_of_the_same_user_is_no_new_login",
    ),
    Mutant(
        name="anonymous-sessions-live-as-long",
        file="store/records.py",
        old="idle = self._settings.anonymous_timeout",
        new="pass",
        breaks="a session in which nobody is logged in has a shorter life",
        found_by="integration/test_lifetimes.py::TestAnonymousTimeout::"
        "test_ends_a_session_in_which_nobody_is_logged_in",
    ),
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
        old=" or seen.head.epoch != expect:",
        new=":",
        breaks="an add with an old epoch is refused",
        found_by="contract/test_memory.py::TestMemory::"
        "test_add_with_an_old_epoch_is_refused",
    ),
    Mutant(
        name="a-fence-does-not-restamp",
        file="backends/cell_index.py",
        old="self._restamp(name, seen.roll, head)\n                return",
        new="return",
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
        old="if roll is not None and roll.stamp != before.stamp:",
        new="if roll is not None:",
        breaks="a fence misses nobody",
        found_by="concurrency/test_cell_index.py::"
        "test_every_order_of_steps_keeps_the_index_whole",
    ),
    Mutant(
        name="the-epoch-runs-out-before-its-members",
        file="backends/cell_index.py",
        old="if head.until < until:",
        new="if False:",
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
        name="a-refused-login-leaves-a-session",
        file="store/sessions.py",
        old="self.withdraw(fresh, error)\n            raise\n        return fresh",
        new="raise\n        return fresh",
        breaks="a refused login leaves nothing",
        found_by="integration/lists/test_limits.py::test_a_refused_login_leaves_no"
        "_record",
    ),
    Mutant(
        name="an-index-value-and-its-text-differ",
        file="login_keys.py",
        old="return str.__str__(value)",
        new="return repr(value)",
        breaks='42 and "42" are the same user',
        found_by="integration/lists/test_values.py::test_a_value_and_its_str_are_t"
        "he_same",
    ),
    Mutant(
        name="true-is-the-user-1",
        file="login_keys.py",
        old="if isinstance(value, int) and not isinstance(value, bool):",
        new="if isinstance(value, int):",
        breaks="values that only look alike are different",
        found_by="integration/lists/test_values.py::test_an_unknown_index_or_an_im"
        "possible_value_is_a_type_error",
    ),
    Mutant(
        name="find-reads-one-by-one",
        file="backends/guarded.py",
        old="if not isinstance(self.backend, ReadsMany):",
        new="if True:",
        breaks="a user's sessions are found in as many round trips, however many",
        found_by="integration/storages/test_commands.py::TestMemcached::test_a_list_of"
        "_devices_costs_three_sends_however_many",
    ),
    Mutant(
        name="those-of-one-second-in-the-order-of-ids",
        file="backends/cell_index.py",
        old="listed = sorted(tenths, key=tenths.__getitem__)",
        new="listed = sorted(tenths)",
        breaks="of logins within a second the first is ended first",
        found_by="integration/lists/test_limits.py::test_of_logins_within_a_second"
        "_the_first_is_ended_first",
    ),
    Mutant(
        name="the-dead-take-up-places",
        file="store/room.py",
        old="if line.live is None or is_elsewhere(binding, line):\n"
        "            return False",
        new="if line.live is None or is_elsewhere(binding, line):\n"
        "            return True",
        breaks="what has expired does not count",
        found_by="integration/lists/test_limits.py::test_what_has_expired_does_not"
        "_count",
    ),
    Mutant(
        name="who-is-just-moving-makes-room",
        file="store/room.py",
        old="if line.live is None or is_elsewhere(binding, line):",
        new="if line.live is None or line.was:",
        breaks="a session keeps its place while it gets another id",
        found_by="concurrency/test_limit_interleavings.py::test_requests_side_by_s"
        "ide_keep_the_limit",
    ),
    Mutant(
        name="a-lost-list-is-begun-again-under-its-epoch",
        file="backends/cell_index.py",
        old="self._end_epoch_of_lost_roll(name, head_cell, head)",
        new="self._write_roll(name, None, _Roll(head.epoch, head.until, {}))",
        breaks="who is not listed any more does not live on",
        found_by="integration/lists/test_storage.py::TestLoss::test_after_a_lost_m"
        "ember_list_nobody_lives_on_unlisted",
    ),
    Mutant(
        name="anything-is-looked-up-as-an-id",
        file="extension.py",
        old="if not ids.is_id(session_id):",
        new="if False:",
        breaks="the key of an index is no session",
        found_by="integration/lists/test_values.py::test_an_id_that_nobody_has_is_"
        "no_session",
    ),
    Mutant(
        name="who-joins-late-stands-in-front",
        file="store/sessions.py",
        old="ttl = max(1, life - int(age)) if name in former else life",
        new="ttl = max(1, life - int(age))",
        breaks="never more than N sessions live after a login",
        found_by="integration/lists/test_limits.py::test_a_session_that_joins_a_list"
        "_after_a_login_counts_it[memory]",
    ),
    Mutant(
        name="a-renewed-seat-stands-last",
        file="store/sessions.py",
        old="ttl = max(1, life - int(age)) if name in former else life",
        new="ttl = life",
        breaks="the oldest leaves, also where it has got another id",
        found_by="integration/lists/test_long_lists.py::TestLimit::"
        "test_lets_the_oldest_leave_also_if_it_was_rotated[memory]",
    ),
    Mutant(
        name="a-long-list-ends-its-newcomer",
        file="store/room.py",
        old="if not entry.shares_seat(own)]\n            # Counted",
        new="if entry.mark]\n            # Counted",
        breaks="who logs in is logged in",
        found_by="integration/lists/test_long_lists.py::TestLimit::"
        "test_ends_no_newcomer_that_will_live_shorter_than_the_others[memory]",
    ),
    Mutant(
        name="nobody-may-type-nothing",
        file="store/lists.py",
        old='if typed and value == "":',
        new="if False:",
        breaks="a sign-in without a name is refused as any other",
        found_by="integration/lists/test_values.py::test_only_the_name_that_somebody"
        "_types_may_be_empty",
    ),
    Mutant(
        name="none-is-a-user",
        file="store/lists.py",
        old="if value is not None:",
        new="if True:",
        breaks="a session whose key is None belongs to nobody",
        found_by="integration/lists/test_values.py::test_a_session_whose_key_is_em"
        "pty_belongs_to_nobody",
    ),
    Mutant(
        name="an-index-that-is-configured-later-is-ignored",
        file="store/sessions.py",
        old="stale = record.indexing != indexing",
        new="stale = False",
        breaks="an index that is configured later lists sessions at their next change",
        found_by="integration/lists/test_values.py::"
        "test_an_index_that_is_configured_later_lists_a_session_at_its_next_change",
    ),
    Mutant(
        name="a-place-is-made-for-a-session-that-has-ended",
        file="store/room.py",
        old="if not seen or len(seats) < limit:",
        new="if len(seats) < limit:",
        breaks="a login that a later one has ended ends nobody",
        found_by="unit/test_seats.py::"
        "test_nobody_leaves_for_a_session_that_a_later_login_has_ended",
    ),
    Mutant(
        name="the-least-recently-used-leaves",
        file="store/room.py",
        old="if surplus and self._rejects:",
        new="by_use = sorted((lines()[e.session_id].live.record.last_seen, e)"
        " for e in listed if e != own)\n"
        "        surplus = [e for _, e in by_use[:len(surplus)]]\n"
        "        if surplus and self._rejects:",
        breaks="at the limit the oldest session leaves, whichever was used last",
        found_by="integration/lists/test_limits.py::"
        "test_the_oldest_leaves_even_if_it_was_used_last[memory]",
    ),
    Mutant(
        name="the-order-of-a-second-is-left-to-chance",
        file="store/room.py",
        old="key=lambda mark: (born[mark], mark)",
        new="key=lambda mark: born[mark]",
        breaks="of one second, all logins at once agree who is the oldest",
        found_by="unit/test_seats.py::test_of_one_second_the_mark_tells_who_leaves",
    ),
    Mutant(
        name="an-admin-app-sees-a-session-of-ours",
        file="extension.py",
        old="return has_request_context() and isinstance(",
        new="return has_request_context() or isinstance(",
        breaks="an app with Flask's own session ends sessions of another",
        found_by="integration/contexts/test_apps.py::"
        "test_an_app_with_flasks_own_session_ends_sessions_of_another_in_its_context",
    ),
    Mutant(
        name="front-without-a-seal",
        file="store/record.py",
        old="if hmac.compare_digest(seal, mac(text, body)):",
        new="if not whole or hmac.compare_digest(seal, mac(text, body)):",
        breaks="a list shows nothing that somebody else has written",
        found_by="unit/test_record.py::test_a_front_is_changed_by_nobody[plain]",
    ),
    Mutant(
        name="front-encrypted-without-the-place",
        file="store/encryption.py",
        old="data[body:end], data[:start] + where",
        new="data[body:end], data[:0] + where",
        breaks="what was encrypted can be read",
        found_by="unit/test_record.py::test_a_front_needs_no_more_than_itself"
        "[encrypted-record]",
    ),
    Mutant(
        name="front-never",
        file="store/record.py",
        old="if len(body) > SHORT:",
        new="if not body:",
        breaks="a list reads no values",
        found_by="integration/lists/test_fronts.py::test_a_list_and_the_end_of_all_read"
        "_no_values[plain-sqlite]",
    ),
    Mutant(
        name="front-always",
        file="store/record.py",
        old="if len(body) > SHORT:",
        new="if body:",
        breaks="a small record is small",
        found_by="unit/test_record.py::test_a_small_record_is_small",
    ),
    Mutant(
        name="front-of-any-form",
        file="store/record.py",
        old='_HEAD = b"%d:%b%b"',
        new='_HEAD = b"%d:%b%.0b"',
        breaks="one part is none of two",
        found_by="unit/test_record.py::test_one_part_is_none_of_two[plain]",
    ),
    Mutant(
        name="front-read-with-the-values",
        file="backends/guarded.py",
        old="if not isinstance(self.backend, ReadsStarts):",
        new="if True:",
        breaks="a list reads no values",
        found_by="integration/lists/test_fronts.py::test_a_list_and_the_end_of_all_read"
        "_no_values[plain-sqlite]",
    ),
    Mutant(
        name="front-cut",
        file="store/records.py",
        old="cells.update(self.backend.get_many(cut))",
        new="del cut",
        breaks="long metadata are shown",
        found_by="integration/lists/test_fronts.py::test_long_metadata_are_shown"
        "[plain-sqlite]",
    ),
    Mutant(
        name="front-tells-when-an-unlisted-session-ends",
        file="store/records.py",
        old="over = over and (whole or bool(content.places))",
        new="pass",
        breaks="the end of a session that is just being listed is told",
        found_by="integration/lists/test_fronts.py::test_one_that_is_just_being_listed"
        "_is_ended_and_told[memory]",
    ),
    Mutant(
        name="front-of-a-session-that-is-gone",
        file="backends/redis/backend.py",
        old="return cells | self.get_many(empty) if empty else cells",
        new="return cells",
        breaks="in Redis, nothing is not an empty record",
        found_by="contract/test_redis.py",
    ),
    Mutant(
        name="find-loses-what-moves-meanwhile",
        file="store/revocation.py",
        old="found = {**found, **moved}",
        new="pass",
        breaks="a session that gets another id while its list is read is found",
        found_by="integration/lists/test_fronts.py::test_one_that_moves_while_its_list"
        "_is_read_is_found[memory]",
    ),
    Mutant(
        name="the-oldest-stays-if-it-changes",
        file="store/room.py",
        old="for session_id in changed:",
        new="for session_id in ():",
        breaks="the oldest session leaves, whatever it is changed to meanwhile",
        found_by="integration/updates/test_seldom.py::"
        "test_the_oldest_leaves_for_a_login_whatever_it_is_changed_to",
    ),
)
