"""Refuses names that are too long for Postgres, which cuts them without an error: two of them would become one."""

from __future__ import annotations

from collections.abc import Iterable

from loom_common.errors import ConfigurationError, DestinationError
from loom_connectors.sql.table_name import TableName

LONGEST = 63
"""The most bytes of a name, in UTF-8."""


def check_table(table: TableName) -> None:
    """Raise `ConfigurationError` where Postgres would cut the name of the table or of its schema."""
    for name in (table.schema or "", table.name):
        if (size := _size(name)) > LONGEST:
            raise ConfigurationError(
                f"The postgres:// URL names '{name}', which has {size} bytes; a name in Postgres has at most "
                f"{LONGEST}, and the rest would be cut off. Shorten it."
            )


def check_columns(names: Iterable[str], table: TableName) -> None:
    """Raise `DestinationError` where Postgres would cut the name of a new column."""
    for name in names:
        if (size := _size(name)) > LONGEST:
            raise DestinationError(
                f"The field '{name}' cannot be a column of {table}: it has {size} bytes, and a name in Postgres has at "
                f"most {LONGEST}. Rename the field, or leave it out of the output and of load.include."
            )


def _size(name: str) -> int:
    return len(name.encode(errors="replace"))
