"""Implements Parquet files as a `Format`."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from loom_connectors.formats.arrow.column_format import ColumnDestinationOptions, ColumnFormat

_PIECE = 4 * 1024 * 1024
"""The bytes of rows, unpacked, that are read at once."""
_MOST_ROWS = 4096
_BUFFER = 256 * 1024
"""The bytes of each column that are read at once."""
_PAGE = 256 * 1024
"""The bytes of a page that is written, and of a column's dictionary: the library holds several of them, and the
dictionary twice, for each column."""


class ParquetDestinationOptions(ColumnDestinationOptions):
    """Says how a Parquet file is written."""

    codec: Literal["zstd", "snappy", "gzip", "none"] = Field("zstd", description="How its pages are compressed.")


class ParquetFile:
    """Opens and writes Parquet files."""

    name = "Parquet"

    def __init__(self, codec: str = "zstd") -> None:
        self._codec = codec

    def open(self, stream: BinaryIO) -> "ParquetColumns":
        return ParquetColumns(
            pq.ParquetFile(stream, buffer_size=_BUFFER, pre_buffer=False, arrow_extensions_enabled=True)
        )

    @contextmanager
    def writing(self, target: BinaryIO, schema: Any) -> Iterator[Any]:
        with pq.ParquetWriter(
            pa.PythonFile(target, mode="w"),
            schema,
            compression=self._codec.upper(),
            data_page_size=_PAGE,
            dictionary_pagesize_limit=_PAGE,
            write_page_index=True,
        ) as file:
            yield file


class ParquetColumns:
    """Reads an open Parquet file by its row groups."""

    def __init__(self, file: Any) -> None:
        self._file = file
        sizes = [file.metadata.row_group(at).num_rows for at in range(file.metadata.num_row_groups)]
        self._starts = [0, *itertools.accumulate(sizes)]

    @property
    def schema(self) -> Any:
        return self._file.schema_arrow

    @property
    def groups(self) -> int:
        return int(self._file.metadata.num_row_groups)

    def batches(self, group: int) -> Iterator[Any]:
        found = self._file.metadata.row_group(group)
        size = max(1, min(_MOST_ROWS, _PIECE * found.num_rows // max(found.total_byte_size, 1)))
        return iter(self._file.iter_batches(batch_size=size, row_groups=[group], use_threads=False))

    def start(self, group: int) -> int:
        return int(self._starts[group])

    def offset(self, group: int) -> int:
        columns = self._file.metadata.row_group(group)
        places = (columns.column(at) for at in range(columns.num_columns))
        return min(int(each.dictionary_page_offset or each.data_page_offset) for each in places)

    def count(self) -> int:
        return int(self._starts[-1])


class ParquetFormat(ColumnFormat):
    """Reads and writes Parquet files, with the options that a pipeline gives."""

    destination_options = ParquetDestinationOptions
    file = ParquetFile
