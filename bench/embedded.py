"""Measures Loom within one process, and bare loops into SQLite; each in a fresh process and an empty folder."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from bench.result import BenchError, Passage


async def passage(module: str, source: Path, records: int, setting: int | str, patience: float) -> Passage:
    """Time a module that is run with the source, a database file and a `setting`, such as the batch size. Raises
    `BenchError`."""
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        database = Path(folder, "out.db")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LOOM_")}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, str(source), str(database), str(setting)),
            cwd=folder,
            env={**environment, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), patience)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise BenchError(f"{module} did not end within {patience:.0f} s with {setting}") from None
        if process.returncode:
            raise BenchError(f"{module} failed")
        with closing(sqlite3.connect(database)) as db:
            found = db.execute("SELECT count(*), count(DISTINCT id) FROM reviews").fetchone()
    if found != (records, records):
        raise BenchError(f"{module} left {found[0]} rows of {found[1]} records, not {records}")
    measured = json.loads(output)
    return Passage(records, measured["seconds"], {"process": measured["cpu"]})
