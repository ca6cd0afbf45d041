"""Implements Arrow's own files, which are Feather files of version 2, as a `Format`."""

import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Literal

import pyarrow as pa
from pydantic import Field

from loom_connectors.formats.arrow.column_format import ColumnDestinationOptions, ColumnFormat


class FeatherDestinationOptions(ColumnDestinationOptions):
    """Says how a Feather file is written."""

    codec: Literal["zstd", "lz4", "none"] = Field("zstd", description="How its record batches are compressed.")


class FeatherFile:
    """Opens and writes Feather files."""

    name = "Arrow"

    def __init__(self, codec: str = "zstd") -> None:
        self._codec = None if codec == "none" else codec

    def open(self, stream: BinaryIO) -> "FeatherColumns":
        return FeatherColumns(stream)

    @contextmanager
    def writing(self, target: BinaryIO, schema: Any) -> Iterator[Any]:
        options = pa.ipc.IpcWriteOptions(compression=self._codec)
        with pa.ipc.new_file(pa.PythonFile(target, mode="w"), schema, options=options) as file:
            yield file


class FeatherColumns:
    """Reads an open Feather file by its record batches. Each is held whole."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._file = pa.ipc.open_file(stream)
        self._starts: list[int] | None = None

    @property
    def schema(self) -> Any:
        return self._file.schema

    @property
    def groups(self) -> int:
        return int(self._file.num_record_batches)

    def batches(self, group: int) -> Iterator[Any]:
        return iter([self._file.get_batch(group)])

    def start(self, group: int) -> int:
        """Return the number of rows before a batch. The file does not list them: the first column is read for that."""
        if group and self._starts is None:
            one = pa.ipc.open_file(self._stream, options=pa.ipc.IpcReadOptions(included_fields=[0]))
            sizes = (one.get_batch(at).num_rows for at in range(self.groups - 1))
            self._starts = [0, *itertools.accumulate(sizes)]
        return self._starts[group] if self._starts else 0

    def offset(self, group: int) -> int:
        return self._stream.seek(0, io.SEEK_END) * group // self.groups

    def count(self) -> int:
        return int(self._file.count_rows())


class FeatherFormat(ColumnFormat):
    """Reads and writes Feather files, with the options that a pipeline gives."""

    destination_options = FeatherDestinationOptions
    file = FeatherFile
