"""What an app, its operator and its other extensions rely on."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="two-apps-share-one-prefix",
        file="config.py",
        old='f"{safe_name[:80]}:session:"',
        new='"app:session:"',
        breaks="two apps that share a store do not share sessions",
        found_by="unit/test_config.py::test_a_prefix_is_made_of_the_apps_name",
    ),
    Mutant(
        name="a-failing-receiver-fails-the-login",
        file="runtime.py",
        old='log.exception("a receiver of session_revoked failed")',
        new="raise",
        breaks="a receiver that fails does not fail somebody else's login",
        found_by="integration/test_signals.py::TestRaisingReceiver::"
        "test_a_login_at_the_limit_goes_through",
    ),
    Mutant(
        name="check-takes-a-weak-secret-key",
        file="commands/checks.py",
        old="elif len(secret) < MIN_SECRET or len(set(secret)) < _DISTINCT:",
        new="elif not secret:",
        breaks="a SECRET_KEY that can be guessed is an error",
        found_by="unit/test_checks.py::"
        "test_a_secret_key_that_can_be_guessed_is_an_error",
    ),
    Mutant(
        name="a-reader-is-renewed-after-the-idle-timeout",
        file="config.py",
        old="touch = min(self.touch_interval or default, max(1, idle // 2))",
        new="touch = self.touch_interval or default",
        breaks="a session that is read is renewed before it is idle too long",
        found_by="unit/test_config.py::"
        "test_a_session_that_is_read_is_renewed_before_it_is_idle_too_long",
    ),
)
