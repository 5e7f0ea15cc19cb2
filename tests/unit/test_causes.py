"""A failure is described by kinds and codes, never by a client's text."""

from __future__ import annotations

import errno
import socket
import ssl
from itertools import pairwise
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa
from psycopg import errors as postgresql
from pymemcache.exceptions import MemcacheUnexpectedCloseError

from flask_srvsession.backends import Backend, backend_from_url
from flask_srvsession.backends.causes import describe
from flask_srvsession.errors import ConfigurationError


def _refused_by_redis() -> Exception:
    """Return an error with the code that redis-py 7 and later keep."""
    error = redis.exceptions.NoPermissionError("this user hunter2")
    vars(error)["status_code"] = "NOPERM"
    return error


def chain(*errors: BaseException) -> BaseException:
    for outer, inner in pairwise(errors):
        outer.__cause__ = inner
    return errors[0]


def wrapped(original: Exception) -> BaseException:
    error = sa.exc.OperationalError("SELECT hunter2", {}, original)
    return chain(error, original)


CERTIFICATE = ssl.SSLCertVerificationError(1, "hunter2")
CERTIFICATE.reason = "CERTIFICATE_VERIFY_FAILED"

CAUSES = {
    "ConnectionError <- SSLCertVerificationError CERTIFICATE_VERIFY_FAILED": chain(
        redis.ConnectionError("hunter2"), CERTIFICATE
    ),
    "ConnectionError <- ConnectionRefusedError ECONNREFUSED": chain(
        redis.ConnectionError("hunter2"),
        ConnectionRefusedError(errno.ECONNREFUSED, "hunter2"),
    ),
    "gaierror EAI_NONAME": socket.gaierror(socket.EAI_NONAME, "hunter2"),
    "NoPermissionError NOPERM": _refused_by_redis(),
    "NoPermissionError NOPERM ('evalsha')": redis.exceptions.NoPermissionError(
        "NOPERM User hunter2 has no permissions to run the 'evalsha' command"
    ),
    "ResponseError ERR (ACL failure in script, 'time')": redis.ResponseError(
        "ERR ACL failure in script: hunter2 may not run the 'time' command"
    ),
    "OperationalError (does not exist)": wrapped(
        postgresql.OperationalError('FATAL: database "hunter2" does not exist')
    ),
    "ResponseError MISCONF": redis.ResponseError("MISCONF hunter2"),
    "ResponseError": redis.ResponseError("hunter2 HUNTER2"),
    "OperationalError 08006": wrapped(
        type("OperationalError", (postgresql.Error,), {"sqlstate": "08006"})("hunter2")
    ),
    "OperationalError 1290": wrapped(
        type("OperationalError", (Exception,), {})(1290, "hunter2")
    ),
    "OperationalError (Connection refused)": wrapped(
        postgresql.OperationalError("as hunter2: Connection refused")
    ),
    "MemcacheUnexpectedCloseError": MemcacheUnexpectedCloseError(),
    "TimeoutError": TimeoutError("hunter2"),
}


@pytest.mark.parametrize("expected", CAUSES)
def test_a_failure_is_described_by_kinds_and_codes(expected: str) -> None:
    error = CAUSES[expected]

    assert describe(error) == expected
    assert describe(error, "db1:6380") == f"{expected} at db1:6380"


def test_the_server_that_failed_goes_before_all_servers() -> None:
    error = MemcacheUnexpectedCloseError()
    error.server = "cache2:11211"

    assert describe(error, "cache1, cache2").endswith(" at cache2:11211")


def test_an_error_of_ours_says_all_that_there_is_to_say() -> None:
    error = chain(OSError("hunter2"), ConfigurationError("Mend it."))

    assert describe(error, "db1:6380") == "OSError <- Mend it."


def test_a_long_chain_ends() -> None:
    errors = [ValueError(number) for number in range(100)]

    assert len(describe(chain(*errors))) < 200


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("redis://:hunter2@db1:6380/2", "db1:6380"),
        ("unix://user:hunter2@/run/redis.sock", "/run/redis.sock"),
        ("redis+sentinel://:hunter2@s1,s2/shop", "shop"),
        ("redis+cluster://:hunter2@n1:1,n2:2", "n1:1,n2:2"),
        ("postgresql://user:hunter2@db1:5433/shop", "db1:5433"),
        ("mariadb://user:hunter2@db1/shop", "db1"),
    ],
)
def test_each_storage_knows_where_it_is_without_a_password(
    url: str, server: str
) -> None:
    backend: Backend = backend_from_url(url)

    assert getattr(backend, "server") == server  # noqa: B009 (not all have one)


def test_sqlite_is_a_file(tmp_path: Path) -> None:
    backend = backend_from_url(f"sqlite:///{tmp_path}/a.db")

    assert describe(OSError(), getattr(backend, "server")).endswith("a.db")  # noqa: B009
