"""What all ``flask sessions`` commands share: their options, and whose app it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from flask import Flask

from .display import escaped
from .errors import BackendError, ConfigurationError
from .guard import reason

if TYPE_CHECKING:
    from .extension import ServerSession
    from .runtime import Runtime

UNREACHABLE = 3

_INDEX_VALUES = "flask_srvsession.index_values"


class StorageUnreachable(click.ClickException):
    """Ends the command with the exit code for that."""

    exit_code = UNREACHABLE


@dataclass(frozen=True)
class Desk:
    """What the commands work with."""

    sessions: ServerSession
    app: Flask

    @property
    def runtime(self) -> Runtime:
        runtime: Runtime = self.app.extensions["srvsession"]
        return runtime

    @contextmanager
    def with_storage(self) -> Iterator[None]:
        """Say what is in the way of the storage, if something is."""
        outages: tuple[type[Exception], ...] = self.runtime.backend.errors
        outages += (BackendError, ConfigurationError)
        try:
            yield
        except outages as error:
            found = error.__cause__ if isinstance(error, BackendError) else error
            why = reason(found or error)
            raise StorageUnreachable(
                f"The storage could not be reached, or refused ({escaped(why)})."
            ) from error

    @contextmanager
    def with_records(self) -> Iterator[None]:
        """The same for what needs the records, and so the secret key."""
        if not self.app.secret_key:
            raise click.UsageError("The app has no SECRET_KEY, so it has no sessions.")
        if not self.runtime.backend.shared:
            note("Sessions are in the memory of each process; this one has its own.")
        with self.with_storage():
            yield


pass_desk = click.make_pass_decorator(Desk)


class ByIndex(click.Command):
    """A command with an option for each index of the app.

    All of them, and ``--key NAME=VALUE``, end up in :func:`index_values`.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        desk = ctx.find_object(Desk)
        own = [
            *super().get_params(ctx),
            click.Option(
                ["--key"],
                multiple=True,
                expose_value=False,
                callback=_collect_pairs,
                metavar="NAME=VALUE",
                help="The same as --NAME VALUE, for any index.",
            ),
        ]
        taken = {option for param in own for option in param.opts}
        names = desk.runtime.settings.indexes if desk else ()
        return [_index_option(n) for n in names if f"--{n}" not in taken] + own


def _index_option(name: str) -> click.Parameter:
    return click.Option(
        [f"--{name}", f"index_{name}"],
        multiple=True,
        expose_value=False,
        callback=_collect,
        metavar="VALUE",
        help=f"The sessions whose {name} is VALUE.",
    )


def _collect(ctx: click.Context, param: click.Parameter, values: Iterable[str]) -> None:
    name = param.opts[0].removeprefix("--")
    ctx.meta.setdefault(_INDEX_VALUES, []).extend((name, value) for value in values)


def _collect_pairs(
    ctx: click.Context, param: click.Parameter, values: Iterable[str]
) -> None:
    desk = ctx.find_object(Desk)
    known = desk.runtime.settings.indexes if desk else ()
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or name not in known:
            raise click.BadParameter(
                f"{text!r} is not NAME=VALUE with one of {', '.join(known)}."
            )
        ctx.meta.setdefault(_INDEX_VALUES, []).append((name, value))


def index_values(
    *, at_most: int | None = None, needed: bool = True
) -> list[dict[str, Any]]:
    """Return the indexes that the options name, each as a keyword argument."""
    given = click.get_current_context().meta.get(_INDEX_VALUES, [])
    if needed and not given:
        known = click.get_current_context().find_object(Desk)
        names = list(known.runtime.settings.indexes) if known else []
        hint = f", as in --{names[0]} 42." if names else ": there is no index."
        raise click.UsageError(f"Say whose sessions{hint}")
    if at_most is not None and len(given) > at_most:
        raise click.UsageError(f"At most {at_most} owner can be given.")
    return [{name: value} for name, value in given]


def note(text: str) -> None:
    """Say something to the person at the terminal."""
    click.echo(escaped(text), err=True)
