"""What holds on one Redis, on several."""

from tests.integration.test_revocation import *  # noqa: F403
