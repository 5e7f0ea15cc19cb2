"""What holds on one Redis, on several."""

from tests.integration.updates.test_changes import *  # noqa: F403
from tests.integration.updates.test_commit import *  # noqa: F403
from tests.integration.updates.test_compute import *  # noqa: F403
from tests.integration.updates.test_dropped import *  # noqa: F403
from tests.integration.updates.test_outages import *  # noqa: F403
from tests.integration.updates.test_overlapping import *  # noqa: F403
