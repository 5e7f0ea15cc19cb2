"""The parts that all ``flask sessions`` commands share."""

from __future__ import annotations

import difflib
import getpass
import os
import shlex
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, NamedTuple, TypeVar

import click
from flask import Flask
from flask.cli import with_appcontext

from ..backends.base import Backend
from ..backends.causes import describe
from ..backends.health import Finding, a_warning, an_error, an_info
from ..config import Settings, check_flask_keys
from ..errors import BackendError, ConfigurationError
from ..interface import other_interface
from ..store import SessionStore
from ..store.marker import Keeper
from .display import as_json, escaped

T = TypeVar("T")

DONE, NOT_FOUND, UNREACHABLE = 0, 1, 3
"""Exit codes; click itself ends with 2 after wrong usage."""


class StorageUnreachable(click.ClickException):
    """Ends the command with the exit code for that."""

    exit_code = UNREACHABLE


@dataclass(frozen=True)
class Desk:
    """An app, its sessions, and where they are."""

    sessions: Any
    """The :class:`ServerSession` of the app."""
    app: Flask
    settings: Settings
    backend: Backend

    @contextmanager
    def with_storage(self) -> Iterator[None]:
        """Say why the storage cannot be reached, if it cannot."""
        failures: tuple[type[Exception], ...] = self.backend.errors
        failures += (BackendError, ConfigurationError)
        try:
            yield
        except failures as error:
            found = error.__cause__ if isinstance(error, BackendError) else error
            why = escaped(describe(found or error, getattr(self.backend, "server", "")))
            raise StorageUnreachable(
                f"The storage could not be reached, or refused ({why})."
            ) from error

    @contextmanager
    def with_records(self) -> Iterator[None]:
        """The same for work on sessions, which needs the keys of the app as well."""
        if not self.app.secret_key:
            raise click.UsageError("The app has no SECRET_KEY, so it has no sessions.")
        try:
            check_flask_keys(self.app.config)
        except ConfigurationError as error:
            raise click.UsageError(str(error)) from error
        self.need_our_interface()
        if not self.backend.shared:
            note("Sessions are in the memory of each process; this one has its own.")
        with self.with_storage():
            self._need_our_key()
            yield

    @property
    def store(self) -> SessionStore:
        """The sessions under the present keys."""
        store: SessionStore = self.app.extensions["srvsession"].store
        return store

    def need_our_interface(self) -> None:
        """End a command where another extension keeps the sessions of the app."""
        if other := other_interface(self.app):
            raise StorageUnreachable(
                f"The session_interface of this app is {other}, which keeps its"
                " sessions: they are not seen here. Nothing was done."
            )

    def key_findings(self, keeper: Keeper) -> Iterator[Finding]:
        """Yield the signs that the sessions under the prefix are those of others."""
        prefix = repr(self.settings.key_prefix)
        if keeper is Keeper.ANOTHER:
            yield an_error(
                "SECRET_KEY",
                f"This SECRET_KEY is not the one that sessions under {prefix} are kept"
                " with: this app sees none of them.",
                "Set that key, here or in SECRET_KEY_FALLBACKS, or another"
                " SRVSESSION_KEY_PREFIX.",
            )
        elif keeper is Keeper.BOTH:
            yield a_warning(
                "SRVSESSION_KEY_PREFIX",
                f"Another SECRET_KEY keeps sessions under {prefix}, too.",
                "Give each app a prefix of its own. A key that you have replaced is"
                " forgotten after a week.",
            )
        elif keeper is Keeper.NOBODY and (others := self.store.marker.elsewhere()):
            yield an_info(
                "SRVSESSION_KEY_PREFIX",
                f"Nobody has logged in under {prefix} yet, but with this SECRET_KEY"
                f" under {repr(others)[1:-1]}.",
                "Set it to that if this app is to see those sessions.",
            )

    def _need_our_key(self) -> None:
        keeper = self.store.marker.keeper()
        for finding in self.key_findings(keeper):
            if finding.severity != "warning":
                said = f"{finding.key}: {finding.problem} {finding.remedy}"
                raise StorageUnreachable(escaped(f"{said} Nothing was done."))
            note(finding.problem)
        if keeper is Keeper.NOBODY and self.backend.shared:
            note(f"Nobody has logged in under {self.settings.key_prefix!r} yet.")


pass_desk = click.make_pass_decorator(Desk)


class Answer(NamedTuple):
    """The result of a command, for programs and for people."""

    facts: object
    text: str
    code: int = DONE


COMMANDS: dict[str, click.Command] = {}
"""All commands by name: :func:`command` enters each."""


def command(name: str) -> Callable[[Callable[..., Answer]], click.Command]:
    """Make a command of a function that takes the desk, and print its answer."""

    def make(work: Callable[..., Answer]) -> click.Command:
        @click.command(name)
        @click.option("--json", "wants_json", is_flag=True, help="Print JSON.")
        @pass_desk
        @with_appcontext
        @wraps(work)
        def run(*desk: Desk, wants_json: bool, **given: Any) -> None:
            answer = work(*desk, **given)
            click.echo(as_json(answer.facts) if wants_json else answer.text)
            raise click.exceptions.Exit(answer.code)

        COMMANDS[name] = run
        return run

    return make


def index_value(desk: Desk, text: str) -> dict[str, str]:
    """Return ``user_id=42`` as a keyword argument; else show how to say it."""
    name, equals, value = text.partition("=")
    names = list(desk.settings.indexes)
    if equals and name in names:
        return {name: value}
    if not names:
        raise click.UsageError("SRVSESSION_INDEXES is empty: no session is listed.")
    close = difflib.get_close_matches(name, names, n=1)
    if equals:
        problem = f"{name!r} is not an index of this app"
    else:
        problem = f"{text!r} is not INDEX=VALUE" if text else "It is not said whose"
        value = "" if close else text
    subject = escaped(shlex.quote(f"{[*close, *names][0]}={value or '42'}"))
    example = f"flask sessions {click.get_current_context().info_name} {subject}"
    raise click.UsageError(f"{problem}. Say for example: {example}")


def operator() -> str:
    """Return who works at the terminal, as the system knows them; behind sudo, too."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may know no users
        name = "unknown"
    return f"operator {name}"


def note(text: str) -> None:
    """Say something to the person at the terminal."""
    click.echo(escaped(text), err=True)


@contextmanager
def watched(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """Give what is told how much is done, and of how much; people see a bar of it."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield show


def progress(items: Collection[T], label: str) -> Iterator[T]:
    """Yield them, with a progress bar if there are several and people watch."""
    if len(items) < 2 or not sys.stderr.isatty():
        yield from items
        return
    with click.progressbar(items, label=label, file=sys.stderr) as bar:
        yield from bar
