"""Every change of a storage is conditional; nothing is created by a change."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="memory-swap-creates",
        file="backends/memory.py",
        old="if item is None:\n                return None\n            if item.cell",
        new="if item is None:\n"
        "                return stripe.write(key, bytes(data), now + ttl)\n"
        "            if item.cell",
        breaks="a swap never creates",
        found_by="contract/test_memory.py::TestMemory::test_swap_never_creates",
    ),
    Mutant(
        name="memory-swap-without-a-token",
        file="backends/memory.py",
        old="if item.cell.token != token:",
        new="if False:",
        breaks="a swap replaces only the version that was read",
        found_by="contract/test_memory.py::TestMemory::"
        "test_swap_with_an_outdated_token_returns_what_is_there",
    ),
    Mutant(
        name="memory-delete-without-a-token",
        file="backends/memory.py",
        old="if item is None or (token is not None and item.cell.token != token):",
        new="if item is None:",
        breaks="a delete with an outdated token keeps what is there",
        found_by="contract/test_memory.py::TestMemory::"
        "test_delete_with_an_outdated_token_keeps_what_is_there",
    ),
    Mutant(
        name="memory-add-overwrites",
        file="backends/memory.py",
        old="if stripe.live(key, now) is not None:",
        new="if False:",
        breaks="an add never overwrites",
        found_by="contract/test_memory.py::TestMemory::test_add_never_overwrites",
    ),
    Mutant(
        name="memory-serves-what-has-expired",
        file="backends/memory.py",
        old="return None if item is None or item.deadline <= now else item",
        new="return item",
        breaks="what has expired is absent for every method",
        found_by="contract/test_memory.py::TestMemory::"
        "test_the_expired_are_absent_and_then_removed",
    ),
    Mutant(
        name="memory-tokens-come-back",
        file="backends/memory.py",
        old="self.written += 1\n        item = self.items.get(key)",
        new="item = self.items.get(key)\n"
        "        self.written = item.cell.token + 1 if item else 1",
        breaks="an outdated token of a former cell is refused",
        found_by="contract/test_memory.py::TestMemory::"
        "test_an_outdated_token_of_a_former_cell_is_refused",
    ),
    Mutant(
        name="memory-without-a-lock",
        file="backends/memory.py",
        old="lock: threading.Lock = field(default_factory=threading.Lock)",
        new="lock: threading.Lock = field("
        "default_factory=lambda: __import__('contextlib').nullcontext())",
        breaks="of many swaps one wins each version",
        found_by="contract/test_memory.py::TestMemory::"
        "test_of_many_swaps_one_wins_each_version",
    ),
    Mutant(
        name="memory-keeps-what-has-expired",
        file="backends/memory.py",
        old="if item.deadline <= now:\n                del self.items[key]",
        new="if item.deadline <= now:\n                pass",
        breaks="what has expired is removed",
        found_by="contract/test_memory.py::TestMemory::"
        "test_the_expired_are_absent_and_then_removed",
    ),
    Mutant(
        name="redis-add-overwrites",
        file="backends/redis.py",
        old="token + data, nx=True, px=ttl * 1000)",
        new="token + data, px=ttl * 1000)",
        breaks="an add never overwrites",
        found_by="contract/test_redis.py::TestRedis::test_add_never_overwrites",
    ),
    Mutant(
        name="redis-add-without-an-end",
        file="backends/redis.py",
        old="token + data, nx=True, px=ttl * 1000)",
        new="token + data, nx=True)",
        breaks="what is stored ends by itself",
        found_by="contract/test_redis.py::TestRedis::"
        "test_what_has_expired_is_absent_for_every_method",
    ),
    Mutant(
        name="redis-tokens-are-constant",
        file="backends/redis.py",
        old="new = secrets.token_bytes(_TOKEN)",
        new="new = bytes(_TOKEN)",
        breaks="a swap replaces only the version that was read",
        found_by="contract/test_redis.py::TestRedis::"
        "test_of_many_swaps_one_wins_each_version",
    ),
    Mutant(
        name="redis-swap-creates",
        file="backends/swap.lua",
        old="  return false\nend\nif token ~=",
        new="  token = ARGV[1]\nend\nif token ~=",
        breaks="a swap never creates",
        found_by="contract/test_redis.py::TestRedis::test_swap_never_creates",
    ),
    Mutant(
        name="redis-swap-without-a-token",
        file="backends/swap.lua",
        old="if token ~= ARGV[1] then",
        new="if false then",
        breaks="a swap replaces only the version that was read",
        found_by="contract/test_redis.py::TestRedis::"
        "test_swap_with_an_outdated_token_returns_what_is_there",
    ),
    Mutant(
        name="redis-swap-keeps-the-time",
        file="backends/swap.lua",
        old="'SET', KEYS[1], ARGV[2], 'PX', ARGV[3])",
        new="'SET', KEYS[1], ARGV[2], 'KEEPTTL')",
        breaks="a swap sets the time anew",
        found_by="contract/test_redis.py::TestRedis::"
        "test_swap_sets_the_time_anew_and_get_does_not",
    ),
    Mutant(
        name="redis-delete-without-a-token",
        file="backends/delete.lua",
        old="if token ~= ARGV[1] then",
        new="if false then",
        breaks="a delete with an outdated token keeps what is there",
        found_by="contract/test_redis.py::TestRedis::"
        "test_delete_with_an_outdated_token_keeps_what_is_there",
    ),
    Mutant(
        name="redis-no-epoch-check",
        file="backends/index_add.lua",
        old="if not head or string.match(head, '^[^ ]+') ~= ARGV[2] then",
        new="if not head then",
        breaks="an add with an old epoch is stale",
        found_by="contract/test_redis.py::TestRedis::"
        "test_add_with_an_old_epoch_is_stale",
    ),
    Mutant(
        name="redis-adds-to-an-unknown-index",
        file="backends/index_add.lua",
        old="if not head or string.match(head, '^[^ ]+') ~= ARGV[2] then",
        new="if head and string.match(head, '^[^ ]+') ~= ARGV[2] then",
        breaks="an add to an index that was lost is stale",
        found_by="contract/test_redis.py::TestRedis::"
        "test_add_to_an_unknown_index_is_stale",
    ),
    Mutant(
        name="redis-forgets-the-epoch-before-its-members",
        file="backends/index_add.lua",
        old="if redis.call('PTTL', key) < life then",
        new="if key == KEYS[2] and redis.call('PTTL', key) < life then",
        breaks="an epoch lives as long as who is listed under it",
        found_by="contract/test_redis.py::TestRedis::"
        "test_an_epoch_lives_as_long_as_who_was_listed_under_it",
    ),
    Mutant(
        name="redis-shortens-the-time-of-a-member",
        file="backends/index_add.lua",
        old="'ZADD', KEYS[2], 'GT',",
        new="'ZADD', KEYS[2],",
        breaks="adding a listed member again only renews its time",
        found_by="contract/test_redis.py::TestRedis::test_members_expire",
    ),
    Mutant(
        name="redis-lists-who-has-expired",
        file="backends/index_members.lua",
        old="'(' .. string.format('%.0f', now)",
        new="'-inf'",
        breaks="members expire",
        found_by="contract/test_redis.py::TestRedis::test_members_expire",
    ),
    Mutant(
        name="redis-admits-everybody",
        file="backends/redis.py",
        old="return {m for m, epoch in epochs.items() if epoch == current or m in "
        "spared}",
        new="return set(epochs)",
        breaks="only who knows the present epoch, or was spared, is admitted",
        found_by="contract/test_redis.py::TestRedis::test_admits_follows_the_epoch",
    ),
    Mutant(
        name="redis-admits-none-of-the-spared",
        file="backends/redis.py",
        old="return {m for m, epoch in epochs.items() if epoch == current or m in "
        "spared}",
        new="return {m for m, epoch in epochs.items() if epoch == current}",
        breaks="the spared stay admitted until the next fence",
        found_by="contract/test_redis.py::TestRedis::"
        "test_the_spared_stay_admitted_until_the_next_fence",
    ),
    Mutant(
        name="redis-is-trusted-not-to-evict",
        file="backends/redis_health.py",
        old='return info.get("maxmemory") != 0 and info.get("maxmemory_policy") != '
        '"noeviction"',
        new="return False",
        breaks="Redis says whether it may evict, so that loads are fenced",
        found_by="unit/test_backend_urls.py::test_redis_says_whether_it_may_evict",
    ),
    Mutant(
        name="memcached-swap-without-a-token",
        file="backends/memcached.py",
        old="cas, other = self._cas_id(key, token)",
        new="cas, other = getattr(self.get(key), 'token', None), None",
        breaks="a swap replaces only the version that was read",
        found_by="contract/test_memcached.py::TestMemcached::"
        "test_swap_with_an_outdated_token_returns_what_is_there",
    ),
    Mutant(
        name="memcached-swap-creates",
        file="backends/memcached.py",
        old="return None if swapped is None else self.get(key)",
        new="return self.add(key, data, ttl) if swapped is None else self.get(key)",
        breaks="a swap never creates",
        found_by="contract/test_memcached.py::TestMemcached::test_swap_never_creates",
    ),
    Mutant(
        name="memcached-delete-without-a-token",
        file="backends/memcached.py",
        old="cas, _ = self._cas_id(key, token)",
        new="return self.delete(key)",
        breaks="a delete with an outdated token keeps what is there",
        found_by="contract/test_memcached.py::TestMemcached::"
        "test_delete_with_an_outdated_token_keeps_what_is_there",
    ),
    Mutant(
        name="memcached-takes-any-version-for-ours",
        file="backends/memcached.py",
        old="if cell is None or _Written.of(cell.data) != token:",
        new="if cell is None:",
        breaks="what was added and changed since is somebody else's",
        found_by="contract/test_memcached.py::TestMemcached::"
        "test_swap_with_an_outdated_token_returns_what_is_there",
    ),
    Mutant(
        name="memcached-takes-a-long-life-for-a-date",
        file="backends/memcached.py",
        old="return int(time.time()) + ttl if ttl > _LONGEST_RELATIVE else max(1, ttl)",
        new="return max(1, ttl)",
        breaks="a session may live longer than 30 days",
        found_by="contract/test_memcached.py::TestMemcached::"
        "test_a_ttl_may_be_longer_than_30_days",
    ),
    Mutant(
        name="memcached-is-sent-what-is-too-long",
        file="backends/memcached.py",
        old="if self.max_bytes is not None and len(data) > self.max_bytes:",
        new="if False:",
        breaks="what is too long for memcached is not sent",
        found_by="unit/test_backend_urls.py::"
        "test_what_is_too_long_for_memcached_is_not_sent",
    ),
    Mutant(
        name="sql-reads-many-expired-ones",
        file="backends/sql.py",
        old='c.id.in_(sa.bindparam("cells", expanding=True)), alive\n',
        new='c.id.in_(sa.bindparam("cells", expanding=True))\n',
        breaks="what has expired is absent, where many are read as well",
        found_by="contract/test_sql.py::TestSQLite::"
        "test_what_has_expired_is_absent_for_every_method",
    ),
    Mutant(
        name="memcached-shares-connections-with-its-children",
        file="backends/memcached.py",
        old="# Two processes on one socket would read each other's replies.\n"
        "            self._connect()",
        new="pass",
        breaks="a child of a fork has connections of its own",
        found_by="contract/test_memcached.py::"
        "test_a_child_of_a_fork_has_connections_of_its_own",
    ),
    Mutant(
        name="sql-update-without-a-version",
        file="backends/sql.py",
        old="self.swap = sa.update(cells).where(here, unchanged, alive).values(new)",
        new="self.swap = sa.update(cells).where(here, alive).values(new)",
        breaks="a swap replaces only the version that was read",
        found_by="contract/test_sql.py::TestSQLite::"
        "test_swap_with_an_outdated_token_returns_what_is_there",
    ),
    Mutant(
        name="sql-update-of-what-has-expired",
        file="backends/sql.py",
        old="self.swap = sa.update(cells).where(here, unchanged, alive).values(new)",
        new="self.swap = sa.update(cells).where(here, unchanged).values(new)",
        breaks="what has expired is absent for every method",
        found_by="contract/test_sql.py::TestSQLite::"
        "test_what_has_expired_is_absent_for_every_method",
    ),
    Mutant(
        name="sql-delete-without-a-version",
        file="backends/sql.py",
        old="self.delete_version = sa.delete(cells).where(here, unchanged, alive)",
        new="self.delete_version = sa.delete(cells).where(here, alive)",
        breaks="a delete with an outdated token keeps what is there",
        found_by="contract/test_sql.py::TestSQLite::"
        "test_delete_with_an_outdated_token_keeps_what_is_there",
    ),
    Mutant(
        name="sql-serves-what-has-expired",
        file="backends/sql.py",
        old="self.get = sa.select(c.data, c.version).where(here, alive)",
        new="self.get = sa.select(c.data, c.version).where(here)",
        breaks="what has expired is absent for every method",
        found_by="contract/test_sql.py::TestSQLite::"
        "test_what_has_expired_is_absent_for_every_method",
    ),
    Mutant(
        name="sql-add-takes-over-what-is-alive",
        file="backends/sql.py",
        old="self.take_over = sa.update(cells).where(here, ~alive).values(new)",
        new="self.take_over = sa.update(cells).where(here).values(new)",
        breaks="an add never overwrites",
        found_by="contract/test_sql.py::TestSQLite::test_add_never_overwrites",
    ),
    Mutant(
        name="sql-versions-are-constant",
        file="backends/sql.py",
        old="return secrets.randbits(63)",
        new="return 1",
        breaks="an outdated token of a former cell is refused",
        found_by="contract/test_sql.py::TestSQLite::"
        "test_swap_with_an_outdated_token_returns_what_is_there",
    ),
    Mutant(
        name="sql-no-epoch-check",
        file="backends/sql.py",
        old="if self._locked_epoch(tx, name) != expect:",
        new="if False:",
        breaks="an add with an old epoch is stale",
        found_by="contract/test_sql.py::TestSQLite::"
        "test_add_with_an_old_epoch_is_stale",
    ),
    Mutant(
        name="sql-adds-without-a-lock",
        file="backends/sql.py",
        old="where(e.name == index).with_for_update()",
        new="where(e.name == index)",
        breaks="a fence misses nobody",
        found_by="contract/test_sql.py::TestPostgreSQL::test_a_fence_misses_nobody",
    ),
    Mutant(
        name="sql-shortens-the-time-of-a-member",
        file="backends/sql.py",
        old="later = sa.case((m.expires > until, m.expires), else_=until)",
        new="later = until",
        breaks="adding a listed member again only renews its time",
        found_by="contract/test_sql.py::TestSQLite::test_members_expire",
    ),
    Mutant(
        name="sweep-removes-the-epoch-of-who-is-listed",
        file="backends/sql_sweep.py",
        old="sa.delete(epochs).where(these, ~listed)",
        new="sa.delete(epochs).where(these)",
        breaks="a sweep leaves the epoch of who is listed",
        found_by="contract/test_sql.py::TestSQLite::"
        "test_sweep_leaves_the_epoch_of_who_is_listed",
    ),
    Mutant(
        name="sweep-without-a-margin",
        file="backends/sql.py",
        old="due = now - SWEEP_MARGIN * 1000",
        new="due = now",
        breaks="a process whose clock is ahead does not remove what is alive",
        found_by="contract/test_sql.py::TestSQLite::"
        "test_sweep_removes_all_that_expired_a_minute_ago",
    ),
    Mutant(
        name="sweep-ends-after-one-batch",
        file="backends/sql_sweep.py",
        old="if found < size:",
        new="if True:",
        breaks="a sweep removes all that has expired",
        found_by="contract/test_sql.py::TestSQLite::"
        "test_sweep_removes_all_that_expired_a_minute_ago",
    ),
    Mutant(
        name="sweep-waits-for-whoever-is-at-work",
        file="backends/sql_sweep.py",
        old="skip_locked=_can_skip_locked(tx.dialect)",
        new="skip_locked=False",
        breaks="a sweep waits for no row that others have locked",
        found_by="contract/test_sql.py::TestPostgreSQL::"
        "test_a_sweep_waits_for_no_row_that_others_have_locked",
    ),
    Mutant(
        name="postgresql-goes-on-for-who-has-given-up",
        file="backends/sql_engine.py",
        old='[f"SET statement_timeout = {limit}"]',
        new='["SELECT 1"]',
        breaks="what waited for a lock in vain is not done later",
        found_by="contract/test_sql.py::TestPostgreSQL::"
        "test_what_waited_for_a_lock_in_vain_is_not_done_later",
    ),
    Mutant(
        name="mariadb-goes-on-for-who-has-given-up",
        file="backends/sql_engine.py",
        old="{max(1, limit // 1000)}",
        new="{60 + limit}",
        breaks="what waited for a lock in vain is not done later",
        found_by="contract/test_sql.py::TestMariaDB::"
        "test_what_waited_for_a_lock_in_vain_is_not_done_later",
    ),
    Mutant(
        name="sqlite-transactions-begin-without-their-turn",
        file="backends/sql_engine.py",
        old='"sqlite": "BEGIN IMMEDIATE"',
        new='"sqlite": "BEGIN"',
        breaks="what a transaction has read is so when it writes",
        found_by="unit/test_sql_schema.py::"
        "test_a_transaction_on_sqlite_has_its_turn_from_the_beginning",
    ),
    Mutant(
        name="sqlite-does-not-wait-for-the-disk",
        file="backends/sql_engine.py",
        old='wanted = "FULL" if durable else "NORMAL"',
        new='wanted = "NORMAL"',
        breaks="what ends a session waits for the disk",
        found_by="unit/test_sql_schema.py::test_what_ends_a_session_waits_for_the_disk",
    ),
    Mutant(
        name="sql-shares-connections-with-its-children",
        file="backends/sql_engine.py",
        old="engine = self._engines.get(os.getpid())",
        new="engine = next(iter(self._engines.values()))",
        breaks="a child of a fork has connections of its own",
        found_by="contract/test_sql.py::TestPostgreSQL::"
        "test_a_child_of_a_fork_leaves_the_connections_of_its_parent_alone",
    ),
    Mutant(
        name="memory-remembers-the-deleted",
        file="backends/memory.py",
        old="if len(self.heap) > 2 * len(self.items) + _DEAD_ENTRIES:",
        new="if False:",
        breaks="what was deleted takes up no memory",
        found_by="contract/test_memory.py::TestMemory::"
        "test_what_was_deleted_takes_up_no_room",
    ),
    Mutant(
        name="redis-another-type-is-an-outage",
        file="backends/redis.py",
        old='if not str(error).startswith("WRONGTYPE"):',
        new="if True:",
        breaks="what somebody else keeps under our key is no session, and no outage",
        found_by="integration/test_bad_input.py::TestForeignRedisType::"
        "test_under_the_key_of_a_session_is_no_session",
    ),
    Mutant(
        name="redis-another-type-is-nothing",
        file="backends/redis.py",
        old="if absent and self._client.exists(*absent):",
        new="if False:",
        breaks="what somebody else keeps under our key does not unlist a session",
        found_by="integration/test_bad_input.py::TestForeignRedisType::"
        "test_hides_no_other_session_of_its_user_and_stays_listed",
    ),
    Mutant(
        name="cluster-asks-for-each-key",
        file="backends/redis.py",
        old="told = not isinstance(value, redis.RedisError)",
        new="told = False",
        breaks="many keys are asked for in one trip to each server",
        found_by="topologies/test_clients.py::"
        "test_many_keys_are_asked_for_in_one_trip_to_each_server",
    ),
    Mutant(
        name="redis-fence-shortens-the-life-of-the-epoch",
        file="backends/index_fence.lua",
        old="redis.call('PTTL', KEYS[1]), redis.call('PTTL', KEYS[2]))",
        new="0)",
        breaks="an epoch lives as long as who was listed under it",
        found_by="contract/test_redis.py::TestRedis::"
        "test_an_epoch_lives_as_long_as_who_was_listed_under_it",
    ),
    Mutant(
        name="cells-shorten-the-time-of-a-member",
        file="backends/index.py",
        old="listed[member] = max(now + ttl, listed.get(member, 0))",
        new="listed[member] = now + ttl",
        breaks="adding a listed member again only renews its time",
        found_by="contract/test_memory.py::TestMemory::test_members_expire",
    ),
    Mutant(
        name="sqlite-uses-a-file-that-was-replaced",
        file="backends/sql_engine.py",
        old="if _identity(path) != opened:",
        new="if False:",
        breaks="nothing is written to a file that nobody else sees",
        found_by="unit/test_sql_schema.py::"
        "test_a_file_that_was_replaced_is_not_used_any_more",
    ),
    Mutant(
        name="redis-shares-connections-with-its-children",
        file="backends/redis_lean.py",
        old="if self._pid != os.getpid():",
        new="if False:",
        breaks="a child of a fork has connections of its own",
        found_by="integration/test_redis_lean.py::"
        "test_a_forked_child_has_connections_of_its_own",
    ),
    Mutant(
        name="memcached-places-differ-by-process",
        file="backends/memcached.py",
        old="zlib.crc32(key.encode())",
        new="hash(key)",
        breaks="each process looks for a key on the same server",
        found_by="topologies/test_memcached.py::"
        "test_where_a_key_is_does_not_depend_on_anything_else",
    ),
    Mutant(
        name="cells-admit-everybody",
        file="backends/index.py",
        old="for m, e in epochs.items() if e == head.epoch or m in head.spared}",
        new="for m, e in epochs.items()}",
        breaks="only who knows the present epoch, or was spared, is admitted",
        found_by="contract/test_memory.py::TestMemory::test_admits_follows_the_epoch",
    ),
    Mutant(
        name="sql-admits-everybody",
        file="backends/sql.py",
        old='if row.epoch == epoch or member in row.spared.split(" ")',
        new="if row",
        breaks="only who knows the present epoch, or was spared, is admitted",
        found_by="contract/test_sql.py::TestSQLite::test_admits_follows_the_epoch",
    ),
    Mutant(
        name="sql-admits-none-of-the-spared",
        file="backends/sql.py",
        old='if row.epoch == epoch or member in row.spared.split(" ")',
        new="if row.epoch == epoch",
        breaks="the spared stay admitted until the next fence",
        found_by="contract/test_sql.py::TestSQLite::"
        "test_the_spared_stay_admitted_until_the_next_fence",
    ),
    Mutant(
        name="sqlite-without-a-write-ahead-log",
        file="backends/sql_engine.py",
        old='"PRAGMA journal_mode = WAL"',
        new='"PRAGMA journal_mode = DELETE"',
        breaks="readers of SQLite do not wait for a writer",
        found_by="unit/test_sql_schema.py::"
        "test_connections_to_sqlite_use_wal_and_foreign_keys",
    ),
)
