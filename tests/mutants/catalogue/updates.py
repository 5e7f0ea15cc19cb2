"""No update is lost, and none is made twice."""

from __future__ import annotations

from ..mutant import Mutant

_FOLLOWING = "integration/updates/test_following.py::"

MUTANTS = (
    Mutant(
        name="compute-is-not-repeated",
        file="draft.py",
        old="if stored == self.before:",
        new="if True:",
        breaks="twenty increments at once make exactly twenty",
        found_by="unit/test_draft.py::test_computations_over_one_base_add_up",
    ),
    Mutant(
        name="what-cannot-be-stored-becomes-text",
        file="serializers.py",
        old='raise TypeError(f"a {type(value).__name__} cannot be stored in a '
        'session")',
        new="return str(value)",
        breaks="what would not survive is refused when it is saved",
        found_by="unit/test_serializers.py::test_what_would_not_survive_is_refused",
    ),
    Mutant(
        name="an-unknown-type-is-unpickled",
        file="serializers.py",
        old='raise ValueError(f"unknown extension type {code}")',
        new='return __import__("pickle").loads(data)',
        breaks="no fallback decoder, no pickle anywhere",
        found_by="unit/test_serializers.py::test_bytes_that_are_no_value_are_an_error",
    ),
    Mutant(
        name="the-json-serializer-falls-back-to-msgpack",
        file="serializers.py",
        old="return self._tagged.dumps(value)",
        new="return MsgpackSerializer().dumps(value) or self._tagged.dumps(value)",
        breaks="json is Flask's tagged JSON",
        found_by="unit/test_serializers.py::test_what_flask_keeps_comes_back_as_it_was",
    ),
    Mutant(
        name="a-refusal-names-the-whole-value",
        file="serializers.py",
        old='return _culprit(serializer, f"{path}[{key!r}]", part, depth - 1)',
        new="return path, part",
        breaks="what cannot be stored is refused with its path",
        found_by="unit/test_serializers.py::"
        "test_a_refusal_names_the_path_and_the_type_but_never_the_value",
    ),
    Mutant(
        name="save-builds-on-what-was-read-first",
        file="store/sessions.py",
        old="raise doubt\n            live = found",
        new="raise doubt\n            live = found._replace(record=live.record)",
        breaks="two overlapping requests that set different keys both survive",
        found_by="integration/updates/test_overlapping.py::test_two_overlapping_re"
        "quests_that_set_different_keys_both_survive",
    ),
    Mutant(
        name="save-is-not-recognised-after-a-lost-answer",
        file="store/sessions.py",
        old="if doubt or not error.quick:",
        new="if True:",
        breaks="a change of which the answer is lost is made exactly once",
        found_by="integration/updates/test_outages.py::test_a_change_of_which_the_"
        "answer_is_lost_is_made_exactly_once",
    ),
    Mutant(
        name="a-regeneration-loses-what-others-store",
        file="store/regeneration.py",
        old="values = changes.apply(found.record.values)",
        new="values = fresh.record.values",
        breaks="what others store during a login comes along",
        found_by="integration/login/test_in_flight.py::test_what_others_store_duri"
        "ng_the_login_comes_along",
    ),
    Mutant(
        name="an-emptied-session-ends-with-what-others-put-in",
        file="store/sessions.py",
        old="deleted = self.records.delete(live.id, live.version)",
        new="deleted = self.records.delete(live.id)",
        breaks="a session that somebody filled while it was emptied goes on",
        found_by="integration/updates/test_overlapping.py::test_a_session_that_som"
        "ebody_filled_while_it_was_emptied_goes_on",
    ),
    Mutant(
        name="compute-repeats-only-the-last-function",
        file="draft.py",
        old="for function in self.functions:",
        new="for function in self.functions[-1:]:",
        breaks="two increments in one request count twice in a conflict",
        found_by="integration/updates/test_compute.py::test_compute_twice_in_a_req"
        "uest_counts_twice_in_a_conflict",
    ),
    Mutant(
        name="the-size-limit-is-one-too-low",
        file="store/records.py",
        old="if size > self._max_payload:",
        new="if size >= self._max_payload:",
        breaks="a session may have as many bytes as MAX_PAYLOAD says",
        found_by="integration/bad_input/test_values.py::TestTooLargeSession::test_"
        "may_have_exactly_as_many_bytes_as_configured",
    ),
    Mutant(
        name="the-size-is-not-checked",
        file="store/records.py",
        old="if size > self._max_payload:",
        new="if False:",
        breaks="a session that is too large is refused and the record as it was",
        found_by="integration/bad_input/test_values.py::TestTooLargeSession::test_"
        "is_refused_and_the_record_is_as_it_was",
    ),
    Mutant(
        name="a-value-of-others-that-does-not-decode-is-silence",
        file="visit.py",
        old="elif isinstance(error, Undecodable):",
        new="elif False:",
        breaks="changes that are dropped are told of",
        found_by="integration/updates/test_seldom.py::test_a_value_of_others_that_cannot_"
        "be_read_ends_no_session_and_is_not_overwritten[computed]",
    ),
    Mutant(
        name="a-value-that-does-not-decode-is-none",
        file="serializers.py",
        old="raise Undecodable(key) from None",
        new="return None",
        breaks="a value that does not decode is no session, and never a fallback",
        found_by="integration/bad_input/test_records.py::TestRecord::test_with_a_v"
        "alue_that_does_not_decode_is_no_session",
    ),
    Mutant(
        name="threads-of-a-request-are-not-kept-apart",
        file="session.py",
        old="self._lock = threading.RLock()",
        new="self._lock = suppress()",
        breaks="threads that look first at the same time load once",
        found_by="integration/contexts/test_threads.py::test_eight_threads_that_look_"
        "first_at_the_same_time_load_once[stored]",
    ),
    Mutant(
        name="the-header-takes-the-room-of-values",
        file="store/records.py",
        old="self._max_payload = min(settings.max_payload, room)",
        new="self._max_payload = settings.max_payload",
        breaks="what the storage does not take is SessionTooLarge, not an outage",
        found_by="integration/bad_input/test_values.py::TestTooLargeSession::test_"
        "is_refused_below_the_limit_where_the_storage_takes_less[memcached]",
    ),
    Mutant(
        name="changes-follow-a-login",
        file="store/regeneration.py",
        old="is_open = not (login or changes.cleared)",
        new="is_open = not changes.cleared",
        breaks="no change of before a login enters it afterwards",
        found_by=_FOLLOWING + "test_they_follow_no_login_and_no_end",
    ),
    Mutant(
        name="changes-follow-a-clear",
        file="store/regeneration.py",
        old="is_open = not (login or changes.cleared)",
        new="is_open = not login",
        breaks="a session that was cleared and filled again has nothing of before",
        found_by=_FOLLOWING + "test_they_follow_no_login_and_no_end",
    ),
    Mutant(
        name="changes-follow-another-name",
        file="moves.py",
        old="if no_other and not names(after, logins) <= names(before, logins):",
        new="if False:",
        breaks="changes follow to no session that may be somebody else's",
        found_by=_FOLLOWING + "test_they_follow_no_login_and_no_end",
    ),
    Mutant(
        name="changes-follow-a-logout",
        file="moves.py",
        old="return same and not revoked",
        new="return not revoked",
        breaks="changes of somebody do not follow their logout",
        found_by=_FOLLOWING + "test_they_follow_no_login_and_no_end",
    ),
    Mutant(
        name="changes-follow-a-kept-session",
        file="moves.py",
        old="return same and not revoked",
        new="return same",
        breaks="a request of before all others were ended changes nothing after it",
        found_by=_FOLLOWING + "test_they_follow_no_login_and_no_end",
    ),
    Mutant(
        name="changes-do-not-follow",
        file="saving.py",
        old="        found = moves.follow(visit.store, live, found, changes)\n",
        new="        pass\n",
        breaks="changes in flight follow a session whose user stays the same",
        found_by=_FOLLOWING + "test_changes_in_flight_follow",
    ),
    Mutant(
        name="who-follows-sees-the-new-session",
        file="moves.py",
        old="values = changes.apply(live.record.values)\n            record",
        new="values = changes.apply(present.record.values)\n            record",
        breaks="a request whose session has moved sees nothing of the new one",
        found_by=_FOLLOWING + "test_the_request_sees_nothing_of_the_new_session",
    ),
    Mutant(
        name="who-follows-presents-the-cookie",
        file="moves.py",
        old="unseen = present._replace(new=True)",
        new="unseen = present",
        breaks="a session whose cookie nobody has presented lives for an hour at most",
        found_by=_FOLLOWING + "test_a_session_that_nobody_has_presented_stays_so",
    ),
    Mutant(
        name="a-successor-that-ended-is-no-move",
        file="store/regeneration.py",
        old="        live = found  # the new one was ended, but not this session\n",
        new="        return found\n",
        breaks="a session whose new id was ended meanwhile gets another one",
        found_by="integration/updates/test_seldom.py::"
        "test_a_successor_that_is_ended_before_it_takes_over_is_begun_anew",
    ),
    Mutant(
        name="a-change-in-doubt-is-said-to-be-dropped",
        file="store/sessions.py",
        old="            if doubt and isinstance(found, Moved):\n"
        "                raise doubt"
        "  # it may have been done before the session moved\n",
        new="",
        breaks="a change that may be done is not said to be dropped",
        found_by="integration/updates/test_seldom.py::"
        "test_a_change_that_may_be_done_is_not_said_to_be_dropped",
    ),
    Mutant(
        name="changes-follow-whom-nobody-can-read",
        file="moves.py",
        old="    except Undecodable:\n        return False",
        new="    except Undecodable:\n        return True",
        breaks="changes do not follow a session whose user cannot be read",
        found_by="integration/updates/test_seldom.py::"
        "test_a_change_does_not_follow_a_session_whose_user_cannot_be_read",
    ),
    Mutant(
        name="a-session-that-ended-has-a-successor",
        file="store/regeneration.py",
        old="            store.withdraw(fresh)\n            return found\n",
        new="            return found\n",
        breaks="a session that ended while it got a new id leaves no successor",
        found_by="integration/updates/test_seldom.py::"
        "test_a_session_that_ends_while_its_place_is_taken_over_leaves_no_successor",
    ),
)
