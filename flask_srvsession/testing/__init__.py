"""For tests: the contract that every backend proves, and a clock to wind.

A backend of your own proves itself with a few lines::

    class TestMyBackend(BackendContract):
        @pytest.fixture
        def backend(self):
            backend = MyBackend(...)
            yield backend
            backend.close()
"""

from .clock import FakeClock
from .contract import BackendContract

__all__ = ["BackendContract", "FakeClock"]
