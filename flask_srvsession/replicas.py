"""Waiting until replicas of the storage have what was done, for ``durable=n``."""

from __future__ import annotations

from collections.abc import Collection

from .backends.base import Replicated
from .errors import BackendError, ConfigurationError, NotReplicated
from .guard import Guarded


class Replicas:
    """The replicas of the storage, if it knows any."""

    def __init__(self, guarded: Guarded) -> None:
        self._guarded = guarded

    def need(self, count: int) -> None:
        """Raise ConfigurationError where nobody knows what replicas have, and
        ValueError for a number that is none of replicas."""
        if count < 0:
            raise ValueError(f"durable is {count}, but must be 0 or more.")
        if count:
            self._known()

    def wait(self, count: int, keys: Collection[str]) -> None:
        """Return when `count` replicas have what was done before to each of `keys`;
        raise NotReplicated if that takes too long."""
        if not (count and keys):
            return
        ask = self._known().confirmed
        try:
            confirmed = self._guarded.once("replicate", ask, keys, count)
        except BackendError as error:
            raise NotReplicated(count, 0) from error
        if confirmed < count:
            raise NotReplicated(count, confirmed)

    def _known(self) -> Replicated:
        backend = self._guarded.backend
        if isinstance(backend, Replicated):
            return backend
        raise ConfigurationError(
            "durable= needs a storage that knows what its replicas have, as Redis;"
            f" {type(backend).__name__} does not. Leave it out, or make it 0, here."
        )
