"""The keys of ``SRVSESSION_ENCRYPTION_KEYS``, some of which a service may have."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from . import values
from .errors import BackendError, ConfigurationError
from .store.encryption import EncryptionKeys

log = logging.getLogger("flask_srvsession")

KEY = "SRVSESSION_ENCRYPTION_KEYS"


class Keyring:
    """Has the keys ready once it was asked for them.

    Each callable is called once in a process, and again only if it failed.
    """

    def __init__(self, configured: Any) -> None:
        self._configured = configured
        self._asked: dict[int, Any] = {}
        self._lock = threading.Lock()

    def keys(self) -> EncryptionKeys | None:
        """Return the keys, None without encryption.

        Raises BackendError where a callable fails: an outage, no logout; and
        ConfigurationError for keys that cannot be.
        """
        given: Any = self._configured
        if given is None:
            return None
        with self._lock:
            if callable(given):
                given = values.encryption_keys(KEY, self._ask(-1, given))
            keys = [
                values.encryption_key(f"{KEY}[{number}]", self._ask(number, each))
                for number, each in enumerate(given)
                if each is not None
            ]
        return EncryptionKeys(tuple(keys), given[-1] is not None)

    def _ask(self, number: int, each: Callable[[], Any] | bytes) -> Any:
        if not callable(each):
            return each
        if number not in self._asked:
            try:
                self._asked[number] = each()
            except ConfigurationError:
                raise
            except Exception as error:
                name = type(error).__name__  # its text may hold a key
                log.error("%s: a key was not to be had: %s", KEY, name)  # noqa: TRY400
                raise BackendError("keys", quick=True) from error
        return self._asked[number]
