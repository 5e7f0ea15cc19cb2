"""For tests: the contract that every backend proves, and a clock to wind.

A backend of your own proves itself with a few lines::

    class TestMyBackend(BackendContract):
        @pytest.fixture
        def backend(self):
            backend = MyBackend(...)
            yield backend
            backend.close()
"""

from typing import TYPE_CHECKING, Any

from .clock import FakeClock

if TYPE_CHECKING:
    from .contract import BackendContract

__all__ = ["BackendContract", "FakeClock"]


def __getattr__(name: str) -> Any:
    if name != "BackendContract":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .contract import BackendContract

    return BackendContract
