"""``flask sessions``: look at sessions, end them, and check what they stand on.

Exit codes: 0 done; 1 not found, problems found, or not confirmed; 2 wrong usage; 3 the
storage could not be reached. Data goes to stdout, everything else to stderr. Neither
tokens nor what a session holds are ever shown.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from flask import Flask
from flask.cli import AppGroup, with_appcontext

from . import display
from .backends import health
from .backends.base import KeepsTables
from .backends.health import Finding
from .checks import check_configuration, check_remember_cookie
from .cli_options import (
    UNREACHABLE,
    ByIndex,
    Desk,
    StorageUnreachable,
    index_values,
    note,
    pass_desk,
)
from .display import escaped

if TYPE_CHECKING:
    from .extension import ServerSession

NOT_FOUND = 1

yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("list", cls=ByIndex)
@json_option
@pass_desk
@with_appcontext
def list_sessions(desk: Desk, as_json: bool) -> None:
    """List the live sessions of an index value, oldest first."""
    whose = index_values()
    with desk.with_records():
        found = [info for place in whose for info in desk.sessions.find(**place)]
    facts = [display.info_facts(info) for info in found]
    _print(as_json, facts, display.sessions_text(found))


@click.command()
@click.argument("session_id", metavar="ID")
@json_option
@pass_desk
@with_appcontext
def show(desk: Desk, session_id: str, as_json: bool) -> None:
    """Show what is known of a session."""
    with desk.with_records():
        info = desk.sessions.get(session_id)
    if info is None:
        raise click.ClickException(f"There is no session {session_id!r}.")
    _print(as_json, display.info_facts(info), display.session_text(info))


@click.command(cls=ByIndex)
@click.argument("session_ids", metavar="ID...", nargs=-1, required=True)
@yes_option
@json_option
@pass_desk
@with_appcontext
def revoke(desk: Desk, session_ids: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """End sessions. With an owner (as --user_id 42), only theirs."""
    [owner] = index_values(at_most=1, needed=False) or [{}]
    _confirm(yes, f"End {len(session_ids)} session(s)?")
    ended: list[str] = []
    missing: list[str] = []
    with desk.with_records():
        for session_id in _ending(session_ids):
            lived = desk.sessions.revoke(session_id, **owner)
            (ended if lived else missing).append(session_id)
    for session_id in missing:
        note(f"There is no such session: {session_id!r}")
    facts = {"revoked": ended, "not_found": missing}
    _print(as_json, facts, f"Ended {len(ended)} session(s).")
    if missing:
        raise click.exceptions.Exit(NOT_FOUND)


@click.command("revoke-all", cls=ByIndex)
@yes_option
@json_option
@pass_desk
@with_appcontext
def revoke_all(desk: Desk, yes: bool, as_json: bool) -> None:
    """End all sessions of an index value, and refuse the logins under way."""
    whose = index_values()
    names = ", ".join(f"{k}={v}" for place in whose for k, v in place.items())
    with desk.with_records():
        if not yes:
            count = sum(len(desk.sessions.find(**place)) for place in whose)
            _confirm(yes, f"End all sessions of {names} ({count} now)?")
        ended = sum(desk.sessions._revoke_all(place, watch=_ending) for place in whose)
    _print(as_json, {"revoked": ended}, f"Ended {ended} session(s).")


@click.command()
@json_option
@pass_desk
@with_appcontext
def sweep(desk: Desk, as_json: bool) -> None:
    """Remove expired records where the storage does not do so by itself."""
    with desk.with_storage():
        removed = desk.sessions.sweep()
    _print(as_json, {"removed": removed}, f"Removed {removed} expired record(s).")


@click.command("create-tables")
@click.option(
    "--sql", "as_sql", is_flag=True, help="Print the statements, for migrations."
)
@pass_desk
@with_appcontext
def create_tables(desk: Desk, as_sql: bool) -> None:
    """Create the tables that an SQL database needs, where they are missing.

    Other storages need none. The statements are printed without asking the database.
    """
    backend = desk.runtime.backend
    if not isinstance(backend, KeepsTables):
        kind = type(backend).__name__
        raise click.UsageError(f"Sessions are in a {kind}, which needs no tables.")
    if as_sql:
        click.echo(backend.ddl(), nl=False)
        return
    with desk.with_storage():
        created = backend.create_tables()
    click.echo("The tables were created." if created else "The tables are there.")


@click.command()
@json_option
@pass_desk
@with_appcontext
def stats(desk: Desk, as_json: bool) -> None:
    """Show what the storage counts: for all who use it, not only for this app."""
    backend = desk.runtime.backend
    with desk.with_storage():
        facts = {"backend": type(backend).__name__, **health.stats(backend)}
    _print(as_json, facts, display.facts_text(facts))


@click.command()
@click.option(
    "--ignore", metavar="KEY", multiple=True, help="Leave out what concerns KEY."
)
@json_option
@pass_desk
@with_appcontext
def check(desk: Desk, ignore: tuple[str, ...], as_json: bool) -> None:
    """Read configuration and storage, and say what to mend.

    Ends with 1 if there is an error or a warning, with 3 if the storage could not be
    reached.
    """
    findings = list(_configuration_findings(desk))
    code = 0
    try:
        with desk.with_storage():
            findings += health.check(desk.runtime.backend)
            findings += _fence_findings(desk)
    except StorageUnreachable as error:
        code = UNREACHABLE
        remedy = "Start it, or correct SRVSESSION_BACKEND."
        findings += [Finding("error", "SRVSESSION_BACKEND", error.message, remedy)]
    findings = [finding for finding in findings if finding.key not in ignore]
    facts = [asdict(finding) for finding in findings]
    _print(as_json, facts, display.findings_text(findings))
    found = any(finding.severity != "info" for finding in findings)
    raise click.exceptions.Exit(code or (NOT_FOUND if found else 0))


def _configuration_findings(desk: Desk) -> Iterator[Finding]:
    app = desk.app
    settings = desk.runtime.settings.resolved(app.permanent_session_lifetime)
    yield from check_configuration(app.config, settings)
    if hasattr(app, "login_manager"):
        yield from check_remember_cookie(app.config)


def _fence_findings(desk: Desk) -> Iterator[Finding]:
    if desk.runtime.settings.fenced_load is False and desk.runtime.backend.evicts:
        yield Finding(
            "error",
            "SRVSESSION_FENCED_LOAD",
            "The storage may throw out an index: its sessions would live on, and"
            " revoke_all() would not find them.",
            "Leave it out.",
        )


def _print(as_json: bool, facts: object, text: str) -> None:
    click.echo(display.as_json(facts) if as_json else text)


def _confirm(yes: bool, question: str) -> None:
    if not yes:
        click.confirm(escaped(question), abort=True, err=True)


def _ending(session_ids: Collection[str]) -> Iterator[str]:
    """Yield them, with a progress bar if there are several and people watch."""
    if len(session_ids) < 2 or not sys.stderr.isatty():
        yield from session_ids
        return
    with click.progressbar(
        session_ids, label="Ending sessions", file=sys.stderr
    ) as bar:
        yield from bar


COMMANDS = (
    list_sessions,
    show,
    revoke,
    revoke_all,
    create_tables,
    sweep,
    stats,
    check,
)


def sessions_group(sessions: ServerSession, app: Flask) -> AppGroup:
    """Return the command group ``sessions`` of `app`."""

    @click.pass_context
    def enter(ctx: click.Context) -> None:
        """Look at sessions, end them, and check what they stand on."""
        ctx.obj = Desk(sessions, app)

    return AppGroup("sessions", callback=enter, help=enter.__doc__, commands=COMMANDS)
