"""An outage is a 503 and never a logout; nothing is done twice; nobody waits twice."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="500-instead-of-503",
        file="errors.py",
        old='str = "The session storage cannot be reached. Please try again."',
        new='str = "The session storage cannot be reached."\n    code = 500',
        breaks="an outage is a 503",
        found_by="unit/test_errors.py::test_an_outage_is_a_503",
    ),
    Mutant(
        name="a-refused-login-is-a-500",
        file="errors.py",
        old='description: str = "Your sessions were signed out meanwhile. '
        'Please sign in again."',
        new='description: str = "Please sign in again."\n    code = 500',
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
        old="if retry and (retries := retry.get_retries()) > 0:",
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
        old="        return self._client(key).ask(command, key, *args, **options)\n",
        new="        client = self._client(key)\n"
        "        try:\n"
        "            return client.ask(command, key, *args, **options)\n"
        "        except _CLOSED:\n"
        "            other = self._clients[self._clients.index(client) - 1]\n"
        "            return other.ask(command, key, *args, **options)\n",
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
        "test_delete_without_a_version_deletes",
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
        old="any(answers) or failure is not None, failure is None",
        new="any(answers), failure is None",
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
    Mutant(
        name="an-outage-at-the-end-is-flasks-bare-500",
        file="interface.py",
        old="except (BackendError, SessionRefused) as error:",
        new="except SessionRefused as error:",
        breaks="a write that fails turns the response into the app's 503",
        found_by="integration/outages/test_writes.py::TestWriteAtTheEnd::test_turn"
        "s_the_response_into_a_503",
    ),
    Mutant(
        name="an-error-page-that-fails-is-a-500",
        file="outages.py",
        old='if head and FAILURE in environ and head[0].startswith("500"):',
        new="if False:",
        breaks="an outage is a 503 also where error pages use the session",
        found_by="integration/outages/test_reads.py::TestRead::test_answers_503_al"
        "so_where_error_pages_use_the_session",
    ),
    Mutant(
        name="a-head-is-sent-before-the-teardown",
        file="outages.py",
        old="head = status, *args\n            return write",
        new="return start_response(status, *args)",
        breaks="an outage in a teardown function is a 503, too",
        found_by="integration/test_real_use.py::"
        "test_an_outage_in_a_teardown_function_is_a_503_on_a_server",
    ),
    Mutant(
        name="what-is-written-comes-without-a-head",
        file="outages.py",
        old="written, head = start_response(*head), None",
        new="written, head = None, None",
        breaks="an app beneath ours may write its answer",
        found_by="integration/test_real_use.py::"
        "test_an_app_that_writes_its_answer_is_let_through",
    ),
    Mutant(
        name="a-session-that-is-read-is-read-again-within",
        file="arrival.py",
        old="if visit.loading:",
        new="if False:",
        breaks="a filter of log records may ask for the session that is being read",
        found_by="integration/test_asked_while_read.py::test_an_outdated_cookie",
    ),
    Mutant(
        name="who-asked-too-early-stays-nobody",
        file="arrival.py",
        old="if visit.asked and has_app_context():",
        new="if False:",
        breaks="who asks while the session is read is told the truth afterwards",
        found_by="integration/test_asked_while_read.py::"
        "test_flask_login_looks_again_afterwards",
    ),
    Mutant(
        name="a-page-that-is-replaced-is-left-open",
        file="outages.py",
        old='if callable(close := getattr(body, "close", None)):',
        new="if False:",
        breaks="a page that becomes a 503 is closed",
        found_by="integration/outages/test_reads.py::TestRead::test_closes_the_pag"
        "e_that_it_answers_503_instead_of",
    ),
    Mutant(
        name="every-500-is-an-outage",
        file="outages.py",
        old="if FAILURE not in environ or self._propagates():",
        new="if FAILURE not in environ:",
        breaks="where an app lets exceptions through, an outage is one, too",
        found_by="integration/outages/test_reads.py::TestRead::test_hides_no_other"
        "_failure_where_exceptions_are_let_through",
    ),
    Mutant(
        name="a-logout-is-taken-for-granted",
        file="backends/guarded.py",
        old="        deleted = self.once("
        '"destroy", self.backend.delete, key, version)\n',
        new="        try:\n            deleted = self.once("
        '"destroy", self.backend.delete, key, version)\n'
        "        except BackendError:\n            return True\n",
        breaks="a logout that could not be done raises",
        found_by="integration/logout/test_outages.py::test_a_logout_that_the_stora"
        "ge_cannot_confirm_is_a_503_and_no_logout",
    ),
    Mutant(
        name="an-ambiguous-create-is-repeated-with-the-same-key",
        file="store/sessions.py",
        old="for retry in (True, False):\n            session_id = ids.new_id(born)",
        new="session_id = ids.new_id(born)\n        for retry in (True, False):",
        breaks="a KEY is never used twice: the delayed create could come back",
        found_by="concurrency/test_interleavings.py::test_a_request_keeps_the_prom"
        "ises_with_a_fault",
    ),
    Mutant(
        name="a-logout-waits-for-each-index",
        file="store/lists.py",
        old="if not error.quick:\n                    return",
        new="if False:\n                    return",
        breaks="a client waits for one timeout, never for two",
        found_by="integration/test_one_timeout.py::TestARequestWaitsForOneTimeout:"
        ":test_for_a_logout_with_several_indexes",
    ),
    Mutant(
        name="a-failed-renewal-fails-the-request",
        file="saving.py",
        old='log.warning("session %s was not renewed: %s", live.id, error)',
        new="raise",
        breaks="a renewal that fails is logged and swallowed",
        found_by="integration/outages/test_writes.py::TestWriteAtTheEnd::test_that"
        "_is_a_renewal_is_swallowed",
    ),
    Mutant(
        name="a-failed-response-keeps-its-headers",
        file="responses.py",
        old="response.headers.clear()",
        new="pass",
        breaks="nothing is left of the response that failed",
        found_by="integration/outages/test_writes.py::TestWriteAtTheEnd::test_leav"
        "es_nothing_of_the_failed_response",
    ),
    Mutant(
        name="a-late-503-lacks-the-headers-of-all-responses",
        file="outages.py",
        old="answer = _finished(app, answer)",
        new="pass",
        breaks="a 503 has what the app gives to all responses",
        found_by="integration/outages/test_writes.py::TestWriteAtTheEnd::test_has_"
        "the_headers_that_all_responses_have",
    ),
    Mutant(
        name="a-test-does-not-see-that-its-session-was-not-saved",
        file="interface.py",
        old="is_mine = current._get_current_object() is session",
        new="is_mine = True",
        breaks="an outage is never silent",
        found_by="integration/contexts/test_session_transaction.py::test_session_t"
        "ransaction_raises_an_outage",
    ),
    Mutant(
        name="an-event-does-not-see-that-its-session-was-not-saved",
        file="interface.py",
        old="return is_mine and not session._visit.is_event()",
        new="return is_mine",
        breaks="an outage is never silent",
        found_by="integration/contexts/test_events.py::test_that_meet_an_outage_when_"
        "they_are_saved_raise_it",
    ),
    Mutant(
        name="a-failed-stream-is-left-open",
        file="outages.py",
        old='if callable(close := getattr(response.response, "close", None)):',
        new="if callable(close := None):",
        breaks="nothing is left of the response that failed",
        found_by="integration/outages/test_writes.py::TestWriteAtTheEnd::test_turn"
        "s_streamed_responses_too",
    ),
    Mutant(
        name="memcached-outages-are-misses",
        file="backends/memcached/backend.py",
        old="default_noreply=False,",
        new="default_noreply=False,\n                ignore_exc=True,",
        breaks="an outage is not taken for a logout",
        found_by="integration/outages/test_reads.py::TestRead::test_is_not_taken_f"
        "or_a_logout",
    ),
    Mutant(
        name="memcached-keeps-closed-connections",
        file="backends/memcached/backend.py",
        old="                self.close()  # a server that was restarted",
        new="                pass  # a server that was restarted",
        breaks="after a restart of the server the first request works",
        found_by="integration/outages/test_reads.py::TestAfterwards::test_after_a_"
        "restart_the_first_request_works",
    ),
    Mutant(
        name="a-lost-answer-to-a-delete-is-no-end",
        file="backends/guarded.py",
        old="return deleted or self.get(key) is None",
        new="return deleted",
        breaks="an end whose answer was lost is told as one",
        found_by="unit/test_guard.py::"
        "test_what_is_gone_at_the_second_try_was_deleted_by_the_first",
    ),
    Mutant(
        name="a-lost-answer-to-deletes-is-no-end",
        file="backends/guarded.py",
        old="return {key for key in part if there.get(key) is None}",
        new="return deleted",
        breaks="all ends whose answer was lost are told as such",
        found_by="unit/test_guard.py::"
        "test_what_is_gone_at_the_second_try_was_deleted_by_the_first",
    ),
    Mutant(
        name="a-logout-is-tried-once",
        file="backends/guarded.py",
        old='"destroy", self.backend.delete, key, version, last=False)\n'
        "        except BackendError as error:\n            if not error.quick:",
        new='"destroy", self.backend.delete, key, version)\n'
        "        except BackendError:\n            if True:",
        breaks="a logout of which one answer is lost is done",
        found_by="integration/logout/test_outages.py::test_a_logout_of_which_one_a"
        "nswer_is_lost_is_done",
    ),
    Mutant(
        name="a-create-is-tried-once",
        file="store/sessions.py",
        old="if not (retry and error.quick):",
        new="if True:",
        breaks="a create of which the answer is lost is made with a fresh KEY",
        found_by="integration/outages/test_reads.py::TestAfterwards::test_after_a_"
        "restart_the_first_request_works",
    ),
    Mutant(
        name="a-turned-response-is-still-a-file",
        file="outages.py",
        old="response.direct_passthrough = False",
        new="pass",
        breaks="a write that fails turns streamed responses, too",
        found_by="integration/outages/test_writes.py::TestWriteAtTheEnd::test_turn"
        "s_streamed_responses_too",
    ),
    Mutant(
        name="a-storage-that-hangs-is-always-asked",
        file="backends/outage.py",
        old="return self._breaks and self._timeouts >= HANGS_AFTER",
        new="return False",
        breaks="where the storage hangs, few threads wait for it",
        found_by="unit/test_outage.py::"
        "test_a_storage_that_hangs_is_not_asked_by_everybody",
    ),
    Mutant(
        name="a-storage-that-hung-is-never-asked-again",
        file="backends/outage.py",
        old="if now >= self._next_probe:",
        new="if False:",
        breaks="a storage that is back is used again within a second",
        found_by="unit/test_outage.py::"
        "test_one_call_a_second_finds_out_and_the_first_answer_is_the_end_of_it",
    ),
    Mutant(
        name="one-of-several-servers-shuts-out-all",
        file="backends/guarded.py",
        old='breaks=not getattr(backend, "has_several_servers", False)',
        new="breaks=True",
        breaks="a server that hangs does not keep the others from being asked",
        found_by="unit/test_outage.py::"
        "test_one_of_several_servers_does_not_shut_out_the_others",
    ),
    Mutant(
        name="each-failure-is-a-line",
        file="backends/outage.py",
        old="is_new = cause not in self._causes and",
        new="is_new =",
        breaks="an outage is few lines of the log",
        found_by="unit/test_outage.py::"
        "test_an_outage_is_a_line_at_its_begin_counts_and_one_at_its_end",
    ),
    Mutant(
        name="a-failure-that-is-mended-is-an-error",
        file="backends/guarded.py",
        old="if last or not quick:",
        new="if True:",
        breaks="a failure that the second try mends is no error in the log",
        found_by="unit/test_outage.py::"
        "test_a_failure_that_the_second_try_mends_is_no_line",
    ),
    Mutant(
        name="what-counts-calls-ends-a-request",
        file="backends/guarded.py",
        old="except Exception:\n            log.exception",
        new="except ImportError:\n            log.exception",
        breaks="a receiver of storage_called that fails ends no request",
        found_by="contrib/test_opentelemetry.py::"
        "test_a_receiver_that_fails_ends_no_request",
    ),
    Mutant(
        name="a-second-try-is-not-counted",
        file="backends/guarded.py",
        old="        self._tell(operation, began, type(error).__name__)\n",
        new="",
        breaks="metrics are what was done",
        found_by="contrib/test_opentelemetry.py::"
        "test_a_failure_is_its_type_and_no_attribute_tells_more",
    ),
    Mutant(
        name="a-tls-ticket-is-left-unread",
        file="backends/redis/deadline.py",
        old='            self.send_command("PING", check_health=False)\n'
        "            self.read_response()\n",
        new="            pass\n",
        breaks="a Redis Cluster is reached by TLS at once, every time",
        found_by="topologies/test_clients.py::"
        "test_nothing_is_left_to_read_of_a_new_connection_by_tls",
    ),
    Mutant(
        name="own-crowd-taken-for-a-hang",
        file="backends/guarded.py",
        old="late = None if isinstance(error, Busy) else not quick",
        new="late = not quick",
        breaks="who waits for others of this app opens no breaker",
        found_by="unit/test_outage.py::"
        "test_who_waits_for_others_of_this_app_finds_no_hang",
    ),
    Mutant(
        name="each-hang-is-a-line",
        file="backends/outage.py",
        old="begins, self._has_hung = not self._has_hung, True",
        new="pass",
        breaks="an outage is one line",
        found_by="unit/test_outage.py::"
        "test_a_storage_that_hangs_again_and_again_is_one_line",
    ),
    Mutant(
        name="newcomers-pass-those-who-wait",
        file="backends/sql/engine.py",
        old="while not self._free or self._waiting[0] is not turn:",
        new="while not self._free:",
        breaks="who has waited longest for a connection gets it",
        found_by="unit/test_sql_turns.py::"
        "test_those_who_wait_go_first_in_their_order_and_nobody_passes_them",
    ),
    Mutant(
        name="a-late-turn-is-lost",
        file="backends/sql/engine.py",
        old="self._waiting.remove(turn)\n                self._call_next()",
        new="self._waiting.remove(turn)",
        breaks="no connection is lost to somebody who has given up",
        found_by="unit/test_sql_turns.py::"
        "test_a_turn_of_somebody_who_has_given_up_goes_to_the_next",
    ),
    Mutant(
        name="an-overload-is-an-outage",
        file="backends/sql/engine.py",
        old="max(began, self._succeeded)",
        new="began",
        breaks="nobody is refused while the database answers others",
        found_by="unit/test_sql_turns.py::test_nobody_gives_up_while_others_succeed",
    ),
    Mutant(
        name="failures-let-others-wait",
        file="backends/sql/engine.py",
        old="if kind is None:\n                self._succeeded",
        new="if True:\n                self._succeeded",
        breaks="where the database hangs, nobody waits for long",
        found_by="unit/test_sql_turns.py::test_nobody_gives_up_while_others_succeed",
    ),
    Mutant(
        name="a-connection-that-failed-is-closed-twice",
        file="backends/sql/drivers.py",
        old="cursor.execute(statement.format(max(1, int(timeout))))",
        new="try:\n"
        "                    cursor.execute(statement.format(max(1, int(timeout))))\n"
        "                except BaseException:\n"
        "                    connection.close()\n"
        "                    raise",
        breaks="a failure is told once, without a traceback of the pool",
        found_by="faults/test_single_commands.py::"
        "test_a_connection_that_is_cut_while_it_is_opened_is_told_once",
    ),
    Mutant(
        name="the-marker-hangs-and-nobody-minds",
        file="store/marker.py",
        old="            if not error.quick:\n                raise\n",
        new="",
        breaks="a request that has waited for the marker asks for nothing else",
        found_by="integration/updates/test_seldom.py::"
        "test_a_request_waits_for_the_marker_no_longer_than_for_a_timeout",
    ),
    Mutant(
        name="a-move-that-hangs-is-asked-for-again",
        file="store/regeneration.py",
        old="        if not error.quick:\n            raise\n",
        new="",
        breaks="a storage that hangs while a session gets a new id is waited for once",
        found_by="integration/updates/test_seldom.py::"
        "test_a_storage_that_hangs_is_waited_for_once",
    ),
)
