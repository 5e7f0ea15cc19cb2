"""What holds on one Redis, on several."""

from tests.integration.test_rotation import *  # noqa: F403
