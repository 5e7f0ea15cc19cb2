"""What holds on one Redis, on several."""

from tests.integration.test_limits import *  # noqa: F403
