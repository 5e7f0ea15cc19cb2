"""What holds on one Redis, on several."""

from tests.integration.test_logout import *  # noqa: F403
