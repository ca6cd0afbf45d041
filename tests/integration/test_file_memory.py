"""Tests that files are written and read in constant memory: several times as many rows, the same peak.

The long form (`LOOM_FAULTS=long`) writes and reads 1,000,000 rows."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from support.buckets import KEYS
from support.length import LONG

FEW, MANY, WIDTH = (200_000, 1_000_000, 60) if LONG else (6_000, 28_000, 1_000)
"""Rows, and the characters of each: in the short form the rows that are more take 22 MB as text alone."""
LIMIT_MB = 300.0
"""The most for a process that writes a file and then reads it. Before it begins, its libraries take 97 MB."""
TOLERANCE_MB = 24.0
"""Between two runs of the same size, peaks differ by some MB: what the allocator happens to keep."""
TESTS = str(Path(__file__).parents[1])
PLACES = ["out.json.gz", f"s3://tests/${{S3_FOLDER}}/out.parquet{KEYS}"]
if LONG:
    PLACES += ["out.parquet", "out.csv.zst", "out.jsonl.bz2", "out.arrow", f"s3://tests/${{S3_FOLDER}}/out.csv{KEYS}"]

CHILD = """
import asyncio, os, sys
from pathlib import Path
from loom_common.config.credentials import Credentials
from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.registry import open_destination, open_source
from support.cluster import peak_memory

async def main(folder, location, count, width):
    context = ConnectorContext(Path(folder), Credentials())
    opened = open_destination(LoadConfig(destination=location, options=dict(OPTIONS)), context)
    for position in range(count // 1000):
        ids = range(position * 1000, position * 1000 + 1000)
        rows = [Row(str(at), {"id": at, "text": f"{at:0{width}}"[::-1]}) for at in ids]
        await opened.load(LoadBatch(f"run_{count}", f"b{position}", 0, 0, position, rows))
    await opened.finalize(f"run_{count}", complete=True)
    source, cursor, end, read = open_source(ExtractConfig(source=location), context), None, False, 0
    while not end:
        page = await source.read(cursor, 1000)
        cursor, end, read = page.cursor, page.end, read + len(page.records)
    await source.close()
    assert read == count, read
    print(peak_memory(os.getpid()))

OPTIONS = {"group_size": 4 * 1024 * 1024} if "parquet" in sys.argv[2] or "arrow" in sys.argv[2] else {}
asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
"""


async def peak(folder, location: str, count: int, environ) -> float:
    """Return the most MB that a process held that wrote and read so many rows."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CHILD, str(folder), location, str(count), str(WIDTH)),
        env={**os.environ, **environ, "PYTHONPATH": TESTS},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return float(out)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("location", PLACES, ids=[each.partition("?")[0] for each in PLACES])
async def test_more_rows_take_no_more_memory(tmp_path, s3_environment, location):
    few, many = [await peak(tmp_path, location, count, s3_environment) for count in (FEW, MANY)]
    print(f"{location.partition('?')[0]}: {few:.0f} MB for {FEW:,} rows, {many:.0f} MB for {MANY:,}")
    assert many < LIMIT_MB
    assert many < few + TOLERANCE_MB
