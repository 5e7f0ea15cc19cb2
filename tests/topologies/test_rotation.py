"""What holds on one Redis, on several."""

from tests.integration.rotation.conftest import *  # noqa: F403
from tests.integration.rotation.test_outdated import *  # noqa: F403
from tests.integration.rotation.test_successors import *  # noqa: F403
