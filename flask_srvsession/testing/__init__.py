"""What tests need: the contract that every backend proves, a clock to wind, and a way
to run jobs under every order of their backend calls.

A backend of your own proves itself with a few lines::

    class TestMyBackend(BackendContract):
        @pytest.fixture
        def backend(self):
            backend = MyBackend(...)
            yield backend
            backend.close()

What is built from several backend calls, such as an index over cells, proves itself
with :func:`interleave`.
"""

from .clock import FakeClock
from .contract import BackendContract
from .interleave import (
    Crash,
    Exploration,
    Fault,
    Job,
    Jobs,
    Scenario,
    SteppedBackend,
    Violation,
    interleave,
)

__all__ = [
    "BackendContract",
    "Crash",
    "Exploration",
    "FakeClock",
    "Fault",
    "Job",
    "Jobs",
    "Scenario",
    "SteppedBackend",
    "Violation",
    "interleave",
]
