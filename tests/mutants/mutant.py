"""A deliberate defect of the package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PACKAGE = "flask_srvsession"


class Inapplicable(Exception):
    """The text that a mutant replaces is not in its file exactly once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """In `file` of the package `old` becomes `new`, which breaks a promise.

    `found_by` is the test that finds it, as pytest names it below tests/: it runs
    first, all others only if it stays green.
    """

    name: str
    file: str
    old: str
    new: str
    breaks: str
    found_by: str

    def applied_to(self, source: str) -> str:
        """Return the text of `file` with the defect in it."""
        count = source.count(self.old)
        if count != 1:
            raise Inapplicable(
                f"{self.name}: {PACKAGE}/{self.file} has its text {count} times, not"
                f" once: {self.old!r}"
            )
        return source.replace(self.old, self.new)

    def apply(self, checkout: Path) -> None:
        """Put the defect into the files of a checkout."""
        path = checkout / PACKAGE / self.file
        path.write_text(self.applied_to(path.read_text("utf-8")), "utf-8")
