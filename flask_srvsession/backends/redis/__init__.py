"""Sessions in Redis or Valkey."""

from .backend import RedisBackend, RedisIndex

__all__ = ["RedisBackend", "RedisIndex"]
