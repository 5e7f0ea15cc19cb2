"""Joins sessions to other systems. Each module needs an extra of its own and is
imported by the apps that use it, never by the rest of the package."""
