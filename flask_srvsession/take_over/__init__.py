"""Sessions of other extensions, taken over when their cookies come.

``ServerSession(app, take_over=[FlaskSessionSource.redis(client)])``.
"""

from .cookie import CookieSource as CookieSource
from .flask_session import FlaskSessionSource as FlaskSessionSource
from .kvsession import KVSessionSource as KVSessionSource
from .source import Former as Former
from .source import Presented as Presented
from .source import Refused as Refused
from .source import Source as Source
