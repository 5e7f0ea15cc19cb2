"""A bound session is used by its device alone, and an honest browser stays bound."""

from __future__ import annotations

from ..mutant import Mutant

_RULES = "dbsc/test_rules.py::test_"
_THIEF = f"{_RULES}the_session_cookie_alone_is_refused_at_once"

MUTANTS = (
    *tuple(
        Mutant(
            name=f"device-{name}",
            file=f"dbsc/{file}.py",
            old=old,
            new=new,
            breaks=breaks,
            found_by=found_by,
        )
        for name, file, old, new, breaks, found_by in (
            (
                "not-enforced",
                "gate",
                "            self._refuse(visit, live)\n",
                "            pass\n",
                "who shows no bound cookie is not the user",
                _THIEF,
            ),
            (
                "enforced-too-early",
                "gate",
                "elif live.record.bound:",
                "elif live.record.device:",
                "a session is bound when a request has shown the cookie",
                f"{_RULES}it_is_not_enforced_before_a_request_has_shown_the_cookie",
            ),
            (
                "any-generation",
                "gate",
                "if stamp and stamp.generation >= generation - 1:",
                "if stamp:",
                "the last but one proof is good, and no older one",
                f"{_RULES}the_last_but_one_proof_is_good_and_older_ones_are_not",
            ),
            (
                "last-generation-only",
                "gate",
                "stamp.generation >= generation - 1",
                "stamp.generation >= generation",
                "requests in flight keep the proof that they were sent with",
                "dbsc/test_flow.py::"
                "test_a_refresh_before_the_end_leaves_requests_in_flight_alone",
            ),
            (
                "cookie-for-ever",
                "seals",
                "if not _is_recent(issued, at, life):",
                "if False:",
                "a bound cookie ends, whatever the browser says",
                "dbsc/test_seals.py::test_each_ends",
            ),
            (
                "one-mac-for-all",
                "seals",
                'f"{purpose}.{session_id}.{generation}.{issued}"',
                'f"{session_id}.{generation}.{issued}"',
                "a challenge is no bound cookie",
                "dbsc/test_seals.py::test_they_are_good_for_one_purpose",
            ),
            (
                "cookie-of-any-session",
                "seals",
                'f"{purpose}.{session_id}.{generation}.{issued}"',
                'f"{purpose}.{generation}.{issued}"',
                "a bound cookie is good for one session",
                f"{_RULES}the_bound_cookie_of_another_session_is_refused",
            ),
            (
                "challenge-again",
                "routes",
                "if stamp is None or stamp.generation != device.generation:",
                "if stamp is None:",
                "a challenge is good once",
                f"{_RULES}a_challenge_is_good_once",
            ),
            (
                "another-algorithm",
                "proof",
                ' or header.get("alg") != "ES256"',
                "",
                "ES256 alone is believed",
                "dbsc/test_proof.py::test_a_refresh_with_another_header_is_refused",
            ),
            (
                "no-signature",
                "proof",
                'raise Refused("its signature does not fit") from None',
                "pass",
                "the key of the session has signed",
                "dbsc/test_proof.py::test_a_proof_of_another_key_is_refused",
            ),
            (
                "registered-again",
                "binding",
                "return not record.bound and now >= device.time + ANSWER_LOST",
                "return now >= device.time + ANSWER_LOST",
                "nobody takes over a bound session by another key",
                f"{_RULES}a_thief_cannot_register_a_device",
            ),
            (
                "second-registration-wins",
                "binding",
                "return not record.bound and now >= device.time + ANSWER_LOST",
                "return not record.bound",
                "of two registrations at once the first counts",
                f"{_RULES}of_two_registrations_at_once_the_first_counts",
            ),
            (
                "raised-by-somebody-else",
                "binding",
                "return isinstance(found, Live) and found.record is record, found",
                "return isinstance(found, Live), found",
                "of two proofs of one generation one counts",
                "concurrency/test_device_interleavings.py::"
                "test_of_proofs_for_one_generation_one_counts",
            ),
            (
                "unknown-is-401",
                "routes",
                "return Response(text, 200, content_type",
                "return Response(text, 401, content_type",
                "a binding that is over ends without an error",
                "dbsc/test_flow.py::test_a_logout_ends_the_binding_without_a_word",
            ),
            (
                "outage-ends-it",
                "routes",
                'Response(status=503, headers={"Retry-After": "1"})',
                "Response(status=400)",
                "a binding survives an outage",
                f"{_RULES}a_binding_survives_an_outage",
            ),
            (
                "link-is-refused",
                "pages",
                'in ("cross-site", "same-site")',
                "in ()",
                "a link from another site opens its page",
                f"{_RULES}a_link_from_another_site_opens_its_page",
            ),
            (
                "proof-of-yesterday",
                "gate",
                "if proved is not None and visit.opened < proved + within:",
                "if proved is not None:",
                "a payment asks for a fresh proof",
                f"{_RULES}a_thief_pays_nothing",
            ),
            (
                "forgotten-by-others",
                "routes",
                'if request.headers.get("Sec-Fetch-Site") != "same-origin":',
                "if False:",
                "no other site makes a browser forget its session",
                f"{_RULES}a_browser_that_has_lost_its_key_may_forget_the_session",
            ),
            (
                "unbound-goes-on",
                "gate",
                "if not overdue or was_anonymous(",
                "if True or was_anonymous(",
                "a login that has to be bound, and is not, ends",
                f"{_RULES}a_login_that_is_not_bound_in_a_minute_ends",
            ),
            (
                "prefix-left-out",
                "routes",
                'refresh=f"{root}{self._path}/refresh"',
                'refresh=f"{self._path}/refresh"',
                "it works under a prefix",
                f"{_RULES}it_works_under_a_prefix",
            ),
        )
    ),
    Mutant(
        name="device-new-id-for-a-thief",
        file="session.py",
        old="            visit.runtime.prove_device(visit, within=60)\n",
        new="",
        breaks="a new id of a bound session needs a fresh proof",
        found_by=f"{_RULES}a_thief_gets_no_new_id",
    ),
    Mutant(
        name="device-new-id-for-who-is-kept",
        file="visit.py",
        old="live.verdict is Verdict.GRACE or live.record.bound",
        new="live.verdict is Verdict.GRACE",
        breaks="nobody gets an unbound session of a bound one",
        found_by=f"{_RULES}to_end_all_others_keeps_the_bound_session_as_it_is",
    ),
)
