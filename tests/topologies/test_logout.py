"""What a storage has to do with a logout holds on several Redis, too."""

from tests.integration.logout.test_in_flight import (
    test_a_logout_wins_against_any_number_of_writers,
    test_a_writer_in_flight_leaves_the_session_dead_and_sends_no_cookie,
    test_two_logouts_at_once_both_succeed,
)
from tests.integration.logout.test_moved import TestAnyLogout, app
from tests.integration.logout.test_outages import (
    test_a_logout_of_which_one_answer_is_lost_is_done,
    test_a_logout_that_the_storage_cannot_confirm_is_a_503_and_no_logout,
)

__all__ = [
    "TestAnyLogout",
    "app",
    "test_a_logout_of_which_one_answer_is_lost_is_done",
    "test_a_logout_that_the_storage_cannot_confirm_is_a_503_and_no_logout",
    "test_a_logout_wins_against_any_number_of_writers",
    "test_a_writer_in_flight_leaves_the_session_dead_and_sends_no_cookie",
    "test_two_logouts_at_once_both_succeed",
]
