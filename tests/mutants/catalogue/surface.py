"""What an app, its operator and its other extensions rely on."""

from __future__ import annotations

from ..mutant import Mutant

CLI = ("integration/test_cli.py",)
SIGNALS = ("integration/test_signals.py",)
CONFIGURATION = ("integration/test_bad_input.py::TestConfiguration",)
CONTEXTS = ("integration/test_contexts.py",)

MUTANTS = (
    Mutant(
        name="an-unknown-key-is-ignored",
        file="config.py",
        old="        _reject_unknown(config)\n",
        new="",
        breaks="an unknown SRVSESSION_ key raises and names the nearest one",
        tests=CONFIGURATION,
    ),
    Mutant(
        name="rotation-within-the-grace",
        file="config.py",
        old="if every is not None and every < 2 * grace:",
        new="if every is not None and every < grace:",
        breaks="ROTATE_EVERY is at least twice ROTATE_GRACE",
        tests=CONFIGURATION,
    ),
    Mutant(
        name="a-wrong-url-is-shown",
        file="config.py",
        old='f"{key} is a {type(value).__name__}, but must be {remedy}."',
        new='f"{key} is {value!r}, but must be {remedy}."',
        breaks="no message shows a backend, which may hold a password",
        tests=(*CONFIGURATION, "unit/test_config.py"),
    ),
    Mutant(
        name="two-apps-share-one-prefix",
        file="config.py",
        old='f"{safe_name[:80]}:session:"',
        new='"app:session:"',
        breaks="two apps that share a store do not share sessions",
        tests=(*CONTEXTS, "unit/test_config.py"),
    ),
    Mutant(
        name="an-empty-backend-is-replaced",
        file="extension.py",
        old="chosen = settings.backend if backend is None else backend",
        new="chosen = backend or settings.backend",
        breaks="a backend that is passed in is the one that is used",
        tests=("integration/test_edges.py",),
    ),
    Mutant(
        name="all-apps-hear-each-others-logins",
        file="extension.py",
        old="user_logged_in.connect(renew, sender=app, weak=False)",
        new="user_logged_in.connect(renew, weak=False)",
        breaks="several apps under Flask-Login do not hear each other's logins",
        tests=("integration/test_flask_login.py",),
    ),
    Mutant(
        name="flask-logins-logins-are-not-heard",
        file="extension.py",
        old="        _follow_flask_login(app)\n",
        new="",
        breaks="Flask-Login's login of the same user changes the id",
        tests=("integration/test_login.py",),
    ),
    Mutant(
        name="revocations-are-told-before-they-are-done",
        file="extension.py",
        old="        ended = store.destroy(held.id, held)\n",
        new="        _tell(store, [held], current)\n"
        "        ended = store.destroy(held.id, held)\n",
        breaks="revocations are told once, after they are done",
        tests=SIGNALS,
    ),
    Mutant(
        name="who-makes-room-is-not-told-of",
        file="store.py",
        old="self._on_evicted(evicted)",
        new="pass",
        breaks="a limit that ends the oldest session says so",
        tests=SIGNALS,
    ),
    Mutant(
        name="a-failing-receiver-fails-the-login",
        file="runtime.py",
        old='log.exception("a receiver of session_revoked failed")',
        new="raise",
        breaks="a receiver that fails does not fail somebody else's login",
        tests=SIGNALS,
    ),
    Mutant(
        name="a-logout-is-not-told",
        file="session.py",
        old="if held:\n                self._send(signals.session_destroyed, held)",
        new="pass",
        breaks="a logout sends session_destroyed",
        tests=SIGNALS,
    ),
    Mutant(
        name="dropped-changes-are-not-told",
        file="session.py",
        old="self._send(signals.session_changes_dropped, held)",
        new="pass",
        breaks="who loses changes is told",
        tests=SIGNALS,
    ),
    Mutant(
        name="metadata-is-never-renewed",
        file="store.py",
        old="replace(record, meta=meta or record.meta)",
        new="record",
        breaks="metadata changes at a renewal",
        tests=("integration/test_metadata.py",),
    ),
    Mutant(
        name="several-processes-are-not-warned",
        file="runtime.py",
        old='or not environ.get("wsgi.multiprocess"):',
        new="or True:",
        breaks="sessions in memory warn where the server runs several processes",
        tests=("integration/test_edges.py",),
    ),
    Mutant(
        name="commands-do-not-ask",
        file="cli.py",
        old="    if not yes:\n        click.confirm(",
        new="    if False:\n        click.confirm(",
        breaks="commands that end sessions ask first",
        tests=CLI,
    ),
    Mutant(
        name="commands-ignore-the-owner",
        file="cli.py",
        old="lived = desk.sessions.revoke(session_id, **owner)",
        new="lived = desk.sessions.revoke(session_id)",
        breaks="revoke with an owner ends only their sessions",
        tests=CLI,
    ),
    Mutant(
        name="commands-take-an-outage-for-not-found",
        file="cli_options.py",
        old="exit_code = UNREACHABLE",
        new="exit_code = 1",
        breaks="a command that cannot reach the storage ends with 3",
        tests=CLI,
    ),
    Mutant(
        name="check-takes-a-weak-secret-key",
        file="checks.py",
        old="elif len(secret) < MIN_SECRET or len(set(secret)) < _DISTINCT:",
        new="elif not secret:",
        breaks="a SECRET_KEY that can be guessed is an error",
        tests=("unit/test_checks.py",),
    ),
    Mutant(
        name="check-takes-fenced-load-off",
        file="cli.py",
        old="if desk.runtime.settings.fenced_load is False and "
        "desk.runtime.backend.evicts:",
        new="if False:",
        breaks="fenced load that is off where the storage evicts is an error",
        tests=CLI,
    ),
    Mutant(
        name="an-app-without-a-key-has-sessions",
        file="interface.py",
        old="if not app.secret_key:",
        new="if False:",
        breaks="a missing SECRET_KEY is said in Flask's own words",
        tests=("integration/test_bad_input.py::TestSecretKey",),
    ),
    Mutant(
        name="a-reader-is-renewed-after-the-idle-timeout",
        file="config.py",
        old="touch = min(self.touch_interval or default, max(1, idle // 2))",
        new="touch = self.touch_interval or default",
        breaks="a session that is read is renewed before it is idle too long",
        tests=("unit/test_config.py",),
    ),
)
