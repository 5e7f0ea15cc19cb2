"""Sessions of other extensions, taken over when their cookies come.

``ServerSession(app, take_over=[FlaskSessionSource.redis(client)])``.
"""

from .cookie import CookieSource
from .flask_session import FlaskSessionSource
from .kvsession import KVSessionSource
from .source import Former, Presented, Refused, Source

__all__ = [
    "CookieSource",
    "FlaskSessionSource",
    "Former",
    "KVSessionSource",
    "Presented",
    "Refused",
    "Source",
]
