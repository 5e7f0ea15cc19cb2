"""``flask sessions``: look at sessions, end them, and check what they stand on."""
