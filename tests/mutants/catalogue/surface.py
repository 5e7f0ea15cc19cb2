"""What an app, its operator and its other extensions rely on."""

from __future__ import annotations

from ..mutant import Mutant

MUTANTS = (
    Mutant(
        name="a-change-of-a-receiver-is-lost",
        file="session.py",
        old="if visit.told and (changes := visit.pending()) is not NO_CHANGES:",
        new="if False:",
        breaks="a receiver of session_created may put something into the session",
        found_by="integration/test_signals.py::"
        "test_a_change_that_a_receiver_makes_is_saved[created-<lambda>]",
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
        old="touch = min(self.touch_interval or default, max(1, anonymous // 2))",
        new="touch = self.touch_interval or default",
        breaks="a session that is read is renewed before it is idle too long",
        found_by="unit/test_config.py::"
        "test_a_session_that_is_read_is_renewed_before_it_is_idle_too_long",
    ),
    Mutant(
        name="an-unknown-key-is-ignored",
        file="config.py",
        old="        _reject_unknown(config)\n",
        new="",
        breaks="an unknown SRVSESSION_ key raises and names the nearest one",
        found_by="integration/test_configuration.py::TestConfiguration::test_with_"
        "an_unknown_key_names_the_nearest",
    ),
    Mutant(
        name="rotation-within-the-grace",
        file="config.py",
        old="if every is not None and every < 2 * grace:",
        new="if every is not None and every < grace:",
        breaks="ROTATE_EVERY is at least twice ROTATE_GRACE",
        found_by="integration/test_configuration.py::TestConfiguration::test_that_"
        "is_wrong_is_refused_with_key_value_and_remedy",
    ),
    Mutant(
        name="a-wrong-url-is-shown",
        file="values.py",
        old='f"{key} is a {kind}, but must be {remedy}."',
        new='f"{key} is {value!r}, but must be {remedy}."',
        breaks="no message shows a backend, which may hold a password",
        found_by="integration/test_configuration.py::TestConfiguration::test_with_"
        "a_url_that_does_not_work_tells_no_secret",
    ),
    Mutant(
        name="all-apps-hear-each-others-logins",
        file="extension.py",
        old="user_logged_in.connect(renew, sender=app, weak=False)",
        new="user_logged_in.connect(renew, weak=False)",
        breaks="several apps under Flask-Login do not hear each other's logins",
        found_by="integration/flask_login/test_sessions.py::test_an_app_with_flask"
        "s_own_sessions_in_the_same_process_is_left_alone",
    ),
    Mutant(
        name="flask-logins-logins-are-not-heard",
        file="extension.py",
        old="        _follow_flask_login(app)\n",
        new="",
        breaks="Flask-Login's login of the same user changes the id",
        found_by="integration/login/test_new_id.py::test_flask_logins_login_of_the"
        "_same_user_changes_the_id",
    ),
    Mutant(
        name="revocations-are-told-before-they-are-done",
        file="extension.py",
        old="        ended = moves.end(store, given, same, end) if live else None\n",
        new="        _tell(store, [live], current, end)\n"
        "        ended = moves.end(store, given, same, end) if live else None\n",
        breaks="revocations are told once, after they are done",
        found_by="integration/test_signals.py::test_revocations_are_told_once_for_"
        "each_session",
    ),
    Mutant(
        name="dropped-changes-are-not-told",
        file="saving.py",
        old="if live else None)\n    visit.send(signals.session_changes_dropped, live)",
        new="if live else None)",
        breaks="who loses changes is told",
        found_by="integration/test_signals.py::test_dropped_changes_are_told_once",
    ),
    Mutant(
        name="commands-are-imported-with-the-app",
        file="extension.py",
        old="from .commands.lazy import sessions_group",
        new="from .commands import group\nfrom .commands.lazy import sessions_group",
        breaks="an app imports what it uses, when it uses it",
        found_by="unit/test_import_time.py::test_the_package_does_not_import",
    ),
    Mutant(
        name="commands-do-not-ask",
        file="commands/group.py",
        old="    if not yes:\n        click.confirm(",
        new="    if False:\n        click.confirm(",
        breaks="commands that end sessions ask first",
        found_by="integration/cli/test_sessions.py::TestRevoke::test_asks_first",
    ),
    Mutant(
        name="commands-ignore-the-owner",
        file="commands/group.py",
        old="**by, **owner)",
        new="**by)",
        breaks="revoke with an owner ends only their sessions",
        found_by="integration/cli/test_sessions.py::TestRevoke::test_with_an_owner"
        "_ends_only_theirs",
    ),
    Mutant(
        name="commands-take-an-outage-for-not-found",
        file="commands/desk.py",
        old='that."""\n\n    exit_code = UNREACHABLE',
        new='that."""\n\n    exit_code = 1',
        breaks="a command that cannot reach the storage ends with 3",
        found_by="integration/cli/test_sessions.py::TestUnreachable::test_ends_with_3",
    ),
    Mutant(
        name="an-app-without-a-key-has-sessions",
        file="interface.py",
        old="if not app.secret_key:",
        new="if False:",
        breaks="a missing SECRET_KEY is said in Flask's own words",
        found_by="integration/test_secret_keys.py::TestSecretKey::test_that_is_mis"
        "sing_is_said_in_flasks_own_words",
    ),
    Mutant(
        name="every-process-sweeps",
        file="sweeper.py",
        old='if guarded.get(key) is None and guarded.add(key, b"", every) is not None:',
        new="if True:",
        breaks="one of the app's processes sweeps",
        found_by="integration/storages/test_sweeper.py::test_one_of_many_sweeps_an"
        "d_another_one_when_it_is_time_again",
    ),
    Mutant(
        name="refusals-are-not-told",
        file="session.py",
        old="if isinstance(error, SessionRefused):",
        new="if False:",
        breaks="session_refused is sent for each refusal",
        found_by="contrib/test_opentelemetry.py::"
        "test_each_refusal_is_counted_once_with_its_error",
    ),
    Mutant(
        name="metrics-repeat-the-reasons-of-the-app",
        file="contrib/opentelemetry.py",
        old='info.end.reason if info.end.reason in _REASONS else "other"',
        new="info.end.reason",
        breaks="no attribute holds what may name somebody",
        found_by="contrib/test_opentelemetry.py::"
        "test_the_events_are_those_of_a_scripted_run",
    ),
    Mutant(
        name="outages-are-not-counted",
        file="backends/outage.py",
        old="self.begun += 1",
        new="self.begun = 1",
        breaks="each outage is counted",
        found_by="contrib/test_opentelemetry.py::"
        "test_an_outage_is_counted_when_it_begins",
    ),
    Mutant(
        name="a-wrong-option-of-redis-is-not-named",
        file="backends/redis/clients.py",
        old="return name  # none if the address alone is refused",
        new='return ""',
        breaks="each wrong option names itself",
        found_by="unit/test_backend_urls.py::"
        "test_each_wrong_option_names_itself_at_the_first_contact",
    ),
)
