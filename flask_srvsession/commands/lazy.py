"""``flask sessions`` as an app knows it: the commands are imported when one is used."""

from __future__ import annotations

from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup

from ..backends.base import Backend
from ..config import Settings


class SessionsGroup(AppGroup):
    """The command group; a server that runs no command never imports them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, sorted."""
        self._import()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, or None."""
        self._import()
        return super().get_command(ctx, cmd_name)

    def _import(self) -> None:
        from .group import COMMANDS

        self.commands = {**COMMANDS, **self.commands}


def sessions_group(
    sessions: Any, app: Flask, settings: Settings, backend: Backend
) -> AppGroup:
    """Return the command group ``sessions`` of `app`."""

    @click.pass_context
    def enter(ctx: click.Context) -> None:
        """Look at sessions, end them, and check their storage."""
        from .desk import Desk

        ctx.obj = Desk(sessions, app, settings, backend)

    return SessionsGroup("sessions", callback=enter, help=enter.__doc__)
