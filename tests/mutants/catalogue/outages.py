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
        name="an-outage-at-the-end-is-flasks-bare-500",
        file="interface.py",
        old="except (BackendError, SessionRefused) as error:",
        new="except SessionRefused as error:",
        breaks="a write that fails turns the response into the app's 503",
        found_by="integration/test_outages.py::TestWriteAtTheEnd::"
        "test_turns_the_response_into_a_503",
    ),
    Mutant(
        name="an-error-page-that-fails-is-a-500",
        file="outages.py",
        old='withheld = FAILURE in environ and status.startswith("500")',
        new="withheld = False",
        breaks="an outage is a 503 also where error pages use the session",
        found_by="integration/test_outages.py::TestRead::"
        "test_answers_503_also_where_error_pages_use_the_session",
    ),
    Mutant(
        name="a-page-that-is-replaced-is-left-open",
        file="outages.py",
        old='if callable(close := getattr(body, "close", None)):',
        new="if False:",
        breaks="a page that becomes a 503 is closed",
        found_by="integration/test_outages.py::TestRead::"
        "test_closes_the_page_that_it_answers_503_instead_of",
    ),
    Mutant(
        name="every-500-is-an-outage",
        file="outages.py",
        old="if FAILURE not in environ or self._propagates():",
        new="if FAILURE not in environ:",
        breaks="where an app lets exceptions through, an outage is one, too",
        found_by="integration/test_outages.py::TestRead::"
        "test_hides_no_other_failure_where_exceptions_are_let_through",
    ),
    Mutant(
        name="an-outage-is-a-logout",
        file="guard.py",
        old='return self.twice("load", self.backend.get, key)',
        new="try:\n"
        '            return self.twice("load", self.backend.get, key)\n'
        "        except BackendError:\n"
        "            return None",
        breaks="an outage is not taken for a logout",
        found_by="integration/test_outages.py::TestRead::"
        "test_is_not_taken_for_a_logout",
    ),
    Mutant(
        name="a-logout-is-taken-for-granted",
        file="guard.py",
        old='return self.twice("destroy", self.backend.delete, key, token)',
        new="try:\n"
        '            return self.twice("destroy", self.backend.delete, key, token)\n'
        "        except BackendError:\n"
        "            return True",
        breaks="a logout that could not be done raises",
        found_by="integration/test_logout.py::"
        "test_a_logout_that_the_storage_cannot_confirm_is_a_503_and_no_logout",
    ),
    Mutant(
        name="a-create-is-repeated",
        file="guard.py",
        old='return self.once("create",',
        new='return self.twice("create",',
        breaks="what could take effect twice is never tried again",
        found_by="unit/test_guard.py::"
        "test_what_could_take_effect_twice_is_never_tried_again",
    ),
    Mutant(
        name="a-swap-is-repeated",
        file="guard.py",
        old='return self.once("save",',
        new='return self.twice("save",',
        breaks="what could take effect twice is never tried again",
        found_by="unit/test_guard.py::"
        "test_what_could_take_effect_twice_is_never_tried_again",
    ),
    Mutant(
        name="an-ambiguous-create-is-repeated-with-the-same-key",
        file="creation.py",
        old="for retry in (True, False):\n            session_id = ids.new_id(born)",
        new="session_id = ids.new_id(born)\n        for retry in (True, False):",
        breaks="a KEY is never used twice: the delayed create could come back",
        found_by="concurrency/test_interleavings.py::"
        "test_a_request_keeps_the_promises_with_a_fault",
    ),
    Mutant(
        name="nothing-is-tried-again",
        file="guard.py",
        old="if not error.quick:\n                raise\n        return self.once",
        new="raise\n        return self.once",
        breaks="after a restart of the server the first request works",
        found_by="unit/test_guard.py::test_what_may_happen_twice_is_tried_again",
    ),
    Mutant(
        name="who-has-waited-waits-again",
        file="guard.py",
        old="if not error.quick:\n                raise\n        return self.once",
        new="pass\n        return self.once",
        breaks="a client waits for one timeout, never for two",
        found_by="unit/test_guard.py::"
        "test_who_has_waited_for_a_timeout_does_not_wait_again",
    ),
    Mutant(
        name="to-end-several-sessions-waits-for-each",
        file="store.py",
        old="self._listing.forget({h.id: h.record.bindings for h in ended}, "
        "but=binding)",
        new="for h in ended:\n"
        "            self._listing.forget({h.id: h.record.bindings}, but=binding)",
        breaks="a client waits for one timeout, never for two",
        found_by="integration/test_regressions.py::TestARequestWaitsForOneTimeout::"
        "test_to_unlist_however_many_sessions_it_ends",
    ),
    Mutant(
        name="a-logout-waits-for-each-index",
        file="listing.py",
        old="if not error.quick:\n                    return",
        new="if False:\n                    return",
        breaks="a client waits for one timeout, never for two",
        found_by="integration/test_regressions.py::TestARequestWaitsForOneTimeout::"
        "test_for_a_logout_with_several_indexes",
    ),
    Mutant(
        name="the-failure-of-a-request-is-forgotten",
        file="session.py",
        old="self._accessed = True\n            if self._failure:",
        new="self._accessed = True\n            if False:",
        breaks="a request waits for one timeout however often it tries",
        found_by="integration/test_outages.py::TestRead::"
        "test_waits_once_however_often_the_view_tries",
    ),
    Mutant(
        name="a-lookup-waits-for-itself",
        file="extension.py",
        old="if failure := _current()._failure:",
        new="if failure := None:",
        breaks="a request waits for one timeout however it asks",
        found_by="integration/test_regressions.py::TestARequestWaitsForOneTimeout::"
        "test_for_each_way_to_ask_after_another",
    ),
    Mutant(
        name="a-failed-renewal-fails-the-request",
        file="session.py",
        old='log.warning("session %s was not renewed: %s", held.id, error)',
        new="raise",
        breaks="a renewal that fails is logged and swallowed",
        found_by="integration/test_outages.py::TestWriteAtTheEnd::"
        "test_that_is_a_renewal_is_swallowed",
    ),
    Mutant(
        name="a-failed-unlisting-fails-the-logout",
        file="listing.py",
        old='log.warning("session %s is still listed: %s", ", ".join(stamps), error)',
        new="raise",
        breaks="a logout is done where only the list could not be told",
        found_by="integration/test_outages.py::TestDestroy::"
        "test_is_done_where_only_the_list_could_not_be_told",
    ),
    Mutant(
        name="a-failure-is-never-ambiguous",
        file="guard.py",
        old="ambiguous=operation not in READS",
        new="ambiguous=False",
        breaks="what is left ambiguous is reported as ambiguous",
        found_by="unit/test_guard.py::test_a_failure_says_what_failed_and_why",
    ),
    Mutant(
        name="a-failed-read-is-ambiguous",
        file="guard.py",
        old="ambiguous=operation not in READS",
        new="ambiguous=True",
        breaks="the failure of what changes nothing is not ambiguous",
        found_by="unit/test_guard.py::test_a_failure_says_what_failed_and_why",
    ),
    Mutant(
        name="a-failed-response-keeps-its-headers",
        file="interface.py",
        old="response.headers.clear()",
        new="pass",
        breaks="nothing is left of the response that failed",
        found_by="integration/test_outages.py::TestWriteAtTheEnd::"
        "test_leaves_nothing_of_the_failed_response",
    ),
    Mutant(
        name="a-late-503-lacks-the-headers-of-all-responses",
        file="interface.py",
        old="answer = _finished(app, answer)",
        new="pass",
        breaks="a 503 has what the app gives to all responses",
        found_by="integration/test_outages.py::TestWriteAtTheEnd::"
        "test_has_the_headers_that_all_responses_have",
    ),
    Mutant(
        name="a-test-does-not-see-that-its-session-was-not-saved",
        file="interface.py",
        old="if ANSWERED not in request.environ:",
        new="if False:",
        breaks="an outage is never silent",
        found_by="integration/test_contexts.py::"
        "test_session_transaction_raises_an_outage",
    ),
    Mutant(
        name="a-failed-stream-is-left-open",
        file="interface.py",
        old='if callable(close := getattr(response.response, "close", None)):',
        new="if callable(close := None):",
        breaks="nothing is left of the response that failed",
        found_by="integration/test_outages.py::TestWriteAtTheEnd::"
        "test_turns_streamed_responses_too",
    ),
    Mutant(
        name="a-refused-login-is-tried-again-at-the-end",
        file="session.py",
        old="self._latch(error)\n        else:\n            self._forget_changes()",
        new="self._latch(error)\n        else:\n            pass",
        breaks="a refused login does not log in at the end of the request",
        found_by="integration/test_login.py::"
        "test_a_refused_bind_that_the_view_catches_does_not_log_in_at_the_end",
    ),
    Mutant(
        name="a-login-that-failed-is-tried-again-at-the-end",
        file="session.py",
        old="case _ if self._failure:\n                raise self._failure",
        new="case _ if False:\n                raise self._failure",
        breaks="a login that loses the store does not log in at the end",
        found_by="integration/test_login.py::"
        "test_a_bind_that_loses_the_store_and_is_caught_does_not_log_in_at_the_end",
    ),
    Mutant(
        name="redis-py-retries",
        file="backends/redis_clients.py",
        old='"retry": Retry(NoBackoff(), 0),',
        new='"retry": Retry(NoBackoff(), 3),',
        breaks="no client repeats a command by itself",
        found_by="unit/test_backend_urls.py::"
        "test_redis_clients_that_we_build_give_up_after_a_second",
    ),
    Mutant(
        name="redis-waits-for-ever",
        file="backends/redis_clients.py",
        old='"socket_timeout": TIMEOUT,',
        new='"socket_timeout": 60.0,',
        breaks="an outage is answered within one timeout",
        found_by="unit/test_backend_urls.py::"
        "test_redis_clients_that_we_build_give_up_after_a_second",
    ),
    Mutant(
        name="a-client-that-retries-is-not-warned-about",
        file="backends/redis_health.py",
        old="if (retries := _retries(client)) > 0:",
        new="if (retries := 0):",
        breaks="a client that repeats commands by itself is warned about",
        found_by="unit/test_backend_urls.py::"
        "test_a_client_that_retries_is_warned_about",
    ),
    Mutant(
        name="a-client-that-asks-replicas-is-taken",
        file="backends/redis.py",
        old="if _asks_replicas(client):",
        new="if False:",
        breaks="no replica is asked, which may still have a session that was ended",
        found_by="unit/test_backend_urls.py::"
        "test_a_client_that_asks_replicas_is_refused",
    ),
    Mutant(
        name="a-client-that-decodes-is-taken",
        file="backends/redis_clients.py",
        old="if client.get_encoder().decode_responses:",
        new="if False:",
        breaks="a client that decodes is a ConfigurationError",
        found_by="unit/test_backend_urls.py::test_a_client_that_decodes_is_refused",
    ),
    Mutant(
        name="cluster-list-notices-no-failover",
        file="backends/redis.py",
        old="            values = [error] * len(keys)\n",
        new="            raise\n",
        breaks="a list of sessions is found once another server has taken over",
        found_by="topologies/test_failover.py::"
        "test_a_failover_that_nobody_has_noticed_hides_no_session",
    ),
    Mutant(
        name="memcached-moves-silently",
        file="backends/memcached.py",
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
        name="memcached-outages-are-misses",
        file="backends/memcached.py",
        old="default_noreply=False,",
        new="default_noreply=False,\n                ignore_exc=True,",
        breaks="an outage is not taken for a logout",
        found_by="integration/test_outages.py::TestRead::"
        "test_is_not_taken_for_a_logout",
    ),
    Mutant(
        name="memcached-does-not-answer-a-delete",
        file="backends/memcached.py",
        old='return bool(self._call("delete", key, noreply=False))',
        new='return bool(self._call("delete", key, noreply=True))',
        breaks="a logout is confirmed by the server",
        found_by="contract/test_memcached.py::TestMemcached::"
        "test_delete_without_a_token_deletes",
    ),
    Mutant(
        name="memcached-keeps-closed-connections",
        file="backends/memcached.py",
        old="for _ in range(len(pool.free)):",
        new="for _ in range(0):",
        breaks="after a restart of the server the first request works",
        found_by="integration/test_outages.py::TestAfterwards::"
        "test_after_a_restart_the_first_request_works",
    ),
    Mutant(
        name="sql-repeats-a-write-on-a-closed-connection",
        file="backends/sql_engine.py",
        old="return self._patiently(call, _did_nothing)\n",
        new="return self._patiently(call, _did_nothing_or_was_closed)\n",
        breaks="what could take effect twice is never tried again",
        found_by="unit/test_sql_schema.py::"
        "test_a_write_on_a_closed_connection_is_not_repeated",
    ),
    Mutant(
        name="sql-takes-a-commit-for-granted",
        file="backends/sql_engine.py",
        old='raise CommitFailed("the database did not confirm a commit") from error',
        new="return",
        breaks="a commit without an answer is an error",
        found_by="unit/test_sql_schema.py::"
        "test_a_commit_without_an_answer_is_an_error_and_not_repeated",
    ),
    Mutant(
        name="sql-timeouts-add-up",
        file="backends/sql_engine.py",
        old="if not may_repeat(error) or time.monotonic() >= deadline:",
        new="if not may_repeat(error):",
        breaks="a database that stays locked is an error after one timeout",
        found_by="unit/test_sql_schema.py::"
        "test_a_database_that_stays_locked_is_an_error_after_a_second",
    ),
    Mutant(
        name="a-logout-is-tried-once",
        file="guard.py",
        old='return self.twice("destroy",',
        new='return self.once("destroy",',
        breaks="a logout of which one answer is lost is done",
        found_by="integration/test_logout.py::"
        "test_a_logout_of_which_one_answer_is_lost_is_done",
    ),
    Mutant(
        name="a-create-is-tried-once",
        file="creation.py",
        old="if not (retry and error.quick):",
        new="if True:",
        breaks="a create of which the answer is lost is made with a fresh KEY",
        found_by="integration/test_outages.py::TestAfterwards::"
        "test_after_a_restart_the_first_request_works",
    ),
    Mutant(
        name="a-durable-logout-does-not-wait",
        file="replicas.py",
        old="if not (count and keys):",
        new="if True:",
        breaks="a durable logout survives a failover",
        found_by="integration/test_durable.py::"
        "test_without_enough_replicas_it_is_a_503_and_the_session_is_ended",
    ),
    Mutant(
        name="too-few-replicas-are-enough",
        file="replicas.py",
        old="if confirmed < count:",
        new="if False:",
        breaks="without enough replicas a durable logout raises NotReplicated",
        found_by="integration/test_durable.py::"
        "test_without_enough_replicas_it_is_a_503_and_the_session_is_ended",
    ),
    Mutant(
        name="a-durable-logout-is-done-where-nobody-knows-of-replicas",
        file="replicas.py",
        old="if count:\n            self._known()",
        new="pass",
        breaks="where replicas are unknown nothing is done",
        found_by="integration/test_durable.py::"
        "test_where_replicas_are_unknown_it_is_refused_before_anything_is_done",
    ),
    Mutant(
        name="replicas-vouch-for-one-connection-only",
        file="backends/redis.py",
        old='pipeline.set(f"{_tagged(key)}:w", b"", px=1000)',
        new="pass",
        breaks="what another connection wrote counts for a durable logout",
        found_by="integration/test_durable.py::"
        "test_what_another_connection_wrote_counts_as_well",
    ),
    Mutant(
        name="sentinels-may-name-a-replica",
        file="backends/redis_clients.py",
        old='if role not in (b"master", "master"):',
        new="if False:",
        breaks="no replica is asked, which may still have a session that was ended",
        found_by="topologies/test_clients.py::"
        "test_a_replica_that_a_sentinel_takes_for_the_primary_is_not_asked",
    ),
    Mutant(
        name="a-new-process-asks-the-first-primary-only",
        file="backends/redis_clients.py",
        old='if args == ("COMMAND",):',
        new="if False:",
        breaks="an outage of one primary is none of a new process",
        found_by="topologies/test_failover.py::"
        "test_a_new_process_serves_what_is_on_the_primaries_that_answer",
    ),
    Mutant(
        name="a-forked-process-waits-for-a-thread-of-its-parent",
        file="backends/redis_clients.py",
        old="self._making.setdefault(process, threading.Lock())",
        new="self._making.setdefault(0, threading.Lock())",
        breaks="a fork of the app works, whatever its threads did",
        found_by="unit/test_redis_clients.py::"
        "test_a_process_forked_amid_the_making_of_a_client_makes_its_own",
    ),
    Mutant(
        name="all-primaries-must-say-whether-they-evict",
        file="backends/redis_health.py",
        old="if failure and not answers:",
        new="if failure:",
        breaks="an outage of one primary is none of a new process",
        found_by="topologies/test_failover.py::"
        "test_a_new_process_serves_what_is_on_the_primaries_that_answer",
    ),
    Mutant(
        name="a-primary-that-did-not-say-whether-it-evicts-is-not-asked-again",
        file="backends/redis.py",
        old="math.inf if final else time.monotonic() + ASK_AGAIN",
        new="math.inf",
        breaks="who does not evict is not asked for lists for ever",
        found_by="topologies/test_failover.py::"
        "test_a_primary_may_evict_until_it_has_answered_that_it_does_not",
    ),
    Mutant(
        name="a-primary-that-is-silent-does-not-evict",
        file="backends/redis_health.py",
        old="any(answers) or not complete, complete",
        new="any(answers), complete",
        breaks="a lost index never leaves a revoked session alive",
        found_by="topologies/test_failover.py::"
        "test_a_primary_may_evict_until_it_has_answered_that_it_does_not",
    ),
    Mutant(
        name="redis-is-not-given-its-scripts-again",
        file="backends/redis.py",
        old="return self._client.eval(self._text, *given)",
        new="raise",
        breaks="after SCRIPT FLUSH everything works as before",
        found_by="contract/test_redis.py::TestRedis::"
        "test_swap_replaces_what_its_token_stands_for",
    ),
    Mutant(
        name="a-turned-response-is-still-a-file",
        file="interface.py",
        old="response.direct_passthrough = False",
        new="pass",
        breaks="a write that fails turns streamed responses, too",
        found_by="integration/test_outages.py::TestWriteAtTheEnd::"
        "test_turns_streamed_responses_too",
    ),
    Mutant(
        name="what-fails-amid-a-change-was-not-done",
        file="guard.py",
        old="operation, ambiguous=True, quick=error.quick",
        new="operation, ambiguous=False, quick=error.quick",
        breaks="what fails in the middle of a change may have been done",
        found_by="unit/test_guard.py::"
        "test_whatever_fails_in_the_middle_of_a_change_it_may_have_been_done",
    ),
    Mutant(
        name="redis-takes-a-late-answer-for-the-next",
        file="backends/redis_lean.py",
        old="connection.disconnect()  # a late answer",
        new="pass  # a late answer",
        breaks="a late answer is not taken for that to another command",
        found_by="integration/test_redis_lean.py::"
        "test_a_command_that_was_interrupted_leaves_no_answer_behind",
    ),
    Mutant(
        name="redis-keeps-closed-connections",
        file="backends/redis_lean.py",
        old="self._disconnect_idle()\n            raise",
        new="raise",
        breaks="where the server closed all connections only one command fails",
        found_by="integration/test_redis_lean.py::"
        "test_where_the_server_closed_all_idle_connections_only_one_command_fails",
    ),
)
