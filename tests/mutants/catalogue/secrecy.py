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
        file="backends/sql/engine.py",
        old='"hide_parameters": True,',
        new='"hide_parameters": False,',
        breaks="no error shows the password or the data",
        found_by="unit/test_sql_schema.py::test_an_error_shows_no_parameter",
    ),
)
