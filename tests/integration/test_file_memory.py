"""Tests that files are written and read in constant memory: many more rows, about the same peak.

The long form (`LOOM_FAULTS=long`) writes and reads 1,000,000 rows."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.buckets import KEYS
from support.length import LONG

WIDTH, PAGE = (60, 1_000) if LONG else (4_000, 250)
"""The characters of each row's text, and the rows of a batch."""
LIMIT_MB = 250.0
"""The most for a process that writes a file and then reads it. Before it begins, its libraries take 132 MB."""
TESTS = str(Path(__file__).parents[1])


@dataclass(frozen=True)
class Case:
    """Says how many rows a process writes to a place and reads from there: few, and then many."""

    location: str
    few: int
    many: int
    growth_mb: float
    """The most by which the many rows may raise the process's peak. Their text is nearly twice that, or more."""
    random: int = WIDTH
    """The characters of each text that cannot be compressed."""

    def __str__(self) -> str:
        return self.location.partition("?")[0]


OBJECT = f"s3://tests/${{S3_FOLDER}}/out.parquet{KEYS}"
CASES = [
    # Three parts of 8 MB of a multipart upload are in memory at most, and the few rows do not fill one: 28 MB was seen.
    Case(OBJECT, 2_500, 18_000, growth_mb=40),
    Case("out.json.gz", 1_000, 5_000, growth_mb=8, random=100),
]
if LONG:
    PLACES = [
        "out.json.gz", "out.parquet", "out.csv.zst", "out.jsonl.bz2", "out.arrow",
        OBJECT, f"s3://tests/${{S3_FOLDER}}/out.csv{KEYS}",
    ]  # fmt: skip
    CASES = [Case(each, 200_000, 1_000_000, growth_mb=30) for each in PLACES]

CHILD = """
from loom_common.service import entry

entry.begin()
import asyncio, os, random, sys
from pathlib import Path
from loom_common.config.credentials import Credentials
from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.registry import open_destination, open_source
from loom_dev.process_memory import peak_memory

async def main(folder, location, width, characters, size, counts):
    context = ConnectorContext(Path(folder), Credentials())
    for number, count in enumerate(counts):
        await write(context, location, f"run_{number}", count, width, characters, size)
        await read(context, location, count, size)
        print(peak_memory(os.getpid()))

async def write(context, location, run_id, count, width, characters, size):
    opened = open_destination(LoadConfig(destination=location, options=dict(OPTIONS)), context)
    for position in range(count // size):
        ids = range(position * size, position * size + size)
        rows = [Row(str(at), {"id": at, "text": f"{random.randbytes(characters // 2).hex():0<{width}}"}) for at in ids]
        await opened.load(LoadBatch(run_id, f"b{position}", 0, 0, position, rows))
    await opened.finalize(run_id, complete=True)

async def read(context, location, count, size):
    source, cursor, end, read = open_source(ExtractConfig(source=location), context), None, False, 0
    while not end:
        page = await source.read(cursor, size)
        cursor, end, read = page.cursor, page.end, read + len(page.records)
    await source.close()
    assert read == count, read

OPTIONS = {"group_size": 4 * 1024 * 1024} if "parquet" in sys.argv[2] or "arrow" in sys.argv[2] else {}
asyncio.run(main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]), [*map(int, sys.argv[6:])]))
"""


async def peaks(folder, case: Case, environ) -> tuple[float, float]:
    """Return the most MB that a process had held after the few rows, and after the many."""
    numbers = (WIDTH, case.random, PAGE, case.few, case.many)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CHILD, str(folder), case.location, *map(str, numbers)),
        env={**os.environ, **environ, "PYTHONPATH": TESTS},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    few, many = map(float, out.split())
    return few, many


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_more_rows_take_no_more_memory(tmp_path, s3_environment, case):
    few, many = await peaks(tmp_path, case, s3_environment)
    print(f"{case}: {few:.0f} MB for {case.few:,} rows, {many:.0f} MB for {case.many:,} after that")
    assert many < LIMIT_MB
    assert many < few + case.growth_mb
