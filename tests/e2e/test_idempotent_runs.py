"""Tests that Python code finds a run again by its idempotency key, as a task of an orchestrator that is tried again."""

import asyncio

import pytest

from loom import Loom
from loom_common.errors import ConfigurationError
from loom_dev.waiting import until
from support.projects import project, python

COUNTED = """
import asyncio, pathlib

async def judged(record):
    with pathlib.Path("calls.log").open("a") as log:
        log.write(record["id"] + "\\n")
    if pathlib.Path("slow").exists():
        await asyncio.sleep(0.05)
    while int(record["id"].lstrip("r")) > 20 and pathlib.Path("held").exists():
        await asyncio.sleep(0.02)
    return {"mood": "good"}
"""


@pytest.fixture
def counted(tmp_path, monkeypatch):
    made = project(tmp_path, 40, transform=python(), code=COUNTED, extract={"batch_size": 4})
    monkeypatch.chdir(tmp_path)
    return made


async def test_a_run_is_found_again_by_its_idempotency_key(counted, tmp_path):
    first = await Loom().run_pipeline("reviews", idempotency_key="of monday")
    again = await Loom().run_pipeline("pipeline.yaml", idempotency_key="of monday")
    assert (again.run_id, again.report) == (first.run_id, first.report)
    assert len((tmp_path / "calls.log").read_text().split()) == 40
    assert (await Loom().run_pipeline("reviews", idempotency_key="of tuesday")).run_id != first.run_id
    with pytest.raises(ConfigurationError, match="`collect` hands over the rows of a run once"):
        await Loom().run_pipeline("reviews", idempotency_key="of monday", collect=True)
    counted.say(name="others")
    with pytest.raises(ConfigurationError, match="of the pipeline reviews, and this request is for others"):
        await Loom().run_pipeline("pipeline.yaml", idempotency_key="of monday")


async def test_a_run_that_was_left_is_gone_on_with_by_its_idempotency_key(counted, tmp_path, monkeypatch):
    monkeypatch.setenv("LOOM_WORKER_DRAIN_SECONDS", "0.1")  # the records that are held do not end
    (tmp_path / "held").touch()
    left = asyncio.create_task(Loom().run_pipeline("reviews", idempotency_key="of monday"))
    log = tmp_path / "calls.log"
    assert await asyncio.to_thread(until, lambda: log.exists() and len(log.read_text().split()) >= 8, 20)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    [before] = await Loom().history("reviews")
    assert before.status == "interrupted"
    (tmp_path / "held").unlink()
    result = await Loom().run_pipeline("reviews", idempotency_key="of monday")
    assert (result.run_id, result.status, result.records_validated) == (before.run_id, "succeeded", 40)
    assert [run.run_id for run in await Loom().history("reviews")] == [before.run_id]


async def test_of_two_that_begin_with_one_key_at_once_both_have_the_same_run(counted, tmp_path):
    (tmp_path / "slow").touch()
    both = await asyncio.gather(*(Loom().run_pipeline("reviews", idempotency_key="of monday") for _ in range(2)))
    assert {(each.run_id, each.status) for each in both} == {(both[0].run_id, "succeeded")}
    assert len(await Loom().history("reviews")) == 1
