"""Sessions in memcached."""

from .backend import ItemTooLarge, MemcachedBackend

__all__ = ["ItemTooLarge", "MemcachedBackend"]
