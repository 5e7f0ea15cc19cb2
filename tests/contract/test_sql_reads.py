"""How many rows a database reads: as many in a long list as in a short one.

By each server's own counters; SQLite's is the number of the steps of its machine.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from flask_srvsession.draft import Changes
from flask_srvsession.errors import TooManySessions
from flask_srvsession.store.revocation import find
from tests.benchmark.lists import USER, fill, settle, store_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 60
SHORT, LONG = 1_500, 7_500
STEPS = 3
"""Of SQLite's machine, to count a row."""
COUNTERS = {
    "postgresql": "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)"
    " + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)",
    "mariadb": "SELECT sum(variable_value) FROM information_schema.global_status"
    " WHERE variable_name REGEXP '^Handler_read_'",
}


class Site:
    """An app on a database, with so many sessions of one user."""

    def __init__(self, url: str, number: int) -> None:
        url += f"?srvsession_table=t{secrets.token_hex(6)}&srvsession_pool_size=1"
        self.url, self.number = f"{url}&srvsession_timeout={PATIENCE}", number
        self.store = store_of(self.url)
        self.user = self.store.lists.binding("user_id", USER)
        self._engine = self.store.backend.backend._database.engine
        self.is_sqlite = self._engine.dialect.name == "sqlite"
        self._steps = 0
        fill(self.store, number)
        settle(self._engine)
        self._prepare(self._engine)

    def limited(self, policy: str) -> Any:
        limit = {"SRVSESSION_MAX_PER_KEY": {"user_id": self.number}}
        store = store_of(self.url, SRVSESSION_MAX_PER_KEY_POLICY=policy, **limit)
        store.backend.backend._database.engine = self._engine
        return store

    def read_by(self, call: Callable[[], object]) -> int:
        """Return how many rows `call` lets the database read."""
        call()  # once before: what a process asks only once is no part of it
        before = self._read()
        call()
        return self._read() - before

    def _read(self) -> int:
        if self.is_sqlite:
            return self._steps
        with self._engine.connect() as connection:
            name = self._engine.dialect.name
            if name == "postgresql":
                connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
            return int(connection.exec_driver_sql(COUNTERS[name]).scalar_one())

    def _prepare(self, engine: sa.Engine) -> None:
        with engine.connect() as connection:
            if self.is_sqlite:
                driver: Any = connection.connection.driver_connection
                driver.set_progress_handler(self._step, 1)
            if engine.dialect.name == "postgresql":  # as for a disk without arms
                connection.exec_driver_sql("SET random_page_cost = 1.1")

    def _step(self) -> None:
        self._steps += 1


@pytest.fixture(params=["sqlite", "postgres", "mariadb"], scope="module")
def sites(request: pytest.FixtureRequest) -> Iterator[list[Site]]:
    server = request.getfixturevalue(f"{request.param}_server")
    yield (both := [Site(server.url, number) for number in (SHORT, LONG)])
    for site in both:
        site.store.backend.backend.close()


def login(store: Any) -> None:
    with suppress(TooManySessions):
        store.create(Changes(assigned={"user_id": store.serializer.dumps(USER)}))


def end_some(site: Site) -> None:
    """End and unlist some as a revocation of all does."""
    lists, records = site.store.lists, site.store.records
    some, _ = lists.oldest(site.user, 100)
    ended, _ = records.end_unchanged(
        records.lines([entry.session_id for entry in some])
    )
    assert len(ended) == 100
    lists.unlist(some)


def list_second_page(site: Site) -> None:
    page = find(site.store, site.user, limit=50)
    assert len(find(site.store, site.user, limit=50, after=page[-1].id)) == 50


FLAT: dict[str, Callable[[Site], Any]] = {
    "login": lambda site: login(site.store),
    "list": list_second_page,
    "fence": lambda site: site.store.lists.fence(site.user),
    "end": end_some,
}


@pytest.mark.parametrize("call", FLAT)
def test_in_a_long_list_it_reads_as_many_rows_as_in_a_short_one(
    sites: list[Site], call: str
) -> None:
    short, long = (site.read_by(partial(FLAT[call], site)) for site in sites)

    assert 0 < long < short * 2  # the list has five times as many


@pytest.mark.parametrize("policy", ["evict-oldest", "reject"])
def test_a_login_at_a_limit_counts_the_list_once(
    sites: list[Site], policy: str
) -> None:
    short, long = (site.read_by(partial(login, site.limited(policy))) for site in sites)

    each = (long - short) / (LONG - SHORT)
    assert each < (STEPS if sites[0].is_sqlite else 1) * 1.5
