"""Tests that only Prefect's troubles are told and gone on from: any other error is one of Loom's, and ends the work."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

PYTHON = Path(os.environ["LOOM_PREFECT"]) / "python"
BROKEN = """
import asyncio

import httpx

from loom_common.adapters.memory.bus import MemoryBus
from loom_common.flow import TOPOLOGY
from loom_prefect import flow_runs

flow_runs._LOOK_SECONDS = 0.01


class Loop:
    def run(self, work):
        work.close()
        future = asyncio.get_running_loop().create_future()
        future.set_exception({error})
        return future


async def main():
    bus = MemoryBus()
    await bus.declare(TOPOLOGY)
    async with flow_runs.FlowRuns(Loop(), bus).following() as runs:
        if {watched}:
            run = flow_runs.UnderWay("run_1", "reviews")
            runs._under_way[run.run_id] = run
            while runs._defect is None:
                await asyncio.sleep(0.01)
        await runs.of("run_2", "reviews")


asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("error", "watched", "words"),
    [
        ('httpx.ConnectError("refused")', False, "DependencyUnavailable: Prefect has not begun a flow run of run_2"),
        ('KeyError("a defect")', False, "KeyError: 'a defect'"),
        ('KeyError("a defect")', True, "KeyError: 'a defect'"),
    ],
)
async def test_an_error_that_is_not_prefects_is_raised_to_whoever_works_next(error, watched, words):
    pipe = asyncio.subprocess.PIPE
    script = BROKEN.format(error=error, watched=watched)
    process = await asyncio.create_subprocess_exec(str(PYTHON), "-c", script, stdout=pipe, stderr=pipe)
    _, said = await process.communicate()
    assert process.returncode == 1
    assert said.decode().strip().splitlines()[-1].endswith(words) or words in said.decode().splitlines()[-1], (
        said.decode()
    )
