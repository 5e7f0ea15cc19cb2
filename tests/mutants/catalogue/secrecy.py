"""Nobody gets in by a dump, a leaked key or a record of their own; nothing is told."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="no-mac",
        file="record.py",
        old="if hmac.compare_digest(seal, _seal(mac, key, body)):",
        new="if True:",
        breaks="a record that was edited is no session",
        found_by="unit/test_record.py::test_every_flipped_bit_is_unreadable",
    ),
    Mutant(
        name="the-mac-does-not-know-the-key",
        file="record.py",
        old='mac.update(len(name).to_bytes(2, "big") + name + VERSION)',
        new="mac.update(VERSION)",
        breaks="a record that was moved to another key is no session",
        found_by="unit/test_record.py::test_what_belongs_to_others_is_unreadable",
    ),
    Mutant(
        name="key-and-body-shift-into-each-other",
        file="record.py",
        old='mac.update(len(name).to_bytes(2, "big") + name + VERSION)',
        new="mac.update(name)",
        breaks="a key and a body cannot shift into each other",
        found_by="unit/test_record.py::"
        "test_a_key_and_a_body_cannot_shift_into_each_other",
    ),
    Mutant(
        name="the-oldest-key-seals",
        file="record.py",
        old="for secret in reversed(secret_keys)]",
        new="for secret in secret_keys]",
        breaks="the SECRET_KEY of now seals what is written",
        found_by="unit/test_record.py::test_fallback_keys_open_and_the_last_one_seals",
    ),
    Mutant(
        name="the-oldest-key-signs",
        file="ids.py",
        old="list(secret_keys),",
        new="list(secret_keys)[::-1],",
        breaks="the SECRET_KEY of now signs, its fallbacks only verify",
        found_by="unit/test_ids.py::test_fallback_keys_are_accepted_but_do_not_sign",
    ),
    Mutant(
        name="wrong-order-of-fallbacks",
        file="config.py",
        old='return [*fallbacks, config.get("SECRET_KEY")]',
        new='return [config.get("SECRET_KEY"), *fallbacks]',
        breaks="the SECRET_KEY of now signs, its fallbacks only verify",
        found_by="integration/test_bad_input.py::TestSecretKey::"
        "test_of_now_is_the_only_one_that_signs",
    ),
    Mutant(
        name="fallbacks-are-forgotten",
        file="config.py",
        old='return [*fallbacks, config.get("SECRET_KEY")]',
        new='return [config.get("SECRET_KEY")]',
        breaks="a SECRET_KEY of before is accepted as a fallback",
        found_by="integration/test_bad_input.py::TestSecretKey::"
        "test_of_before_is_accepted_as_a_fallback",
    ),
    Mutant(
        name="a-changed-key-takes-effect-at-the-next-start",
        file="runtime.py",
        old="if present != self._built_for:",
        new="if not self._built_for:",
        breaks="a SECRET_KEY that changes while the app runs takes effect at once",
        found_by="integration/test_bad_input.py::TestSecretKey::"
        "test_that_changes_while_the_app_runs_takes_effect_at_once",
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
        name="the-seal-is-the-same-for-all-apps",
        file="record.py",
        old='label = f"flask_srvsession.record.v1:{prefix}:{serializer}".encode()',
        new='label = f"flask_srvsession.record.v1:{serializer}".encode()',
        breaks="a record of another app is no session",
        found_by="unit/test_record.py::test_what_belongs_to_others_is_unreadable",
    ),
    Mutant(
        name="what-is-not-signed-is-accepted",
        file="ids.py",
        old="if hmac.compare_digest(_signature(mac, payload), signature):",
        new="if True:",
        breaks="a cookie that we did not sign is nobody's",
        found_by="unit/test_ids.py::"
        "test_a_changed_character_anywhere_makes_a_cookie_worthless",
    ),
    Mutant(
        name="a-signature-has-several-spellings",
        file="ids.py",
        old="if hmac.compare_digest(_signature(mac, payload), signature):",
        new='if base64.urlsafe_b64decode(_signature(mac, payload) + "=") == '
        'base64.urlsafe_b64decode(signature + "="):',
        breaks="a cookie is exactly what we would have sent",
        found_by="integration/test_bad_input.py::TestCookie::"
        "test_has_a_signature_with_one_spelling_only",
    ),
    Mutant(
        name="tokens-are-stored-in-clear",
        file="ids.py",
        old='return hashlib.sha256(token.encode("ascii")).digest()[:16]',
        new="return bytes.fromhex(token)",
        breaks="a dump of the store lets nobody in",
        found_by="integration/test_cookies.py::TestNothingSecretIsShown::"
        "test_the_store_holds_no_token",
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
        name="a-credential-shows-its-token",
        file="ids.py",
        old="token: str = field(repr=False)",
        new="token: str",
        breaks="no token in a repr",
        found_by="unit/test_ids.py::test_a_credential_does_not_show_its_token",
    ),
    Mutant(
        name="a-record-shows-its-values",
        file="record.py",
        old='return f"<Record generation {self.generation}, last seen '
        '{self.last_seen}>"',
        new='return f"<Record {self.values}>"',
        breaks="no payload in a repr",
        found_by="unit/test_record.py::test_no_secret_is_shown",
    ),
    Mutant(
        name="a-record-shows-its-chain",
        file="record.py",
        old='return f"<Record generation {self.generation}, last seen '
        '{self.last_seen}>"',
        new='return f"<Record {self.chain!r}>"',
        breaks="no secret in a repr",
        found_by="unit/test_record.py::test_no_secret_is_shown",
    ),
    Mutant(
        name="changes-show-their-values",
        file="changes.py",
        old="assigned: Mapping[str, bytes] = field(default_factory=dict, repr=False)",
        new="assigned: Mapping[str, bytes] = field(default_factory=dict)",
        breaks="no payload in a repr",
        found_by="unit/test_draft.py::test_changes_do_not_show_what_is_stored",
    ),
    Mutant(
        name="a-session-shows-its-values",
        file="session.py",
        old='return f"<{type(self).__name__} {state}>"',
        new='return f"<{type(self).__name__} {state} {dict(self._draft)}>"',
        breaks="repr(session) tells the public id at most",
        found_by="integration/test_cookies.py::TestNothingSecretIsShown::"
        "test_repr_tells_the_public_id_at_most",
    ),
    Mutant(
        name="the-alarm-logs-the-token",
        file="arrival.py",
        old='log.warning("session %s: an outdated cookie was used", held.id)',
        new='log.warning("an outdated cookie was used: %s", held.credential.token)',
        breaks="no token in a log",
        found_by="integration/test_rotation.py::TestReplay::"
        "test_it_is_logged_once_with_the_id_and_without_a_token",
    ),
    Mutant(
        name="an-outage-logs-what-the-client-says",
        file="guard.py",
        old="operation, reason(error))",
        new="operation, error)",
        breaks="a failure is logged without what the client says",
        found_by="unit/test_guard.py::"
        "test_a_failure_is_logged_without_what_the_client_says",
    ),
    Mutant(
        name="a-refusal-repeats-the-value",
        file="serializers.py",
        old="it is a {type(culprit).__name__} that does not",
        new="it is a {type(culprit).__name__} {culprit!r} that does not",
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
        file="backends/sql_engine.py",
        old='"hide_parameters": True,',
        new='"hide_parameters": False,',
        breaks="no error shows the password or the data",
        found_by="unit/test_sql_schema.py::test_an_error_shows_no_parameter",
    ),
    Mutant(
        name="the-terminal-obeys-clients",
        file="display.py",
        old="c if c.isprintable() else ascii(c)[1:-1] for c in text",
        new="c for c in text",
        breaks="what clients say of themselves cannot drive the terminal",
        found_by="integration/test_cli.py::TestSecrecy::"
        "test_what_clients_say_of_themselves_cannot_drive_the_terminal",
    ),
    Mutant(
        name="the-whole-address-is-kept",
        file="runtime.py",
        old="bits = 24 if address.version == 4 else 48",
        new="bits = 32 if address.version == 4 else 128",
        breaks="of an IP address a shortened one is kept",
        found_by="integration/test_metadata.py::"
        "test_true_keeps_a_shortened_address_and_the_user_agent",
    ),
    Mutant(
        name="values-of-another-serializer-are-taken",
        file="record.py",
        old='label = f"flask_srvsession.record.v1:{prefix}:{serializer}".encode()',
        new='label = f"flask_srvsession.record.v1:{prefix}".encode()',
        breaks="a record of another serializer is no session",
        found_by="integration/test_bad_input.py::TestRecord::"
        "test_of_another_serializer_is_no_session",
    ),
    Mutant(
        name="a-record-that-is-none-is-a-500",
        file="cells.py",
        old="except Unreadable as reason:",
        new="except ImportError as reason:",
        breaks="what does not verify is no session and a warning, never a 500",
        found_by="integration/test_bad_input.py::TestRecord::"
        "test_that_is_not_ours_is_no_session",
    ),
    Mutant(
        name="a-record-that-is-none-is-ignored-silently",
        file="cells.py",
        old='log.warning("the record of session %s is ignored: %s", session_id, '
        "reason)",
        new="pass",
        breaks="what does not verify is no session and a warning, never a 500",
        found_by="integration/test_bad_input.py::TestRecord::"
        "test_that_is_not_ours_is_no_session",
    ),
)
