"""Defines the name of a table, in its schema where one is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loom_connectors.sql.parameters import quoted


@dataclass(frozen=True, slots=True)
class TableName:
    """Names a table, in its schema where one is given."""

    schema: str | None
    name: str

    @staticmethod
    def of(text: str) -> TableName:
        """Read the name from `scores` or `analytics.scores`."""
        schema, _, name = text.rpartition(".")
        return TableName(schema or None, name)

    @property
    def sql(self) -> str:
        """Return the name within a statement of standard SQL."""
        return self.quoted_by(quoted)

    def quoted_by(self, quote: Callable[[str], str]) -> str:
        """Return the name within a statement of a system that quotes an identifier by `quote`."""
        return quote(self.name) if self.schema is None else f"{quote(self.schema)}.{quote(self.name)}"

    def beside(self, name: str) -> TableName:
        """Return another table of the same schema."""
        return TableName(self.schema, name)

    def __str__(self) -> str:
        return self.name if self.schema is None else f"{self.schema}.{self.name}"
