"""Reads labels and the records that they belong to, from whatever Loom reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loom.project.config import LoomConfig
from loom_common.domain.checks.record_checks import key_of
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.values.near import closest
from loom_common.errors import ConfigurationError, RecordError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import ReadRecord
from loom_connectors.registry import open_source

_PAGE = 1_000
USUAL_COLUMNS = ("label", "expected", "verdict")
"""Names the columns that are taken as labels where nothing says which one holds them."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Holds the labels of records, by the id that a run gives the record."""

    column: str
    values: Mapping[str, Any]
    rows: int
    """The number of rows that were read."""
    empty: int
    """The number of rows whose label is empty."""
    without_key: int
    """The number of rows that name no record."""


async def rows_of(extract: ExtractConfig, context: ConnectorContext) -> AsyncIterator[ReadRecord]:
    """Yield every record of a source. Raises what opening and reading it raises."""
    source = open_source(extract, context)
    try:
        cursor, end = None, False
        while not end:
            page = await source.read(cursor, _PAGE)
            for record in page.records:
                yield record
            cursor, end = page.cursor, page.end
    finally:
        await source.close()


def named_on_the_command_line(config: LoomConfig) -> ConnectorContext:
    """Return how a source is opened that a person names on the command line, and may read wherever it lies."""
    return ConnectorContext(folder=Path.cwd(), credentials=config.secrets, allowed=(Path("/"),))


async def read_labels(
    source: str, config: LoomConfig, keys: Sequence[str], column: str | None, usual: Sequence[str] = ()
) -> Labels:
    """Read the labels in `column` by the columns `keys`. Without a column, it is the first of `usual` and then of
    `USUAL_COLUMNS` that there is.

    Raises `ConfigurationError` where a column is not there, where no row has a label, and where a record has two
    different ones; and what reading the source raises."""
    context = replace(named_on_the_command_line(config), record_key=tuple(keys))
    values: dict[str, Any] = {}
    rows = empty = without_key = 0
    async for record in rows_of(ExtractConfig(source=source), context):
        rows += 1
        if record.error is not None:
            raise ConfigurationError(f"{source}: {record.error}")
        if rows == 1:
            column = _column(source, list(record.data), column, (*usual, *USUAL_COLUMNS))
            _see_columns(source, list(record.data), keys, "--key")
        label = record.data.get(str(column))
        if label is None or (isinstance(label, str) and not label.strip()):
            empty += 1
            continue
        try:
            name = key_of(record.data, keys)
        except RecordError:
            without_key += 1
            continue
        if values.setdefault(name, label) != label:
            raise ConfigurationError(
                f"{source}: the record {name} has two labels, {values[name]!r} and {label!r}. Keep one of them."
            )
    if not values or column is None:
        raise ConfigurationError(f"{source}: no row has a label in the column '{column}'; {rows:,} rows were read.")
    return Labels(column, values, rows, empty, without_key)


def _column(source: str, there: Sequence[str], given: str | None, usual: Sequence[str]) -> str:
    if given is not None:
        _see_columns(source, there, [given], "--label")
        return given
    found = next((name for name in usual if name in there), None)
    if found is None:
        raise ConfigurationError(
            f"{source}: which column holds the labels? Name it with --label; there are {', '.join(there)}."
        )
    return found


def _see_columns(source: str, there: Sequence[str], names: Sequence[str], option: str) -> None:
    for name in names:
        if name not in there:
            near = closest(name, there)
            hint = f" Did you mean '{near}'?" if near else ""
            raise ConfigurationError(f"{source} has no column '{name}'; it has {', '.join(there)}.{hint} See {option}.")
