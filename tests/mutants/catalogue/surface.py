"""What an app, its operator and its other extensions rely on."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="an-unknown-key-is-ignored",
        file="config.py",
        old="        _reject_unknown(config)\n",
        new="",
        breaks="an unknown SRVSESSION_ key raises and names the nearest one",
        found_by="integration/test_bad_input.py::TestConfiguration::"
        "test_with_an_unknown_key_names_the_nearest",
    ),
    Mutant(
        name="rotation-within-the-grace",
        file="config.py",
        old="if every is not None and every < 2 * grace:",
        new="if every is not None and every < grace:",
        breaks="ROTATE_EVERY is at least twice ROTATE_GRACE",
        found_by="integration/test_bad_input.py::TestConfiguration::"
        "test_that_is_wrong_is_refused_with_key_value_and_remedy",
    ),
    Mutant(
        name="a-wrong-url-is-shown",
        file="config.py",
        old='f"{key} is a {type(value).__name__}, but must be {remedy}."',
        new='f"{key} is {value!r}, but must be {remedy}."',
        breaks="no message shows a backend, which may hold a password",
        found_by="integration/test_bad_input.py::TestConfiguration::"
        "test_with_a_url_that_does_not_work_tells_no_secret",
    ),
    Mutant(
        name="two-apps-share-one-prefix",
        file="config.py",
        old='f"{safe_name[:80]}:session:"',
        new='"app:session:"',
        breaks="two apps that share a store do not share sessions",
        found_by="unit/test_config.py::test_a_prefix_is_made_of_the_apps_name",
    ),
    Mutant(
        name="an-empty-backend-is-replaced",
        file="extension.py",
        old="chosen = settings.backend if backend is None else backend",
        new="chosen = backend or settings.backend",
        breaks="a backend that is passed in is the one that is used",
        found_by="integration/test_edges.py::"
        "test_an_empty_backend_that_is_passed_in_is_the_one_that_is_used",
    ),
    Mutant(
        name="all-apps-hear-each-others-logins",
        file="extension.py",
        old="user_logged_in.connect(renew, sender=app, weak=False)",
        new="user_logged_in.connect(renew, weak=False)",
        breaks="several apps under Flask-Login do not hear each other's logins",
        found_by="integration/test_flask_login.py::"
        "test_an_app_with_flasks_own_sessions_in_the_same_process_is_left_alone",
    ),
    Mutant(
        name="flask-logins-logins-are-not-heard",
        file="extension.py",
        old="        _follow_flask_login(app)\n",
        new="",
        breaks="Flask-Login's login of the same user changes the id",
        found_by="integration/test_login.py::"
        "test_flask_logins_login_of_the_same_user_changes_the_id",
    ),
    Mutant(
        name="revocations-are-told-before-they-are-done",
        file="extension.py",
        old="        ended = store.destroy(held.id, held) if held else None\n",
        new="        _tell(store, [held], current)\n"
        "        ended = store.destroy(held.id, held) if held else None\n",
        breaks="revocations are told once, after they are done",
        found_by="integration/test_signals.py::"
        "test_revocations_are_told_once_for_each_session",
    ),
    Mutant(
        name="who-makes-room-is-not-told-of",
        file="store.py",
        old="self._on_evicted(evicted)",
        new="pass",
        breaks="a limit that ends the oldest session says so",
        found_by="integration/test_signals.py::"
        "test_a_limit_that_ends_the_oldest_says_so",
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
        name="a-logout-is-not-told",
        file="session.py",
        old="if held:\n                self._send(signals.session_destroyed, held)",
        new="pass",
        breaks="a logout sends session_destroyed",
        found_by="integration/test_signals.py::"
        "test_a_logout_is_told_once_after_it_was_done",
    ),
    Mutant(
        name="dropped-changes-are-not-told",
        file="session.py",
        old="self._send(signals.session_changes_dropped, held)",
        new="pass",
        breaks="who loses changes is told",
        found_by="integration/test_signals.py::test_dropped_changes_are_told_once",
    ),
    Mutant(
        name="metadata-is-never-renewed",
        file="store.py",
        old="meta=meta or record.meta,",
        new="meta=record.meta,",
        breaks="metadata changes at a renewal",
        found_by="integration/test_metadata.py::test_it_changes_at_a_renewal_only",
    ),
    Mutant(
        name="several-processes-are-not-warned",
        file="runtime.py",
        old='or not environ.get("wsgi.multiprocess"):',
        new="or True:",
        breaks="sessions in memory warn where the server runs several processes",
        found_by="integration/test_edges.py::"
        "test_several_processes_that_do_not_share_their_sessions_are_warned_of_once",
    ),
    Mutant(
        name="commands-do-not-ask",
        file="cli.py",
        old="    if not yes:\n        click.confirm(",
        new="    if False:\n        click.confirm(",
        breaks="commands that end sessions ask first",
        found_by="integration/test_cli.py::TestRevoke::test_asks_first",
    ),
    Mutant(
        name="commands-ignore-the-owner",
        file="cli.py",
        old="lived = desk.sessions.revoke(session_id, **owner)",
        new="lived = desk.sessions.revoke(session_id)",
        breaks="revoke with an owner ends only their sessions",
        found_by="integration/test_cli.py::TestRevoke::"
        "test_with_an_owner_ends_only_theirs",
    ),
    Mutant(
        name="commands-take-an-outage-for-not-found",
        file="cli_options.py",
        old="exit_code = UNREACHABLE",
        new="exit_code = 1",
        breaks="a command that cannot reach the storage ends with 3",
        found_by="integration/test_cli.py::TestUnreachable::test_ends_with_3",
    ),
    Mutant(
        name="check-takes-a-weak-secret-key",
        file="checks.py",
        old="elif len(secret) < MIN_SECRET or len(set(secret)) < _DISTINCT:",
        new="elif not secret:",
        breaks="a SECRET_KEY that can be guessed is an error",
        found_by="unit/test_checks.py::"
        "test_a_secret_key_that_can_be_guessed_is_an_error",
    ),
    Mutant(
        name="check-takes-fenced-load-off",
        file="cli.py",
        old="if desk.runtime.settings.fenced_load is False and "
        "desk.runtime.backend.evicts:",
        new="if False:",
        breaks="fenced load that is off where the storage evicts is an error",
        found_by="integration/test_cli.py::TestCheck::"
        "test_fenced_load_that_is_off_where_the_storage_evicts",
    ),
    Mutant(
        name="an-app-without-a-key-has-sessions",
        file="interface.py",
        old="if not app.secret_key:",
        new="if False:",
        breaks="a missing SECRET_KEY is said in Flask's own words",
        found_by="integration/test_bad_input.py::TestSecretKey::"
        "test_that_is_missing_is_said_in_flasks_own_words",
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
    Mutant(
        name="every-process-sweeps",
        file="sweeper.py",
        old='if guarded.get(key) is None and guarded.add(key, b"", every) is not None:',
        new="if True:",
        breaks="one of the app's processes sweeps",
        found_by="integration/test_sweeper.py::"
        "test_one_of_many_sweeps_and_another_one_when_it_is_time_again",
    ),
)
