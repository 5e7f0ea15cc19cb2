"""Flask-Session: records under a prefix and an id, in one of several storages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import Any

from ..errors import ConfigurationError
from .source import Former, Presented, Source, as_session, decoded, former, unsigned

_ID = re.compile(r"[0-9A-Za-z_-]{16,255}")
"""A UUID in Flask-Session 0.5, ``token_urlsafe`` since then."""

AT_ONCE = 500
"""Keys that one command of Redis looks at."""


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
        special = str.maketrans({c: f"\\{c}" for c in "*?[]\\"})

        def keys(prefix: str) -> Iterator[str]:
            pattern = f"{prefix.translate(special)}*"
            for key in client.scan_iter(match=pattern, count=AT_ONCE):
                yield key.decode("utf-8", "replace") if isinstance(key, bytes) else key

        return cls(client.get, client.delete, keys, **options)

    @classmethod
    def memcached(cls, client: Any, **options: Any) -> FlaskSessionSource:
        """Return the source for ``SESSION_MEMCACHED``, a client of pymemcache.

        ConfigurationError for one that may unpickle its data. It cannot list what
        it has, so the command cannot be used.
        """
        serde = getattr(client, "serde", None)
        if serde is None or not _leaves_bytes(serde):
            raise ConfigurationError(
                f"The client is a {type(client).__name__} that may unpickle what it"
                " reads, and so run code that somebody has put there: give a"
                " pymemcache.Client without serde and deserializer."
            )
        return cls(client.get, partial(client.delete, noreply=False), **options)

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
        return cls(*_of_table(engine, table, schema), **opts)

    @classmethod
    def cachelib(cls, cache: Any, **options: Any) -> FlaskSessionSource:
        """Return the source for ``SESSION_CACHELIB``.

        ConfigurationError for a cache whose serializer is one of cachelib's that
        unpickle, as all are by default.
        """
        serializer = type(getattr(cache, "serializer", None))
        if any(_unpickles(serializer, method) for method in ("load", "loads")):
            raise ConfigurationError(
                f"This {type(cache).__name__} unpickles what it reads, and so runs code"
                " that somebody may have put there: only a cache that was written with"
                " cachelib.serializers.JSONSerializer, or one of your own, can be read."
            )
        return cls(cache.get, cache.delete, **options)

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


def _leaves_bytes(serde: Any) -> bool:
    from pymemcache.serde import LegacyWrappingSerde

    plain = LegacyWrappingSerde._default_deserialize
    return getattr(serde.deserialize, "__func__", None) is plain


def _unpickles(serializer: type, method: str) -> bool:
    """Return whether `method` is missing, or one of cachelib's that unpickle."""
    owners = [cls for cls in serializer.__mro__ if method in vars(cls)]
    if not owners:
        return True
    of_cachelib = owners[0].__module__.partition(".")[0] == "cachelib"
    return of_cachelib and owners[0].__name__ != "JSONSerializer"


def _of_table(engine: Any, table: str, schema: str | None) -> tuple[Any, Any, Any]:
    """Return how its table is read, deleted from and listed."""
    import sqlalchemy as sa

    former = sa.Table(
        table,
        sa.MetaData(),
        sa.Column("session_id", sa.String(255)),
        sa.Column("data", sa.LargeBinary),
        sa.Column("expiry", sa.DateTime),
        schema=schema,
    )

    def get(key: str) -> bytes | None:
        """Some databases compare text without regard to case: then it is another."""
        query = sa.select(former).where(former.c.session_id == key)
        with engine.connect() as connection:
            rows = connection.execute(query).all()
        now = datetime.now(timezone.utc).replace(tzinfo=None)
        for row in rows:
            if row.session_id == key and row.expiry is not None and row.expiry > now:
                return bytes(row.data)
        return None

    def delete(key: str) -> None:
        with engine.begin() as connection:
            connection.execute(sa.delete(former).where(former.c.session_id == key))

    def keys(prefix: str) -> Iterable[str]:
        column = former.c.session_id
        query = sa.select(column).where(column.startswith(prefix, autoescape=True))
        with engine.connect() as connection:
            return [*connection.execute(query).scalars()]

    return get, delete, keys
