"""A process that loads a table is killed again and again: each row is there once, and the ledger says so."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest

from support.destinations import SERVERS
from support.sql_systems import SQL_SYSTEMS, Database

BATCHES, ROWS, KILLS = 8, 40, 2
CHILD = f"""
import asyncio, sys
from pathlib import Path
from loom_common.config.credentials import Credentials
from loom_common.domain.definition.pipeline import LoadConfig
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.registry import open_destination

async def main(folder, place):
    context = ConnectorContext(Path(folder), Credentials())
    opened = open_destination(LoadConfig(destination=place, mode="replace"), context)
    print("begun", flush=True)
    for at in range({BATCHES}):
        rows = [Row(str(n), {{"id": n, "text": f"text {{n}}"}}) for n in range(at * {ROWS}, (at + 1) * {ROWS})]
        await opened.load(LoadBatch("run_1", f"b{{at}}", 0, 0, at, rows))
        print(at, flush=True)
    await opened.finalize("run_1", complete=True)
    await opened.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def database(request, tmp_path, system) -> Database:
    return Database.of(system, tmp_path, request.getfixturevalue(system.server) if system.server else "")


@pytest.mark.parametrize("system", SQL_SYSTEMS, ids=lambda system: system.location)
async def test_a_process_killed_while_it_loads_leaves_each_row_once(tmp_path: Path, database, system) -> None:
    chance = random.Random(7)
    for kill in [*sorted(chance.sample(range(BATCHES), KILLS)), None]:
        await asyncio.to_thread(load, tmp_path, database, kill)
    rows = await database.rows()
    assert [row["id"] for row in rows] == list(range(BATCHES * ROWS))
    ((loaded,),) = await database.run("SELECT sum(loaded) FROM loom_load_ledger WHERE batch_id LIKE 'b%'")
    assert loaded == BATCHES * ROWS


def load(folder: Path, database: Database, kill: int | None) -> None:
    """Load all batches in a process that is killed when it says that the batch `kill` is loaded."""
    command = [sys.executable, "-c", CHILD, str(folder), database.system.location]
    environ = dict.fromkeys(SERVERS, database.url)
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if kill is not None and line.strip() == str(kill):
            child.kill()
    _, errors = child.communicate()
    assert child.returncode == (0 if kill is None else -9), errors
