"""Reads the rows of pandas, polars and Arrow objects as records, with the types that they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from loom_common.errors import ConfigurationError, SourceError
from loom_connectors.built_in import missing_extra
from loom_connectors.ports.source import ReadRecord

_ROWS_AT_ONCE = 1_000


def is_arrow(records: Any) -> bool:
    """Tell whether these are typed columns: of pandas, of polars, or of whatever else speaks Arrow."""
    return (
        _is_pandas(records)
        or _package(records) == "polars"
        or hasattr(records, "__arrow_c_stream__")
        or (hasattr(records, "__arrow_c_array__"))
    )


def arrow_records(records: Any) -> Iterator[list[ReadRecord]]:
    """Yield the rows, many at a time. Raises `ConfigurationError` where the columns have no names of their own, or one
    of a type that has no JSON value."""
    try:
        import pyarrow as pa
    except ModuleNotFoundError:
        raise ConfigurationError(missing_extra(type(records).__name__, "pyarrow")) from None
    from loom_connectors.formats.arrow.column_records import records_of

    reader = _reader(records, pa)
    names = reader.schema.names
    _see_names(names, "column")
    first = 1
    try:
        for batch in reader:
            for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
                rows = batch.slice(start, _ROWS_AT_ONCE)
                yield records_of(rows, names, first, "", "`records`")
                first += rows.num_rows
    except SourceError as error:
        raise ConfigurationError(f"`records`: {error}") from None


def _reader(records: Any, pa: Any) -> Any:
    if _is_pandas(records):
        return _of_pandas(records, pa).to_reader(_ROWS_AT_ONCE)
    if _package(records) == "polars":
        if type(records).__name__ == "LazyFrame":
            raise ConfigurationError("`records` is a LazyFrame, which has no rows yet. Give `frame.collect()`.")
        if type(records).__name__ != "DataFrame":
            raise ConfigurationError("`records` is a polars Series. Give a frame: `series.to_frame()`.")
    if isinstance(records, pa.RecordBatchReader):
        return records
    if hasattr(records, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(records)
    batch = pa.record_batch(records)
    return pa.RecordBatchReader.from_batches(batch.schema, [batch])


def _of_pandas(frame: Any, pa: Any) -> Any:
    """Return a frame as a table. An index with a name is a column; the usual one, which counts the rows, is none."""
    if type(frame).__name__ != "DataFrame":
        raise ConfigurationError(f"`records` is a pandas {type(frame).__name__}. Give a frame: `series.to_frame()`.")
    index = frame.index
    if any(name is not None for name in index.names) or index.nlevels > 1:
        if any(name is None for name in index.names):
            raise ConfigurationError(_INDEX)
        _see_names([*index.names, *frame.columns], "column or level of the index")
        frame = frame.reset_index()
    elif type(index).__name__ != "RangeIndex":
        raise ConfigurationError(_INDEX)
    if odd := [name for name in frame.columns if not isinstance(name, str)]:
        raise ConfigurationError(
            f"The frame has a column that is named {odd[0]!r}, which is no text. Name it: "
            "`frame.columns = [str(name) for name in frame.columns]`."
        )
    _see_names(frame.columns, "column")
    try:
        return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    except (pa.ArrowException, OverflowError, ValueError) as error:
        words = str(error).partition("\n")[0].rstrip(".")
        raise ConfigurationError(f"A column of the frame has no single type that holds its values: {words}.") from error


_INDEX = (
    "The frame has an index without a name, which may or may not be meant as a column. Name it, "
    "`frame.index.name = 'id'`, or leave it out, `frame.reset_index(drop=True)`."
)


def _see_names(names: Iterable[Any], what: str) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ConfigurationError(f"There is more than one {what} named '{twice[0]}'. Rename one of them.")


def _is_pandas(records: Any) -> bool:
    return _package(records) == "pandas" and hasattr(records, "index")


def _package(records: Any) -> str:
    return type(records).__module__.partition(".")[0]
