"""Untouched sessions cost nothing; a cookie is set when it must be, and never else."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="cookies-of-the-request-class-are-ignored",
        file="arrival.py",
        old="or request.__class__.cookies is not Request.cookies",
        new="",
        breaks="an app's request class may have cookies of its own",
        found_by="unit/test_cookies_named.py::"
        "test_a_request_class_of_the_app_may_have_cookies_of_its_own",
    ),
    Mutant(
        name="cookies-of-the-request-class-have-to-be-werkzeugs",
        file="arrival.py",
        old="return MultiDict(request.cookies).getlist(name)",
        new="return request.cookies.getlist(name)",
        breaks="an app's request class may have cookies of its own",
        found_by="unit/test_cookies_named.py::"
        "test_a_request_class_of_the_app_may_have_cookies_of_its_own",
    ),
    Mutant(
        name="flask-logins-notes-load-the-session",
        file="session.py",
        old='LOCAL_KEYS = frozenset({"_remember", "_remember_seconds"})',
        new="LOCAL_KEYS = frozenset()",
        breaks="under Flask-Login an untouched session costs no command",
        found_by="integration/flask_login/test_sessions.py::test_a_view_that_does_"
        "not_ask_who_is_there_loads_nothing",
    ),
    Mutant(
        name="refresh-of-an-outdated-credential",
        file="interface.py",
        old="current = credential.generation == live.record.generation",
        new="current = True",
        breaks="an outdated cookie is not sent again",
        found_by="integration/rotation/test_successors.py::TestRotation::test_turn"
        "ed_off_later_the_outdated_cookie_is_not_sent_again",
    ),
    Mutant(
        name="a-public-response-carries-a-successor",
        file="interface.py",
        old="if fresh and not is_public(response):",
        new="if fresh:",
        breaks="no successor on a response that a cache gives to others",
        found_by="integration/rotation/test_successors.py::TestRotation::test_the_"
        "successor_is_withheld_from_a_response_that_is_public",
    ),
    Mutant(
        name="an-old-read-hands-out-a-successor",
        file="interface.py",
        old="visit.store.clock() - live.read_at < rotation.FRESH",
        new="live.version is not None",
        breaks="a read that is a second old hands nothing out",
        found_by="integration/rotation/test_successors.py::TestRotation::test_a_re"
        "ad_that_is_a_second_old_hands_nothing_out",
    ),
    Mutant(
        name="the-cookie-is-deleted-with-other-attributes",
        file="interface.py",
        old="response.delete_cookie(name, **attributes)",
        new="response.delete_cookie(name)",
        breaks="the cookie is deleted with the attributes it was set with",
        found_by="integration/cookies/test_set_cookie.py::TestTheCookieIsDeleted::"
        "test_with_all_attributes_that_it_was_set_with",
    ),
    Mutant(
        name="the-cookie-can-be-read-by-scripts",
        file="interface.py",
        old='"httponly": self.get_cookie_httponly(app),',
        new='"httponly": False,',
        breaks="Flask's own keys decide the cookie",
        found_by="integration/cookies/test_expiry.py::TestExpiry::test_is_not_ther"
        "e_for_a_session_of_the_browser",
    ),
    Mutant(
        name="the-cookie-goes-out-unencrypted",
        file="interface.py",
        old='"secure": self.get_cookie_secure(app),',
        new='"secure": False,',
        breaks="Flask's own keys decide the cookie",
        found_by="integration/cookies/test_set_cookie.py::TestTheCookieIsDeleted::"
        "test_with_all_attributes_that_it_was_set_with",
    ),
    Mutant(
        name="the-cache-control-of-the-view-is-overruled",
        file="responses.py",
        old='if "Cache-Control" not in response.headers:',
        new="if True:",
        breaks="a Cache-Control of the view goes first",
        found_by="integration/cookies/test_headers.py::TestCacheControl::test_of_t"
        "he_view_goes_first",
    ),
    Mutant(
        name="the-cookie-outlives-the-session",
        file="interface.py",
        old="return min(expires, session.ends_at or expires)",
        new="return expires",
        breaks="a cookie never expires past the absolute end",
        found_by="integration/cookies/test_expiry.py::TestExpiry::test_is_never_pa"
        "st_the_absolute_end",
    ),
    Mutant(
        name="every-cookie-is-permanent",
        file="interface.py",
        old="if not isinstance(session, ServerSideSession) or not session.permanent:",
        new="if not isinstance(session, ServerSideSession):",
        breaks="the cookie of a session that is not permanent ends with the browser",
        found_by="integration/cookies/test_expiry.py::TestExpiry::test_is_not_ther"
        "e_for_a_session_of_the_browser",
    ),
    Mutant(
        name="any-number-of-cookies-is-tried",
        file="arrival.py",
        old="MAX_COOKIES = 3\n",
        new="MAX_COOKIES = 300\n",
        breaks="at most three cookies of our name cost a command",
        found_by="integration/login/test_planted.py::test_more_than_three_cookies_"
        "of_ours_are_not_tried",
    ),
)
