"""An outdated credential raises the alarm, a lost response hurts nobody."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="replay-is-not-detected",
        file="rotation.py",
        old="return Standing.LATE if int(opened) <= record.since else "
        "Standing.REPLAYED",
        new="return Standing.LATE",
        breaks="use of an outdated credential ends the session",
        found_by="unit/test_rotation.py::TestJudge::"
        "test_each_credential_means_what_the_table_says",
    ),
    Mutant(
        name="who-was-overtaken-is-called-a-thief",
        file="rotation.py",
        old="return Standing.LATE if int(opened) <= record.since else "
        "Standing.REPLAYED",
        new="return Standing.REPLAYED",
        breaks="a request that was overtaken raises no alarm",
        found_by="unit/test_rotation.py::TestJudge::"
        "test_each_credential_means_what_the_table_says",
    ),
    Mutant(
        name="grace-never-ends",
        file="rotation.py",
        old="if ahead == -1 and opened < record.since + grace:",
        new="if ahead == -1:",
        breaks="the token before the current one is served for a while only",
        found_by="unit/test_rotation.py::TestJudge::"
        "test_each_credential_means_what_the_table_says",
    ),
    Mutant(
        name="grace-of-all-ancestors",
        file="rotation.py",
        old="if ahead == -1 and opened < record.since + grace:",
        new="if opened < record.since + grace:",
        breaks="only the token before the current one has a grace",
        found_by="unit/test_rotation.py::TestJudge::"
        "test_each_credential_means_what_the_table_says",
    ),
    Mutant(
        name="grace-is-a-second-too-long",
        file="rotation.py",
        old="if ahead == -1 and opened < record.since + grace:",
        new="if ahead == -1 and opened <= record.since + grace:",
        breaks="the grace ends when it is over",
        found_by="unit/test_rotation.py::TestJudge::"
        "test_each_credential_means_what_the_table_says",
    ),
    Mutant(
        name="no-grace",
        file="rotation.py",
        old="if ahead == -1 and opened < record.since + grace:",
        new="if False:",
        breaks="requests in flight may still use the token before",
        found_by="unit/test_rotation.py::TestJudge::"
        "test_each_credential_means_what_the_table_says",
    ),
    Mutant(
        name="grace-is-a-moment-too-short",
        file="rotation.py",
        old="since=math.ceil(now)",
        new="since=int(now)",
        breaks="a grace is never shorter than configured",
        found_by="integration/test_rotation.py::TestGrace::"
        "test_it_is_never_shorter_than_configured",
    ),
    Mutant(
        name="pending-successor-is-not-confirmed",
        file="rotation.py",
        old="return record._replace(pending=token_hash(following.token), due=False)",
        new="return record._replace(generation=following.generation, "
        "due=False, token_hash=token_hash(following.token), "
        "since=math.ceil(now))",
        breaks="a lost response hurts nobody: the first presentation promotes",
        found_by="unit/test_rotation.py::TestAdvance::"
        "test_an_old_enough_token_gets_a_successor",
    ),
    Mutant(
        name="a-successor-is-not-promoted",
        file="rotation.py",
        old="pending=None,\n            since=",
        new="since=",
        breaks="a presented successor becomes the current token",
        found_by="unit/test_rotation.py::TestAdvance::"
        "test_a_presented_successor_becomes_the_current_token",
    ),
    Mutant(
        name="a-successor-during-the-grace",
        file="rotation.py",
        old="in_grace = record.generation > 1 and age < grace + FRESH",
        new="in_grace = False",
        breaks="no new successor while a predecessor is in its grace",
        found_by="unit/test_rotation.py::TestAdvance::"
        "test_nothing_is_handed_out_while_a_predecessor_is_in_its_grace",
    ),
    Mutant(
        name="a-forged-token-is-admitted",
        file="rotation.py",
        old="if not _leads_to_current(record, credential):",
        new="if False:",
        breaks="a leaked SECRET_KEY alone lets nobody in",
        found_by="unit/test_rotation.py::TestJudge::"
        "test_each_credential_means_what_the_table_says",
    ),
    Mutant(
        name="a-forged-successor-is-admitted",
        file="rotation.py",
        old="return Standing.SUCCESSOR if fits else Standing.FORGED",
        new="return Standing.SUCCESSOR",
        breaks="a leaked SECRET_KEY alone lets nobody in",
        found_by="unit/test_rotation.py::TestJudge::"
        "test_each_credential_means_what_the_table_says",
    ),
    Mutant(
        name="a-forged-token-ends-the-session",
        file="rotation.py",
        old="return Standing.FORGED\n    if ahead == 0:",
        new="return Standing.REPLAYED\n    if ahead == 0:",
        breaks="who has the SECRET_KEY only cannot end sessions",
        found_by="unit/test_rotation.py::TestJudge::"
        "test_each_credential_means_what_the_table_says",
    ),
    Mutant(
        name="a-token-ahead-of-the-record-is-adopted",
        file="rotation.py",
        old="return Standing.AHEAD",
        new="return Standing.CURRENT",
        breaks="after the storage lost writes nothing unknown is adopted",
        found_by="unit/test_rotation.py::TestJudge::"
        "test_each_credential_means_what_the_table_says",
    ),
    Mutant(
        name="the-chain-has-no-key",
        file="rotation.py",
        old="hmac.digest(record.chain, message,",
        new='hmac.digest(b"", message,',
        breaks="who has a token does not know its successor",
        found_by="unit/test_rotation.py::TestJudge::"
        "test_a_token_of_another_chain_is_forged",
    ),
    Mutant(
        name="the-chain-forgets-the-generation",
        file="rotation.py",
        old='f"{credential.generation}.{credential.token}"',
        new='f"{credential.token}"',
        breaks="a token has another successor in another generation",
        found_by="unit/test_rotation.py::TestChain::"
        "test_it_depends_on_the_key_the_token_and_the_generation",
    ),
    Mutant(
        name="no-rotation-by-readers",
        file="store.py",
        old="or self._advanced(held) is not record",
        new="",
        breaks="the credential rotates while the session lives",
        found_by="integration/test_rotation.py::TestRotation::"
        "test_the_cookie_changes_and_the_session_stays",
    ),
    Mutant(
        name="a-switch-to-permanent-waits-for-the-next-rotation",
        file="store.py",
        old="due=record.due or permanent is not record.permanent,",
        new="due=record.due,",
        breaks="a switch to permanent hands out a cookie that lasts",
        found_by="integration/test_rotation.py::TestRotation::"
        "test_a_switch_to_permanent_hands_out_a_cookie_that_lasts",
    ),
    Mutant(
        name="permanent-is-switched-in-the-grace",
        file="session.py",
        old="held.standing is Standing.GRACE or permanent == held.record.permanent",
        new="permanent == held.record.permanent",
        breaks="permanent is ignored in the grace",
        found_by="integration/test_rotation.py::TestGrace::test_permanent_is_ignored",
    ),
    Mutant(
        name="rotate-in-the-grace",
        file="session.py",
        old="elif self._held.standing is Standing.GRACE and not login:",
        new="elif False:",
        breaks="rotate() is refused in the grace",
        found_by="integration/test_rotation.py::TestGrace::test_rotate_is_refused",
    ),
    Mutant(
        name="a-login-in-the-grace-carries-over",
        file="session.py",
        old="changes = replace(self._draft.alone(), permanent=self._permanent)",
        new="pass",
        breaks="a login in the grace begins empty",
        found_by="integration/test_rotation.py::TestGrace::"
        "test_a_login_begins_empty_with_what_this_request_does",
    ),
    Mutant(
        name="a-connection-is-judged-again",
        file="arrival.py",
        old="admitted = verdict is not None and verdict.admitted",
        new="admitted = False",
        breaks="a long-lived connection is served on its first cookie",
        found_by="integration/test_rotation.py::TestLongLived::"
        "test_it_is_served_for_hours_on_its_first_cookie",
    ),
    Mutant(
        name="a-connection-begins-when-it-is-looked-at",
        file="interface.py",
        old="request.environ.setdefault(OPENED, runtime.clock())",
        new="runtime.clock()",
        breaks="a request is judged by when it began",
        found_by="integration/test_rotation.py::TestLongLived::"
        "test_if_it_first_looks_after_hours_nobody_is_called_a_thief",
    ),
    Mutant(
        name="a-replayed-credential-is-served",
        file="arrival.py",
        old="if isinstance(result, Held) and result.standing is Standing.REPLAYED:",
        new="if False:",
        breaks="a replayed credential is never served",
        found_by="integration/test_rotation.py::TestReplay::"
        "test_it_ends_the_session_for_both",
    ),
    Mutant(
        name="a-replayed-session-lives-on",
        file="arrival.py",
        old='if policy == "revoke":',
        new='if policy == "reject":',
        breaks="a replay ends the session for both",
        found_by="integration/test_rotation.py::TestReplay::"
        "test_it_ends_the_session_for_both",
    ),
    Mutant(
        name="a-replay-is-not-told",
        file="arrival.py",
        old="signals.session_replayed.send(opening.app, info=info)",
        new="pass",
        breaks="a replay sends session_replayed",
        found_by="integration/test_signals.py::"
        "test_a_replay_is_told_once_with_the_session_that_is_ended",
    ),
    Mutant(
        name="an-alarm-beside-a-good-cookie",
        file="arrival.py",
        old="if session_id not in found and session_id not in verdicts:",
        new="if session_id not in verdicts:",
        breaks="no alarm if a good cookie of the same session comes with it",
        found_by="integration/test_rotation.py::TestReplay::"
        "test_no_alarm_if_a_good_cookie_comes_with_it",
    ),
    Mutant(
        name="an-alarm-for-each-look",
        file="arrival.py",
        old="if session_id not in found and session_id not in verdicts:",
        new="if session_id not in found:",
        breaks="a connection raises one alarm however often it is opened",
        found_by="integration/test_rotation.py::TestLongLived::"
        "test_an_outdated_cookie_raises_one_alarm_however_often_it_is_opened",
    ),
    Mutant(
        name="the-last-of-two-cookies-of-a-session-is-used",
        file="arrival.py",
        old="found[credential.id] = max(known, result, key=_worth)",
        new="found[credential.id] = result",
        breaks="of two cookies of a session the better one is used",
        found_by="integration/test_rotation.py::TestGrace::"
        "test_a_good_cookie_beside_it_goes_first",
    ),
)
