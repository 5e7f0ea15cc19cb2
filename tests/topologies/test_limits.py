"""What holds on one Redis, on several."""

from tests.integration.lists.test_limits import *  # noqa: F403
