"""A session ends when it is ended, and a login leaves nothing of what was before."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="a-default-is-a-logout",
        file="session.py",
        old="            visit.logout_meant = meant\n",
        new="",
        breaks="a request in flight that prepares its session ends nobody's",
        found_by="integration/logout/test_moved.py::"
        "test_a_default_for_a_missing_user_is_no_logout",
    ),
    Mutant(
        name="what-the-page-of-a-refusal-flashes-is-lost",
        file="interface.py",
        old="                        session._finish()\n",
        new="                        pass\n",
        breaks="an error handler may tell in the next page why a login was refused",
        found_by="integration/login/test_refused.py::"
        "test_an_error_handler_sees_nobody_logged_in_and_may_flash",
    ),
    Mutant(
        name="a-moved-user-who-is-named-nobody-stays",
        file="session.py",
        old="elif is_nobody(value):",
        new="elif value is None:",
        breaks="an empty name is a logout, of a session that moved as well",
        found_by="integration/logout/test_moved.py::TestAnyLogout::"
        "test_after_a_rotation_ends_the_successor",
    ),
    Mutant(
        name="facts-that-cannot-be-read-again-are-stored",
        file="runtime.py",
        old="return _storable(wanted(request))",
        new="return wanted(request)",
        breaks="a wrong result of SRVSESSION_METADATA logs nobody out",
        found_by="integration/lists/test_metadata.py::"
        "test_a_result_that_could_not_be_read_again_is_refused",
    ),
    Mutant(
        name="a-part-leaves-out-who-was-listed-late",
        file="store/revocation.py",
        old="wanted = [i for i in listed if i not in found]",
        new="wanted = [i for i in listed if i not in found]\n"
        "        wanted = wanted[bool(after and not start) :]",
        breaks="a list that is read in parts leaves nobody out",
        found_by="integration/lists/test_revocation.py::TestFind::"
        "test_leaves_out_none_that_was_listed_late_where_the_last_has_ended",
    ),
    Mutant(
        name="a-value-that-nobody-can-read-stops-a-logout",
        file="saving.py",
        old="empty = [key for key in logins.among(draft.held)",
        new="was = [key for key in draft.held if not is_nobody(draft.stored(key))]\n"
        "        empty = [key for key in logins.among(was)",
        breaks="a logout in flight ends the successor, whatever else is stored",
        found_by="integration/logout/test_moved.py::"
        "test_a_value_that_nobody_can_read_any_more_stops_no_logout",
    ),
    Mutant(
        name="a-moved-session-forgets-who-ended-it",
        file="extension.py",
        old="current_session._act(logout.revoke, durable, end)",
        new="current_session._act(logout.revoke, durable, LOGOUT)",
        breaks="the audit trail says who ended a session, and why",
        found_by="integration/test_audit.py::"
        "test_every_end_leaves_one_line_that_says_who_and_why"
        "[by_revoke_of_itself_after_it_moved-memory]",
    ),
    Mutant(
        name="a-refused-login-is-shown-as-one",
        file="visit.py",
        old='g.pop("_login_user", None)  # nobody whose login was refused',
        new="pass",
        breaks="the page that says that a login was refused is that of nobody",
        found_by="integration/login/test_refused.py::"
        "test_an_error_handler_sees_nobody_logged_in_and_may_flash",
    ),
    Mutant(
        name="a-key-that-is-set-too-late-is-ignored",
        file="runtime.py",
        old="check_unchanged(self.settings, config, self.app.name)",
        new="pass",
        breaks="a limit that nobody keeps is not taken for one that is kept",
        found_by="integration/test_configuration.py::"
        "test_a_key_that_is_set_too_late_is_refused_by_the_first_use",
    ),
    Mutant(
        name="clear-leaves-it-permanent",
        file="session.py",
        old="            self.permanent = False\n",
        new="            pass\n",
        breaks="the next user's cookie ends with the browser",
        found_by="integration/login/test_new_id.py::"
        "test_after_clear_a_login_is_permanent_only_if_it_says_so",
    ),
    Mutant(
        name="an-id-and-its-text-are-two-users",
        file="logins.py",
        old="(name is None or name != name_of(after))",
        new="(name is None or name is not None)",
        breaks="an app that writes its user's id now as int and now as text keeps its"
        " CSRF tokens",
        found_by="integration/login/test_new_id.py::"
        "test_assigning_the_same_user_changes_no_id",
    ),
    Mutant(
        name="save-stores-what-is-gone",
        file="store/sessions.py",
        old="found = self.records.swap(live, record)\n            except",
        new="found = self.records.swap(live, record) or (self.records.add(liv"
        "e.id, record) and self.records.reread(live))\n            except",
        breaks="no request in flight brings an ended session back",
        found_by="integration/logout/test_in_flight.py::test_a_writer_in_flight_le"
        "aves_the_session_dead_and_sends_no_cookie",
    ),
    Mutant(
        name="destroy-leaves-the-successor",
        file="store/records.py",
        old="passed.append(session_id)\n"
        "                session_id, attempts = content.successor, 0",
        new="return None",
        breaks="a logout in flight during a rotation ends what the session moved to",
        found_by="integration/logout/test_moved.py::TestAnyLogout::test_in_flight_d"
        "uring_a_rotation_ends_the_successor",
    ),
    Mutant(
        name="the-kept-session-keeps-its-id",
        file="saving.py",
        old="_regenerate(visit, live, visit.pending(), False)",
        new="pass",
        breaks="a copy of the cookie that is kept ends with the others",
        found_by="integration/lists/test_revocation.py::TestRevokeAll::test_a_copy_of_the_cookie_t"
        "hat_is_kept_ends_with_the_others",
    ),
    Mutant(
        name="clear-keeps-what-was-flashed",
        file="session.py",
        old="            draft.clear()\n",
        new='            flashes = draft.get("_flashes")\n            draft.clear()\n'
        '            draft.update({"_flashes": flashes} if flashes else {})\n',
        breaks="clear() leaves nothing, not even a message to who was here",
        found_by="integration/logout/test_logout.py::"
        "test_what_was_flashed_before_clear_is_shown_to_nobody",
    ),
    Mutant(
        name="one-of-several-live-sessions-is-used",
        file="arrival.py",
        old="if len(alive) > 1:",
        new="if len(alive) > 2:",
        breaks="of two live sessions that are presented none is used",
        found_by="integration/test_real_use.py::TestTossedCookies::test_of_two_live"
        "_sessions_none_is_used_however_often",
    ),
    Mutant(
        name="a-shared-cache-keeps-the-cookie",
        file="responses.py",
        old="control.private = True",
        new="pass",
        breaks="no shared cache gives our cookie to others",
        found_by="integration/cookies/test_headers.py::TestCacheControl::"
        "test_keeps_our_cookie_out_of_shared_caches",
    ),
    Mutant(
        name="a-deleted-cookie-comes-back",
        file="interface.py",
        old="if live and not live.new and deletes(response, name):",
        new="if False:",
        breaks="a response that deletes the cookie does not set it again",
        found_by="integration/test_real_use.py::"
        "test_a_cookie_that_the_app_deletes_is_not_set_again[delete_cookie-960]",
    ),
    Mutant(
        name="a-constant-answer-carries-a-session",
        file="interface.py",
        old="if hasattr(response, UNDO):",
        new="if False:",
        breaks="a Response that is returned again carries the session of nobody else",
        found_by="integration/test_real_use.py::TestAResponseThatIsReturnedAgain::"
        "test_carries_the_session_of_nobody_else[read]",
    ),
    Mutant(
        name="a-clock-tells-whose-cookie-it-is",
        file="visit.py",
        old="self.number = next(_NUMBERS)",
        new="self.number = self.opened",
        breaks="a Response that is returned again carries the session of nobody else",
        found_by="integration/test_real_use.py::TestAResponseThatIsReturnedAgain::"
        "test_carries_the_session_of_nobody_else[read]",
    ),
    Mutant(
        name="a-forwarded-login-loses-its-cookie",
        file="responses.py",
        old="all(at >= number and thread == get_ident() for at, thread, _ in changes)",
        new="False",
        breaks="a request that another one forwards to may log in",
        found_by="integration/test_real_use.py::TestAResponseThatIsReturnedAgain::"
        "test_keeps_the_cookie_of_a_request_to_which_it_was_forwarded",
    ),
    Mutant(
        name="a-long-upload-is-theft",
        file="arrival.py",
        old="return has_body and credential",
        new="return not has_body and credential",
        breaks="an honest upload that took long raises no alarm",
        found_by="integration/test_real_use.py::test_an_upload_that_travelled_for_l"
        "ong_is_refused_without_an_alarm",
    ),
    Mutant(
        name="the-key-of-the-configuration-signs",
        file="runtime.py",
        old="secret_keys(self.app)",
        new="[config['SECRET_KEY']]",
        breaks="what Flask signs with signs here",
        found_by="integration/test_real_use.py::test_a_key_that_a_class_defines_signs",
    ),
    Mutant(
        name="lists-are-those-of-all-apps",
        file="store/lists.py",
        old="self._macs = [ids.derived(key, label) for key in reversed(secret_keys)]",
        new="self._macs = [ids.derived('', label) for key in reversed(secret_keys)]",
        breaks="apps with other secret keys see nothing of each other's lists",
        found_by="integration/test_real_use.py::TestTwoAppsOfOneName::test_revoke_a"
        "ll_of_one_ends_nothing_of_the_other",
    ),
    Mutant(
        name="another-key-is-nobodys",
        file="store/marker.py",
        old="return keeper | Keeper.ANOTHER if another else keeper",
        new="return keeper",
        breaks="a command with another SECRET_KEY does nothing and says so",
        found_by="integration/cli/test_keys.py::test_with_another_key_a_command_doe"
        "s_nothing_and_ends_with_3",
    ),
    Mutant(
        name="a-csrf-token-of-another-name-survives",
        file="runtime.py",
        old="drop_at_login=(*known, field)",
        new="drop_at_login=known",
        breaks="a CSRF token under the configured name is dropped at a login",
        found_by="integration/test_real_use.py::test_a_csrf_token_under_any_usual_n"
        "ame_is_dropped",
    ),
    Mutant(
        name="a-junk-member-is-a-500",
        file="store/lists.py",
        old='        except ValueError:\n            log.warning("a member',
        new='        except ImportError:\n            log.warning("a member',
        breaks="an index that cannot be decoded is no 500",
        found_by="integration/test_real_use.py::test_a_member_of_a_list_that_is_non"
        "e_is_ignored_with_a_warning",
    ),
    Mutant(
        name="any-number-of-generations-is-walked",
        file="store/rotation.py",
        old="if ahead < -FURTHEST:",
        new="if False:",
        breaks="an old cookie costs a bounded number of hashes",
        found_by="unit/test_rotation.py",
    ),
    Mutant(
        name="a-late-logout-ends-the-login-of-another",
        file="moves.py",
        old="return store.destroy(session_id, live, by, ends_too=ends_too)",
        new="return store.destroy(session_id, live, by)",
        breaks="a cookie that was planted before a login cannot end that login",
        found_by="integration/logout/test_moved.py::TestAnyLogout::test_with_a_cook"
        "ie_from_before_the_login_leaves_the_login",
    ),
    Mutant(
        name="a-pop-of-nothing-is-no-logout",
        file="session.py",
        old="self._visit.note_logout()  # the session may have moved",
        new="pass",
        breaks="a logout by pop of a session that just moved ends what it moved to",
        found_by="integration/logout/test_moved.py::TestAnyLogout::test_after_a_rot"
        "ation_ends_the_successor",
    ),
    Mutant(
        name="a-login-form-works-once",
        file="store/regeneration.py",
        old="whole = login and store.is_anonymous(live.record)",
        new="whole = False",
        breaks="a login form that is sent twice logs in",
        found_by="integration/login/test_again.py::test_the_form_can_be_sent_twice",
    ),
    Mutant(
        name="the-first-of-two-attempts-stays",
        file="moves.py",
        old="unseen = first if first and",
        new="unseen = None if first and",
        breaks="a session that a login began and nobody has ends with the next attempt",
        found_by="integration/login/test_again.py::test_one_session_is_left_of_two_"
        "logins",
    ),
    Mutant(
        name="who-was-in-grace-reads-on",
        file="store/sessions.py",
        old="readable = verdict in OWN and",
        new="readable =",
        breaks="a copy of a cookie in its grace reads nothing of a session that moved",
        found_by="integration/login/test_again.py::TestTheCookieFromBefore::test_th"
        "at_was_in_its_grace_reads_nothing",
    ),
    Mutant(
        name="removal-of-the-user-ends-the-login-of-another",
        file="logins.py",
        old="return any(ours and ours == theirs for ours, theirs in names)",
        new="return any(ours for ours, theirs in names)",
        breaks="a logout does not end the login of somebody else meanwhile",
        found_by="integration/logout/test_moved.py::TestLogoutThatMeetsARotation::"
        "test_does_not_end_the_login_of_somebody_else_meanwhile",
    ),
    Mutant(
        name="destroy-leaves-the-rivals",
        file="logout.py",
        old="for rival in visit.rivals:",
        new="for rival in ():",
        breaks="a logout or login ends all sessions that the request came with",
        found_by="integration/login/test_planted.py::test_a_login_ends_all_session"
        "s_that_it_came_with",
    ),
    Mutant(
        name="a-write-after-a-move-begins-a-session",
        file="saving.py",
        old="if is_login or not visit.moved:",
        new="if True:",
        breaks="no late anonymous cookie overwrites the one of the login",
        found_by="integration/login/test_moved.py::test_a_write_with_the_cookie_fr"
        "om_before_creates_nothing",
    ),
    Mutant(
        name="another-user-in-the-same-dict-is-no-login",
        file="draft.py",
        old="*self._removed, *inside}]",
        new="*self._removed}]",
        breaks="the cookie from before a login is worth nothing after it",
        found_by="integration/login/test_new_id.py::test_another_user_in_the_same_"
        "dict_gets_another_id",
    ),
    Mutant(
        name="a-dict-without-a-name-is-not-told",
        file="logins.py",
        old="if before and isinstance(before, dict):",
        new="if not before:",
        breaks="who gets a new id at each request is told why",
        found_by="integration/login/test_new_id.py::test_a_change_of_a_dict_without_a"
        "_name_is_a_login_and_warned_about_once",
    ),
    Mutant(
        name="a-login-of-one-kind-of-user-looks-like-none",
        file="login_keys.py",
        old=r'rf"|(?:\w+_)?(?:is_?)?(?:(?:logged',
        new=r'rf"|(?:is_?)?(?:(?:logged',
        breaks="who is logged in without a new id is warned about",
        found_by="unit/test_login_keys.py::test_a_key_that_looks_like_an_identity_is_"
        "warned_about_once[admin_logged_in]",
    ),
    Mutant(
        name="a-profile-has-to-name-somebody",
        file="login_keys.py",
        old="return name_of(value) if isinstance(value, Mapping) else None",
        new="return value if isinstance(value, Mapping) else None",
        breaks="settings under the key `profile` can be stored",
        found_by="integration/test_real_use.py::test_a_profile_that_names_nobody_is_k"
        "ept[profile]",
    ),
    Mutant(
        name="an-empty-text-is-a-user",
        file="login_keys.py",
        old="isinstance(value, (str, dict, list, tuple)) and not value",
        new="isinstance(value, (dict, list, tuple)) and not value",
        breaks="an app that sets an empty text at a logout logs everybody out",
        found_by="integration/lists/test_limits.py::test_the_limit_does_not_count_whom"
        "_nobody_is_logged_in_with[user_id-''-memory]",
    ),
    Mutant(
        name="a-logout-by-removal-keeps-the-id",
        file="logins.py",
        old="if is_nobody(after) and not is_nobody(draft.stored(key)):",
        new="if False:",
        breaks="a copy from before the user was removed is worth nothing",
        found_by="integration/login/test_new_id.py::test_a_copy_from_before_the_us"
        "er_was_removed_is_worth_nothing",
    ),
    Mutant(
        name="a-tombstone-stays",
        file="store/records.py",
        old="TOMBSTONE_TTL = 10\n",
        new="TOMBSTONE_TTL = 1000\n",
        breaks="a tombstone is gone after ten seconds",
        found_by="integration/login/test_moved.py::test_the_tombstone_stays_for_te"
        "n_seconds",
    ),
    Mutant(
        name="a-logout-by-clear-is-not-told",
        file="draft.py",
        old="        if self._cleared:\n            return [*{**self.held",
        new="        if False:\n            return [*{**self.held",
        breaks="every end of a login leaves one line of the audit trail",
        found_by="integration/test_audit.py::test_every_end_leaves_one_line_that_says_who"
        "_and_why",
    ),
    Mutant(
        name="the-csrf-token-survives-a-login",
        file="draft.py",
        old="self._removed.update(self._base.keys() & others)",
        new="pass",
        breaks="a CSRF token that was known before a login does not work after it",
        found_by="integration/login/test_csrf.py::test_a_form_token_made_after_the"
        "_login_in_the_same_request_works",
    ),
    Mutant(
        name="flask-wtfs-copy-of-the-csrf-token-survives-a-login",
        file="visit.py",
        old="g.pop(key, None)  # Flask-WTF keeps a copy there",
        new="pass",
        breaks="a CSRF token that was known before a login does not work after it",
        found_by="integration/login/test_csrf.py::test_a_form_token_made_after_the"
        "_login_in_the_same_request_works",
    ),
    Mutant(
        name="a-csrf-token-of-another-request-survives-a-login",
        file="draft.py",
        old="removed = {*changes.removed, *keys} - assigned.keys()",
        new="removed = changes.removed",
        breaks="a CSRF token that another request stores meanwhile is dropped, too",
        found_by="integration/login/test_csrf.py::test_a_csrf_token_that_another_r"
        "equest_stores_meanwhile_is_dropped",
    ),
    Mutant(
        name="a-csrf-token-that-is-set-again-is-lost-at-a-login",
        file="draft.py",
        old="assigned[key] = self._base[key]  # set",
        new="pass  # set",
        breaks="what is set after a login is kept, also if it was stored before",
        found_by="integration/login/test_csrf.py::test_a_csrf_token_that_is_set_af"
        "ter_the_login_is_kept",
    ),
    Mutant(
        name="a-login-goes-on-with-the-old-life",
        file="store/regeneration.py",
        old="born, present = None if login else ids.born(live.id), epochs",
        new="born, present = ids.born(live.id), epochs",
        breaks="a login begins a new life",
        found_by="integration/login/test_new_id.py::test_a_login_begins_a_new_life"
        "_and_a_logout_goes_on_with_it",
    ),
    Mutant(
        name="a-rotation-begins-a-new-life",
        file="store/regeneration.py",
        old="born, present = None if login else ids.born(live.id), epochs",
        new="born, present = None, epochs",
        breaks="the absolute lifetime goes on over rotate()",
        found_by="integration/test_lifetimes.py::TestAbsoluteLifetime::test_goes_o"
        "n_through_a_rotation",
    ),
    Mutant(
        name="a-late-logout-ends-nothing",
        file="store/sessions.py",
        old="late = verdict is Verdict.LATE",
        new="late = False",
        breaks="a logout by a cookie that was outdated meanwhile is a logout",
        found_by="integration/logout/test_moved.py::TestDestroyWithAnotherTokenOfT"
        "heSession::test_one_that_was_outdated_during_the_request_ends_it",
    ),
    Mutant(
        name="a-logout-forgets-cookies-that-are-too-many",
        file="arrival.py",
        old="visit.untried = credentials",
        new="pass",
        breaks="a logout ends the sessions of all cookies of its request",
        found_by="integration/updates/test_seldom.py::"
        "test_of_more_than_three_cookies_none_is_tried_and_a_logout_ends_all",
    ),
)
