"""Nobody gets in by a dump, a leaked key or a record of their own; nothing is told."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="the-oldest-key-signs",
        file="ids.py",
        old="list(secret_keys),",
        new="list(secret_keys)[::-1],",
        breaks="the SECRET_KEY of now signs, its fallbacks only verify",
        found_by="unit/test_ids.py::test_fallback_keys_are_accepted_but_do_not_sign",
    ),
    Mutant(
        name="the-salt-is-the-same-for-all-apps",
        file="ids.py",
        old='salt=f"flask_srvsession.cookie.v1:{prefix}"',
        new='salt="flask_srvsession.cookie.v1"',
        breaks="two apps never accept each other's cookies",
        found_by="unit/test_ids.py::test_another_key_or_prefix_makes_another_signature",
    ),
    Mutant(
        name="a-token-has-64-bits",
        file="ids.py",
        old="return secrets.token_hex(16)",
        new='return secrets.token_hex(8) + "0" * 16',
        breaks="a token has 128 random bits",
        found_by="unit/test_ids.py::test_each_of_its_32_digits_is_left_to_chance",
    ),
    Mutant(
        name="a-token-counts-up",
        file="ids.py",
        old="return secrets.token_hex(16)",
        new="globals().update(_n=globals().get('_n', 0) + 1)\n    return f'{_n:032x}'",
        breaks="a token has 128 random bits",
        found_by="unit/test_ids.py::test_each_of_its_32_digits_is_left_to_chance",
    ),
    Mutant(
        name="a-key-counts-up",
        file="ids.py",
        old='return f"{secrets.token_hex(16)}_{int(born):x}"',
        new="globals().update(_n=globals().get('_n', 0) + 1)\n"
        "    return f'{_n:032x}_{int(born):x}'",
        breaks="a KEY has 128 random bits and is never used twice",
        found_by="unit/test_ids.py::test_each_of_its_32_digits_is_left_to_chance",
    ),
    Mutant(
        name="an-outage-logs-what-the-client-says",
        file="backends/guarded.py",
        old='cause = describe(error, getattr(self.backend, "server", ""))',
        new="cause = str(error)",
        breaks="a failure is logged without what the client says",
        found_by="unit/test_guard.py::"
        "test_a_failure_is_logged_without_what_the_client_says",
    ),
    Mutant(
        name="a-refusal-repeats-the-value",
        file="serializers.py",
        old="it is of the type {type(culprit).__name__}, ",
        new="it is of the type {type(culprit).__name__} {culprit!r}, ",
        breaks="a refusal names path and type, but never the value",
        found_by="unit/test_serializers.py::"
        "test_a_refusal_names_the_path_and_the_type_but_never_the_value",
    ),
    Mutant(
        name="a-bad-url-is-repeated",
        file="backends/__init__.py",
        old='"The backend must be a URL that begins with a scheme, such as"',
        new='f"The backend {url} must be a URL that begins with a scheme, such as"',
        breaks="no message repeats a URL, which may hold a password",
        found_by="unit/test_backend_urls.py::"
        "test_a_bad_url_is_refused_and_never_repeated",
    ),
    Mutant(
        name="a-database-error-shows-the-data",
        file="backends/sql/engine.py",
        old='"hide_parameters": True,',
        new='"hide_parameters": False,',
        breaks="no error shows the password or the data",
        found_by="unit/test_sql_schema.py::test_an_error_shows_no_parameter",
    ),
    Mutant(
        name="a-changed-key-takes-effect-at-the-next-start",
        file="runtime.py",
        old="if present != self._built_for:",
        new="if not self._built_for:",
        breaks="a SECRET_KEY that changes while the app runs takes effect at once",
        found_by="integration/test_secret_keys.py::TestSecretKey::test_that_change"
        "s_while_the_app_runs_takes_effect_at_once",
    ),
    Mutant(
        name="tokens-are-stored-in-clear",
        file="ids.py",
        old='return hashlib.sha256(token.encode("ascii")).digest()[:16]',
        new="return bytes.fromhex(token)",
        breaks="a dump of the store lets nobody in",
        found_by="integration/cookies/test_secrecy.py::TestNothingSecretIsShown::t"
        "est_the_store_holds_no_token",
    ),
    Mutant(
        name="a-record-shows-its-values",
        file="store/record.py",
        old='return f"<Record generation {self.generation}, last seen {self.l'
        'ast_seen}>"',
        new='return f"<Record {self.values}>"',
        breaks="no payload in a repr",
        found_by="unit/test_record.py::test_no_secret_is_shown",
    ),
    Mutant(
        name="a-record-shows-its-chain",
        file="store/record.py",
        old='return f"<Record generation {self.generation}, last seen {self.l'
        'ast_seen}>"',
        new='return f"<Record {self.chain!r}>"',
        breaks="no secret in a repr",
        found_by="unit/test_record.py::test_no_secret_is_shown",
    ),
    Mutant(
        name="changes-show-their-values",
        file="draft.py",
        old="assigned: Mapping[str, bytes] = field(default_factory=dict, repr=False)",
        new="assigned: Mapping[str, bytes] = field(default_factory=dict)",
        breaks="no payload in a repr",
        found_by="unit/test_draft.py::test_changes_do_not_show_what_is_stored",
    ),
    Mutant(
        name="the-alarm-logs-the-token",
        file="arrival.py",
        old='log.warning("session %s: an outdated cookie was used", live.id)',
        new='log.warning("an outdated cookie was used: %s", live.credential.token)',
        breaks="no token in a log",
        found_by="integration/rotation/test_outdated.py::TestReplay::test_it_is_lo"
        "gged_once_with_the_id_and_without_a_token",
    ),
    Mutant(
        name="the-terminal-obeys-clients",
        file="commands/display.py",
        old="c if c.isprintable() else ascii(c)[1:-1] for c in text",
        new="c for c in text",
        breaks="what clients say of themselves cannot drive the terminal",
        found_by="integration/cli/test_sessions.py::TestSecrecy::test_what_clients"
        "_say_of_themselves_cannot_drive_the_terminal",
    ),
    Mutant(
        name="the-whole-address-is-kept",
        file="runtime.py",
        old="bits = 24 if address.version == 4 else 48",
        new="bits = 32 if address.version == 4 else 128",
        breaks="of an IP address a shortened one is kept",
        found_by="integration/lists/test_metadata.py::test_true_keeps_a_shortened_"
        "address_and_the_user_agent",
    ),
    Mutant(
        name="a-record-that-is-none-is-a-500",
        file="store/records.py",
        old="except Unreadable as reason:",
        new="except ImportError as reason:",
        breaks="what does not verify is no session and a warning, never a 500",
        found_by="integration/bad_input/test_records.py::TestRecord::test_that_is_"
        "not_ours_is_no_session",
    ),
    Mutant(
        name="a-record-that-is-none-is-ignored-silently",
        file="store/records.py",
        old='log.warning("the record of session %s is ignored: %s", session_i'
        "d, reason)",
        new="pass",
        breaks="what does not verify is no session and a warning, never a 500",
        found_by="integration/bad_input/test_records.py::TestRecord::test_that_is_"
        "not_ours_is_no_session",
    ),
)
