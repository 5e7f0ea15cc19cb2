"""A session ends when it is ended, and a login leaves nothing of what was before."""

from __future__ import annotations

MUTANTS = ()
