"""How much the tests of this run have tried, to be printed at its end."""

from __future__ import annotations

from collections import Counter

TRIED: Counter[str] = Counter()
"""What was tried -> how often: schedules, cases, operations, ..."""
