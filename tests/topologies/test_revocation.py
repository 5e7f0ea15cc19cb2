"""What holds on one Redis, on several."""

from tests.integration.lists.test_revocation import *  # noqa: F403
