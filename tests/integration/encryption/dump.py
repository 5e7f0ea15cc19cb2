"""Everything that a storage has, as who has stolen it sees it."""

from __future__ import annotations

import sqlalchemy as sa

from flask_srvsession.backends import Backend
from flask_srvsession.backends.memcached import MemcachedBackend
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.backends.redis import RedisBackend
from flask_srvsession.backends.sql import SQLBackend

Dump = dict[bytes, bytes]


def dump(backend: Backend, prefix: str) -> Dump:
    """Return what is stored below `prefix`, keys and contents, expired or not."""
    start = prefix.encode()
    match backend:
        case MemoryBackend():
            items = backend._items.items()
            found = {key.encode(): item.cell.data for key, item in items}
        case RedisBackend():
            found = _of_redis(backend, prefix)
        case MemcachedBackend():
            found = _of_memcached(backend)
        case SQLBackend():
            found = _of_sql(backend)
        case _:
            raise AssertionError(f"no dump of a {type(backend).__name__}")
    return {key: data for key, data in found.items() if key.startswith(start)}


def _of_redis(backend: RedisBackend, prefix: str) -> Dump:
    ask = backend._client.execute_command
    found = {}
    for key in ask("KEYS", f"{prefix}*"):
        is_list = ask("TYPE", key) in (b"zset", "zset")
        data = ask("ZRANGE", key, 0, -1) if is_list else [ask("GET", key) or b""]
        found[key] = b" ".join(data)
    return found


def _of_memcached(backend: MemcachedBackend) -> Dump:
    found = backend.get_many([*backend.keys("")])
    return {key.encode(): cell.data for key, cell in found.items()}


def _of_sql(backend: SQLBackend) -> Dump:
    tables = backend._tables
    found: Dump = {}
    for table in (tables.cells, tables.epochs, tables.members):
        rows = backend._database.rows(sa.select(table))
        for row in rows:
            texts = [v if isinstance(v, bytes) else str(v).encode() for v in row]
            first = getattr(row, "name", None) or row.id
            name = f"{first}#{table.name}".encode()
            found[name] = b" ".join([found.get(name, b""), *texts])
    return found
