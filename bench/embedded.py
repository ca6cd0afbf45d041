"""Measures Loom within one process, and bare loops into SQLite; each in a fresh process and an empty folder."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

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
    name = Path(program[-1]).stem
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        database = Path(folder, "out.db")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LOOM_")}
        process = await asyncio.create_subprocess_exec(
            *(*program, str(source), str(database), *settings),
            cwd=folder,
            env={
                **environment,
                "PYTHONPATH": str(Path(__file__).parents[1]),
                "LOOM_ALLOWED_PATHS": str(source.parent),
            },
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), patience)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise BenchError(f"{name} did not end within {patience:.0f} s with {' '.join(settings)}") from None
        if process.returncode:
            raise BenchError(f"{name} failed")
        with closing(sqlite3.connect(database)) as db:
            found = db.execute("SELECT count(*), count(DISTINCT id) FROM reviews").fetchone()
    if found != (records, records):
        raise BenchError(f"{name} left {found[0]} rows of {found[1]} records, not {records}")
    measured = json.loads(output)
    return Passage(records, measured["seconds"], {"process": measured["cpu"]})
