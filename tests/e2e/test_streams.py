"""Tests records that Python code takes one by one, each when its run has settled it."""

import asyncio
from collections import Counter

import pytest

from loom import Loom, LoomError
from loom.views import open_views
from loom_common.errors import ConfigurationError
from loom_dev.waiting import within
from support.projects import project, python

CODE = """
def judged(record):
    if record["n"] % 10 == 3:
        raise ValueError("three")
    return {"n": record["n"], "score": (record["n"] % 10) / 10}

def score(output, record):
    return output["score"]
"""
EVALUATE = {"evaluators": [{"name": "mine", "type": "python", "function": "transforms:score", "threshold": 0.2}]}
ROWS = [{"id": str(n), "n": n} for n in range(200)]


@pytest.fixture
def loom(tmp_path, monkeypatch):
    project(tmp_path, 3, transform=python(), evaluate=EVALUATE, code=CODE)
    monkeypatch.chdir(tmp_path)
    return Loom()


async def test_each_record_is_handed_over_once_with_what_became_of_it(loom, tmp_path):
    stream = loom.stream_pipeline(loom.load_pipeline("pipeline.yaml"), input_records=ROWS, max_concurrent=7)
    records = [record async for record in stream]
    assert Counter(record.id for record in records) == Counter(row["id"] for row in ROWS)
    assert Counter(record.status for record in records) == {"validated": 140, "rejected": 40, "quarantined": 20}
    by_id = {record.id: record for record in records}
    assert (by_id["7"].output, by_id["7"].evaluation_score) == ({"n": 7, "score": 0.7}, 0.7)
    assert (by_id["7"].failure_reason, by_id["7"].passed, by_id["7"].input) == (None, True, ROWS[7])
    assert by_id["11"].failure_reason == "mine evaluator below threshold (0.10 < 0.2)"
    assert "three" in by_id["13"].failure_reason
    assert by_id["13"].evaluation_score is None
    assert stream.report.records["loaded"] == 140
    assert not (tmp_path / "results/out.csv").exists()
    assert not list((tmp_path / ".loom/payloads").glob("given_*"))


async def test_a_handler_is_called_for_so_many_records_at_once(loom):
    now, most, seen = 0, 0, []

    async def handle(record):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        seen.append(record.id)
        now -= 1

    pipeline = loom.load_pipeline("pipeline.yaml")
    report = await loom.stream_pipeline(pipeline, input_records=ROWS, handler=handle, max_concurrent=3)
    assert report.status == "succeeded"
    assert sorted(seen) == sorted(row["id"] for row in ROWS)
    assert most == 3


async def test_leaving_the_loop_cancels_the_run_and_frees_what_it_held(loom, tmp_path):
    stream = loom.stream_pipeline(loom.load_pipeline("pipeline.yaml"), input_records=ROWS, max_concurrent=2)
    async with stream:
        async for _ in stream:
            break
    assert await _status(loom, stream.run_id) == "cancelled"
    assert not list((tmp_path / ".loom/payloads").glob("given_*"))
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_handler_that_raises_ends_the_run_and_its_error_is_raised(loom):
    def handle(record):
        raise RuntimeError(f"no room for {record.id}")

    stream = loom.stream_pipeline(loom.load_pipeline("pipeline.yaml"), input_records=ROWS, handler=handle)
    with pytest.raises(RuntimeError, match="no room"):
        await stream
    assert await _status(loom, stream.run_id) in ("cancelled", "succeeded")


async def test_a_run_waits_for_whoever_takes_its_records(loom):
    """With small batches, a run has read no more than its window while nobody takes a second record."""
    pipeline = loom.load_pipeline("pipeline.yaml")
    extract = pipeline.extract.model_copy(update={"batch_size": 1})
    stream = loom.stream_pipeline(
        pipeline.model_copy(update={"extract": extract}),
        input_records=({"id": str(n), "n": n} for n in range(2_000)),
        max_concurrent=1,
    )
    async with stream:
        async for _ in stream:
            await _still(loom, stream)
            break


async def _still(loom, stream):
    """Wait until the run has read no more for two seconds, and see that it has not read all."""
    before, same = -1, 0
    async with within(60), open_views(loom._config) as views:
        while same < 20:
            now = (await views.report(stream.run_id)).records["extracted"]
            same, before = (same + 1 if now == before and now else 0), now
            await asyncio.sleep(0.1)
    assert before < 1_000


async def test_what_cannot_begin_says_so_in_looms_words(loom):
    pipeline = loom.load_pipeline("pipeline.yaml")
    with pytest.raises(ConfigurationError, match="max_concurrent"):
        loom.stream_pipeline(pipeline, max_concurrent=0)
    with pytest.raises(LoomError, match="Record 1"):
        async for _ in loom.stream_pipeline(pipeline, input_records=["text"]):
            pass
    with pytest.raises(ConfigurationError, match="handler"):
        await loom.stream_pipeline(pipeline)


async def test_a_stream_that_was_left_is_not_resumed_into_nowhere(loom):
    stream = loom.stream_pipeline(loom.load_pipeline("pipeline.yaml"), input_records=ROWS, max_concurrent=1)
    async with stream:
        async for _ in stream:
            break
    report = await loom.resume(stream.run_id)
    assert report.status == "failed"


async def _status(loom, run_id):
    async with open_views(loom._config) as views:
        return await views.status(run_id)
