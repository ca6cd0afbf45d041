"""A process that appends to files is killed again and again: each row is there once, what was there stays."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

RUNS, BATCHES, ROWS = 3, 2, 3_000
KILLS = 4
EXPECTED = [f"{run}-{b}-{at}" for run in range(RUNS) for b in range(BATCHES) for at in range(ROWS)]

CHILD = f"""
import asyncio, sys
from pathlib import Path
from loom_common.config.credentials import Credentials
from loom_common.domain.definition.pipeline import LoadConfig
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.registry import open_destination

async def main(folder, name):
    for run in range({RUNS}):
        config = LoadConfig(destination=name, mode="append")
        opened = open_destination(config, ConnectorContext(Path(folder), Credentials({{}})))
        for position in range({BATCHES}):
            rows = [
                Row(str(at), {{"id": f"{{run}}-{{position}}-{{at}}", "t": "x" * 60}}) for at in range({ROWS})
            ]
            await opened.load(LoadBatch(f"run_{{run}}", f"b{{position}}", 0, 0, position, rows))
        await opened.finalize(f"run_{{run}}", complete=True)

print("begun", flush=True)
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(("name", "before"), [("out.csv", "id;t\r\nfirst;y"), ("out.jsonl", '{"id":"first","t":"y"}')])
def test_a_process_killed_while_it_appends_leaves_each_row_once(tmp_path: Path, name: str, before: str) -> None:
    path = tmp_path / name
    path.write_text(before, newline="")
    chance = random.Random(7)
    kills, code = 0, None
    while code != 0:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), name], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        try:
            child.wait(timeout=chance.uniform(0.0, 0.4) if kills < KILLS else None)
        except subprocess.TimeoutExpired:
            child.kill()
            kills += 1
        _, errors = child.communicate()
        code = child.returncode
        assert code in (0, -9), errors.decode()
    assert kills
    content = path.read_bytes().decode()
    assert content.startswith(before)
    rows = content.splitlines()[2:] if name == "out.csv" else content.splitlines()[1:]
    ids = [row.split(";")[0] if name == "out.csv" else row.split('"')[3] for row in rows]
    assert ids == EXPECTED


@pytest.mark.parametrize("written", [0, 5_000, 10_000_000])
def test_a_process_killed_amid_its_bytes_is_finished_by_the_next(tmp_path: Path, written: int) -> None:
    path = tmp_path / "out.csv"
    path.write_text("id,t\n")
    dying = f"""
import os, signal
from loom_connectors.storage import local_storage

def added(path, addition, offset):
    with path.open("ab") as target:
        target.write(addition.read_bytes()[:{written}])
    os.kill(os.getpid(), signal.SIGKILL)

local_storage.added = added
"""
    for code, status in ((dying + CHILD, -9), (CHILD, 0)):
        ended = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path), "out.csv"], stdout=subprocess.DEVNULL, check=False
        )
        assert ended.returncode == status
    ids = [row.split(",")[0] for row in path.read_text().splitlines()[1:]]
    assert ids == EXPECTED
