"""Every change of a storage is conditional; nothing is created by a change."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="memcached-lists-by-its-queues",
        file="backends/memcached/keys.py",
        old='way = b"hash"',
        new='way = b"all"',
        breaks="keys that are being read are listed",
        found_by="contract/test_memcached.py::test_keys_that_are_being_read_are_listed",
    ),
    Mutant(
        name="memory-swap-creates",
        file="backends/memory.py",
        old="if cell is None or cell.version != version:",
        new="if cell is not None and cell.version != version:",
        breaks="a swap never creates",
        found_by="contract/test_memory.py::TestMemory::test_swap_never_creates",
    ),
    Mutant(
        name="memory-swap-without-a-version",
        file="backends/memory.py",
        old="cell is None or cell.version != version",
        new="cell is None",
        breaks="a swap replaces only the version that was read",
        found_by="contract/test_memory.py::TestMemory::"
        "test_swap_with_an_outdated_version_returns_what_is_there",
    ),
    Mutant(
        name="memory-delete-without-a-version",
        file="backends/memory.py",
        old="if cell is None or (version is not None and cell.version != version):",
        new="if cell is None:",
        breaks="a delete with an outdated version keeps what is there",
        found_by="contract/test_memory.py::TestMemory::"
        "test_delete_with_an_outdated_version_keeps_what_is_there",
    ),
    Mutant(
        name="memory-add-overwrites",
        file="backends/memory.py",
        old="return None if self._live(key) else self._write(key, data, ttl)",
        new="return self._write(key, data, ttl)",
        breaks="an add never overwrites",
        found_by="contract/test_memory.py::TestMemory::test_add_never_overwrites",
    ),
    Mutant(
        name="memory-serves-what-has-expired",
        file="backends/memory.py",
        old="return item.cell if item and item.deadline > self._clock() else None",
        new="return item.cell if item else None",
        breaks="what has expired is absent for every method",
        found_by="contract/test_memory.py::TestMemory::"
        "test_the_expired_are_absent_and_then_removed",
    ),
    Mutant(
        name="memory-tokens-come-back",
        file="backends/memory.py",
        old="self._written += 1\n",
        new="cell = self._live(key)\n"
        "        self._written = int(cell.version) + 1 if cell else 1\n",
        breaks="an outdated version of a former cell is refused",
        found_by="contract/test_memory.py::TestMemory::"
        "test_a_version_of_a_former_cell_is_refused",
    ),
    Mutant(
        name="memory-without-a-lock",
        file="backends/memory.py",
        old="self._lock = threading.Lock()",
        new='self._lock: Any = __import__("contextlib").nullcontext()',
        breaks="of many swaps one wins each version",
        found_by="contract/test_memory.py::TestMemory::"
        "test_of_many_swaps_one_wins_each_version",
    ),
    Mutant(
        name="memory-keeps-what-has-expired",
        file="backends/memory.py",
        old="self._items = {k: i for k, i in self._items.items() if i.deadline > now}",
        new="",
        breaks="what has expired is removed",
        found_by="contract/test_memory.py::TestMemory::"
        "test_the_expired_are_absent_and_then_removed",
    ),
    Mutant(
        name="redis-add-overwrites",
        file="backends/redis/backend.py",
        old="version + data, nx=True, px=ttl * 1000)",
        new="version + data, px=ttl * 1000)",
        breaks="an add never overwrites",
        found_by="contract/test_redis.py::TestRedis::test_add_never_overwrites",
    ),
    Mutant(
        name="redis-add-without-an-end",
        file="backends/redis/backend.py",
        old="version + data, nx=True, px=ttl * 1000)",
        new="version + data, nx=True)",
        breaks="what is stored ends by itself",
        found_by="contract/test_redis.py::TestRedis::"
        "test_what_has_expired_is_absent_for_every_method",
    ),
    Mutant(
        name="redis-tokens-are-constant",
        file="backends/redis/backend.py",
        old="new = secrets.token_bytes(_VERSION)",
        new="new = bytes(_VERSION)",
        breaks="a swap replaces only the version that was read",
        found_by="contract/test_redis.py::TestRedis::"
        "test_of_many_swaps_one_wins_each_version",
    ),
    Mutant(
        name="redis-swap-creates",
        file="backends/redis/swap.lua",
        old="  return false\nend\nif version ~=",
        new="  version = ARGV[1]\nend\nif version ~=",
        breaks="a swap never creates",
        found_by="contract/test_redis.py::TestRedis::test_swap_never_creates",
    ),
    Mutant(
        name="redis-swap-without-a-version",
        file="backends/redis/swap.lua",
        old="if version ~= ARGV[1] then",
        new="if false then",
        breaks="a swap replaces only the version that was read",
        found_by="contract/test_redis.py::TestRedis::"
        "test_swap_with_an_outdated_version_returns_what_is_there",
    ),
    Mutant(
        name="redis-swap-keeps-the-time",
        file="backends/redis/swap.lua",
        old="'SET', KEYS[1], ARGV[2], 'PX', ARGV[3])",
        new="'SET', KEYS[1], ARGV[2], 'KEEPTTL')",
        breaks="a swap sets the time anew",
        found_by="contract/test_redis.py::TestRedis::"
        "test_swap_sets_the_time_anew_and_get_does_not",
    ),
    Mutant(
        name="redis-delete-without-a-version",
        file="backends/redis/delete.lua",
        old="if version ~= ARGV[1] then",
        new="if false then",
        breaks="a delete with an outdated version keeps what is there",
        found_by="contract/test_redis.py::TestRedis::"
        "test_delete_with_an_outdated_version_keeps_what_is_there",
    ),
    Mutant(
        name="redis-no-epoch-check",
        file="backends/redis/index_add.lua",
        old="string.match(head, '^[^ ]+') == ARGV[2]",
        new="true",
        breaks="an add with an old epoch is refused",
        found_by="contract/test_redis.py::TestRedis::"
        "test_add_with_an_old_epoch_is_refused",
    ),
    Mutant(
        name="redis-adds-to-an-unknown-index",
        file="backends/redis/index_add.lua",
        old="local is_current = false",
        new="local is_current = redis.call('EXISTS', KEYS[1]) == 0",
        breaks="an add to an index that was lost is refused",
        found_by="contract/test_redis.py::TestRedis::"
        "test_add_to_an_unknown_index_is_refused",
    ),
    Mutant(
        name="redis-lists-who-has-expired",
        file="backends/redis/index_members.lua",
        old="'-inf', string.format('%.0f', now)",
        new="'-inf', 0",
        breaks="members expire",
        found_by="contract/test_redis.py::TestRedis::test_members_expire",
    ),
    Mutant(
        name="redis-counts-who-has-expired",
        file="backends/redis/index_count.lua",
        old="'(' .. string.format('%.0f', now)",
        new="'-inf'",
        breaks="members expire",
        found_by="contract/test_redis.py::TestRedis::test_members_expire",
    ),
    Mutant(
        name="redis-reads-a-part-from-the-front",
        file="backends/redis/index_members.lua",
        old="first = math.max(first, rank + 1)",
        new="first = 1",
        breaks="a list in parts has each session once",
        found_by="contract/test_redis.py::TestRedis::test_members_are_read_in_parts",
    ),
    Mutant(
        name="sql-deletes-many-whatever-their-version",
        file="backends/sql/backend.py",
        old=".where(these, pairs, alive)",
        new=".where(these, alive)",
        breaks="delete_many deletes those of the given versions",
        found_by="contract/test_sql.py::TestSQLite::"
        "test_delete_many_deletes_what_has_not_changed",
    ),
    Mutant(
        name="redis-lists-members-of-one-millisecond-in-any-order",
        file="backends/redis/index_add.lua",
        old="tonumber(time[1]) * 1000000 + tonumber(time[2])",
        new="(tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)) * 1000",
        breaks="members that expire at the same time are in the order of their adds",
        found_by="contract/test_redis.py::TestRedis::"
        "test_who_was_added_first_comes_first",
    ),
    Mutant(
        name="redis-forgets-whom-a-fence-kept",
        file="backends/redis/backend.py",
        old="if head := sound_head(epoch, kept):",
        new='if head := sound_head(epoch, ""):',
        breaks="the members that a fence kept are known until the next fence",
        found_by="contract/test_redis.py::TestRedis::"
        "test_the_kept_are_known_until_the_next_fence",
    ),
    Mutant(
        name="redis-reads-lost-heads-as-empty-ones",
        file="backends/redis/backend.py",
        old="return cell, {name: head for name, head in heads.items() if head}",
        new='return cell, {name: head or Head("") for name, head in heads.items()}',
        breaks="a head that was lost admits nobody",
        found_by="contract/test_redis.py::TestRedis::"
        "test_a_cell_and_heads_are_read_at_once",
    ),
    Mutant(
        name="redis-is-trusted-not-to-evict",
        file="backends/redis/health.py",
        old='return info.get("maxmemory") != 0 and info.get("maxmemory_policy") != '
        '"noeviction"',
        new="return False",
        breaks="Redis says whether it may evict, so that loads are fenced",
        found_by="unit/test_backend_urls.py::test_redis_says_whether_it_may_evict",
    ),
    Mutant(
        name="memcached-lists-quoted-keys",
        file="backends/memcached/keys.py",
        old="        yield unquote(",
        new="        yield str(",
        breaks="memcached lists its keys",
        found_by="contract/test_memcached.py::TestMemcached::test_its_keys_are_listed",
    ),
    Mutant(
        name="memcached-swap-without-a-version",
        file="backends/memcached/backend.py",
        old="cas, other = self._cas_id(key, version)",
        new="cas, other = getattr(self.get(key), 'version', None), None",
        breaks="a swap replaces only the version that was read",
        found_by="contract/test_memcached.py::TestMemcached::"
        "test_swap_with_an_outdated_version_returns_what_is_there",
    ),
    Mutant(
        name="memcached-swap-creates",
        file="backends/memcached/backend.py",
        old="return None if swapped is None else self.get(key)",
        new="return self.add(key, data, ttl) if swapped is None else self.get(key)",
        breaks="a swap never creates",
        found_by="contract/test_memcached.py::TestMemcached::test_swap_never_creates",
    ),
    Mutant(
        name="memcached-delete-without-a-version",
        file="backends/memcached/backend.py",
        old="cas, _ = self._cas_id(key, version)",
        new="return self.delete(key)",
        breaks="a delete with an outdated version keeps what is there",
        found_by="contract/test_memcached.py::TestMemcached::"
        "test_delete_with_an_outdated_version_keeps_what_is_there",
    ),
    Mutant(
        name="memcached-takes-any-version-for-ours",
        file="backends/memcached/backend.py",
        old="if cell is None or _written(cell.data) != version:",
        new="if cell is None:",
        breaks="what was added and changed since is somebody else's",
        found_by="contract/test_memcached.py::TestMemcached::"
        "test_swap_with_an_outdated_version_returns_what_is_there",
    ),
    Mutant(
        name="memcached-takes-a-long-life-for-a-date",
        file="backends/memcached/backend.py",
        old="return int(time.time()) + ttl if ttl > _LONGEST_RELATIVE else max(1, ttl)",
        new="return max(1, ttl)",
        breaks="a session may live longer than 30 days",
        found_by="contract/test_memcached.py::TestMemcached::"
        "test_a_ttl_may_be_longer_than_30_days",
    ),
    Mutant(
        name="memcached-is-sent-what-is-too-long",
        file="backends/memcached/backend.py",
        old="if self.max_bytes is not None and len(data) > self.max_bytes:",
        new="if False:",
        breaks="what is too long for memcached is not sent",
        found_by="unit/test_backend_urls.py::"
        "test_what_is_too_long_for_memcached_is_not_sent",
    ),
    Mutant(
        name="memcached-shares-connections-with-its-children",
        file="backends/memcached/backend.py",
        old="if self._pid != os.getpid():",
        new="if False:",
        breaks="a child of a fork has connections of its own",
        found_by="contract/test_memcached.py::"
        "test_a_child_of_a_fork_has_connections_of_its_own",
    ),
    Mutant(
        name="sql-serves-what-has-expired",
        file="backends/sql/backend.py",
        old="self.get = sa.select(c.id, c.data, c.version).where(here, alive)",
        new="self.get = sa.select(c.id, c.data, c.version).where(here)",
        breaks="what has expired is absent for every method",
        found_by="contract/test_sql.py::TestSQLite::"
        "test_what_has_expired_is_absent_for_every_method",
    ),
    Mutant(
        name="memory-remembers-the-deleted",
        file="backends/memory.py",
        old="            del self._items[key]\n",
        new="            self._items[key] = self._items[key]._replace(deadline=0)\n",
        breaks="what was deleted takes up no memory",
        found_by="contract/test_memory.py::TestMemory::"
        "test_what_was_deleted_takes_up_no_room",
    ),
    Mutant(
        name="cluster-asks-for-each-key",
        file="backends/redis/backend.py",
        old="told = not isinstance(answer, redis.RedisError)",
        new="told = False",
        breaks="many keys are asked for in one trip to each server",
        found_by="topologies/test_clients.py::"
        "test_many_keys_are_asked_for_in_one_trip_to_each_server",
    ),
    Mutant(
        name="cells-shorten-the-time-of-a-member",
        file="backends/cell_index.py",
        old="listed[member] = max(now + ttl, listed.get(member, 0))",
        new="listed[member] = now + ttl",
        breaks="adding a listed member again only renews its time",
        found_by="contract/test_memory.py::TestMemory::test_members_expire",
    ),
    Mutant(
        name="memcached-places-differ-by-process",
        file="backends/memcached/backend.py",
        old="zlib.crc32(key.encode())",
        new="hash(key)",
        breaks="each process looks for a key on the same server",
        found_by="topologies/test_memcached.py::"
        "test_where_a_key_is_does_not_depend_on_anything_else",
    ),
    Mutant(
        name="sqlite-does-not-wait-for-the-disk",
        file="backends/sql/drivers.py",
        old='wanted = "FULL" if durable else "NORMAL"',
        new='wanted = "NORMAL"',
        breaks="what ends a session waits for the disk",
        found_by="unit/test_sql_schema.py::test_what_ends_a_session_waits_for_the_disk",
    ),
    Mutant(
        name="redis-another-type-is-nothing",
        file="backends/redis/backend.py",
        old='return Cell(b"", b"")  # no data of ours',
        new="return None",
        breaks="what somebody else keeps under our key does not unlist a session",
        found_by="integration/bad_input/test_records.py::TestForeignRedisType::tes"
        "t_hides_no_other_session_of_its_user_and_stays_listed",
    ),
    Mutant(
        name="sqlite-uses-a-file-that-was-replaced",
        file="backends/sql/drivers.py",
        old="if os.path.samestat(os.stat(path), opened):",
        new="if True:",
        breaks="nothing is written to a file that nobody else sees",
        found_by="unit/test_sql_schema.py::test_a_file_that_was_replaced_is_not_us"
        "ed_any_more",
    ),
    Mutant(
        name="redis-shares-connections-with-its-children",
        file="backends/redis/lean.py",
        old="idle = self._idle if self._pid == os.getpid() else self._begun_anew()",
        new="idle = self._idle",
        breaks="a child of a fork has connections of its own",
        found_by="integration/storages/test_redis_lean.py::test_a_forked_child_has"
        "_connections_of_its_own",
    ),
    Mutant(
        name="sqlite-without-a-write-ahead-log",
        file="backends/sql/drivers.py",
        old='"PRAGMA journal_mode = WAL"',
        new='"PRAGMA journal_mode = DELETE"',
        breaks="readers of SQLite do not wait for a writer",
        found_by="unit/test_sql_schema.py::test_connections_to_sqlite_use_wal_and_"
        "foreign_keys",
    ),
    Mutant(
        name="pgbouncer-keeps-what-was-prepared",
        file="backends/sql/drivers.py",
        old="connection.prepare_threshold = None",
        new="connection.prepare_threshold = 0",
        breaks="PgBouncer may lead each transaction to another connection",
        found_by="integration/storages/test_pools.py::"
        "test_pgbouncer_by_transactions_serves_all",
    ),
    Mutant(
        name="settings-are-left-to-others-of-pgbouncer",
        file="backends/sql/drivers.py",
        old="WHERE pg_backend_pid() = %s",
        new="WHERE %s IS NOT NULL",
        breaks="nothing that we set for a connection is met by others",
        found_by="integration/storages/test_pools.py::"
        "test_nothing_of_ours_leaks_to_other_clients_of_the_pool",
    ),
    Mutant(
        name="alembic-drops-our-tables",
        file="backends/sql/schema.py",
        old='if kind != "table" or not reflected',
        new='if kind == "table" or not reflected',
        breaks="migrations leave the session tables alone",
        found_by="integration/storages/test_migrations.py::"
        "test_flask_migrate_leaves_the_session_tables_alone",
    ),
    Mutant(
        name="a-list-has-no-order-in-the-database",
        file="backends/sql/schema.py",
        old='sa.UniqueConstraint("name", "expires", "id")',
        new='sa.UniqueConstraint("id", "name", "expires")',
        breaks="a login at a limit of thousands reads the index alone",
        found_by="contract/test_sql_reads.py::"
        "test_a_login_at_a_limit_counts_the_list_once[sqlite-reject]",
    ),
    Mutant(
        name="a-wrong-guess-is-believed",
        file="store/lists.py",
        old="present = {n: heads[n] if n in heads else self.head(n) for n in places}",
        new="places = {n: p for n, p in places.items() if n in heads or not heads}\n"
        "        present = heads or {n: self.head(n) for n in places}",
        breaks="a list that another process has added is asked for",
        found_by="integration/lists/test_guess.py::TestAnotherProcess::"
        "test_adds_a_list_whose_end_is_seen_by_the_very_next_load",
    ),
    Mutant(
        name="the-lists-are-not-guessed",
        file="store/lists.py",
        old="self.seen[session_id] = tuple(places)",
        new="pass",
        breaks="a fenced load is one round trip",
        found_by="integration/storages/test_commands.py::TestRedis::"
        "test_a_fenced_load_asks_for_the_list_with_the_record",
    ),
    Mutant(
        name="the-guesses-are-not-bounded",
        file="store/lists.py",
        old="if len(self.seen) >= MOST_SEEN:",
        new="if False:",
        breaks="so many sessions' lists are remembered, and no more",
        found_by="integration/lists/test_guess.py::"
        "test_so_many_are_remembered_and_no_more",
    ),
)
