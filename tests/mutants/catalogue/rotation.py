"""An outdated credential raises the alarm, a lost response hurts nobody."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="a-form-has-a-shorter-grace",
        file="arrival.py",
        old="opened=visit.opened, judged=judged)",
        new='opened=visit.opened + 99 * (request.method == "POST"), judged=judged)',
        breaks="the grace is the same for all methods",
        found_by="integration/rotation/test_outdated.py::TestGrace::"
        "test_it_is_never_shorter_than_configured[memory]",
    ),
    Mutant(
        name="replay-is-not-detected",
        file="store/rotation.py",
        old="return Verdict.LATE if int(opened) <= record.since else Verdict.REPLAYED",
        new="return Verdict.LATE",
        breaks="use of an outdated credential ends the session",
        found_by="unit/test_rotation.py::TestJudge::test_each_credential_means_wha"
        "t_the_table_says",
    ),
    Mutant(
        name="who-was-overtaken-is-called-a-thief",
        file="store/rotation.py",
        old="return Verdict.LATE if int(opened) <= record.since else Verdict.REPLAYED",
        new="return Verdict.REPLAYED",
        breaks="a request that was overtaken raises no alarm",
        found_by="unit/test_rotation.py::TestJudge::test_each_credential_means_wha"
        "t_the_table_says",
    ),
    Mutant(
        name="grace-never-ends",
        file="store/rotation.py",
        old="if ahead == -1 and opened < record.since + grace:",
        new="if ahead == -1:",
        breaks="the token before the current one is served for a while only",
        found_by="unit/test_rotation.py::TestJudge::test_each_credential_means_wha"
        "t_the_table_says",
    ),
    Mutant(
        name="grace-of-all-ancestors",
        file="store/rotation.py",
        old="if ahead == -1 and opened < record.since + grace:",
        new="if opened < record.since + grace:",
        breaks="only the token before the current one has a grace",
        found_by="unit/test_rotation.py::TestJudge::test_each_credential_means_wha"
        "t_the_table_says",
    ),
    Mutant(
        name="grace-is-a-second-too-long",
        file="store/rotation.py",
        old="if ahead == -1 and opened < record.since + grace:",
        new="if ahead == -1 and opened <= record.since + grace:",
        breaks="the grace ends when it is over",
        found_by="unit/test_rotation.py::TestJudge::test_each_credential_means_wha"
        "t_the_table_says",
    ),
    Mutant(
        name="no-grace",
        file="store/rotation.py",
        old="if ahead == -1 and opened < record.since + grace:",
        new="if False:",
        breaks="requests in flight may still use the token before",
        found_by="unit/test_rotation.py::TestJudge::test_each_credential_means_wha"
        "t_the_table_says",
    ),
    Mutant(
        name="grace-is-a-moment-too-short",
        file="store/rotation.py",
        old="since=math.ceil(now)",
        new="since=int(now)",
        breaks="a grace is never shorter than configured",
        found_by="integration/rotation/test_outdated.py::TestGrace::test_it_is_nev"
        "er_shorter_than_configured",
    ),
    Mutant(
        name="a-successor-is-not-promoted",
        file="store/rotation.py",
        old="pending=None,\n            since=",
        new="since=",
        breaks="a presented successor becomes the current token",
        found_by="unit/test_rotation.py::TestAdvance::test_a_presented_successor_b"
        "ecomes_the_current_token",
    ),
    Mutant(
        name="a-forged-token-is-admitted",
        file="store/rotation.py",
        old="if not _leads_to_current(record, credential):",
        new="if False:",
        breaks="a leaked SECRET_KEY alone lets nobody in",
        found_by="unit/test_rotation.py::TestJudge::test_each_credential_means_wha"
        "t_the_table_says",
    ),
    Mutant(
        name="a-forged-successor-is-admitted",
        file="store/rotation.py",
        old="return Verdict.SUCCESSOR if fits else Verdict.FORGED",
        new="return Verdict.SUCCESSOR",
        breaks="a leaked SECRET_KEY alone lets nobody in",
        found_by="unit/test_rotation.py::TestJudge::test_each_credential_means_wha"
        "t_the_table_says",
    ),
    Mutant(
        name="a-token-ahead-of-the-record-is-adopted",
        file="store/rotation.py",
        old="return Verdict.AHEAD",
        new="return Verdict.CURRENT",
        breaks="after the storage lost writes nothing unknown is adopted",
        found_by="unit/test_rotation.py::TestJudge::test_each_credential_means_wha"
        "t_the_table_says",
    ),
    Mutant(
        name="the-chain-has-no-key",
        file="store/rotation.py",
        old="hmac.digest(record.chain, message,",
        new='hmac.digest(b"", message,',
        breaks="who has a token does not know its successor",
        found_by="unit/test_rotation.py::TestJudge::test_a_token_of_another_chain_"
        "is_forged",
    ),
    Mutant(
        name="the-chain-forgets-the-generation",
        file="store/rotation.py",
        old='f"{credential.generation}.{credential.token}"',
        new='f"{credential.token}"',
        breaks="a token has another successor in another generation",
        found_by="unit/test_rotation.py::TestChain::test_it_depends_on_the_key_the"
        "_token_and_the_generation",
    ),
    Mutant(
        name="permanent-is-switched-in-the-grace",
        file="visit.py",
        old="if permanent in (None, was) or (live and live.verdict is Verdict.GRACE):",
        new="if permanent in (None, was):",
        breaks="permanent is ignored in the grace",
        found_by="integration/rotation/test_outdated.py::TestGrace::test_permanent"
        "_is_ignored",
    ),
    Mutant(
        name="a-connection-begins-when-it-is-looked-at",
        file="visit.py",
        old="request.environ.setdefault(OPENED, runtime.clock())",
        new="runtime.clock()",
        breaks="a request is judged by when it began",
        found_by="integration/rotation/test_long_lived.py::TestLongLived::test_if_"
        "it_first_looks_after_hours_nobody_is_called_a_thief",
    ),
    Mutant(
        name="a-replayed-credential-is-served",
        file="arrival.py",
        old="if isinstance(result, Live) and result.verdict is Verdict.REPLAYED:",
        new="if False:",
        breaks="a replayed credential is never served",
        found_by="integration/rotation/test_outdated.py::TestReplay::test_it_ends_"
        "the_session_for_both",
    ),
    Mutant(
        name="a-replayed-session-lives-on",
        file="arrival.py",
        old='if policy == "revoke":',
        new='if policy == "reject":',
        breaks="a replay ends the session for both",
        found_by="integration/rotation/test_outdated.py::TestReplay::test_it_ends_"
        "the_session_for_both",
    ),
)
