"""Reads and writes files of every format by libraries of their own, beside Loom's."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import python_calamine as calamine
import zstandard

Records = list[dict[str, Any]]

_unpacking = zstandard.ZstdDecompressor()
_PACKED = {
    "gz": (gzip.compress, gzip.decompress),
    "bz2": (bz2.compress, bz2.decompress),
    "zst": (
        zstandard.compress,
        lambda packed: zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True).read(),
    ),
}


def records_in(name: str, content: bytes) -> Records:
    """Return the records of a file."""
    start, _, ending = name.rpartition(".")
    if ending in _PACKED:
        return records_in(start, _PACKED[ending][1](content))
    match ending:
        case "jsonl":
            return [orjson.loads(line) for line in content.splitlines()]
        case "parquet":
            return list(pq.read_table(io.BytesIO(content)).to_pylist())
        case "arrow":
            return list(pa.ipc.open_file(io.BytesIO(content)).read_all().to_pylist())
        case "json":
            return list(orjson.loads(content))
        case "xlsx":
            book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
            names, *rows = book.get_sheet_by_index(0).to_python() or [[]]
            return [dict(zip(names, row, strict=True)) for row in rows]
        case "csv" | "tsv":
            text = io.StringIO(content.decode(), newline="")
            return list(csv.DictReader(text, delimiter="\t" if ending == "tsv" else ","))
    raise AssertionError(f"no reader for {name}")


def content_of(name: str, records: Sequence[dict[str, Any]]) -> bytes:
    """Return a file of records."""
    start, _, ending = name.rpartition(".")
    if ending in _PACKED:
        return _PACKED[ending][0](content_of(start, records))
    target = io.BytesIO()
    match ending:
        case "jsonl":
            return b"".join(orjson.dumps(each) + b"\n" for each in records)
        case "parquet":
            pq.write_table(pa.Table.from_pylist(list(records)), target, row_group_size=5)
            return target.getvalue()
        case "arrow":
            table = pa.Table.from_pylist(list(records))
            with pa.ipc.new_file(target, table.schema) as file:
                file.write_table(table, max_chunksize=5)
            return target.getvalue()
        case "json" | "yaml":
            return orjson.dumps(list(records))
        case "toml":
            lines = []
            for row in records:
                lines += ["[[rows]]", *(f"{name} = {orjson.dumps(each).decode()}" for name, each in row.items())]
            return "\n".join(lines).encode()
        case "csv" | "tsv":
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, records[0].keys(), delimiter="\t" if ending == "tsv" else ",")
            writer.writeheader()
            writer.writerows(records)
            return text.getvalue().encode()
    raise AssertionError(f"no writer for {name}")
