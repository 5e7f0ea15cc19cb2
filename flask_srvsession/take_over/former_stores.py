"""The storages of Flask-Session: how each is read, deleted from and listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from functools import partial
from typing import Any

from ..errors import ConfigurationError

Keys = Callable[[str], Iterable[str]]
Methods = tuple[Callable[[str], Any], Callable[[str], Any], Keys | None]
"""To get, to delete, and to list keys with a prefix."""

AT_ONCE = 500
"""Keys that one command asks for."""

_SPECIAL = str.maketrans({c: f"\\{c}" for c in "*?[]\\"})


def of_redis(client: Any) -> Methods:
    """Return the methods for a client of redis-py."""

    def keys(prefix: str) -> Iterator[str]:
        pattern = f"{prefix.translate(_SPECIAL)}*"
        for key in client.scan_iter(match=pattern, count=AT_ONCE):
            yield key.decode("utf-8", "replace") if isinstance(key, bytes) else key

    return client.get, client.delete, keys


def of_memcached(client: Any) -> Methods:
    """Return the methods for a client of pymemcache that does not unpickle."""
    serde = getattr(client, "serde", None)
    if serde is None or not _leaves_bytes(serde):
        raise ConfigurationError(
            f"The client is a {type(client).__name__} that may unpickle what it reads,"
            " and so run code that somebody has put there: give a pymemcache.Client"
            " without serde and deserializer."
        )
    return client.get, partial(client.delete, noreply=False), None


def _leaves_bytes(serde: Any) -> bool:
    from pymemcache.serde import LegacyWrappingSerde

    plain = LegacyWrappingSerde._default_deserialize
    return getattr(serde.deserialize, "__func__", None) is plain


def of_cachelib(cache: Any) -> Methods:
    """Return the methods for a cache of cachelib whose serializer does not unpickle."""
    serializer = type(getattr(cache, "serializer", None))
    if any(_unpickles(serializer, method) for method in ("load", "loads")):
        raise ConfigurationError(
            f"This {type(cache).__name__} unpickles what it reads, and so runs code"
            " that somebody may have put there: only a cache that was written with"
            " cachelib.serializers.JSONSerializer, or one of your own, can be read."
        )
    return cache.get, cache.delete, None


def _unpickles(serializer: type, method: str) -> bool:
    """Return whether `method` is missing, or one of cachelib's that unpickle."""
    owners = [cls for cls in serializer.__mro__ if method in vars(cls)]
    if not owners:
        return True
    of_cachelib = owners[0].__module__.partition(".")[0] == "cachelib"
    return of_cachelib and owners[0].__name__ != "JSONSerializer"


def of_sql(engine: Any, table: str, schema: str | None) -> Methods:
    """Return the methods for the table of Flask-Session on an engine of SQLAlchemy."""
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

    def keys(prefix: str) -> Iterator[str]:
        after, column = "", former.c.session_id
        while True:
            query = sa.select(column).where(column.startswith(prefix, autoescape=True))
            query = query.where(column > after).order_by(column).limit(AT_ONCE)
            with engine.connect() as connection:
                found = [*connection.execute(query).scalars()]
            yield from found
            if len(found) < AT_ONCE:
                return
            after = found[-1]

    return get, delete, keys
