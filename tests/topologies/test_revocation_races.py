"""What holds on one Redis, on several."""

from tests.integration.test_revocation_races import *  # noqa: F403
