"""The storages that sessions can live in, and how a URL finds one."""

from __future__ import annotations

import re
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, cast

from ..errors import ConfigurationError
from .base import Backend, Cell, Epoch, Head, Index, Version
from .cell_index import CellIndex

__all__ = [
    "Backend",
    "Cell",
    "CellIndex",
    "Epoch",
    "Head",
    "Index",
    "Version",
    "backend_from_url",
]

ENTRY_POINT_GROUP = "flask_srvsession.backends"

_DATABASES = ("sqlite", "postgresql", "mysql", "mariadb")
_REDIS = ("redis", "rediss", "valkey", "valkeys")
_BUILT_IN = {
    "memory": "memory:MemoryBackend",
    **dict.fromkeys(_REDIS, "redis:RedisBackend"),
    **{f"{scheme}+sentinel": "redis:RedisBackend" for scheme in _REDIS},
    **{f"{scheme}+cluster": "redis:RedisBackend" for scheme in _REDIS},
    "unix": "redis:RedisBackend",
    "memcached": "memcached:MemcachedBackend",
    **dict.fromkeys(_DATABASES, "sql:SQLBackend"),
}
_DRIVERS = {"redis": "redis", "memcached": "pymemcache", "sql": "sqlalchemy"}
"""The clients that our modules import; a module's name is that of the extra, too."""


def backend_from_url(url: str) -> Backend:
    """Build the backend that the scheme of `url` names.

    The scheme is one of ours or the name of an entry point in the group
    ``flask_srvsession.backends``, whose value is a class with a ``from_url``.
    """
    scheme = _scheme(url)
    database, _, _driver = scheme.partition("+")
    if database in _DATABASES:
        scheme = database  # the driver is for SQLAlchemy to find
    found = _built_in(scheme) if scheme in _BUILT_IN else _entry_point(scheme)
    return cast(Backend, found.from_url(url))


def _scheme(url: str) -> str:
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url)
    if match is None:
        # Nothing of the text is repeated: it may hold a password.
        raise ConfigurationError(
            "The backend must be a URL that begins with a scheme, such as"
            f" redis://localhost:6379/0. {_known_schemes()}"
        )
    return match[1].lower()


def _built_in(scheme: str) -> Any:
    module, _, name = _BUILT_IN[scheme].partition(":")
    try:
        return getattr(import_module(f".{module}", __name__), name)
    except ModuleNotFoundError as error:
        driver = _DRIVERS.get(module)
        if driver is None or (error.name or "").partition(".")[0] != driver:
            raise
        raise ConfigurationError(
            f"The backend {scheme}:// needs the package {driver}:"
            f' pip install "flask_srvsession[{module}]"'
        ) from error


def _entry_point(scheme: str) -> Any:
    found = tuple(entry_points(group=ENTRY_POINT_GROUP, name=scheme))
    if not found:
        close = get_close_matches(scheme, _BUILT_IN, n=1)
        hint = f" Did you mean {close[0]}://?" if close else ""
        raise ConfigurationError(
            f"There is no backend for {scheme}://.{hint} {_known_schemes()}"
        )
    try:
        return found[0].load()
    except ImportError as error:
        raise ConfigurationError(
            f"The backend for {scheme}:// ({found[0].value}) cannot be imported:"
            f" is the package that it needs installed? ({error})"
        ) from error


def _known_schemes() -> str:
    others = {point.name for point in entry_points(group=ENTRY_POINT_GROUP)}
    schemes = ", ".join(f"{scheme}://" for scheme in sorted(others | set(_BUILT_IN)))
    return f"Known are {schemes}."
