"""What holds on one Redis, on several."""

from tests.integration.lists.test_races import *  # noqa: F403
