"""Sessions in an SQL database."""

import re

import sqlalchemy

from ...errors import ConfigurationError

# Before the modules below: an older one fails there with a TypeError.
if tuple(map(int, re.findall(r"\d+", sqlalchemy.__version__)[:3])) < (2, 0, 43):
    raise ConfigurationError(
        "Sessions in a database need SQLAlchemy 2.0.43 or later, not"
        f' {sqlalchemy.__version__}: pip install "flask_srvsession[sql]"'
    )

from .backend import SQLBackend
from .index import SQLIndex
from .schema import include_object

__all__ = ["SQLBackend", "SQLIndex", "include_object"]
