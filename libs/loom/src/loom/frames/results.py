"""Gives the rows of a run back to Python: as dicts, and as Arrow, pandas and polars objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from loom_common.domain.json_values.exact_json import loads
from loom_common.errors import ConfigurationError
from loom_connectors.built_in import missing_extra


@dataclass(frozen=True, slots=True)
class CollectedRows:
    """Represents the rows that a run has loaded into a file of the project's state."""

    path: Path

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the rows in their order."""
        if not self.path.exists():
            return  # the run loaded no row
        with self.path.open(encoding="utf-8") as stream:
            for line in stream:
                yield loads(line)

    def to_arrow(self, types: dict[str, str] | None = None) -> Any:
        """Return the rows as a table. A column has the type that `types` names, as `load.options.types` of an Arrow
        file does, or else one that holds each of its values exactly. Raises `ConfigurationError` where a value does not
        fit."""
        pa = _imported("pyarrow")
        from loom_connectors.formats.arrow.column_types import Seen, type_named
        from loom_connectors.formats.arrow.typed_columns import column_of
        from loom_connectors.values import UnfitValue

        rows = list(self.records())
        names = list(dict.fromkeys(name for row in rows for name in row))
        try:
            known = {name: type_named(each) for name, each in (types or {}).items()}
            columns = {}
            for name in names:
                values = [row.get(name) for row in rows]
                seen = Seen()
                for value in values:
                    seen.add(value)
                columns[name] = column_of(values, known.get(name) or seen.type(), name)
        except (UnfitValue, ValueError) as error:
            raise ConfigurationError(f"The rows cannot be given back as typed columns: {error}") from error
        return pa.table(columns)

    def to_pandas(self, types: dict[str, str] | None = None) -> Any:
        """Return the rows as a pandas frame, whose columns have Arrow's types: a whole number beside a null stays one.
        Raises as `to_arrow` does."""
        pandas = _imported("pandas")
        return self.to_arrow(types).to_pandas(types_mapper=pandas.ArrowDtype)

    def to_polars(self, types: dict[str, str] | None = None) -> Any:
        """Return the rows as a polars frame. Raises as `to_arrow` does."""
        polars = _imported("polars")
        return polars.from_arrow(self.to_arrow(types))


def _imported(package: str) -> Any:
    try:
        return import_module(package)
    except ModuleNotFoundError:
        if package == "pyarrow":
            raise ConfigurationError(missing_extra("Arrow tables", package)) from None
        raise ConfigurationError(f"{package} is not installed here: pip install {package}.") from None
