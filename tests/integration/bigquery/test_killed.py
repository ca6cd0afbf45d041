"""A process that loads a table of BigQuery is killed again and again: each row is there once, the ledger says so, and
what was staged is removed by BigQuery itself."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from loom_common.config.credentials import Credentials
from loom_common.errors import SourceError
from loom_connectors.bigquery.address import Address
from loom_connectors.bigquery.server import Server
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.sql.parameters import WarehouseTimeouts

BATCHES, ROWS, KILLS = 6, 20, (1, 3)
CHILD = f"""
import asyncio, sys
from pathlib import Path
from loom_common.config.credentials import Credentials
from loom_common.domain.definition.pipeline import LoadConfig
from loom_connectors.bigquery import dialect
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.registry import open_destination

dialect._SCRIPT = int(sys.argv[3])
opened_stage = dialect.BigQuerySession._staged

def staged(self, table, parts):
    made = opened_stage(self, table, parts)
    print("staged", flush=True)
    return made

dialect.BigQuerySession._staged = staged

async def main(place, mode):
    opened = open_destination(LoadConfig(destination=place, mode=mode), ConnectorContext(Path(), Credentials()))
    for at in range({BATCHES}):
        rows = [Row(str(n), {{"id": n, "text": f"text {{n}}"}}) for n in range(at * {ROWS}, (at + 1) * {ROWS})]
        await opened.load(LoadBatch("run_1", f"b{{at}}", 0, 0, at, rows))
        print(at, flush=True)
    await opened.finalize("run_1", complete=True)
    await opened.close()

asyncio.run(main(*sys.argv[1:3]))
"""


def load(url: str, mode: str, script: int, kill: str | None) -> None:
    """Load all batches in a process that is killed when it says `kill`."""
    command = [sys.executable, "-c", CHILD, "${URL}&table=t", mode, str(script)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"URL": url}, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == kill:
            child.kill()
            break
    _, errors = child.communicate()
    assert child.returncode == (0 if kill is None else -9), errors


def asked(url: str, sql: str) -> list[tuple[object, ...]]:
    server = Server(Address.of(url, ConnectorContext(Path(), Credentials({}))), WarehouseTimeouts(), SourceError)
    try:
        return [tuple(row) for row in server.run(sql, seconds=60).rows]
    finally:
        server.close()


@pytest.mark.parametrize("mode", ["append", "replace"])
async def test_a_process_killed_while_it_loads_leaves_each_row_once(bigquery_url, mode):
    for kill in [*map(str, KILLS), None]:
        await asyncio.to_thread(load, bigquery_url, mode, 2**20, kill)
    assert asked(bigquery_url, "SELECT id FROM t ORDER BY id") == [(number,) for number in range(BATCHES * ROWS)]
    loaded = asked(bigquery_url, "SELECT SUM(loaded) FROM loom_load_ledger WHERE batch_id LIKE 'b%'")
    assert loaded == [(BATCHES * ROWS,)]


async def test_a_process_killed_between_staging_and_its_script_leaves_each_row_once(bigquery_url):
    for kill in ("staged", None):
        await asyncio.to_thread(load, bigquery_url, "append", 200, kill)
    assert asked(bigquery_url, "SELECT id FROM t ORDER BY id") == [(number,) for number in range(BATCHES * ROWS)]
