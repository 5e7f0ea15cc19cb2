"""Untouched sessions cost nothing; a cookie is set when it must be, and never else."""

from __future__ import annotations

MUTANTS = ()
