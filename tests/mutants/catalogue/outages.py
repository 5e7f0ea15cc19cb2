"""An outage is a 503 and never a logout; nothing is done twice; nobody waits twice."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="500-instead-of-503",
        file="errors.py",
        old='description = "The session storage cannot be reached. Please try again."',
        new='description = "The session storage cannot be reached."\n    code = 500',
        breaks="an outage is a 503",
        found_by="unit/test_errors.py::test_an_outage_is_a_503",
    ),
    Mutant(
        name="a-refused-login-is-a-500",
        file="errors.py",
        old='description = "Your sessions were signed out meanwhile. '
        'Please sign in again."',
        new='description = "Please sign in again."\n    code = 500',
        breaks="a refused login is a 409",
        found_by="unit/test_errors.py::test_a_refusal_is_a_409",
    ),
    Mutant(
        name="a-create-is-repeated",
        file="backends/guarded.py",
        old='return self.once("create",',
        new='return self.twice("create",',
        breaks="what could take effect twice is never tried again",
        found_by="unit/test_guard.py::"
        "test_what_could_take_effect_twice_is_never_tried_again",
    ),
    Mutant(
        name="nothing-is-tried-again",
        file="backends/guarded.py",
        old="if not error.quick:\n                raise\n        return self.once",
        new="raise\n        return self.once",
        breaks="after a restart of the server the first request works",
        found_by="unit/test_guard.py::test_what_may_happen_twice_is_tried_again",
    ),
    Mutant(
        name="who-has-waited-waits-again",
        file="backends/guarded.py",
        old="if not error.quick:\n                raise\n        return self.once",
        new="pass\n        return self.once",
        breaks="a client waits for one timeout, never for two",
        found_by="unit/test_guard.py::"
        "test_who_has_waited_for_a_timeout_does_not_wait_again",
    ),
    Mutant(
        name="a-failure-is-never-ambiguous",
        file="backends/guarded.py",
        old="ambiguous=operation not in READS",
        new="ambiguous=False",
        breaks="what is left ambiguous is reported as ambiguous",
        found_by="unit/test_guard.py::test_a_failure_says_what_failed_and_why",
    ),
    Mutant(
        name="a-failed-read-is-ambiguous",
        file="backends/guarded.py",
        old="ambiguous=operation not in READS",
        new="ambiguous=True",
        breaks="the failure of what changes nothing is not ambiguous",
        found_by="unit/test_guard.py::test_a_failure_says_what_failed_and_why",
    ),
    Mutant(
        name="redis-py-retries",
        file="backends/redis/clients.py",
        old='"retry": Retry(NoBackoff(), 0),',
        new='"retry": Retry(NoBackoff(), 3),',
        breaks="no client repeats a command by itself",
        found_by="unit/test_backend_urls.py::"
        "test_redis_clients_that_we_build_give_up_after_a_second",
    ),
    Mutant(
        name="redis-waits-for-ever",
        file="backends/redis/clients.py",
        old='"socket_timeout": TIMEOUT,',
        new='"socket_timeout": 60.0,',
        breaks="an outage is answered within one timeout",
        found_by="unit/test_backend_urls.py::"
        "test_redis_clients_that_we_build_give_up_after_a_second",
    ),
    Mutant(
        name="a-client-that-retries-is-not-warned-about",
        file="backends/redis/health.py",
        old="if (retries := _retries(client)) > 0:",
        new="if (retries := 0):",
        breaks="a client that repeats commands by itself is warned about",
        found_by="unit/test_backend_urls.py::"
        "test_a_client_that_retries_is_warned_about",
    ),
    Mutant(
        name="a-client-that-asks-replicas-is-taken",
        file="backends/redis/backend.py",
        old="if _asks_replicas(client):",
        new="if False:",
        breaks="no replica is asked, which may still have a session that was ended",
        found_by="unit/test_backend_urls.py::"
        "test_a_client_that_asks_replicas_is_refused",
    ),
    Mutant(
        name="a-client-that-decodes-is-taken",
        file="backends/redis/clients.py",
        old="if client.get_encoder().decode_responses:",
        new="if False:",
        breaks="a client that decodes is a ConfigurationError",
        found_by="unit/test_backend_urls.py::test_a_client_that_decodes_is_refused",
    ),
    Mutant(
        name="memcached-moves-silently",
        file="backends/memcached/backend.py",
        old="        return _ask(self._client(key), command, key, *args, **options)\n",
        new="        client = self._client(key)\n"
        "        try:\n"
        "            return _ask(client, command, key, *args, **options)\n"
        "        except _CLOSED:\n"
        "            other = self._clients[self._clients.index(client) - 1]\n"
        "            return _ask(other, command, key, *args, **options)\n",
        breaks="a memcached that is down is an error, not a reason to look elsewhere",
        found_by="topologies/test_memcached.py::"
        "test_what_a_server_had_is_not_looked_for_nor_put_elsewhere",
    ),
    Mutant(
        name="memcached-does-not-answer-a-delete",
        file="backends/memcached/backend.py",
        old='return bool(self._call("delete", key, noreply=False))',
        new='return bool(self._call("delete", key, noreply=True))',
        breaks="a logout is confirmed by the server",
        found_by="contract/test_memcached.py::TestMemcached::"
        "test_delete_without_a_token_deletes",
    ),
    Mutant(
        name="sentinels-may-name-a-replica",
        file="backends/redis/clients.py",
        old='if role not in (b"master", "master"):',
        new="if False:",
        breaks="no replica is asked, which may still have a session that was ended",
        found_by="topologies/test_clients.py::"
        "test_a_replica_that_a_sentinel_takes_for_the_primary_is_not_asked",
    ),
    Mutant(
        name="a-new-process-asks-the-first-primary-only",
        file="backends/redis/clients.py",
        old='if args == ("COMMAND",):',
        new="if False:",
        breaks="an outage of one primary is none of a new process",
        found_by="topologies/test_failover.py::"
        "test_a_new_process_serves_what_is_on_the_primaries_that_answer",
    ),
    Mutant(
        name="a-forked-process-waits-for-a-thread-of-its-parent",
        file="backends/redis/clients.py",
        old="self._making.setdefault(process, threading.Lock())",
        new="self._making.setdefault(0, threading.Lock())",
        breaks="a fork of the app works, whatever its threads did",
        found_by="unit/test_redis_clients.py::"
        "test_a_process_forked_amid_the_making_of_a_client_makes_its_own",
    ),
    Mutant(
        name="all-primaries-must-say-whether-they-evict",
        file="backends/redis/health.py",
        old="if failure and not answers:",
        new="if failure:",
        breaks="an outage of one primary is none of a new process",
        found_by="topologies/test_failover.py::"
        "test_a_new_process_serves_what_is_on_the_primaries_that_answer",
    ),
    Mutant(
        name="a-primary-that-is-silent-does-not-evict",
        file="backends/redis/health.py",
        old="any(answers) or not complete, complete",
        new="any(answers), complete",
        breaks="a lost index never leaves a revoked session alive",
        found_by="topologies/test_failover.py::"
        "test_a_primary_may_evict_until_it_has_answered_that_it_does_not",
    ),
    Mutant(
        name="what-fails-amid-a-change-was-not-done",
        file="backends/guarded.py",
        old="operation, ambiguous=True, quick=error.quick",
        new="operation, ambiguous=False, quick=error.quick",
        breaks="what fails in the middle of a change may have been done",
        found_by="unit/test_guard.py::"
        "test_whatever_fails_in_the_middle_of_a_change_it_may_have_been_done",
    ),
)
