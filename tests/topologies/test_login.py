"""What a storage has to do with a login holds on several Redis, too."""

from tests.integration.login.conftest import app
from tests.integration.login.test_again import (
    test_a_login_whose_cookie_was_presented_goes_on,
    test_the_form_can_be_sent_any_number_of_times,
    test_the_form_can_be_sent_twice,
)
from tests.integration.login.test_in_flight import (
    test_a_login_during_a_logout_of_the_same_session_is_dropped,
    test_a_login_in_flight_whose_anonymous_session_was_ended_begins_empty,
    test_a_request_in_flight_neither_brings_the_old_session_back_nor_sets_a_cookie,
    test_nothing_is_lost_between_a_login_and_many_writers,
    test_of_two_logins_at_once_the_later_ends_the_other_if_nobody_has_that,
    test_what_others_bind_during_it_is_listed_for_the_new_session,
)

__all__ = [
    "app",
    "test_a_login_during_a_logout_of_the_same_session_is_dropped",
    "test_a_login_in_flight_whose_anonymous_session_was_ended_begins_empty",
    "test_a_login_whose_cookie_was_presented_goes_on",
    "test_a_request_in_flight_neither_brings_the_old_session_back_nor_sets_a_cookie",
    "test_nothing_is_lost_between_a_login_and_many_writers",
    "test_of_two_logins_at_once_the_later_ends_the_other_if_nobody_has_that",
    "test_the_form_can_be_sent_any_number_of_times",
    "test_the_form_can_be_sent_twice",
    "test_what_others_bind_during_it_is_listed_for_the_new_session",
]
