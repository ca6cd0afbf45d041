"""INSERT statements that know ON CONFLICT. Each database system has a class of its own for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Table

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


def inserting(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT into `table` in the named dialect. The other dialect is not imported: that of Postgres takes a
    tenth of a second."""
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert(table)
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert

    return postgresql_insert(table)
