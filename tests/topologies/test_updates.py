"""What holds on one Redis, on several."""

from tests.integration.test_updates import *  # noqa: F403
