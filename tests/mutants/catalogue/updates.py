"""No update is lost, and none is made twice."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="save-builds-on-what-was-read-first",
        file="store.py",
        old="raise doubt\n            held = found",
        new="raise doubt\n            held = found._replace(record=held.record)",
        breaks="two overlapping requests that set different keys both survive",
        found_by="integration/test_updates.py::"
        "test_two_overlapping_requests_that_set_different_keys_both_survive",
    ),
    Mutant(
        name="save-takes-another-write-for-its-own",
        file="store.py",
        old="if operation in found.record.operations:",
        new="if found.record.operations:",
        breaks="a save that lost against another one is made anew",
        found_by="integration/test_updates.py::"
        "test_two_overlapping_requests_that_set_different_keys_both_survive",
    ),
    Mutant(
        name="save-is-not-recognised-after-a-lost-answer",
        file="store.py",
        old="if doubt or not error.quick:",
        new="if True:",
        breaks="a change of which the answer is lost is made exactly once",
        found_by="integration/test_updates.py::"
        "test_a_change_of_which_the_answer_is_lost_is_made_exactly_once",
    ),
    Mutant(
        name="one-operation-is-remembered",
        file="record.py",
        old="return (*kept, operation)[-REMEMBERED_OPERATIONS:]",
        new="return (operation,)",
        breaks="a lost answer is told from the writes of others",
        found_by="integration/test_updates.py::"
        "test_a_change_that_may_have_been_forgotten_is_not_made_again",
    ),
    Mutant(
        name="a-write-that-was-pushed-out-is-made-again",
        file="record.py",
        old="return bool(began.operations) and began.operations[-1] in self.operations",
        new="return True",
        breaks="what is left ambiguous after many other writes is not made again",
        found_by="integration/test_updates.py::"
        "test_a_change_that_may_have_been_forgotten_is_not_made_again",
    ),
    Mutant(
        name="a-regeneration-loses-what-others-store",
        file="regeneration.py",
        old="values = changes.apply(found.record.values)",
        new="values = fresh.record.values",
        breaks="what others store during a login comes along",
        found_by="integration/test_login.py::"
        "test_what_others_store_during_the_login_comes_along",
    ),
    Mutant(
        name="an-emptied-session-ends-with-what-others-put-in",
        file="store.py",
        old="deleted = self._cells.delete(held.id, held.version)",
        new="deleted = self._cells.delete(held.id)",
        breaks="a session that somebody filled while it was emptied goes on",
        found_by="integration/test_updates.py::"
        "test_a_session_that_somebody_filled_while_it_was_emptied_goes_on",
    ),
    Mutant(
        name="clear-keeps-what-others-store",
        file="changes.py",
        old="kept = {} if self.cleared else values",
        new="kept = values",
        breaks="clear() wipes what is there when it commits",
        found_by="unit/test_draft.py::"
        "test_clear_also_removes_what_others_store_until_then",
    ),
    Mutant(
        name="a-removed-key-comes-back",
        file="changes.py",
        old="for key in kept if key not in self.removed}",
        new="for key in kept}",
        breaks="a key that was removed is gone",
        found_by="unit/test_draft.py::test_its_changes_make_the_base_what_the_dict_is",
    ),
    Mutant(
        name="compute-is-not-repeated",
        file="draft.py",
        old="if stored == self.before:",
        new="if True:",
        breaks="twenty increments at once make exactly twenty",
        found_by="unit/test_draft.py::test_computations_over_one_base_add_up",
    ),
    Mutant(
        name="compute-repeats-only-the-last-function",
        file="draft.py",
        old="for function in self.functions:",
        new="for function in self.functions[-1:]:",
        breaks="two increments in one request count twice in a conflict",
        found_by="integration/test_updates.py::"
        "test_compute_twice_in_a_request_counts_twice_in_a_conflict",
    ),
    Mutant(
        name="nested-changes-are-not-found",
        file="draft.py",
        old="if key not in self._assigned and isinstance(value, _IMMUTABLE):",
        new="if key not in self._assigned:",
        breaks="a nested change is saved without modified",
        found_by="integration/test_updates.py::"
        "test_a_nested_change_is_saved_without_modified",
    ),
    Mutant(
        name="what-was-read-is-written",
        file="draft.py",
        old="return None if data == known else data",
        new="return data",
        breaks="who only looked at a value does not overwrite it",
        found_by="unit/test_draft.py::test_reading_is_no_change",
    ),
    Mutant(
        name="what-is-in-hand-hides-what-others-stored",
        file="draft.py",
        old="for k, v in self._values.items() if mine.get(k) == base.get(k)}",
        new="for k, v in self._values.items()}",
        breaks="after a commit the session shows what others have stored",
        found_by="unit/test_draft.py::"
        "test_what_was_only_read_shows_what_others_have_stored",
    ),
    Mutant(
        name="objects-in-hand-are-forgotten-by-a-commit",
        file="draft.py",
        old="self._values = kept",
        new="pass",
        breaks="a list that was handed out may be changed after a commit",
        found_by="unit/test_draft.py::"
        "test_objects_in_the_callers_hands_stay_the_same_after_a_rebase",
    ),
    Mutant(
        name="permanent-is-lost-by-a-save",
        file="store.py",
        old="permanent = record.permanent if changes.permanent is None else "
        "changes.permanent",
        new="permanent = bool(changes.permanent)",
        breaks="a session stays permanent until somebody says otherwise",
        found_by="integration/test_cookies.py::TestExpiry::"
        "test_stays_where_a_change_does_not_say_anything_of_it",
    ),
    Mutant(
        name="the-size-limit-is-one-too-low",
        file="cells.py",
        old="if size > self._max_payload:",
        new="if size >= self._max_payload:",
        breaks="a session may have as many bytes as MAX_PAYLOAD says",
        found_by="integration/test_bad_input.py::TestTooLargeSession::"
        "test_may_have_exactly_as_many_bytes_as_configured",
    ),
    Mutant(
        name="the-size-is-not-checked",
        file="cells.py",
        old="if size > self._max_payload:",
        new="if False:",
        breaks="a session that is too large is refused and the record as it was",
        found_by="integration/test_bad_input.py::TestTooLargeSession::"
        "test_is_refused_and_the_record_is_as_it_was",
    ),
    Mutant(
        name="a-tuple-comes-back-as-a-list",
        file="serializers.py",
        old="strict_types=True,",
        new="strict_types=False,",
        breaks="what can be stored comes back as it was",
        found_by="unit/test_serializers.py::test_what_flask_keeps_comes_back_as_it_was",
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
        name="a-value-that-does-not-decode-is-none",
        file="draft.py",
        old="raise Undecodable(key) from error",
        new="return None",
        breaks="a value that does not decode is no session, and never a fallback",
        found_by="integration/test_bad_input.py::TestRecord::"
        "test_with_a_value_that_does_not_decode_is_no_session",
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
        name="a-login-in-a-computation-is-no-login",
        file="session.py",
        old="if key not in LOCAL_KEYS and key not in self._settings.login_keys:",
        new="if key not in LOCAL_KEYS:",
        breaks="compute() of a login key is a login like any other",
        found_by="integration/test_login.py::"
        "test_a_form_token_made_after_the_login_in_the_same_request_works",
    ),
    Mutant(
        name="threads-of-a-request-are-not-kept-apart",
        file="session.py",
        old="self._lock = threading.RLock()",
        new="self._lock = suppress()",
        breaks="threads that look first at the same time load once",
        found_by="integration/test_contexts.py::"
        "test_eight_threads_that_change_different_keys_lose_nothing",
    ),
    Mutant(
        name="the-header-takes-the-room-of-values",
        file="cells.py",
        old="self._max_payload = min(settings.max_payload, room)",
        new="self._max_payload = settings.max_payload",
        breaks="what the storage does not take is SessionTooLarge, not an outage",
        found_by="integration/test_bad_input.py::TestTooLargeSession::"
        "test_is_refused_below_the_limit_where_the_storage_takes_less",
    ),
)
