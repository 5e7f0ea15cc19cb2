"""The tables of an SQL backend, as they are created and checked."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.schema import CreateIndex, CreateTable, ForeignKey

from ...errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Dialect

VERSION = 2
"""Of the tables' layout; another one is refused, not guessed at."""

_TABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,39}\.)?[A-Za-z_][A-Za-z0-9_]{0,39}")


class UnfitTables(ConfigurationError):
    """The tables are there, but cannot be worked with: the problem, and the remedy."""

    def __str__(self) -> str:
        return " ".join(self.args)


class Tables:
    """The tables whose names begin with `name`, which may have a schema before it.

    Times are in milliseconds since 1970, UTC.
    """

    def __init__(self, name: str) -> None:
        if not _TABLE.fullmatch(name):
            raise ConfigurationError(
                "The table of an SQL backend is called `name` or `schema.name`, each of"
                f" at most 40 ASCII letters, digits and underscores, not {name!r}."
            )
        schema, _, base = name.rpartition(".")
        self.name = name
        new = partial(_table, sa.MetaData(schema=schema or None))
        self.cells = new(
            base, _key("id"), _column("version", sa.BigInteger), _column("data", _BYTES)
        )
        self.epochs = new(
            f"{base}_epochs",
            _key("name"),
            _column("epoch", _text(16)),
            _column("kept", sa.Text),
        )
        self.members = new(
            f"{base}_members",
            sa.Column("id", _COUNT, sa.Identity(), primary_key=True),
            _column("name", _text(200), ForeignKey(self.epochs.c.name)),
            _column("member", _text(200)),
            sa.UniqueConstraint("name", "member"),
            sa.UniqueConstraint("name", "expires", "id"),  # a long list, in parts
        )
        version = sa.Column(
            "version", sa.Integer, primary_key=True, autoincrement=False
        )
        self.layout = sa.Table(
            f"{base}_layout", self.cells.metadata, version, **_INNODB
        )
        self.all: list[sa.Table] = self.cells.metadata.sorted_tables
        complete: Any = sa.literal_column(str(VERSION))
        self._complete = sa.insert(self.layout).values(version=complete).inline()

    def are_there(self, connection: Connection) -> bool:
        """Return whether the tables are complete, False if they were not yet created.

        Raises :class:`UnfitTables` where they are of another layout, or damaged, or
        cannot be created, whoever tries.
        """
        inspector, schema = sa.inspect(connection), self.cells.schema
        version, last = None, sa.func.max(self.layout.c.version)
        if inspector.has_table(self.layout.name, schema=schema):
            version = connection.execute(sa.select(last)).scalar()
        # Asked after it: somebody may be creating them just now.
        there = [t for t in self.all if inspector.has_table(t.name, schema=schema)]
        if version is None:
            self._check_the_place(inspector, there)
            return False
        if version != VERSION:
            raise UnfitTables(
                f"The session tables {self.name} have layout {version}, but this"
                f" version of flask_srvsession works with layout {VERSION}.",
                "Migrate them, or give another table name (srvsession_table in the"
                " URL).",
            )
        if missing := [t.fullname for t in self.all if t not in there]:
            raise UnfitTables(
                f"Of the session tables, {', '.join(missing)} disappeared: sessions"
                " that were listed there could not be ended any more.",
                "Restore what is missing; or log everybody out: drop"
                f" {', '.join(t.fullname for t in reversed(self.all))} and run flask"
                " sessions create-tables.",
            )
        return True

    def create(self, connection: Connection) -> None:
        """Create the missing tables; fails where somebody else is at it, too."""
        if self.are_there(connection):
            return
        for table in self.all:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                index.create(connection, checkfirst=True)
        # Comes last: this row says that they are complete.
        connection.execute(self._complete)

    def _check_the_place(self, inspector: Any, there: list[sa.Table]) -> None:
        schema = self.cells.schema
        if schema is not None and schema not in inspector.get_schema_names():
            raise UnfitTables(
                f"There is no schema {schema} in this database, so the session tables"
                f" {self.name} cannot be in it.",
                "Create the schema, or name another one (srvsession_table in the URL).",
            )
        for table in there:
            columns = {c["name"] for c in inspector.get_columns(table.name, schema)}
            if columns != {*table.columns.keys()}:
                raise UnfitTables(
                    f"There is a table {table.fullname} which is not one of ours: its"
                    f" columns are {', '.join(sorted(columns))}.",
                    "It is left alone. Give the session tables another name"
                    " (srvsession_table in the URL).",
                )

    def ddl(self, dialect: Dialect) -> str:
        """Return the statements of :meth:`create` as a script."""
        script: list[Any] = []
        for table in self.all:
            script += [CreateTable(table), *map(CreateIndex, table.indexes)]
        script.append(self._complete)
        return "".join(f"{str(e.compile(dialect=dialect)).strip()};\n" for e in script)


def include_object(
    item: Any, name: str | None, kind: str, reflected: bool, compare_to: Any
) -> bool:
    """Return False for the session tables that Alembic finds in a database, True for
    all else: an argument `include_object` for its ``context.configure``.

    Else its autogeneration drops them, as no model knows them. They are told by their
    columns, whatever `srvsession_table` calls them.
    """
    if kind != "table" or not reflected or compare_to is not None:
        return True
    return {*item.columns.keys()} not in _OURS


def _text(length: int) -> sa.String:
    """Return a type for ASCII that is compared byte by byte: case matters."""
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return (
        sa.String(length)
        .with_variant(exact, "mysql", "mariadb")
        .with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")
    )


def _key(name: str) -> sa.Column[Any]:
    return sa.Column(name, _text(200), primary_key=True)


def _table(metadata: sa.MetaData, name: str, key: Any, *others: Any) -> sa.Table:
    """Return a table of rows that expire."""
    expires = _column("expires", sa.BigInteger)
    by_expires = sa.Index(f"{name}_by_expires", "expires")
    return sa.Table(name, metadata, key, expires, *others, by_expires, **_INNODB)


_column = partial(sa.Column, nullable=False)
_COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BYTES = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
_INNODB: dict[str, Any] = {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"}
_OURS = [{*table.columns.keys()} for table in Tables("x").all]
