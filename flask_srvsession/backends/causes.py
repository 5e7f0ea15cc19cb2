"""A failure in a few words: its kinds, codes and server, but nothing of its text,
which may hold a password or a key."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from typing import Any

from ..errors import ConfigurationError

_DEPTH = 4
"""Errors of a chain that are named; the last one is the cause."""
_WORD = re.compile(r"\A[A-Z][A-Z0-9]{1,15}(?= |$)")
_RESOLVER = {getattr(socket, n): n for n in dir(socket) if n.startswith("EAI_")}
_SAID = re.compile(
    "Connection refused|No route to host|No such file or directory"
    "|Name or service not known|authentication failed|certificate verify failed"
    "|timeout expired|too many (?:clients|connections)|max number of clients"
    "|does not exist|database is locked|disk is full|readonly database"
    "|DB index is out of range|access one of the keys|script can't run this command"
    "|ACL failure in script|(?<=run the )'[a-z|]{2,20}'"
)
"""Pieces of texts that hold nothing else, where a code tells less."""


def describe(error: BaseException, server: str = "") -> str:
    """Return the chain of `error` down to its cause, each with its code, and where.

    ``ConnectionError <- ConnectionRefusedError ECONNREFUSED at db1:6380``,
    for example. An error of this package says all that it has to say.
    """
    named: list[str] = []
    each: BaseException | None = error
    while each is not None and len(named) < _DEPTH:
        if isinstance(each, ConfigurationError):
            return " <- ".join([*named, str(each)])
        name = f"{type(each).__name__} {_code(each)}".strip()
        if named and named[-1] in (name, type(each).__name__):
            named.pop()  # SQLAlchemy's error is called as the driver's
        named.append(name)
        each = each.__cause__ or (
            None if each.__suppress_context__ else each.__context__
        )
    where = getattr(error, "server", "") or server
    return " <- ".join(named) + (f" at {where}" if where else "")


def _code(error: Any) -> str:
    """Return the code that the system, the database or the server gave, or ""."""
    if isinstance(error, ssl.SSLError):
        return str(getattr(error, "reason", None) or "")
    if isinstance(error, socket.gaierror):
        return _RESOLVER.get(error.errno, "")
    if isinstance(error, OSError) and isinstance(error.errno, int):
        return errno.errorcode.get(error.errno, str(error.errno))
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    first = next(iter(error.args), None)
    if state:
        return f"{state}/{first}" if isinstance(first, int) else str(state)
    if hasattr(error, "orig"):
        return ""  # SQLAlchemy repeats the text of the driver's error
    return _of_text(error)


def _of_text(error: Any) -> str:
    first = next(iter(error.args), None)
    if isinstance(first, int):
        return str(first)  # MySQL's
    text, words = str(first), []
    if type(error).__module__.startswith("redis."):
        words = _WORD.findall(str(getattr(error, "status_code", None) or text))[:1]
        if not words:
            return ""
    if said := dict.fromkeys(_SAID.findall(text)):
        words.append(f"({', '.join(said)})")
    return " ".join(words)
