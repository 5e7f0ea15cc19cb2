"""What holds on one Redis, on several."""

from tests.integration.logout.test_in_flight import *  # noqa: F403
from tests.integration.logout.test_logout import *  # noqa: F403
from tests.integration.logout.test_moved import *  # noqa: F403
from tests.integration.logout.test_outages import *  # noqa: F403
