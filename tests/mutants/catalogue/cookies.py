"""Untouched sessions cost nothing; a cookie is set when it must be, and never else."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="every-request-loads-its-session",
        file="interface.py",
        old="return ServerSideSession(opening)",
        new="session = ServerSideSession(opening)\n"
        "        session._load()\n"
        "        return session",
        breaks="an untouched session costs no command",
        found_by="integration/test_commands.py::TestRedis::"
        "test_untouched_costs_nothing",
    ),
    Mutant(
        name="permanent-loads-the-session",
        file="session.py",
        old="self._permanent = bool(value)",
        new="self._load()\n        self._permanent = bool(value)",
        breaks="to set permanent costs no command",
        found_by="integration/test_commands.py::TestRedis::"
        "test_permanent_costs_nothing",
    ),
    Mutant(
        name="flask-logins-notes-load-the-session",
        file="session.py",
        old='LOCAL_KEYS = frozenset({"_remember", "_remember_seconds"})',
        new="LOCAL_KEYS = frozenset()",
        breaks="under Flask-Login an untouched session costs no command",
        found_by="integration/test_flask_login.py::"
        "test_a_view_that_does_not_ask_who_is_there_loads_nothing",
    ),
    Mutant(
        name="every-read-writes",
        file="store.py",
        old="or now - record.last_seen >= self.settings.touch_interval",
        new="or True",
        breaks="a reader writes once per touch interval",
        found_by="integration/test_lifetimes.py::TestTouchInterval::"
        "test_limits_how_often_a_reader_writes",
    ),
    Mutant(
        name="no-read-renews",
        file="store.py",
        old="or now - record.last_seen >= self.settings.touch_interval",
        new="",
        breaks="the idle timeout begins anew with each use",
        found_by="integration/test_lifetimes.py::TestIdleTimeout::"
        "test_begins_anew_with_each_use",
    ),
    Mutant(
        name="a-presented-session-is-taken-for-a-bots",
        file="store.py",
        old="return held.record.presented or not held.created",
        new="return held.record.presented",
        breaks="a session gets its full time when it is presented",
        found_by="integration/test_lifetimes.py::TestUnpresentedSession::"
        "test_gets_its_full_time_when_it_is_presented",
    ),
    Mutant(
        name="an-empty-session-is-stored",
        file="session.py",
        old="return State.NEW if self._draft else State.UNTOUCHED",
        new="return State.NEW",
        breaks="a session that stays empty is not stored",
        found_by="integration/test_cookies.py::TestNothingIsStored::"
        "test_and_no_cookie_set_for_a_session_that_stays_empty",
    ),
    Mutant(
        name="cookie-set-on-a-renewal",
        file="session.py",
        old="if self._settings.rotate_every is None and current and moves:",
        new="if current:",
        breaks="no response re-sends the credential it was asked with",
        found_by="integration/test_cookies.py::TestTheCookieIsNotSet::"
        "test_by_a_renewal",
    ),
    Mutant(
        name="refresh-each-request-in-spite-of-rotation",
        file="session.py",
        old="if self._settings.rotate_every is None and current and moves:",
        new="if current and moves:",
        breaks="no response re-sends the credential it was asked with",
        found_by="integration/test_cookies.py::TestExpiry::"
        "test_is_not_moved_by_a_use_of_the_session",
    ),
    Mutant(
        name="a-rotated-cookie-ends-before-its-session",
        file="session.py",
        old="unused = 0 if self.new else self._settings.idle_timeout",
        new="unused = 0",
        breaks="a permanent session in use does not end with its cookie",
        found_by="integration/test_cookies.py::TestExpiry::"
        "test_is_never_before_the_session_ends_for_lack_of_use",
    ),
    Mutant(
        name="a-cookie-does-not-move-with-its-session",
        file="session.py",
        old="moves = self._expiry_moved or (repeat and held.record.permanent)",
        new="moves = repeat and held.record.permanent",
        breaks="a permanent session in use does not end with its cookie",
        found_by="integration/test_cookies.py::TestExpiry::"
        "test_is_never_before_the_session_ends_for_lack_of_use",
    ),
    Mutant(
        name="a-cookie-outlives-the-browser-though-its-session-should-not",
        file="session.py",
        old="if found.record.permanent or changes.permanent is not None:",
        new="if found.record.permanent:",
        breaks="a session that is not permanent any more ends with the browser",
        found_by="integration/test_cookies.py::TestRefreshEachRequest::"
        "test_lets_a_session_that_is_not_permanent_any_more_end_with_the_browser",
    ),
    Mutant(
        name="refresh-of-an-outdated-credential",
        file="session.py",
        old="current = credential.generation == held.record.generation",
        new="current = True",
        breaks="an outdated cookie is not sent again",
        found_by="integration/test_rotation.py::TestRotation::"
        "test_turned_off_later_the_outdated_cookie_is_not_sent_again",
    ),
    Mutant(
        name="a-public-response-carries-a-successor",
        file="session.py",
        old="if fresh and not is_public():",
        new="if fresh:",
        breaks="no successor on a response that a cache gives to others",
        found_by="integration/test_rotation.py::TestRotation::"
        "test_the_successor_is_withheld_from_a_response_that_is_public",
    ),
    Mutant(
        name="an-old-read-hands-out-a-successor",
        file="session.py",
        old="self._store.clock() - held.read_at < rotation.FRESH",
        new="held.version is not None",
        breaks="a read that is a second old hands nothing out",
        found_by="integration/test_rotation.py::TestRotation::"
        "test_a_read_that_is_a_second_old_hands_nothing_out",
    ),
    Mutant(
        name="a-reader-of-an-ended-session-hands-out-a-successor",
        file="session.py",
        old="self._held = held._replace(credential=None)  # it is gone: no cookie",
        new="pass",
        breaks="a response whose session was ended meanwhile sets no cookie",
        found_by="integration/test_regressions.py::TestSessionsThatEnd::"
        "test_a_reader_whose_renewal_finds_it_gone_sends_no_cookie",
    ),
    Mutant(
        name="the-cookie-of-an-ended-session-is-not-deleted",
        file="session.py",
        old="return Cookie.DELETE if self._delete_cookie and not held else Cookie.KEEP",
        new="return Cookie.KEEP",
        breaks="the cookie is deleted with the session",
        found_by="integration/test_cookies.py::TestTheCookieIsDeleted::"
        "test_with_the_session",
    ),
    Mutant(
        name="a-cookie-of-nobody-is-deleted",
        file="session.py",
        old="return Cookie.DELETE if self._delete_cookie and not held else Cookie.KEEP",
        new="return Cookie.KEEP if held else Cookie.DELETE",
        breaks="only the cookie of a session that the request came with is deleted",
        found_by="integration/test_cookies.py::TestNothingIsStored::"
        "test_and_no_cookie_set_for_a_session_that_stays_empty",
    ),
    Mutant(
        name="the-cookie-is-deleted-with-other-attributes",
        file="interface.py",
        old="response.delete_cookie(name, **attributes)",
        new="response.delete_cookie(name)",
        breaks="the cookie is deleted with the attributes it was set with",
        found_by="integration/test_cookies.py::TestTheCookieIsDeleted::"
        "test_with_all_attributes_that_it_was_set_with",
    ),
    Mutant(
        name="the-cookie-can-be-read-by-scripts",
        file="interface.py",
        old='"httponly": self.get_cookie_httponly(app),',
        new='"httponly": False,',
        breaks="Flask's own keys decide the cookie",
        found_by="integration/test_cookies.py::TestExpiry::"
        "test_is_not_there_for_a_session_of_the_browser",
    ),
    Mutant(
        name="the-cookie-goes-out-unencrypted",
        file="interface.py",
        old='"secure": self.get_cookie_secure(app),',
        new='"secure": False,',
        breaks="Flask's own keys decide the cookie",
        found_by="integration/test_cookies.py::TestTheCookieIsDeleted::"
        "test_with_all_attributes_that_it_was_set_with",
    ),
    Mutant(
        name="no-vary",
        file="interface.py",
        old="if session.accessed:",
        new="if False:",
        breaks="a response that depends on the session varies on the cookie",
        found_by="integration/test_cookies.py::TestVary::"
        "test_names_the_cookie_for_each_kind_of_access",
    ),
    Mutant(
        name="vary-without-a-look",
        file="interface.py",
        old="if session.accessed:",
        new="if True:",
        breaks="a response for which nobody looked at the session can be cached",
        found_by="integration/test_cookies.py::TestVary::"
        "test_does_not_name_the_cookie_where_nobody_looked",
    ),
    Mutant(
        name="no-cache-control",
        file="interface.py",
        old="response.cache_control.no_store = True",
        new="pass",
        breaks="no cache stores a response with our cookie",
        found_by="integration/test_cookies.py::TestCacheControl::"
        "test_forbids_to_store_a_response_with_our_cookie",
    ),
    Mutant(
        name="the-cache-control-of-the-view-is-overruled",
        file="interface.py",
        old='if "Cache-Control" not in response.headers:',
        new="if True:",
        breaks="a Cache-Control of the view goes first",
        found_by="integration/test_cookies.py::TestCacheControl::"
        "test_of_the_view_goes_first",
    ),
    Mutant(
        name="the-cookie-outlives-the-session",
        file="interface.py",
        old="return min(expires, session.ends_at or expires)",
        new="return expires",
        breaks="a cookie never expires past the absolute end",
        found_by="integration/test_cookies.py::TestExpiry::"
        "test_is_never_past_the_absolute_end",
    ),
    Mutant(
        name="every-cookie-is-permanent",
        file="interface.py",
        old="if not isinstance(session, ServerSideSession) or not session.permanent:",
        new="if not isinstance(session, ServerSideSession):",
        breaks="the cookie of a session that is not permanent ends with the browser",
        found_by="integration/test_cookies.py::TestExpiry::"
        "test_is_not_there_for_a_session_of_the_browser",
    ),
    Mutant(
        name="any-number-of-cookies-is-tried",
        file="interface.py",
        old="MAX_COOKIES = 3\n",
        new="MAX_COOKIES = 300\n",
        breaks="at most three cookies of our name cost a command",
        found_by="integration/test_login.py::"
        "test_more_than_three_cookies_of_ours_are_not_tried",
    ),
    Mutant(
        name="a-cookie-from-the-future-costs-a-command",
        file="store.py",
        old="return ids.born(session_id) <= latest and now < self.ends_at(session_id)",
        new="return now < self.ends_at(session_id)",
        breaks="a cookie that cannot be alive costs no command",
        found_by="integration/test_bad_input.py::TestCookie::"
        "test_of_another_time_is_ignored",
    ),
    Mutant(
        name="a-cookie-past-its-end-costs-a-command",
        file="store.py",
        old="return ids.born(session_id) <= latest and now < self.ends_at(session_id)",
        new="return ids.born(session_id) <= latest",
        breaks="a cookie that cannot be alive costs no command",
        found_by="integration/test_lifetimes.py::TestAbsoluteLifetime::"
        "test_costs_no_command_once_it_is_over",
    ),
)
