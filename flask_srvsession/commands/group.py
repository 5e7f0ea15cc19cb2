"""``flask sessions``: look at sessions, end them, and check their storage.

Exit codes: 0 done; 1 not found, problems found, or not confirmed; 2 wrong usage; 3 the
storage could not be reached, or has the sessions of another SECRET_KEY. Data goes to
stdout, everything else to stderr. Neither tokens nor the values of a session are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import wraps
from typing import Any

import click

from ..backends import health
from ..backends.base import KeepsTables
from ..backends.health import Finding, an_error, an_info
from ..config import wrong_flask_keys
from ..ending import ALL_REVOKED
from ..store import rewriting
from . import devices, display, personal, take_over
from .checks import check_configuration
from .desk import (
    COMMANDS,
    DONE,
    NOT_FOUND,
    UNREACHABLE,
    Answer,
    Desk,
    StorageUnreachable,
    command,
    index_value,
    note,
    operator,
    progress,
    watched,
)
from .rehearsal import rehearse

__all__ = ["COMMANDS"]

By = dict[str, str | None]
"""The `actor` and the `reason` of an end."""

whose_argument = click.argument("whose", metavar="INDEX=VALUE...", nargs=-1)


def of_an_end(work: Callable[..., Answer]) -> Callable[..., Answer]:
    """Give a command that ends sessions its options, and it who does it, and why."""

    @click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
    @click.option("--actor", metavar="NAME", help="Who does it, for the audit trail.")
    @click.option("--reason", metavar="TEXT", help="Why, for the audit trail.")
    @wraps(work)
    def run(*desk: Desk, actor: str | None, reason: str | None, **given: Any) -> Answer:
        by = {"actor": actor or operator(), "reason": reason}
        return work(*desk, by=by, **given)

    return run


@command("list")
@whose_argument
def list_sessions(desk: Desk, whose: tuple[str, ...]) -> Answer:
    """List the live sessions of an index value, as user_id=42, oldest first."""
    owners = [index_value(desk, text) for text in whose or ("",)]
    with desk.with_records():
        found = [info for owner in owners for info in desk.sessions.find(**owner)]
    return Answer([*map(display.session_facts, found)], display.sessions_table(found))


@command("show")
@click.argument("session_id", metavar="ID")
def show(desk: Desk, session_id: str) -> Answer:
    """Show one session."""
    with desk.with_records():
        info = desk.sessions.get(session_id)
    if info is None:
        raise click.ClickException(f"There is no session {session_id!r}.")
    return Answer(display.session_facts(info), display.session_lines(info))


@command("revoke")
@click.argument("chosen", metavar="ID... [INDEX=VALUE]", nargs=-1, required=True)
@of_an_end
def revoke(desk: Desk, chosen: tuple[str, ...], yes: bool, by: By) -> Answer:
    """End sessions; with an owner, as user_id=42, only theirs."""
    owners = [index_value(desk, text) for text in chosen if "=" in text]
    session_ids = [text for text in chosen if "=" not in text]
    if not session_ids or len(owners) > 1:
        raise click.UsageError("Give the ids of sessions, and at most one INDEX=VALUE.")
    _confirm(yes, f"End {len(session_ids)} session(s)?")
    owner = owners[0] if owners else {}
    ended: list[str] = []
    missing: list[str] = []
    with desk.with_records():
        for session_id in progress(session_ids, "Ending sessions"):
            lived = desk.sessions.revoke(session_id, **by, **owner)
            (ended if lived else missing).append(session_id)
    for session_id in missing:
        note(f"There is no such session: {session_id!r}")
    facts, text = (
        {"revoked": ended, "not_found": missing},
        f"Ended {len(ended)} session(s).",
    )
    return Answer(facts, text, NOT_FOUND if missing else DONE)


@command("revoke-all")
@whose_argument
@of_an_end
def revoke_all(desk: Desk, whose: tuple[str, ...], yes: bool, by: By) -> Answer:
    """End all sessions of an index value, as user_id=42, and the logins under way."""
    owners = [index_value(desk, text) for text in whose or ("",)]
    with desk.with_records():
        if not yes:
            count = sum(len(desk.sessions.find(**owner)) for owner in owners)
            _confirm(yes, f"End all sessions of {', '.join(whose)} ({count} now)?")
        end = ALL_REVOKED.said(**by)
        ended = 0
        for owner in owners:
            with watched("Ending sessions") as watch:
                ended += desk.sessions._revoke_all(owner, watch=watch, end=end)
    text = f"Ended {ended} session(s)."
    return Answer({"revoked": ended}, text, DONE if ended else NOT_FOUND)


@command("revoke-everything")
@click.option(
    "--durable", metavar="N", type=int, default=0, help="Wait for so many replicas."
)
@of_an_end
def revoke_everything(desk: Desk, durable: int, yes: bool, by: By) -> Answer:
    """End the sessions of everybody, at once: for the day of an incident."""
    prefix = desk.settings.key_prefix
    _confirm(yes, f"End the sessions of everybody, all under {prefix!r}?")
    with desk.with_records():
        desk.sessions.revoke_everything(durable=durable, **by)
        if desk.backend.evicts:
            note(
                "The storage may throw out the mark that says so, and a process that"
                " starts then does not know: a new SECRET_KEY is the sure way."
            )
    text = "Ended the sessions of everybody. All processes know it within 5 seconds."
    return Answer({"revoked": "everything"}, text)


@command("export")
@whose_argument
@click.option("--values", is_flag=True, help="Print what the sessions hold, too.")
def export(desk: Desk, whose: tuple[str, ...], values: bool) -> Answer:
    """Print all that is kept about a person's sessions, as user_id=42."""
    owners = [index_value(desk, text) for text in whose or ("",)]
    with desk.with_records():
        found = [
            f for owner in owners for f in personal.kept(desk, owner, values=values)
        ]
    text = "\n\n".join(map(display.lines, found)) or "No sessions."
    return Answer(found, text)


@command("erase")
@whose_argument
@of_an_end
def erase(desk: Desk, whose: tuple[str, ...], yes: bool, by: By) -> Answer:
    """End all sessions of a person, as user_id=42, and leave nothing of them."""
    owners = [index_value(desk, text) for text in whose or ("",)]
    _confirm(yes, f"End all sessions of {', '.join(whose)}, and leave nothing?")
    with desk.with_records():
        end = ALL_REVOKED.said(by["actor"], by["reason"] or "erased")
        ended = sum(personal.erase(desk, owner, end=end) for owner in owners)
    return Answer({"erased": ended}, f"Erased {ended} session(s).")


@command("encrypt")
def encrypt(desk: Desk) -> Answer:
    """Encrypt, with the newest key, the records that nobody has written since."""
    if desk.settings.encryption_keys is None:
        raise click.ClickException("The app has no SRVSESSION_ENCRYPTION_KEYS.")
    with desk.with_records():
        store = desk.store
        found = rewriting.session_ids(store)
        if found is None:
            kind = type(desk.backend).__name__
            raise click.UsageError(
                f"Sessions are in a {kind}, which cannot list its keys: records are"
                " encrypted when they are written."
            )
        plain = [*rewriting.outdated(store, found)]
        watched = progress(plain, "Encrypting records")
        done = sum(rewriting.rewrite(store, session_id) for session_id in watched)
        left = len([*rewriting.outdated(store, found)])
    text = f"Encrypted {done} of {len(found)} record(s); {left} are left."
    facts = {"encrypted": done, "records": len(found), "left": left}
    return Answer(facts, text, NOT_FOUND if left else DONE)


@command("sweep")
def sweep(desk: Desk) -> Answer:
    """Remove expired records where the storage does not do so by itself."""
    desk.need_our_interface()
    with desk.with_storage():
        removed = desk.sessions.sweep()
    return Answer({"removed": removed}, f"Removed {removed} expired record(s).")


@command("create-tables")
@click.option(
    "--sql", "as_sql", is_flag=True, help="Print the statements, for migrations."
)
def create_tables(desk: Desk, as_sql: bool) -> Answer:
    """Create the tables that an SQL database needs, where they are missing.

    Other storages need none. The statements are printed without asking the database.
    """
    backend = desk.backend
    if not isinstance(backend, KeepsTables):
        kind = type(backend).__name__
        raise click.UsageError(f"Sessions are in a {kind}, which needs no tables.")
    if as_sql:
        return Answer({"sql": (sql := backend.ddl())}, sql.rstrip("\n"))
    with desk.with_storage():
        created = backend.create_tables()
    text = "The tables were created." if created else "The tables are there."
    return Answer({"created": created}, text)


@command("stats")
def stats(desk: Desk) -> Answer:
    """Show the figures of the storage: for all who use it, not only for this app."""
    with desk.with_storage():
        counted = {**health.stats(desk.backend), **take_over.counts(desk)}
    facts = {"backend": type(desk.backend).__name__, **counted}
    return Answer(facts, display.lines(facts))


@command("check")
@click.option(
    "--ignore", metavar="KEY", multiple=True, help="Leave out what concerns KEY."
)
def check(desk: Desk, ignore: tuple[str, ...]) -> Answer:
    """Read configuration and storage, try the storage, and name the faults.

    Ends with 1 if there is an error or a warning, with 3 if the storage could not be
    reached.
    """
    findings = [*check_configuration(desk.app, desk.settings)]
    findings += [*devices.findings(desk), *take_over.findings(desk)]
    code = DONE
    try:
        with desk.with_storage():
            findings += _storage_findings(desk)
    except StorageUnreachable as error:
        code = UNREACHABLE
        remedy = "Start it, or correct SRVSESSION_BACKEND."
        findings += [an_error("SRVSESSION_BACKEND", error.message, remedy)]
    findings = [finding for finding in findings if finding.key not in ignore]
    if any(finding.severity != "info" for finding in findings):
        code = code or NOT_FOUND
    return Answer([*map(asdict, findings)], display.findings_text(findings), code)


def _storage_findings(desk: Desk) -> Iterator[Finding]:
    backend, settings = desk.backend, desk.settings
    found = [*health.check(backend)]
    yield from found
    if any(finding.severity == "error" for finding in found):
        return  # a round would fail of that, or hide it
    yield from rehearse(backend, settings.key_prefix, settings.max_payload)
    yield from devices.storage_findings(desk)
    yield from take_over.storage_findings(desk)
    if desk.app.secret_key and not any(wrong_flask_keys(desk.app.config)):
        yield from desk.key_findings(desk.store.marker.keeper())
    yield from _encryption_findings(desk)
    if settings.fenced_load is False and backend.evicts:
        yield an_error(
            "SRVSESSION_FENCED_LOAD",
            "The storage may throw out an index: its sessions would live on, and"
            " revoke_all() would not find them.",
            "Leave it out.",
        )


def _encryption_findings(desk: Desk) -> Iterator[Finding]:
    """Yield how many records are as they were before the newest key."""
    if desk.settings.encryption_keys is None or not desk.app.secret_key:
        return
    store = desk.store
    found = rewriting.session_ids(store) or []
    if plain := len([*rewriting.outdated(store, found)]):
        yield an_info(
            "SRVSESSION_ENCRYPTION_KEYS",
            f"{plain} of {len(found)} records are plain, or have an older key.",
            "Run: flask sessions encrypt",
        )


def _confirm(yes: bool, question: str) -> None:
    if not yes:
        click.confirm(display.escaped(question), abort=True, err=True)
