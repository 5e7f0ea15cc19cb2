"""Flask-Session: records under a prefix and an id, in one of several storages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import ConfigurationError
from . import former_stores
from .source import Former, Presented, Source, as_session, decoded, former, unsigned

_ID = re.compile(r"[0-9A-Za-z_-]{16,255}")
"""A UUID in Flask-Session 0.5, ``token_urlsafe`` since then."""


class FlaskSessionSource(Source):
    """Sessions that Flask-Session 0.7 and 0.8 have written, in a storage of any kind.

    `get` returns the data under a key, as bytes (MessagePack or JSON) or as a
    dict, or None; `delete` deletes it; `keys`, which only the command needs, yields all
    keys that begin with a prefix. `key_prefix` is ``SESSION_KEY_PREFIX``,
    `use_signer` ``SESSION_USE_SIGNER``. :meth:`redis`, :meth:`memcached`,
    :meth:`sqlalchemy`, :meth:`cachelib` know the storages of Flask-Session; of MongoDB,
    say ``get=lambda key: (store.find_one({"id": key}) or {}).get("val")``.

    Pickled records, which Flask-Session has written up to 0.6, are refused: let
    Flask-Session 0.8 run for a while before, which writes them anew as they are used.
    """

    name = "flask-session"

    def __init__(
        self,
        get: Callable[[str], Any],
        delete: Callable[[str], Any],
        keys: Callable[[str], Iterable[str]] | None = None,
        *,
        key_prefix: str = "session:",
        use_signer: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self._get, self._delete, self._keys = get, delete, keys
        self.key_prefix = key_prefix
        self.use_signer = use_signer

    @classmethod
    def redis(cls, client: Any, **options: Any) -> FlaskSessionSource:
        """Return the source for ``SESSION_REDIS``, a client of redis-py."""
        return cls(*former_stores.of_redis(client), **options)

    @classmethod
    def memcached(cls, client: Any, **options: Any) -> FlaskSessionSource:
        """Return the source for ``SESSION_MEMCACHED``, a client of pymemcache.

        ConfigurationError for one that may unpickle its data. It cannot list what
        it has, so the command cannot be used.
        """
        return cls(*former_stores.of_memcached(client), **options)

    @classmethod
    def sqlalchemy(
        cls,
        engine: Any,
        table: str = "sessions",
        schema: str | None = None,
        **opts: Any,
    ) -> FlaskSessionSource:
        """Return the source for ``SESSION_SQLALCHEMY_TABLE`` and ``_SCHEMA``, on an
        engine of SQLAlchemy: ``db.engine``."""
        return cls(*former_stores.of_sql(engine, table, schema), **opts)

    @classmethod
    def cachelib(cls, cache: Any, **options: Any) -> FlaskSessionSource:
        """Return the source for ``SESSION_CACHELIB``.

        ConfigurationError for a cache whose serializer is one of cachelib's that
        unpickle, as all are by default.
        """
        return cls(*former_stores.of_cachelib(cache), **options)

    def recognize(
        self, cookie: str, secret_keys: Sequence[str | bytes]
    ) -> Presented | None:
        how = {"salt": "flask-session", "key_derivation": "hmac"}
        is_signed = self.use_signer
        session_id = unsigned(cookie, secret_keys, **how) if is_signed else cookie
        return Presented(session_id) if _ID.fullmatch(session_id) else None

    def read(self, session_id: str) -> Former | None:
        found = self._get(self.key_prefix + session_id)
        if not found:
            return None
        is_session = isinstance(found, Mapping)
        values = as_session(dict(found)) if is_session else decoded(found)
        return former(values)

    def delete(self, session_id: str) -> None:
        self._delete(self.key_prefix + session_id)

    def all(self) -> Iterator[Presented]:
        if self._keys is None:
            raise ConfigurationError(
                "This storage cannot list its keys: its sessions are taken over one by"
                " one, when their cookies come."
            )
        for key in self._keys(self.key_prefix):
            session_id = key.removeprefix(self.key_prefix)
            if session_id != key and _ID.fullmatch(session_id):
                yield Presented(session_id)
