"""Writes files of typed columns: a part per batch as JSON Lines, and the file from all of them at the end.

The first line of a part says what kinds of values its columns have. So the type of each column is found by all of a
run's values, before the first is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Self

import orjson
import pyarrow as pa

from loom_common.domain.json_values.exact_json import dumps, loads
from loom_common.errors import DestinationError
from loom_connectors.files.storage import StoredFile
from loom_connectors.formats.arrow.column_file import ColumnFile, Columns
from loom_connectors.formats.arrow.column_types import Seen, type_of_schema
from loom_connectors.formats.arrow.typed_columns import column_of
from loom_connectors.ports.destination import FailedRow, Row
from loom_connectors.sql.columns import columns_of, unknown_everywhere
from loom_connectors.values import UnfitValue

_TEXT_AT_ONCE = 1024 * 1024
"""The bytes of JSON that are made typed columns at once."""
_ROWS_AT_ONCE = 1_000


class ColumnWriter:
    """Writes the rows of batches as typed columns."""

    def __init__(
        self, kind: ColumnFile, types: Mapping[str, Any], group_bytes: int, columns: Sequence[str] = ()
    ) -> None:
        """Take the `types` of columns that are declared, and the `columns` that are known beforehand."""
        self._kind = kind
        self._types = types
        self._group_bytes = group_bytes
        self._columns = columns

    def declared(self, schema: Mapping[str, Any] | None, columns: Sequence[str]) -> Self:
        """Return the writer for an output. Types that the person names come before those of the schema."""
        found = {name: type_of_schema(each) for name, each in ((schema or {}).get("properties") or {}).items()}
        types = {**{name: kind for name, kind in found.items() if kind is not None}, **self._types}
        return type(self)(self._kind, types, self._group_bytes, columns)

    def part(self, rows: Sequence[Row]) -> tuple[bytes, list[FailedRow]]:
        good, failed = self._fitting(rows, self._types)
        seen = {name: Seen() for name in columns_of(good)}
        lines = []
        for row in good:
            for name, value in row.values.items():
                seen[name].add(value)
            lines.append(dumps(row.values))
        head = {name: each.written() for name, each in seen.items()}
        return b"\n".join([orjson.dumps(head), *lines, b""]) if lines else b"", failed

    def replacement(self, pieces: Sequence[StoredFile], target: BinaryIO) -> None:
        seen: dict[str, Seen] = {}
        for piece in pieces:
            for name, each in self._head(piece).items():
                seen.setdefault(name, Seen()).merge(Seen.read(each))
        names = dict.fromkeys([*self._columns, *seen])
        fields = {name: self._types.get(name) or seen.get(name, Seen()).type() for name in names}
        schema = pa.schema(list(fields.items()))
        with self._kind.writing(target, schema) as file:
            self._write(file, schema, (), pieces)

    def merged(self, pieces: Sequence[StoredFile], existing: StoredFile, target: BinaryIO) -> None:
        with self._open(existing) as columns:
            if columns is None:
                self.replacement(pieces, target)
                return
            schema = columns.schema
            there = (batch for group in range(columns.groups) for batch in columns.batches(group))
            with self._kind.writing(target, schema) as file:
                self._write(file, schema, there, pieces)

    def see_existing(self, existing: StoredFile, columns: Sequence[str]) -> None:
        with self._open(existing) as found:
            names = found.schema.names if found else columns
            if missing := [name for name in columns if name not in names]:
                raise self._lacking(existing, missing, names)

    def fit(self, existing: StoredFile, rows: Sequence[Row]) -> tuple[list[Row], list[FailedRow]]:
        with self._open(existing) as columns:
            if columns is None:
                return list(rows), []
            types = {field.name: field.type for field in columns.schema}
        if missing := unknown_everywhere(rows, list(types)):
            raise self._lacking(existing, missing, list(types))
        known, failed = [], []
        for row in rows:
            if strange := [name for name in row.values if name not in types]:
                words = f"{existing.shown} has no column '{strange[0]}'; it has {', '.join(types)}."
                failed.append(FailedRow(row.record_id, "missing_column", words))
            else:
                known.append(row)
        good, unfit = self._fitting(known, types)
        return good, [*failed, *unfit]

    def _fitting(self, rows: Sequence[Row], types: Mapping[str, Any]) -> tuple[list[Row], list[FailedRow]]:
        """Return the rows whose values have the types, and those that have not."""
        try:
            for name, kind in types.items():
                column_of([row.values.get(name) for row in rows], kind, name)
        except UnfitValue:
            pass
        else:
            return [row for row in rows if row.values], [_empty(row) for row in rows if not row.values]
        good, failed = [], []
        for row in rows:
            try:
                for name, kind in types.items():
                    column_of([row.values.get(name)], kind, name)
            except UnfitValue as error:
                failed.append(FailedRow(row.record_id, "type", f"{str(error)[:1].upper()}{str(error)[1:]}"))
            else:
                (good.append(row) if row.values else failed.append(_empty(row)))
        return good, failed

    def _write(self, file: Any, schema: Any, existing: Iterator[Any] | tuple[()], pieces: Sequence[StoredFile]) -> None:
        """Write groups of rows: whole tables of about `group_bytes`."""
        waiting: list[Any] = []
        size = 0
        for batch in (*existing,) if isinstance(existing, tuple) else existing:
            waiting.append(batch)
            size += batch.nbytes
            if size >= self._group_bytes:
                file.write_table(pa.Table.from_batches(waiting, schema))
                waiting, size = [], 0
        for rows in _rows_of(pieces):
            columns = [column_of([row.get(field.name) for row in rows], field.type, field.name) for field in schema]
            waiting.append(pa.RecordBatch.from_arrays(columns, schema=schema))
            size += waiting[-1].nbytes
            if size >= self._group_bytes:
                file.write_table(pa.Table.from_batches(waiting, schema))
                waiting, size = [], 0
        if waiting:
            file.write_table(pa.Table.from_batches(waiting, schema))

    def _head(self, piece: StoredFile) -> dict[str, Any]:
        """Return what kinds of values a part has, by its columns."""
        with piece.opened() as (stream, _):
            line = stream.readline()
        return dict(orjson.loads(line)) if line else {}

    @contextmanager
    def _open(self, existing: StoredFile) -> Iterator[Columns | None]:
        """Open the file that is added to; None where there is none. Raises `DestinationError` for one of another
        kind."""
        if existing.state() is None:
            yield None
            return
        with existing.opened() as (stream, _):
            try:
                columns = self._kind.open(stream)
            except pa.ArrowException as error:
                raise DestinationError(
                    f"{existing.shown} is no {self._kind.name} file, so no rows can be added to it. Name another file."
                ) from error
            yield columns

    def _lacking(self, existing: StoredFile, missing: Sequence[str], known: Sequence[str]) -> DestinationError:
        shown = ", ".join(f"'{name}'" for name in missing)
        return DestinationError(
            f"{existing.shown} has no column {shown}; it has {', '.join(known)}. Mode append adds rows and no columns: "
            "leave it out of the output and of load.include, or name another file."
        )


def _empty(row: Row) -> FailedRow:
    return FailedRow(row.record_id, "empty", "The record has no field to load.")


def _rows_of(pieces: Sequence[StoredFile]) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of all parts, some at a time."""
    rows: list[dict[str, Any]] = []
    size = 0
    for piece in pieces:
        with piece.opened() as (stream, _):
            stream.readline()
            for line in stream:
                rows.append(loads(line.decode()))
                size += len(line)
                if size >= _TEXT_AT_ONCE or len(rows) >= _ROWS_AT_ONCE:
                    yield rows
                    rows, size = [], 0
    if rows:
        yield rows
