"""What holds on one Redis, on several."""

from tests.integration.login.conftest import *  # noqa: F403
from tests.integration.login.test_in_flight import *  # noqa: F403
from tests.integration.login.test_moved import *  # noqa: F403
from tests.integration.login.test_new_id import *  # noqa: F403
