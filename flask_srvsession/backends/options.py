"""The options in the query of a storage's URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConfigurationError


def checked(
    scheme: str,
    given: Mapping[str, Any],
    known: Mapping[str, Callable[[Any], Any]],
) -> dict[str, Any]:
    """Return the options that are `given`, each made into what is `known` of it.

    No error repeats a value, nor a name where there is an ``@``: a password with a
    question mark looks like options.
    """
    options = {}
    for name, value in given.items():
        if name not in known:
            called = "" if "@" in str(given) else f", not {name}"
            raise ConfigurationError(
                f"A {scheme}:// URL takes the options {', '.join(known)}{called}."
            )
        try:
            options[name] = known[name](value)
        except (TypeError, ValueError):
            raise ConfigurationError(
                f"The option {name} of the {scheme}:// URL must be a number."
            ) from None
    return options
