"""``flask sessions``: look at sessions, end them, and check their storage."""
