"""An outdated credential raises the alarm, a lost response hurts nobody."""

from __future__ import annotations

MUTANTS = ()
