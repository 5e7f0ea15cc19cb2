"""Deliberate defects, which the tests must find: ``python -m tests.mutants``."""
