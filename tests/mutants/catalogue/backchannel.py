"""A good logout token ends the sessions that it names, once; a bad one ends none."""

from __future__ import annotations

from ..mutant import Mutant

_FILE = "contrib/backchannel.py"
_TESTS = "contrib/test_backchannel.py::"
_REFUSED = f"{_TESTS}test_a_token_that_is_not_as_it_must_be_is_refused_and_ends_nothing"

MUTANTS = (
    *(
        Mutant(
            name=f"logout-token-{name}",
            file=_FILE,
            old=old,
            new=new,
            breaks=f"a logout token must have {must}",
            found_by=f"{_REFUSED}",
        )
        for name, old, new, must in (
            (
                "of-any-issuer",
                'iss={"essential": True, "value": self.issuer}',
                'iss={"essential": True}',
                "the provider's issuer",
            ),
            (
                "for-any-audience",
                'aud={"essential": True, "value": self._audience}',
                'aud={"essential": True}',
                "the app among its audience",
            ),
            ("with-a-nonce", 'if "nonce" in claims:', "if False:", "no nonce"),
            (
                "without-event",
                "or not isinstance(events.get(EVENT), dict)",
                "",
                "the event of back-channel logout",
            ),
            (
                "of-any-type",
                "if _type(token.header) not in self._types:",
                "if False:",
                "the type logout+jwt",
            ),
            (
                "of-any-age",
                'if token.claims["iat"] < now - self.max_age - MAX_CLOCK_SKEW:',
                "if False:",
                "been issued a moment ago",
            ),
            (
                "without-jti",
                'LogoutToken(_text(claims, "jti"),',
                'LogoutToken(str(claims.get("jti")),',
                "a jti",
            ),
            (
                "with-any-text",
                "value and value.isprintable()",
                "value",
                "names that can be written",
            ),
        )
    ),
    Mutant(
        name="logout-token-again-and-again",
        file=_FILE,
        old="if found and found.data == DONE:",
        new="if False:",
        breaks="a used logout token is refused",
        found_by=f"{_TESTS}test_a_used_token_is_refused_also_by_another_process",
    ),
    Mutant(
        name="logout-token-forgotten-too-soon",
        file=_FILE,
        old="version, kept) is None",
        new="version, RETRY_AFTER) is None",
        breaks="a logout token is remembered for as long as it is good",
        found_by=f"{_TESTS}test_a_token_is_remembered_for_as_long_as_it_is_good",
    ),
    Mutant(
        name="logout-token-used-up-by-an-outage",
        file=_FILE,
        old="            backend.delete(key, version)\n",
        new="            pass\n",
        breaks="a logout that failed may be tried again at once",
        found_by=f"{_TESTS}test_a_token_whose_logout_failed_is_good_at_once"
        "_when_the_storage_is_back",
    ),
    Mutant(
        name="logout-token-used-up-by-a-crash",
        file=_FILE,
        old="backend.add(key, BEGUN, RETRY_AFTER)",
        new="backend.add(key, DONE, RETRY_AFTER * 99)",
        breaks="a process that dies leaves the logout token good",
        found_by=f"{_TESTS}test_a_process_that_dies_in_the_middle"
        "_leaves_the_token_good_after_a_while",
    ),
    Mutant(
        name="logout-token-of-all-issuers",
        file=_FILE,
        old='return f"{self.issuer} {value}"',
        new="return str(value)",
        breaks="a provider ends no session of another provider's",
        found_by=f"{_TESTS}test_each_of_two_providers_ends_its_own_sessions_only",
    ),
    Mutant(
        name="logout-token-jti-of-all-issuers",
        file=_FILE,
        old='f"{provider.issuer} {token.jti}"',
        new='f"{token.jti}"',
        breaks="two providers may give the same jti",
        found_by=f"{_TESTS}test_the_jti_is_that_of_its_issuer",
    ),
    Mutant(
        name="logout-token-ends-all-of-the-user",
        file=_FILE,
        old='"sid" if claims.get("sid") is not None else "sub"',
        new='"sub" if claims.get("sub") is not None else "sid"',
        breaks="a logout token with a sid ends that session only",
        found_by=f"{_TESTS}test_who_signs_out_at_the_provider"
        "_is_out_in_that_browser_and_in_no_other",
    ),
    Mutant(
        name="logout-token-keys-for-ever",
        file=_FILE,
        old="if self._timer() - self._fetched_at >= KEEP_KEYS:",
        new="if not self._keys:",
        breaks="keys that the provider has withdrawn are not believed for ever",
        found_by=f"{_TESTS}TestFetchedKeys::test_are_not_believed_for_more_than_an_hour",
    ),
    Mutant(
        name="logout-token-keys-at-every-request",
        file=_FILE,
        old="if now - self._asked_at < ASK_AGAIN:",
        new="if False:",
        breaks="strangers cannot make the app ask for keys again and again",
        found_by=f"{_TESTS}TestFetchedKeys::"
        "test_are_asked_for_once_a_minute_while_the_line_is_cut",
    ),
    Mutant(
        name="logout-token-shared-secret",
        file=_FILE,
        old='if n != "none" and n[:2] != "HS"',
        new="",
        breaks="an app cannot allow algorithms with a shared secret, or without any",
        found_by=f"{_TESTS}test_a_wrong_option_names_itself[algorithms-value3]",
    ),
)
