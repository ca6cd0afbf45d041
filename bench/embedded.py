"""Measures Loom within one process, and what stands beside it; each in a fresh process and an empty folder."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import asyncpg

from bench.result import BenchError, Passage


async def passage(module: str, source: Path, records: int, setting: int | str, patience: float) -> Passage:
    """Time a module that is run with the source, a database file and a `setting`, such as the batch size. Raises
    `BenchError`."""
    return await timed([sys.executable, "-m", module], source, records, (str(setting),), patience)


async def timed(
    program: Sequence[str], source: Path, records: int, settings: Sequence[str], patience: float
) -> Passage:
    """Time a program that loads the source into the table `reviews` of a database file, and prints its `seconds` and
    its `cpu` seconds. Raises `BenchError`."""
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        database = Path(folder, "out.db")
        words = (*program, str(source), str(database), *settings)
        measured = await _measured(words, Path(program[-1]).stem, Path(folder), source, {}, patience)
        with closing(sqlite3.connect(database)) as db:
            found = db.execute("SELECT count(*), count(DISTINCT id) FROM reviews").fetchone()
    return _passage(Path(program[-1]).stem, measured, records, found)


async def timed_into_postgres(
    program: Sequence[str], source: Path, records: int, settings: Sequence[str], dsn: str, patience: float
) -> Passage:
    """Time a program that loads the source into the table `reviews` of an empty database, whose address it reads from
    `BENCH_DATABASE`. Raises `BenchError`."""
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        words = (*program, str(source), *settings)
        environment = {"BENCH_DATABASE": dsn}
        measured = await _measured(words, Path(program[-1]).stem, Path(folder), source, environment, patience)
    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetchrow("SELECT count(*), count(DISTINCT id) FROM reviews")
    finally:
        await connection.close()
    return _passage(Path(program[-1]).stem, measured, records, tuple(found))


def _passage(name: str, measured: dict[str, float], records: int, found: tuple[int, int]) -> Passage:
    if found != (records, records):
        raise BenchError(f"{name} left {found[0]} rows of {found[1]} records, not {records}")
    return Passage(records, measured["seconds"], {"process": measured["cpu"]})


async def _measured(
    words: Sequence[str], name: str, folder: Path, source: Path, more: Mapping[str, str], patience: float
) -> dict[str, float]:
    """Run a program in a folder, and return what it prints."""
    environment = {each: value for each, value in os.environ.items() if not each.startswith("LOOM_")}
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=folder,
        env={
            **environment,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "LOOM_ALLOWED_PATHS": str(source.parent),
            **more,
        },
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), patience)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise BenchError(f"{name} did not end within {patience:.0f} s") from None
    if process.returncode:
        raise BenchError(f"{name} failed")
    measured: dict[str, float] = json.loads(output)
    return measured
