"""Nobody is logged out by the switch, and an old credential ends with its session."""

from __future__ import annotations

from ..mutant import Mutant

_ORDERS = "concurrency/test_take_over.py::"
_REFUSED = "take_over/test_refused.py::"

MUTANTS = (
    Mutant(
        name="take-over-reads-the-claim-first",
        file="take_over/claim.py",
        old="        former = self._former(source, old_id)\n"
        "        key = self._key(source, old_id)\n"
        "        claimed, is_new = self._standing(key, None, ttl), False\n",
        new="        key = self._key(source, old_id)\n"
        "        claimed, is_new = self._standing(key, None, ttl), False\n"
        "        former = self._former(source, old_id)\n",
        breaks="no request of a page is anonymous while another one takes over",
        found_by=f"{_ORDERS}test_a_take_over_beside_another_request[take-True]",
    ),
    Mutant(
        name="take-over-leaves-no-marker",
        file="take_over/claim.py",
        old="                self._store.marker.note()",
        new="                pass",
        breaks="the commands know under which key sessions were taken over",
        found_by="take_over/test_command.py::"
        "test_afterwards_the_commands_know_whose_key_keeps_sessions",
    ),
    Mutant(
        name="take-over-deletes-before-it-claims",
        file="take_over/claim.py",
        old="            fresh = self._begin(key, old_id, former)",
        new="            self._delete(source, old_id)\n"
        "            fresh = self._begin(key, old_id, former)",
        breaks="a crash leaves the old record or the claim",
        found_by=f"{_ORDERS}test_a_fault_anywhere_leaves_the_user_logged_in"
        "[Fault.CRASH-True]",
    ),
    Mutant(
        name="take-over-serves-what-is-not-listed",
        file="take_over/claim.py",
        old="            self._complete(credential.id)",
        new="            is_new and self._complete(credential.id)",
        breaks="a session is listed before it is served, whoever claimed it",
        found_by=f"{_ORDERS}test_a_take_over_beside_another_request[take-False]",
    ),
    Mutant(
        name="take-over-outlives-a-revocation-on-its-way",
        file="take_over/claim.py",
        old="                store.destroy(session_id, live)",
        new="                pass",
        breaks="a revoke_all in the middle of a take-over ends the old credential",
        found_by=f"{_ORDERS}test_a_take_over_beside_another_request[revoke_all-True]",
    ),
    Mutant(
        name="take-over-asks-for-everybody",
        file="arrival.py",
        old="take_over and not credentials and visit.moved is None",
        new="take_over is not None",
        breaks="a request with our cookie costs nothing more",
        found_by=f"{_REFUSED}test_a_request_that_has_our_cookie_costs_nothing_more",
    ),
    Mutant(
        name="take-over-asks-twice",
        file="take_over/asking.py",
        old="        if ASKED not in environ:\n",
        new="        if True:\n",
        breaks="a source is asked once in a request",
        found_by=f"{_REFUSED}test_a_strangers_cookie_costs_one_question_and_one_co"
        "mmand",
    ),
    Mutant(
        name="take-over-forgets-the-end-too-soon",
        file="take_over/asking.py",
        old="presented.id, ttl + SLACK)",
        new="presented.id, 60)",
        breaks="an old credential stays dead for as long as it would have lived",
        found_by="take_over/test_taken_over.py::test_the_old_credential_stays_dead"
        "_for_as_long_as_it_would_have_lived[cookie]",
    ),
    Mutant(
        name="take-over-of-expired-cookies",
        file="take_over/asking.py",
        old="        if ttl <= 0:",
        new="        if ttl <= -(10**9):",
        breaks="a cookie that is older than Flask would take is none",
        found_by=f"{_REFUSED}test_a_cookie_that_is_older_than_flask_would_take_is_"
        "none[cookie]",
    ),
    Mutant(
        name="take-over-depends-on-the-newest-key",
        file="take_over/claim.py",
        old="        for mac in self._macs:",
        new="        for mac in self._macs[:1]:",
        breaks="a key that comes in later logs nobody out",
        found_by=f"{_REFUSED}test_a_key_that_comes_in_later_changes_nothing[cookie]",
    ),
    Mutant(
        name="take-over-of-each-spelling",
        file="take_over/cookie.py",
        old='Presented(cookie.rpartition(".")[0], issued',
        new='Presented(cookie.rpartition(".")[0] + cookie[-1], issued',
        breaks="a signature in another spelling is the same credential",
        found_by=f"{_REFUSED}test_a_signature_in_another_spelling_is_the_same_credential"
        "[cookie]",
    ),
    Mutant(
        name="take-over-shares-claims",
        file="take_over/claim.py",
        old='ids.derived(key, f"{label}:name", 16)',
        new='ids.derived("", f"{label}:name", 16)',
        breaks="apps with keys of their own have claims of their own",
        found_by=f"{_REFUSED}test_two_apps_with_keys_of_their_own_take_over_one_cookie"
        "[cookie]",
    ),
    Mutant(
        name="take-over-under-the-newest-name",
        file="take_over/claim.py",
        old="sorted(mac(key.encode()).hex() for mac in self._names)",
        new="[mac(key.encode()).hex() for mac in self._names[-1:]]",
        breaks="processes with another choice of keys find one session",
        found_by=f"{_ORDERS}test_processes_with_another_choice_of_keys_find_one_session"
        "[next_used-False]",
    ),
    Mutant(
        name="take-over-in-the-order-of-the-keys",
        file="take_over/claim.py",
        old="sorted(mac(key.encode()).hex() for mac in self._names)",
        new="[mac(key.encode()).hex() for mac in self._names]",
        breaks="processes that list keys in another order find one session",
        found_by=f"{_ORDERS}test_processes_with_another_choice_of_keys_find_one_session"
        "[next_used-False]",
    ),
    Mutant(
        name="take-over-with-a-key-of-one-character",
        file="take_over/source.py",
        old='values.secrets("secret_keys", secret_keys)',
        new="list(secret_keys or ())",
        breaks="nobody makes an old cookie that is taken over",
        found_by=f"{_REFUSED}test_one_text_is_no_list_of_keys",
    ),
    Mutant(
        name="take-over-uses-a-generator-up",
        file="take_over/asking.py",
        old="app, tuple(sources)",
        new="app, sources",
        breaks="sources may come one by one, and all are asked",
        found_by=f"{_REFUSED}test_sources_may_come_from_a_generator",
    ),
    Mutant(
        name="take-over-begins-in-silence",
        file="take_over/asking.py",
        old="            self._tell(store, credential)\n",
        new="",
        breaks="a session that was taken over is told to have been created",
        found_by="take_over/test_taken_over.py::"
        "test_it_is_told_once_that_it_began_and_once_that_it_ended[cookie-memory]",
    ),
    Mutant(
        name="take-over-finds-a-record-in-another-case",
        file="take_over/flask_session.py",
        old="if row.session_id == key and row.expiry",
        new="if row.expiry",
        breaks="an id in another case is another credential",
        found_by=f"{_REFUSED}test_a_table_that_ignores_case_and_time",
    ),
    Mutant(
        name="take-over-of-expired-records",
        file="take_over/flask_session.py",
        old=" and row.expiry is not None and row.expiry > now",
        new="",
        breaks="a record that has expired is nothing",
        found_by=f"{_REFUSED}test_a_table_that_ignores_case_and_time",
    ),
    Mutant(
        name="take-over-reads-cookies-of-any-length",
        file="take_over/asking.py",
        old="if len(value) > MAX_COOKIE:",
        new="if False:",
        breaks="no source works on a cookie that no browser keeps",
        found_by=f"{_REFUSED}test_a_cookie_that_is_longer_than_browsers_keep_one_is_"
        "shown_to_no_source",
    ),
    Mutant(
        name="take-over-lets-clients-unpickle",
        file="take_over/flask_session.py",
        old="if serde is None or not _leaves_bytes(serde):",
        new="if serde is None:",
        breaks="no record is unpickled, by the client neither",
        found_by=f"{_REFUSED}test_clients_that_unpickle_are_not_taken",
    ),
    Mutant(
        name="take-over-deletes-unconfirmed",
        file="take_over/flask_session.py",
        old="partial(client.delete, noreply=False)",
        new="client.delete",
        breaks="memcached has answered that a session is not in it any more",
        found_by="take_over/test_taken_over.py::"
        "test_memcached_confirms_that_a_session_is_not_in_it_any_more",
    ),
)
