"""A URL makes a backend, or says what to do; it never shows what it holds."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import EntryPoint, EntryPoints, version
from typing import Any

import fakeredis
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from flask_srvsession import backends
from flask_srvsession.backends import backend_from_url
from flask_srvsession.backends.memcached import ItemTooLarge, MemcachedBackend
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.backends.redis import RedisBackend
from flask_srvsession.backends.redis.deadline import (
    PunctualConnection,
    PunctualSSLConnection,
    PunctualUnixConnection,
)
from flask_srvsession.errors import ConfigurationError

SECRET = "hunter2"


class Unconnected(MemoryBackend):
    """What the entry point of another package would name."""


@pytest.fixture
def entry_point(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Install an entry point for ``other://``; give its value."""

    def install(value: str) -> None:
        point = EntryPoint("other", value, backends.ENTRY_POINT_GROUP)
        monkeypatch.setattr(
            backends,
            "entry_points",
            lambda **wanted: EntryPoints([point]).select(**wanted),
        )

    return install


def options_of(backend: Any) -> dict[str, Any]:
    options: dict[str, Any] = backend._client.connection_pool.connection_kwargs
    return options


def test_memory_is_built_in() -> None:
    assert isinstance(backend_from_url("memory://"), MemoryBackend)


@pytest.mark.parametrize(
    ("url", "connection"),
    [
        ("redis://localhost:7000/2", PunctualConnection),
        ("rediss://localhost", PunctualSSLConnection),
        ("unix:///run/redis.sock?db=2", PunctualUnixConnection),
        ("valkey://localhost", PunctualConnection),
        ("valkeys://localhost", PunctualSSLConnection),
        ("REDIS://localhost", PunctualConnection),
    ],
)
def test_redis_urls_choose_the_connection(url: str, connection: type) -> None:
    backend: Any = backend_from_url(url)
    assert isinstance(backend, RedisBackend)
    assert backend._client.connection_pool.connection_class is connection


def test_redis_clients_that_we_build_give_up_after_a_second() -> None:
    backend: Any = backend_from_url("redis://localhost")
    options = options_of(backend)
    assert options["socket_timeout"] == options["socket_connect_timeout"] == 1
    assert backend._client.get_retry().get_retries() == 0


def test_the_query_of_a_redis_url_goes_first() -> None:
    backend = backend_from_url("redis://localhost?socket_timeout=0.25&db=3")
    assert options_of(backend)["socket_timeout"] == 0.25
    assert options_of(backend)["db"] == 3


def sentinels_of(backend: Any) -> list[dict[str, Any]]:
    """Return the options of the connections to the sentinels."""
    manager = backend._client.connection_pool.sentinel_manager
    return [s.connection_pool.connection_kwargs for s in manager.sentinels]


def test_a_sentinel_url_names_sentinels_and_the_service() -> None:
    url = "redis+sentinel://app:pw@one:1,two,[::1]:3/my-service/2?client_name=x"
    backend: Any = backend_from_url(url)

    addresses = [(o["host"], o["port"]) for o in sentinels_of(backend)]
    options = options_of(backend)

    assert addresses == [("one", 1), ("two", 26379), ("::1", 3)]
    assert backend._client.connection_pool.service_name == "my-service"
    assert (options["username"], options["password"]) == ("app", "pw")
    assert (options["db"], options["client_name"]) == (2, "x")
    assert options["socket_timeout"] == options["socket_connect_timeout"] == 1
    assert backend._client.get_retry().get_retries() == 0


def test_sentinels_have_credentials_of_their_own() -> None:
    backend = backend_from_url(
        "rediss+sentinel://app:pw@one,two/s?sentinel_username=asker"
        "&sentinel_password=s%40cret&ssl_ca_certs=/ca.pem&socket_timeout=0.5"
    )

    for options in sentinels_of(backend):
        assert (options["username"], options["password"]) == ("asker", "s@cret")
        assert options["ssl_ca_certs"] == "/ca.pem"
        assert options["socket_timeout"] == 0.5
    assert options_of(backend)["password"] == "pw"
    assert "sentinel_password" not in options_of(backend)


def test_sentinels_are_not_shown_the_password_of_the_servers() -> None:
    backend = backend_from_url("redis+sentinel://app:pw@one/s")

    [options] = sentinels_of(backend)

    assert options.get("username") is options.get("password") is None


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
@pytest.mark.parametrize("scheme", ["redis", "rediss", "valkey", "valkeys", "RedisS"])
def test_sentinel_and_cluster_urls_need_no_server_to_be_built(
    kind: str, scheme: str
) -> None:
    path = "/service" if kind == "sentinel" else ""
    backend = backend_from_url(f"{scheme}+{kind}://nowhere.invalid,elsewhere:1{path}")
    assert isinstance(backend, RedisBackend)
    backend.close()


@pytest.mark.parametrize(
    "rest",
    [
        f"redis+sentinel://:{SECRET}@host",
        f"redis+sentinel://:{SECRET}@host/",
        f"redis+sentinel://:{SECRET}@host/service/first",
        f"redis+sentinel://:{SECRET}@host,/service",
        f"redis+sentinel://:{SECRET}@host:port/service",
        f"redis+cluster://:{SECRET}@host/1",
        f"redis+cluster://:{SECRET}@host,",
        f"rediss+cluster://host?ssl_cert_reqs={SECRET}",
        f"rediss://host?ssl_cert_reqs={SECRET}",
    ],
)
def test_a_bad_redis_url_is_refused_before_it_is_used(rest: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        backend_from_url(rest)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("url", ["redis://host", "redis+sentinel://host/service"])
def test_there_are_as_many_connections_as_threads_unless_the_url_says(url: str) -> None:
    ours: Any = backend_from_url(url)
    theirs: Any = backend_from_url(f"{url}?max_connections=3")

    assert ours._client.connection_pool.max_connections > 10_000
    assert theirs._client.connection_pool.max_connections == 3


@pytest.mark.parametrize("rest", ["://host", "+cluster://host", "+sentinel://host/s"])
def test_a_redis_url_cannot_ask_for_text(rest: str) -> None:
    with pytest.raises(ConfigurationError, match="decode_responses"):
        backend_from_url(f"redis{rest}?decode_responses=True")


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("memcached://one", [("one", 11211)]),
        ("memcached://one:1,two:2/", [("one", 1), ("two", 2)]),
        ("memcached://[::1]:1,[fe80::2],10.0.0.1", [
            ("::1", 1), ("fe80::2", 11211), ("10.0.0.1", 11211)]),
    ],
)  # fmt: skip
def test_memcached_urls_list_servers(url: str, servers: list[tuple[str, int]]) -> None:
    backend: Any = backend_from_url(url)
    assert isinstance(backend, MemcachedBackend)
    assert list(backend._servers) == servers


def test_memcached_urls_take_options() -> None:
    backend: Any = backend_from_url("memcached://one?timeout=0.5&max_bytes=4000000")
    [server] = backend._clients
    assert (server._timeout, backend.max_bytes) == (0.5, 4_000_000)


def test_memcached_needs_a_server() -> None:
    with pytest.raises(ConfigurationError, match="at least one server"):
        MemcachedBackend([])


def test_what_is_too_long_for_memcached_is_not_sent() -> None:
    backend = MemcachedBackend([("server.invalid", 1)], max_bytes=10)
    with pytest.raises(ItemTooLarge, match="11 bytes are too many"):
        backend.add("key", b"12345678901", 60)


@pytest.mark.parametrize(
    "url",
    [
        f"user:{SECRET}@host",
        f"mongodb://user:{SECRET}@host/",
        f"redis://user:{SECRET}@host:port/0",
        f"redis://host?socket_timeout={SECRET}",
        f"memcached://user:{SECRET}@host",
        f"memcached://host:{SECRET}",
        "memcached://host:99999999",
        "memcached://",
        f"memcached://host?password={SECRET}",
        f"memcached://host?timeout={SECRET}",
    ],
)
def test_a_bad_url_is_refused_and_never_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="://") as raised:
        backend_from_url(url)
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


WRONG_OPTIONS = {
    "redis://h": "socket_timeout=soon socket_connect_timeout=soon db=first protocol=4"
    " max_connections=many health_check_interval=often socket_timout=1",
    "rediss://h": "ssl_cert_reqs=sometimes ssl_min_version=old",
    "unix:///run/redis.sock": "db=first",
    "redis+sentinel://h/s": "socket_timeout=soon sentinel_socket_timeout=soon s=1",
    "redis+cluster://h": "socket_timeout=soon pool=1",
    "memcached://h": "timeout=soon max_bytes=many tls=1",
    "sqlite:///nowhere.db": "timeout=soon vacuum=1 srvsession_timeout=soon"
    " srvsession_timeout=0 srvsession_pool_size=many srvsession_pool_size=0"
    " srvsession_pool_timeout=soon srvsession_pool_timeout=-1 srvsession_tabel=s",
    "postgresql://u:hunter2@127.0.0.1:1/x": "connect_timeout=soon sslmod=require",
    "mysql://u:hunter2@127.0.0.1:1/x": "read_timeout=soon charset=none ssl_on=1",
}
NOTICED_SINCE = {
    "vacuum=1": ("sqlalchemy", [2, 1]),
    "ssl_min_version=old": ("redis", [8]),
}
"""Options that older releases of a package ignore, or look at after connecting."""


@pytest.mark.parametrize(
    ("url", "option"),
    [(url, option) for url in WRONG_OPTIONS for option in WRONG_OPTIONS[url].split()],
)
def test_each_wrong_option_names_itself_at_the_first_contact(
    url: str, option: str
) -> None:
    name = option.partition("=")[0].removeprefix("srvsession_")
    package, since = NOTICED_SINCE.get(option, ("flask", [0]))
    if [int(part) for part in version(package).split(".")[:2]] < since:
        pytest.skip(f"{package} takes it")
    with pytest.raises(ConfigurationError, match=rf"\b{name}|_{name}") as raised:
        backend_from_url(f"{url}?{option}").get("key")
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("url", ["redis://:pa?ss@h", "memcached://pa?ss@h"])
def test_a_password_with_a_question_mark_is_no_option(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        backend_from_url(url)
    assert "ss@h" not in str(raised.value)


def test_an_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"mongodb://.*memcached://.*redis://"):
        backend_from_url("mongodb://localhost")


@pytest.mark.parametrize(
    ("scheme", "meant"),
    [
        ("postgres", "postgresql"),
        ("sqlite3", "sqlite"),
        ("memcache", "memcached"),
        ("reddis", "redis"),
    ],
)
def test_a_scheme_that_is_nearly_right_is_guessed(scheme: str, meant: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Did you mean {meant}://"):
        backend_from_url(f"{scheme}://user:{SECRET}@host/")


@pytest.mark.parametrize(
    ("url", "module", "remedy"),
    [
        ("redis://localhost", "redis", r'pip install "flask_srvsession\[redis\]"'),
        (
            "memcached://localhost",
            "memcached",
            r'pip install "flask_srvsession\[memcached\]"',
        ),
    ],
)
def test_a_missing_driver_names_the_remedy(
    url: str, module: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = {"redis": "redis", "memcached": "pymemcache"}[module]
    ours = f"flask_srvsession.backends.{module}"
    for name in [n for n in sys.modules if f"{n}.".startswith((f"{driver}.", ours))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(ConfigurationError, match=remedy):
        backend_from_url(url)


def test_other_packages_add_schemes(entry_point: Any) -> None:
    entry_point(f"{__name__}:Unconnected")
    sys.modules.setdefault(__name__, sys.modules[Unconnected.__module__])
    assert isinstance(backend_from_url("other://x"), MemoryBackend)
    with pytest.raises(ConfigurationError, match="other://"):
        backend_from_url("unknown://x")


def test_a_broken_entry_point_names_its_class(entry_point: Any) -> None:
    entry_point("no_such_package:Backend")
    with pytest.raises(ConfigurationError, match="no_such_package:Backend"):
        backend_from_url(f"other://user:{SECRET}@host")


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(lambda: fakeredis.FakeRedis(decode_responses=True), id="a client"),
        pytest.param(
            lambda: redis.Redis.from_url("redis://h?decode_responses=true"), id="a URL"
        ),
    ],
)
def test_a_client_that_decodes_is_refused(client: Any) -> None:
    with pytest.raises(ConfigurationError, match="without decode_responses"):
        RedisBackend(client())


def test_a_client_that_asks_replicas_is_refused() -> None:
    client: Any = fakeredis.FakeRedis()
    client.read_from_replicas = True
    with pytest.raises(ConfigurationError, match="replicas"):
        RedisBackend(client)


@pytest.mark.parametrize("retries", [0, 3])
def test_a_client_that_retries_is_warned_about(
    retries: int, caplog: pytest.LogCaptureFixture
) -> None:
    client = redis.Redis(password=SECRET, retry=Retry(NoBackoff(), retries))
    with caplog.at_level(logging.WARNING, logger="flask_srvsession"):
        RedisBackend(client)
    assert len(caplog.records) == (1 if retries else 0)
    assert SECRET not in caplog.text


class Refusing:
    """A client whose server does not let us see INFO."""

    def __init__(self, info: Any) -> None:
        self.asked = 0
        self._info = info
        self._client = fakeredis.FakeRedis()

    def info(self, section: str) -> Any:
        self.asked += 1
        if isinstance(self._info, Exception):
            raise self._info
        return self._info

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


FULL = {"maxmemory": 1000, "maxmemory_policy": "allkeys-lru"}
STRICT = {"maxmemory": 1000, "maxmemory_policy": "noeviction"}
ENDLESS = {"maxmemory": 0, "maxmemory_policy": "allkeys-lru"}


@pytest.mark.parametrize(
    ("info", "evicts"),
    [
        (FULL, True),
        (STRICT, False),
        (ENDLESS, False),
        ({}, True),
        (redis.ResponseError("NOPERM"), True),
    ],
)
def test_redis_says_whether_it_may_evict(info: Any, evicts: bool) -> None:
    client = Refusing(info)
    backend = RedisBackend(client)
    assert client.asked == 0, "building a backend must not need the server"
    assert backend.evicts is evicts
    assert backend.evicts is evicts
    assert client.asked == 1


def test_an_outage_is_not_remembered_as_eviction() -> None:
    client = Refusing(redis.ConnectionError("down"))
    backend = RedisBackend(client)
    with pytest.raises(redis.ConnectionError):
        _ = backend.evicts
    client._info = STRICT
    assert backend.evicts is False
