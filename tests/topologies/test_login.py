"""What holds on one Redis, on several."""

from tests.integration.test_login import *  # noqa: F403
