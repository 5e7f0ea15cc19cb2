"""A session ends when it is ended, and a login leaves nothing of what was before."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="save-stores-what-is-gone",
        file="store.py",
        old="found = self._cells.swap(held, record)",
        new="found = self._cells.swap(held, record) or ("
        "self._cells.add(held.id, record) and self._cells.reread(held))",
        breaks="no request in flight brings an ended session back",
        found_by="integration/test_logout.py::"
        "test_a_writer_in_flight_leaves_the_session_dead_and_sends_no_cookie",
    ),
    Mutant(
        name="renewal-stores-what-is-gone",
        file="store.py",
        old="return self._cells.swap(held, record)\n\n    def needs_renewal",
        new="found = self._cells.swap(held, record)\n        return found or "
        "(self._cells.add(held.id, record) and None)\n\n    def "
        "needs_renewal",
        breaks="no reader in flight brings an ended session back",
        found_by="integration/test_logout.py::"
        "test_a_reader_in_flight_that_is_due_to_renew_the_session_leaves_it_dead",
    ),
    Mutant(
        name="destroy-gives-way-to-a-save",
        file="store.py",
        old="if held and self._cells.delete(session_id, held.version):",
        new="if held and (self._cells.delete(session_id, held.version) or True):",
        breaks="a logout wins against any number of writers",
        found_by="concurrency/test_interleavings.py::"
        "test_two_requests_keep_the_promises[save-destroy]",
    ),
    Mutant(
        name="destroy-leaves-the-successor",
        file="store.py",
        old="return content.successor",
        new="return None",
        breaks="a logout in flight during a login ends what the session moved to",
        found_by="integration/test_login.py::"
        "test_destroy_in_flight_during_a_login_ends_the_successor",
    ),
    Mutant(
        name="removal-of-the-user-leaves-the-successor",
        file="session.py",
        old="self._store.destroy(successor.id)",
        new="pass",
        breaks="a logout by removal ends what the session moved to meanwhile",
        found_by="integration/test_regressions.py::TestLogoutThatMeetsARotation::"
        "test_by_removal_of_the_user_ends_the_successor",
    ),
    Mutant(
        name="removal-of-the-user-ends-the-login-of-another",
        file="logins.py",
        old="None not in pair and not is_login(*pair) for",
        new="None not in pair for",
        breaks="a logout does not end the login of somebody else meanwhile",
        found_by="integration/test_regressions.py::TestLogoutThatMeetsARotation::"
        "test_does_not_end_the_login_of_somebody_else_meanwhile",
    ),
    Mutant(
        name="destroy-leaves-the-rivals",
        file="session.py",
        old="for rival in self._rivals:",
        new="for rival in ():",
        breaks="a logout or login ends all sessions that the request came with",
        found_by="integration/test_login.py::"
        "test_a_login_ends_all_sessions_that_it_came_with",
    ),
    Mutant(
        name="one-of-two-sessions-is-used",
        file="arrival.py",
        old="if len(live) > 1:",
        new="if len(live) > 2:",
        breaks="of two live sessions in one request none is used",
        found_by="integration/test_login.py::test_of_two_live_sessions_none_is_used",
    ),
    Mutant(
        name="destroy-keeps-the-remember-cookie",
        file="session.py",
        old='self._local["_remember"] = "clear"  # Flask-Login',
        new="pass  # Flask-Login",
        breaks="after a logout Flask-Login's remember cookie logs nobody in again",
        found_by="integration/test_flask_login.py::"
        "test_a_logout_deletes_both_cookies_and_nobody_comes_back",
    ),
    Mutant(
        name="who-ends-all-their-sessions-keeps-the-remember-cookie",
        file="session.py",
        old='self._local["_remember"] = "clear"\n\n    def _note_spared',
        new="pass\n\n    def _note_spared",
        breaks="who signs out everywhere does not come back by a remember cookie",
        found_by="integration/test_flask_login_revocation.py::TestRememberCookie::"
        "test_is_deleted_by_who_ends_all_sessions_their_own_among_them",
    ),
    Mutant(
        name="what-is-over-can-be-saved",
        file="cells.py",
        old="if self._is_over(held.id, held.record):",
        new="if False:",
        breaks="an expired session is absent for a save, too",
        found_by="concurrency/test_stress.py::"
        "test_what_is_over_is_not_saved_even_if_the_storage_still_has_it",
    ),
    Mutant(
        name="dropped-changes-begin-a-session",
        file="session.py",
        old="anonymous = not held.record.bindings and was_anonymous(self._draft, keys)",
        new="anonymous = True",
        breaks="what somebody logged in had changed is dropped with the session",
        found_by="integration/test_logout.py::"
        "test_a_writer_in_flight_leaves_the_session_dead_and_sends_no_cookie",
    ),
    Mutant(
        name="a-write-after-a-move-begins-a-session",
        file="session.py",
        old="if self._superseded and not login:",
        new="if False:",
        breaks="no late anonymous cookie overwrites the one of the login",
        found_by="integration/test_login.py::"
        "test_a_write_with_the_cookie_from_before_creates_nothing",
    ),
    Mutant(
        name="bind-of-an-ended-session-succeeds",
        file="session.py",
        old="if self._held is None:  # it was ended meanwhile",
        new="if False:",
        breaks="a bind in flight is refused where the session was ended meanwhile",
        found_by="integration/test_logout.py::"
        "test_bind_in_flight_is_refused_where_somebody_was_logged_in",
    ),
    Mutant(
        name="a-move-outlives-the-end",
        file="regeneration.py",
        old="self._creation.withdraw(fresh)\n                return found",
        new="return fresh",
        breaks="who regenerates a session that is ended meanwhile gets no new one",
        found_by="integration/test_login.py::"
        "test_a_request_in_flight_neither_brings_the_old_session_back_nor_sets_a_cookie",
    ),
    Mutant(
        name="the-old-id-lives-on-after-a-login",
        file="regeneration.py",
        old="found = self._retire(held, fresh.id)",
        new="found = Superseded(held.id, fresh.id)",
        breaks="the cookie from before a login is worth nothing after it",
        found_by="integration/test_login.py::"
        "test_the_cookie_from_before_a_login_is_worth_nothing_after_it",
    ),
    Mutant(
        name="a-login-keeps-the-id",
        file="session.py",
        old="if changes.cleared or self._login() is not Login.SAME:",
        new="if changes.cleared:",
        breaks="a login gives the session a new id",
        found_by="integration/test_login.py::"
        "test_the_cookie_from_before_a_login_is_worth_nothing_after_it",
    ),
    Mutant(
        name="a-dict-of-another-user-is-no-login",
        file="logins.py",
        old="return any(before.get(name) != after.get(name) for name in named)",
        new="return False",
        breaks="the cookie from before a login is worth nothing after it",
        found_by="integration/test_login.py::"
        "test_another_user_dict_in_the_same_session_gets_another_id",
    ),
    Mutant(
        name="a-dict-without-a-name-is-always-the-same-user",
        file="logins.py",
        old="if named:",
        new="if True:",
        breaks="the cookie from before a login is worth nothing after it",
        found_by="integration/test_login.py::"
        "test_another_user_dict_in_the_same_session_gets_another_id",
    ),
    Mutant(
        name="another-user-in-the-same-dict-is-no-login",
        file="draft.py",
        old="or key in self._removed or self._may_differ(key)",
        new="or key in self._removed",
        breaks="the cookie from before a login is worth nothing after it",
        found_by="integration/test_login.py::"
        "test_another_user_in_the_same_dict_gets_another_id",
    ),
    Mutant(
        name="a-logout-by-removal-keeps-the-id",
        file="logins.py",
        old="if before is not None and after is None:",
        new="if False:",
        breaks="a copy from before the user was removed is worth nothing",
        found_by="integration/test_login.py::"
        "test_a_copy_from_before_the_user_was_removed_is_worth_nothing",
    ),
    Mutant(
        name="clear-and-write-keeps-the-id",
        file="session.py",
        old="if changes.cleared or self._login() is not Login.SAME:",
        new="if self._login() is not Login.SAME:",
        breaks="clear() and then writes give the session a new id",
        found_by="integration/test_updates.py::"
        "test_clear_and_write_takes_effect_under_a_new_id",
    ),
    Mutant(
        name="a-tombstone-is-loaded",
        file="store.py",
        old="return self._superseded(content, credential, opened)",
        new="content = content.former",
        breaks="a tombstone is never loaded as a session",
        found_by="integration/test_login.py::"
        "test_a_write_with_the_cookie_from_before_creates_nothing",
    ),
    Mutant(
        name="a-tombstone-keeps-the-content",
        file="cells.py",
        old="former = held.record._replace(values={}, bindings={}, meta=None, "
        "operations=())",
        new="former = held.record",
        breaks="a tombstone has no content",
        found_by="integration/test_login.py::test_the_tombstone_has_no_content",
    ),
    Mutant(
        name="a-tombstone-forgets-the-pending-successor",
        file="cells.py",
        old="former = held.record._replace(values={}, bindings={}, meta=None, "
        "operations=())",
        new="former = held.record._replace(values={}, bindings={}, meta=None, "
        "operations=(), pending=None)",
        breaks="a logout by the token that was handed out last is a logout",
        found_by="integration/test_regressions.py::TestDestroyWithAnotherTokenOfTheSession::"
        "test_both_tokens_end_what_a_successor_moved_to_when_it_came_first",
    ),
    Mutant(
        name="a-tombstone-stays",
        file="cells.py",
        old="TOMBSTONE_TTL = 10\n",
        new="TOMBSTONE_TTL = 1000\n",
        breaks="a tombstone is gone after ten seconds",
        found_by="integration/test_login.py::test_the_tombstone_stays_for_ten_seconds",
    ),
    Mutant(
        name="a-tombstone-tells-anybody-where-the-session-went",
        file="store.py",
        old="return Superseded(credential.id, stone.successor if meant else None)",
        new="return Superseded(credential.id, stone.successor)",
        breaks="a forged cookie of the old id does not end the new session",
        found_by="integration/test_login.py::"
        "test_a_forged_cookie_of_the_old_id_does_not_end_the_successor",
    ),
    Mutant(
        name="an-unknown-id-is-adopted",
        file="store.py",
        old="if content is None:\n            return None\n        standing",
        new="if content is None:\n"
        "            content = Record(\n"
        "                credential.generation,\n"
        "                ids.token_hash(credential.token),\n"
        "                bytes(16),\n"
        "                int(opened),\n"
        "                int(opened),\n"
        "            )\n"
        "            version = self._cells.add(credential.id, content)\n"
        "        standing",
        breaks="an id that we signed but do not know is never adopted",
        found_by="integration/test_login.py::"
        "test_an_unknown_id_that_we_seem_to_have_signed_is_never_adopted",
    ),
    Mutant(
        name="the-csrf-token-survives-a-login",
        file="session.py",
        old="del self._draft[key]\n            if has_app_context",
        new="pass\n            if has_app_context",
        breaks="a CSRF token that was known before a login does not work after it",
        found_by="integration/test_login.py::"
        "test_a_form_token_made_after_the_login_in_the_same_request_works",
    ),
    Mutant(
        name="flask-wtfs-copy-of-the-csrf-token-survives-a-login",
        file="session.py",
        old="g.pop(key, None)  # Flask-WTF keeps a copy there",
        new="pass",
        breaks="a CSRF token that was known before a login does not work after it",
        found_by="integration/test_login.py::"
        "test_a_form_token_made_after_the_login_in_the_same_request_works",
    ),
    Mutant(
        name="a-csrf-token-of-another-request-survives-a-login",
        file="session.py",
        old="removed={*changes.removed, *(dropped - kept.keys())},",
        new="removed=changes.removed,",
        breaks="a CSRF token that another request stores meanwhile is dropped, too",
        found_by="integration/test_login.py::"
        "test_a_csrf_token_that_another_request_stores_meanwhile_is_dropped",
    ),
    Mutant(
        name="a-csrf-token-that-is-set-again-is-lost-at-a-login",
        file="session.py",
        old="assigned={**changes.assigned, **kept},",
        new="",
        breaks="what is set after a login is kept, also if it was stored before",
        found_by="integration/test_login.py::"
        "test_a_csrf_token_that_is_set_after_the_login_is_kept",
    ),
    Mutant(
        name="a-login-goes-on-with-the-old-life",
        file="regeneration.py",
        old="born=None if login else ids.born(held.id)",
        new="born=ids.born(held.id)",
        breaks="a login begins a new life",
        found_by="integration/test_login.py::"
        "test_a_login_begins_a_new_life_and_a_logout_goes_on_with_it",
    ),
    Mutant(
        name="a-rotation-begins-a-new-life",
        file="regeneration.py",
        old="born=None if login else ids.born(held.id)",
        new="born=None",
        breaks="the absolute lifetime goes on over rotate()",
        found_by="integration/test_lifetimes.py::TestAbsoluteLifetime::"
        "test_goes_on_through_a_rotation",
    ),
    Mutant(
        name="the-absolute-lifetime-does-not-end-a-session",
        file="cells.py",
        old="return min(record.last_seen + idle, self.ends_at(session_id))",
        new="return record.last_seen + idle",
        breaks="a session ends at its absolute lifetime whatever its use",
        found_by="integration/test_lifetimes.py::TestAbsoluteLifetime::"
        "test_limits_the_ttl_in_the_store",
    ),
    Mutant(
        name="an-expired-record-is-served",
        file="cells.py",
        old="return self._clock() >= self.expires_at(session_id, record)",
        new="return False",
        breaks="a shorter lifetime reaches what is stored already",
        found_by="integration/test_lifetimes.py::TestLifetimeChangedWhileRunning::"
        "test_shortens_the_life_of_what_is_stored_already",
    ),
    Mutant(
        name="a-session-that-nobody-presents-lives-as-long",
        file="cells.py",
        old="if not record.presented and not record.bindings:",
        new="if False:",
        breaks="the session of a bot lives an hour at most",
        found_by="integration/test_lifetimes.py::TestUnpresentedSession::"
        "test_lives_an_hour",
    ),
    Mutant(
        name="a-stream-begins-a-session-without-a-cookie",
        file="session.py",
        old="if self._response_left:",
        new="if False:",
        breaks="where the response has left no session begins nor gets a new id",
        found_by="integration/test_updates.py::"
        "test_a_stream_cannot_begin_a_session_and_says_so",
    ),
    Mutant(
        name="a-late-logout-ends-nothing",
        file="store.py",
        old="late = standing is Standing.LATE",
        new="late = False",
        breaks="a logout by a cookie that was outdated meanwhile is a logout",
        found_by="integration/test_regressions.py::TestDestroyWithAnotherTokenOfTheSession::"
        "test_one_that_was_outdated_during_the_request_ends_it",
    ),
    Mutant(
        name="a-late-logout-that-meets-a-tombstone-ends-nothing",
        file="store.py",
        old="meant = standing.admitted or standing is Standing.LATE",
        new="meant = standing.admitted",
        breaks="a logout by a cookie that was outdated meanwhile is a logout",
        found_by="integration/test_regressions.py::TestDestroyWithAnotherTokenOfTheSession::"
        "test_one_that_was_outdated_during_the_request_ends_it",
    ),
    Mutant(
        name="who-ends-their-own-session-keeps-its-cookie",
        file="extension.py",
        old="_current()._note_revoked()",
        new="pass",
        breaks="who ends their own session from outside loses its cookie",
        found_by="integration/test_revocation.py::TestRevoke::"
        "test_of_ones_own_session_deletes_its_cookie",
    ),
    Mutant(
        name="what-does-not-decode-cannot-be-ended",
        file="session.py",
        old="self._rivals = [held.id]",
        new="pass",
        breaks="a logout ends also a session that cannot be read",
        found_by="integration/test_regressions.py::TestSessionsThatEnd::"
        "test_destroy_ends_one_with_a_value_that_does_not_decode",
    ),
    Mutant(
        name="what-turns-out-not-to-decode-cannot-be-ended",
        file="session.py",
        old="self._rivals = ignored",
        new="pass",
        breaks="a logout ends also a session that cannot be read",
        found_by="integration/test_regressions.py::TestSessionsThatEnd::"
        "test_destroy_ends_one_with_a_value_that_does_not_decode",
    ),
)
