"""Defines the name of a table, in its schema where one is given, and which names a SQL system refuses, cuts or takes
for another one, so that they are refused before a statement with them is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from loom_common.errors import ConfigurationError, DestinationError
from loom_connectors.sql.columns import nameable
from loom_connectors.sql.parameters import quoted

_REMEDY = "Rename the field, or leave it out of the output and of load.include."


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


@dataclass(frozen=True, slots=True)
class NameRules:
    """Says what names of tables and columns a SQL system can tell apart."""

    system: str
    longest: int | None = None
    """The most bytes of a name in UTF-8, or characters; None where it is not limited."""
    in_characters: bool = False
    folds_case: bool = False
    """Tells whether names that differ in case only are one name."""

    def check_table(self, table: TableName, scheme: str) -> None:
        """Raise `ConfigurationError` where the name of the table or of its schema is too long."""
        for name in (table.schema or "", table.name):
            if self.longest is not None and (size := self._size(name)) > self.longest:
                cut = "" if self.in_characters else ", and the rest would be cut off"
                raise ConfigurationError(
                    f"The {scheme}:// URL names '{name}', which has {size} {self._unit}; a name in {self.system} has "
                    f"at most {self.longest}{cut}. Shorten it."
                )

    def check_columns(self, names: Iterable[str], table: TableName, there: Iterable[str] = ()) -> None:
        """Raise `DestinationError` where one of these new columns has no name of its own beside the others and those
        that are there."""
        known = {self._folded(name): name for name in there}
        for name in nameable(list(names)):
            if self.longest is not None and (size := self._size(name)) > self.longest:
                raise DestinationError(
                    f"The field '{name}' cannot be a column of {table}: it has {size} {self._unit}, and a name in "
                    f"{self.system} has at most {self.longest}. {_REMEDY}"
                )
            other = known.setdefault(self._folded(name), name)
            if other != name:
                raise DestinationError(
                    f"The field '{name}' cannot be a column of {table} beside '{other}': {self.system} takes names "
                    f"that differ in case only for one. {_REMEDY}"
                )

    def _size(self, name: str) -> int:
        return len(name) if self.in_characters else len(name.encode(errors="replace"))

    @property
    def _unit(self) -> str:
        return "characters" if self.in_characters else "bytes"

    def _folded(self, name: str) -> str:
        return name.lower() if self.folds_case and name.isascii() else name


def check_computed(names: Iterable[str], computed: Mapping[str, str], table: TableName) -> None:
    """Raise `DestinationError` for a column that only the database writes. `computed` says how, by column."""
    for name in names:
        if name in computed:
            raise DestinationError(
                f"The column '{name}' of {table} cannot be written: the database fills it in ({computed[name]}). "
                f"{_REMEDY}"
            )
